"""Casting to floating-point formats: the compiled core where it serves, else NumPy, the reference.

In NumPy everything happens on the integer fields of float64, which holds every input exactly.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from anychip.formats import compiled
from anychip.formats.randomness import random_bits
from anychip.formats.rounding import GENERATORS, Direction, Rounding, Stochastic

if TYPE_CHECKING:
    from anychip.formats.floating import CastRule, Float

_SIGN = np.uint64(1 << 63)
_FRACTION = np.uint64((1 << 52) - 1)
_HIDDEN = np.uint64(1 << 52)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
#: Elements worked on at once, so that the intermediate arrays stay in the cache.
_CHUNK = 1 << 16
_DIRECTIONS: tuple[str, ...] = get_args(Direction)
_SOME_STOCHASTIC = Rounding.stochastic(seed=0)


def round_values(
    array: NDArray[Any], format: Float, rule: CastRule, out: NDArray[np.floating] | None = None
) -> NDArray[np.floating]:
    """`array` rounded to `format`, as an array of its carrier type."""
    result = np.empty(array.shape, format.carrier) if out is None else out
    single = singles(array, format)
    if single is not None and result.flags.c_contiguous:
        to_values(format, rule, single.ctypes.data, result.ctypes.data, single.size)
        return result
    return _chunked(array, format, rule, result, _round)


def encode_values(array: NDArray[Any], format: Float, rule: CastRule) -> NDArray[np.unsignedinteger]:
    """The codes of `array` cast to `format`."""
    result = np.empty(array.shape, format.code_type)
    single = singles(array, format) if format.bits <= 16 else None
    if single is not None:
        to_codes(format, rule, single.ctypes.data, result.ctypes.data, single.size)
        return result
    return _chunked(array, format, rule, result, _encode)


def singles(array: NDArray[Any], format: Float) -> NDArray[np.float32] | None:
    """`array` as contiguous float32 if it is exact and the compiled core casts to `format`, else None."""
    exact = array.dtype == np.float32 or (array.dtype.itemsize <= 2)
    if not exact or format.carrier is not np.float32 or compiled.library() is None:
        return None
    return np.ascontiguousarray(array, np.float32)


def to_values(format: Float, rule: CastRule, source: int, result: int, count: int) -> None:
    """Casts `count` fp32 at address `source` to fp32 values of `format` at `result`, which may be the same.

    The rule must be complete (`Float.rule`), the core loaded.
    """
    compiled.library().anychip_to_values(job(format, rule), source, result, count)


def to_codes(format: Float, rule: CastRule, source: int, result: int, count: int) -> None:
    """Casts `count` fp32 at address `source` to codes of `format` (8 or 16 bits each) at `result`."""
    core = compiled.library()
    write = core.anychip_to_codes8 if format.storage_bytes == 1 else core.anychip_to_codes16
    write(job(format, rule), source, result, count)


@lru_cache(maxsize=256)
def _job(format: Float, rule: CastRule) -> compiled.Cast:
    """Everything of the cast's description but its random numbers."""

    def code(value: float) -> int:
        return int(_encode(np.array([value]), format, format.rule())[0])

    def bits(value: float) -> int:
        return int(np.float32(value).view(np.uint32))

    overflow = {"infinity": np.inf, "nan": np.nan, "saturate": format.max_finite}[rule.overflow or "infinity"]
    one = np.array([0x7FF << 52], np.uint64)
    infinite = float(_special(one, one & _ZERO, format, rule)[0])
    nan = np.nan if format.has_nan else format.max_finite
    flush_in = rule.subnormals == "flush-in-out"
    return compiled.Cast(
        significand_bits=format.significand_bits,
        emin=format.emin,
        exponent_bits=format.exponent_bits,
        bits=format.bits,
        direction=_DIRECTIONS.index(rule.rounding.direction),
        flush_out=int(rule.subnormals != "keep" or not format.subnormals),
        flush_in=int(flush_in),
        negative_zero=int(format.has_negative_zero),
        max_code=code(format.max_finite),
        overflow_code=code(overflow),
        stay_code=code(format.max_finite),
        infinity_code=code(infinite),
        nan_code=code(nan),
        nan_payload=int(rule.payload == "keep" and format.specials == "ieee"),
        overflow_value=bits(overflow),
        stay_value=bits(format.max_finite),
        infinity_value=bits(infinite),
        nan_value=bits(nan),
    )


def job(format: Float, rule: CastRule) -> compiled.Cast:
    """The cast as the compiled core reads it."""
    rounding = rule.rounding
    if not isinstance(rounding, Stochastic):
        return _job(format, rule)
    # The place of the tensor changes from call to call; the rest is worked out once.
    made = compiled.Cast.from_buffer_copy(_job(format, replace(rule, rounding=_SOME_STOCHASTIC)))
    made.generator = GENERATORS.index(rounding.generator)
    made.word_bits = rounding.word_bits(format.random_word_bits)
    made.random_bits = rounding.bits or made.word_bits
    made.seed_low, made.seed_high = rounding.seed & 0xFFFFFFFF, rounding.seed >> 32
    made.tensor, made.step, made.element = rounding.tensor, rounding.step, rounding.element
    return made


def _chunked(array: NDArray[Any], format: Float, rule: CastRule, result: Any, work: Any) -> Any:
    source = np.ascontiguousarray(array).reshape(-1)
    target = result.reshape(-1) if result.flags.c_contiguous else np.empty(source.shape, result.dtype)
    for first in range(0, source.size, _CHUNK):
        part = source[first : first + _CHUNK]
        target[first : first + _CHUNK] = work(_as_double(part), format, rule, first)
    if not result.flags.c_contiguous:
        result[...] = target.reshape(result.shape)
    return result


def _as_double(part: NDArray[Any]) -> NDArray[np.float64]:
    """Exact for every type but 64-bit integers, which are rounded to odd so that one rounding remains."""
    if part.dtype.kind in "iu" and part.dtype.itemsize == 8:
        double = part.astype(np.float64)
        below = np.clip(double, -(2.0**63), 2.0**63 if part.dtype.kind == "u" else 2.0**63 - 1024)
        back = below.astype(part.dtype)
        toward = np.where(part > back, np.inf, -np.inf)
        even = (double.view(np.uint64) & _ONE) == 0
        return np.where((back != part) & even, np.nextafter(double, toward), double)
    with np.errstate(invalid="ignore"):
        return part.astype(np.float64)


def _round(double: NDArray[np.float64], format: Float, rule: CastRule, first: int = 0) -> NDArray[np.float64]:
    bits = double.view(np.uint64)
    sign = bits >> np.uint64(63)
    magnitude = bits & ~_SIGN
    field = (magnitude >> np.uint64(52)).astype(np.int64)
    significand = (magnitude & _FRACTION) | np.where(field > 0, _HIDDEN, _ZERO)
    if rule.subnormals == "flush-in-out":
        significand = np.where(field < 1023 - 126, _ZERO, significand)
    exponent = np.maximum(field, 1) - 1023
    quantum = np.maximum(exponent, format.emin) - format.significand_bits
    shift = quantum - (exponent - 52)
    rounded = _rounded_significand(significand, sign, exponent, shift, format, rule, first)
    with np.errstate(over="ignore"):
        value = np.ldexp(rounded.astype(np.float64), quantum.astype(np.int32))
    value = _bounded(value, sign, format, rule)
    flush = rule.subnormals != "keep" or not format.subnormals
    if flush:
        value = np.where(value < format.min_normal, 0.0, value)
    special = field == 2047
    if special.any():
        value = np.where(special, _special(magnitude, sign, format, rule), value)
    if not format.has_negative_zero:
        sign = np.where((value == 0) | np.isnan(value), _ZERO, sign)
    return (value.view(np.uint64) & ~_SIGN | sign << np.uint64(63)).view(np.float64)


def _rounded_significand(
    significand: NDArray[np.uint64],
    sign: NDArray[np.uint64],
    exponent: NDArray[np.int64],
    shift: NDArray[np.int64],
    format: Float,
    rule: CastRule,
    first: int,
) -> NDArray[np.uint64]:
    # 55 puts every significand below half of the last place, which is all that the directions ask.
    near = np.clip(shift, 0, 55).astype(np.uint64)
    kept = significand >> near
    rest = significand - (kept << near)
    half = np.where(near > 0, _ONE << (np.maximum(near, _ONE) - _ONE), _ONE)
    if format.significand_bits > 0:
        odd = (kept & _ONE) == 1
    else:  # without stored bits the parity of a code is that of its exponent field
        odd = (kept == 1) & ((np.maximum(exponent, format.emin) + format.exponent_bias) % 2 == 1)
    rounding = rule.rounding
    if isinstance(rounding, Stochastic):
        up = _stochastic(significand, shift, format, rounding, first)
    else:
        match rounding.direction:
            case "nearest-even":
                up = (rest > half) | ((rest == half) & odd)
            case "nearest-away":
                up = (rest >= half) & (rest > 0)
            case "up":
                up = (rest > 0) & (sign == 0)
            case "down":
                up = (rest > 0) & (sign == 1)
            case "to-odd":
                up = (rest > 0) & ~odd
            case _:
                up = np.zeros(rest.shape, bool)
    return kept + up


def _stochastic(
    significand: NDArray[np.uint64], shift: NDArray[np.int64], format: Float, rounding: Stochastic, first: int
) -> NDArray[np.bool_]:
    word_bits = rounding.word_bits(format.random_word_bits)
    used = rounding.bits or word_bits
    random = random_bits(rounding.at(element=rounding.element + first), significand.size, word_bits)
    # floor(fraction * 2**used), the fraction being the low `shift` bits of the significand.
    mask = (_ONE << np.clip(shift, 0, 63).astype(np.uint64)) - _ONE
    low = np.where(shift < 64, significand & mask, significand)
    down = np.clip(shift - used, 0, 63).astype(np.uint64)
    left = np.clip(used - shift, 0, 63).astype(np.uint64)
    fraction = (low >> down) << left
    return (fraction + random) >> np.uint64(used) > 0


def _bounded(
    value: NDArray[np.float64], sign: NDArray[np.uint64], format: Float, rule: CastRule
) -> NDArray[np.float64]:
    beyond = value > format.max_finite
    if not beyond.any():
        return value
    match rule.rounding.direction:
        case "toward-zero" | "to-odd":
            stays = np.ones(value.shape, bool)
        case "up":
            stays = sign == 1
        case "down":
            stays = sign == 0
        case _:
            stays = np.zeros(value.shape, bool)
    if rule.overflow == "saturate":
        limit: Any = format.max_finite
    else:
        limit = np.where(stays, format.max_finite, np.inf if rule.overflow == "infinity" else np.nan)
    return np.where(beyond, limit, value)


def _special(
    magnitude: NDArray[np.uint64], sign: NDArray[np.uint64], format: Float, rule: CastRule
) -> NDArray[np.float64]:
    if rule.infinity == "saturate" or (
        rule.infinity == "keep" and not (format.has_infinity or format.has_nan)
    ):
        infinite = format.max_finite
    else:
        infinite = np.inf if rule.infinity == "keep" and format.has_infinity else np.nan
    nan = np.full(magnitude.shape, np.nan if format.has_nan else format.max_finite)
    if rule.payload == "keep" and format.specials == "ieee":
        dropped = np.uint64(52 - format.significand_bits)
        quiet = magnitude >> dropped << dropped | _HIDDEN >> _ONE
        nan = quiet.view(np.float64)
    is_nan = magnitude > np.uint64(0x7FF << 52)
    return np.where(is_nan, nan, infinite)


def _encode(
    double: NDArray[np.float64], format: Float, rule: CastRule, first: int = 0
) -> NDArray[np.unsignedinteger]:
    value = _round(double, format, rule, first)
    bits = value.view(np.uint64)
    sign = bits >> np.uint64(63)
    magnitude = np.abs(value)
    finite = magnitude <= format.max_finite
    held = np.where(finite, magnitude, 0.0)
    _, exponent = np.frexp(held)
    exponent = np.where(held > 0, np.maximum(exponent.astype(np.int64) - 1, format.emin), format.emin)
    # Integer multiple of the last place; the hidden bit carries 1 into the exponent field by itself.
    multiple = np.ldexp(held, (format.significand_bits - exponent).astype(np.int32)).astype(np.uint64)
    field = (exponent - format.emin).astype(np.uint64)
    code = (field << np.uint64(format.significand_bits)) + multiple
    if not finite.all():
        code = np.where(finite, code, _special_code(bits, format))
    code = code | sign << np.uint64(format.bits - 1)
    return code.astype(format.code_type)


def _special_code(bits: NDArray[np.uint64], format: Float) -> NDArray[np.uint64]:
    p = format.significand_bits
    if format.specials == "fnuz":
        return np.full(bits.shape, np.uint64(1 << (format.bits - 1)))
    if format.specials == "fn":
        return np.full(bits.shape, np.uint64((1 << (format.bits - 1)) - 1))
    infinity = np.uint64(((1 << format.exponent_bits) - 1) << p)
    payload = (bits & _FRACTION) >> np.uint64(52 - p)
    return infinity | payload


def decode_codes(codes: NDArray[Any], format: Float) -> NDArray[np.floating]:
    """The values of `codes`, as an array of the format's carrier type."""
    if format.bits <= 16:
        return _table(format)[codes]
    return _decode(codes, format)


@lru_cache(maxsize=64)
def _table(format: Float) -> NDArray[np.floating]:
    table = _decode(np.arange(1 << format.bits, dtype=np.uint64), format)
    table.setflags(write=False)
    return table


def _decode(codes: NDArray[Any], format: Float) -> NDArray[np.floating]:
    code = codes.astype(np.uint64)
    p = format.significand_bits
    sign = code >> np.uint64(format.bits - 1)
    body = code & np.uint64((1 << (format.bits - 1)) - 1)
    field = (body >> np.uint64(p)).astype(np.int64)
    significand = body & np.uint64((1 << p) - 1)
    lowest = field == 0
    if not format.subnormals:
        significand = np.where(lowest, _ZERO, significand)
    whole = significand | np.where(lowest, _ZERO, np.uint64(1 << p))
    exponent = np.maximum(field, 1) - format.exponent_bias - p
    value = np.ldexp(whole.astype(np.float64), exponent.astype(np.int32))
    if format.specials == "ieee":
        top = field == (1 << format.exponent_bits) - 1
        quiet = (significand << np.uint64(52 - p)) | np.uint64(0x7FF << 52)
        value = np.where(top, quiet.view(np.float64), value)
    elif format.specials == "fn":
        value = np.where(body == np.uint64((1 << (format.bits - 1)) - 1), np.nan, value)
    elif format.specials == "fnuz":
        value = np.where((body == 0) & (sign == 1), np.nan, value)
        sign = np.where(body == 0, _ZERO, sign)
    result = (value.view(np.uint64) & ~_SIGN | sign << np.uint64(63)).view(np.float64)
    return result if format.carrier is np.float64 else _narrow(result)


def _narrow(double: NDArray[np.float64]) -> NDArray[np.float32]:
    """float64 to float32 where the value fits, signalling NaN included, without a warning."""
    with np.errstate(invalid="ignore"):
        return double.astype(np.float32)
