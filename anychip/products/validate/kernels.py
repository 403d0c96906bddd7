"""Kernels written by hand for Neuron cores, beside the same operators in a compiled graph of one call.

Most of these figures are what tests of the kernels assert at most: the kernel itself is somewhat faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from anychip.errors import AnychipError
from anychip.products.validate.mapping import settled
from anychip.products.validate.operators import Replay, chip_named, view
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
    number,
)
from anychip.programs.graph import Node

#: Of a file of this kind.
COLUMNS = ("chip", "kernel", "shape", "dtype", "metric", "value", "unit", "kind")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
_FORMATS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True, kw_only=True)
class Kernel(Question):
    """A timed kernel.

    Args:
        call: which operators it stands for.
        extents: of the call, by name.
    """

    call: str
    extents: tuple[tuple[str, int], ...]


def read(file: str, row: Row, shortest_s: float) -> Kernel:
    """The kernel of a row."""
    said = settled("kernels", row)
    kind = said.pop("class", "neuron kernels")
    call = said.pop("call", "")
    if not call:
        raise Out("workload", f"kernel {row['kernel']}: no rule names its operators", kind)
    chip = chip_named(said.pop("chip", row["chip"]), kind)
    if row["unit"] not in _SECONDS:
        raise Out("measurement", f"{row['metric']} in {row['unit']} is no time", kind)
    dtype = row["dtype"].casefold()
    if dtype not in _FORMATS:
        raise BrokenRow("dtype", f'"{row["dtype"]}" is none of {", ".join(_FORMATS)}')
    measured_s = number(row, "value") * _SECONDS[row["unit"]]
    extents = tuple((name, int(text)) for name, text in sorted(said.items()))
    empty = [name for name, size in extents if size < 1]
    if empty:
        raise BrokenRow("shape", f"{row['shape']} is impossible; {', '.join(empty)} must be 1 or more")
    return Kernel(
        file=file, line=int(row["line"]), kind=kind, chip=chip, dtype=dtype, metric=row["metric"],
        unit="s", measured=measured_s, short=measured_s < shortest_s,
        subject=f"{row['kernel']} {row['shape']}", workload=(call, extents, dtype), call=call,
        extents=extents,
    )  # fmt: skip


def _attention(format_name: str, of: Mapping[str, int]) -> list[Node]:
    """Every token sees all others."""
    shape = (1, of.get("heads", 1), of["tokens"], of["width"])
    query, keys, values = (view(i, format_name, *shape) for i in range(3))
    results = (view(3, format_name, *shape), view(4, "fp32", *shape[:3]))
    name = "aten._scaled_dot_product_efficient_attention.default"
    return [Node(name, (("is_causal", False),), (query, keys, values), results)]


def _attention_backward(format_name: str, of: Mapping[str, int]) -> list[Node]:
    """Gradients of causal attention."""
    shape = (1, of["heads"], of["tokens"], of["width"])
    inputs = (*(view(i, format_name, *shape) for i in range(5)), view(5, "fp32", *shape[:3]))
    results = tuple(view(6 + i, format_name, *shape) for i in range(3))
    name = "aten._scaled_dot_product_flash_attention_for_cpu_backward.default"
    return [Node(name, (("is_causal", True),), inputs, results)]


def _norm_and_product(format_name: str, of: Mapping[str, int]) -> list[Node]:
    rows, width, heads = of["tokens"], of["width"], of["heads"]
    values, scale = view(0, format_name, rows, width), view(1, format_name, width)
    normed, inverse = view(2, format_name, rows, width), view(3, "fp32", rows, 1)
    attributes = (("normalized_shape", (width,)), ("eps", 1e-6))
    weights, product = view(4, format_name, width, heads), view(5, format_name, rows, heads)
    return [
        Node("aten._fused_rms_norm.default", attributes, (values, scale), (normed, inverse)),
        Node("aten.mm.default", (), (normed, weights), (product,)),
    ]


def _pooling(format_name: str, of: Mapping[str, int]) -> list[Node]:
    images, channels, side, out = of["images"], of["channels"], of["side"], of["out"]
    return [
        Node(
            "aten._adaptive_avg_pool2d.default",
            (("output_size", (out, out)),),
            (view(0, format_name, images, channels, side, side),),
            (view(1, format_name, images, channels, out, out),),
        )
    ]


def _resizing(format_name: str, of: Mapping[str, int]) -> list[Node]:
    images, channels = of["images"], of["channels"]
    before, after = (of["height"], of["breadth"]), (of["new_height"], of["new_breadth"])
    return [
        Node(
            "aten.upsample_nearest2d.default",
            (("output_size", after),),
            (view(0, format_name, images, channels, *before),),
            (view(1, format_name, images, channels, *after),),
        )
    ]


def _max_pooling_backward(format_name: str, of: Mapping[str, int]) -> list[Node]:
    images, channels, side, out = of["images"], of["channels"], of["side"], of["out"]
    attributes = (
        ("kernel_size", (3, 3)), ("stride", (2, 2)), ("padding", (1, 1)), ("dilation", (1, 1)),
        ("ceil_mode", False),
    )  # fmt: skip
    small, large = (images, channels, out, out), (images, channels, side, side)
    inputs = (view(0, format_name, *small), view(1, format_name, *large), view(2, "int64", *small))
    return [
        Node(
            "aten.max_pool2d_with_indices_backward.default",
            attributes,
            inputs,
            (view(3, format_name, *large),),
        )
    ]


_CALLS: Mapping[str, Callable[[str, Mapping[str, int]], list[Node]]] = {
    "attention": _attention,
    "attention backward": _attention_backward,
    "norm and product": _norm_and_product,
    "pooling": _pooling,
    "resizing": _resizing,
    "max pooling backward": _max_pooling_backward,
}


def predict(
    questions: Sequence[Question], chip_of: ChipOf = catalogue_chip
) -> tuple[list[Measured], list[Excluded]]:
    """Kernels with their predictions: time on the core, calls of the host apart."""
    replay = Replay(chip_of)
    done: list[Measured] = []
    left: list[Excluded] = []
    for kernel in (each for each in questions if isinstance(each, Kernel)):
        try:
            done.append(answered(kernel, _seconds(replay, kernel)))
        except (AnychipError, KeyError) as error:
            because = f"{kernel.call}: {error}"
            left.append(Excluded(kernel.file, kernel.line, kernel.kind, "workload", because))
    return done, left


def _seconds(replay: Replay, kernel: Kernel) -> float:
    chip, lowering, player = replay.pricer(kernel.chip)
    nodes = _CALLS[kernel.call](kernel.dtype, dict(kernel.extents))
    spans = [player.span(lowering.nest(form)) for node in nodes for form in lowering.forms(node)]
    ticks = sum(span.ticks - sum(each for _, each in span.fixed) for span in spans)
    return ticks / chip.clock_hz
