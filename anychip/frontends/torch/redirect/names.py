"""Which device names mean the simulated device, and the patching of functions that take one."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from anychip.frontends.torch.tensor import DEVICE_TYPE

#: Device types of scripts that run here unchanged.
REDIRECTED = frozenset({"cuda", "xla", "neuron"})


def here() -> Any:
    """The simulated device."""
    return torch.device(DEVICE_TYPE, 0)


def accept_neuron() -> None:
    """``torch.device("neuron")`` names the simulated device, and ``torch.neuron`` answers for it.

    PyTorch's core knows no such device type. Its class of devices is replaced only for scripts that say
    ``neuron``; instances stay PyTorch's own.
    """
    plain: Any = torch.device
    if hasattr(torch, "neuron"):
        return

    class Devices(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, plain)

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            kind = args[0] if args else kwargs.get("type")
            if isinstance(kind, str) and kind.partition(":")[0] == "neuron":
                if kwargs.get("index") or args[1:]:
                    kind = f"neuron:{kwargs.get('index') or args[1]}"
                return translate(kind)
            return plain(*args, **kwargs)

    named = Devices("device", (), {"__module__": "torch", "__doc__": plain.__doc__})
    replace(torch, device=named, neuron=torch.cuda)


def translate(device: Any) -> Any:
    """A device argument that means a redirected device as the simulated one; anything else unchanged.

    Raises:
        RuntimeError: a second device, as CUDA says it on a machine with one.
    """
    if isinstance(device, torch.device):
        kind, index = device.type, device.index
    elif isinstance(device, str):
        kind, _, number = device.partition(":")
        index = int(number) if number.isdigit() else None
    elif isinstance(device, int) and not isinstance(device, bool):
        kind, index = "cuda", device
    else:
        return device
    if kind not in REDIRECTED:
        return device
    if index:
        raise RuntimeError(
            f"CUDA error: invalid device ordinal: {kind}:{index}, but one chip is simulated; use {kind}:0"
        )
    return here()


def with_device_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with its keyword argument ``device`` translated, and host memory pinned in name only."""

    @wraps(function)
    def redirected(*args: Any, **kwargs: Any) -> Any:
        device = kwargs.get("device")
        if device is not None:
            kwargs["device"] = translate(device)
        if "pin_memory" in kwargs:
            pinned = kwargs.pop("pin_memory")
            result = function(*args, **kwargs)
            if pinned and result.device.type == "cpu":
                result._anychip_pinned = True
            return result
        return function(*args, **kwargs)

    return redirected


def with_any_device(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with a device translated wherever it stands among the arguments after the first."""

    @wraps(function)
    def redirected(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], (str, torch.device, int)) and not isinstance(args[0], bool):
            args = (translate(args[0]), *args[1:])
        if kwargs.get("device") is not None:
            kwargs["device"] = translate(kwargs["device"])
        return function(self, *args, **kwargs)

    return redirected


def replace(owner: Any, **functions: Any) -> None:
    """Puts attributes into a module or class of PyTorch."""
    for name, function in functions.items():
        setattr(owner, name, function)
