"""The command line of ``anychip validate``."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from anychip.errors import InvalidInput
from anychip.products.arguments import Parser
from anychip.products.validate.figures import figures, groups_of
from anychip.products.validate.held_out import leave_one_chip_out
from anychip.products.validate.intervals import Interval, Ranking, intervals, ranking
from anychip.products.validate.rows import Measured, predicted, read_rows, timed
from anychip.profile.writing import check_writable, write_text

_EPILOG = """\
examples:
  anychip validate --data published/                       # gpu_ops.csv in it
  anychip validate --data my_rows.csv --leave-one-chip-out --html errors.html

Columns: chip, op, batch, m, n, k, dtype, measured_ms, method. A row that cannot be replayed is counted with
its reason; the rest still is. Times shorter than --shortest-us say more about clocks than about chips.
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command; its exit code."""
    parser = Parser("validate", "Predictions beside measured operators, by class, format and chip.", _EPILOG)
    parser.add_argument("--data", type=Path, required=True, help="folder with gpu_ops.csv, or the file")
    parser.add_argument(
        "--leave-one-chip-out", action="store_true", help="search constants again without each chip"
    )
    parser.add_argument("--shortest-us", type=float, default=20.0, help="leave shorter rows out")
    parser.add_argument("--json", type=Path, help="write every row and figure to this file")
    parser.add_argument("--csv", type=Path, help="write every row to this file")
    parser.add_argument("--html", type=Path, help="write scatter plots and tables to this file")
    options = parser.parse(argv)
    for path in filter(None, (options.json, options.csv, options.html)):
        check_writable(path)
    file = options.data / "gpu_ops.csv" if options.data.is_dir() else options.data
    rows, left = timed(read_rows(file), options.shortest_us * 1e-6)
    if not rows:
        raise InvalidInput(f"{file}: no row can be replayed: {'; '.join(left) or 'it has none'}")
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    if options.leave_one_chip_out:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("searching", total=None)
            done = leave_one_chip_out(rows, lambda what: progress.update(task, description=what))
        if len(done) < len(rows):
            left["no other chip shares the constants that decide it"] += len(rows) - len(done)
    else:
        done = predicted(rows)
    how = (
        "the searched constants never saw the chip"
        if options.leave_one_chip_out
        else "constants as fitted to all chips"
    )
    _show(done, left, how, console)
    spans, order = intervals(done), ranking(done)
    _show_intervals(spans, order, console)
    if options.json is not None:
        content = {
            "how": how,
            "rows": [asdict(row) | {"error": row.error} for row in done],
            "left_out": dict(left),
            "intervals": [asdict(span) for span in spans],
            "ranking": asdict(order),
        }
        write_text(options.json, (json.dumps(content, indent=1) + "\n",))
    if options.csv is not None:
        write_text(options.csv, (_csv(done),))
    if options.html is not None:
        from anychip.products.validate.page import page_of

        write_text(options.html, (page_of(done, how, spans, order, left),))
    return 0


def _show(rows: Sequence[Measured], left: Counter[str], how: str, console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("class", "dtype", "chip", "rows", "mean %", "median %", "bias %", "p90 %"):
        table.add_column(name, justify="left" if name in ("class", "dtype", "chip") else "right")
    for key, mine in groups_of(rows).items():
        found = figures(mine)
        cells = [f"{found[name]:.1f}" for name in ("mape", "median", "bias", "p90")]
        table.add_row(*key[:2], key[2] or "all", str(len(mine)), *cells, style="" if key[2] else "bold")
    console.print(f"{len(rows)} rows, {how}", style="bold")
    console.print(table)
    console.print("\nworst rows")
    for row in sorted(rows, key=lambda each: -abs(each.log_ratio))[:8]:
        shape = "x".join(map(str, row.shape))
        console.print(
            f"  line {row.line}: {row.op} {shape} {row.dtype} on {row.chip}: "
            f"{row.measured_s * 1e6:,.0f} us measured, {row.predicted_s * 1e6:,.0f} predicted"
        )
    console.print(f"\nleft out: {sum(left.values())} of {sum(left.values()) + len(rows)} rows")
    for reason, count in left.most_common():
        console.print(f"{count:6}  {reason}")


def _show_intervals(spans: Sequence[Interval], order: Ranking, console: Console) -> None:
    console.print(
        "\n80 % of measurements lie between these multiples of the prediction; share of a chip's rows"
    )
    console.print("inside the interval of the other chips:")
    for span in spans:
        console.print(
            f"  {span.kind:<12} {span.dtype:<5} {span.low:5.2f} to {span.high:5.2f}   {span.held:4.0%} of "
            f"{span.rows} rows, {span.chips} chips"
        )
    if order.pairs:
        share = order.agreed / order.pairs
        console.print(
            f"\nchips ordered as measured in {share:.1%} of {order.pairs:,} pairs more than 10 % apart;\n"
            f"choosing by prediction costs {order.regret:.1%} more time than the best, {order.calls:,} calls"
        )


def _csv(rows: Sequence[Measured]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ("line", "chip", "op", "class", "dtype", "batch", "m", "n", "k", "measured_s", "predicted_s")
    )
    for row in rows:
        writer.writerow(
            (row.line, row.chip, row.op, row.kind, row.dtype, *row.shape, row.measured_s, row.predicted_s)
        )
    return text.getvalue()
