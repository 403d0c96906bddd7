"""Kinds of files with published measurements, recognised by their columns."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from anychip.errors import InvalidInput
from anychip.products.published_rows import published_rows
from anychip.products.validate import (
    attention,
    kernels,
    layers,
    models,
    neuron,
    neuron_contradictions,
    neuron_search,
    operators,
    power,
)
from anychip.products.validate.held_out import searched_gpu
from anychip.products.validate.question import (
    Broken,
    BrokenRow,
    Excluded,
    FileKind,
    Out,
    Question,
    Reading,
)

#: Every kind; where the columns of several are there, the first holds.
KINDS: tuple[FileKind, ...] = (
    FileKind("operators", operators.COLUMNS, operators.read, operators.predict, searched_gpu),
    FileKind("attention", attention.COLUMNS, attention.read, attention.predict, searched_gpu),
    FileKind(
        "neuron",
        neuron.COLUMNS,
        neuron.read,
        neuron.predict,
        neuron_search.searched,
        neuron_contradictions.reviewed,
    ),
    FileKind("kernels", kernels.COLUMNS, kernels.read, kernels.predict),
    FileKind("power", power.COLUMNS, power.read, power.predict, power.searched),
    FileKind("layers", layers.COLUMNS, layers.read, operators.predict, searched_gpu),
    FileKind("models", models.COLUMNS, models.read, models.predict, searched_gpu),
)


def files_of(data: Path) -> tuple[list[tuple[Path, FileKind]], list[Path]]:
    """Files of a folder (or one file) with their kinds, and those that are of no kind.

    Raises:
        InvalidInput: nothing can be read, or a file that was named is of no kind.
    """
    if not data.is_dir():
        kind = kind_of(data)
        if kind is None:
            raise InvalidInput(
                f"{data}: columns {', '.join(_columns(data)) or 'none'} are of no kind that is known; "
                f"nearest is {_nearest(_columns(data))}"
            )
        return [(data, kind)], []
    known: list[tuple[Path, FileKind]] = []
    others: list[Path] = []
    for path in sorted(data.glob("*.csv")):
        kind = kind_of(path)
        if kind is None:
            others.append(path)
        else:
            known.append((path, kind))
    if not known:
        kinds = "; ".join(f"{kind.name}: {', '.join(kind.columns)}" for kind in KINDS)
        raise InvalidInput(f"{data}: no file of measurements in it; kinds and their columns: {kinds}")
    return known, others


def kind_of(path: Path) -> FileKind | None:
    """The kind of a file, None if its columns are of none."""
    columns = set(_columns(path))
    return next((kind for kind in KINDS if columns.issuperset(kind.columns)), None)


def _columns(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [name.strip() for name in next(csv.reader(file), [])]
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}; give a file or folder with --data") from error
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: not a text file; give CSV files with --data") from None


def _nearest(columns: Iterable[str]) -> str:
    have = set(columns)
    kind = max(KINDS, key=lambda each: len(have & set(each.columns)) / len(each.columns))
    lacking = [name for name in kind.columns if name not in have]
    return f"{kind.name}, which also needs {', '.join(lacking)}"


def reading(path: Path, kind: FileKind, shortest_s: float) -> Reading:
    """Every row of a file: a question, an exclusion, or broken."""
    questions: list[Question] = []
    excluded: list[Excluded] = []
    broken: list[Broken] = []
    for row in published_rows(path, kind.columns, "give it with --data"):
        line = int(row["line"])
        try:
            questions.append(kind.read(path.name, row, shortest_s))
        except Out as out:
            where = out.kind or f"{kind.name} of no class"
            excluded.append(Excluded(path.name, line, where, out.reason, out.because))
        except BrokenRow as error:
            broken.append(Broken(path.name, line, error.column, error.complaint))
    if kind.review is not None:
        questions = kind.review(questions)
    return Reading(questions, excluded, broken)
