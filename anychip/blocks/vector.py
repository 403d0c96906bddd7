"""The vector unit: lanes that evaluate a recipe, one operation per lane and cycle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import ClassVar

from anychip.blocks.block import Block, Timing, ceil_div, require_share


@dataclass(frozen=True, kw_only=True)
class VectorUnit(Block):
    """Lanes x one operation a cycle; curves may cost more.

    Args:
        lanes: elements worked on side by side.
        latency_cycles: from the last element to the result's landing.
        minimum_cycles: shortest operation.
        cost: cycles per element and lane of operations that do not take 1, by operation name; a value
            below 1 is a faster mode.
        overhead_cycles: added once to every operation.
        efficiency: share of its cycles in which the unit works, inside one operation.
    """

    lanes: int
    latency_cycles: int = 1
    minimum_cycles: int = 1
    cost: Mapping[str, float] = field(default_factory=dict)
    overhead_cycles: int = 0
    efficiency: float = 1.0

    operations: ClassVar[tuple[str, ...]] = ("lanes", "reduce", "drain")

    def __post_init__(self) -> None:
        self.require(lanes=self.lanes, minimum_cycles=self.minimum_cycles)
        require_share("VectorUnit", self.efficiency)

    def timing(self, operation: str, extents: tuple[int, ...], steps: tuple[str, ...]) -> Timing:
        """Cycles of a recipe over a tile.

        Args:
            operation: ``lanes``, ``reduce`` or ``drain``.
            extents: (elements,) or (rows, columns) of the tile.
            steps: names of the recipe's operations, in order.
        """
        elements = 1
        for extent in extents:
            elements *= extent
        groups = ceil_div(elements, self.lanes)
        per_group = sum(self.cost.get(step, 1.0) for step in steps) or 1.0
        cycles = ceil(groups * per_group / self.efficiency)
        busy = max(self.minimum_cycles, cycles) + self.overhead_cycles
        return Timing(busy, self.latency_cycles)
