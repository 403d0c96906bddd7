"""Errors that arise while PyTorch's engine runs a backward pass.

The engine guards every backward node with a stream. When a Python error is pending, leaving that guard calls
back into Python and ends the process. So an error that would unwind through the engine is kept here, the
engine is stopped by an error of its own (or, after a hook, left to finish), and the kept one is raised.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

_kept: list[BaseException] = []


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
        try:
            result = run(*args, **kwargs)
        except RuntimeError as stopped:
            if not _kept:
                raise
            raise _kept.pop() from stopped.__cause__
        if _kept:
            raise _kept.pop()
        return result

    torch.autograd.graph._engine_run_backward = run_backward  # pyright: ignore
    torch.autograd._engine_run_backward = run_backward  # pyright: ignore
