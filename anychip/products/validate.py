"""``anychip validate``: predictions beside measured operators, by class, format and chip.

Replays the rows of a file with the columns of ``gpu_ops.csv``. How a row was measured is part of what it
measures: calls timed by events from an idle stream contain the host's time to launch one operator, which is
added here as the method's, not the chip's.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median, quantiles

from rich.console import Console
from rich.table import Table

from anychip import chips
from anychip.compile import Lowering
from anychip.errors import AnychipError, InvalidInput, NotModelled
from anychip.facts import Fact, Source
from anychip.programs.graph import Node, View
from anychip.simulate import Player

_EVENTS = Source("fitted", "gpu_ops.csv: event-timed eager calls, by operator class", "2026-11-22")
#: Host time inside one event-timed eager call, by operator class.
EVENT_S = {
    "linear": Fact(53e-6, "s", _EVENTS),
    "bmm": Fact(31e-6, "s", _EVENTS),
    "matmul": Fact(28e-6, "s", _EVENTS),
    "softmax": Fact(26e-6, "s", _EVENTS),
    "layernorm": Fact(32e-6, "s", _EVENTS),
    "elementwise": Fact(16e-6, "s", _EVENTS),
}
_CLASS = {
    "linear": "linear", "bmm": "bmm", "matmul": "matmul", "softmax": "softmax", "layernorm": "layernorm",
}  # fmt: skip
_UNARY = {
    "gelu": "aten.gelu.default", "relu": "aten.relu.default", "tanh": "aten.tanh.default",
    "add_scalar": "aten.add.Scalar", "mul_scalar": "aten.mul.Scalar", "div_scalar": "aten.div.Scalar",
    "pow_scalar": "aten.pow.Tensor_Scalar",
}  # fmt: skip
_BINARY = {
    "add": "aten.add.Tensor", "mul": "aten.mul.Tensor", "div": "aten.div.Tensor",
    "pow": "aten.pow.Tensor_Tensor",
}  # fmt: skip
_FORMATS = {"fp32": "fp32", "fp16": "fp16", "bf16": "bf16", "fp8": "fp8_e4m3fn"}
_REQUIRED = ("chip", "op", "batch", "m", "n", "k", "dtype", "measured_ms", "method")


@dataclass(frozen=True)
class Measured:
    """A row with its prediction."""

    line: int
    chip: str
    op: str
    kind: str
    dtype: str
    shape: tuple[int, int, int, int]
    measured_s: float
    predicted_s: float

    @property
    def error(self) -> float:
        """Relative error; + is too slow."""
        return self.predicted_s / self.measured_s - 1


def view(number: int, format_name: str, *shape: int) -> View:
    """A contiguous view of value `number`."""
    strides: list[int] = []
    step = 1
    for extent in reversed(shape):
        strides.insert(0, step)
        step *= extent
    return View(number, format_name, shape, tuple(strides))


def node_of(op: str, dtype: str, batch: int, m: int, n: int, k: int) -> Node:
    """The call that a row timed.

    Raises:
        NotModelled: an operator or format that this command has no call for.
    """
    if dtype not in _FORMATS:
        raise NotModelled(f"format {dtype}: no call for it")
    name = _FORMATS[dtype]
    if op == "linear":
        weight = View(1, name, (k, n), (1, k))
        inputs = (view(0, name, n), view(2, name, batch * m, k), weight)
        return Node("aten.addmm.default", (), inputs, (view(3, name, batch * m, n),))
    if op in ("bmm", "matmul"):
        inputs = (view(0, name, batch, m, k), view(1, name, batch, k, n))
        return Node("aten.bmm.default", (), inputs, (view(2, name, batch, m, n),))
    rows = batch * m
    whole = view(0, name, rows, n)
    if op == "softmax":
        attributes = (("dim", -1), ("half_to_float", False))
        return Node("aten._softmax.default", attributes, (whole,), (view(1, name, rows, n),))
    if op == "layernorm":
        results = (view(3, name, rows, n), view(4, "fp32", rows, 1), view(5, "fp32", rows, 1))
        inputs = (whole, view(1, name, n), view(2, name, n))
        attributes = (("normalized_shape", (n,)), ("eps", 1e-5))
        return Node("aten.native_layer_norm.default", attributes, inputs, results)
    if op in _UNARY:
        attributes = (("other", 2.5),) if op.endswith("scalar") and op != "pow_scalar" else ()
        attributes = (("exponent", 2.5),) if op == "pow_scalar" else attributes
        return Node(_UNARY[op], attributes, (whole,), (view(1, name, rows, n),))
    if op in _BINARY:
        return Node(_BINARY[op], (), (whole, view(1, name, rows, n)), (view(2, name, rows, n),))
    raise NotModelled(f"operator {op}: no call for it")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a file of operators, their line under ``line``.

    Raises:
        InvalidInput: the file cannot be read, or lacks columns.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = [dict(row) | {"line": str(reader.line_num)} for row in reader]
            columns = reader.fieldnames or []
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}; give the folder with --data") from error
    missing = [name for name in _REQUIRED if name not in columns]
    if missing:
        raise InvalidInput(f"{path}: columns {', '.join(missing)} are missing; it has {', '.join(columns)}")
    return rows


def predicted(rows: Iterable[Mapping[str, str]], shortest_s: float) -> tuple[list[Measured], Counter[str]]:
    """Predictions, and how many rows were left out for which reason."""
    pricers: dict[str, tuple[Lowering, Player]] = {}
    done: list[Measured] = []
    left: Counter[str] = Counter()
    for row in rows:
        try:
            one = _one(row, pricers, shortest_s)
        except AnychipError as error:
            left[re.sub(r"; did you mean.*|; known:.*", "", str(error))] += 1
            continue
        except ValueError as error:
            left[f"line {row['line']}: {error}"] += 1
            continue
        if one is None:
            left[f"shorter than {shortest_s * 1e6:g} us"] += 1
        else:
            done.append(one)
    return done, left


def _one(
    row: Mapping[str, str], pricers: dict[str, tuple[Lowering, Player]], shortest_s: float
) -> Measured | None:
    measured_s = float(row["measured_ms"]) * 1e-3
    if measured_s < shortest_s:
        return None
    chip = chips.by_name(row["chip"].casefold())
    shape = tuple(int(float(row[name] or 1)) for name in ("batch", "m", "n", "k"))
    batch, m, n, k = shape
    node = node_of(row["op"], row["dtype"], batch, m, n, k)
    lowering, player = pricers.setdefault(chip.name, (Lowering(chip), Player(chip)))
    ticks = sum(player.span(lowering.nest(form)).ticks for form in lowering.forms(node))
    kind = _CLASS.get(row["op"], "elementwise")
    host_s = EVENT_S[kind].value if _host_timed(row) else 0.0
    seconds = ticks / chip.clock_hz + host_s
    return Measured(
        int(row["line"]), chip.name, row["op"], kind, row["dtype"], (batch, m, n, k), measured_s, seconds
    )


def _host_timed(row: Mapping[str, str]) -> bool:
    """Whether the measurement contains the host's launch, as event-timed calls and wall time rates do."""
    method = row["method"]
    return "events" in method or "launch overhead" in method or method.startswith("ms = M")


def figures(rows: Sequence[Measured]) -> dict[str, float]:
    """Count, mean and median absolute error, median signed error and 90th percentile, in percent."""
    errors = [100 * row.error for row in rows]
    absolute = sorted(map(abs, errors))
    tail = quantiles(absolute, n=10)[-1] if len(absolute) > 1 else absolute[0]
    return {
        "rows": len(rows), "mape": fmean(absolute), "median": median(absolute), "bias": median(errors),
        "p90": tail,
    }  # fmt: skip


def show(rows: Sequence[Measured], left: Counter[str], console: Console) -> None:
    """By class and format, then by chip too."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("class", "dtype", "chip", "rows", "mean %", "median %", "bias %", "p90 %"):
        table.add_column(name, justify="left" if name in ("class", "dtype", "chip") else "right")
    groups: dict[tuple[str, str, str], list[Measured]] = {}
    for row in rows:
        groups.setdefault((row.kind, row.dtype, ""), []).append(row)
        groups.setdefault((row.kind, row.dtype, row.chip), []).append(row)
    for key in sorted(groups):
        found = figures(groups[key])
        cells = [f"{found[name]:.1f}" for name in ("mape", "median", "bias", "p90")]
        style = "" if key[2] else "bold"
        table.add_row(*key[:2], key[2] or "all", str(len(groups[key])), *cells, style=style)
    console.print(table)
    for reason, count in left.most_common():
        console.print(f"left out {count:5}: {reason}")


def main(argv: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="anychip validate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with gpu_ops.csv, or the file")
    parser.add_argument("--json", type=Path, help="also write every row here")
    parser.add_argument("--shortest-us", type=float, default=20.0, help="leave shorter rows out")
    options = parser.parse_args(argv)
    path = options.data / "gpu_ops.csv" if options.data.is_dir() else options.data
    done, left = predicted(read_rows(path), options.shortest_us * 1e-6)
    show(done, left, Console(width=None if sys.stdout.isatty() else 120))
    if options.json is not None:
        content = {"rows": [asdict(row) | {"error": row.error} for row in done], "left_out": dict(left)}
        try:
            options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{options.json}: {error.strerror}; choose another place") from error
    return 0
