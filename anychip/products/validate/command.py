"""The command line of ``anychip validate``."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from anychip.errors import InvalidInput
from anychip.products.arguments import Parser
from anychip.products.validate.constants import constants, markdown
from anychip.products.validate.document import Run, check, renewed
from anychip.products.validate.flow import AXES, validated
from anychip.products.validate.kinds import files_of, reading
from anychip.products.validate.report import Result, csv_of, json_of, show
from anychip.profile.writing import check_writable, write_text

_EPILOG = """\
examples:
  anychip validate --data published/                       # every file of a known kind in it
  anychip validate --constants > constants.md
  anychip validate --data my_rows.csv --leave-one-chip-out --html errors.html
  anychip validate --data published/ --leave-one-chip-out --only "linear fp16"

Kinds of files are told by their columns. Every row is replayed, or counted with one of five reasons, or
broken: then its column is named and the rest is still done. Times shorter than --shortest-us say more about
clocks than about chips: they are replayed, but not counted in errors.
"""


#: Told where nothing could be replayed.
_REASONS = 3


def main(argv: Sequence[str]) -> int:
    """Runs the command; its exit code."""
    parser = Parser("validate", "Predictions beside measurements, by class, chip and model.", _EPILOG)
    parser.add_argument("--data", type=Path, help="folder of CSV files, or one of them")
    parser.add_argument(
        "--constants", action="store_true", help="list every fitted constant with its meaning and rows"
    )
    parser.add_argument(
        "--leave-one-chip-out", action="store_true", help="search constants again without each chip"
    )
    parser.add_argument(
        "--leave-one-model-out", action="store_true", help="search constants again without each model"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="CLASS",
        help='predict rows of this class alone ("linear", "linear fp16", "neuron*"); may be given again',
    )
    parser.add_argument("--shortest-us", type=float, default=20.0, help="do not count shorter rows in errors")
    parser.add_argument("--json", type=Path, help="write every row and figure to this file")
    parser.add_argument("--csv", type=Path, help="write every row to this file")
    parser.add_argument("--html", type=Path, help="write scatter plots and tables to this file")
    parser.add_argument(
        "--document", type=Path, metavar="PAGE", help="renew the marked tables of this Markdown page"
    )
    parser.add_argument(
        "--intervals",
        type=Path,
        metavar="FILE",
        help="renew the intervals of what was left out in this JSON file",
    )
    options = parser.parse(argv)
    if options.constants:
        sys.stdout.writelines(markdown(constants()))
        return 0
    if options.data is None:
        raise InvalidInput("anychip validate: give measurements with --data; see `anychip validate --help`")
    if options.leave_one_chip_out and options.leave_one_model_out:
        raise InvalidInput("--leave-one-chip-out and --leave-one-model-out: give one of them at a time")
    if not options.shortest_us >= 0:
        raise InvalidInput(f"--shortest-us {options.shortest_us:g}: give microseconds, 0 or more")
    for path in filter(None, (options.json, options.csv, options.html, options.document, options.intervals)):
        check_writable(path)
    axis = next((axis for axis in AXES if getattr(options, f"leave_one_{axis}_out")), None)
    files, others = files_of(options.data)
    names = [path.name for path, _ in files]
    page = None
    if options.document is not None:
        page = _page(options.document)
        check(page, axis, names, str(options.document))
    known = {} if options.intervals is None else _intervals(options.intervals)
    readings = [(kind, reading(path, kind, options.shortest_us * 1e-6)) for path, kind in files]
    pairs = list(zip(files, readings, strict=True))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=None)
        result = validated(
            readings,
            axis,
            lambda what: progress.update(task, description=what),
            [*others, *(f"{path.name}: no rows" for (path, _), (_, read) in pairs if read.empty)],
            options.only,
        )
    if not result.rows:
        raise InvalidInput(f"{options.data}: {_why_none(result)}")
    show(result, Console(width=None if sys.stdout.isatty() else 100, highlight=False))
    if options.json is not None:
        write_text(options.json, (json.dumps(json_of(result), indent=1) + "\n",))
    if options.csv is not None:
        write_text(options.csv, (csv_of(result),))
    if options.html is not None:
        from anychip.products.validate.page import page_of

        write_text(options.html, (page_of(result),))
    command, today = _command(argv, options.data), date.today().isoformat()
    if page is not None and options.document is not None:
        spent = os.times()
        processor_s = spent.user + spent.system + spent.children_user + spent.children_system
        run = Run(result, names, command, today, processor_s)
        write_text(options.document, (renewed(page, run),))
    if options.intervals is not None:
        known[axis or "nothing"] = {
            "command": command,
            "date": today,
            "classes": {f"{each.kind} {each.dtype}": asdict(each) for each in result.intervals},
        }
        write_text(options.intervals, (json.dumps(known, indent=1) + "\n",))
    return 0


def _why_none(result: Result) -> str:
    """Why no row was replayed, the most frequent reasons first."""
    if result.without:
        return f"none of {result.without:,} rows names a model; --leave-one-chip-out predicts them"
    whys = Counter(out.because for out in result.excluded).most_common(_REASONS)
    reasons = [f"{count:,} x {why}" for why, count in whys] + [str(each) for each in result.broken[:_REASONS]]
    if not reasons:
        return "no row to replay: there is only the line of column names"
    total = len(result.excluded) + len(result.broken)
    return f"none of {total:,} rows can be replayed: {'; '.join(reasons)}"


def _page(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}; --document takes a page with marked tables") from error


def _intervals(path: Path) -> dict[str, Any]:
    """What other runs have left in the file."""
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInput(f"{path}: no JSON ({error}); --intervals renews what it has written") from None


def _command(argv: Sequence[str], data: Path) -> str:
    """How to do it again: without where this machine keeps its files and what else was written."""
    words = list(argv)
    for name in ("--document", "--intervals", "--json", "--csv", "--html"):
        if name in words:
            place = words.index(name)
            del words[place : place + 2]
    name = "FOLDER" if data.is_dir() else data.name
    shown = [name if Path(word) == data else word for word in words]
    return shlex.join(["anychip", "validate", *shown])
