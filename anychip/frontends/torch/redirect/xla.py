"""Stand-ins for `torch_xla` and `torch_neuronx`, so that scripts for those devices run.

They exist only for the script's own imports: a library that asks whether torch_xla is installed hears
the truth.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch

from anychip.frontends.torch.dispatch import DEVICE
from anychip.frontends.torch.places import USER, classify
from anychip.frontends.torch.redirect.compiled import in_region
from anychip.frontends.torch.redirect.names import replace

_ROOTS = ("torch_xla", "torch_neuronx")


def _device(*args: Any, **kwargs: Any) -> Any:
    return DEVICE.shown


def _mark_step(*args: Any, **kwargs: Any) -> None:
    if DEVICE.recorder is not None:
        DEVICE.recorder.cut("synchronize")


def _optimizer_step(optimizer: Any, barrier: bool = False, optimizer_args: Any = None, **kwargs: Any) -> Any:
    result = optimizer.step(**(optimizer_args or {}))
    _mark_step()
    return result


def _all_reduce(reduce_type: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
    return inputs


def _save(data: Any, path: Any, *args: Any, **kwargs: Any) -> None:
    torch.save(data, path)


class _Loader:
    """``MpDeviceLoader``: batches of a loader, on the device."""

    def __init__(self, loader: Any, device: Any, **kwargs: Any) -> None:
        self._loader, self._device_of = loader, device

    def __iter__(self) -> Any:
        for batch in self._loader:
            yield _moved(batch, self._device_of)
            _mark_step()

    def __len__(self) -> int:
        return len(self._loader)

    def per_device_loader(self, device: Any) -> Any:
        """The same batches."""
        return self


def _moved(batch: Any, device: Any) -> Any:
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if isinstance(batch, dict):
        moved = {key: _moved(value, device) for key, value in batch.items()}
        return type(batch)(**moved) if hasattr(batch, "to_tuple") else moved  # outputs of transformers
    if isinstance(batch, (list, tuple)):
        items = [_moved(value, device) for value in batch]
        return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
    return batch


class Traced(torch.nn.Module):
    """What ``torch_neuronx.trace`` gives: one compiled region, with host tensors in and out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model.to(DEVICE.shown)
        self.region: Any = in_region(model)

    def forward(self, *inputs: Any) -> Any:
        """The model's outputs, on the host."""
        outputs = self.region(*_moved(inputs, DEVICE.shown))
        return _moved(outputs, "cpu")

    def save(self, path: Any) -> None:
        """Writes it; ``torch.jit.load`` reads it again."""
        torch.save({_TRACED: self.model}, path)


_TRACED = "anychip traced model"


def _trace(model: Any, example_inputs: Any, **kwargs: Any) -> Any:
    """``torch_neuronx.trace``: the model as one compiled region."""
    return Traced(model)


def _traces_as_script() -> None:
    """``torch.jit.save`` and ``load`` take traced models too, as scripts for Neuron use them."""
    plain_save, plain_load = torch.jit.save, torch.jit.load

    def save(m: Any, f: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(m, Traced):
            m.save(f)
        else:
            plain_save(m, f, *args, **kwargs)

    def load(f: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return plain_load(f, *args, **kwargs)
        except RuntimeError:
            found = torch.load(f, weights_only=False)
            if not isinstance(found, dict) or _TRACED not in found:
                raise
            return Traced(found[_TRACED])

    replace(torch.jit, save=save, load=load)


def _memory(*args: Any) -> dict[str, int]:
    used, total = torch.cuda.memory_allocated(), torch.cuda.mem_get_info()[1]
    return {"bytes_used": used, "bytes_limit": total}


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes the stand-ins importable by ``import``, and invisible to ``importlib.util.find_spec``."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname.partition(".")[0] not in _ROOTS:
            return None
        frame = sys._getframe(1)  # pyright: ignore
        while frame is not None and "importlib" in frame.f_code.co_filename:
            if frame.f_code.co_name == "find_spec" and frame.f_globals.get("__name__") == "importlib.util":
                return None
            frame = frame.f_back
        if frame is not None and classify(frame.f_code) != USER:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: Any) -> ModuleType:
        DEVICE.shown = torch.device("xla", 0)
        return ModuleType(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        contents: dict[str, dict[str, Any]] = {
            "torch_xla": {
                "device": _device,
                "sync": _mark_step,
                "step": _Step,
                "compile": lambda function=None, **kwargs: in_region(function) if function else _Step(),
                "launch": lambda function, args=(), **kwargs: function(0, *args),
                "device_count": lambda: 1,
                "manual_seed": torch.manual_seed,
                "__version__": torch.__version__,
            },
            "torch_xla.core.xla_model": {
                "xla_device": _device,
                "mark_step": _mark_step,
                "wait_device_ops": _mark_step,
                "optimizer_step": _optimizer_step,
                "all_reduce": _all_reduce,
                "reduce_gradients": _nothing,
                "rendezvous": _nothing,
                "xla_device_hw": lambda *args: "NEURON",
                "get_memory_info": _memory,
                "all_gather": lambda value, *args, **kwargs: value,
                "broadcast_master_param": _nothing,
                "get_ordinal": lambda: 0,
                "get_local_ordinal": lambda: 0,
                "is_master_ordinal": lambda local=True: True,
                "xrt_world_size": lambda: 1,
                "master_print": print,
                "save": _save,
                "set_replication": _nothing,
                "get_xla_supported_devices": lambda *args: ["xla:0"],
                "set_rng_state": torch.set_rng_state,
                "get_rng_state": torch.get_rng_state,
                "mesh_reduce": lambda tag, data, reduce: reduce([data]),
                "add_step_closure": lambda closure, args=(), **kwargs: closure(*args),
                "REDUCE_SUM": "sum",
            },
            "torch_xla.runtime": {
                "world_size": lambda: 1,
                "global_ordinal": lambda: 0,
                "device_type": lambda: "NEURON",
                "initialize_cache": _nothing,
            },
            "torch_xla.distributed.parallel_loader": {"MpDeviceLoader": _Loader, "ParallelLoader": _Loader},
            "torch_xla.distributed.xla_multiprocessing": {
                "spawn": lambda function, args=(), **kwargs: function(0, *args)
            },
            "torch_xla.amp": {
                "autocast": lambda device, **kwargs: torch.autocast("xla", **kwargs),
                "GradScaler": torch.amp.grad_scaler.GradScaler,
            },
            "torch_xla.amp.syncfree": {
                "SGD": torch.optim.SGD,
                "Adam": torch.optim.Adam,
                "AdamW": torch.optim.AdamW,
            },
            "torch_xla.debug.metrics": {
                "metrics_report": lambda: "",
                "counter_names": list,
                "metric_names": list,
                "counter_value": _nothing,
                "metric_data": _nothing,
                "clear_all": _nothing,
            },
            "torch_neuronx": {
                "trace": _trace,
                "xla_device": _device,
                "DataParallel": lambda model, *args, **kwargs: model,
                "async_load": _nothing,
                "lazy_load": _nothing,
                "dynamic_batch": lambda model: model,
            },
        }
        replace(module, **contents.get(module.__name__, {}))
        module.__path__ = []  # pyright: ignore


class _Step:
    """``with torch_xla.step()``: a step of the device."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        _mark_step()


def install() -> None:
    """Puts it in force."""
    sys.meta_path.append(_Finder())
    _traces_as_script()
