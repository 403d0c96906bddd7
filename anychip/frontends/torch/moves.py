"""Operators that cross the border between host and device, or that change what a tensor shows."""

from __future__ import annotations

from typing import Any

import torch

from anychip.frontends.torch.dispatch import DEVICE, evaluate
from anychip.frontends.torch.memory import Storage
from anychip.frontends.torch.places import KINDS, current_place
from anychip.frontends.torch.plan import Plan, plan_of
from anychip.frontends.torch.tensor import DEVICE_TYPE, DeviceTensor, adopt_geometry, size_of, wrap

aten = torch.ops.aten


def _bytes_of(inner: torch.Tensor) -> int:
    return inner.numel() * inner.element_size() if inner.layout is torch.strided else size_of(inner)


def _to_copy(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    source = args[0]
    device = kwargs.get("device")
    if type(source) is DeviceTensor and device is not None and device.type != DEVICE_TYPE:
        if device.type == "meta":
            return aten._to_copy.default(source.elements, **kwargs)
        return _fetched(source, {k: v for k, v in kwargs.items() if k not in ("device", "non_blocking")})
    return evaluate(plan, args, {k: v for k, v in kwargs.items() if k != "non_blocking"})


def _fetched(source: DeviceTensor, kwargs: dict[str, Any]) -> torch.Tensor:
    """A copy on the host; without values a tensor of zeros stands in."""
    inner = source.elements
    if inner.is_meta:
        stand_in("zeros for a tensor")
        kept = {k: v for k, v in kwargs.items() if k in ("dtype",)}
        result = torch.zeros(inner.shape, dtype=kept.get("dtype") or inner.dtype)
    else:
        result = aten._to_copy.default(inner, **kwargs)
    if DEVICE.on_fetch is not None:
        DEVICE.on_fetch(result)
    if DEVICE.recorder is not None:
        DEVICE.recorder.to_host(_bytes_of(result), "to host")
    return result


def _copy_(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    target, source = args[0], args[1]
    if type(target) is DeviceTensor and type(source) is DeviceTensor:
        return evaluate(plan, (target, source), None)
    recorder = DEVICE.recorder
    if type(target) is DeviceTensor:
        if not target.elements.is_meta:
            target.elements.copy_(source)
        if target.memory.allocation.kind == "activation":
            target.memory.allocation.kind = "input"
        if recorder is not None:
            recorder.to_device(_bytes_of(target.elements))
        return target
    target.copy_(_fetched(source, {}))
    return target


def _copy_from(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _copy_(plan_of(aten.copy_.default), (args[1], args[0]), {})


def _local_scalar_dense(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    inner = args[0].elements
    if inner.is_meta:
        stand_in("0 for a number")
        value = inner.new_zeros((), device="cpu").item()
    else:
        value = plan.operator(inner)
        if DEVICE.on_fetch is not None:
            DEVICE.on_fetch(inner)
    if DEVICE.recorder is not None:
        DEVICE.recorder.to_host(inner.element_size(), "item")
    return value


def stand_in(what: str) -> None:
    """The program reads a value that a capture without values does not have; zero stands in."""
    if DEVICE.recorder is not None:
        DEVICE.recorder.note_stand_in(what, current_place())


def _set_(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``set_``: the tensor shows other memory from now on."""
    target = args[0]
    source = args[1] if len(args) > 1 else None
    inner_args = [a.elements if type(a) is DeviceTensor else a for a in args]
    if isinstance(source, torch.UntypedStorage) and getattr(source, "memory", None) is None:
        raise RuntimeError(
            f'Attempted to set the storage of a tensor on device "{DEVICE.shown}" to a storage on different '
            'device "cpu".  This is no longer allowed; the devices must match.'
        )
    plan.operator(*inner_args, **kwargs)
    if type(source) is DeviceTensor:
        target.memory = source.memory
    elif isinstance(source, torch.UntypedStorage):
        target.memory = source.memory  # pyright: ignore
    else:
        target.memory = Storage(0)
    adopt_geometry(target)
    return target


def _resize_(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    target = args[0]
    inner_args = [a.elements if type(a) is DeviceTensor else a for a in args]
    plan.operator(*inner_args, **kwargs)
    if size_of(target.elements) != target.memory.allocation.size_bytes:
        target.memory.resize(size_of(target.elements))
    adopt_geometry(target)
    return target


def _conjugated(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Conjugation and negation that are only noted in a flag are carried out: inner flags stay inside."""
    source = args[0]
    inner = plan.operator(source.elements)
    inner = inner.resolve_conj().resolve_neg()
    recorder = DEVICE.recorder
    place = 0 if recorder is None else current_place()
    outer = wrap(inner, Storage(size_of(inner), KINDS[place], place), DEVICE.handle)
    if recorder is not None:
        recorder.append(
            (
                plan,
                (),
                (),
                ((source.memory.allocation, source.geometry),),
                ((outer.memory.allocation, outer.geometry),),
                place,
            )
        )
    return outer


def _nothing(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return None


def _same_kind(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return type(args[0]) is type(args[1])


def _not_pinned(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return False


def register() -> None:
    """Puts these in force."""
    for operator, override in (
        (aten._to_copy.default, _to_copy),
        (aten.copy_.default, _copy_),
        (aten._copy_from.default, _copy_from),
        (aten._copy_from_and_resize.default, _copy_from),
        (aten._local_scalar_dense.default, _local_scalar_dense),
        (aten.set_.default, _set_),
        (aten.set_.source_Storage, _set_),
        (aten.set_.source_Storage_storage_offset, _set_),
        (aten.set_.source_Tensor, _set_),
        (aten.set_.source_Tensor_storage_offset, _set_),
        (aten.resize_.default, _resize_),
        (aten.resize_as_.default, _resize_),
        (aten._conj.default, _conjugated),
        (aten._neg_view.default, _conjugated),
        (aten.record_stream.default, _nothing),
        (aten.is_pinned.default, _not_pinned),
        (aten._has_compatible_shallow_copy_type.default, _same_kind),
    ):
        plan_of(operator).override = override
