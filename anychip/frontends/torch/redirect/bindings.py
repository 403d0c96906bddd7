"""What PyTorch's CUDA build has below `torch.cuda`: settings that scripts read and write, and the allocator.

`torch.cuda` and PyTorch's compiler call these by name as soon as a CUDA device is there; a CPU build has
none. Settings are kept and answered; the chip's timing does not depend on them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from types import SimpleNamespace
from typing import Any

import torch
import torch.backends.cuda
from torch.autograd import profiler

from anychip.frontends.torch.memory import LEDGER
from anychip.frontends.torch.places import PLACES
from anychip.frontends.torch.redirect.names import replace
from anychip.frontends.torch.streams import current_stream

#: (name of the getter, name of the setter, value at the start).
_SETTINGS: tuple[tuple[str, str, Any], ...] = (
    ("get_sync_debug_mode", "set_sync_debug_mode", 0),
    ("getMemoryFraction", "setMemoryFraction", 1.0),
    ("getMemoryMetadata", "setMemoryMetadata", ""),
    ("get_cudnn_benchmark_limit", "set_cudnn_benchmark_limit", 10),
    ("get_conv_benchmark_empty_cache", "set_conv_benchmark_empty_cache", False),
    ("getCublasWorkspaceSize", "setCublasWorkspaceSize", 4 << 20),
    ("getCublasLtWorkspaceSize", "setCublasLtWorkspaceSize", 32 << 20),
    ("cudaCachingAllocator_is_enabled", "cudaCachingAllocator_enable", True),
    ("tunableop_is_enabled", "tunableop_enable", False),
    ("tunableop_tuning_is_enabled", "tunableop_tuning_enable", True),
    ("record_untuned_is_enabled", "record_untuned_enable", False),
    ("tunableop_get_filename", "tunableop_set_filename", "tunableop_results.csv"),
    ("tunableop_get_max_tuning_duration", "tunableop_set_max_tuning_duration", 30),
    ("tunableop_get_max_tuning_iterations", "tunableop_set_max_tuning_iterations", 100),
    ("tunableop_get_rotating_buffer_size", "tunableop_set_rotating_buffer_size", 0),
)
#: Calls that have nothing to do here.
_IDLE = (
    "clearCublasWorkspaces resetCublasWorkspaceSize resetCublasLtWorkspaceSize record_memory_history "
    "record_memory_history_legacy resetAccumulatedHostMemoryStats resetPeakHostMemoryStats emptyCache "
    "resetAccumulatedMemoryStats attach_out_of_memory_observer setStream ipc_collect sleep"
).split()


class _AllocatorState:
    """The state of an allocator's pool, which only CUDA graphs of PyTorch's compiler make."""


class MemoryPool:
    """A named part of the device's memory; one ledger counts all of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.id = (0, id(self) & 0xFFFF)
        self.allocator = None

    def use_count(self) -> int:
        """Holders of the pool: whoever made it."""
        return 1

    def snapshot(self) -> list[Any]:
        """Segments; the ledger does not place memory in any."""
        return []


class _PlanCache:
    """The cache of plans of Fourier transforms, of every device: there are none to keep."""

    size, max_size = 0, 4096

    def __getitem__(self, device: Any) -> _PlanCache:
        return self

    def clear(self) -> None:
        """Nothing is kept."""


@contextlib.contextmanager
def _in_pool(pool: Any, device: Any = None) -> Generator[None]:
    yield


def _setting(name: str, start: Any) -> tuple[Callable[..., Any], Callable[..., None]]:
    kept = [start]

    def get(*args: Any) -> Any:
        return kept[0]

    def put(value: Any, *args: Any) -> None:
        kept[0] = value

    return get, put


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None


def _snapshot(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """What is allocated now, in the shape that PyTorch's viewer of memory reads."""
    LEDGER.settle()
    segments: list[dict[str, Any]] = []
    address = 0
    for allocation in LEDGER.live:
        size = allocation.size_bytes
        place = PLACES[allocation.place]
        file, _, line = place.source.rpartition(":")
        frames = [{"filename": file, "line": int(line or 0), "name": place.module}] if file else []
        block = {
            "address": address,
            "size": size,
            "requested_size": size,
            "state": "active_allocated",
            "frames": frames,
        }
        segments.append(
            {
                "device": 0,
                "address": address,
                "total_size": size,
                "allocated_size": size,
                "active_size": size,
                "requested_size": size,
                "stream": 0,
                "segment_type": "large",
                "segment_pool_id": (0, 0),
                "is_expandable": False,
                "frames": frames,
                "blocks": [block],
            }
        )
        address += size
    return {"segments": segments, "device_traces": [[]], "allocator_settings": {}, "external_annotations": []}


def _runtime() -> Any:
    """What `torch.cuda.cudart` gives: the few calls of the CUDA runtime that scripts make by hand."""
    success = SimpleNamespace(value=0, name="success")
    done = dict.fromkeys(
        ("cudaProfilerStart", "cudaProfilerStop", "cudaHostUnregister"), lambda *args: success
    )
    return SimpleNamespace(
        **done,
        cudaHostRegister=lambda pointer, size, flags: success,
        cudaStreamCreate=lambda pointer: success,
        cudaStreamDestroy=lambda pointer: success,
        cudaGetErrorString=lambda error: "no error",
        cudaMemGetInfo=lambda device=0: torch.cuda.mem_get_info(device),
        cudaError=SimpleNamespace(success=success),
    )


def _linear_algebra() -> Callable[..., Any]:
    """`torch.backends.cuda.preferred_linalg_library`: kept; the chip's kernels are what it has."""
    backends: Any = torch._C._LinalgBackend  # pyright: ignore
    names = {"default": backends.Default, "cusolver": backends.Cusolver, "magma": backends.Magma}
    kept = [backends.Default]

    def preferred(backend: Any = None) -> Any:
        if isinstance(backend, str):
            if backend not in names:
                raise RuntimeError(f"Unknown input value. Choose from: {', '.join(names)}.")
            backend = names[backend]
        if backend is not None:
            kept[0] = backend
        return kept[0]

    return preferred


def _profile_the_host() -> None:
    """`torch.profiler` sees the host's calls; the chip's times are in the report, not in CUDA's tracer."""
    plain = profiler.profile.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        kwargs["use_cuda"] = False
        if kwargs.get("use_device") is not None:
            kwargs["use_device"], kwargs["use_cpu"] = None, True
        plain(self, *args, **kwargs)

    profiler.profile.__init__ = __init__
    replace(profiler, emit_nvtx=lambda *args, **kwargs: contextlib.nullcontext())


_installed = False


def install() -> None:
    """Puts these in force, once."""
    global _installed
    if _installed:
        return
    _installed = True
    functions: dict[str, Any] = dict.fromkeys(_IDLE, _nothing)
    for getter, setter, start in _SETTINGS:
        functions[getter], functions[setter] = _setting(getter, start)
    functions |= {
        "getCurrentRawStream": lambda device=0: 0,
        "getAllocatorBackend": lambda: "native",
        "isHistoryEnabled": lambda: False,
        "memorySnapshot": _snapshot,
        "hostMemoryStats": dict,
        "checkPoolLiveAllocations": lambda *args: True,
        "tunableop_get_results": tuple,
        "tunableop_get_validators": tuple,
        "canDeviceAccessPeer": lambda a, b: False,
        "CUDAAllocator_AllocatorState": _AllocatorState,
    }
    core: Any = torch._C  # pyright: ignore
    replace(core, **{f"_cuda_{name}": function for name, function in functions.items()})
    replace(torch.cuda, MemPool=MemoryPool, use_mem_pool=_in_pool)
    replace(torch.cuda.memory, MemPool=MemoryPool, use_mem_pool=_in_pool)
    replace(torch.cuda, _cudart=_runtime(), get_stream_from_external=lambda *args: current_stream())
    replace(torch.backends.cuda, cufft_plan_cache=_PlanCache(), preferred_linalg_library=_linear_algebra())
    _profile_the_host()
