"""Contractions and reductions of NumPy arrays: the compiled core where it serves, else the reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic import pointers
from anychip.arithmetic.contraction import Contraction
from anychip.arithmetic.pointers import Operand
from anychip.arithmetic.reduction import Reduction
from anychip.arithmetic.summation import Doubles, sum_terms
from anychip.errors import InvalidDescription, InvalidInput
from anychip.formats import Float, Integer


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
    if pointers.available() and pointers.summable(rule):
        return _contract_compiled(a, b, rule, start, shape)
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


def _contract_compiled(
    a: NDArray[Any], b: NDArray[Any], rule: Contraction, start: NDArray[Any] | None, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    left, right = (_batched(x, shape[:-2]) for x in (a, b))
    result = np.empty(shape, np.float32)
    if start is not None:
        result[...] = start
    out = _batched(result, shape[:-2])
    accumulators = _operand(out)
    pointers.product(
        _operand(left),
        _operand(right),
        accumulators,
        rule,
        batch=out.shape[0],
        rows=shape[-2],
        columns=shape[-1],
        depth=a.shape[-1],
        start=None if start is None else accumulators,
    )
    return result


def _batched(x: NDArray[Any], batch: tuple[int, ...]) -> NDArray[np.float32]:
    """`x` as float32 with one batch dimension, without a copy where strides allow."""
    single = x.astype(np.float32, copy=False)
    return np.broadcast_to(single, (*batch, *single.shape[-2:])).reshape(math.prod(batch), *single.shape[-2:])


def _operand(x: NDArray[np.float32]) -> Operand:
    batch, row, column = (stride // 4 for stride in x.strides)
    return Operand(x.ctypes.data, (batch, row, column))


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
    if pointers.available() and pointers.summable(rule) and values.dtype.kind == "f":
        return _reduce_compiled(terms.astype(np.float32, copy=False), shape, rule, start)
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


def _reduce_compiled(
    terms: NDArray[np.float32], shape: tuple[int, ...], rule: Reduction, start: NDArray[Any] | None
) -> NDArray[np.float32]:
    rows = terms.reshape(math.prod(shape), terms.shape[-1])
    result = np.empty(shape, np.float32)
    begin = None if start is None else np.ascontiguousarray(start, np.float32)
    outer_stride, inner_stride = (stride // 4 for stride in rows.strides)
    pointers.total(
        rows.ctypes.data,
        result.ctypes.data,
        rule,
        outer=rows.shape[0],
        inner=rows.shape[1],
        outer_stride=outer_stride,
        inner_stride=inner_stride,
        start=None if begin is None else begin.ctypes.data,
    )
    return result
