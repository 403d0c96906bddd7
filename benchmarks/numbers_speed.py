"""Casts and products beside their peers, ratios in one run, buffers reused, one thread, process CPU time.

Run: ``PYTHONPATH=. python benchmarks/numbers_speed.py [--elements N] [--rounds N]``. Peers that are not
installed are left out. Ratios of casts are to memcpy of the fp32 array, of products to torch's fp32 `mm`.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from anychip import formats
from anychip.arithmetic import Contraction, Sequential, Tiles, pointers
from anychip.arithmetic.pointers import Operand
from anychip.formats import CastRule, Float, Rounding, compiled

Work = Callable[[], Any]
#: A format that nobody's library knows.
MINE = Float("mine", exponent_bits=5, significand_bits=6)


def optional(name: str) -> Any:
    """The peer, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def fastest(jobs: dict[str, Work], rounds: int) -> dict[str, float]:
    """Least CPU seconds of each job, the jobs interleaved."""
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(rounds):
        for name, work in jobs.items():
            begun = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - begun)
    return best


def casts(elements: int) -> dict[str, Work]:
    """Ours at full size, written into reused buffers."""
    x = np.random.default_rng(0).standard_normal(elements, dtype=np.float32)
    y, codes = np.empty_like(x), np.empty(elements, np.uint16)
    jobs: dict[str, Work] = {"memcpy": lambda: np.copyto(y, x)}

    def add(name: str, format: Float, rounding: Rounding, *, stored: bool) -> None:
        out, rule = codes if stored else y, CastRule(rounding)
        jobs[name] = lambda: pointers.cast(
            x.ctypes.data, out.ctypes.data, elements, format, rule, stored=stored
        )

    ten, seven = (Rounding.stochastic(seed=1, generator=g) for g in ("philox4x32-10", "philox4x32-7"))
    add("bf16 nearest, codes", formats.bf16, Rounding.NEAREST_EVEN, stored=True)
    add("bf16 stochastic Philox-10, codes", formats.bf16, ten, stored=True)
    add("fp8_e4m3fn nearest, codes", formats.fp8_e4m3fn, Rounding.NEAREST_EVEN, stored=True)
    add("any format nearest, values", MINE, Rounding.NEAREST_EVEN, stored=False)
    add("any format stochastic Philox-7, values", MINE, seven, stored=False)
    add("any format stochastic Philox-10, values", MINE, ten, stored=False)
    torch, ml_dtypes = optional("torch"), optional("ml_dtypes")
    if torch:
        torch.set_num_threads(1)
        source, target = torch.from_numpy(x), torch.empty(elements, dtype=torch.bfloat16)
        narrow = torch.empty(elements, dtype=torch.float8_e4m3fn)
        jobs["torch copy_ to bf16"] = lambda: target.copy_(source)
        jobs["torch copy_ to e4m3fn"] = lambda: narrow.copy_(source)
    if ml_dtypes:
        jobs["ml_dtypes bf16"] = lambda: x.astype(ml_dtypes.bfloat16)
        jobs["ml_dtypes e4m3fn"] = lambda: x.astype(ml_dtypes.float8_e4m3fn)
    return jobs


def slow_casts(elements: int) -> dict[str, Work]:
    """Peers that take seconds at full size; run smaller, their ratio is to a memcpy of that size."""
    x = np.random.default_rng(0).standard_normal(elements, dtype=np.float32)
    y = np.empty_like(x)
    jobs: dict[str, Work] = {"memcpy": lambda: np.copyto(y, x)}
    gfloat, torch, torchao, qtorch = (optional(n) for n in ("gfloat", "torch", "torchao", "qtorch.quant"))
    pychop = optional("pychop")
    if gfloat:
        info = importlib.import_module("gfloat.formats").format_info_ocp_e4m3
        jobs["gfloat e4m3 nearest"] = lambda: gfloat.round_ndarray(info, x)
    if torch and torchao:
        stochastic = importlib.import_module("torchao.optim.quant_utils")._fp32_to_bf16_sr
        tensor = torch.from_numpy(x)
        jobs["torchao bf16 stochastic"] = lambda: stochastic(tensor)
    if torch and qtorch:
        given = torch.from_numpy(x)
        jobs["QPyTorch e4m3 nearest"] = lambda: qtorch.float_quantize(given, 4, 3, rounding="nearest")
    if pychop:
        chop = pychop.Chop(exp_bits=4, sig_bits=3, rmode=1)
        jobs["pychop e4m3 nearest"] = lambda: chop(x)
    jobs["ours e4m3 nearest"] = lambda: formats.fp8_e4m3fn.round(x, out=y)
    return jobs


def products(extents: tuple[int, int, int]) -> dict[str, Work]:
    """Bit-exact products beside torch's, whose order is its own."""
    torch = optional("torch")
    if torch is None:
        return {}
    torch.set_num_threads(1)
    m, n, k = extents
    a, b, c = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
    left, right = a.bfloat16(), b.bfloat16()
    small, little = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn)
    jobs: dict[str, Work] = {"torch mm fp32": lambda: torch.mm(a, b, out=c)}

    def add(name: str, x: Any, y: Any, format: Float, rule: Contraction) -> None:
        jobs[name] = lambda: pointers.product(
            Operand(x.data_ptr(), (0, *x.stride()), format),
            Operand(y.data_ptr(), (0, *y.stride()), format),
            Operand(c.data_ptr(), (0, n, 1)),
            rule,
            rows=m,
            columns=n,
            depth=k,
        )

    add("fp32, sequential", a, b, formats.fp32, Contraction(formats.fp32, order=Sequential()))
    add("fp32, tiles of 128", a, b, formats.fp32, Contraction(formats.fp32, order=Tiles(128)))
    add("fp32, sequential, right transposed", a, b.T.contiguous().T, formats.fp32, Contraction(formats.fp32))
    add("bf16, sequential", left, right, formats.bf16, Contraction(formats.bf16))
    add("fp8_e4m3fn, sequential", small, little, formats.fp8_e4m3fn, Contraction(formats.fp8_e4m3fn))
    return jobs


def show(title: str, jobs: dict[str, Work], rounds: int) -> None:
    """One table; the first job is the yardstick."""
    if not jobs:
        return
    best = fastest(jobs, rounds)
    unit = next(iter(best.values()))
    print(f"\n| {title} | ms | ratio |\n|---|---:|---:|")
    for name, seconds in best.items():
        print(f"| {name} | {seconds * 1e3:.2f} | {seconds / unit:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elements", type=int, default=1 << 24)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print(f"path {compiled.path()}, one thread, {options.elements:,} elements")
    compiled.set_threads(1)
    show("casts", casts(options.elements), options.rounds)
    show(f"casts of {1 << 18:,} elements", slow_casts(1 << 18), 3)
    for extents in ((1024, 1024, 1024), (128, 3072, 768)):
        show("products {} x {} x {}".format(*extents), products(extents), options.rounds)


if __name__ == "__main__":
    main()
