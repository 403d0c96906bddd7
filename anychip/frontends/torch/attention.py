"""Scaled dot-product attention as one operator.

PyTorch takes attention apart for devices it does not know. A chip should decide itself whether it has an
attention kernel or runs products and a softmax; so a capture keeps it whole: the forward and backward
operators of flash attention, with the mask as an operand. What no such kernel takes (dropout, keys and
values of different widths) is taken apart as PyTorch does.
"""

from __future__ import annotations

from typing import Any

import torch

from anychip.frontends.torch.dispatch import evaluate
from anychip.frontends.torch.plan import Plan, plan_of
from anychip.frontends.torch.tensor import DeviceTensor

aten = torch.ops.aten
_FLASH = plan_of(aten._scaled_dot_product_flash_attention_for_cpu.default)
_flash = _FLASH.host
_modes = torch._C._len_torch_dispatch_stack  # pyright: ignore


def _fits(query: Any, key: Any, value: Any, mask: Any, dropout: float) -> bool:
    if dropout != 0.0 or not (type(query) is type(key) is type(value) is DeviceTensor):
        return False
    dtype, shape, strides, _ = query.geometry
    key_dtype, kept, key_strides, _ = key.geometry
    value_dtype, value_shape, value_strides, _ = value.geometry
    if len(shape) != 4 or len(kept) != 4 or value_shape != kept:
        return False
    if shape[3] != kept[3] or shape[:2] != kept[:2] or 0 in shape or not kept[2]:
        return False
    if dtype is not key_dtype or dtype is not value_dtype or not dtype.is_floating_point:
        return False
    if strides[3] != 1 or key_strides[3] != 1 or value_strides[3] != 1:
        return False
    return mask is None or (
        type(mask) is DeviceTensor
        and not mask.requires_grad
        and mask.dtype in (dtype, torch.bool)
        and mask.dim() in (2, 4)
    )


def _is_heard(*tensors: Any) -> bool:
    """Whether autograd or a dispatch mode wants to know of the operator."""
    if _modes():
        return True
    return torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in tensors)


def _attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    if enable_gqa and query.dim() >= 3 and key.shape[-3] and query.shape[-3] != key.shape[-3]:
        groups = query.shape[-3] // key.shape[-3]
        key = key.repeat_interleave(groups, -3)
        value = value.repeat_interleave(groups, -3)
    if attn_mask is not None and attn_mask.dtype is torch.bool:
        bias = torch.zeros_like(attn_mask, dtype=query.dtype)
        attn_mask = bias.masked_fill_(attn_mask.logical_not(), float("-inf"))
    if not _fits(query, key, value, attn_mask, dropout_p) or (is_causal and attn_mask is not None):
        return aten._scaled_dot_product_attention_math.default(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale
        )[0]
    if _is_heard(query, key, value, attn_mask):
        return _flash(query, key, value, 0.0, is_causal, attn_mask=attn_mask, scale=scale)[0]
    given = (query, key, value, 0.0, True) if is_causal else (query, key, value)
    named = {"attn_mask": attn_mask, "scale": scale}
    return evaluate(_FLASH, given, {name: each for name, each in named.items() if each is not None})[0]


def _in_inference_mode(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _attention(*args, **kwargs)


def register(libraries: list[Any]) -> None:
    """Puts it in force for the device."""
    library = torch.library.Library("aten", "IMPL")
    libraries.append(library)
    plan_of(aten.scaled_dot_product_attention.default).override = _in_inference_mode
    library.impl(aten.scaled_dot_product_attention.default, _attention, "AutogradPrivateUse1")
