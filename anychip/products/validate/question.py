"""What a published row asks, what became of rows that ask nothing, and a row beside its prediction."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite, log
from pathlib import Path
from typing import Any, Literal, NamedTuple

from anychip import chips
from anychip.chips import Chip
from anychip.errors import InvalidInput

#: Why a row is not replayed, by key of the mapping file.
REASONS: Mapping[str, str] = {
    "chip": "the chip, or which of several, is not in the catalogue",
    "workload": "the row does not say enough to build its workload",
    "scale": "a whole service, training run or cluster was measured, not calls on one chip",
    "measurement": "the number is not the full-speed time of that workload",
    "software": "kernels or formats of software that is not modelled",
}
Reason = Literal["chip", "workload", "scale", "measurement", "software"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A published number that can be predicted.

    Args:
        file: name of its file.
        line: in it.
        kind: class, the heading under which errors are counted.
        chip: name in the catalogue.
        dtype: format of operands.
        subject: the operator with its shape, or the model, for people.
        metric: what was measured.
        unit: of the number.
        measured: the number.
        family: of models, that leaves together with this one; empty for single operators.
        rate: whether a greater number is faster.
        short: so short that it says more about clocks than about chips: replayed, not counted in errors.
        workload: what is asked, the same on every chip; rows that share it rank chips.
        whole: what this is a part of, for people: parts of one whole on one chip are shown summed, too; empty
            for rows that stand alone.
    """

    file: str
    line: int
    kind: str
    chip: str
    dtype: str
    subject: str
    metric: str
    unit: str
    measured: float
    family: str = ""
    rate: bool = False
    short: bool = False
    workload: Hashable = field(default=None, repr=False)
    whole: str = ""


@dataclass(frozen=True, kw_only=True)
class Measured(Question):
    """A published number beside its prediction, in the same unit."""

    predicted: float

    @property
    def error(self) -> float:
        """Relative error on time (or watts, joules): + is too slow, also where rates were measured."""
        ratio = self.predicted / self.measured
        return 1 / ratio - 1 if self.rate else ratio - 1

    @property
    def log_ratio(self) -> float:
        """Natural logarithm of predicted over measured time."""
        ratio = log(self.predicted / self.measured)
        return -ratio if self.rate else ratio


_FIELDS = tuple(each.name for each in fields(Question))


def answered(question: Question, predicted: float) -> Measured:
    """The question with its prediction."""
    known: dict[str, Any] = {name: getattr(question, name) for name in _FIELDS}
    return Measured(**known, predicted=predicted)


class Excluded(NamedTuple):
    """A row that is not replayed.

    Args:
        file: its name.
        line: in it.
        kind: class it would have counted in.
        reason: one of `REASONS`.
        because: of this row.
    """

    file: str
    line: int
    kind: str
    reason: Reason
    because: str


class Broken(NamedTuple):
    """A row that cannot be read: which column, and what is wrong."""

    file: str
    line: int
    column: str
    complaint: str

    def __str__(self) -> str:
        return f"{self.file}: line {self.line}, column {self.column}: {self.complaint}"


class BrokenRow(InvalidInput):
    """A column of one row is missing or holds an impossible value."""

    def __init__(self, column: str, complaint: str) -> None:
        super().__init__(f"column {column}: {complaint}")
        self.column, self.complaint = column, complaint


class Out(Exception):
    """Control flow of readers: this row is excluded."""

    def __init__(self, reason: Reason, because: str, kind: str = "") -> None:
        super().__init__(because)
        self.reason: Reason = reason
        self.because, self.kind = because, kind


class Reading(NamedTuple):
    """All rows of a file, sorted.

    Args:
        questions: rows that can be predicted.
        excluded: rows with a reason.
        broken: rows that cannot be read.
        repeated: rows equal to an earlier one in every column: the same measurement, which counts once.
    """

    questions: list[Question]
    excluded: list[Excluded]
    broken: list[Broken]
    repeated: int = 0

    @property
    def empty(self) -> bool:
        """Whether the file had no rows."""
        return not (self.questions or self.excluded or self.broken)


ChipOf = Callable[[str], Chip]
#: Tells the user what is being done.
Tell = Callable[[str], None]


class Found(NamedTuple):
    """What a search found on the rows that remain.

    Args:
        change: puts the constants into a chip.
        decides: whether constants behind a row are among them; others keep the catalogue's.
    """

    change: Callable[[Chip], Chip]
    decides: Callable[[Question], bool]


#: Of a search without rows.
NOTHING_FOUND = Found(lambda chip: chip, lambda row: False)
#: From the rows that remain, and those that will be predicted, constants found without the rows left out.
Search = Callable[[Sequence[Question], Sequence[Question], Tell], Found]
Row = Mapping[str, str]


@dataclass(frozen=True)
class FileKind:
    """One kind of file.

    Args:
        name: section of the mapping file.
        columns: that a file of this kind has.
        read: one row to its question; raises `Out` or `BrokenRow`.
        predict: answers to questions of this kind. Rows that turn out to have none are left away.
        search: finds the constants that these questions were fitted with again; None if none were.
        review: looks at all questions of a file together; None if each stands alone.
    """

    name: str
    columns: tuple[str, ...]
    read: Callable[[str, Row, float], Question]
    predict: Callable[[Sequence[Question], ChipOf], tuple[list[Measured], list[Excluded]]]
    search: Search | None = None
    review: Callable[[Sequence[Question]], list[Question]] | None = None


def catalogue_chip(name: str) -> Chip:
    """A chip as it stands in the catalogue."""
    return chips.by_name(name)


#: Beyond any figure of a chip in any unit.
_SMALLEST, _GREATEST = 1e-15, 1e18


def text(row: Row, column: str) -> str:
    """What stands in a column that nothing can be said without.

    Raises:
        BrokenRow: it is empty.
    """
    found = row.get(column) or ""
    if not found:
        raise BrokenRow(column, "it is empty")
    return found


def number(row: Row, column: str, *, otherwise: float | None = None, least: float = 0.0) -> float:
    """A finite number greater than `least` (or equal, if that is not 0).

    Raises:
        BrokenRow: it is missing or impossible.
    """
    text = row.get(column) or ""
    if not text:
        if otherwise is None:
            raise BrokenRow(column, "it is empty")
        return otherwise
    try:
        value = float(text)
    except ValueError:
        raise BrokenRow(column, f'"{text}" is not a number') from None
    if not isfinite(value) or value < least or value <= 0:
        raise BrokenRow(
            column, f"{text} is impossible; it must be {f'{least:g} or more' if least else '> 0'}"
        )
    if not _SMALLEST < value < _GREATEST:
        raise BrokenRow(column, f"{text} is impossible; nothing is as {'small' if value < 1 else 'large'}")
    return value


def extent(row: Row, column: str, *, otherwise: int | None = None) -> int:
    """A whole number of 1 or more."""
    value = number(row, column, otherwise=otherwise, least=1)
    if value != int(value):
        raise BrokenRow(column, f"{row[column]} is not a whole number")
    return int(value)


def file_name(path: Path) -> str:
    """How a file is named in results."""
    return path.name
