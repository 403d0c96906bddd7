"""Drops what a report should not tell others: names of source files."""

from __future__ import annotations

from dataclasses import replace

from anychip.programs.graph import Graph, Node


def redacted(graph: Graph) -> Graph:
    """The same workload without source files and lines; module names stay.

    Redacting the graph, not the report, makes sure that nothing derived from it can name a file.
    """
    segments = tuple(
        replace(segment, nodes=tuple(_redacted(node) for node in segment.nodes)) for segment in graph.segments
    )
    stand_ins = tuple(dict.fromkeys((what, "") for what, _ in graph.stand_ins))
    return replace(graph, name="script", segments=segments, stand_ins=stand_ins)


def _redacted(node: Node) -> Node:
    return replace(node, place=replace(node.place, source=""))
