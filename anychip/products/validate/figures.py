"""Errors of groups of rows, as the table and the page show them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median, quantiles

from anychip.products.validate.rows import Measured


def figures(rows: Sequence[Measured]) -> dict[str, float]:
    """Count, mean and median absolute error, median signed error and 90th percentile, in percent."""
    errors = [100 * row.error for row in rows]
    absolute = sorted(map(abs, errors))
    tail = quantiles(absolute, n=10)[-1] if len(absolute) > 1 else absolute[0]
    return {
        "rows": len(rows), "mape": fmean(absolute), "median": median(absolute), "bias": median(errors),
        "p90": tail,
    }  # fmt: skip


def groups_of(rows: Sequence[Measured]) -> dict[tuple[str, str, str], list[Measured]]:
    """Rows by class and format (chip empty), and by chip too, in order."""
    groups: dict[tuple[str, str, str], list[Measured]] = {}
    for row in rows:
        groups.setdefault((row.kind, row.dtype, ""), []).append(row)
        groups.setdefault((row.kind, row.dtype, row.chip), []).append(row)
    return {key: groups[key] for key in sorted(groups)}
