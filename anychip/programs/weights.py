"""A Graph whose weights are stored in fewer bits, as quantised checkpoints store them.

Only the weights that are multiplied change: tables that are looked up, vectors, and products that give logits
keep their format, as checkpoints of GPTQ, AWQ, bitsandbytes and FP8 keep them. Activations stay as they are;
whether products are then formed in the wider format or in the narrow one is the chip's numerics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from anychip.errors import InvalidInput, unknown_name
from anychip.formats import by_name
from anychip.operators.forms import element_bits
from anychip.programs.graph import Graph, Segment, View
from anychip.programs.retype import scaled_memory

#: Formats by the names that users know, and bits of scales that groups of elements share, per element: 4-bit
#: checkpoints have a 16-bit scale and a 4-bit zero for every 128 elements; scales of rows are not counted.
WEIGHTS: dict[str, tuple[str, float]] = {
    "int8": ("int8", 0.0),
    "fp8": ("fp8_e4m3fn", 0.0),
    "int4": ("int4", 20 / 128),
}
_PRODUCTS = ("aten.mm", "aten.addmm", "aten.linear", "aten.bmm", "aten.baddbmm", "aten._grouped_mm")
_TABLES = ("aten.embedding",)


def with_weights(graph: Graph, name: str, stored_as: str | None = None) -> Graph:
    """The graph with its multiplied weights stored in other formats.

    Args:
        graph: as captured: an inference, nothing that trains.
        name: of `WEIGHTS`.
        stored_as: the chip's own format of that width; None: the usual one.

    Returns:
        the graph; memory shrinks with the weights.

    Raises:
        InvalidInput: no weight in it is multiplied, or the graph trains them.
    """
    if name not in WEIGHTS:
        raise unknown_name("weight format", name, WEIGHTS)
    if any(node.place.phase in ("backward", "optimizer") for each in graph.segments for node in each.nodes):
        raise InvalidInput(
            f"--weights {name}: the workload trains, and gradients need weights of 16 bits or more; "
            "leave the option out"
        )
    format_name, shared_bits = stored_as or WEIGHTS[name][0], WEIGHTS[name][1]
    chosen = [_multiplied(segment) for segment in graph.segments]
    if not any(chosen):
        raise InvalidInput(f"--weights {name}: the workload multiplies no weights; leave the option out")
    bits = by_name(format_name).bits + shared_bits
    segments = tuple(
        _changed(segment, mine, format_name, bits)
        for segment, mine in zip(graph.segments, chosen, strict=True)
    )
    return dataclasses.replace(
        graph,
        segments=segments,
        memory=scaled_memory(graph, segments),
        numerics=f"{graph.numerics}, {name} weights",
    )


def _multiplied(segment: Segment) -> dict[int, int]:
    """Weights that are multiplied and nothing else, with the bits of their elements; none of logits."""
    found: dict[int, int] = {}
    others: set[int] = set()
    vocabularies = {node.inputs[0].shape[0] for node in segment.nodes if node.operator.startswith(_TABLES)}
    for node in segment.nodes:
        multiplies = node.operator.startswith(_PRODUCTS)
        for view in node.inputs:
            if segment.values[view.value].kind != "parameter":
                continue
            if multiplies and len(view.shape) > 1 and not vocabularies.intersection(view.shape):
                found[view.value] = element_bits(view.format)
            else:
                others.add(view.value)
    return {value: bits for value, bits in found.items() if value not in others and bits > 8}


def _changed(segment: Segment, chosen: Mapping[int, int], format_name: str, bits: float) -> Segment:
    values = tuple(
        dataclasses.replace(value, size_bytes=round(value.size_bytes * bits / chosen[index]))
        if index in chosen
        else value
        for index, value in enumerate(segment.values)
    )
    nodes = tuple(
        dataclasses.replace(node, inputs=tuple(_view(view, chosen, format_name) for view in node.inputs))
        for node in segment.nodes
    )
    return dataclasses.replace(segment, values=values, nodes=nodes)


def _view(view: View, chosen: Mapping[int, int], format_name: str) -> View:
    return dataclasses.replace(view, format=format_name) if view.value in chosen else view
