"""`anychip evidence formats`: the number rooms against independent implementations, exhaustively.

Peers are ml_dtypes (fast, nearest-even), gfloat (every rounding mode, from the definition) and mpmath
(curves); they come with the `test` extra.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anychip import formats
from anychip.arithmetic import Contraction, contract
from anychip.arithmetic.specified import SPECIFIED
from anychip.errors import MissingTool
from anychip.formats import Float, Rounding, compiled
from anychip.formats.randomness import philox4x32

#: Our names, and those of ml_dtypes and gfloat.
PEERS: dict[str, tuple[str, str | None]] = {
    "bf16": ("bfloat16", "format_info_bfloat16"),
    "fp16": ("float16", "format_info_binary16"),
    "fp8_e4m3fn": ("float8_e4m3fn", "format_info_ocp_e4m3"),
    "fp8_e5m2": ("float8_e5m2", "format_info_ocp_e5m2"),
    "fp8_e3m4": ("float8_e3m4", None),
    "fp8_e4m3": ("float8_e4m3", None),
    "fp8_e4m3fnuz": ("float8_e4m3fnuz", None),
    "fp8_e5m2fnuz": ("float8_e5m2fnuz", None),
    "fp6_e2m3": ("float6_e2m3fn", "format_info_ocp_e2m3"),
    "fp6_e3m2": ("float6_e3m2fn", "format_info_ocp_e3m2"),
    "fp4_e2m1": ("float4_e2m1fn", "format_info_ocp_e2m1"),
}
LONG = ("bf16", "fp16", "fp8_e4m3fn", "fp8_e5m2")
MODES = {
    "nearest-even": "TiesToEven",
    "nearest-away": "TiesToAway",
    "toward-zero": "TowardZero",
    "up": "TowardPositive",
    "down": "TowardNegative",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim and how it came out.

    Args:
        claim: what should hold.
        checked: cases compared.
        wrong: cases in which it does not hold.
        seconds: time taken.
    """

    claim: str
    checked: int
    wrong: int
    seconds: float


Check = Callable[[], tuple[int, int]]


def main(argv: Sequence[str]) -> int:
    """Runs the checks, prints a table, and returns 1 if anything disagrees.

    Args:
        argv: ``["formats", "--long", "--write", FILE]``.

    Raises:
        MissingTool: a peer is not installed.
    """
    parser = argparse.ArgumentParser(prog="anychip evidence", description=__doc__)
    parser.add_argument("subject", choices=["formats"])
    parser.add_argument("--long", action="store_true", help="also all 2**32 fp32 inputs of four formats")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table as Markdown")
    options = parser.parse_args(argv)
    found: list[Finding] = []
    for claim, check in checks(everything=options.long):
        begun = time.perf_counter()
        checked, wrong = check()
        found.append(Finding(claim, checked, wrong, time.perf_counter() - begun))
        print(_line(found[-1]), flush=True)
    if options.write:
        options.write.write_text(_page(found, argv))
    return 1 if any(each.wrong for each in found) else 0


def _line(each: Finding) -> str:
    verdict = "agrees" if each.wrong == 0 else f"{each.wrong:,} DISAGREE"
    return f"{each.claim:<68} {each.checked:>15,}  {verdict}  ({each.seconds:.1f} s)"


def _page(found: Sequence[Finding], argv: Sequence[str]) -> str:
    rows = "\n".join(f"| {f.claim} | {f.checked:,} | {f.wrong:,} | {f.seconds:.1f} |" for f in found)
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "ml_dtypes", "gfloat", "mpmath"))
    command = " ".join(("anychip evidence formats", *(("--long",) if "--long" in argv else ())))
    machine = f"{platform.machine()}, {_processor()}, paths {', '.join(compiled.paths())}"
    return f"""# Evidence: formats

Command: `{command}`, run on {date.today().isoformat()}.
Machine: {machine}; {versions}.

| claim | cases | disagreements | seconds |
|---|---:|---:|---:|
{rows}
"""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _peer(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingTool(
            f"evidence: {name} is not installed; install the test extra: pip install anychip[test]"
        ) from None


def checks(*, everything: bool) -> Iterator[tuple[str, Check]]:
    """Every claim with its check; `everything` adds those that take minutes."""
    for name in PEERS:
        yield f"{name}: every code decodes as in ml_dtypes", lambda name=name: _decoding(name)
    for name, (_, peer) in PEERS.items():
        if peer:
            yield f"{name}: every code decodes as in gfloat", lambda name=name: _decoding_gfloat(name)
    for name in PEERS:
        claim = f"{name}: values, midpoints and neighbours encode as in ml_dtypes"
        yield claim, lambda name=name: _encoding(name)
    for name, (_, peer) in PEERS.items():
        if peer:
            yield f"{name}: five rounding modes as in gfloat", lambda name=name: _modes(name)
    yield "Philox4x32-10 gives Random123's known answers", _known_answers
    yield "every 16-bit fraction carries exactly its share of 2**16 words", _unbiased
    for name in ("bf16", "fp8_e4m3fn"):
        yield f"{name}: stochastic bits alike for paths, threads, chunks, strides", lambda n=name: _alike(n)
    yield "fp32 products alike for paths, threads and batch neighbours", _products_alike
    for name in sorted(SPECIFIED):
        yield f"{name}: correctly rounded for every bf16 and fp16 argument", lambda n=name: _curve(n)
    for name in LONG if everything else ():
        yield f"{name}: all 2**32 fp32 inputs encode as in ml_dtypes", lambda name=name: _all_inputs(name)


def _format(name: str) -> Float:
    format = formats.by_name(name)
    if not isinstance(format, Float):
        raise TypeError(name)
    return format


def _type(name: str) -> Any:
    return np.float16 if name == "fp16" else getattr(_peer("ml_dtypes"), PEERS[name][0])


def _unequal(a: NDArray[np.float32], b: NDArray[np.float32]) -> int:
    both_nan = np.isnan(a) & np.isnan(b)
    return int(np.count_nonzero((a.view(np.uint32) != b.view(np.uint32)) & ~both_nan))


def _decoding(name: str) -> tuple[int, int]:
    format = _format(name)
    codes = np.arange(1 << format.bits, dtype=format.code_type)
    peer = codes.view(_type(name)).astype(np.float32)
    return len(codes), _unequal(np.asarray(format.decode(codes), np.float32), peer)


def _decoding_gfloat(name: str) -> tuple[int, int]:
    format, gfloat = _format(name), _peer("gfloat")
    info = getattr(_peer("gfloat.formats"), str(PEERS[name][1]))
    codes = np.arange(1 << format.bits, dtype=format.code_type)
    peer = np.array([gfloat.decode_float(info, int(code)).fval for code in codes], np.float32)
    return len(codes), _unequal(np.asarray(format.decode(codes), np.float32), peer)


def edges(format: Float, most: int = 1 << 16) -> NDArray[np.float32]:
    """Every value, every midpoint and their fp32 neighbours, both signs: rounding is constant in between."""
    codes = np.arange(1 << (format.bits - 1), dtype=format.code_type)
    codes = codes[:: max(1, len(codes) // most)]
    values = np.asarray(format.decode(codes), np.float32)
    values = np.unique(values[np.isfinite(values)])
    middles = ((values[1:].astype(np.float64) + values[:-1]) / 2).astype(np.float32)
    with np.errstate(over="ignore"):
        factors = 1 + np.array([0, format.epsilon / 4, format.epsilon, 1], np.float32)
        beyond = np.multiply(factors, np.float32(format.max_finite))
        points = np.concatenate([values, middles, beyond, np.array([np.inf, 3.4e38, 1e-45, 0.0], np.float32)])
        around = np.concatenate([points, np.nextafter(points, np.inf), np.nextafter(points, -np.inf)])
    around = around.astype(np.float32)
    return np.concatenate([around, -around])


def _encoding(name: str) -> tuple[int, int]:
    format = _format(name)
    values = edges(format)
    with np.errstate(all="ignore"):
        peer = values.astype(_type(name)).view(format.code_type)
    return len(values), int(np.count_nonzero(format.encode(values) != peer))


def _modes(name: str) -> tuple[int, int]:
    format, gfloat = _format(name), _peer("gfloat")
    info = getattr(_peer("gfloat.formats"), str(PEERS[name][1]))
    values = edges(format, 1 << 10)
    values = values[np.isfinite(values)]
    wrong = 0
    for mode, theirs in MODES.items():
        saturates = not format.has_nan
        ours = format.round(
            values,
            rounding=Rounding.by_name(mode),
            overflow="saturate" if saturates else None,
        )
        direction = getattr(gfloat.RoundMode, theirs)
        peer = [gfloat.round_float(info, float(v), direction, sat=saturates) for v in values]
        wrong += _unequal(ours, np.array(peer, np.float32))
    return len(values) * len(MODES), wrong


def _known_answers() -> tuple[int, int]:
    answers: dict[tuple[tuple[int, ...], tuple[int, int]], tuple[int, ...]] = {
        ((0,) * 4, (0, 0)): (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF, 0xFFFFFFFF)): (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)): (
            *(0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    }
    wrong = sum(
        tuple(int(w) for w in philox4x32(np.array(counter, np.uint32), key)) != answer
        for (counter, key), answer in answers.items()
    )
    return len(answers), wrong


def _unbiased() -> tuple[int, int]:
    words = np.arange(1 << 16, dtype=np.uint32)
    wrong = sum(int(((words + f) >> 16).sum()) != f for f in range(1 << 16))
    return 1 << 32, wrong


def _alike(name: str) -> tuple[int, int]:
    format, before = _format(name), compiled.path()
    values = np.random.default_rng(1).standard_normal((997, 331)).astype(np.float32)
    rounding = Rounding.stochastic(seed=7, step=3, tensor=5)
    compiled.use("numpy")
    expected = format.round(values, rounding=rounding)
    checked = wrong = 0
    for path in compiled.paths():
        compiled.use(path)
        for threads in (1, 2, 4):
            compiled.set_threads(threads)
            flat = values.reshape(-1)
            pieces = [
                format.round(flat[i : i + 7001], rounding=rounding.at(element=i))
                for i in range(0, flat.size, 7001)
            ]
            for result in (
                format.round(values, rounding=rounding),
                format.round(np.asfortranarray(values), rounding=rounding),
                np.concatenate(pieces).reshape(values.shape),
            ):
                checked += result.size
                wrong += _unequal(result, expected)
    compiled.use(before)
    return checked, wrong


def _products_alike() -> tuple[int, int]:
    before, random = compiled.path(), np.random.default_rng(2)
    a, b = (random.standard_normal(s).astype(np.float32) for s in ((131, 517), (517, 203)))
    rule = Contraction(formats.fp32)
    compiled.use("numpy")
    expected = contract(a, b, rule)
    checked = wrong = 0
    for path in compiled.paths()[:-1]:
        compiled.use(path)
        for threads in (1, 2, 4):
            compiled.set_threads(threads)
            rows = np.concatenate([contract(a[i : i + 1], b, rule) for i in range(len(a))])
            for result in (contract(a, b, rule), rows, contract(np.asfortranarray(a), b, rule)):
                checked += result.size
                wrong += _unequal(result, expected)
    compiled.use(before)
    return checked, wrong


def _curve(name: str) -> tuple[int, int]:
    """Correct unless the double result lies within 2**-43 of a midpoint; those are settled by mpmath."""
    mpmath = _peer("mpmath")
    checked = wrong = 0
    for format in (formats.bf16, formats.fp16):
        values = format.decode(np.arange(1 << 16, dtype=np.uint16)).astype(np.float64)
        with np.errstate(all="ignore"):
            result = SPECIFIED[name](values)
            low, high = (format.round(result * (1 + side * 2.0**-43)) for side in (-1, 1))
        ours = format.round(result)
        checked += len(values)
        for i in np.flatnonzero((low != high) & ~np.isnan(ours)):
            exact = _settle(mpmath, name, float(values[i]))
            wrong += float(ours[i]) != _nearest(mpmath, format, exact)
    return checked, wrong


def _settle(mpmath: Any, name: str, x: float) -> Any:
    mp = mpmath.mp
    mp.dps = 60
    v = mpmath.mpf(x)
    half_erfc = mp.erfc(-v / mp.sqrt(2)) / 2
    match name:
        case "exp2":
            return mpmath.mpf(2) ** v
        case "log2":
            return mp.log(v) / mp.log(2)
        case "sigmoid" | "silu":
            return (v if name == "silu" else 1) / (1 + mp.exp(-v))
        case "softplus" | "log_sigmoid":
            sign = 1 if name == "softplus" else -1
            return sign * mp.log1p(mp.exp(sign * v))
        case "mish":
            return v * mp.tanh(mp.log1p(mp.exp(v)))
        case "normal_cdf" | "gelu":
            return (v if name == "gelu" else 1) * half_erfc
        case "gelu_tanh":
            inner = mp.sqrt(8 / mp.pi) * (v + mpmath.mpf("0.044715") * v**3)
            return v / (1 + mp.exp(-inner))
        case "rsqrt":
            return 1 / mp.sqrt(v)
        case "reciprocal":
            return 1 / v
        case _:
            return getattr(mp, name)(v)


def _nearest(mpmath: Any, format: Float, exact: Any) -> float:
    """`exact` rounded to nearest-even in `format`, from the definition."""
    if exact == 0:
        return 0.0
    _, exponent = mpmath.frexp(abs(exact))
    quantum = mpmath.mpf(2) ** (max(int(exponent) - 1, format.emin) - format.significand_bits)
    value = float(mpmath.nint(exact / quantum) * quantum)
    return value if abs(value) <= format.max_finite else float(np.copysign(np.inf, value))


def _all_inputs(name: str) -> tuple[int, int]:
    format, kind = _format(name), _type(name)
    wrong = 0
    size = 1 << 24
    for part in range(256):
        values = np.arange(part * size, (part + 1) * size, dtype=np.uint32).view(np.float32)
        with np.errstate(all="ignore"):
            peer = values.astype(kind).view(format.code_type)
        differ = format.encode(values) != peer
        wrong += int(np.count_nonzero(differ & ~np.isnan(values)))
        nan = np.isnan(values)
        if nan.any() and not np.isnan(format.decode(format.encode(values[nan][::4097]))).all():
            wrong += 1
    return 1 << 32, wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
