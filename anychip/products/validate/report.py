"""What ``anychip validate`` prints, and the files that it writes."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table

from anychip.products.validate.figures import Coverage, coverage, figures, groups_of, summed
from anychip.products.validate.intervals import Interval, intervals, together
from anychip.products.validate.question import REASONS, Broken, Excluded, Measured, Question
from anychip.products.validate.ranking import Ranking, rankings

#: Share of a class's rows that should be replayed.
_ENOUGH = 0.9
_WORST = 8
_COLUMNS = tuple(each.name for each in fields(Question) if each.name not in ("workload", "whole"))


@dataclass(frozen=True)
class Result:
    """Everything that came of a run.

    Args:
        rows: with predictions.
        excluded: rows with a reason.
        broken: rows that cannot be read.
        unknown: names of files that are of no kind.
        repeated: rows equal to an earlier one in every column, which counts once.
        axis: what was left out of the search for constants: ``"chip"``, ``"model"`` or nothing.
        without: rows that name no model where models are left out; they are not predicted.
        kept: rows behind which no constant was searched, for want of other rows: the catalogue's were taken.
    """

    rows: Sequence[Measured]
    excluded: Sequence[Excluded]
    broken: Sequence[Broken]
    unknown: Sequence[str]
    repeated: int = 0
    axis: str | None = None
    without: int = 0
    kept: int = 0

    @property
    def how(self) -> str:
        """The constants were found."""
        if self.axis is None or (self.rows and self.kept >= len(self.rows)):
            return "constants of the catalogue"
        but = f", but for {self.kept:,} rows" if self.kept else ""
        return f"no constant ever saw the row's {self.axis}{but}"

    @property
    def sums(self) -> list[Measured]:
        """Wholes of which the rows are parts; in no search, interval or order of chips."""
        return summed(self.rows)

    @property
    def shown(self) -> list[Measured]:
        """Whatever has errors to show: rows, and wholes of which they are parts."""
        return [*self.rows, *self.sums]

    @property
    def coverage(self) -> list[Coverage]:
        """By class."""
        return coverage(self.rows, self.excluded)

    @property
    def intervals(self) -> list[Interval]:
        """By class and format."""
        return intervals(self.rows, self.axis)

    @property
    def rankings(self) -> list[Ranking]:
        """In time, dollars and joules."""
        return rankings(self.rows)

    @property
    def worst(self) -> list[Measured]:
        """Rows with the greatest error."""
        counted = [row for row in self.rows if not row.short]
        return sorted(counted, key=lambda row: -abs(row.log_ratio))[:_WORST]


def show(result: Result, console: Console) -> None:
    """Tables for a terminal."""
    counted = sum(not row.short for row in result.rows)
    console.print(f"{counted:,} rows, {result.how}", style="bold")
    if result.without:
        console.print(f"{result.without:,} rows name no model: --leave-one-chip-out predicts them")
    if result.kept:
        console.print(
            f"{result.kept:,} rows keep constants of the catalogue, which may have seen them: no other "
            f"{result.axis} in the data has rows to search these on"
        )
    if result.repeated:
        console.print(
            f"{result.repeated:,} rows repeat an earlier one in every column and are not counted again"
        )
    table = _table("class", "dtype", "chip", *_FIGURES)
    for key, mine in groups_of(result.shown).items():
        _add(table, (*key, "all"), mine, bold=True)
        by_chip = groups_of(mine, "chip")
        for name, own in by_chip.items():
            if len(by_chip) > 1:
                _add(table, ("", "", name[2]), own)
    console.print(table)
    _show_models(result, console)
    _show_worst(result, console)
    _show_intervals(result, console)
    _show_coverage(result, console)


_FIGURES = ("rows", "mean %", "median %", "bias %", "p90 %")


def _table(*names: str, widest: int = 36) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        right = name.endswith("%") or name in ("rows", "replayed", "short", *REASONS)
        table.add_column(
            # Where the terminal is narrow, names are broken, never numbers.
            name,
            justify="right" if right else "left",
            no_wrap=right,
            max_width=None if right else widest,
        )
    return table


def _add(table: Table, names: Sequence[str], rows: Sequence[Measured], *, bold: bool = False) -> None:
    found = figures(rows)
    cells = [f"{found[name]:.1f}" for name in ("mape", "median", "bias", "p90")]
    table.add_row(*names, f"{len(rows):,}", *cells, style="bold" if bold else "")


def _show_models(result: Result, console: Console) -> None:
    named = [row for row in result.shown if row.family]
    if not named:
        return
    console.print("\nby model", style="bold")
    table = _table("class", "dtype", "model", *_FIGURES, widest=26)
    for key, mine in groups_of(named, "family").items():
        _add(table, key, mine)
    console.print(table)


def _show_worst(result: Result, console: Console) -> None:
    if result.worst:
        console.print("\nworst rows", style="bold")
    for row in result.worst:
        console.print(
            f"  {row.file}:{row.line} {row.subject} {row.dtype} on {row.chip}, {row.metric}: "
            f"{row.measured:.4g} {row.unit} measured, {row.predicted:.4g} predicted"
        )


def _show_intervals(result: Result, console: Console) -> None:
    spans = result.intervals
    if spans:
        console.print("\n80 % of measurements lie between these multiples of the prediction", style="bold")
        left = result.axis or "chip"
        table = _table("class", "dtype", "low", "high", f"held on a {left} left out %", f"{left}s", "rows")
        for span in spans:
            low, high, held = f"{span.low:.2f}", f"{span.high:.2f}", f"{100 * span.held:.0f}"
            table.add_row(span.kind, span.dtype, low, high, held, str(span.groups), f"{span.rows:,}")
        share, rows = together(spans)
        table.add_row("all of these", "", "", "", share, "", f"{rows:,}")
        console.print(table)
    for order in result.rankings:
        share = f"{order.agreed / order.pairs:.1%} of {order.pairs:,}" if order.pairs else "none of 0"
        console.print(
            f"chips ordered by {order.of} as measured in {share} pairs more than 10 % apart; choosing by "
            f"prediction costs {order.regret:.1%} more than the best ({order.workloads:,} workloads)"
        )


def _show_coverage(result: Result, console: Console) -> None:
    console.print("\nrows that were replayed, and why others were not", style="bold")
    seen = [reason for reason in REASONS if any(reason in each.excluded for each in result.coverage)]
    table = _table("class", "rows", "replayed", "%", "short", *seen)
    for each in result.coverage:
        share = each.replayed / each.rows
        cells = [f"{each.excluded[reason]:,}" if reason in each.excluded else "" for reason in seen]
        table.add_row(
            each.kind, f"{each.rows:,}", f"{each.replayed:,}", f"{100 * share:.0f}",
            f"{each.short:,}" if each.short else "", *cells, style="" if share >= _ENOUGH else "yellow",
        )  # fmt: skip
    console.print(table)
    for reason in seen:
        console.print(f"{reason}: {REASONS[reason]}")
        whys = Counter(out.because for out in result.excluded if out.reason == reason)
        for why, count in whys.most_common(4):
            console.print(f"  {count:5,}  {why}")
        if len(whys) > 4:
            console.print(f"         and {len(whys) - 4:,} others; --json lists every row")
    if result.broken:
        console.print(f"\n{len(result.broken):,} rows cannot be read", style="bold")
        for broken in result.broken[:_WORST]:
            console.print(f"  {broken}")
        if len(result.broken) > _WORST:
            console.print(f"  and {len(result.broken) - _WORST:,} others; --json lists every row")
    if result.unknown:
        console.print(f"\nfiles that are not used: {'; '.join(result.unknown)}")


def csv_of(result: Result) -> str:
    """Every row with its prediction, then sums of rows."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_COLUMNS, "predicted", "error"))
    for row in result.shown:
        cells = [getattr(row, name) for name in _COLUMNS]
        writer.writerow((*cells, repr(row.predicted), f"{row.error:.6f}"))
    return text.getvalue()


def json_of(result: Result) -> dict[str, Any]:
    """Every row and every figure."""
    groups = groups_of(result.shown)
    rows, sums = (
        [
            {name: getattr(row, name) for name in _COLUMNS} | {"predicted": row.predicted, "error": row.error}
            for row in listed
        ]
        for listed in (result.rows, result.sums)
    )
    return {
        "how": result.how,
        "rows": rows,
        "sums": sums,
        "figures": [
            {"class": key[0], "dtype": key[1], "chip": chip} | figures(mine)
            for key, whole in groups.items()
            for chip, mine in [
                ("all", whole),
                *((name[2], own) for name, own in groups_of(whole, "chip").items()),
            ]
        ],
        "coverage": [asdict(each) for each in result.coverage],
        "excluded": [each._asdict() for each in result.excluded],
        "broken": [each._asdict() for each in result.broken],
        "intervals": [asdict(span) for span in result.intervals],
        "rankings": [asdict(order) for order in result.rankings],
        "unknown_files": list(result.unknown),
        "without_model": result.without,
        "catalogue_constants": result.kept,
        "repeated": result.repeated,
    }
