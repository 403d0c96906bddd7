"""Contraction: the rule of one sum of products, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from anychip.arithmetic.order import Order, Rounded, Sequential, check_rounded
from anychip.errors import InvalidDescription
from anychip.formats import Float, Integer, fp32


@dataclass(frozen=True, slots=True)
class Contraction:
    """How ``sum over k of a[m, k] * b[k, n]`` is computed, to the last bit.

    Every accumulator starts at +0 (or at a partial sum that enters the chain). With ``rounded="add"`` each
    addition rounds once, to nearest-even; products are exact unless `product` says otherwise, so that
    fp32 in sequential order is a chain of fused multiply-adds.

    Args:
        operand: format of both operands; casting to it is the caller's, who knows the rounding.
        accumulator: format of the partial sums. int32 wraps.
        product: None: products are exact. A format: each product is rounded to it first, the disputed
            reading of Trainium's array.
        order: of the additions.
        rounded: when partial sums take the accumulator's format.

    Raises:
        InvalidDescription: a rule that cannot be, e.g. rounding by tiles in an order without tiles.
    """

    operand: Float | Integer
    accumulator: Float | Integer = fp32
    product: Float | None = None
    order: Order = field(default_factory=Sequential)
    rounded: Rounded = "add"

    def __post_init__(self) -> None:
        where = f"contraction of {self.operand.name}"
        check_rounded(where, self.order, self.rounded)
        if isinstance(self.operand, Integer) != isinstance(self.accumulator, Integer):
            raise InvalidDescription(
                f"{where}: accumulator {self.accumulator.name} is of the other kind; choose "
                + ("int32" if isinstance(self.operand, Integer) else "fp32")
            )
        if isinstance(self.operand, Float) and self.operand.significand_bits > 23 and self.rounded != "add":
            raise InvalidDescription(f"{where}: exact sums are for operands up to 24 bits; round each add")

    @property
    def run(self) -> int | None:
        """Cuts of the summed dimension must be multiples of this; None: it cannot be cut."""
        if self.rounded == "end":
            return None
        return self.order.run
