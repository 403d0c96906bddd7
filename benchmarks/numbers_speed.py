"""Casts and products beside their budgets and peers: ratios in one run, buffers reused, process CPU time.

Run: ``PYTHONPATH=. python benchmarks/numbers_speed.py [--elements N] [--rounds N] [--cpfloat SRC]``.
Casts are compared with memcpy of the fp32 array, products with torch's fp32 `mm`; the jobs of a table are
interleaved and the least time of each counts. Peers: torch, ml_dtypes, gfloat, torchao, qtorch (QPyTorch),
pychop and mx (microxcaling, on PYTHONPATH) where they import; CPFloat where ``--cpfloat`` names its ``src``
folder and a C compiler builds it.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from anychip import formats
from anychip.arithmetic import Contraction, Order, Sequential, Tiles, pointers
from anychip.arithmetic.pointers import Operand
from anychip.formats import CastRule, Float, Rounding, compiled

Work = Callable[[], Any]
#: A format that nobody's library knows.
MINE = Float("mine", exponent_bits=5, significand_bits=6)
#: Peers that are not there.
MISSING: list[str] = []

CPFLOAT = r"""
#include "cpfloat_binary32.h"
void cast(float *out, const float *in, size_t n, int precision, int emin, int emax, int rounding) {
    optstruct *options = init_optstruct();
    options->precision = precision, options->emin = emin, options->emax = emax;
    options->explim = CPFLOAT_EXPRANGE_TARG, options->infinity = CPFLOAT_INF_USE, options->round = rounding;
    options->saturation = CPFLOAT_SAT_NO, options->subnormal = CPFLOAT_SUBN_USE;
    options->flip = CPFLOAT_SOFTERR_NO;
    cpfloatf(out, in, n, options);
    free_optstruct(options);
}
"""


def optional(name: str) -> Any:
    """The peer, or None, which is noted."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError:
        MISSING.append(name.split(".")[0])
        return None


def fastest(jobs: dict[str, Work], rounds: int) -> dict[str, float]:
    """Least CPU seconds of each job, the jobs interleaved; short ones are repeated within a round."""
    best, repeats = dict.fromkeys(jobs, float("inf")), dict.fromkeys(jobs, 1)
    for index in range(rounds + 1):
        for name, work in jobs.items():
            begun = time.process_time()
            for _ in range(repeats[name]):
                work()
            seconds = (time.process_time() - begun) / repeats[name]
            if index:
                best[name] = min(best[name], seconds)
            else:  # the first round warms up and says how often
                repeats[name] = max(1, min(1000, int(2e-3 / max(seconds, 1e-6))))
    return best


def casts(elements: int) -> tuple[dict[str, Work], dict[str, float]]:
    """Ours and fast peers at full size, written into reused buffers; and the budgets."""
    x = np.random.default_rng(0).standard_normal(elements, dtype=np.float32)
    y, wide, narrow = np.empty_like(x), np.empty(elements, np.uint16), np.empty(elements, np.uint8)
    jobs: dict[str, Work] = {"memcpy": lambda: np.copyto(y, x)}
    budgets: dict[str, float] = {}

    def add(
        name: str, format: Float, rounding: Rounding, *, stored: bool, budget: float | None = None
    ) -> None:
        out = y if not stored else narrow if format.bits <= 8 else wide
        rule = CastRule(rounding)
        jobs[name] = lambda: pointers.cast(
            x.ctypes.data, out.ctypes.data, elements, format, rule, stored=stored
        )
        if budget:
            budgets[name] = budget

    ten, seven = (Rounding.stochastic(seed=1, generator=g) for g in ("philox4x32-10", "philox4x32-7"))
    nearest = Rounding.NEAREST_EVEN
    add("bf16 nearest, codes", formats.bf16, nearest, stored=True, budget=0.8)
    add("bf16 stochastic Philox-10, codes", formats.bf16, ten, stored=True, budget=1.3)
    add("bf16 stochastic Philox-7, codes", formats.bf16, seven, stored=True)
    add("fp8_e4m3fn nearest, codes", formats.fp8_e4m3fn, nearest, stored=True, budget=0.75)
    add("fp8_e5m2 nearest, codes", formats.fp8_e5m2, nearest, stored=True, budget=0.75)
    add("fp8_e4m3fn stochastic Philox-10, codes", formats.fp8_e4m3fn, ten, stored=True, budget=3.5)
    add("fp16 nearest, codes", formats.fp16, nearest, stored=True)
    add("any format nearest, values", MINE, nearest, stored=False, budget=1.8)
    add("any format stochastic Philox-7, values", MINE, seven, stored=False, budget=2.5)
    add("any format stochastic Philox-10, values", MINE, ten, stored=False, budget=3.5)
    torch, ml_dtypes = optional("torch"), optional("ml_dtypes")
    if torch:
        torch.set_num_threads(1)
        source, target = torch.from_numpy(x), torch.empty(elements, dtype=torch.bfloat16)
        little = torch.empty(elements, dtype=torch.float8_e4m3fn)
        jobs["torch copy_ to bf16"] = lambda: target.copy_(source)
        jobs["torch copy_ to e4m3fn"] = lambda: little.copy_(source)
    if ml_dtypes:
        jobs["ml_dtypes bf16"] = lambda: x.astype(ml_dtypes.bfloat16)
        jobs["ml_dtypes e4m3fn"] = lambda: x.astype(ml_dtypes.float8_e4m3fn)
    return jobs, budgets


def slow_casts(elements: int, cpfloat_sources: str | None) -> dict[str, Work]:
    """Peers that take seconds at full size; run smaller, their ratio is to a memcpy of that size."""
    x = np.random.default_rng(0).standard_normal(elements, dtype=np.float32)
    y, codes = np.empty_like(x), np.empty(elements, np.uint16)
    jobs: dict[str, Work] = {"memcpy": lambda: np.copyto(y, x)}
    rules = {
        "bf16 stochastic": (formats.bf16, CastRule(Rounding.stochastic(seed=1))),
        "e4m3 nearest": (formats.fp8_e4m3fn, CastRule()),
    }
    for name, (format, rule) in rules.items():
        jobs[f"anychip {name}"] = lambda format=format, rule=rule: pointers.cast(
            x.ctypes.data, codes.ctypes.data, elements, format, rule, stored=True
        )
    gfloat, torch, torchao, qtorch = (optional(n) for n in ("gfloat", "torch", "torchao", "qtorch.quant"))
    pychop, microxcaling = optional("pychop"), optional("mx.elemwise_ops")
    if gfloat:
        info = importlib.import_module("gfloat.formats").format_info_ocp_e4m3
        jobs["gfloat e4m3 nearest"] = lambda: gfloat.round_ndarray(info, x)
    if torch:
        tensor = torch.from_numpy(x)
        if torchao:
            stochastic = importlib.import_module("torchao.optim.quant_utils")._fp32_to_bf16_sr
            jobs["torchao bf16 stochastic"] = lambda: stochastic(tensor)
        if qtorch:
            for kind in ("nearest", "stochastic"):
                jobs[f"QPyTorch e4m3 {kind}"] = lambda kind=kind: qtorch.float_quantize(
                    tensor, 4, 3, rounding=kind
                )
        if microxcaling:
            core = microxcaling._quantize_elemwise_core
            jobs["microxcaling e4m3 nearest"] = lambda: core(tensor, 5, 4, 448.0, round="even")
    if pychop:
        chop = pychop.Chop(exp_bits=4, sig_bits=3, rmode=1)
        jobs["pychop e4m3 nearest"] = lambda: chop(x)
    cpfloat = built_cpfloat(cpfloat_sources) if cpfloat_sources else None
    if cpfloat:
        for name, *how in (
            ("bf16 nearest", 8, -126, 127, 1),
            ("bf16 stochastic", 8, -126, 127, 5),
            ("e4m3 nearest", 4, -6, 8, 1),
        ):
            jobs[f"CPFloat {name}"] = lambda how=how: cpfloat(y.ctypes.data, x.ctypes.data, elements, *how)
    else:
        MISSING.append("CPFloat")
    return jobs


def built_cpfloat(sources: str) -> Any:
    """CPFloat's cast of an array, compiled for this machine, or None where it does not build."""
    folder = Path(tempfile.mkdtemp())
    (folder / "shim.c").write_text(CPFLOAT)
    command = ["gcc", "-O3", "-march=native", "-shared", "-fPIC", f"-I{sources}", "-w", "-o"]
    done = subprocess.run([*command, str(folder / "shim.so"), str(folder / "shim.c"), "-lm"], check=False)
    if done.returncode:
        return None
    cast = ctypes.CDLL(str(folder / "shim.so")).cast
    cast.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 4)
    return cast


def products(extents: tuple[int, int, int], paths: list[str]) -> tuple[dict[str, Work], dict[str, float]]:
    """Bit-exact products on each path beside torch's, whose order is its own; and the budgets."""
    torch = optional("torch")
    if torch is None:
        return {}, {}
    torch.set_num_threads(1)
    m, n, k = extents
    a, w, c = torch.randn(m, k), torch.randn(n, k), torch.empty(m, n)
    narrow = torch.empty(m, n, dtype=torch.bfloat16)
    stored = {
        "fp32": (a, w, formats.fp32),
        "fp16": (a.half(), w.half(), formats.fp16),
        "bf16": (a.bfloat16(), w.bfloat16(), formats.bf16),
        "fp8_e4m3fn": (a.to(torch.float8_e4m3fn), w.to(torch.float8_e4m3fn), formats.fp8_e4m3fn),
    }
    jobs: dict[str, Work] = {
        "torch mm fp32": lambda: torch.mm(a, w.T, out=c),
        "torch mm bf16": lambda: torch.mm(stored["bf16"][0], stored["bf16"][1].T, out=narrow),
    }
    budgets: dict[str, float] = {}

    def add(path: str, what: str, format: str, order: Order, x: Any, y: Any, *, narrow: bool = False) -> None:
        read = formats.bf16 if narrow else stored[format][2]
        rule = Contraction(read, order=order)

        def work() -> None:
            compiled.use(path)
            pointers.product(
                Operand(x.data_ptr(), (0, *x.stride()), stored[format][2]),
                Operand(y.data_ptr(), (0, *y.stride()), stored[format][2]),
                Operand(c.data_ptr(), (0, n, 1)),
                rule,
                rows=m,
                columns=n,
                depth=k,
                narrow=narrow,
            )

        name = f"{path}: {format} {what}"
        jobs[name] = work
        if read.bits <= 16 and read != formats.fp16:
            budgets[name] = 0.5 if path.endswith("bf16") else 1.0

    for path in paths:
        for format, (x, y, _) in stored.items():
            add(path, "sequential, x @ W.T", format, Sequential(), x, y.T)
        if path == paths[0]:
            x, y, _ = stored["bf16"]
            add(path, "sequential, x @ W", "bf16", Sequential(), x, y.T.contiguous())
            add(path, "sequential, x.T @ y", "bf16", Sequential(), x.T.contiguous().T, y.T.contiguous())
            add(path, "tiles of 128, x @ W.T", "bf16", Tiles(128), x, y.T)
            add(path, "read as bf16, tiles of 128, x @ W.T", "fp32", Tiles(128), a, w.T, narrow=True)
    return jobs, budgets


def show(title: str, jobs: dict[str, Work], rounds: int, budgets: dict[str, float] | None = None) -> None:
    """One table; the first job is the yardstick."""
    if not jobs:
        return
    best = fastest(jobs, rounds)
    unit = next(iter(best.values()))
    print(f"\n| {title} | ms | ratio | budget |\n|---|---:|---:|---:|")
    for name, seconds in best.items():
        budget = (budgets or {}).get(name)
        verdict = "" if budget is None else f"{budget} {'met' if seconds / unit <= budget else 'MISSED'}"
        print(f"| {name} | {seconds * 1e3:.3f} | {seconds / unit:.2f} | {verdict} |", flush=True)


def show_threads() -> None:
    """Wall time of two threads against one, and whether the bits are the same."""
    random = np.random.default_rng(0)
    a, b = (formats.bf16.round(random.standard_normal((2048, 2048), dtype=np.float32)) for _ in range(2))
    left, right = formats.bf16.encode(a), formats.bf16.encode(b)
    c, out = np.empty((2048, 2048), np.float32), np.empty(1 << 24, np.uint16)
    x = random.standard_normal(1 << 24, dtype=np.float32)
    ten = CastRule(Rounding.stochastic(seed=1))
    plain = (0, 2048, 1)
    works: dict[str, tuple[Work, np.ndarray]] = {
        "bf16 product 2048 x 2048 x 2048": (
            lambda: pointers.product(
                Operand(left.ctypes.data, plain, formats.bf16),
                Operand(right.ctypes.data, plain, formats.bf16),
                Operand(c.ctypes.data, plain),
                Contraction(formats.bf16),
                rows=2048,
                columns=2048,
                depth=2048,
            ),
            c,
        ),
        "bf16 stochastic Philox-10, 16 Mi": (
            lambda: pointers.cast(x.ctypes.data, out.ctypes.data, 1 << 24, formats.bf16, ten, stored=True),
            out,
        ),
    }
    print("\n| threads (wall clock) | one, ms | two, ms | faster by | bits |\n|---|---:|---:|---:|---|")
    for name, (work, result) in works.items():
        best, bits = {1: float("inf"), 2: float("inf")}, {}
        for _ in range(9):
            for threads in (1, 2):
                compiled.set_threads(threads)
                begun = time.perf_counter()
                work()
                best[threads] = min(best[threads], time.perf_counter() - begun)
                bits[threads] = result.tobytes()
        same = "the same" if bits[1] == bits[2] else "DIFFERENT"
        print(f"| {name} | {best[1] * 1e3:.1f} | {best[2] * 1e3:.1f} | {best[1] / best[2]:.2f} | {same} |")
    compiled.set_threads(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elements", type=int, default=1 << 24)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cpfloat", metavar="SRC", help="the src folder of CPFloat")
    options = parser.parse_args()
    if not pointers.available():
        parser.exit(2, f"numbers_speed: {compiled.why_not()}\n")
    first = compiled.path()
    paths = [name for name in compiled.paths() if name not in ("baseline", "numpy")] or [first]
    print(f"path {first}, one thread, {options.elements:,} elements, load {os.getloadavg()[0]:.1f}")
    compiled.set_threads(1)
    jobs, budgets = casts(options.elements)
    show("casts", jobs, options.rounds, budgets)
    show(f"casts of {1 << 20:,} elements", slow_casts(1 << 20, options.cpfloat), 3)
    for extents in ((1024, 1024, 1024), (128, 3072, 768), (768, 768, 1024)):
        jobs, budgets = products(extents, paths)
        show("products {} x {} x {}".format(*extents), jobs, options.rounds, budgets)
    for extents in ((1, 3072, 768), (8, 768, 768), (64, 768, 3072)):
        jobs, budgets = products(extents, paths[:1])
        show("few rows, {} x {} x {}".format(*extents), jobs, options.rounds, budgets)
    compiled.use(first)
    show_threads()
    print("\nnot installed: " + (", ".join(sorted(set(MISSING))) or "none"))


if __name__ == "__main__":
    main()
