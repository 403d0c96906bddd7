"""Kinds of files with published measurements, recognised by their columns."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from anychip.errors import InvalidInput
from anychip.products.published_rows import BEYOND, published_columns, published_rows
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

_ADVICE = "give a file or folder with --data"
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


def files_of(data: Path) -> tuple[list[tuple[Path, FileKind]], list[str]]:
    """Files of a folder (or one file) with their kinds, and names of those that are of no kind.

    Raises:
        InvalidInput: nothing can be read, or a file that was named is of no kind.
    """
    if not data.is_dir():
        columns = published_columns(data, _ADVICE)
        kind = kind_of(columns)
        if kind is None:
            named = f"columns {', '.join(columns)} are" if columns else "it is empty, which is"
            raise InvalidInput(f"{data}: {named} of no kind that is known; nearest is {_nearest(columns)}")
        return [(data, kind)], []
    known: list[tuple[Path, FileKind]] = []
    others: list[str] = []
    for path in sorted(each for each in data.iterdir() if each.suffix.casefold() == ".csv"):
        # One bad file among many does not cost the others.
        try:
            kind = kind_of(published_columns(path, _ADVICE))
        except InvalidInput as error:
            others.append(str(error).removeprefix(f"{data}/"))
            continue
        if kind is None:
            others.append(path.name)
        else:
            known.append((path, kind))
    if not known:
        kinds = "; ".join(f"{kind.name}: {', '.join(kind.columns)}" for kind in KINDS)
        seen = f" ({'; '.join(others)})" if others else ""
        raise InvalidInput(f"{data}: no file of measurements in it{seen}; kinds and their columns: {kinds}")
    return known, others


def kind_of(columns: Iterable[str]) -> FileKind | None:
    """The kind of a file with these columns, None if they are of none."""
    have = set(columns)
    return next((kind for kind in KINDS if have.issuperset(kind.columns)), None)


def _nearest(columns: Iterable[str]) -> str:
    have = set(columns)
    kind = max(KINDS, key=lambda each: len(have & set(each.columns)) / len(each.columns))
    lacking = [name for name in kind.columns if name not in have]
    return f"{kind.name}, which also needs {', '.join(lacking)}"


def reading(path: Path, kind: FileKind, shortest_s: float) -> Reading:
    """Every row of a file: a question, an exclusion, broken, or another one's exact repetition."""
    questions: list[Question] = []
    excluded: list[Excluded] = []
    broken: list[Broken] = []
    seen: set[tuple[str, ...]] = set()
    repeated = 0
    for row in published_rows(path, kind.columns, _ADVICE):
        line = int(row["line"])
        fields = tuple(text for name, text in row.items() if name != "line")
        if fields in seen:
            repeated += 1
            continue
        seen.add(fields)
        try:
            if BEYOND in row:
                complaint = f'"{row[BEYOND]}" stands under no column; quote fields with commas in them'
                raise BrokenRow(f"{len(row) - 1}", complaint)
            questions.append(kind.read(path.name, row, shortest_s))
        except Out as out:
            where = out.kind or f"{kind.name} of no class"
            excluded.append(Excluded(path.name, line, where, out.reason, out.because))
        except BrokenRow as error:
            broken.append(Broken(path.name, line, error.column, error.complaint))
    if kind.review is not None:
        questions = kind.review(questions)
    return Reading(questions, excluded, broken, repeated)
