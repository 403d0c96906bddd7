"""Products and sums of tensors by the compiled core, on the tensors' own memory: no copy, any strides."""

from __future__ import annotations

from functools import cache

import torch

from anychip.arithmetic import Contraction, Reduction, pointers
from anychip.arithmetic.order import Lanes
from anychip.frontends.torch.values.stored import float_format

Tensor = torch.Tensor
#: Element types that a product reads as they lie in memory.
READ = frozenset((torch.float32, torch.bfloat16, torch.float16))
#: Element types that a product writes at once.
WRITTEN = frozenset((torch.float32, torch.bfloat16))


@cache
def multiplies(rule: Contraction) -> bool:
    """Whether the core evaluates contractions under this rule."""
    return pointers.available() and pointers.summable(rule)


@cache
def adds(rule: Reduction) -> bool:
    """Whether the core evaluates sums under this rule."""
    return pointers.available() and pointers.summable(rule)


def _operand(tensor: Tensor) -> pointers.Operand:
    batch, rows, columns = tensor.stride()
    format = float_format(tensor.dtype)
    if format is None or tensor.dtype is torch.float32:
        return pointers.Operand(tensor.data_ptr(), (batch, rows, columns))
    return pointers.Operand(tensor.data_ptr(), (batch, rows, columns), format)


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
        left: ``[B, M, K]``, an element type of `READ`, any strides.
        right: ``[B, K, N]``, likewise.
        result: ``[B, M, N]``, an element type of `WRITTEN`; shares no memory with the operands.
        rule: one for which `multiplies` holds.
        narrow: fp32 operands are rounded to bf16 as they are read.
        bias: ``[N]`` fp32, contiguous.
    """
    pointers.product(
        _operand(left),
        _operand(right),
        _operand(result),
        rule,
        batch=result.shape[0],
        rows=result.shape[1],
        columns=result.shape[2],
        depth=left.shape[2],
        bias=None if bias is None else bias.data_ptr(),
        narrow=narrow,
    )


def sums(values: Tensor, rule: Reduction) -> Tensor:
    """Sums along the last dimension of ``[R, L]`` fp32 values of any strides, in the order of `rule`."""
    result = torch.empty(values.shape[0])
    if isinstance(rule.order, Lanes) and values.stride(1) != 1:
        values = values.contiguous()
    pointers.total(
        values.data_ptr(),
        result.data_ptr(),
        rule,
        outer=values.shape[0],
        inner=values.shape[1],
        outer_stride=values.stride(0),
        inner_stride=values.stride(1),
    )
    return result
