"""``module.to(device)`` keeps each parameter's identity, as it does on CUDA.

An optimizer built before ``.cuda()`` and tied weights depend on it. PyTorch can exchange the contents of two
tensors, but only where nothing else holds them; while a graph of an earlier forward lives it cannot, and new
parameters are made instead, tied ones still tied.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch

_original_apply: Callable[..., Any] = torch.nn.Module._apply  # pyright: ignore


def _apply(self: Any, fn: Callable[[Any], Any], recurse: bool = True) -> Any:
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        return _original_apply(self, fn, recurse)
    except RuntimeError as error:
        if "Couldn't swap" not in str(error):
            raise
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swaps)
    return _replaced(self, fn)


def _replaced(module: Any, fn: Callable[[Any], Any]) -> Any:
    """New parameters in place of the old ones; a parameter shared by modules stays shared."""
    if not isinstance(module, torch.jit.ScriptModule):
        warnings.warn(
            f"{type(module).__name__}: its parameters are in use by results of an earlier forward pass, so "
            "new ones were made on the other device; an optimizer built before this line keeps the old ones",
            stacklevel=4,
        )
    fresh: dict[int, Any] = {}
    owners: list[Any] = list(module.modules())
    for owner in owners:
        for name, parameter in owner._parameters.items():
            if parameter is None:
                continue
            if id(parameter) not in fresh:
                with torch.no_grad():
                    converted = fn(parameter)
                fresh[id(parameter)] = (
                    parameter,
                    torch.nn.Parameter(converted, requires_grad=parameter.requires_grad),
                )
            owner._parameters[name] = fresh[id(parameter)][1]
        for name, buffer in owner._buffers.items():
            if buffer is not None:
                owner._buffers[name] = fn(buffer)
    return module


def register() -> None:
    """Puts it in force."""
    torch.nn.Module._apply = _apply  # pyright: ignore
