"""A Graph in other formats: what the same workload would store and move in bf16, say.

Only formats and sizes change; the path stays the one that was captured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from anychip.formats import Float, by_name
from anychip.programs.graph import Graph, Kind, Memory, Segment, Value, View

#: Formats in which training and inference scripts store real numbers and that a retyping replaces.
REPLACED = ("fp32", "fp16", "bf16")


def retyped(graph: Graph, format_name: str, replaced: tuple[str, ...] = REPLACED) -> Graph:
    """The graph with every real number of the formats `replaced` stored in `format_name`.

    Integers, truth values and fp64 stay; so do views of 8-bit floats.

    Args:
        graph: as captured.
        format_name: of a float, e.g. ``"bf16"``.
        replaced: formats that give way to it.
    """
    return mapped(graph, {name: format_name for name in replaced if name != format_name})


def mapped(graph: Graph, mapping: Mapping[str, str]) -> Graph:
    """The graph with everything that is stored in a format of `mapping` stored in what it maps to."""
    segments = tuple(_segment(segment, mapping) for segment in graph.segments)
    memory = scaled_memory(graph, segments)
    formats = ", ".join(dict.fromkeys(mapping.values())) or "its own formats"
    return dataclasses.replace(
        graph, segments=segments, memory=memory, numerics=f"{graph.numerics} in {formats}"
    )


def _segment(segment: Segment, mapping: Mapping[str, str]) -> Segment:
    stored: dict[int, str] = {}
    for node in segment.nodes:
        for view in (*node.inputs, *node.outputs):
            stored.setdefault(view.value, view.format)
    values = tuple(_value(value, stored.get(index), mapping) for index, value in enumerate(segment.values))
    nodes = tuple(
        dataclasses.replace(node, inputs=_views(node.inputs, mapping), outputs=_views(node.outputs, mapping))
        for node in segment.nodes
    )
    return dataclasses.replace(segment, values=values, nodes=nodes)


def _views(views: tuple[View, ...], mapping: Mapping[str, str]) -> tuple[View, ...]:
    return tuple(
        dataclasses.replace(view, format=mapping[view.format]) if view.format in mapping else view
        for view in views
    )


def _value(value: Value, stored: str | None, mapping: Mapping[str, str]) -> Value:
    if stored is None or stored not in mapping:
        return value
    return dataclasses.replace(value, size_bytes=value.size_bytes * _bits(mapping[stored]) // _bits(stored))


def _bits(name: str) -> int:
    format = by_name(name)
    return 32 if isinstance(format, Float) and format.name == "tf32" else format.bits


def scaled_memory(graph: Graph, segments: tuple[Segment, ...]) -> Memory:
    """The record of memory scaled, kind by kind, by how much the values of that kind shrank.

    Args:
        graph: whose record it is.
        segments: the graph's, with other formats.
    """
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    for old, new in zip(graph.segments, segments, strict=True):
        for was, now in zip(old.values, new.values, strict=True):
            before[was.kind] = before.get(was.kind, 0) + was.size_bytes
            after[now.kind] = after.get(now.kind, 0) + now.size_bytes
    memory = graph.memory
    by_kind: tuple[tuple[Kind, int], ...] = tuple(
        (kind, size * after[kind] // before[kind] if before.get(kind) else size)
        for kind, size in memory.peak_by_kind
    )
    whole = sum(size for _, size in memory.peak_by_kind)
    peak = sum(size for _, size in by_kind) if whole else memory.peak_bytes
    share = peak / whole if whole else 1.0
    return Memory(
        live_bytes=round(memory.live_bytes * share),
        peak_bytes=peak,
        peak_by_kind=by_kind,
        peak_by_module=tuple((name, round(size * share)) for name, size in memory.peak_by_module),
    )
