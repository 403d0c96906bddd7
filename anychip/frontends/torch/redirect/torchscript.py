"""TorchScript: what a compiled function or a saved module says of CUDA holds for the simulated device.

TorchScript compiles device names into its graphs, where no patched function sees them; they are replaced.
Devices among a call's arguments are translated as everywhere. A module is saved with its tensors on the host,
and with the device's name beside them; a file written on a GPU is loaded onto the device.
"""

from __future__ import annotations

import copy
import os
import zipfile
from collections.abc import Iterator
from functools import wraps
from typing import Any

import torch

from anychip.frontends.torch.dispatch import DEVICE
from anychip.frontends.torch.redirect.names import REDIRECTED, here, replace, translate
from anychip.frontends.torch.tensor import DEVICE_TYPE

_SAVED_DEVICE = "anychip_device"
_types: Any = torch._C  # pyright: ignore


def install() -> None:
    """Puts it in force."""
    plain_script = torch.jit.script

    @wraps(plain_script)
    def script(obj: Any, optimize: Any = None, _frames_up: int = 0, *args: Any, **kwargs: Any) -> Any:
        # Names in a class are looked up in the frame that many calls above.
        compiled = plain_script(obj, optimize, _frames_up + 1, *args, **kwargs)
        _translate(compiled)
        return compiled

    replace(torch.jit, script=script)
    for kind in (_types.ScriptFunction, _types.ScriptMethod):
        kind.__call__ = _with_translated_arguments(kind.__call__)
    _files()


def _with_translated_arguments(call: Any) -> Any:
    def translated(self: Any, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(each, torch.device) for each in args):
            args = tuple(translate(each) if isinstance(each, torch.device) else each for each in args)
        if kwargs:
            kwargs = {
                name: translate(each) if isinstance(each, torch.device) else each
                for name, each in kwargs.items()
            }
        return call(self, *args, **kwargs)

    return translated


def _translate(compiled: Any) -> None:
    """Names of redirected devices in everything that was compiled."""
    if isinstance(compiled, torch.jit.ScriptModule):
        for module in compiled.modules():
            inner: Any = module._c  # pyright: ignore
            for name in inner._method_names():
                _translate_graph(inner._get_method(name).graph)
    elif isinstance(compiled, torch.jit.ScriptFunction):
        _translate_graph(compiled.graph)


def _translate_graph(graph: Any) -> None:
    for node in list(_nodes(graph)):
        kind = node.kind()
        if kind == "prim::Constant" and node.hasAttribute("value") and node.kindOf("value") == "s":
            name, _, index = node.s("value").partition(":")
            if name in REDIRECTED and (not index or index.isdigit()):
                translate(node.s("value"))  # a second device is an error
                node.s_("value", f"{DEVICE_TYPE}:{index}" if index else DEVICE_TYPE)
        elif kind == "prim::is_cuda":
            on_host = _inserted(graph, node, "prim::is_cpu", list(node.inputs()), "bool")
            elsewhere = _inserted(graph, node, "aten::__not__", [on_host.output()], "bool")
            node.output().replaceAllUsesWith(elsewhere.output())
            node.destroy()
        elif kind == "aten::cuda":
            device = _inserted(graph, node, "prim::Constant", [], "Device")
            device.s_("value", f"{DEVICE_TYPE}:0")
            nothing = _inserted(graph, node, "prim::Constant", [], "NoneType")
            no = _inserted(graph, node, "prim::Constant", [], "bool")
            no.i_("value", 0)
            arguments = [next(node.inputs()), *(each.output() for each in (device, nothing, no, no))]
            moved = _inserted(graph, node, "aten::to", arguments, None)
            moved.output().setType(node.output().type())
            node.output().replaceAllUsesWith(moved.output())
            node.destroy()


def _inserted(graph: Any, before: Any, kind: str, inputs: list[Any], type_name: str | None) -> Any:
    node = graph.create(kind, inputs, 1)
    if type_name == "bool":
        node.output().setType(_types.BoolType.get())
    elif type_name == "Device":
        node.output().setType(_types.DeviceObjType.get())
    elif type_name == "NoneType":
        node.output().setType(_types.NoneType.get())
    node.insertBefore(before)
    return node


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        for inner in node.blocks():
            yield from _nodes(inner)
        yield node


def _files() -> None:
    """``torch.jit.save`` and ``load``, with modules on the device."""
    module: Any = torch.jit.RecursiveScriptModule  # pyright: ignore
    plain_load = torch.jit.load
    plain_save, plain_to_buffer = module.save, module.save_to_buffer

    def save(self: Any, f: Any, _extra_files: Any = None) -> None:
        self, extra = _on_host(self, _extra_files)
        plain_save(self, str(f), _extra_files=extra)

    def save_to_buffer(self: Any, _extra_files: Any = None) -> bytes:
        self, extra = _on_host(self, _extra_files)
        return plain_to_buffer(self, _extra_files=extra)

    def load(f: Any, map_location: Any = None, _extra_files: Any = None, **options: Any) -> Any:
        target = None if map_location is None else translate(map_location)
        if target is None and _is_of_device(f):
            target = here()
        if target is None or torch.device(target).type != DEVICE_TYPE:
            loaded = plain_load(f, target, _extra_files, **options)
        else:
            loaded = plain_load(f, "cpu", _extra_files, **options).to(target)
        _translate(loaded)
        return loaded

    replace(torch.jit, load=load)
    replace(module, save=save, save_to_buffer=save_to_buffer)


def _on_host(module: Any, extra: Any) -> tuple[Any, dict[str, Any]]:
    """A copy of a compiled module on the host, and what is stored beside it."""
    extra = dict(extra or {})
    if all(tensor.device.type == "cpu" for tensor in (*module.parameters(), *module.buffers())):
        return module, extra
    recorder, DEVICE.recorder = DEVICE.recorder, None  # a file is written without a copy on the device
    try:
        with torch.no_grad():
            twin = copy.deepcopy(module)
    finally:
        DEVICE.recorder = recorder
    with torch.no_grad():
        return twin.to("cpu"), {**extra, _SAVED_DEVICE: str(DEVICE.shown)}


def _is_of_device(f: Any) -> bool:
    """Whether a file holds a module whose tensors were on a device that is simulated now."""
    start = f.tell() if hasattr(f, "tell") else None
    try:
        with zipfile.ZipFile(f if hasattr(f, "read") else os.fspath(f)) as archive:
            names = archive.namelist()
            if any(name.endswith(f"/extra/{_SAVED_DEVICE}") for name in names):
                return True
            tables = [name for name in names if name.endswith((".pkl",))]
            return any(b"cuda:" in archive.read(name) for name in tables)
    except (OSError, zipfile.BadZipFile):
        return False
    finally:
        if start is not None:
            f.seek(start)
