"""``anychip predict``: every published row beside its prediction, one line each.

The rows and predictions are those of ``anychip validate``, which sums them up by class, chip and model.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from rich.console import Console
from rich.table import Table

from anychip import chips
from anychip.errors import InvalidInput
from anychip.products.arguments import Parser
from anychip.products.validate.figures import figures
from anychip.products.validate.kinds import files_of, reading
from anychip.products.validate.question import Excluded, Measured, Question, catalogue_chip
from anychip.profile.writing import check_writable, write_text

_EPILOG = """\
examples:
  anychip predict --data neuron_published.csv --chip inf2 --model bert-base
  anychip predict --data power_measured.csv --json rows.json
"""
_COLUMNS = tuple(each.name for each in fields(Question) if each.name != "workload")


def main(argv: Sequence[str]) -> int:
    """Runs the command; its exit code."""
    parser = Parser("predict", "Every published row beside its prediction.", _EPILOG)
    parser.add_argument("--data", type=Path, required=True, help="a CSV file of a kind that validate knows")
    parser.add_argument("--json", type=Path, help="also write everything here")
    parser.add_argument("--chip", help="only rows of this chip")
    parser.add_argument("--model", help="only rows whose subject contains this text")
    options = parser.parse(argv)
    if options.json is not None:
        check_writable(options.json)
    wanted = None if options.chip is None else chips.by_name(options.chip).name
    done: list[Measured] = []
    left: list[Excluded] = []
    for path, kind in files_of(options.data)[0]:
        read = reading(path, kind, 0.0)
        asked = [each for each in read.questions if _wanted(each, wanted, options.model)]
        rows, without = kind.predict(asked, catalogue_chip)
        done += rows
        left += [*read.excluded, *without]
        for broken in read.broken:
            print(broken, file=sys.stderr)
    if not done:
        raise InvalidInput(
            f"{options.data}: no row of chip {wanted or 'any'} and model {options.model or 'any'} can be "
            "predicted; leave --chip or --model out"
        )
    done.sort(key=lambda row: (row.kind, row.file, row.line))
    show(done, left, Console(width=None if sys.stdout.isatty() else 140, highlight=False))
    if options.json is not None:
        content = {
            "rows": [
                {name: getattr(row, name) for name in _COLUMNS}
                | {"predicted": row.predicted, "error": row.error}
                for row in done
            ],
            "left_out": [each._asdict() for each in left],
        }
        write_text(options.json, (json.dumps(content, indent=1) + "\n",))
    return 0


def _wanted(question: Question, chip: str | None, model: str | None) -> bool:
    if chip is not None and question.chip != chip:
        return False
    return model is None or model.casefold() in question.subject.casefold()


def show(rows: Sequence[Measured], left: Sequence[Excluded], console: Console) -> None:
    """A line for every row, errors by class, and what was left out."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("line", "chip", "subject", "metric", "measured", "predicted", "unit", "error"):
        right = name in ("line", "measured", "predicted", "error")
        table.add_column(name, justify="right" if right else "left", no_wrap=True, max_width=60)
    for row in rows:
        table.add_row(
            str(row.line), row.chip, row.subject, row.metric, f"{row.measured:.4g}",
            f"{row.predicted:.4g}", row.unit, f"{100 * row.error:+.0f} %",
        )  # fmt: skip
    console.print(table)
    console.print("\nerror on time, watts or joules (+ predicted too high), by class", style="bold")
    by_class: dict[str, list[Measured]] = {}
    for row in rows:
        by_class.setdefault(row.kind, []).append(row)
    for kind, mine in sorted(by_class.items()):
        found = figures(mine)
        console.print(
            f"  {kind:64} {len(mine):5,} rows  mean {found['mape']:5.1f} %  median {found['median']:5.1f} %"
        )
    if left:
        console.print("\nleft out", style="bold")
        for because, count in Counter(each.because for each in left).most_common():
            console.print(f"  {count:5,}  {because}")
