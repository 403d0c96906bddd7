"""Processes that a script starts: one process is simulated, and work of another would be lost in silence.

A launcher of a single process runs its function right here. In any other process the device answers every
operator with an error, and the script's own process ends with that error even if it never looks.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, NoReturn

import torch

from anychip.errors import NotModelled
from anychip.frontends.torch import device as device_module
from anychip.frontends.torch.dispatch import DEVICE
from anychip.frontends.torch.redirect.face import Face
from anychip.frontends.torch.tensor import DeviceTensor

_MESSAGE = (
    "a process that the script started uses the device, and its work would be lost: one process is "
    "simulated; start one rank (nprocs=1), or leave the device to the script's own process"
)


class WorkElsewhere(NotModelled, RuntimeError):
    """The device was used in a process that nobody records."""


class _Elsewhere:
    """The function of a process started afresh; arriving there closes the device."""

    def __init__(self, function: Callable[..., Any], face: Face, note: str) -> None:
        self._function, self._face, self._note = function, face, note

    def __reduce__(self) -> Any:
        return _arrive, (self._function, self._face, self._note)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)


def _arrive(function: Callable[..., Any], face: Face, note: str) -> Callable[..., Any]:
    from anychip.frontends.torch.redirect.install import redirect

    redirect(face)
    _close(note)
    return function


def _close(note: str) -> None:
    """From now on every operator on the device is refused in this process."""
    DEVICE.recorder = None

    refuse = _refusal(note)
    device_module.dispatch = refuse
    DeviceTensor.__torch_dispatch__ = staticmethod(refuse)  # pyright: ignore


def _refusal(note: str) -> Callable[..., NoReturn]:
    """What answers work of another process: an error, and a note for the process that the user started."""

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        with contextlib.suppress(OSError):
            Path(note).touch()
        raise WorkElsewhere(_MESSAGE)

    return refuse


class _Finished:
    """What `torch.multiprocessing.spawn` gives when it does not wait."""

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """The function has returned already."""
        return True


def install(face: Face) -> None:
    """Puts it in force."""
    face = replace(face, clock_s=time.perf_counter)  # the simulated clock stays in this process
    note = os.path.join(tempfile.gettempdir(), f"anychip-work-elsewhere-{os.getpid()}")
    _install_note(note)
    ForkingPickler.register(DeviceTensor, _refusal(note))  # a tensor on its way to another process
    plain_start = BaseProcess.start
    launchers: Any = torch.multiprocessing
    plain_spawn = launchers.spawn

    def start(self: Any) -> None:
        function = self._target
        fresh = getattr(self, "_start_method", None) or torch.multiprocessing.get_start_method()
        if function is not None and fresh != "fork" and not isinstance(function, _Elsewhere):
            self._target = _Elsewhere(function, face, note)
        plain_start(self)

    def spawn(fn: Any, args: Any = (), nprocs: int = 1, join: bool = True, **options: Any) -> Any:
        if nprocs != 1:
            return plain_spawn(fn, args, nprocs, join, **options)
        fn(0, *args)
        return None if join else _Finished()

    BaseProcess.start = start
    launchers.spawn = spawn
    os.register_at_fork(after_in_child=lambda: _close(note) if DEVICE.recorder is not None else None)


_note = ""


def _install_note(note: str) -> None:
    global _note
    _note = note


def work_elsewhere(script: str) -> WorkElsewhere | None:
    """The error of a script of which a process of its own used the device; None if none did."""
    if not _note or not os.path.exists(_note):
        return None
    with contextlib.suppress(OSError):
        os.unlink(_note)
    return WorkElsewhere(f"{script}: {_MESSAGE}")
