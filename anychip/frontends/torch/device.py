"""Makes ``anychip`` a device of PyTorch: the backend's registration, in pure Python."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import torch
from torch._library import simple_registry
from torch.optim import optimizer as optimizers  # pyright: ignore[reportAttributeAccessIssue]
from torch.utils import _foreach_utils, backend_registration

from anychip.errors import MissingTool
from anychip.frontends.torch import (
    attention,
    autocast,
    collectives,
    conversion,
    coverage,
    failures,
    flex,
    losses,
    moves,
    serialization,
    storages,
)
from anychip.frontends.torch.dispatch import DEVICE, dispatch
from anychip.frontends.torch.memory import LEDGER
from anychip.frontends.torch.native import SEAM, connect
from anychip.frontends.torch.streams import Event, Stream, current_stream, cut, in_stream
from anychip.frontends.torch.tensor import DEVICE_TYPE, DeviceTensor, set_dispatch

_NAMESPACES = ("aten::", "quantized::", "torchvision::")


class Backend:
    """What ``torch.anychip`` offers; the part of ``torch.cuda`` that PyTorch asks of every accelerator."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def current_device(self) -> int:
        return 0

    def set_device(self, device: Any) -> None:
        return None

    def device_count(self) -> int:
        return 1

    def synchronize(self, device: Any = None) -> None:
        cut("synchronize")

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16, torch.float32]

    def manual_seed(self, seed: int) -> None:
        torch.default_generator.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        """Nothing: operators draw from the host's generator, which `torch.manual_seed` seeds itself."""

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return torch.default_generator.get_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        torch.default_generator.set_state(state)

    def memory_allocated(self, device: Any = None) -> int:
        LEDGER.settle()
        return LEDGER.live_bytes

    def max_memory_allocated(self, device: Any = None) -> int:
        LEDGER.settle()
        return LEDGER.peak_bytes

    def reset_peak_memory_stats(self, device: Any = None) -> None:
        LEDGER.reset_peak()

    def empty_cache(self) -> None:
        return None

    Stream, Event = Stream, Event
    current_stream = default_stream = staticmethod(current_stream)
    stream = staticmethod(in_stream)

    def set_stream(self, stream: Any) -> None:
        return None

    def device(self, device: Any = None) -> Any:
        return contextlib.nullcontext()


_installed = False
_libraries: list[Any] = []


def install() -> None:
    """Registers the device with PyTorch; later calls do nothing.

    Raises:
        MissingTool: this PyTorch has no Python backends, or another backend holds the only slot.
    """
    global _installed
    if _installed:
        return
    setup = getattr(backend_registration, "_setup_privateuseone_for_python_backend", None)
    if setup is None:
        raise MissingTool(
            f"torch {torch.__version__}: cannot register a device from Python; install torch 2.13 or newer"
        )
    taken = torch._C._get_privateuse1_backend_name()  # pyright: ignore
    if taken not in ("privateuseone", DEVICE_TYPE):
        raise MissingTool(
            f'torch: the slot for outside devices is taken by "{taken}", and there is only one; '
            f"start a process that does not import {taken}'s package"
        )
    set_dispatch(dispatch)
    setup(DEVICE_TYPE, Backend())
    DEVICE.handle = DEVICE.shown = torch.device(DEVICE_TYPE, 0)
    moves.register()
    coverage.register()
    collectives.register()
    _register_kernels()
    autocast.register(_libraries)
    attention.register(_libraries)
    losses.register(_libraries)
    storages.register()
    flex.register()
    serialization.register()
    conversion.register()
    _register_lists()
    failures.register()
    _skip_rules()
    _installed = True


def _skip_rules() -> None:
    """PyTorch looks in its registry before each call; nobody registers rules for the device's own class."""
    if SEAM is not None:
        connect(find_rule=simple_registry.find_torch_dispatch_rule)
        simple_registry.find_torch_dispatch_rule = SEAM.find_rule


def _register_lists() -> None:
    """Optimizers and gradient clipping take lists of tensors in one call, by default, as on CUDA.

    PyTorch offers that only to tensors of exactly the classes that it lists; the device's name is among its
    devices already.
    """
    for module in (optimizers, _foreach_utils):
        supported = module._foreach_supported_types  # pyright: ignore
        if DeviceTensor not in supported:
            supported.append(DeviceTensor)


def _register_kernels() -> None:
    """Kernels for calls that reach the device without passing through `__torch_dispatch__`."""
    library = torch.library.Library("aten", "IMPL")
    _libraries.append(library)
    composite = torch._C._dispatch_has_kernel_for_dispatch_key  # pyright: ignore
    for name in torch._C._dispatch_get_all_op_names():  # pyright: ignore
        if not name.startswith("aten::") or composite(name, "CompositeImplicitAutograd"):
            continue
        base, _, overload = name.removeprefix("aten::").partition(".")
        operator = getattr(getattr(torch.ops.aten, base), overload or "default", None)
        if operator is None or composite(name, "CompositeExplicitAutograd"):
            continue
        library.impl(operator, _kernel(operator), "PrivateUse1")


def _kernel(operator: Any) -> Any:
    if SEAM is not None:
        return functools.partial(SEAM.kernel, operator)

    def kernel(*args: Any, **kwargs: Any) -> Any:
        return dispatch(operator, args, kwargs)

    return kernel
