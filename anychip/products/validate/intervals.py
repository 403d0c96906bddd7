"""How far predictions may be off: 80 % intervals from the errors on other chips, and whether they hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp
from statistics import quantiles

from anychip.products.validate.question import Measured

#: Rows that an interval needs.
_FEWEST = 20


@dataclass(frozen=True, slots=True)
class Interval:
    """Factors between measured and predicted time that held eight of ten rows.

    Args:
        kind: class of operators.
        dtype: of operands.
        low: a measurement may be this much of the prediction.
        high: or this much.
        held: share of the rows of chips left out that lay inside the interval of the other chips.
        rows: counted.
        chips: that had enough rows.
    """

    kind: str
    dtype: str
    low: float
    high: float
    held: float
    rows: int
    chips: int


def intervals(rows: Iterable[Measured]) -> list[Interval]:
    """Of every class and format that at least two chips were measured in."""
    groups: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        if row.short:
            continue
        groups.setdefault((row.kind, row.dtype), {}).setdefault(row.chip, []).append(-row.log_ratio)
    made: list[Interval] = []
    for (kind, dtype), by_chip in sorted(groups.items()):
        enough = {chip: errors for chip, errors in by_chip.items() if len(errors) >= _FEWEST}
        if len(enough) < 2:
            continue
        inside = total = 0
        for chip, errors in enough.items():
            low, high = _tails([e for other, mine in enough.items() if other != chip for e in mine])
            inside += sum(low <= error <= high for error in errors)
            total += len(errors)
        low, high = _tails([error for errors in enough.values() for error in errors])
        made.append(Interval(kind, dtype, exp(low), exp(high), inside / total, total, len(enough)))
    return made


def _tails(errors: Sequence[float]) -> tuple[float, float]:
    cuts = quantiles(errors, n=10)
    return cuts[0], cuts[-1]
