"""What `torch.cuda` and `torch.accelerator` answer: one chip, its memory, its simulated clock."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
import torch.cuda.random

from anychip.errors import NotModelled
from anychip.frontends.torch.memory import LEDGER
from anychip.frontends.torch.redirect import accelerator, bindings, graphs
from anychip.frontends.torch.redirect.face import Face
from anychip.frontends.torch.redirect.names import replace, translate
from anychip.frontends.torch.redirect.tensors import LegacyType
from anychip.frontends.torch.streams import Event, Stream, current_stream, cut, in_stream

_LEGACY = {
    "FloatTensor": torch.float32,
    "DoubleTensor": torch.float64,
    "HalfTensor": torch.float16,
    "BFloat16Tensor": torch.bfloat16,
    "LongTensor": torch.int64,
    "IntTensor": torch.int32,
    "ShortTensor": torch.int16,
    "CharTensor": torch.int8,
    "ByteTensor": torch.uint8,
    "BoolTensor": torch.bool,
}


class _DeviceContext:
    """``with torch.cuda.device(0)``."""

    def __init__(self, device: Any = None) -> None:
        translate(device)
        self.idx = 0

    def __enter__(self) -> _DeviceContext:
        return self

    def __exit__(self, *error: object) -> None:
        return None


@contextlib.contextmanager
def _nothing(*args: Any, **kwargs: Any) -> Generator[None]:
    yield


def _no_operation(*args: Any, **kwargs: Any) -> None:
    return None


def _sensor(name: str) -> Any:
    def read(device: Any = None) -> int:
        raise NotModelled(
            f"torch.cuda.{name}: a simulated chip has no sensors to read while the script runs; "
            "the report gives time, power and energy"
        )

    return read


def _memory_functions(face: Face) -> dict[str, Any]:
    def allocated(device: Any = None) -> int:
        LEDGER.settle()
        return LEDGER.live_bytes

    def peak(device: Any = None) -> int:
        LEDGER.settle()
        return LEDGER.peak_bytes

    def reset(device: Any = None) -> None:
        LEDGER.reset_peak()

    def info(device: Any = None) -> tuple[int, int]:
        return max(0, face.memory_bytes - allocated()), face.memory_bytes

    def stats(device: Any = None) -> dict[str, Any]:
        live, most = allocated(), peak()
        values: dict[str, Any] = {}
        for name in ("allocated_bytes", "active_bytes", "reserved_bytes", "requested_bytes"):
            values |= {
                f"{name}.all.current": live,
                f"{name}.all.peak": most,
                f"{name}.all.allocated": LEDGER.allocated_bytes,
                f"{name}.all.freed": LEDGER.allocated_bytes - live,
            }
        values |= {"num_alloc_retries": 0, "num_ooms": 0, "allocation.all.current": len(LEDGER.live)}
        values |= {"allocation.all.allocated": LEDGER.allocations}
        # One ledger without blocks: nothing lies idle inside what is reserved.
        return values | {f"inactive_split_bytes.all.{name}": 0 for name in ("current", "peak")}

    def nested(device: Any = None) -> dict[str, Any]:
        root: dict[str, Any] = {}
        for name, value in stats().items():
            *path, last = name.split(".")
            branch = root
            for step in path:
                branch = branch.setdefault(step, {})
            branch[last] = value
        return root

    def summary(device: Any = None, abbreviated: bool = False) -> str:
        return (
            f"{face.name}: {allocated():,} bytes allocated, {peak():,} at the peak, of {face.memory_bytes:,}"
        )

    return {
        "memory_allocated": allocated,
        "max_memory_allocated": peak,
        "memory_reserved": allocated,
        "max_memory_reserved": peak,
        "memory_cached": allocated,
        "max_memory_cached": peak,
        "reset_peak_memory_stats": reset,
        "reset_max_memory_allocated": reset,
        "reset_max_memory_cached": reset,
        "reset_accumulated_memory_stats": _no_operation,
        "memory_stats": stats,
        "memory_stats_as_nested_dict": nested,
        "memory_summary": summary,
        "memory_snapshot": list,
        "mem_get_info": info,
        "empty_cache": _no_operation,
        "ipc_collect": _no_operation,
    }


def _random_functions() -> dict[str, Any]:
    generator = torch.default_generator

    def get_state(device: Any = "cuda") -> torch.Tensor:
        return generator.get_state()

    def set_state(new_state: torch.Tensor, device: Any = "cuda") -> None:
        generator.set_state(new_state.cpu())

    def set_states(new_states: Any) -> None:
        for state in new_states:
            set_state(state)

    def manual_seed(seed: int) -> None:
        generator.manual_seed(int(seed))

    return {
        "get_rng_state": get_state,
        "set_rng_state": set_state,
        "get_rng_state_all": lambda: [generator.get_state()],
        "set_rng_state_all": set_states,
        "manual_seed": manual_seed,
        "manual_seed_all": manual_seed,
        "seed": lambda: generator.seed(),
        "seed_all": lambda: generator.seed(),
        "initial_seed": lambda: generator.initial_seed(),
    }


def _properties(face: Face) -> Any:
    return SimpleNamespace(
        name=face.name,
        major=face.capability[0],
        minor=face.capability[1],
        total_memory=face.memory_bytes,
        multi_processor_count=face.processors,
        is_integrated=False,
        is_multi_gpu_board=False,
        max_threads_per_multi_processor=2048,
        regs_per_multiprocessor=65536,
        warp_size=32,
        shared_memory_per_block=49152,
        shared_memory_per_block_optin=166912,
        shared_memory_per_multiprocessor=167936,
        L2_cache_size=0,
        gcnArchName=face.name,
        uuid="00000000-0000-0000-0000-000000000000",
    )


def install(face: Face) -> None:
    """Puts these in force."""
    replace(Event, clock_s=staticmethod(face.clock_s))
    cuda: Any = torch.cuda
    properties = _properties(face)
    memory, random = _memory_functions(face), _random_functions()

    def synchronize(device: Any = None) -> None:
        translate(device)
        cut("synchronize")

    def set_device(device: Any) -> None:
        translate(device)

    def get_properties(device: Any = None) -> Any:
        translate(device)
        return properties

    replace(
        cuda,
        is_available=lambda: True,
        is_initialized=lambda: True,
        _is_in_bad_fork=lambda: False,
        init=_no_operation,
        _lazy_init=_no_operation,
        _lazy_call=lambda function, **kwargs: function(),
        device_count=lambda: 1,
        _device_count_nvml=lambda: 1,
        current_device=lambda: 0,
        set_device=set_device,
        device=_DeviceContext,
        device_of=_DeviceContext,
        _DeviceGuard=_DeviceContext,
        get_device_name=lambda device=None: face.name,
        get_device_properties=get_properties,
        get_device_capability=lambda device=None: face.capability,
        get_arch_list=lambda: [f"sm_{face.capability[0]}{face.capability[1]}"],
        get_gencode_flags=lambda: "",
        can_device_access_peer=lambda a, b: False,
        is_bf16_supported=lambda including_emulation=True: including_emulation or face.capability >= (8, 0),
        is_tf32_supported=lambda: face.capability >= (8, 0),
        synchronize=synchronize,
        Stream=Stream,
        ExternalStream=Stream,
        Event=Event,
        stream=in_stream,
        StreamContext=in_stream,
        current_stream=current_stream,
        default_stream=current_stream,
        set_stream=_no_operation,
        utilization=lambda device=None: 0,
        device_memory_used=memory["memory_allocated"],
        **{name: _sensor(name) for name in ("temperature", "power_draw", "clock_rate", "memory_usage")},
        default_generators=(torch.default_generator,),
        **memory,
        **random,
    )
    replace(torch.cuda.random, **random)
    replace(torch.cuda.memory, **memory)
    graphs.install()
    bindings.install()
    for name, dtype in _LEGACY.items():
        setattr(cuda, name, LegacyType(name, dtype))
    cuda.nvtx = _nvtx()
    torch.backends.cudnn.is_acceptable = lambda tensor: False
    torch.backends.cudnn.is_available = lambda: True
    torch.backends.cudnn.version = lambda: 91002
    torch.backends.cuda.is_built = lambda: True
    accelerator.install(memory, synchronize, _DeviceContext)


def _nvtx() -> Any:
    module: Any = ModuleType("torch.cuda.nvtx")
    replace(
        module,
        range=_nothing,
        range_push=lambda message: 0,
        range_pop=lambda: 0,
        range_start=lambda message: 0,
        range_end=_no_operation,
        mark=_no_operation,
        annotate=lambda *args, **kwargs: contextlib.nullcontext(),
    )
    return module
