"""Integer: whole-number formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from anychip.errors import InvalidDescription, InvalidInput, unknown_name
from anychip.formats.adapters import adapted
from anychip.formats.floating import numbers
from anychip.formats.randomness import random_bits
from anychip.formats.rounding import Rounding, Stochastic, rounding_of

Wrap = Literal["saturate", "wrap"]


@dataclass(frozen=True)
class Integer:
    """A whole-number format in two's complement.

    Args:
        name: how users call it.
        bits: width of a code, 1 to 64.
        signed: whether negative numbers exist.
        limits: smallest and largest value where not all codes are used: ``(-127, 127)`` for symmetric
            quantisation, ``(0, 1)`` for truth values.

    Raises:
        InvalidDescription: the fields contradict each other.
    """

    name: str
    bits: int
    signed: bool = True
    limits: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 64:
            raise InvalidDescription(f"format {self.name}: bits is {self.bits}; choose 1 to 64")
        low, high = self._code_range
        if self.limits and not low <= self.limits[0] < self.limits[1] <= high:
            raise InvalidDescription(
                f"format {self.name}: limits {self.limits} do not fit {self.bits} bits,"
                f" which hold {low} to {high}; widen the format"
            )

    @property
    def _code_range(self) -> tuple[int, int]:
        if self.signed:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1

    @property
    def minimum(self) -> int:
        """The smallest value."""
        return (self.limits or self._code_range)[0]

    @property
    def maximum(self) -> int:
        """The largest value."""
        return (self.limits or self._code_range)[1]

    @property
    def storage_bytes(self) -> int:
        """Bytes of one element where each has its own address."""
        return max(1, 1 << max(0, (self.bits - 1).bit_length() - 3))

    @property
    def carrier(self) -> Any:
        """NumPy type that holds the values."""
        if self.limits == (0, 1):
            return np.bool_
        return np.dtype(f"{'i' if self.signed else 'u'}{self.storage_bytes}").type

    @property
    def code_type(self) -> type[np.unsignedinteger]:
        """Unsigned NumPy integer that holds one code."""
        return {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[self.storage_bytes]

    def round(
        self,
        values: Any,
        *,
        rounding: Rounding | str = Rounding.NEAREST_EVEN,
        overflow: Wrap = "saturate",
    ) -> Any:
        """The integers nearest to `values` under the rule, in an array of `carrier` type.

        NaN becomes 0; infinities saturate, also under ``"wrap"``. Truth values are "not equal to zero",
        whatever the rounding.

        Args:
            values: NumPy array or number, or an object of a registered library.
            rounding: which neighbour; ``Rounding.TOWARD_ZERO`` is what C and torch's ``.to`` do.
            overflow: ``"saturate"`` to the limits or ``"wrap"`` modulo ``2**bits``.
        """
        rounding = rounding_of(rounding)
        if overflow not in get_args(Wrap):
            raise unknown_name(f"overflow rule of {self.name}", overflow, get_args(Wrap))
        library = adapted(values)
        if library is not None:
            return library.round(self, values, {"rounding": rounding, "overflow": overflow})
        array = numbers(values, f"format {self.name}")
        if self.limits == (0, 1):
            return array != 0
        if array.dtype.kind in "iub":
            return self._bounded(array, overflow)
        whole = _whole(array.astype(np.float64), rounding)
        whole = np.where(np.isnan(whole), 0.0, np.where(np.isinf(array), array, whole))
        # float64 cannot hold 2**63 - 1; compare before converting.
        low, high = float(self.minimum), float(self.maximum)
        inside = (whole >= low) & ((whole < high) if high > 2.0**53 else (whole <= high))
        if overflow == "wrap":
            wrapped = np.where(np.isfinite(whole), np.fmod(whole, 2.0**self.bits), 0.0)
            small = self._wrap(wrapped.astype(np.int64) if self.bits < 64 else _modulo(wrapped))
            extreme = np.where(whole > 0, self.maximum, self.minimum).astype(small.dtype)
            return np.where(np.isfinite(whole), small, extreme).astype(self.carrier)
        converted = np.where(inside, whole, 0.0).astype(np.uint64 if low >= 0 else np.int64)
        limit = np.where(
            whole > 0, np.array(self.maximum, converted.dtype), np.array(self.minimum, converted.dtype)
        )
        return np.where(inside, converted, limit).astype(self.carrier)

    def _bounded(self, array: NDArray[Any], overflow: Wrap) -> NDArray[Any]:
        if overflow == "wrap":
            return self._wrap(array)
        kind = np.iinfo(array.dtype) if array.dtype.kind != "b" else None
        low = self.minimum if kind is None else max(self.minimum, kind.min)
        high = self.maximum if kind is None else min(self.maximum, kind.max)
        if array.dtype.kind == "b":
            return array.astype(self.carrier)
        return np.clip(array, low, high).astype(self.carrier)

    def _wrap(self, array: NDArray[Any]) -> NDArray[Any]:
        code = array.astype(np.uint64) & np.uint64((1 << self.bits) - 1)
        return self.decode(code.astype(self.code_type))

    def encode(
        self, values: Any, *, rounding: Rounding | str = Rounding.NEAREST_EVEN, overflow: Wrap = "saturate"
    ) -> Any:
        """The codes of `values` cast to this format; arguments as `round`."""
        value = np.asarray(self.round(np.asarray(values), rounding=rounding, overflow=overflow))
        mask = np.uint64((1 << self.bits) - 1)
        return (value.astype(np.int64).astype(np.uint64) & mask).astype(self.code_type)

    def decode(self, codes: Any) -> NDArray[Any]:
        """The values of `codes`.

        Raises:
            InvalidInput: codes are not integers, or wider than the format.
        """
        array = np.asarray(codes)
        if array.dtype.kind not in "ui":
            raise InvalidInput(f"format {self.name}: codes are {array.dtype}, not integers; use encode")
        code = array.astype(np.uint64)
        if code.size and self.bits < 64 and int(code.max()) >> self.bits:
            raise InvalidInput(
                f"format {self.name}: code {int(code.max())} is not from 0 to {(1 << self.bits) - 1};"
                " mask it first"
            )
        if self.signed:
            spare = np.uint64(64 - self.bits)
            return ((code << spare).astype(np.int64) >> spare.astype(np.int64)).astype(self.carrier)
        return code.astype(self.carrier)


def _modulo(whole: NDArray[np.float64]) -> NDArray[np.uint64]:
    magnitude = np.abs(whole).astype(np.uint64)
    return np.where(whole < 0, np.uint64(0) - magnitude, magnitude)


def _whole(values: NDArray[np.float64], rounding: Rounding) -> NDArray[np.float64]:
    """`values` rounded to whole numbers, as float64."""
    values = np.where(np.isinf(values), np.copysign(2.0**70, values), values)
    floor = np.floor(values)
    match rounding.direction:
        case "nearest-even":
            return np.rint(values)
        case "nearest-away":
            toward_zero = np.trunc(values)
            return toward_zero + np.copysign(np.abs(values - toward_zero) >= 0.5, values)
        case "toward-zero":
            return np.trunc(values)
        case "up":
            return np.ceil(values)
        case "down":
            return floor
        case "to-odd":
            return np.where((values != floor) & (np.fmod(floor, 2) == 0), floor + 1, floor)
        case _:
            return _stochastic(values, rounding)


def _stochastic(values: NDArray[np.float64], rounding: Rounding) -> NDArray[np.float64]:
    if not isinstance(rounding, Stochastic):
        raise InvalidDescription("rounding stochastic: no random bits; use Rounding.stochastic(seed=...)")
    used = rounding.bits or 32
    random = random_bits(rounding, values.size, rounding.word_bits(32)).reshape(values.shape)
    toward_zero = np.trunc(values)
    with np.errstate(invalid="ignore"):
        fraction = np.floor(np.ldexp(np.abs(values - toward_zero), used))
    away = fraction + random >= 2.0**used
    return toward_zero + np.copysign(away, values)
