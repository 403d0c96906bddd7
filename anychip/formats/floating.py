"""Float: binary floating-point formats of any width, and the rule by which values are cast to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from anychip.errors import InvalidDescription, InvalidInput, unknown_name
from anychip.formats import casting
from anychip.formats.adapters import adapted
from anychip.formats.rounding import Rounding, rounding_of

Specials = Literal["ieee", "fn", "fnuz", "none"]
Overflow = Literal["infinity", "nan", "saturate"]
Infinity = Literal["keep", "nan", "saturate"]
Subnormals = Literal["keep", "flush-out", "flush-in-out"]
Payload = Literal["canonical", "keep"]


@dataclass(frozen=True, slots=True)
class CastRule:
    """Everything a cast decides, as fields; a library's default is never inherited.

    Args:
        rounding: which neighbour.
        overflow: what a rounded magnitude above the largest finite value becomes: ``"infinity"``,
            ``"nan"`` or ``"saturate"`` (the largest finite value). None: the first of infinity, NaN and
            saturation that the format can write. Directed roundings that point away from the overflow
            give the largest finite value, as IEEE 754-2019 section 7.4 says.
        infinity: what an infinite input becomes; ``"keep"`` is infinity where the format has it, else
            NaN, else the largest finite value.
        subnormals: ``"flush-out"`` turns subnormal results into zeros of the same sign,
            ``"flush-in-out"`` also inputs that are subnormal in fp32.
        payload: ``"canonical"`` writes the quiet NaN with the input's sign, ``"keep"`` also keeps the
            leading payload bits that fit. A format with one NaN writes that one; a format without NaN
            writes +max, as PTX `cvt` to e2m1 does (PTX ISA, section cvt).
    """

    rounding: Rounding = Rounding.NEAREST_EVEN
    overflow: Overflow | None = None
    infinity: Infinity = "keep"
    subnormals: Subnormals = "keep"
    payload: Payload = "canonical"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("overflow", self.overflow, get_args(Overflow)),
            ("infinity", self.infinity, get_args(Infinity)),
            ("subnormals", self.subnormals, get_args(Subnormals)),
            ("payload", self.payload, get_args(Payload)),
        ):
            if value is not None and value not in known:
                raise unknown_name(f"{name} rule", value, known)


@dataclass(frozen=True)
class Float:
    """A binary floating-point format.

    ``Float("fp8_e4m3fn", exponent_bits=4, significand_bits=3, specials="fn")`` is one line; everything
    else is derived.

    Args:
        name: how users call it.
        exponent_bits: width of the exponent field, 1 to 11.
        significand_bits: stored bits of the significand, without the implicit one, 0 to 52.
        bias: of the exponent; None is ``2**(exponent_bits - 1) - 1``.
        specials: ``"ieee"``: the highest exponent holds infinity and NaN; ``"fn"``: no infinity, only the
            all-ones code is NaN; ``"fnuz"``: no infinity, no -0, whose code is the one NaN; ``"none"``:
            every code is a finite number.
        subnormals: False if exponent field 0 means zero whatever the significand says.

    Raises:
        InvalidDescription: the fields contradict each other or no value fits double precision.
    """

    name: str
    exponent_bits: int
    significand_bits: int
    bias: int | None = field(default=None)
    specials: Specials = "ieee"
    subnormals: bool = True

    def __post_init__(self) -> None:
        complaints: list[str] = []
        if not 1 <= self.exponent_bits <= 11:
            complaints.append(f"exponent_bits is {self.exponent_bits}; choose 1 to 11")
        if not 0 <= self.significand_bits <= 52:
            complaints.append(f"significand_bits is {self.significand_bits}; choose 0 to 52")
        if self.specials not in get_args(Specials):
            complaints.append(f"specials is {self.specials}; choose one of {', '.join(get_args(Specials))}")
        if not complaints:
            complaints += self._contradictions()
        if complaints:
            raise InvalidDescription(f"format {self.name}: {'; '.join(complaints)}")

    def _contradictions(self) -> list[str]:
        if self.specials == "ieee" and self.significand_bits == 0:
            return ["specials ieee needs a significand bit to tell NaN from infinity; choose fn or none"]
        if self.specials == "ieee" and self.exponent_bits < 2:
            return ["specials ieee with one exponent bit leaves no normal number; choose fn or none"]
        if self.emax < self.emin and not self.subnormals:
            return ["no finite number is left; add exponent bits or subnormals"]
        if self.emin - self.significand_bits < -1074 or self.emax > 1023:
            return [
                f"values reach from 2**{self.emin - self.significand_bits} to 2**{self.emax}, double"
                " precision from 2**-1074 to 2**1023; change the bias"
            ]
        return []

    # The derived facts.

    @property
    def bits(self) -> int:
        """Width of a code."""
        return 1 + self.exponent_bits + self.significand_bits

    @property
    def storage_bytes(self) -> int:
        """Bytes of one element where each has its own address."""
        return max(1, 1 << max(0, (self.bits - 1).bit_length() - 3))

    @property
    def exponent_bias(self) -> int:
        """The bias, stated or usual."""
        return (1 << (self.exponent_bits - 1)) - 1 if self.bias is None else self.bias

    @property
    def emin(self) -> int:
        """Exponent of the smallest normal number."""
        return 1 - self.exponent_bias

    @property
    def emax(self) -> int:
        """Exponent of the largest finite number."""
        top = (1 << self.exponent_bits) - 1 - self.exponent_bias
        whole_binade_lost = self.specials == "ieee" or (self.specials == "fn" and self.significand_bits == 0)
        return top - 1 if whole_binade_lost else top

    @property
    def has_infinity(self) -> bool:
        """Whether a code means infinity."""
        return self.specials == "ieee"

    @property
    def has_nan(self) -> bool:
        """Whether a code means NaN."""
        return self.specials != "none"

    @property
    def has_negative_zero(self) -> bool:
        """Whether zero has a sign."""
        return self.specials != "fnuz"

    @cached_property
    def max_finite(self) -> float:
        """The largest finite value."""
        largest = (1 << (self.significand_bits + 1)) - 1
        if self.specials == "fn" and self.significand_bits > 0:
            largest -= 1
        return float(np.ldexp(float(largest), self.emax - self.significand_bits))

    @cached_property
    def min_normal(self) -> float:
        """The smallest positive normal value."""
        return float(np.ldexp(1.0, self.emin))

    @cached_property
    def min_positive(self) -> float:
        """The smallest positive value."""
        return float(np.ldexp(1.0, self.emin - (self.significand_bits if self.subnormals else 0)))

    @property
    def epsilon(self) -> float:
        """Distance from 1 to the next larger value, as far as the exponent range allows."""
        return float(np.ldexp(1.0, -self.significand_bits))

    @cached_property
    def carrier(self) -> type[np.float32] | type[np.float64]:
        """NumPy type whose values include every value of this format: float32 where that is enough."""
        small = self.significand_bits <= 23 and self.emax <= 127 and self.emin - self.significand_bits >= -149
        return np.float32 if small else np.float64

    @cached_property
    def code_type(self) -> type[np.unsignedinteger]:
        """Unsigned NumPy integer that holds one code."""
        return {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[self.storage_bytes]

    @property
    def random_word_bits(self) -> int:
        """Bits of the generator that stochastic rounding gives an element: 16 if fp32 loses no more."""
        return 16 if self.significand_bits >= 7 and self.emin <= -126 else 32

    # Casting.

    def rule(
        self,
        rule: CastRule | None = None,
        *,
        rounding: Rounding | str | None = None,
        overflow: Overflow | None = None,
    ) -> CastRule:
        """`rule` with the given fields replaced and the overflow made explicit.

        Raises:
            InvalidDescription: the format cannot write what the rule asks for.
        """
        rule = CastRule() if rule is None else rule
        if not isinstance(rule, CastRule):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this
            raise InvalidDescription(f"format {self.name}: rule is {rule!r}; give a CastRule")
        if rounding is not None or overflow is not None:
            chosen = rule.rounding if rounding is None else rounding_of(rounding)
            rule = replace(rule, rounding=chosen, overflow=overflow or rule.overflow)
        if rule.overflow is None:
            natural = "infinity" if self.has_infinity else "nan" if self.has_nan else "saturate"
            rule = replace(rule, overflow=natural)
        if rule.overflow == "infinity" and not self.has_infinity:
            raise InvalidDescription(
                f"format {self.name}: overflow infinity asked, but it has no infinity; choose "
                + ("nan or saturate" if self.has_nan else "saturate")
            )
        if (rule.overflow == "nan" or rule.infinity == "nan") and not self.has_nan:
            raise InvalidDescription(
                f"format {self.name}: overflow or infinity to NaN asked, but it has no NaN; choose saturate"
            )
        return rule

    def round(
        self,
        values: Any,
        *,
        rounding: Rounding | str | None = None,
        overflow: Overflow | None = None,
        rule: CastRule | None = None,
        out: NDArray[np.floating] | None = None,
    ) -> Any:
        """The values of this format nearest to `values` under the rule, in an array of `carrier` type.

        Args:
            values: NumPy array or number, float64 or narrower or integer (each rounded once), or an object
                of a registered library (a torch tensor), which gives an object of that library.
            rounding: replaces the rule's; a `Rounding` or, where it needs no random bits, its name.
            overflow: replaces the rule's.
            rule: None is nearest-even with the format's own specials.
            out: array of `carrier` type to write into; may be `values` itself.

        Raises:
            InvalidDescription: the format cannot write what the rule asks for.
            InvalidInput: not numbers, or `out` does not fit.
        """
        complete = self.rule(rule, rounding=rounding, overflow=overflow)
        library = adapted(values)
        if library is not None:
            return library.round(self, values, {"rule": complete})
        array = numbers(values, f"format {self.name}")
        if out is not None and (out.shape != array.shape or out.dtype != self.carrier):
            raise InvalidInput(
                f"format {self.name}: out is {out.dtype}{list(out.shape)}, but the result is"
                f" {np.dtype(self.carrier)}{list(array.shape)}; give an array like that"
            )
        return casting.round_values(array, self, complete, out)

    def encode(
        self,
        values: Any,
        *,
        rounding: Rounding | str | None = None,
        overflow: Overflow | None = None,
        rule: CastRule | None = None,
    ) -> NDArray[np.unsignedinteger]:
        """The codes of `values` cast to this format, in an array of `code_type`; arguments as `round`."""
        complete = self.rule(rule, rounding=rounding, overflow=overflow)
        return casting.encode_values(numbers(values, f"format {self.name}"), self, complete)

    def decode(self, codes: Any) -> NDArray[np.floating]:
        """The values of `codes`, in an array of `carrier` type.

        Raises:
            InvalidInput: codes are not integers, or wider than the format.
        """
        array = np.asarray(codes)
        if array.dtype.kind not in "ui":
            raise InvalidInput(f"format {self.name}: codes are {array.dtype}, not integers; use encode")
        if array.size and self.bits < 64 and (int(array.min()) < 0 or int(array.max()) >> self.bits):
            wrong = int(array.min()) if int(array.min()) < 0 else int(array.max())
            raise InvalidInput(
                f"format {self.name}: code {wrong} is not from 0 to {(1 << self.bits) - 1}; mask it first"
            )
        return casting.decode_codes(array, self)


def numbers(values: Any, where: str) -> NDArray[Any]:
    """`values` as an array of a float or integer type of at most 64 bits.

    Raises:
        InvalidInput: anything else.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        try:
            array = array.astype(np.float32, casting="safe")  # types that extend NumPy, such as ml_dtypes'
        except TypeError:
            raise InvalidInput(
                f"{where}: values are {array.dtype}, not real numbers; convert them first"
            ) from None
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        raise InvalidInput(f"{where}: values are {array.dtype}, wider than float64; convert them first")
    return array
