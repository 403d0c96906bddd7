"""``torch.compile`` as a marker: the function runs as it is, and its operators are one region for time.

The result is always right; a chip that compiles graphs fuses within the region.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from itertools import count
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from anychip.frontends.torch.places import STATE
from anychip.frontends.torch.redirect.names import replace, translate
from anychip.programs.graph import Region

_numbers = count()
#: Modes of `torch.compile` that launch whole regions at once.
_REPLAYING = ("reduce-overhead", "max-autotune")


def in_region(function: Callable[..., Any], mode: str | None = None) -> Callable[..., Any]:
    """`function` whose operators carry one region; a region inside another belongs to the outer.

    Args:
        function: whose operators they are.
        mode: of `torch.compile`; some modes replay what they compiled as a CUDA graph.
    """
    inside = Region(next(_numbers), replayed=mode in _REPLAYING)

    @wraps(function, updated=())
    def region(*args: Any, **kwargs: Any) -> Any:
        outer = STATE.region
        if outer is not None:
            return function(*args, **kwargs)
        STATE.region = inside
        try:
            return function(*args, **kwargs)
        finally:
            STATE.region = None

    return region


class CompiledModule(torch.nn.Module):
    """A module whose forward pass is a region; attributes and state are the module's."""

    def __init__(self, module: Any, mode: str | None = None) -> None:
        super().__init__()
        self._orig_mod = module
        self.training = module.training
        object.__setattr__(self, "_region", in_region(module.__call__, mode))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's own."""
        return self._region(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_orig_mod", "training") or name.startswith("_") or "_orig_mod" not in self._modules:
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __len__(self) -> int:
        return len(self._orig_mod)

    def train(self, mode: bool = True) -> Any:
        """Of the module too."""
        self._orig_mod.train(mode)
        return super().train(mode)


def compile_(model: Any = None, **options: Any) -> Any:
    """Stands for `torch.compile`: every option is accepted, none changes a result."""
    if model is None:
        return lambda function: compile_(function, **options)
    if isinstance(model, torch.nn.Module):
        return model if isinstance(model, CompiledModule) else CompiledModule(model, options.get("mode"))
    region = in_region(model, options.get("mode"))
    region._torchdynamo_orig_callable = model  # pyright: ignore
    return region


def _compile_module(self: Any, *args: Any, **kwargs: Any) -> None:
    self._compiled_call_impl = in_region(self._call_impl, kwargs.get("mode"))


def install() -> None:
    """Puts it in force."""
    torch.compile = compile_
    torch.nn.Module.compile = _compile_module
    _trace_on_the_chip()


def _trace_on_the_chip() -> None:
    """Tensors that `torch.export` and `FakeTensorMode` trace with lie on the chip where it says ``cuda``.

    PyTorch's core has no guard for CUDA here, and ends the process where autograd asks for one.
    """
    normalized = FakeTensor._normalize_fake_device  # pyright: ignore
    replace(FakeTensor, _normalize_fake_device=staticmethod(lambda device: normalized(translate(device))))
