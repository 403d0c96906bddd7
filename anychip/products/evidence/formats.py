"""Formats, rounding, sums: the number rooms against independent implementations, exhaustively."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from anychip import formats
from anychip.arithmetic import Contraction, contract
from anychip.errors import InvalidDescription
from anychip.formats import CastRule, Float, Rounding, compiled
from anychip.formats.floating import Infinity, Overflow, Payload, Subnormals
from anychip.formats.randomness import philox4x32, random_bits
from anychip.formats.rounding import GENERATORS, Direction, Generator
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
#: Block-scaled formats and their names in gfloat.
BLOCKS = {
    "mxfp8_e4m3": "format_info_mxfp8_e4m3",
    "mxfp8_e5m2": "format_info_mxfp8_e5m2",
    "mxfp6_e2m3": "format_info_mxfp6_e2m3",
    "mxfp6_e3m2": "format_info_mxfp6_e3m2",
    "mxfp4": "format_info_mxfp4_e2m1",
    "mxint8": "format_info_mxint8",
}
#: Formats whose every rule is tried: each kind of specials, subnormals or none, a bias of one's own.
RULED = (
    formats.bf16,
    formats.fp8_e4m3,
    formats.fp8_e4m3fn,
    formats.fp8_e4m3fnuz,
    formats.fp4_e2m1,
    Float("user_e6m9_bias20", 6, 9, bias=20),
    Float("user_e4m2_no_subnormals", 4, 2, specials="fnuz", subnormals=False),
    Float("user_e8m0", 8, 0, specials="fn"),
)
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
    for name, (_, peer) in PEERS.items():
        if peer:
            yield f"{name}: overflow saturates as in gfloat", lambda name=name: _saturating(name)
    for name in PEERS:
        yield f"{name}: doubles beside midpoints are rounded once", lambda name=name: _once(name)
    for name in ("bf16", "fp16"):
        yield f"{name}: NaN keeps sign and leading payload where asked", lambda name=name: _payloads(name)
    for name in BLOCKS:
        yield f"{name}: blocks and their scales as in gfloat", lambda name=name: _blocks(name)
    yield "Philox4x32-10 and -7 give Random123's known answers", _known_answers
    yield "every 16-bit fraction carries exactly its share of 2**16 words", _unbiased
    for bits in (None, 1, 3, 8, 16):
        claim = f"bf16: {bits or 'all'} random bits carry exactly floor(f 2**n) of 2**n words"
        yield claim, lambda bits=bits: _carries(bits)
    for name in ("bf16", "fp8_e4m3fn"):
        yield f"{name}: stochastic bits alike for paths, threads, chunks, strides", lambda n=name: _alike(n)
    for generator in GENERATORS[1:]:
        claim = f"bf16: bits of {generator} alike for paths, threads, chunks, strides"
        yield claim, lambda generator=generator: _alike("bf16", generator)
    for format in RULED:
        yield f"{format.name}: every rule alike for paths, and codes decode", lambda f=format: _rules_alike(f)
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


def _saturating(name: str) -> tuple[int, int]:
    """Overflow and infinity become the largest finite value."""
    format, gfloat = _format(name), peer_library("gfloat")
    info = getattr(peer_library("gfloat.formats"), str(PEERS[name][1]))
    top = np.float32(format.max_finite)
    with np.errstate(over="ignore"):
        beyond = top * (1 + np.arange(0, 64, dtype=np.float32) * np.float32(format.epsilon / 8))
    huge = np.array([3.4e38, np.inf], np.float32)
    values = np.concatenate([beyond, huge]) if top < 3e38 else huge[1:]
    values = np.concatenate([values, -values])
    ours = format.round(values, rule=CastRule(overflow="saturate", infinity="saturate"))
    peer = [gfloat.round_float(info, float(v), sat=True) for v in values]
    return len(values), _unequal(ours, np.array(peer, np.float32))


def _once(name: str) -> tuple[int, int]:
    """A double just beside a midpoint would be rounded to fp32, and then to the wrong neighbour."""
    format = _format(name)
    codes = np.arange(1 << (format.bits - 1), dtype=format.code_type)
    values = np.unique(format.decode(codes[:: max(1, len(codes) >> 12)]).astype(np.float64))
    values = values[np.isfinite(values)]
    nexts = format.round(np.nextafter(values, np.inf), rounding=Rounding.UP, overflow="saturate")
    middles = (values + nexts.astype(np.float64)) / 2
    inside = (middles > values) & (middles < nexts)
    values, nexts, middles = values[inside], nexts[inside], middles[inside]
    wrong = 0
    for sign in (1, -1):
        below, above = (sign * np.nextafter(middles, side) for side in (0.0, np.inf))
        wrong += int(np.count_nonzero(format.round(below) != sign * values))
        wrong += int(np.count_nonzero(format.round(above) != sign * nexts))
    return 4 * len(middles), wrong


def _payloads(name: str) -> tuple[int, int]:
    """The code of a NaN by its definition: sign, all-ones exponent, quiet bit, leading payload bits."""
    format = _format(name)
    leading = np.arange(1 << 16, dtype=np.uint32) << np.uint32(7) | np.uint32(1)
    bits = np.concatenate([leading | np.uint32(0x7F800000), leading | np.uint32(0xFF800000)])
    width = format.significand_bits
    payload = (bits & np.uint32(0x7FFFFF)) >> np.uint32(23 - width) | np.uint32(1 << (width - 1))
    exponent = np.uint32(((1 << format.exponent_bits) - 1) << width)
    wanted = (bits >> np.uint32(31)) << np.uint32(format.bits - 1) | exponent | payload
    before = compiled.path()
    checked = wrong = 0
    for path in compiled.paths():
        compiled.use(path)
        found = format.encode(bits.view(np.float32), rule=CastRule(payload="keep"))
        checked += len(bits)
        wrong += int(np.count_nonzero(found != wanted))
    compiled.use(before)
    return checked, wrong


def _blocks(name: str) -> tuple[int, int]:
    """Random blocks of very different sizes, by gfloat's quantisation with OCP's scale."""
    gfloat, peers = peer_library("gfloat"), peer_library("gfloat.formats")
    info, format = getattr(peers, BLOCKS[name]), formats.by_name(name)
    random = np.random.default_rng(11)
    values = random.standard_normal((200, 32)) * np.exp2(random.integers(-40, 40, (200, 1)))
    values = (values * np.exp2(random.integers(-9, 1, (200, 32)))).astype(np.float32)
    ours: Any = format.round(values)
    peer = [gfloat.quantize_block(info, row.astype(np.float64), gfloat.compute_scale_amax) for row in values]
    return values.size, int(np.count_nonzero(ours != np.array(peer, np.float32)))


def _carries(bits: int | None) -> tuple[int, int]:
    """What the cast does with its random words, for every fraction; with `_unbiased`, its exact bias.

    An element moves away from zero where its fraction, cut to n bits, and its n random bits carry.
    """
    before = compiled.path()
    fractions = np.arange(1 << 16, dtype=np.uint32)
    values = (np.uint32(0x3F800000) | fractions).view(np.float32)
    width = bits or 16
    checked = wrong = 0
    for seed in range(4):
        rounding = Rounding.stochastic(seed=seed, bits=bits)
        words = random_bits(rounding, len(values), rounding.word_bits(16))
        carry = (fractions >> np.uint32(16 - width)) + words >> np.uint32(width)
        for path in compiled.paths():
            compiled.use(path)
            found = formats.bf16.encode(values, rounding=rounding).astype(np.uint32)
            checked += len(values)
            wrong += int(np.count_nonzero(found != 0x3F80 + carry))
    compiled.use(before)
    for fraction in range(0, 1 << 16, 257):
        cut = fraction >> (16 - width)
        wrong += int((np.arange(1 << width, dtype=np.uint32) + cut >> width).sum()) != cut
    return checked, wrong


def _known_answers() -> tuple[int, int]:
    seven: dict[tuple[tuple[int, ...], tuple[int, int]], tuple[int, ...]] = {
        ((0,) * 4, (0, 0)): (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF, 0xFFFFFFFF)): (0x5207DDC2, 0x45165E59, 0x4D8EE751, 0x8C52F662),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)): (
            *(0x4DFCCABA, 0x190A87F0, 0xC47362BA, 0xB6B5242A),
        ),
    }
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
    wrong += sum(
        tuple(int(w) for w in philox4x32(np.array(counter, np.uint32), key, 7)) != answer
        for (counter, key), answer in seven.items()
    )
    return len(answers) + len(seven), wrong


def _unbiased() -> tuple[int, int]:
    words = np.arange(1 << 16, dtype=np.uint32)
    wrong = sum(int(((words + f) >> 16).sum()) != f for f in range(1 << 16))
    return 1 << 32, wrong


def _rules_alike(format: Float) -> tuple[int, int]:
    """All roundings, overflows, infinities, subnormals and payloads that the format can write."""
    before, random = compiled.path(), np.random.default_rng(17)
    values = np.concatenate(
        [
            random.integers(0, 1 << 32, 400, dtype=np.uint32).view(np.float32),
            (random.standard_normal(200) * np.exp2(random.integers(-20, 20, 200))).astype(np.float32),
            np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.4e38], np.float32),
        ]
    )
    roundings = [Rounding(direction) for direction in get_args(Direction) if direction != "stochastic"]
    roundings += [Rounding.stochastic(seed=5), Rounding.stochastic(seed=5, bits=3)]
    checked = wrong = 0
    for fields in product(
        roundings, get_args(Overflow), get_args(Infinity), get_args(Subnormals), get_args(Payload)
    ):
        rule = CastRule(*fields)
        try:
            format.rule(rule)
        except InvalidDescription:
            continue  # e.g. overflow to an infinity that the format has not
        compiled.use("numpy")
        expected, codes = format.round(values, rule=rule), format.encode(values, rule=rule)
        wrong += _unequal(np.asarray(format.decode(codes), np.float32), expected)
        for path in compiled.paths()[:-1]:
            compiled.use(path)
            checked += len(values)
            wrong += _unequal(format.round(values, rule=rule), expected)
            wrong += int(np.count_nonzero(format.encode(values, rule=rule) != codes))
    compiled.use(before)
    return checked, wrong


def _alike(name: str, generator: Generator = "philox4x32-10") -> tuple[int, int]:
    format, before = _format(name), compiled.path()
    rows = 97 if generator in ("lfsr", "xorwow") else 997  # serial generators are slow in NumPy
    values = np.random.default_rng(1).standard_normal((rows, 331)).astype(np.float32)
    rounding = Rounding.stochastic(seed=7, step=3, tensor=5, generator=generator)
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
