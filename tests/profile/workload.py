"""A small training run, written by hand: three equal layers and a head, with a backward and an optimizer."""

from __future__ import annotations

from anychip.chips import Chip, Power
from anychip.chips.basecamp import basecamp
from anychip.compile import lower
from anychip.facts import Fact, Source
from anychip.programs.graph import Graph, Mark, Memory, Node, Phase, Place, Segment, Transfer, Value, View
from anychip.programs.program import Program
from anychip.simulate import Trace, simulate

ASSUMED = Source("assumed", "tests", "2026-11-22")
ROWS, WIDTH = 8, 16


def power() -> Power:
    return Power(
        base_w=Fact(0.5, "W", ASSUMED, 0.4, 0.6),
        limit_w=Fact(2.0, "W", ASSUMED),
        mac_j={"bf16": Fact(1e-12, "J", ASSUMED, 0.5e-12, 2e-12)},
        lane_operation_j=Fact(2e-12, "J", ASSUMED),
        byte_j={"bus": Fact(5e-12, "J", ASSUMED, 4e-12, 6e-12)},
        host_w=Fact(0.1, "W", ASSUMED),
    )


def chip(**changes: object) -> Chip:
    return basecamp(launch_cycles=100).altered(power=power(), **changes)


class _Builder:
    def __init__(self) -> None:
        self.values: list[Value] = []
        self.nodes: list[Node] = []

    def value(self, elements: int, kind: str) -> int:
        self.values.append(Value(len(self.values), 0, 2 * elements, kind))  # pyright: ignore
        return len(self.values) - 1

    def matrix(self, value: int, rows: int, columns: int) -> View:
        return View(value, "bf16", (rows, columns), (columns, 1))

    def linear(self, x: int, inner: int, outer: int, module: str, phase: Phase, source: str) -> int:
        weight = self.value(inner * outer, "parameter")
        out = self.value(ROWS * outer, "activation" if phase == "forward" else "gradient")
        transposed = View(weight, "bf16", (inner, outer), (1, inner))
        place = Place(module, source, phase)
        inputs = (self.matrix(x, ROWS, inner), transposed)
        self.nodes.append(Node("aten.mm.default", (), inputs, (self.matrix(out, ROWS, outer),), place))
        return out

    def relu(self, x: int, module: str, source: str) -> int:
        out = self.value(ROWS * WIDTH, "activation")
        view = self.matrix(x, ROWS, WIDTH)
        result = self.matrix(out, ROWS, WIDTH)
        self.nodes.append(Node("aten.relu.default", (), (view,), (result,), Place(module, source)))
        return out

    def odd(self, x: int) -> None:
        view, result = (
            self.matrix(x, ROWS, WIDTH),
            self.matrix(self.value(ROWS * WIDTH, "other"), ROWS, WIDTH),
        )
        self.nodes.append(Node("aten.linalg_qr.default", (), (view,), (result,), Place("", "train.py:40")))

    def segment(self, ended_by: str) -> Segment:
        return Segment(tuple(self.values), tuple(self.nodes), ended_by)


def training_segment(layers: int = 3) -> Segment:
    builder = _Builder()
    x = builder.value(ROWS * WIDTH, "input")
    for layer in range(layers):
        x = builder.linear(x, WIDTH, WIDTH, f"model.layers.{layer}.mlp", "forward", "train.py:20")
        x = builder.relu(x, f"model.layers.{layer}.act", "train.py:21")
    x = builder.linear(x, WIDTH, 4, "model.head", "forward", "train.py:22")
    for layer in reversed(range(layers)):
        builder.linear(0, WIDTH, WIDTH, f"model.layers.{layer}.mlp", "backward", "train.py:20")
    place = Place("", "train.py:31", "optimizer")
    weight = builder.matrix(builder.value(WIDTH * WIDTH, "parameter"), WIDTH, WIDTH)
    builder.nodes.append(Node("aten.neg.default", (), (weight,), (weight,), place))
    builder.odd(0)
    return builder.segment("step")


def evaluation_segment() -> Segment:
    builder = _Builder()
    x = builder.value(ROWS * WIDTH, "input")
    builder.linear(x, WIDTH, 4, "model.head", "forward", "train.py:22")
    return builder.segment("to host")


def graph(steps: int = 4) -> Graph:
    segments = (training_segment(), evaluation_segment())
    marks = tuple(Mark("step", step + 1, ROWS, ROWS * 4) for step in range(steps))
    weights = sum(value.size_bytes for value in segments[0].values if value.kind == "parameter")
    inputs = 2 * ROWS * WIDTH
    transfers = (
        Transfer(0, weights),
        *(Transfer(step, inputs) for step in range(steps)),
        Transfer(steps, 0, 64),
    )
    memory = Memory(4096, 6000, (("activation", 4000), ("parameter", 2000)), (("model.head", 6000),))
    return Graph("train.py", "basecamp", segments, (*[0] * steps, 1), marks, memory, transfers)


def forward_graph() -> Graph:
    """One long forward pass, then short ones, as a language model generates."""
    segments = (training_segment(4), evaluation_segment())
    marks = (Mark("forward", 1, 1, 32), *(Mark("forward", n, 1, 1) for n in range(2, 7)))
    return Graph("generate.py", "basecamp", segments, (0, 1, 1, 1, 1, 1), marks)


def program(workload: Graph, on: Chip) -> Program:
    return lower(workload, on)


def trace(lowered: Program, on: Chip) -> Trace:
    return simulate(lowered, on)
