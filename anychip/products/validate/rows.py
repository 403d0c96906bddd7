"""Published timings of operators, and the calls that they timed.

How a row was measured is part of what it measures: calls timed by events from an idle stream contain the
host's time to launch one operator, which is added here as the method's, not the chip's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import log
from pathlib import Path

from anychip import chips
from anychip.chips import Chip
from anychip.compile import Lowering
from anychip.errors import AnychipError, NotModelled
from anychip.facts import Fact, Source
from anychip.products.published_rows import published_rows
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
    "rmsnorm": "layernorm", "embedding": "embedding", "linear_backward": "backward",
    "bmm_backward": "backward", "gelu_backward": "backward", "softmax_backward": "backward",
    "layernorm_backward": "backward",
}  # fmt: skip
#: Rows of a vocabulary where a row names none: only the rows that are picked move.
_VOCABULARY = 32_000
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
class Row:
    """A published timing of one operator.

    Args:
        line: in its file.
        chip: name in the catalogue.
        op: as the file spells it.
        kind: its class.
        dtype: of operands.
        shape: (batch, m, n, k).
        measured_s: seconds.
    """

    line: int
    chip: str
    op: str
    kind: str
    dtype: str
    shape: tuple[int, int, int, int]
    measured_s: float


@dataclass(frozen=True)
class Timed(Row):
    """A row that can be replayed.

    Args:
        host_s: part of the measured time that is the method's, not the chip's.
    """

    host_s: float


@dataclass(frozen=True)
class Measured(Row):
    """A row with its prediction."""

    predicted_s: float

    @property
    def error(self) -> float:
        """Relative error; + is too slow."""
        return self.predicted_s / self.measured_s - 1

    @property
    def log_ratio(self) -> float:
        """Natural logarithm of predicted over measured."""
        return log(self.predicted_s / self.measured_s)


def view(number: int, format_name: str, *shape: int) -> View:
    """A contiguous view of value `number`."""
    strides: list[int] = []
    step = 1
    for extent in reversed(shape):
        strides.insert(0, step)
        step *= extent
    return View(number, format_name, shape, tuple(strides))


def nodes_of(op: str, dtype: str, batch: int, m: int, n: int, k: int) -> tuple[Node, ...]:
    """The calls that a row timed: one, or the gradients of one.

    Raises:
        NotModelled: an operator or format that this command has no call for.
    """
    if dtype not in _FORMATS:
        raise NotModelled(f"format {dtype}: no call for it")
    name = _FORMATS[dtype]
    if op == "linear_backward":
        grad, back = view(0, name, batch * m, n), View(0, name, (n, batch * m), (1, n))
        return (
            Node("aten.mm.default", (), (grad, view(1, name, n, k)), (view(2, name, batch * m, k),)),
            Node("aten.mm.default", (), (back, view(3, name, batch * m, k)), (view(4, name, n, k),)),
            Node("aten.sum.dim_IntList", (("dim", (0,)),), (grad,), (view(5, name, n),)),
        )
    if op == "bmm_backward":
        grad = view(0, name, batch, m, n)
        left, right = View(1, name, (batch, n, k), (k * n, 1, n)), View(2, name, (batch, k, m), (m * k, 1, k))
        return (
            Node("aten.bmm.default", (), (grad, left), (view(3, name, batch, m, k),)),
            Node("aten.bmm.default", (), (right, grad), (view(4, name, batch, k, n),)),
        )
    return (_forward(op, name, batch, m, n, k),)


def _forward(op: str, name: str, batch: int, m: int, n: int, k: int) -> Node:
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
    if op == "softmax_backward":
        attributes = (("dim", -1), ("input_dtype", name))
        return Node(
            "aten._softmax_backward_data.default", attributes, (whole, view(1, name, rows, n)),
            (view(2, name, rows, n),),
        )  # fmt: skip
    if op == "gelu_backward":
        return Node(
            "aten.gelu_backward.default", (), (whole, view(1, name, rows, n)), (view(2, name, rows, n),)
        )
    if op == "embedding":
        inputs = (view(0, name, _VOCABULARY, n), view(1, "int64", rows))
        return Node("aten.embedding.default", (), inputs, (view(2, name, rows, n),))
    if op == "layernorm_backward":
        statistics = (view(2, "fp32", rows, 1), view(3, "fp32", rows, 1))
        inputs = (whole, view(1, name, rows, n), *statistics, view(4, name, n), view(5, name, n))
        results = (view(6, name, rows, n), view(7, name, n), view(8, name, n))
        attributes = (("normalized_shape", (n,)), ("output_mask", (True, True, True)))
        return Node("aten.native_layer_norm_backward.default", attributes, inputs, results)
    if op in ("layernorm", "rmsnorm"):
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
    if op == "silu_mul":  # one fused kernel of the serving library: two operands, one result
        return Node("aten.mul.Tensor", (), (whole, view(1, name, rows, n)), (view(2, name, rows, n),))
    raise NotModelled(f"operator {op}: no call for it")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a file of operators, their line under ``line``.

    Raises:
        InvalidInput: the file cannot be read, or lacks columns.
    """
    return published_rows(path, _REQUIRED, "give the folder with --data")


ChipOf = Callable[[str], Chip]


def catalogue_chip(name: str) -> Chip:
    """A chip as it stands in the catalogue."""
    return chips.by_name(name)


class Replay:
    """Predictions of rows on chips, each distinct call priced once.

    Args:
        chip_of: the chip of a name: that of the catalogue, or one with other constants.
    """

    def __init__(self, chip_of: ChipOf = catalogue_chip) -> None:
        self._chip_of = chip_of
        self._pricers: dict[str, tuple[Chip, Lowering, Player]] = {}

    def seconds(self, row: Timed) -> float:
        """What the row's calls take, with the host's share that its method measures."""
        if row.chip not in self._pricers:
            chip = self._chip_of(row.chip)
            self._pricers[row.chip] = (chip, Lowering(chip), Player(chip))
        chip, lowering, player = self._pricers[row.chip]
        nodes = nodes_of(row.op, row.dtype, *row.shape)
        forms = [form for node in nodes for form in lowering.forms(node)]
        ticks = sum(player.span(lowering.nest(form)).ticks for form in forms)
        return ticks / chip.clock_hz + row.host_s


def timed(rows: Iterable[Mapping[str, str]], shortest_s: float) -> tuple[list[Timed], Counter[str]]:
    """Rows that can be replayed, and how many were left out for which reason."""
    found: list[Timed] = []
    left: Counter[str] = Counter()
    for row in rows:
        try:
            one = _timed(row)
            nodes_of(one.op, one.dtype, *one.shape)
        except AnychipError as error:
            left[re.sub(r"; did you mean.*|; known:.*", "", str(error))] += 1
            continue
        except ValueError as error:
            left[f"line {row['line']}: {error}"] += 1
            continue
        if one.measured_s < shortest_s:
            left[f"shorter than {shortest_s * 1e6:g} us"] += 1
        else:
            found.append(one)
    return found, left


def predicted(rows: Iterable[Timed], chip_of: ChipOf = catalogue_chip) -> list[Measured]:
    """Rows with their predictions."""
    replay = Replay(chip_of)
    return [
        Measured(
            row.line, row.chip, row.op, row.kind, row.dtype, row.shape, row.measured_s,
            replay.seconds(row),
        )
        for row in rows
    ]  # fmt: skip


def _timed(row: Mapping[str, str]) -> Timed:
    milliseconds = float(row["measured_ms"])
    if not milliseconds > 0:
        raise ValueError(f"measured_ms is {row['measured_ms']}; a time is greater than 0")
    batch, m, n, k = (int(float(row[name] or 1)) for name in ("batch", "m", "n", "k"))
    if min(batch, m, n, k) < 1:
        raise ValueError(f"batch {batch}, m {m}, n {n}, k {k}: extents are 1 or more")
    kind = _CLASS.get(row["op"], "elementwise")
    return Timed(
        line=int(row["line"]),
        chip=catalogue_chip(row["chip"].casefold()).name,
        op=row["op"],
        kind=kind,
        dtype=row["dtype"],
        shape=(batch, m, n, k),
        measured_s=milliseconds * 1e-3,
        host_s=EVENT_S[kind].value if _host_timed(row) and kind in EVENT_S else 0.0,
    )


def _host_timed(row: Mapping[str, str]) -> bool:
    """Whether the measurement contains the host's launch, as event-timed calls and wall time rates do."""
    method = row["method"]
    return "events" in method or "launch overhead" in method or method.startswith("ms = M")
