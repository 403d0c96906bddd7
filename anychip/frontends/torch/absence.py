"""Host tensors without values, for captures that ask for time alone.

A script builds its model on the host and then moves it. Of a model of 70 billion parameters not even that
may be allocated; so while no values are computed, large parameters, and very large tensors of PyTorch's
factories, have shape, type and strides on the host, and no elements. Initialisation does nothing to them, and
``.cuda()`` gives device tensors without values.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
import torch.jit._builtins as builtins

from anychip.frontends.torch.dispatch import DEVICE, dispatch
from anychip.frontends.torch.memory import Storage
from anychip.frontends.torch.moves import stand_in
from anychip.frontends.torch.plan import Plan, plan_of
from anychip.frontends.torch.serialization import host_tensor, shapes_of
from anychip.frontends.torch.tensor import COMPANIONS, DEVICE_TYPE, DeviceTensor, size_of, wrap

#: Smaller parameters keep their values: they cost nothing, and some are read.
_LARGE_BYTES = 1 << 20
#: From here on no factory allocates on the host; smaller tensors may well be data that the script looks at.
_HUGE_BYTES = 1 << 28
_FACTORIES = "empty zeros ones full rand randn randint normal empty_strided".split()
_HOST = torch.device("cpu")
_make_wrapper = torch.Tensor._make_wrapper_subclass  # pyright: ignore
_original_new = torch.nn.Parameter.__new__


class AbsentTensor(torch.Tensor):
    """A host tensor of which only shape, type and strides are known.

    Attributes:
        elements: the same on ``meta``.
    """

    elements: torch.Tensor

    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if DeviceTensor in types:
            return dispatch(func, args, kwargs)
        return _run(plan_of(func), args, kwargs or {})

    def data_ptr(self) -> int:
        """There is no address."""
        return 0

    def tolist(self) -> Any:
        """Zeros stand in."""
        stand_in("zeros for a tensor")
        return torch.zeros(self.shape, dtype=self.dtype).tolist()

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        return f"tensor(..., size={tuple(self.shape)}, dtype={self.dtype})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        if isinstance(self, torch.nn.Parameter):
            plain = absent(self.elements)
            return torch._utils._rebuild_parameter, (plain, self.requires_grad, OrderedDict())  # pyright: ignore
        return shapes_of(self.elements, requires_grad=self.requires_grad, on_host=True)

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        if id(self) not in memo:
            copy = absent(torch.empty_like(self.elements)).requires_grad_(self.requires_grad)
            if isinstance(self, torch.nn.Parameter):
                copy._is_param = True
            memo[id(self)] = copy
        return memo[id(self)]


COMPANIONS.add(AbsentTensor)


def absent(elements: torch.Tensor) -> Any:
    """A host tensor over a ``meta`` tensor."""
    outer = _make_wrapper(
        AbsentTensor,
        elements.shape,
        elements.stride(),
        elements.storage_offset(),
        None,
        elements.dtype,
        elements.layout,
        _HOST,
    )
    outer.elements = elements
    return outer


host_tensor.append(absent)


def _run(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if plan.name == "aten._local_scalar_dense.default":
        stand_in("0 for a number")
        return torch.zeros((), dtype=args[0].dtype).item()
    if plan.name == "aten.copy_.default" and type(args[0]) is not AbsentTensor:
        stand_in("zeros for a tensor")
        return args[0].zero_()
    device = kwargs.get("device")
    if device is not None and device.type not in (DEVICE_TYPE, "meta"):
        kwargs = {**kwargs, "device": torch.device("meta")}
    elif device is not None and device.type == DEVICE_TYPE:
        return _moved(plan, args, kwargs)
    kwargs = {name: _inner(value) for name, value in kwargs.items() if name != "pin_memory"}
    result = plan.operator(*[_inner(value) for value in args], **kwargs)
    if device is not None and device.type == "meta":
        return result
    if plan.written:
        return args[plan.written[0]]
    return _outer(result)


def _moved(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> DeviceTensor:
    kwargs = {name: value for name, value in kwargs.items() if name not in ("device", "pin_memory")}
    inner = plan.operator(*[_inner(value) for value in args], **kwargs)
    if DEVICE.recorder is not None:
        DEVICE.recorder.to_device(size_of(inner))
    return wrap(inner, Storage(size_of(inner), "input"), DEVICE.handle)


def _inner(value: Any) -> Any:
    if type(value) is AbsentTensor:
        return value.elements
    if isinstance(value, torch.Tensor) and value.dim() > 0:
        return value.to("meta")
    if isinstance(value, (list, tuple)):
        return type(value)([_inner(each) for each in value])
    return value


def _outer(result: Any) -> Any:
    if isinstance(result, torch.Tensor):
        return absent(result)
    if isinstance(result, (list, tuple)):
        return type(result)([_outer(each) for each in result])
    return result


def _new_parameter(cls: Any, data: Any = None, requires_grad: bool = True) -> Any:
    plain = type(data) is torch.Tensor and data.device == _HOST and data.layout is torch.strided
    if plain and data.numel() * data.element_size() >= _LARGE_BYTES:
        data = absent(torch.empty_like(data, device="meta"))
    return _original_new(cls, data, requires_grad)


def _made_absent(factory: Callable[..., Any]) -> Callable[..., Any]:
    """A factory whose very large host tensors have no values."""

    @functools.wraps(factory)
    def made(*args: Any, **kwargs: Any) -> Any:
        if _may_be_huge(args, kwargs) and torch.get_default_device() == _HOST:
            kept = {name: value for name, value in kwargs.items() if name not in ("generator", "pin_memory")}
            described = factory(*args, **{**kept, "device": "meta"})
            if size_of(described) >= _HUGE_BYTES:
                return absent(described).requires_grad_(bool(kwargs.get("requires_grad")))
        return factory(*args, **kwargs)

    return made


def _may_be_huge(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a factory may be asked for so much host memory, by the integers among its arguments."""
    device = kwargs.get("device")
    if kwargs.get("out") is not None or (device is not None and torch.device(device) != _HOST):
        return False
    elements = 1
    for each in (*args, kwargs.get("size", ())):
        extents = each if isinstance(each, (tuple, list)) else (each,)
        for extent in extents:
            if isinstance(extent, int):
                elements *= max(extent, 1)
    return elements * 16 >= _HUGE_BYTES


_original_factories: dict[str, Callable[..., Any]] = {}


def start() -> None:
    """From now on large parameters and very large tensors made on the host have no values.

    What selects by values selects everything: that is the largest extent there can be.
    """
    import_module("torch._meta_registrations")
    _select_all(True)
    register: Any = builtins._register_builtin  # pyright: ignore
    for name in _FACTORIES:
        factory = _original_factories[name] = getattr(torch, name)
        made = _made_absent(factory)
        register(made, f"aten::{name}")  # TorchScript compiles it as the operator
        setattr(torch, name, made)
    torch.nn.Parameter.__new__ = staticmethod(_new_parameter)


def _select_all(chosen: bool) -> None:
    """PyTorch's own choice for shapes without values: all elements are taken as not zero."""
    config: Any = import_module("torch.fx.experimental._config")
    config.meta_nonzero_assume_all_nonzero = chosen


def stop() -> None:
    """Parameters and factories have values again."""
    _select_all(False)
    for name, factory in _original_factories.items():
        setattr(torch, name, factory)
    _original_factories.clear()
    torch.nn.Parameter.__new__ = staticmethod(_original_new)
