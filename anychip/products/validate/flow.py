"""From rows to predictions, with constants as they are or found again without a chip or a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from anychip.chips import Chip
from anychip.products.validate.question import (
    FileKind,
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
    readings: Sequence[tuple[FileKind, Reading]], axis: str | None, tell: Tell, unknown: Sequence[str] = ()
) -> Result:
    """Predictions of every row that can be replayed.

    Args:
        readings: of the files.
        axis: of `AXES`: every row is predicted with constants that never saw its chip (or its model); None:
            with the catalogue's.
        tell: told what is being done.
        unknown: files that are of no kind.
    """
    rows: list[Measured] = []
    excluded = [each for _, reading in readings for each in reading.excluded]
    broken = [each for _, reading in readings for each in reading.broken]
    asked = [question for _, reading in readings for question in reading.questions]
    parts = [None] if axis is None else sorted({part_of(question, axis) for question in asked} - {""})
    for part in parts:
        mine = [
            (kind, [each for each in reading.questions if part is None or part_of(each, axis or "") == part])
            for kind, reading in readings
        ]
        mine = [(kind, questions) for kind, questions in mine if questions]
        chip_of = catalogue_chip
        if part is not None:
            rest = [question for question in asked if part_of(question, axis or "") != part]
            chip_of = _chips_from(
                _searches([kind for kind, _ in mine]),
                rest,
                lambda what, part=part: tell(f"{what}, without {part}"),
            )
        for kind, questions in mine:
            tell(f"{kind.name}: {len(questions):,} rows")
            done, out = kind.predict(questions, chip_of)
            rows += done
            excluded += out
    # Rows of no model: nothing can be left out for them.
    without = 0 if axis is None else sum(not part_of(question, axis) for question in asked)
    how = "constants of the catalogue" if axis is None else f"no constant ever saw the row's {axis}"
    return Result(
        how, sorted(rows, key=lambda row: (row.file, row.line)), excluded, broken, unknown, axis, without
    )


def part_of(question: Question, axis: str) -> str:
    """The chip or the model of a row."""
    return question.chip if axis == "chip" else question.family


def _searches(kinds: Sequence[FileKind]) -> list[Search]:
    found: list[Search] = []
    for kind in kinds:
        if kind.search is not None and kind.search not in found:
            found.append(kind.search)
    return found


def _chips_from(searches: Sequence[Search], rest: Sequence[Question], tell: Tell) -> Callable[[str], Chip]:
    """Chips of the catalogue with constants found on the rows that remain."""
    changes = [search(rest, tell) for search in searches]
    made: dict[str, Chip] = {}

    def chip_of(name: str) -> Chip:
        if name not in made:
            chip = catalogue_chip(name)
            for change in changes:
                chip = change(chip)
            made[name] = chip
        return made[name]

    return chip_of
