"""Saving and loading device tensors: a checkpoint holds plain tensors with a device as their location.

A checkpoint written here loads wherever PyTorch runs, and one written on a GPU loads here: in native mode
where ``map_location`` says ``anychip``, in redirected scripts wherever the file or the script says ``cuda``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
import torch._utils
import torch.serialization

from anychip.errors import NotModelled
from anychip.frontends.torch.dispatch import DEVICE
from anychip.frontends.torch.memory import Storage
from anychip.frontends.torch.storages import memory_of, moved, plain_over
from anychip.frontends.torch.tensor import DEVICE_TYPE, DeviceTensor, set_reduce, size_of, wrap

_BEFORE_CUDA = 5
_OWN = ("elements", "memory", "geometry", "_is_param")

#: Location names that mean this device; redirected scripts add those of the devices they were written for.
LOCATIONS: list[str] = [DEVICE_TYPE]


def _reduce(tensor: DeviceTensor) -> Any:
    """How a device tensor is pickled: as the plain tensor would be, with its storage marked."""
    utils: Any = torch._utils
    hooks: OrderedDict[Any, Any] = OrderedDict()
    if isinstance(tensor, torch.nn.Parameter):
        state = {name: value for name, value in vars(tensor).items() if name not in _OWN}
        plain = tensor.detach()
        if state:
            return utils._rebuild_parameter_with_state, (plain, tensor.requires_grad, hooks, state)
        return utils._rebuild_parameter, (plain, tensor.requires_grad, hooks)
    elements = tensor.elements
    if elements.is_meta:
        return shapes_of(elements, requires_grad=tensor.requires_grad, on_host=False)
    if elements.layout is not torch.strided:
        return elements.__reduce_ex__(2)
    geometry = (
        elements.storage_offset(),
        tuple(elements.shape),
        elements.stride(),
        tensor.requires_grad,
        hooks,
    )
    untyped = tensor.untyped_storage()
    if tensor.dtype in torch.storage._dtype_to_storage_type_map():  # pyright: ignore
        typed = torch.storage.TypedStorage(wrap_storage=untyped, dtype=tensor.dtype, _internal=True)
        return utils._rebuild_tensor_v2, (typed, *geometry)
    typed = torch.storage.TypedStorage(wrap_storage=untyped, dtype=torch.uint8, _internal=True)
    return utils._rebuild_tensor_v3, (typed, *geometry, tensor.dtype)


@dataclass
class Host:
    """Where tensors without values are put that were saved on the device."""

    wanted: bool = False


HOST = Host()
#: Makes the host's tensors without values from shapes; their room puts it here.
host_tensor: list[Callable[[torch.Tensor], Any]] = []


def shapes_of(elements: torch.Tensor, *, requires_grad: bool, on_host: bool) -> Any:
    """How a tensor without values is pickled."""
    return without_values, (elements.dtype, elements.shape, elements.stride(), requires_grad, on_host)


def without_values(
    dtype: torch.dtype, size: Any, stride: Any, requires_grad: bool, on_host: bool
) -> torch.Tensor:
    """What `shapes_of` described.

    Raises:
        NotModelled: values are computed now.
    """
    if DEVICE.inner_device.type != "meta":
        raise NotModelled("a checkpoint saved without values holds shapes only; run with values to save it")
    elements = torch.empty_strided(size, stride, dtype=dtype, device="meta")
    if on_host or HOST.wanted:
        return host_tensor[0](elements).requires_grad_(requires_grad)
    return wrap(elements, Storage(size_of(elements), "input"), DEVICE.handle).requires_grad_(requires_grad)


def _location_of(storage: Any) -> str | None:
    return str(DEVICE.shown) if memory_of(storage) is not None else None


def _restore(storage: Any, location: str) -> Any:
    if str(location).partition(":")[0] in LOCATIONS:
        return moved(storage)
    return None


def _rebuilt(
    storage: Any, dtype: torch.dtype, offset: int, size: Any, stride: Any, *, requires_grad: bool = False
) -> torch.Tensor:
    untyped = storage._untyped_storage
    plain = plain_over(untyped, dtype, offset, size, stride)
    if DEVICE.inner_device.type == "meta":
        plain = plain.to("meta")
    return wrap(plain, untyped.memory, DEVICE.handle).requires_grad_(requires_grad)


def register() -> None:
    """Puts it in force."""
    utils: Any = torch._utils
    rebuild, rebuild_v3 = utils._rebuild_tensor, utils._rebuild_tensor_v3

    @wraps(rebuild)
    def _rebuild_tensor(storage: Any, storage_offset: Any, size: Any, stride: Any) -> torch.Tensor:
        if memory_of(storage._untyped_storage) is None:
            return rebuild(storage, storage_offset, size, stride)
        return _rebuilt(storage, storage.dtype, storage_offset, size, stride)

    @wraps(rebuild_v3)
    def _rebuild_tensor_v3(
        storage: Any,
        storage_offset: Any,
        size: Any,
        stride: Any,
        requires_grad: Any,
        backward_hooks: Any,
        dtype: Any,
        metadata: Any = None,
    ) -> torch.Tensor:
        if memory_of(storage._untyped_storage) is None:
            return rebuild_v3(
                storage, storage_offset, size, stride, requires_grad, backward_hooks, dtype, metadata
            )
        tensor = _rebuilt(storage, dtype, storage_offset, size, stride, requires_grad=requires_grad)
        tensor._backward_hooks = backward_hooks
        return tensor

    utils._rebuild_tensor = _rebuild_tensor
    utils._rebuild_tensor_v3 = _rebuild_tensor_v3
    set_reduce(_reduce)
    torch.serialization.add_safe_globals([without_values])
    torch.serialization.register_package(_BEFORE_CUDA, _location_of, _restore)
