"""Scaling: how operands are scaled before they are cast to a narrow format, as recipes of fp8 training do.

Every scale is a power of two, so that scaling rounds nothing, and the sum of scaled products, scaled back, is
the sum of the products of what the scaled codes stand for, in any declared order (within fp32's range).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from anychip.errors import InvalidDescription, unknown_name
from anychip.formats import CastRule, Float

Per = Literal["tensor", "delayed", "block"]
#: Exponents that an e8m0 scale can hold.
_LARGEST = 127


@dataclass(frozen=True, slots=True)
class Scaling:
    """A scale for each tensor, or for each block of the summed dimension.

    Args:
        per: ``"tensor"``: from the largest magnitude of the tensor; ``"delayed"``: from the largest of the
            last `history` passes, as Transformer Engine does, so that no look at the tensor comes first;
            ``"block"``: a scale for every `block` elements along the summed dimension, by the sample
            algorithm of OCP MX 1.0, section 6.3.
        block: elements that share a scale.
        history: passes that a delayed scale looks back.

    Raises:
        InvalidDescription: a length below 1.
    """

    per: Per
    block: int = 32
    history: int = 16

    def __post_init__(self) -> None:
        if self.per not in get_args(Per):
            raise unknown_name("scaling", self.per, get_args(Per))
        for name, value in (("block", self.block), ("history", self.history)):
            if value < 1:
                raise InvalidDescription(f"scaling per {self.per}: {name} is {value}; choose at least 1")

    def read(
        self, values: NDArray[Any], format: Float, rule: CastRule, *, axis: int, largest: float
    ) -> NDArray[np.float32]:
        """Values as the contraction reads them: scaled, cast, and scaled back; too large ones saturate.

        Args:
            values: fp32 of an operand.
            format: to which it is cast.
            rule: of the cast.
            axis: the summed dimension.
            largest: the magnitude that decides a tensor's scale; not used for blocks.
        """
        values = np.asarray(values, np.float32)
        complete = format.rule(rule, overflow="saturate")
        if self.per != "block":
            scale = _scale(np.array(largest if np.isfinite(largest) else 0.0), format, fits=True)
            return _cast(values, scale, format, complete)
        last = np.moveaxis(values, axis, -1)
        length = last.shape[-1]
        padded = np.pad(last, [(0, 0)] * (last.ndim - 1) + [(0, -length % self.block)])
        blocks = padded.reshape(*last.shape[:-1], -1, self.block)
        magnitude = np.abs(blocks).max(axis=-1, keepdims=True, initial=0.0)
        scale = np.where(np.isfinite(magnitude), _scale(magnitude, format, fits=False), np.float32(np.nan))
        found = _cast(blocks, scale.astype(np.float32), format, complete)
        return np.moveaxis(found.reshape(*last.shape[:-1], -1)[..., :length], -1, axis)


def _scale(largest: NDArray[Any], format: Float, *, fits: bool) -> NDArray[np.float32]:
    """The power of two by which to multiply; `fits`: the largest with which no value saturates."""
    top_fraction, top = np.frexp(format.max_finite)
    fraction, exponent = np.frexp(largest.astype(np.float64))
    wanted = int(top) - exponent - (fraction > top_fraction if fits else 0)
    wanted = np.where(largest == 0, 0, np.clip(wanted, -_LARGEST, _LARGEST))
    return np.ldexp(1.0, wanted).astype(np.float32)


def _cast(
    values: NDArray[np.float32], scale: NDArray[np.float32], format: Float, rule: CastRule
) -> NDArray[np.float32]:
    with np.errstate(all="ignore"):
        scaled = np.multiply(values, scale)
        return np.asarray(format.round(np.ascontiguousarray(scaled), rule=rule) / scale, np.float32)


@dataclass(slots=True)
class Amaxes:
    """Largest magnitudes of operands over the last passes, by their place after the call of a model."""

    model: int = 0
    place: int = 0
    seen: dict[tuple[int, int], deque[float]] = field(default_factory=dict[tuple[int, int], "deque[float]"])

    def begin_step(self, step: int) -> None:
        """A step begins; step 0 forgets what was before."""
        self.model = self.place = 0
        if step == 0:
            self.seen.clear()

    def begin_pass(self, model: int) -> None:
        """The operands that follow are those of a forward pass of `model`, and of the backward after it."""
        self.model, self.place = model, 0

    def decide(self, largest: float, scaling: Scaling) -> float:
        """The magnitude that decides the next operand's scale, whose own largest magnitude is `largest`."""
        self.place += 1
        if scaling.per != "delayed":
            return largest
        seen = self.seen.setdefault((self.model, self.place), deque(maxlen=scaling.history))
        decided = max(seen) if seen else largest
        if np.isfinite(largest):
            seen.append(largest)
        return decided
