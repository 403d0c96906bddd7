"""Scaled: formats in which a block of elements shares a scale (OCP MX, NVFP4, block floating point)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from anychip.errors import InvalidDescription, InvalidInput, unknown_name
from anychip.formats.adapters import adapted
from anychip.formats.floating import Float, numbers
from anychip.formats.integer import Integer
from anychip.formats.rounding import Rounding, rounding_of

ScaleRule = Literal["floor", "floor-plus-one", "ceil", "round-even", "amax"]


@dataclass(frozen=True, slots=True)
class PowerOfTwo:
    """A scale that is a power of two: e8m0 of the OCP MX specification 1.0, section 5.4.1.

    Code `c` is ``2**(c - bias)``; the all-ones code is NaN. There is no zero and no sign.
    """

    bits: int = 8

    @property
    def bias(self) -> int:
        """Subtracted from a code."""
        return (1 << (self.bits - 1)) - 1

    @property
    def nan(self) -> int:
        """The code of NaN."""
        return (1 << self.bits) - 1


@dataclass(frozen=True, slots=True)
class Quantised:
    """What a scaled format stores of an array.

    Args:
        elements: codes, the shape of the array.
        scales: codes, one a block; the blocked axis is last and counts blocks.
        tensor_scale: one fp32 factor for all, 1 where the format has none.
        axis: the blocked axis of `elements`.
    """

    elements: NDArray[np.unsignedinteger]
    scales: NDArray[np.unsignedinteger]
    tensor_scale: float
    axis: int


@dataclass(frozen=True)
class Scaled:
    """Elements in a narrow format that share a scale per block along one axis.

    A block whose values are all zero has the smallest scale; a block that holds NaN or infinity has the
    scale NaN where the scale format has one (OCP MX 1.0, section 6.3, leaves this to the implementation).
    The last block of an axis may be short.

    Args:
        name: how users call it.
        element: format of the elements.
        block: elements that share a scale.
        scale: format of the scales.
        scale_rule: from the largest magnitude of the block: ``"floor"`` is the sample algorithm of OCP MX
            1.0, section 6.3, ``2**(floor(log2(amax)) - emax)``; ``"floor-plus-one"`` twice that (NKI
            `quantize_mx`); ``"ceil"`` the smallest power of two under which no element saturates;
            ``"round-even"`` the floor after rounding amax to the element's precision; ``"amax"``
            amax / max element, rounded to the scale's format (the only one for `Float` scales).
        element_exponent: elements count in units of ``2**element_exponent`` (MXINT8: -6).
        tensor_scaled: a second factor, fp32, for the whole array (NVFP4).

    Raises:
        InvalidDescription: the fields contradict each other.
    """

    name: str
    element: Float | Integer
    block: int
    scale: PowerOfTwo | Float = PowerOfTwo()
    scale_rule: ScaleRule = "floor"
    element_exponent: int = 0
    tensor_scaled: bool = False

    def __post_init__(self) -> None:
        if self.scale_rule not in get_args(ScaleRule):
            raise unknown_name("scale rule", self.scale_rule, get_args(ScaleRule))
        if self.block < 1:
            raise InvalidDescription(f"format {self.name}: block is {self.block}; choose at least 1")
        if isinstance(self.scale, Float) != (self.scale_rule == "amax"):
            raise InvalidDescription(
                f"format {self.name}: scale rule {self.scale_rule} does not fit"
                f" {'a Float' if isinstance(self.scale, Float) else 'a power-of-two'} scale; choose "
                + ("amax" if isinstance(self.scale, Float) else "floor, floor-plus-one, ceil or round-even")
            )

    @property
    def bits(self) -> int:
        """Width of one element's code, its share of the scale left out."""
        return self.element.bits

    @property
    def bits_per_element(self) -> float:
        """Bits of storage an element costs, its share of the block's scale included."""
        return self.element.bits + self.scale.bits / self.block

    @property
    def storage_bytes(self) -> int:
        """Bytes of one element where each has its own address."""
        return self.element.storage_bytes

    @property
    def carrier(self) -> type[np.float32]:
        """NumPy type that holds the dequantised values."""
        return np.float32

    @cached_property
    def max_element(self) -> float:
        """Largest magnitude of an element, its unit included."""
        top = self.element.max_finite if isinstance(self.element, Float) else float(self.element.maximum)
        return float(np.ldexp(top, self.element_exponent))

    def round(self, values: Any, *, rounding: Rounding | str = Rounding.NEAREST_EVEN, axis: int = -1) -> Any:
        """The values that `values` have after quantising and back, float32 of the same shape.

        Args:
            values: NumPy array, or an object of a registered library.
            rounding: of the elements; overflow saturates.
            axis: along which blocks lie.
        """
        rounding = rounding_of(rounding)
        library = adapted(values)
        if library is not None:
            return library.round(self, values, {"rounding": rounding, "axis": axis})
        return self.decode(self.encode(values, rounding=rounding, axis=axis))

    def encode(
        self, values: Any, *, rounding: Rounding | str = Rounding.NEAREST_EVEN, axis: int = -1
    ) -> Quantised:
        """Quantises `values`; arguments as `round`.

        Raises:
            InvalidInput: not numbers, or without an axis to block.
        """
        array = numbers(values, f"format {self.name}").astype(np.float64)
        if array.ndim == 0 or not -array.ndim <= axis < array.ndim:
            raise InvalidInput(
                f"format {self.name}: values have {array.ndim} dimensions, but blocks lie along axis {axis};"
                " give an array with that axis"
            )
        blocks = self._blocked(array, axis)
        magnitude = np.abs(blocks).max(axis=-1, initial=0.0)
        tensor_scale = self._tensor_scale(magnitude)
        codes, factors = self._scales(magnitude / tensor_scale)
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = blocks / (factors * tensor_scale)[..., None]
        scaled = np.ldexp(np.where(np.isnan(scaled), 0.0, scaled), -self.element_exponent)
        unblocked = np.moveaxis(self._joined(scaled, array.shape[axis]), -1, axis)
        elements = self.element.encode(unblocked, rounding=rounding, overflow="saturate")
        return Quantised(elements, codes, tensor_scale, axis % array.ndim)

    def decode(self, quantised: Quantised) -> NDArray[np.float32]:
        """The values of what `encode` gave."""
        elements = self.element.decode(quantised.elements).astype(np.float64)
        blocks = self._blocked(elements, quantised.axis)
        factors = self._factors(quantised.scales) * quantised.tensor_scale
        values = np.ldexp(blocks * factors[..., None], self.element_exponent)
        joined = self._joined(values, quantised.elements.shape[quantised.axis])
        with np.errstate(over="ignore"):
            return np.moveaxis(joined, -1, quantised.axis).astype(np.float32)

    def size_bytes(self, shape: tuple[int, ...], axis: int = -1) -> int:
        """Bytes of an array of that shape with elements packed: codes, scales and tensor scale."""
        elements = int(np.prod(shape))
        length = shape[axis]
        blocks = elements // length * -(-length // self.block) if length else 0
        return (elements * self.bits + 7) // 8 + blocks * self.scale.bits // 8 + 4 * self.tensor_scaled

    def _blocked(self, array: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        last = np.moveaxis(array, axis, -1)
        short = -last.shape[-1] % self.block
        padded = np.pad(last, [(0, 0)] * (last.ndim - 1) + [(0, short)])
        return padded.reshape(*last.shape[:-1], -1, self.block)

    @staticmethod
    def _joined(blocks: NDArray[np.float64], length: int) -> NDArray[np.float64]:
        return blocks.reshape(*blocks.shape[:-2], -1)[..., :length]

    def _tensor_scale(self, magnitude: NDArray[np.float64]) -> float:
        if not self.tensor_scaled or not isinstance(self.scale, Float):
            return 1.0
        finite = magnitude[np.isfinite(magnitude)]
        amax = float(finite.max(initial=0.0))
        wanted = float(np.float32(amax / (self.scale.max_finite * self.max_element)))
        return wanted if wanted > 0 else 1.0

    def _scales(self, magnitude: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[np.float64]]:
        if isinstance(self.scale, Float):
            wanted = magnitude / self.max_element
            codes = self.scale.encode(np.where(np.isfinite(wanted), wanted, np.nan), overflow="saturate")
            return codes, self._factors(codes)
        if self.scale_rule == "round-even" and isinstance(self.element, Float):
            wide = Float("amax", 11, self.element.significand_bits)
            magnitude = wide.round(magnitude)
        fraction, exponent = np.frexp(magnitude)
        floor = exponent.astype(np.int64) - 1
        top_fraction, top_exponent = np.frexp(self.max_element)
        wanted = floor - (int(top_exponent) - 1)
        if self.scale_rule == "floor-plus-one":
            wanted += 1
        elif self.scale_rule == "ceil":
            wanted += fraction > top_fraction
        wanted = np.where(magnitude == 0, -self.scale.bias, wanted)
        codes = np.clip(wanted + self.scale.bias, 0, self.scale.nan - 1)
        codes = np.where(np.isfinite(magnitude), codes, self.scale.nan).astype(np.uint8)
        return codes, self._factors(codes)

    def _factors(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        if isinstance(self.scale, Float):
            return self.scale.decode(codes).astype(np.float64)
        factor = np.ldexp(1.0, codes.astype(np.int32) - self.scale.bias)
        return np.where(codes == self.scale.nan, np.nan, factor)
