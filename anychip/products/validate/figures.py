"""Errors of groups of rows, as the table and the page show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum
from statistics import fmean, median, quantiles

from anychip.products.validate.question import REASONS, Excluded, Measured


def figures(rows: Sequence[Measured]) -> dict[str, float]:
    """Count, mean and median absolute error, median signed error and 90th percentile, in percent."""
    errors = [100 * row.error for row in rows]
    absolute = sorted(map(abs, errors))
    tail = quantiles(absolute, n=10)[-1] if len(absolute) > 1 else absolute[0]
    return {
        "rows": len(rows), "mape": fmean(absolute), "median": median(absolute), "bias": median(errors),
        "p90": tail,
    }  # fmt: skip


def groups_of(rows: Iterable[Measured], *more: str) -> dict[tuple[str, ...], list[Measured]]:
    """Rows by class and format, and by further fields; rows too short to count are not in them.

    Args:
        rows: with predictions.
        more: names of fields, such as ``"chip"`` or ``"family"``.
    """
    groups: dict[tuple[str, ...], list[Measured]] = {}
    for row in rows:
        if not row.short:
            key = (row.kind, row.dtype, *(str(getattr(row, name)) for name in more))
            groups.setdefault(key, []).append(row)
    return {key: groups[key] for key in sorted(groups)}


def summed(rows: Iterable[Measured]) -> list[Measured]:
    """Parts of a whole as one row: the sum of predictions beside the sum of the same parts' measurements.

    Parts too short to count by themselves count here, as part of what is long. One part alone is no sum.
    """
    wholes: dict[tuple[str, ...], list[Measured]] = {}
    for row in rows:
        if row.whole:
            key = (row.file, row.kind, row.chip, row.dtype, row.family, row.metric, row.unit, row.whole)
            wholes.setdefault(key, []).append(row)
    return [
        replace(
            parts[0], kind=f"{parts[0].kind}, summed", subject=f"{parts[0].whole}: {len(parts)} operators",
            metric=f"sum of {parts[0].metric}", measured=fsum(part.measured for part in parts),
            predicted=fsum(part.predicted for part in parts), workload=None, whole="",
            short=all(part.short for part in parts),
        )
        for parts in wholes.values() if len(parts) > 1
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many rows of a class were replayed.

    Args:
        kind: class.
        rows: of it.
        replayed: with a prediction.
        short: of them, too short to count in errors.
        excluded: by reason.
    """

    kind: str
    rows: int
    replayed: int
    short: int
    excluded: Mapping[str, int]


def coverage(done: Iterable[Measured], excluded: Iterable[Excluded]) -> list[Coverage]:
    """Of every class that has a row."""
    counts: dict[str, Counter[str]] = {}
    for row in done:
        counts.setdefault(row.kind, Counter()).update(["replayed", *(["short"] if row.short else [])])
    for out in excluded:
        counts.setdefault(out.kind, Counter())[out.reason] += 1
    return [
        Coverage(
            kind, found["replayed"] + sum(found[reason] for reason in REASONS), found["replayed"],
            found["short"], {reason: found[reason] for reason in REASONS if found[reason]},
        )
        for kind, found in sorted(counts.items())
    ]  # fmt: skip
