"""Files that a script saves while no values are computed: they hold shapes, and do not outlive the run.

A checkpoint that lies there already may be worth hours of training, so it is left as it is; the script reads
back what it saved from memory. A file that was not there is written, since scripts move and copy their
checkpoints, and taken away at the end.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
from typing import Any

import torch

from anychip.frontends.torch import serialization

_plain_save, _plain_load = torch.save, torch.load
_written: set[str] = set()
_kept: dict[str, bytes] = {}


@functools.wraps(_plain_save)
def _save(obj: Any, f: Any, *args: Any, **kwargs: Any) -> None:
    if not isinstance(f, (str, os.PathLike)):
        _plain_save(obj, f, *args, **kwargs)
        return
    path = os.path.abspath(os.fspath(f))
    if path not in _written and os.path.exists(path):
        buffer = io.BytesIO()
        _plain_save(obj, buffer, *args, **kwargs)
        _kept[path] = buffer.getvalue()
        return
    _plain_save(obj, f, *args, **kwargs)
    _written.add(path)


@functools.wraps(_plain_load)
def _load(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
    if isinstance(f, (str, os.PathLike)):
        kept = _kept.get(os.path.abspath(os.fspath(f)))
        f = f if kept is None else io.BytesIO(kept)
    before, serialization.HOST.wanted = serialization.HOST.wanted, _is_host(map_location)
    try:
        return _original[1](f, map_location, *args, **kwargs)
    finally:
        serialization.HOST.wanted = before


def _is_host(map_location: Any) -> bool:
    """Whether `torch.load` is to put everything on the host."""
    return isinstance(map_location, (str, torch.device)) and torch.device(map_location).type == "cpu"


_original: tuple[Any, Any] = (_plain_save, _plain_load)


def start() -> None:
    """From now on checkpoints are of shapes."""
    global _original
    _original = (torch.save, torch.load)
    torch.save, torch.load = _save, _load


def stop() -> None:
    """Takes away what was written."""
    torch.save, torch.load = _original
    for path in _written:
        with contextlib.suppress(OSError):
            os.unlink(path)
    _written.clear()
    _kept.clear()
