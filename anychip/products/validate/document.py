"""Tables of a page of documentation, renewed by the run that they come from.

A page marks a table with ``<!-- validate AXIS TABLE FILE ... -->`` and ends it with ``<!-- /validate -->``.
AXIS is what was left out of the search for constants (``chip``, ``model`` or ``nothing``), TABLE one of
`_TABLES`, and the files are those whose rows it shows. A run renews the tables of its own axis whose files it
read; others, and all prose, stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import log
from statistics import fmean

from anychip.errors import InvalidInput
from anychip.products.validate.figures import figures, groups_of
from anychip.products.validate.intervals import together
from anychip.products.validate.question import REASONS
from anychip.products.validate.report import Result

#: A prediction within this factor still tells chips apart.
_NEAR = 1.5
_BLOCK = re.compile(r"(<!-- validate (?P<what>[^>]*?) -->\n).*?(<!-- /validate -->)", re.DOTALL)


@dataclass(frozen=True)
class Run:
    """A run that documents itself.

    Args:
        result: what came of it.
        files: names of those that were read.
        command: as one would type it again.
        date: of the day, ISO 8601.
        processor_s: that it took.
    """

    result: Result
    files: Sequence[str]
    command: str
    date: str
    processor_s: float

    def of(self, files: Sequence[str]) -> Run:
        """The part that came of some of the files."""
        result = self.result
        kept = replace(
            result,
            rows=[row for row in result.rows if row.file in files],
            excluded=[out for out in result.excluded if out.file in files],
            broken=[each for each in result.broken if each.file in files],
        )
        return replace(self, result=kept, files=files)


def check(page: str, axis: str | None, files: Sequence[str], where: str) -> None:
    """Refuses a page before a long run whose tables could not be put into it.

    Args:
        page: its text.
        axis: what will be left out, ``"chip"``, ``"model"`` or nothing.
        files: names of those that will be read.
        where: name of the page.

    Raises:
        InvalidInput: a marker names a table that does not exist, or none can be renewed.
    """
    marks = [found["what"] for found in _BLOCK.finditer(page)]
    for mark in marks:
        words = mark.split()
        if len(words) < 3 or words[1] not in _TABLES:
            raise InvalidInput(
                f'{where}: marker "validate {mark}" is not "validate AXIS TABLE FILE ..."; '
                f"tables are {', '.join(_TABLES)}"
            )
    if not any(_is_renewed(mark, axis, files) for mark in marks):
        raise InvalidInput(
            f"{where}: no table with {axis or 'nothing'} left out of files that are read "
            f"({', '.join(files)}); tables are marked <!-- validate AXIS TABLE FILE ... -->"
        )


def _is_renewed(mark: str, axis: str | None, files: Sequence[str]) -> bool:
    left, _, *names = mark.split()
    return left == (axis or "nothing") and set(names) <= set(files)


def renewed(page: str, run: Run) -> str:
    """The page, once checked, with the tables of the run."""

    def block(found: re.Match[str]) -> str:
        mark = found["what"]
        if not _is_renewed(mark, run.result.axis, run.files):
            return found[0]
        _, table, *files = mark.split()
        return f"{found[1]}{_TABLES[table](run.of(files))}\n{found[3]}"

    return _BLOCK.sub(block, page)


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _run(run: Run) -> str:
    counted = sum(not row.short for row in run.result.rows)
    return (
        f"`{run.command}`, {run.date}: {counted:,} rows counted of {len(run.result.rows):,} replayed, "
        f"{run.processor_s:.0f} s of processor time, {run.result.how}."
    )


def _errors(run: Run) -> str:
    rows: list[list[str]] = []
    for key, mine in groups_of(run.result.shown).items():
        found = figures(mine)
        chips = groups_of(mine, "chip")
        each = ", ".join(f"{name[2]} {figures(own)['mape']:.1f}" for name, own in chips.items())
        values = [f"{found[name]:.1f}" for name in ("mape", "median")]
        near = fmean(abs(row.log_ratio) <= log(_NEAR) for row in mine)
        values += [f"{found['bias']:+.1f}", f"{100 * near:.0f}"]
        rows.append([*key, f"{len(mine):,}", *values, each])
    names = [
        "class",
        "format",
        "rows",
        "mean error %",
        "median %",
        "bias %",
        f"within {_NEAR}x, %",
        "mean % by chip",
    ]
    return _table(names, rows)


def _ranking(run: Run) -> str:
    rows = [
        [
            order.of,
            f"{order.agreed / order.pairs:.1%} of {order.pairs:,}" if order.pairs else "none of 0",
            f"{order.regret:.1%}",
            f"{order.workloads:,}",
        ]
        for order in run.result.rankings
    ]
    names = [
        "chips ordered by",
        "pairs ordered as measured",
        "choosing costs more than the best",
        "workloads",
    ]
    return _table(names, rows)


def _intervals(run: Run) -> str:
    left = run.result.axis or "chip"
    rows = [
        [
            each.kind,
            each.dtype,
            f"{each.low:.2f} to {each.high:.2f}",
            f"{100 * each.held:.0f}",
            str(each.groups),
            f"{each.rows:,}",
        ]
        for each in run.result.intervals
    ]
    if rows:
        share, count = together(run.result.intervals)
        rows.append(["all of these", "", "", share, "", f"{count:,}"])
    names = ["class", "format", "measured / predicted", f"held on a {left} left out %", f"{left}s", "rows"]
    return _table(names, rows)


def _coverage(run: Run) -> str:
    seen = [reason for reason in REASONS if any(reason in each.excluded for each in run.result.coverage)]
    rows = [
        [
            each.kind,
            f"{each.rows:,}",
            f"{100 * each.replayed / each.rows:.0f}",
            *(f"{each.excluded[reason]:,}" if reason in each.excluded else "" for reason in seen),
        ]
        for each in run.result.coverage
    ]
    return _table(["class", "rows", "replayed %", *(f"not replayed: {reason}" for reason in seen)], rows)


_TABLES: dict[str, Callable[[Run], str]] = {
    "run": _run,
    "errors": _errors,
    "ranking": _ranking,
    "intervals": _intervals,
    "coverage": _coverage,
}
