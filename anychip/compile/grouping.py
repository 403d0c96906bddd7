"""The kernels of a workload, found once for all chips that fuse alike, equal ones as one object.

What runs as one kernel depends on the family's way of fusing and, where graphs are compiled, on the size of
the local memory, or where software runs on the cores, on that of the last-level cache; on nothing else of a
chip. So a catalogue of chips is grouped in a handful of ways, and what a chip has to lower are the distinct
kernels: a model of eighty equal layers has those of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anychip.chips import Chip
from anychip.compile.fuse import Group
from anychip.compile.layout import local_memory, shared_cache_bytes
from anychip.compile.residency import kernels_of
from anychip.operators import Form, meaning
from anychip.programs.graph import Graph, Node, View

#: Kernels of one segment, in order.
Kernels = tuple[Group, ...]


class Grouping:
    """Finds the kernels of one graph.

    Args:
        graph: recorded workload; only shapes, formats and places are read.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._forms: list[list[tuple[Form, ...]]] | None = None
        self._equal_forms: dict[Form, Form] = {}
        self._equal_groups: dict[Any, Group] = {}
        self._found: dict[Any, tuple[Kernels, ...]] = {}

    @property
    def forms(self) -> list[list[tuple[Form, ...]]]:
        """What every node of every segment means; equal forms are one object."""
        if self._forms is None:
            known: dict[Any, tuple[Form, ...]] = {}
            self._forms = [
                [self._meaning(node, known) for node in segment.nodes] for segment in self._graph.segments
            ]
        return self._forms

    def on(self, chip: Chip) -> tuple[Kernels, ...]:
        """The kernels of every segment as `chip` runs them; equal kernels are one object."""
        way = _way_of_fusing(chip)
        if way not in self._found:
            self._found[way] = tuple(
                tuple(self._one(group) for group in kernels_of(chip, segment, forms))
                for segment, forms in zip(self._graph.segments, self.forms, strict=True)
            )
        return self._found[way]

    def _meaning(self, node: Node, known: dict[Any, tuple[Form, ...]]) -> tuple[Form, ...]:
        key = (node.operator, node.attributes, _geometry(node.inputs), _geometry(node.outputs))
        forms = known.get(key)
        if forms is None:
            forms = known[key] = tuple(self._equal_forms.setdefault(each, each) for each in meaning(node))
        return forms

    def _one(self, group: Group) -> Group:
        """The first group that does the same; forms are compared by identity, since equal ones are one."""
        key = (
            tuple(map(id, group.forms)), group.residency, group.sources, group.kept_bytes,
            group.epilogue_bytes, group.first, group.is_list, group.crossing, group.mapped_bytes,
            group.called_in, group.replayed,
        )  # fmt: skip
        return self._equal_groups.setdefault(key, group)


def _way_of_fusing(chip: Chip) -> tuple[Any, ...]:
    software = chip.policy.inline
    if software is not None:
        cache = chip.policy.cache_share * shared_cache_bytes(chip)
        return ("inline", cache, software.map_threshold_bytes)
    if chip.policy.style != "compiled":
        return ("eager",)
    return ("compiled", chip.memories[local_memory(chip)].capacity_bytes)


def _geometry(views: Sequence[View]) -> tuple[Any, ...]:
    return tuple((view.format, view.shape, view.strides) for view in views)
