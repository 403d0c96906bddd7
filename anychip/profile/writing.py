"""Reports into files: whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from anychip.errors import InvalidInput


def check_writable(path: Path) -> None:
    """Complains before a long run about a file that could not be written after it.

    Raises:
        InvalidInput: its folder does not exist, it is a folder, or permission is missing.
    """
    folder = path.parent
    if path.is_dir():
        raise InvalidInput(f"{path}: is a folder; name a file in it")
    if not folder.is_dir():
        raise InvalidInput(f"{path}: folder {folder} does not exist; create it first")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise InvalidInput(f"{path}: no permission to write there; choose another place")


def write_text(path: Path, chunks: Iterable[str]) -> None:
    """Writes a file beside its place and moves it there, so that nobody ever sees half of it.

    Args:
        path: replaced if it exists; a device or pipe is written to directly.
        chunks: of the text, in order.

    Raises:
        InvalidInput: the text could not be written, for instance because the disk is full; what was at
            `path` is still there.
    """
    direct = path.exists() and not path.is_file()
    target = path if direct else path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with target.open("w", encoding="utf-8") as stream:
                stream.writelines(chunks)
                if not direct:
                    stream.flush()
                    os.fsync(stream.fileno())
            if not direct:
                target.replace(path)
        finally:
            if not direct:
                with contextlib.suppress(OSError):
                    target.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidInput(
            f"{path}: {reason} while writing the report; nothing was left behind, name another place"
        ) from error
