"""Shares a fused kernel's time among the places in the user's program that it serves.

A compiler fuses the last backward operator of a layer with the whole optimizer step. Each operator gets the
part that its own demand has in the sum of the demands: the time that it would need by itself at peak rates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from anychip.blocks import VectorUnit
from anychip.chips import Chip
from anychip.operators import meaning, total, work
from anychip.profile.division import PARTS, Division
from anychip.programs.graph import Node, Place, Segment
from anychip.programs.program import Kernel
from anychip.simulate.machine import link_peaks


@dataclass(frozen=True, slots=True)
class Share:
    """What one place has in a kernel.

    Args:
        place: in the user's program.
        time: of the kernel, between 0 and 1.
        macs: of the kernel's multiply-adds.
        moved: of its bytes.
    """

    place: Place
    time: float = 1.0
    macs: float = 1.0
    moved: float = 1.0


class _Need(NamedTuple):
    """What one operator needs by itself, at peak rates."""

    seconds: float
    macs: float
    moved_bytes: float
    operations: int


class Sharing:
    """Shares kernels of one chip, and remembers what operators demand."""

    def __init__(self, chip: Chip) -> None:
        lanes = [
            block.lanes * chip.clock_of(block)
            for block in (engine.block for engine in chip.engines.values())
            if isinstance(block, VectorUnit)
        ]
        self._lanes_per_second = sum(lanes) * chip.cores
        self._macs_per_second = chip.matrix.native_macs_per_cycle * chip.clock_of(chip.matrix) * chip.cores
        peaks = link_peaks(chip)
        self._bytes_per_second = peaks[chip.load.links[0]] if chip.load.links else max(peaks.values())
        self._known: dict[Any, _Need] = {}

    def shares(self, segment: Segment, kernel: Kernel) -> tuple[Share, ...]:
        """Shares of a kernel's places, the largest first; they add up to 1."""
        nodes = [segment.nodes[number] for number in kernel.nodes]
        places = {node.place for node in nodes}
        if len(places) < 2:
            return (Share(kernel.place),)
        sums = {place: [0.0, 0.0, 0.0] for place in places}
        for node in nodes:
            need = self._need(node)
            for i, amount in enumerate((need.seconds, need.macs, need.moved_bytes)):
                sums[node.place][i] += amount
        whole = [sum(amounts[i] for amounts in sums.values()) for i in range(3)]
        shares = [
            Share(place, *(amounts[i] / whole[i] if whole[i] else 1 / len(sums) for i in range(3)))
            for place, amounts in sums.items()
        ]
        return tuple(sorted(shares, key=lambda share: (-share.time, share.place.module, share.place.source)))

    def operations(self, node: Node) -> int:
        """Arithmetic of an operator, a multiply-add counted as two."""
        return self._need(node).operations

    def _need(self, node: Node) -> _Need:
        key = (
            node.operator,
            node.attributes,
            *((view.format, view.shape, view.strides) for view in (*node.inputs, *node.outputs)),
        )
        known = self._known.get(key)
        if known is None:
            need = total(work(form) for form in meaning(node))
            lanes = need.lane_operations + need.total_curves + need.host_operations
            seconds = max(
                need.total_macs / self._macs_per_second,
                lanes / self._lanes_per_second,
                need.bytes / self._bytes_per_second,
            )
            known = self._known[key] = _Need(
                seconds, float(need.total_macs), float(need.bytes), need.operations
            )
        return known


def apportioned(division: Division, shares: tuple[Share, ...]) -> Iterator[tuple[Share, Division]]:
    """A division cut into whole ticks by share of time; the pieces add up to it."""
    done = dict.fromkeys(PARTS, 0)
    reached = 0.0
    for number, share in enumerate(shares, 1):
        reached += share.time
        parts: dict[str, int] = {}
        for part in PARTS:
            whole = getattr(division, part)
            upto = whole if number == len(shares) else min(whole, round(whole * reached))
            parts[part] = upto - done[part]
            done[part] = upto
        yield share, Division(**parts)
