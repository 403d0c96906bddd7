"""Redirects automatic mixed precision: what a script says of ``cuda`` holds for the device."""

from __future__ import annotations

from typing import Any

import torch
import torch.amp.autocast_mode

from anychip.frontends.torch.redirect.names import REDIRECTED, replace
from anychip.frontends.torch.tensor import DEVICE_TYPE


def _kind(device_type: Any) -> Any:
    return DEVICE_TYPE if device_type in REDIRECTED else device_type


def install() -> None:
    """Puts these in force."""
    autocast = torch.amp.autocast_mode.autocast
    plain_init = autocast.__init__

    def __init__(self: Any, device_type: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        plain_init(self, _kind(device_type.partition(":")[0]), *args, **kwargs)

    autocast.__init__ = __init__
    is_enabled, set_enabled = torch.is_autocast_enabled, torch.set_autocast_enabled
    get_dtype, set_dtype = torch.get_autocast_dtype, torch.set_autocast_dtype

    def is_autocast_enabled(device_type: str = "cuda") -> bool:
        return is_enabled(_kind(device_type))

    def set_autocast_enabled(*args: Any) -> None:
        if len(args) == 1:
            args = ("cuda", *args)
        set_enabled(_kind(args[0]), args[1])

    replace(
        torch,
        is_autocast_enabled=is_autocast_enabled,
        set_autocast_enabled=set_autocast_enabled,
        get_autocast_dtype=lambda device_type: get_dtype(_kind(device_type)),
        set_autocast_dtype=lambda device_type, dtype: set_dtype(_kind(device_type), dtype),
        get_autocast_gpu_dtype=lambda: get_dtype(DEVICE_TYPE),
        set_autocast_gpu_dtype=lambda dtype: set_dtype(DEVICE_TYPE, dtype),
    )
    available = torch.amp.autocast_mode.is_autocast_available
    replace(torch.amp.autocast_mode, is_autocast_available=lambda device_type: available(_kind(device_type)))
    replace(torch.amp, is_autocast_available=torch.amp.autocast_mode.is_autocast_available)
