"""Collectives on device tensors: the host's process group carries the elements, the recorder notes it."""

from __future__ import annotations

from typing import Any

import torch

from anychip.frontends.torch.dispatch import DEVICE
from anychip.frontends.torch.memory import Storage
from anychip.frontends.torch.places import KINDS, current_place
from anychip.frontends.torch.plan import Keyword, Plan, override_namespace
from anychip.frontends.torch.tensor import DeviceTensor, size_of, wrap
from anychip.operators.collectives import SHARDS

_NAMESPACES = ("c10d", "_c10d_functional")


def register() -> None:
    """Puts it in force."""
    for namespace in _NAMESPACES:
        override_namespace(namespace, run)


def run(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs a collective on the elements; results that are arguments stay those arguments."""
    outer: dict[int, DeviceTensor] = {}

    def unwrap(value: Any) -> Any:
        if type(value) is DeviceTensor:
            outer[id(value.elements)] = value
            return value.elements
        if isinstance(value, (list, tuple)):
            return type(value)([unwrap(each) for each in value])
        return value

    recorder = DEVICE.recorder
    place = 0 if recorder is None else current_place()
    fresh: list[DeviceTensor] = []

    def wrapped(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if id(value) in outer:
                return outer[id(value)]
            if not outer:
                return value
            made = wrap(value, Storage(size_of(value), KINDS[place], place), DEVICE.handle)
            fresh.append(made)
            return made
        if isinstance(value, (list, tuple)):
            return type(value)([wrapped(each) for each in value])
        return value

    inner_args = [unwrap(value) for value in args]
    inner_kwargs = {name: unwrap(value) for name, value in kwargs.items()}
    given = [(tensor.memory.allocation, tensor.geometry) for tensor in outer.values()]
    inner = plan.operator(*inner_args, **inner_kwargs)
    result = wrapped(inner)
    if outer and isinstance(inner, tuple) and isinstance(inner[-1], torch.ScriptObject):
        result = (*result[:-1], _finished(inner[-1], result[0]))
    if recorder is not None and outer:
        made = [(tensor.memory.allocation, tensor.geometry) for tensor in fresh]
        skeleton: list[Any] = [("tensors", len(given))]
        members = _members((*args, *kwargs.values()))
        if members:
            skeleton.append(Keyword(("members", members)))
        recorder.append((plan, tuple(skeleton), (), tuple(given), tuple(made or given), place))
    return result


def _finished(work: Any, results: Any) -> Any:
    """Work that is done and whose future gives the device's tensors: data parallelism copies from there.

    Args:
        work: of the host's process group, which knows the elements alone.
        results: the tensors, or one.
    """
    from torch._C._distributed_c10d import Work, _create_work_from_future  # pyright: ignore

    tensors = [results] if isinstance(results, torch.Tensor) else list(results)
    if DEVICE.inner_device.type != "meta":
        Work.unbox(work).wait()
    future: Any = torch.futures.Future()
    future.set_result(tensors)
    return _create_work_from_future(future).boxed()


def _members(arguments: tuple[Any, ...]) -> int:
    """Members of the group that a call names, 0 if it names none that is known."""
    for argument in arguments:
        if isinstance(argument, str) and argument.startswith(SHARDS):
            return int(argument.removeprefix(SHARDS))
    return 0
