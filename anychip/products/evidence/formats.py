"""Formats, rounding, sums: the number rooms against independent implementations, exhaustively."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anychip import formats
from anychip.arithmetic import Contraction, contract
from anychip.formats import Float, Rounding, compiled
from anychip.formats.randomness import philox4x32
from anychip.products.evidence.finding import Check, peer_library

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
    for name in LONG if everything else ():
        yield f"{name}: all 2**32 fp32 inputs encode as in ml_dtypes", lambda name=name: _all_inputs(name)


def _format(name: str) -> Float:
    format = formats.by_name(name)
    if not isinstance(format, Float):
        raise TypeError(name)
    return format


def _type(name: str) -> Any:
    return np.float16 if name == "fp16" else getattr(peer_library("ml_dtypes"), PEERS[name][0])


def _unequal(a: NDArray[np.float32], b: NDArray[np.float32]) -> int:
    both_nan = np.isnan(a) & np.isnan(b)
    return int(np.count_nonzero((a.view(np.uint32) != b.view(np.uint32)) & ~both_nan))


def _decoding(name: str) -> tuple[int, int]:
    format = _format(name)
    codes = np.arange(1 << format.bits, dtype=format.code_type)
    peer = codes.view(_type(name)).astype(np.float32)
    return len(codes), _unequal(np.asarray(format.decode(codes), np.float32), peer)


def _decoding_gfloat(name: str) -> tuple[int, int]:
    format, gfloat = _format(name), peer_library("gfloat")
    info = getattr(peer_library("gfloat.formats"), str(PEERS[name][1]))
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
    format, gfloat = _format(name), peer_library("gfloat")
    info = getattr(peer_library("gfloat.formats"), str(PEERS[name][1]))
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
