"""Errors that arise while PyTorch's engine runs a backward pass.

The engine guards every backward node with a stream. When a Python error is pending, leaving that guard calls
back into Python and ends the process. So an error that would unwind through the engine is kept here, the
engine is stopped by an error of its own (or, after a hook, left to finish), and the kept one is raised.

Nodes run on the thread that asks for gradients: handing each pass to a thread of the device, as the engine
does for accelerators that run by themselves, would cost more than most of the operators.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

import torch

from anychip.frontends.torch.places import STATE

_current_node: Callable[[], Any] = torch._C._current_autograd_node  # pyright: ignore
_kept: list[BaseException] = []
#: Called when a backward pass that is not part of another has filled the gradients of leaves.
after_backward: list[Callable[[], None]] = []
#: Code of the function that enters the engine, PyTorch's own.
_engine_callers: set[CodeType] = set()


def is_called_by_engine(depth: int = 1) -> bool:
    """Whether the frame `depth` levels up is the one that entered the engine: no Python lies between."""
    try:
        caller = sys._getframe(depth)  # pyright: ignore[reportPrivateUsage]
    except ValueError:
        return True
    return caller.f_code in _engine_callers


def kept(error: BaseException) -> object:
    """Keeps the first error of a backward pass; what it returns is no tensor, which stops the engine."""
    if not _kept:
        _kept.append(error)
    return object()


def guarded(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A gradient hook whose error ends the backward pass and not the process."""

    @functools.wraps(hook)
    def called(*args: Any) -> Any:
        try:
            return hook(*args)
        except Exception as error:  # noqa: BLE001 - raised again when the engine has returned
            kept(error)
            return None

    return called


def register() -> None:
    """Lets backward passes raise what was kept."""
    run = torch.autograd.graph._engine_run_backward  # pyright: ignore

    @functools.wraps(run)
    def run_backward(*args: Any, **kwargs: Any) -> Any:
        modules, STATE.modules = STATE.modules, []  # what runs now belongs to the modules of the forward pass
        try:
            with torch.autograd.set_multithreading_enabled(False):
                result = run(*args, **kwargs)
        except RuntimeError as stopped:
            if not _kept:
                raise
            raise _kept.pop() from stopped.__cause__
        finally:
            STATE.modules = modules
            STATE.node = None  # the node of the last operator would keep a leaf and its gradient alive
        if _kept:
            raise _kept.pop()
        if kwargs.get("accumulate_grad") and _current_node() is None:
            for listener in after_backward:
                listener()
        return result

    _engine_callers.add(run.__code__)
    torch.autograd.graph._engine_run_backward = run_backward  # pyright: ignore
    torch.autograd._engine_run_backward = run_backward  # pyright: ignore
