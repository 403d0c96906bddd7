"""The workload in the formats that a question names, or the nearest ones that a chip computes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anychip.chips import Chip, cast_format
from anychip.compile.grouping import Grouping
from anychip.errors import NotModelled
from anychip.formats import by_name
from anychip.products.choose.copies import Exchange, exchange_of
from anychip.products.choose.migration import Recording, recorded
from anychip.programs.graph import Graph
from anychip.programs.retype import REPLACED, mapped
from anychip.programs.weights import WEIGHTS, with_weights

#: What a chip without a format takes in its place, best first; what is left becomes fp32.
_SIXTEEN_BIT = ("bf16", "fp16")
_EIGHT_BIT = ("fp8_e4m3fn", "fp8_e4m3", "fp8_e4m3fnuz", "fp8_e5m2", "fp8_e5m2fnuz")


@dataclass(frozen=True, slots=True)
class Variant:
    """The workload in one set of formats.

    Args:
        label: for the table.
        graph: retyped where needed.
        numerics: to ask each chip for; None takes the chip's own.
        exchange: what several chips would send each other.
        recording: what the workload shows of itself, whatever the chip.
        kernels: of the graph, for every way of fusing it.
        replaced: formats of the script that the chip does not compute with, and what stands for them.
        weights: format in which multiplied weights are stored; None: like the rest.
    """

    label: str
    graph: Graph
    numerics: str | None
    exchange: Exchange
    recording: Recording
    kernels: Grouping
    replaced: tuple[tuple[str, str], ...] = ()
    weights: str | None = None


class Variants:
    """One captured workload in other formats, each made once for all chips.

    Args:
        graph: as captured.
        weights: format in which weights are stored, of `programs.weights.WEIGHTS`; None: like the rest.

    Raises:
        InvalidInput: the workload trains, or multiplies no weights.
    """

    def __init__(self, graph: Graph, weights: str | None = None) -> None:
        self.graph = graph
        self.weights = weights
        if weights is not None:
            with_weights(graph, weights)
        self._multiplied = _elements_by_format(graph)
        self._stored = _formats_of(graph)
        self._retyped: dict[Any, _Retyped] = {}
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
            narrow = cast_format(chip, "fp8")
            if narrow is None:
                raise NotModelled("multiplies no fp8")
            storage = next((name for name in _SIXTEEN_BIT if computes(chip, name)), "fp32")
            return self._of("fp8", dict.fromkeys(REPLACED, storage), "fp8", narrow=narrow)
        if stored != "fp32" and not computes(chip, stored):
            raise NotModelled(f"computes in no {stored}")
        return self._of(stored, dict.fromkeys(REPLACED, stored), "fp32" if stored == "fp32" else None)

    def _captured(self, chip: Chip) -> Variant:
        """Every format of the script that the chip does not compute with replaced by the nearest it has."""
        mapping = {
            name: _nearest(chip, name)
            for name in (*_SIXTEEN_BIT, *_EIGHT_BIT)
            if name in self._stored and not computes(chip, name)
        }
        mostly = max(self._multiplied, key=lambda name: self._multiplied[name], default="captured")
        return self._of(mapping.get(mostly, mostly), mapping, None, tuple(mapping.items()))

    def _of(
        self,
        label: str,
        mapping: Mapping[str, str],
        numerics: str | None,
        replaced: tuple[tuple[str, str], ...] = (),
        narrow: str | None = None,
    ) -> Variant:
        changed = tuple((name, to) for name, to in mapping.items() if name != to and name in self._stored)
        replaced = tuple(each for each in replaced if each in changed)
        narrow = narrow if self.weights == "fp8" else None
        key = (label, changed, numerics, replaced, narrow)
        if key not in self._made:
            if (changed, narrow) not in self._retyped:
                graph = mapped(self.graph, dict(changed)) if changed else self.graph
                if self.weights is not None:
                    graph = with_weights(graph, self.weights, narrow)
                self._retyped[changed, narrow] = _Retyped(graph)
            made = self._retyped[changed, narrow]
            if self.weights is not None:
                label = f"{label} w{by_name(WEIGHTS[self.weights][0]).bits}"
            self._made[key] = Variant(
                label, made.graph, numerics, made.exchange, made.recording, made.kernels, replaced,
                self.weights,
            )  # fmt: skip
        return self._made[key]


class _Retyped:
    """A graph in some formats, with what only depends on them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.kernels = Grouping(graph)
        self.exchange = exchange_of(graph, self.kernels.forms)
        self.recording = recorded(graph, self.kernels.forms)


def computes(chip: Chip, format_name: str) -> bool:
    """Whether the chip multiplies in a format at a rate of its own, and not by way of a wider one.

    A chip that states no peak, as one's own may, computes with what its engines take.
    """
    if any(name.startswith("peak.") for name in chip.facts):
        return f"peak.{format_name}" in chip.facts
    return chip.macs_per_second(format_name) > 0


def _nearest(chip: Chip, format_name: str) -> str:
    """What stands for a format that the chip does not compute with: as narrow as possible, never narrower."""
    narrow = _EIGHT_BIT if format_name in _EIGHT_BIT else ()
    return next((name for name in (*narrow, *_SIXTEEN_BIT) if computes(chip, name)), "fp32")


def _elements_by_format(graph: Graph) -> dict[str, int]:
    """Elements of matrix operands by the real format in which they are stored."""
    elements: dict[str, int] = {}
    for segment in graph.segments:
        for node in segment.nodes:
            for view in node.inputs:
                if len(view.shape) > 1 and view.format in (*REPLACED, "fp64", *_EIGHT_BIT):
                    elements[view.format] = elements.get(view.format, 0) + view.elements
    return elements


def _formats_of(graph: Graph) -> frozenset[str]:
    return frozenset(
        view.format
        for segment in graph.segments
        for node in segment.nodes
        for view in (*node.inputs, *node.outputs)
    )
