"""Rows of files with published measurements."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from anychip.errors import InvalidInput


def published_rows(path: Path, columns: Sequence[str], advice: str) -> list[dict[str, str]]:
    """Rows of a CSV file, their line number under ``line``.

    Args:
        path: of the file.
        columns: that it must have; others may stand beside them.
        advice: what to do where it cannot be read.

    Raises:
        InvalidInput: the file cannot be read, or lacks columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", restkey="beyond")
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            rows = [dict(row) | {"line": str(reader.line_num)} for row in reader]
            found = reader.fieldnames or []
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}; {advice}") from error
    missing = [name for name in columns if name not in found]
    if missing:
        raise InvalidInput(f"{path}: columns {', '.join(missing)} are missing; it has {', '.join(found)}")
    return rows
