"""Reduction: the rule of a sum along an axis, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from anychip.arithmetic.order import Order, Rounded, Sequential, check_rounded
from anychip.formats import Float, fp32


@dataclass(frozen=True, slots=True)
class Reduction:
    """How a sum along an axis is computed, to the last bit; as `Contraction`, without products.

    Args:
        accumulator: format of the partial sums.
        order: of the additions.
        rounded: when partial sums take the accumulator's format.
    """

    accumulator: Float = fp32
    order: Order = field(default_factory=Sequential)
    rounded: Rounded = "add"

    def __post_init__(self) -> None:
        check_rounded("reduction", self.order, self.rounded)

    @property
    def run(self) -> int | None:
        """Cuts of the summed dimension must be multiples of this; None: it cannot be cut."""
        return None if self.rounded == "end" else self.order.run
