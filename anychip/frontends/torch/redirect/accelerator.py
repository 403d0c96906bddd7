"""PyTorch's names for whatever accelerator there is: `torch.accelerator`, `torch.Stream`, `torch.Event`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from anychip.frontends.torch.dispatch import DEVICE
from anychip.frontends.torch.redirect.graphs import CudaGraph
from anychip.frontends.torch.redirect.names import REDIRECTED, replace
from anychip.frontends.torch.streams import Event, Stream, current_stream
from anychip.frontends.torch.tensor import DEVICE_TYPE

_plain = (torch.Stream, torch.Event)


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None


def _means_the_chip(device: Any) -> bool:
    """Whether a stream or event asked for with this device belongs to the chip; without one, it does."""
    if device is None or isinstance(device, int):
        return True
    return torch.device(device).type in (DEVICE_TYPE, *REDIRECTED)


def _any_device(plain: Any, own: Any) -> Any:
    """A name for `plain` that makes the chip's `own` where that is meant; instances of both are its."""

    class AnyDevice(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, (plain, own))

        def __call__(cls, device: Any = None, *args: Any, **kwargs: Any) -> Any:
            if "stream_id" not in kwargs and _means_the_chip(device):
                return own(*args, **kwargs)
            return plain(*(() if device is None else (device,)), *args, **kwargs)

    return AnyDevice(plain.__name__, (), {"__module__": "torch", "__doc__": plain.__doc__})


def install(memory: dict[str, Any], synchronize: Callable[..., None], device_context: type) -> None:
    """Puts these in force.

    Args:
        memory: what answers questions about memory, by name in `torch.cuda`.
        synchronize: waits for the device.
        device_context: ``with torch.accelerator.device_index(0)``.
    """
    accelerator: Any = torch.accelerator
    names = "empty_cache memory_allocated max_memory_allocated memory_reserved max_memory_reserved"
    names += " memory_stats reset_peak_memory_stats reset_accumulated_memory_stats"
    replace(
        accelerator,
        is_available=lambda: True,
        device_count=lambda: 1,
        current_accelerator=lambda check_available=False: torch.device(DEVICE.shown.type),
        current_device_index=lambda: 0,
        current_device_idx=lambda: 0,
        set_device_index=_nothing,
        set_device_idx=_nothing,
        device_index=device_context,
        current_stream=current_stream,
        set_stream=_nothing,
        synchronize=synchronize,
        get_memory_info=memory["mem_get_info"],
        get_device_capability=_capability,
        empty_host_cache=_nothing,
        Graph=CudaGraph,
        **{name: memory[name] for name in names.split()},
    )
    stream, event = _plain
    replace(torch, Stream=_any_device(stream, Stream), Event=_any_device(event, Event))


def _capability(device: Any = None) -> dict[str, set[torch.dtype]]:
    """Types that operators take: all that the host's kernels do."""
    kinds = {value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    return {"supported_dtypes": {kind for kind in kinds if "q" not in str(kind)}}
