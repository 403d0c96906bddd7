"""Rows of files with published measurements."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from anychip.errors import InvalidInput

#: What stands under no column of a row, each field beside the column's number from 1.
BEYOND = "\n"
#: Between columns; spreadsheets of many countries write semicolons, copied tables tabs.
_DELIMITERS = ",;\t"


def published_columns(path: Path, advice: str) -> list[str]:
    """Names of a CSV file's columns; none if it is empty.

    Args:
        path: of the file.
        advice: what to do where it cannot be read.

    Raises:
        InvalidInput: it is no text in UTF-8, or names a column twice.
    """
    with _opened(path, advice) as file:
        return _header(path, file)[0]


def published_rows(path: Path, columns: Sequence[str], advice: str) -> list[dict[str, str]]:
    """Rows of a CSV file, their line number under ``line``, blanks round fields left away.

    Fields that stand under no column are joined under `BEYOND`; fields that are missing are empty.

    Args:
        path: of the file.
        columns: that it must have; others may stand beside them.
        advice: what to do where it cannot be read.

    Raises:
        InvalidInput: the file cannot be read, or lacks columns.
    """
    with _opened(path, advice) as file:
        found, delimiter, before = _header(path, file)
        missing = [name for name in columns if name not in found]
        if missing:
            raise InvalidInput(f"{path}: columns {', '.join(missing)} are missing; it has {', '.join(found)}")
        return list(_rows(path, file, found, delimiter, before))


def _rows(
    path: Path, file: Iterable[str], names: Sequence[str], delimiter: str, before: int
) -> Iterator[dict[str, str]]:
    reader = csv.reader(file, delimiter=delimiter)
    try:
        for fields in reader:
            stripped = [field.strip() for field in fields]
            if not any(stripped):
                continue
            row = dict.fromkeys(names, "") | dict(zip(names, stripped, strict=False))
            beyond = delimiter.join(stripped[len(names) :])
            if beyond.strip(delimiter):
                row[BEYOND] = beyond
            yield row | {"line": str(before + reader.line_num)}
    except csv.Error as error:
        raise InvalidInput(f"{path}: line {before + reader.line_num}: {error}") from None


@contextmanager
def _opened(path: Path, advice: str) -> Generator[TextIO]:
    """The file, with characters that are no UTF-8 replaced: one in a remark does not cost the rows."""
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            yield file
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}; {advice}") from error


def _header(path: Path, file: TextIO) -> tuple[list[str], str, int]:
    """Names of columns, what stands between them, and lines up to the first row."""
    before = 0
    for line in file:
        before += 1
        if "\0" in line or "\N{REPLACEMENT CHARACTER}" in line:
            raise InvalidInput(f"{path}: no text in UTF-8; save it as CSV in UTF-8")
        if line.strip():
            delimiter = max(_DELIMITERS, key=line.count)
            names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
            twice = [name for name, count in Counter(filter(None, names)).items() if count > 1]
            if twice:
                raise InvalidInput(
                    f"{path}: column {', '.join(twice)} stands more than once in line {before}"
                )
            return names, delimiter, before
    return [], ",", before
