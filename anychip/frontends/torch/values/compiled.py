"""Products and sums of tensors by the compiled core, on the tensors' own memory: no copy, any strides."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch

from anychip.arithmetic import Contraction, Reduction
from anychip.arithmetic import order as orders
from anychip.formats import Float, compiled

Tensor = torch.Tensor
_KINDS = {
    torch.float32: compiled.KINDS["fp32"],
    torch.bfloat16: compiled.KINDS["bf16"],
}
#: Element types that the core reads and writes.
STORED = frozenset(_KINDS)
#: `OrderKind` in core.h.
_ORDERS = {orders.Sequential: 0, orders.Tiles: 1, orders.Tree: 2, orders.Pairwise: 3, orders.Lanes: 4}


def _plain(rule: Contraction | Reduction) -> bool:
    """Whether every addition rounds to fp32, which is what the core does."""
    accumulator = rule.accumulator
    return isinstance(accumulator, Float) and accumulator.name == "fp32" and rule.rounded == "add"


def _order(order: orders.Order) -> tuple[int, int]:
    length = getattr(order, "length", getattr(order, "width", 0))
    return _ORDERS[type(order)], int(length)


@cache
def multiplies(rule: Contraction) -> bool:
    """Whether the core evaluates contractions under this rule."""
    operand = rule.operand
    exact = rule.product is None and isinstance(operand, Float) and operand.significand_bits <= 23
    return exact and _plain(rule) and compiled.library() is not None


@cache
def adds(rule: Reduction) -> bool:
    """Whether the core evaluates sums under this rule."""
    return _plain(rule) and compiled.library() is not None


def _matrix(tensor: Tensor) -> Any:
    strides = tensor.stride()
    return compiled.Matrix(
        data=tensor.data_ptr(),
        kind=_KINDS[tensor.dtype],
        batch_stride=strides[0],
        row_stride=strides[1],
        column_stride=strides[2],
    )


def product(
    left: Tensor,
    right: Tensor,
    result: Tensor,
    rule: Contraction,
    *,
    narrow: bool = False,
    bias: Tensor | None = None,
) -> None:
    """``result = left @ right + bias`` under `rule`, rounded once to nearest-even into the result's format.

    Args:
        left: ``[B, M, K]``, fp32 or bf16, any strides.
        right: ``[B, K, N]``, likewise.
        result: ``[B, M, N]``, likewise; shares no memory with the operands.
        rule: one for which `multiplies` holds.
        narrow: fp32 operands are rounded to bf16 as they are read.
        bias: ``[N]`` fp32, contiguous.
    """
    core = compiled.library()
    kind, length = _order(rule.order)
    call = compiled.Product(
        left=_matrix(left),
        right=_matrix(right),
        result=_matrix(result),
        batch=result.shape[0],
        rows=result.shape[1],
        columns=result.shape[2],
        depth=left.shape[2],
        order=kind,
        narrow_operands=int(narrow),
        length=length,
        bias=0 if bias is None else bias.data_ptr(),
    )
    core.anychip_product(ctypes.byref(call))


def sums(values: Tensor, rule: Reduction) -> Tensor:
    """Sums along the last dimension of ``[R, L]`` fp32 values of any strides, in the order of `rule`."""
    core = compiled.library()
    result = torch.empty(values.shape[0])
    kind, length = _order(rule.order)
    if kind == _ORDERS[orders.Lanes] and values.stride(1) != 1:
        values = values.contiguous()
    call = compiled.Sum(
        values=values.data_ptr(),
        result=result.data_ptr(),
        outer=values.shape[0],
        inner=values.shape[1],
        outer_stride=values.stride(0),
        inner_stride=values.stride(1),
        order=kind,
        length=length,
    )
    core.anychip_sum(ctypes.byref(call))
    return result
