"""Reduction: the rule of a sum along an axis, and its evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic.order import Order, Rounded, Sequential, check_rounded
from anychip.arithmetic.summation import sum_terms
from anychip.errors import InvalidInput
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


def reduce_sum(
    values: NDArray[Any],
    axis: int | tuple[int, ...],
    rule: Reduction,
    start: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """The sum of `values` along `axis` under `rule`.

    Several axes are one sum over their elements in row-major order of the axes as listed.

    Args:
        values: float32 values, of any shape (float64 sums in float64).
        axis: the summed axis or axes.
        rule: the rule.
        start: accumulators so far, shape of the result; None for zeros.

    Raises:
        InvalidInput: an axis the values do not have, or twice the same.
    """
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if any(not -values.ndim <= one < values.ndim for one in axes):
        raise InvalidInput(f"sum: axis {axis} of values with {values.ndim} dimensions; name one they have")
    positive = tuple(one % values.ndim for one in axes)
    if len(set(positive)) != len(positive):
        raise InvalidInput(f"sum: axis {axis} names an axis twice; name each once")
    kept = [one for one in range(values.ndim) if one not in positive]
    shape = tuple(values.shape[one] for one in kept)
    terms = values.transpose(*kept, *positive).reshape(*shape, -1)
    if values.dtype == np.float64:
        total = np.zeros(shape) if start is None else start.astype(np.float64)
        for k in range(terms.shape[-1]):
            total = total + terms[..., k]
        return total
    first = np.zeros(shape) if start is None else start.astype(np.float64)
    total = sum_terms(
        lambda k: terms[..., k].astype(np.float64),
        terms.shape[-1],
        first,
        rule.accumulator,
        rule.order,
        rule.rounded,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        return total.astype(rule.accumulator.carrier)
