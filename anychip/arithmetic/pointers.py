"""The compiled core by address, for front ends whose tensors are not NumPy arrays.

Addresses are integers (``tensor.data_ptr()``), strides count elements, and the memory must stay alive during
the call. Check `available` first: without the core there is no work by address, and the NumPy entry points
(`contract`, `reduce_sum`, `Float.round`) give the same bits.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from anychip.arithmetic.contraction import Contraction
from anychip.arithmetic.curves import FUNCTIONS
from anychip.arithmetic.order import Lanes, Order, Pairwise, Sequential, Tiles, Tree
from anychip.arithmetic.reduction import Reduction
from anychip.arithmetic.specified import SPECIFIED
from anychip.errors import NotModelled, unknown_name
from anychip.formats import CastRule, Float, Integer, compiled, fp16, fp32
from anychip.formats.casting import decode_codes, to_codes, to_values

#: `Narrowing` in core.h.
_AS_STORED, _TO_BF16, _HOLDS_BF16 = range(3)
_ORDERS: dict[type, int] = {Sequential: 0, Tiles: 1, Tree: 2, Pairwise: 3, Lanes: 4}


def available() -> bool:
    """Whether the compiled core does the work."""
    return compiled.library() is not None


@dataclass(frozen=True, slots=True)
class Operand:
    """A matrix, or a batch of them, in memory.

    Args:
        address: of element [0, 0, 0].
        format: how elements are stored: fp32, or the codes of a format of at most 16 bits.
        strides: of batch, rows and columns, in elements; 0 repeats, transposed is swapped.
    """

    address: int
    strides: tuple[int, int, int]
    format: Float = fp32


def summable(rule: Contraction | Reduction) -> bool:
    """Whether the compiled core sums under `rule`; if not, use `contract` or `reduce_sum`."""
    plain = rule.accumulator == fp32 and rule.rounded == "add"
    if isinstance(rule, Reduction):
        return plain
    narrow = isinstance(rule.operand, Float) and rule.operand.carrier is np.float32
    return plain and narrow and rule.product is None


def product(
    left: Operand,
    right: Operand,
    result: Operand,
    rule: Contraction,
    *,
    rows: int,
    columns: int,
    depth: int,
    batch: int = 1,
    start: Operand | None = None,
    bias: int | None = None,
    narrow: bool = False,
) -> None:
    """``result[b, m, n] = start[b, m, n] + sum over k of left[b, m, k] * right[b, k, n]`` under `rule`.

    Args:
        left: strides of batch, m, k.
        right: strides of batch, k, n.
        result: fp32, or bf16 (rounded once to nearest-even); must not overlap the operands.
        rule: `summable`.
        rows: extent of m.
        columns: extent of n.
        depth: extent of k.
        batch: extent of b.
        start: fp32 accumulators so far, which may be the memory of `result`; None for zeros.
        bias: address of `columns` fp32 added to every row after the sum, with one rounding.
        narrow: operands stored in fp32 are rounded to bf16, nearest-even, as they are read.

    Raises:
        NotModelled: the core does not sum under `rule`, or does not store such a result.
    """
    if not summable(rule) or result.format.name not in ("fp32", "bf16"):
        raise NotModelled(
            f"product of {rule.operand.name} into {result.format.name}: not by address; use contract"
        )
    compiled.library().anychip_product(
        ctypes.byref(
            compiled.Product(
                _matrix(left),
                _matrix(right),
                compiled.Matrix() if start is None else _matrix(start),
                _matrix(result),
                batch,
                rows,
                columns,
                depth,
                _ORDERS[type(rule.order)],
                _TO_BF16 if narrow else _HOLDS_BF16 if _within_bf16(rule.operand) else _AS_STORED,
                _length(rule.order),
                bias,
            )
        )
    )


@lru_cache(maxsize=64)
def _within_bf16(format: Float | Integer) -> bool:
    """Whether every value of `format` is one of bf16: then fp32 operands are expected to hold such values."""
    return (
        isinstance(format, Float)
        and format.significand_bits <= 7
        and format.emin - format.significand_bits >= -133
        and format.emax <= 127
    )


def _length(order: Order) -> int:
    return order.run or 0 if not isinstance(order, Lanes) else order.width


def _matrix(operand: Operand) -> compiled.Matrix:
    kind, table = _storage(operand.format)
    return compiled.Matrix(operand.address, kind, 0, *operand.strides, table)


@lru_cache(maxsize=64)
def _storage(format: Float) -> tuple[int, int | None]:
    """Kind and address of the table of values; `decode_codes` keeps the table alive."""
    if format == fp32:
        return compiled.KINDS["fp32"], None
    if format.name == "bf16":
        return compiled.KINDS["bf16"], None
    if format.bits > 16:
        raise NotModelled(f"storage of {format.name}: not by address; keep its values as fp32")
    kind = "fp16" if format == fp16 else "code8" if format.storage_bytes == 1 else "code16"
    return compiled.KINDS[kind], table_of(format).ctypes.data


@lru_cache(maxsize=64)
def table_of(format: Float) -> np.ndarray:
    """The fp32 values of all codes that a byte or two can hold."""
    codes = np.arange(256 if format.storage_bytes == 1 else 65536) & ((1 << format.bits) - 1)
    return np.ascontiguousarray(decode_codes(codes, format), np.float32)


def cast(source: int, result: int, count: int, format: Float, rule: CastRule, *, stored: bool) -> None:
    """Casts `count` contiguous fp32 at `source`.

    Args:
        source: address of fp32 values.
        result: address: codes of `format` (8 or 16 bits each) if `stored`, else fp32 values, which may be
            where the source is.
        count: elements.
        format: of the result, within fp32.
        rule: as for `Float.round`; the random bits of stochastic rounding are those of the flat index.
        stored: whether codes are written.
    """
    complete = format.rule(rule)
    (to_codes if stored else to_values)(format, complete, source, result, count)


def decode(source: int, result: int, count: int, format: Float) -> None:
    """Writes the fp32 values of `count` contiguous codes of `format` (at most 16 bits) to `result`."""
    core = compiled.library()
    _, table = _storage(format)
    (core.anychip_decode8 if format.storage_bytes == 1 else core.anychip_decode16)(
        table, source, result, count
    )


def total(
    values: int,
    result: int,
    rule: Reduction,
    *,
    outer: int,
    inner: int,
    outer_stride: int,
    inner_stride: int,
    start: int | None = None,
) -> None:
    """``result[o] = start[o] + sum over i of values[o * outer_stride + i * inner_stride]`` in fp32.

    Raises:
        NotModelled: the core does not sum under `rule`.
    """
    if not summable(rule):
        raise NotModelled(f"sum in {rule.accumulator.name}: not by address; use reduce_sum")
    compiled.library().anychip_sum(
        ctypes.byref(
            compiled.Sum(
                values,
                start,
                result,
                outer,
                inner,
                outer_stride,
                inner_stride,
                _ORDERS[type(rule.order)],
                0,
                _length(rule.order),
            )
        )
    )


#: Curves of the compiled core, in the order of `curve` in curves.h.
CURVES: tuple[str, ...] = tuple(SPECIFIED)


def curve(name: str, source: int, result: int, count: int) -> bool:
    """Evaluates a correctly rounded curve on `count` contiguous fp32; may be in place.

    Returns:
        False, with nothing written, if the core does not have that curve.

    Raises:
        UnknownName: no such curve at all.
    """
    if name not in FUNCTIONS:
        raise unknown_name("curve", name, FUNCTIONS)
    if name not in CURVES:
        return False
    return bool(compiled.library().anychip_curve(CURVES.index(name), source, result, count))
