"""From rows to predictions, with constants as they are or found again without a chip or a model."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from anychip.chips import Chip
from anychip.errors import InvalidInput
from anychip.products.validate.held_out import searched_ahead, searched_gpu
from anychip.products.validate.question import (
    FileKind,
    Found,
    Measured,
    Question,
    Reading,
    Search,
    Tell,
    catalogue_chip,
)
from anychip.products.validate.report import Result

#: What can be left out of a search for constants.
AXES = ("chip", "model")


def validated(
    readings: Sequence[tuple[FileKind, Reading]],
    axis: str | None,
    tell: Tell,
    unknown: Sequence[str] = (),
    only: Sequence[str] = (),
) -> Result:
    """Predictions of every row that can be replayed.

    Args:
        readings: of the files.
        axis: of `AXES`: every row is predicted with constants that never saw its chip (or its model); None:
            with the catalogue's.
        tell: told what is being done.
        unknown: files that are of no kind.
        only: patterns of classes that are predicted; empty for all. Constants are searched on all rows that
            decide them, so that errors do not depend on what else is predicted.

    Raises:
        InvalidInput: a pattern fits no class.
    """
    rows: list[Measured] = []
    kept = 0
    excluded = [each for _, reading in readings for each in reading.excluded]
    broken = [each for _, reading in readings for each in reading.broken]
    every = [question for _, reading in readings for question in reading.questions]
    chosen = _chosen({each.kind: None for each in [*every, *excluded]}, every, only)
    excluded = [each for each in excluded if not only or each.kind in chosen]
    asked = [question for question in every if not only or _label(question) in chosen]
    parts = [None] if axis is None else sorted({part_of(question, axis) for question in asked} - {""})
    jobs = [_Job.of(readings, every, axis, part, chosen if only else None) for part in parts]
    # Parts that wait for searches in other processes come last.
    jobs.sort(key=lambda job: searched_gpu in job.searches)
    ahead = [(job.rest, job.asked) for job in jobs if searched_gpu in job.searches]
    with searched_ahead(ahead):
        for job in jobs:
            found = job.found(lambda what, part=job.part: tell(f"{what}, without {part}"))
            chip_of = _chips_from(found)
            kept += sum(not any(each.decides(row) for each in found) for row in job.asked)
            for kind, questions in job.mine:
                tell(f"{kind.name}: {len(questions):,} rows")
                done, out = kind.predict(questions, chip_of)
                rows += done
                excluded += out
    # Rows of no model: nothing can be left out for them.
    without = 0 if axis is None else sum(not part_of(question, axis) for question in asked)
    return Result(
        rows=sorted(rows, key=lambda row: (row.file, row.line)),
        excluded=excluded,
        broken=broken,
        unknown=unknown,
        repeated=sum(reading.repeated for _, reading in readings),
        axis=axis,
        without=without,
        kept=0 if axis is None else kept,
    )


def part_of(question: Question, axis: str) -> str:
    """The chip or the model of a row."""
    return question.chip if axis == "chip" else question.family


@dataclass(frozen=True, slots=True)
class _Job:
    """What is predicted with one set of constants.

    Args:
        part: that is left out; None: nothing is, and nothing is searched.
        mine: rows to predict, by kind of file.
        rest: rows that remain for the search.
    """

    part: str | None
    mine: Sequence[tuple[FileKind, Sequence[Question]]]
    rest: Sequence[Question]

    @classmethod
    def of(
        cls,
        readings: Sequence[tuple[FileKind, Reading]],
        every: Sequence[Question],
        axis: str | None,
        part: str | None,
        chosen: Container[str] | None,
    ) -> _Job:
        def wanted(each: Question) -> bool:
            return (part is None or part_of(each, axis or "") == part) and (
                chosen is None or _label(each) in chosen
            )

        mine = [(kind, [each for each in reading.questions if wanted(each)]) for kind, reading in readings]
        rest = [each for each in every if part is not None and part_of(each, axis or "") != part]
        return cls(part, [(kind, questions) for kind, questions in mine if questions], rest)

    @property
    def asked(self) -> list[Question]:
        """All rows to predict."""
        return [question for _, questions in self.mine for question in questions]

    @property
    def searches(self) -> list[Search]:
        """What finds the constants of these rows anew."""
        if self.part is None:
            return []
        return list(dict.fromkeys(kind.search for kind, _ in self.mine if kind.search is not None))

    def found(self, tell: Tell) -> list[Found]:
        """Constants found anew on the rows that remain."""
        return [search(self.rest, self.asked, tell) for search in self.searches]


def _label(question: Question) -> str:
    return f"{question.kind} {question.dtype}"


def _chosen(kinds: Iterable[str], questions: Iterable[Question], patterns: Sequence[str]) -> frozenset[str]:
    """Classes, alone and with their format, that fit a pattern: all of a class's, or one format's."""
    labels = {_label(each): each.kind for each in questions}
    known = [*dict.fromkeys(kinds), *labels]
    chosen: set[str] = set()
    for pattern in patterns:
        fitting = {name for name in known if fnmatchcase(name, pattern)}
        if not fitting:
            near = get_close_matches(pattern, known, 3, 0.3) or sorted(known)[:3]
            raise InvalidInput(f"--only {pattern}: no row is of that class; nearest: {'; '.join(near)}")
        chosen |= fitting | {label for label, kind in labels.items() if kind in fitting}
    return frozenset(chosen)


def _chips_from(found: Sequence[Found]) -> Callable[[str], Chip]:
    """Chips of the catalogue with constants found on the rows that remain."""
    made: dict[str, Chip] = {}

    def chip_of(name: str) -> Chip:
        if name not in made:
            chip = catalogue_chip(name)
            for each in found:
                chip = each.change(chip)
            made[name] = chip
        return made[name]

    return chip_of
