"""Where PyTorch's CPU kernel provably gives the chip's bits: one operation, rounded once.

Kernels of one IEEE operation on fp32 (add, multiply, divide, comparisons, selections) leave no freedom. The
square root is left out: on some processors PyTorch takes it from a library that does not round it right. On
bf16 and fp16 they widen, compute and round once, which is the same. Kernels of two operations are not here: a
compiler may have fused them. Tests hold every entry against the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch

from anychip.frontends.torch.values.stored import Store
from anychip.operators import find

Check = Callable[[Sequence[torch.Tensor], Mapping[str, Any], Store], bool]

#: One rounding in fp32, and one after widening.
_ONCE = frozenset("add.Tensor sub.Tensor mul.Tensor mul.Scalar div.Tensor div.Tensor_mode div.Scalar".split())
#: One rounding in fp32 alone.
_SINGLE = frozenset(
    "reciprocal.default rsub.Scalar rsub.Tensor "
    "_foreach_add.List _foreach_add.Scalar _foreach_sub.List _foreach_sub.Scalar "
    "_foreach_mul.List _foreach_mul.Scalar _foreach_mul.ScalarList _foreach_mul.Tensor _foreach_div.List "
    "_foreach_div.Scalar _foreach_div.ScalarList _foreach_div.Tensor".split()
)
#: No rounding: a choice among operands.
_CHOICES = frozenset(
    "neg.default abs.default relu.default maximum.default minimum.default where.self where.ScalarSelf "
    "where.ScalarOther where.Scalar masked_fill.Scalar masked_fill.Tensor clamp.default clamp.Tensor "
    "clamp_min.default clamp_min.Tensor clamp_max.default clamp_max.Tensor eq.Tensor eq.Scalar ne.Tensor "
    "ne.Scalar lt.Tensor lt.Scalar le.Tensor le.Scalar gt.Tensor gt.Scalar ge.Tensor ge.Scalar "
    "isnan.default floor.default ceil.default trunc.default round.default threshold_backward.default "
    "amax.default amin.default max.default min.default max.dim min.dim argmax.default argmin.default "
    "any.default any.dim all.default all.dim isinf.default logical_not.default logical_and.default "
    "logical_or.default logical_xor.default signbit.default hardtanh.default sgn.default sign.default "
    "_foreach_neg.default _foreach_abs.default _foreach_zero.default _foreach_copy.default "
    "_foreach_maximum.List _foreach_minimum.List max_pool2d_with_indices.default "
    "max_pool3d_with_indices.default positive.default".split()
)
#: Two roundings, in kernels that PyTorch's compiler may or may not have fused: asked once per process.
_PROBED = frozenset(
    "_foreach_addcdiv.Scalar _foreach_addcdiv.ScalarList addcdiv.default sigmoid_backward.default".split()
)
_CASTS = frozenset(("copy.default", "_to_copy.default"))
_NARROW = frozenset((torch.float32, torch.bfloat16, torch.float16))


def is_exact(name: str) -> Check | None:
    """The check that says whether PyTorch's kernel may run for given arguments; None: it never may."""
    entry = find(name)
    if entry is None:
        return None
    if entry.name in _CASTS:
        return _cast
    if entry.name in _CHOICES:
        return _chosen
    if entry.name in _ONCE:
        return _rounded_once
    if entry.name in _SINGLE:
        return _single
    if entry.name in _PROBED:
        return _unfused
    return None


def _plain(keywords: Mapping[str, Any]) -> bool:
    """Whether no factor or mode adds a second rounding."""
    return not keywords or (keywords.get("rounding_mode") is None and keywords.get("alpha", 1) == 1)


def _rounded_once(tensors: Sequence[torch.Tensor], keywords: Mapping[str, Any], store: Store) -> bool:
    first = tensors[0].dtype
    for tensor in tensors:
        kind = tensor.dtype
        if kind is not first and (kind.is_floating_point and tensor.dim()):
            return False
        if kind not in _NARROW and kind.is_floating_point:
            return False
        if store.stochastic and store.rule(kind) is not None:
            return False
    return _plain(keywords)


def _single(tensors: Sequence[torch.Tensor], keywords: Mapping[str, Any], store: Store) -> bool:
    del store
    floats = [t.dtype for t in tensors if t.dtype.is_floating_point]
    return all(dtype is torch.float32 for dtype in floats) and _plain(keywords)


@cache
def divides_after_multiplying() -> bool:
    """Whether PyTorch's fp32 kernels round between the operations of ``x + a * y / z`` on this processor."""
    generator = torch.Generator().manual_seed(1)
    x, y, z = (torch.randn(4099, generator=generator) for _ in range(3))
    separate = torch.add(x, torch.div(torch.mul(y, torch.tensor(0.37)), z))
    gate = torch.mul(torch.mul(x, torch.sub(torch.tensor(1.0), y)), y)
    fused = torch.addcdiv(x, y, z, value=0.37)
    return torch.equal(separate, fused) and torch.equal(gate, torch.ops.aten.sigmoid_backward(x, y))


def _unfused(tensors: Sequence[torch.Tensor], keywords: Mapping[str, Any], store: Store) -> bool:
    """Dense fp32 operands, as the probe has them."""
    del keywords, store
    if any(t.dtype is not torch.float32 or not t.is_contiguous() for t in tensors):
        return False
    return divides_after_multiplying()


def _chosen(tensors: Sequence[torch.Tensor], keywords: Mapping[str, Any], store: Store) -> bool:
    del keywords, store
    first = tensors[0].dtype
    return all(t.dtype is first or t.dtype is torch.bool or not t.dim() for t in tensors)


def _cast(tensors: Sequence[torch.Tensor], keywords: Mapping[str, Any], store: Store) -> bool:
    if len(tensors) == 2:
        return tensors[0].dtype is tensors[1].dtype or (
            store.rule(tensors[0].dtype) is None and tensors[1].dtype in _NARROW
        )
    target = keywords.get("dtype")
    if target is None or target is tensors[0].dtype:
        return True
    return store.rule(target) is None and tensors[0].dtype in _NARROW
