"""How a family's compiler and runtime turn graphs into programs, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from anychip.facts import Fact


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Choices that belong to software, not silicon.

    Args:
        style: ``compiled`` fuses whatever the graph allows (Neuron, XLA); ``eager`` launches operator by
            operator and fuses only inside `torch.compile` regions; ``basecamp`` lowers one operator to one
            nest on a single core, edges exact.
        tile: (m, n, k) of one contraction tile.
        depth: slots of double-buffered operands.
        vector_tile: elements of one vector instruction where nothing else sets it.
        facts: sources of the numbers above and of the family's fitted constants.
    """

    style: Literal["compiled", "eager", "basecamp"]
    tile: tuple[int, int, int]
    depth: int = 2
    vector_tile: int = 4096
    facts: Mapping[str, Fact] = field(default_factory=dict, repr=False, compare=False)
