"""Flex attention on the device: its definition, operator by operator, with all scores, as on PyTorch's CPU.

Gradients go through these operators, so that they also reach what a user's functions close over.
"""

from __future__ import annotations

from torch._C import DispatchKey
from torch._higher_order_ops.flex_attention import flex_attention, sdpa_dense

from anychip.frontends.torch.tensor import DeviceTensor


def register() -> None:
    """Gives the higher-order operator its definition for tensors of the device."""
    flex_attention.py_impl(DispatchKey.AutogradPrivateUse1)(sdpa_dense)  # pyright: ignore[reportUnknownMemberType]
    flex_attention.py_impl(DeviceTensor)(sdpa_dense)  # pyright: ignore[reportUnknownMemberType]
