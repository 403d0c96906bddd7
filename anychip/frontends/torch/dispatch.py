"""The one seam through which every operator on the device goes: unwrap, evaluate, wrap, record.

Two entrances lead here: `DeviceTensor.__torch_dispatch__`, and kernels registered for the device for calls
without a device tensor among their arguments (factories) or from inside C++ that skip Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from anychip.frontends.torch.memory import Storage
from anychip.frontends.torch.native import SEAM, connect
from anychip.frontends.torch.places import KINDS, current_place
from anychip.frontends.torch.plan import TENSOR, Keyword, Plan, forget_kernels, format_name, plan_of
from anychip.frontends.torch.recorder import Operand, Recorder
from anychip.frontends.torch.tensor import (
    DEVICE_TYPE,
    DeviceTensor,
    adopt_geometry,
    size_of,
    wrap,
)

#: Gives an overload's kernel in the arithmetic in force; None means PyTorch's own CPU kernel.
Handlers = Callable[[Any], Callable[..., Any] | None]


def host_order(operator: Any) -> None:
    """No operator has a kernel of the chip's: all run on the host's library."""
    return


class Device:
    """State of the simulated device: one per process.

    Attributes:
        recorder: who listens, or None.
        inner_device: where elements lie: ``cpu``, or ``meta`` when only time is asked for.
        handlers: chooses kernels.
        handle: the device as PyTorch's core knows it.
        shown: the device that programs see and error messages name.
        on_fetch: told of every tensor that crosses to the host, or None.
    """

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        self.inner_device = torch.device("cpu")
        self.handlers: Handlers = host_order
        self.handle: torch.device = torch.device("cpu")
        self.shown: torch.device = torch.device("cpu")
        self.on_fetch: Callable[[torch.Tensor], None] | None = None

    def use(self, handlers: Handlers, *, with_values: bool) -> None:
        """Computes with other kernels, or with none, from now on."""
        self.handlers = handlers
        self.inner_device = torch.device("cpu" if with_values else "meta")
        forget_kernels()


DEVICE = Device()


def dispatch(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
    """Runs one operator on the device.

    Raises:
        RuntimeError: host and device tensors are mixed, as on any accelerator.
    """
    plan = plan_of(operator)
    if plan.override is not None:
        return plan.override(plan, args, kwargs or {})
    if plan.is_view and type(args[0]) is DeviceTensor:
        return _view(plan, args, kwargs)
    return evaluate(plan, args, kwargs)


def _view(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
    base = args[0]
    return _view_results(plan.host(base.elements, *args[1:], **(kwargs or {})), base)


def _view_results(inner: Any, base: DeviceTensor) -> Any:
    if torch.is_inference_mode_enabled() and not base.is_inference():
        # In inference mode a view of an ordinary tensor is an ordinary tensor.
        with torch.inference_mode(mode=False):
            return _wrap_views(inner, base.memory)
    if type(inner) is torch.Tensor:
        return wrap(inner, base.memory, DEVICE.handle)
    return _wrap_views(inner, base.memory)


def _wrap_views(inner: Any, memory: Storage) -> Any:
    if isinstance(inner, torch.Tensor):
        return wrap(inner, memory, DEVICE.handle)
    return type(inner)(wrap(each, memory, DEVICE.handle) for each in inner)


def evaluate(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
    """Runs an operator that is no view: arguments, kernel, results, record."""
    operands: list[Operand] = []
    skeleton: list[Any] = []
    floats: list[Any] = []
    inner_args: list[Any] = []
    for argument in args:
        kind = type(argument)
        if kind is DeviceTensor:
            inner_args.append(argument.elements)
            operands.append((argument.memory.allocation, argument.geometry))
            skeleton.append(TENSOR)
        elif kind is float:
            inner_args.append(argument)
            skeleton.append(float)
            floats.append(argument)
        elif kind is int or argument is None or kind is bool:
            inner_args.append(argument)
            skeleton.append(argument)
        else:
            inner_args.append(_unwrap(plan, argument, operands, skeleton, floats))
    inner_kwargs: dict[str, Any] = {}
    to_host = False
    if kwargs:
        for name, argument in kwargs.items():
            if name == "device":
                to_host = argument is not None and argument.type != DEVICE_TYPE
                inner_kwargs[name] = argument if argument is None or to_host else DEVICE.inner_device
            elif name != "pin_memory":
                entry: list[Any] = []
                inner_kwargs[name] = _unwrap(plan, argument, operands, entry, floats)
                skeleton.append(Keyword((name, entry[0])))
    recorder = DEVICE.recorder
    place = 0 if recorder is None else current_place()
    kernel = plan.kernel
    if kernel is None:
        kernel = plan.kernel = DEVICE.handlers(plan.operator) or plan.host
    result = kernel(*inner_args, **inner_kwargs)
    if to_host:
        return result
    writes: list[Operand] = []
    if plan.in_place and args and type(args[0]) is DeviceTensor:
        result = args[0]
        writes.append((result.memory.allocation, result.geometry))
    elif plan.written:
        result = _written(plan, args, kwargs, result, writes, place)
    elif type(result) is torch.Tensor:
        result = _fresh(result, writes, place)
    elif isinstance(result, (tuple, list)):
        # PyTorch's functions name their results; what it asks of a device is a plain tuple.
        result = (tuple if isinstance(result, tuple) else list)(
            _fresh(each, writes, place) if isinstance(each, torch.Tensor) else each for each in result
        )
    elif recorder is not None and isinstance(result, (bool, int, float, complex)):
        recorder.append((plan, tuple(skeleton), floats, operands, (), place))
        recorder.to_host(1, "item")
        return result
    if recorder is not None and not plan.is_allocation:
        recorder.append((plan, tuple(skeleton), floats, operands, writes, place))
        if plan.needs_extent:
            recorder.to_host(8, "extent")
    return result


def _fresh(inner: torch.Tensor, writes: list[Operand], place: int) -> DeviceTensor:
    outer = wrap(inner, Storage(size_of(inner), KINDS[place], place), DEVICE.handle)
    writes.append((outer.memory.allocation, outer.geometry))
    return outer


def _written(
    plan: Plan,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
    result: Any,
    writes: list[Operand],
    place: int,
) -> Any:
    """Results of an operator that writes arguments: the same tensors, and fresh ones beside them."""
    count = len(args)
    for position in plan.written:
        target = args[position] if position < count else (kwargs or {}).get(plan.arguments[position])
        for each in target if isinstance(target, (list, tuple)) else (target,):
            if type(each) is DeviceTensor:
                if plan.resizes and (each.elements.shape != each.geometry[1] or plan.changes_geometry):
                    adopt_geometry(each)
                writes.append((each.memory.allocation, each.geometry))

    def result_of(index: int, inner: Any) -> Any:
        position = plan.returned[index] if index < len(plan.returned) else -1
        if position >= 0:
            return args[position] if position < count else (kwargs or {})[plan.arguments[position]]
        return _fresh(inner, writes, place) if isinstance(inner, torch.Tensor) else inner

    if result is None or not plan.returned:
        return None
    if isinstance(result, tuple):
        return tuple(result_of(index, inner) for index, inner in enumerate(result))
    return result_of(0, result)


def _unwrap(
    plan: Plan, argument: Any, operands: list[Operand], skeleton: list[Any], floats: list[Any]
) -> Any:
    """The less frequent kinds of argument."""
    kind = type(argument)
    if kind is DeviceTensor:
        operands.append((argument.memory.allocation, argument.geometry))
        skeleton.append(TENSOR)
        return argument.elements
    if kind is float:
        skeleton.append(float)
        floats.append(argument)
        return argument
    if kind is list or kind is tuple:
        if any(isinstance(each, torch.Tensor) for each in argument):
            return _unwrap_tensors(plan, argument, operands, skeleton)
        if argument and type(argument[0]) is float:
            skeleton.append((float, len(argument)))
            floats.append(tuple(argument))
        else:
            skeleton.append(tuple(argument))
        return argument
    if isinstance(argument, torch.Tensor):
        check_host_tensor(plan, argument)
        skeleton.append(("host", format_name(argument.dtype)))
        return argument
    if isinstance(argument, torch.Generator):
        skeleton.append(None)
        return argument
    skeleton.append(argument)
    return argument


def _unwrap_tensors(
    plan: Plan, argument: Any, operands: list[Operand], skeleton: list[Any]
) -> list[torch.Tensor | None]:
    inner: list[Any] = []
    on_device: list[bool] = []
    for each in argument:
        if type(each) is DeviceTensor:
            operands.append((each.memory.allocation, each.geometry))
            inner.append(each.elements)
        else:
            if each is not None:
                check_host_tensor(plan, each)
            inner.append(each)
        on_device.append(type(each) is DeviceTensor)
    if all(on_device):
        skeleton.append(("tensors", len(on_device)))
    else:
        skeleton.append(("tensors", sum(on_device), tuple(on_device)))
    return inner


def check_host_tensor(plan: Plan, argument: torch.Tensor) -> None:
    """Refuses a host tensor beside device tensors unless it is a single number.

    Raises:
        RuntimeError: in the words that other accelerators use.
    """
    if argument.dim() == 0 or plan.welcomes_host:
        return
    raise RuntimeError(
        "Expected all tensors to be on the same device, but found at least two devices, "
        f"{DEVICE.shown} and {argument.device}! (when checking arguments of {plan.name})"
    )


connect(
    DEVICE=DEVICE,
    TENSOR=TENSOR,
    Keyword=Keyword,
    plan_of=plan_of,
    unwrap=_unwrap,
    wrap_views=_view_results,
    is_inference=torch.is_inference_mode_enabled,
)
if not TYPE_CHECKING and SEAM is not None:
    dispatch, evaluate = SEAM.dispatch, SEAM.evaluate
