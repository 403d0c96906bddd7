"""Contraction: the rule of one sum of products, and its evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic.order import Order, Rounded, Sequential, check_rounded
from anychip.arithmetic.summation import Doubles, sum_terms
from anychip.errors import InvalidDescription, InvalidInput
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


def contract(
    a: NDArray[Any], b: NDArray[Any], rule: Contraction, start: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Batched matrix product under `rule`.

    A sum cut at multiples of ``rule.run``, the earlier part entering as `start`, has the same bits as the
    whole.

    Args:
        a: ``[..., M, K]`` values of the operand format, float32 (float64 for fp64, integers for integers).
        b: ``[..., K, N]``, leading dimensions broadcast against those of `a`.
        rule: the rule.
        start: ``[..., M, N]`` accumulators so far, None for zeros.

    Returns:
        ``[..., M, N]`` accumulators, of the accumulator's carrier type.

    Raises:
        InvalidInput: shapes that do not fit.
    """
    check_shapes(a.shape, b.shape, None if start is None else start.shape)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = (*batch, a.shape[-2], b.shape[-1])
    if isinstance(rule.operand, Integer):
        return _contract_integers(a, b, rule, start)
    if rule.operand.carrier is np.float64 or rule.accumulator.carrier is np.float64:
        return _contract_doubles(a, b, shape, start)
    left, right = a.astype(np.float64), b.astype(np.float64)
    product = rule.product

    def term(k: int) -> Doubles:
        with np.errstate(invalid="ignore"):
            exact = left[..., :, k, None] * right[..., k, None, :]
        if product is not None:
            exact = np.asarray(product.round(exact), np.float64)
        return np.broadcast_to(exact, shape)

    if not isinstance(rule.accumulator, Float):
        raise InvalidDescription(f"contraction of {rule.operand.name}: accumulator is not a Float")
    zero = np.zeros(shape) if start is None else np.broadcast_to(start, shape).astype(np.float64)
    total = sum_terms(term, a.shape[-1], zero, rule.accumulator, rule.order, rule.rounded)
    with np.errstate(over="ignore", invalid="ignore"):
        return total.astype(rule.accumulator.carrier)


def check_shapes(a: tuple[int, ...], b: tuple[int, ...], start: tuple[int, ...] | None) -> None:
    """Raises InvalidInput unless ``[..., M, K]`` and ``[..., K, N]`` (and ``[..., M, N]``) fit."""
    if len(a) < 2 or len(b) < 2:
        raise InvalidInput(f"contract: shapes {list(a)} and {list(b)}; both need at least two dimensions")
    if a[-1] != b[-2]:
        raise InvalidInput(
            f"contract: shapes {list(a)} and {list(b)}: {a[-1]} columns meet {b[-2]} rows; make them equal"
        )
    try:
        batch = np.broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        raise InvalidInput(
            f"contract: shapes {list(a)} and {list(b)}: batch dimensions do not broadcast; make them 1"
        ) from None
    if start is not None and start != (*batch, a[-2], b[-1]):
        raise InvalidInput(
            f"contract: start has shape {list(start)}, the product {[*batch, a[-2], b[-1]]}; make them equal"
        )


def _contract_integers(
    a: NDArray[Any], b: NDArray[Any], rule: Contraction, start: NDArray[Any] | None
) -> NDArray[Any]:
    if not isinstance(rule.accumulator, Integer):
        raise InvalidDescription(f"contraction of {rule.operand.name}: accumulator is not an Integer")
    total = np.matmul(a.astype(np.int64), b.astype(np.int64))
    if start is not None:
        total = total + start.astype(np.int64)
    return rule.accumulator.round(total, overflow="wrap")


def _contract_doubles(
    a: NDArray[Any], b: NDArray[Any], shape: tuple[int, ...], start: NDArray[Any] | None
) -> NDArray[np.float64]:
    """fp64: products and sums rounded separately, in sequential order."""
    total = np.zeros(shape) if start is None else start.astype(np.float64)
    left, right = a.astype(np.float64), b.astype(np.float64)
    for k in range(a.shape[-1]):
        total = total + left[..., :, k, None] * right[..., k, None, :]
    return total
