"""Published timings of single operators, and the calls that they timed.

How a row was measured is part of what it measures: calls timed by events from an idle stream contain the
host's time to launch one operator, which is added here as the method's, not the chip's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from anychip.chips import Chip, Policy, cast_format
from anychip.compile import Lowering
from anychip.errors import AnychipError, NotModelled
from anychip.operators import Form
from anychip.products.validate.mapping import settled
from anychip.products.validate.question import (
    BrokenRow,
    ChipOf,
    Excluded,
    Measured,
    Out,
    Question,
    Row,
    answered,
    catalogue_chip,
    extent,
    number,
    text,
)
from anychip.programs.graph import Node, View
from anychip.simulate import Player

#: Of a file of this kind.
COLUMNS = ("chip", "op", "batch", "m", "n", "k", "dtype", "measured_ms", "method")

_PRODUCTS = ("linear", "product", "bmm", "matmul", "attention_product")
#: Rows of a vocabulary where a row names none: only the rows that are picked move.
_VOCABULARY = 32_000
_PLAIN = "gelu relu tanh sigmoid silu exp log sqrt rsqrt reciprocal neg abs sin cos erf clone".split()
_UNARY = {
    **{name: f"aten.{name}.default" for name in _PLAIN},
    "add_scalar": "aten.add.Scalar", "mul_scalar": "aten.mul.Scalar", "div_scalar": "aten.div.Scalar",
    "pow_scalar": "aten.pow.Tensor_Scalar",
}  # fmt: skip
_BINARY = {
    "add": "aten.add.Tensor", "mul": "aten.mul.Tensor", "div": "aten.div.Tensor",
    "pow": "aten.pow.Tensor_Tensor", "sub": "aten.sub.Tensor", "maximum": "aten.maximum.default",
    "minimum": "aten.minimum.default",
}  # fmt: skip
#: Formats as rows spell them, by the catalogue's names. Which format of 8 bits is meant, the chip decides.
FORMATS = {
    "fp32": "fp32", "float32": "fp32", "fp16": "fp16", "float16": "fp16", "half": "fp16", "bf16": "bf16",
    "bfloat16": "bf16", "fp8": "fp8", "fp8_e4m3": "fp8", "e4m3": "fp8", "fp8_e5m2": "fp8_e5m2",
    "e5m2": "fp8_e5m2",
}  # fmt: skip


def format_named(dtype: str, kind: str) -> str:
    """A row's format as classes are called, however the row spells it.

    Raises:
        BrokenRow: none is named.
        Out: no format is called so.
    """
    if not dtype:
        raise BrokenRow("dtype", "it is empty")
    name = FORMATS.get(dtype.casefold().removeprefix("torch."))
    if name is None:
        raise Out("software", f"format {dtype}: no call for it", kind)
    return name


def format_on(chip_name: str, dtype: str, kind: str) -> str:
    """The catalogue's name of a row's format on the chip of the row.

    Raises:
        BrokenRow: none is named.
        Out: no format is called so, or the chip multiplies no such one.
    """
    name = format_named(dtype, kind)
    if not name.startswith("fp8"):
        return name
    found = cast_format(catalogue_chip(chip_name), name)
    if found is None:
        raise Out("software", f"format {dtype}: {chip_name} multiplies no such one", kind)
    return found


def view(number: int, format_name: str, *shape: int) -> View:
    """A contiguous view of value `number`."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return View(number, format_name, shape, tuple(strides))


@lru_cache(maxsize=20_000)
def nodes_of(op: str, name: str, batch: int, m: int, n: int, k: int) -> tuple[Node, ...]:
    """The calls that a row timed, in the format `name`: one, or the gradients of one.

    In a model `torch.matmul` multiplies queries by keys and probabilities by values that lie head beside head
    in memory: what no batch of matrices can view it copies first.

    Raises:
        NotModelled: an operator that this command has no call for.
    """
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
    if op == "attention_product":
        copies: list[Node] = []
        if m == n:  # queries by keys
            copies.append(_copied(name, (batch, m, k), (k, batch * k, 1)))
            copies.append(_copied(name, (batch, k, n), (k, 1, batch * k)))
        elif m == k:  # probabilities by values
            copies.append(_copied(name, (batch, k, n), (n, batch * n, 1)))
        return (*copies, _forward("bmm", name, batch, m, n, k))
    return (_forward(op, name, batch, m, n, k),)


def _copied(name: str, shape: tuple[int, int, int], strides: tuple[int, int, int]) -> Node:
    """The copy of a batch of matrices into one piece."""
    return Node("aten.clone.default", (), (View(0, name, shape, strides),), (view(1, name, *shape),))


def _forward(op: str, name: str, batch: int, m: int, n: int, k: int) -> Node:
    if op == "linear":
        weight = View(1, name, (k, n), (1, k))
        inputs = (view(0, name, n), view(2, name, batch * m, k), weight)
        return Node("aten.addmm.default", (), inputs, (view(3, name, batch * m, n),))
    if op == "product":  # a linear layer without bias
        inputs = (view(0, name, batch * m, k), View(1, name, (k, n), (1, k)))
        return Node("aten.mm.default", (), inputs, (view(2, name, batch * m, n),))
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
    if op == "rope":  # in place, on queries and keys together; the tables of angles are short
        return Node("aten.mul.Scalar", (("other", 2.5),), (whole,), (view(1, name, rows, n),))
    if op == "silu_mul":  # one fused kernel of the serving library: two operands, one result
        return Node("aten.mul.Tensor", (), (whole, view(1, name, rows, n)), (view(2, name, rows, n),))
    raise NotModelled(f"operator {op}: no call for it")


#: What calls mean, whatever the chip and its constants.
_FORMS: dict[Any, tuple[Form, ...]] = {}


class Replay:
    """Predictions of calls on chips, each distinct call priced once.

    Args:
        chip_of: the chip of a name: that of the catalogue, or one with other constants.
    """

    def __init__(self, chip_of: ChipOf = catalogue_chip) -> None:
        self._chip_of = chip_of
        self._pricers: dict[str, tuple[Chip, Lowering, Player]] = {}

    def pricer(self, name: str) -> tuple[Chip, Lowering, Player]:
        """The chip of a name with what lowers for it and plays on it."""
        if name not in self._pricers:
            chip = self._chip_of(name)
            self._pricers[name] = (chip, Lowering(chip, _FORMS), Player(chip))
        return self._pricers[name]

    def seconds(self, chip_name: str, nodes: Sequence[Node]) -> float:
        """Device time of the calls, one after the other."""
        chip, lowering, player = self.pricer(chip_name)
        forms = [form for node in nodes for form in lowering.forms(node)]
        return sum(player.span(lowering.nest(form)).ticks for form in forms) / chip.clock_hz


@dataclass(frozen=True, kw_only=True)
class Call(Question):
    """A timed operator.

    Args:
        op: as the file spells it.
        format: of operands and result, by the catalogue's name.
        shape: (batch, m, n, k).
        host: class whose dispatch from an idle host the measurement contains; empty for kernel times.
        traced: whether the host was ahead, so that the measurement contains a part of that dispatch.
    """

    op: str
    format: str
    shape: tuple[int, int, int, int]
    host: str
    traced: bool = False


def read(file: str, row: Row, shortest_s: float) -> Call:
    """The call of a row."""
    said = settled("operators", row)
    op, kind = said.get("call", ""), said.get("class", "other operators")
    if not op:
        raise Out("workload", f"operator {text(row, 'op')}: no rule names its call", kind)
    measured_s = 1e-3 * number(row, "measured_ms")
    # Only products sum over something.
    depth = extent(row, "k") if op.startswith(_PRODUCTS) else extent(row, "k", otherwise=1)
    shape = (extent(row, "batch", otherwise=1), extent(row, "m"), extent(row, "n"), depth)
    text(row, "method")
    chip = chip_named(said.get("chip", row["chip"]), kind)
    dtype, name = format_named(row["dtype"], kind), format_on(chip, row["dtype"], kind)
    try:
        nodes_of(op, name, *shape)
    except NotModelled as error:
        raise Out("software", str(error), kind) from None
    return Call(
        file=file, line=int(row["line"]), kind=kind, chip=chip, dtype=dtype, format=name,
        subject=f"{op} {'x'.join(map(str, shape))}", metric="latency", unit="s", measured=measured_s,
        short=measured_s < shortest_s, workload=(op, dtype, shape), op=op, shape=shape,
        family=said.get("family", ""), host=said.get("host", ""), traced=said.get("host_share") == "traced",
    )  # fmt: skip


def chip_named(name: str, kind: str) -> str:
    """The catalogue's name of a chip.

    Raises:
        BrokenRow: there is no name.
        Out: it is not in the catalogue.
    """
    if not name:
        raise BrokenRow("chip", "it is empty")
    try:
        return catalogue_chip(name.casefold()).name
    except AnychipError:
        raise Out("chip", f"chip {name}", kind) from None


def predict(
    questions: Sequence[Question], chip_of: ChipOf = catalogue_chip
) -> tuple[list[Measured], list[Excluded]]:
    """Calls with their predictions."""
    replay = Replay(chip_of)
    calls = [each for each in questions if isinstance(each, Call)]
    return [answered(call, seconds_of(replay, call)) for call in calls], []


def seconds_of(replay: Replay, call: Call) -> float:
    """What a call takes, with the host's share that its method measures."""
    return device_seconds(replay, call) + host_seconds(replay.pricer(call.chip)[0].policy, call)


def device_seconds(replay: Replay, call: Call) -> float:
    """What a call takes on the device."""
    return replay.seconds(call.chip, nodes_of(call.op, call.format, *call.shape))


def host_seconds(policy: Policy, call: Call) -> float:
    """The host's share of a call that its method measures."""
    share = policy.traced_dispatch if call.traced else 1.0
    return share * policy.idle_dispatch_s.get(call.host, 0.0)
