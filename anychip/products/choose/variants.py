"""The workload in the formats that a question names, or the nearest ones that a chip computes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anychip.chips import Chip, choices
from anychip.errors import NotModelled
from anychip.operators import Form
from anychip.products.choose.copies import Exchange, exchange_of
from anychip.products.choose.migration import Recording, recorded
from anychip.programs.graph import Graph
from anychip.programs.retype import REPLACED, retyped

#: What a chip without a format takes in its place, best first.
_NEAREST: Mapping[str, tuple[str, ...]] = {"bf16": ("fp16", "fp32"), "fp16": ("bf16", "fp32")}


@dataclass(frozen=True, slots=True)
class Variant:
    """The workload in one set of formats.

    Args:
        label: for the table.
        graph: retyped where needed.
        numerics: to ask each chip for; None takes the chip's own.
        exchange: what several chips would send each other.
        recording: what the workload shows of itself, whatever the chip.
        replaced: formats of the script that the chip does not compute with, and what stands for them.
        known_forms: meanings of its calls, shared by all chips.
    """

    label: str
    graph: Graph
    numerics: str | None
    exchange: Exchange
    recording: Recording
    replaced: tuple[tuple[str, str], ...] = ()
    known_forms: dict[Any, tuple[Form, ...]] = field(default_factory=dict[Any, "tuple[Form, ...]"])


class Variants:
    """One captured workload in other formats, each made once for all chips."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._used = _stored_formats(graph)
        self._made: dict[Any, Variant] = {}

    def on(self, chip: Chip, stored: str) -> Variant:
        """The workload as `chip` would run it.

        Args:
            chip: decides what stands for a format that it lacks.
            stored: one of `question.STORED`.

        Raises:
            NotModelled: the format was asked for and the chip does not compute with it.
        """
        if stored == "captured":
            return self._captured(chip)
        if stored == "fp8":
            if "fp8" not in choices(chip):
                raise NotModelled("multiplies no fp8")
            return self._of("fp8", REPLACED, "bf16" if computes(chip, "bf16") else "fp16", "fp8")
        if stored != "fp32" and not computes(chip, stored):
            raise NotModelled(f"computes in no {stored}")
        return self._of(stored, REPLACED, stored, "fp32" if stored == "fp32" else None)

    def _captured(self, chip: Chip) -> Variant:
        label = max(self._used, key=lambda name: self._used[name]) if self._used else "captured"
        for name in _NEAREST:
            if name in self._used and not computes(chip, name):
                instead = next(other for other in _NEAREST[name] if other == "fp32" or computes(chip, other))
                shown = instead if label == name else label
                return self._of(shown, (name,), instead, None, ((name, instead),))
        return self._of(label, (), "", None)

    def _of(
        self,
        label: str,
        retyping: tuple[str, ...],
        instead: str,
        numerics: str | None,
        replaced: tuple[tuple[str, str], ...] = (),
    ) -> Variant:
        key = (retyping, instead, numerics)
        if key not in self._made:
            graph = retyped(self._graph, instead, retyping) if retyping else self._graph
            self._made[key] = Variant(label, graph, numerics, exchange_of(graph), recorded(graph), replaced)
        return self._made[key]


def computes(chip: Chip, format_name: str) -> bool:
    """Whether the chip multiplies in a format at a published rate, and not by way of a wider one."""
    return f"peak.{format_name}" in chip.facts


def _stored_formats(graph: Graph) -> dict[str, int]:
    """Elements of matrix operands by the format in which they are stored."""
    elements: dict[str, int] = {}
    for segment in graph.segments:
        for node in segment.nodes:
            for view in node.inputs:
                if view.format in ("fp32", "bf16", "fp16", "fp64") and len(view.shape) > 1:
                    elements[view.format] = elements.get(view.format, 0) + view.elements
    return elements
