"""Several chips that share one copy of a model, by a simple tensor-parallel ring.

Every contraction is divided evenly; the chips exchange the results of every second contraction with
weights, as in Megatron's column-then-row scheme. All of it is assumed: no measurement backs the division.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from anychip.blocks import DmaEngine, DotUnit, Link, MatrixEngine, Memory, SystolicArray, VectorUnit
from anychip.chips import Chip, Engine, Power
from anychip.compile.collective import OverheadParts, ring_steps
from anychip.compile.layout import local_memory
from anychip.facts import Fact
from anychip.operators import Contract, Form
from anychip.profile.pieces import add, cut, usual
from anychip.programs.graph import Graph, Segment

#: Bandwidth of a chip to its neighbours, by this name among the chip's facts.
CHIP_LINK = "chip_link_bytes_per_second"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a tensor-parallel run sends between chips.

    Args:
        messages: all-reduces.
        size_bytes: of all their operands together.
        rows: of all their operands together.
    """

    messages: int
    size_bytes: int
    rows: int = 0


def joined(chip: Chip, count: int) -> Chip:
    """`count` chips, or all cores of one, working on one call together.

    Chips whose graphs are compiled for one core get one wide core: lanes, arrays, transfer engines and local
    memories added up. Others get all cores, and shared links and caches multiplied.
    """
    if chip.policy.style == "compiled":
        return _one_wide_core(chip, count)
    if count == 1:
        return chip
    links = {name: _widened(link, count) if link.shared else link for name, link in chip.links.items()}
    memories = {
        name: _enlarged(memory, count) if memory.level != "local" else memory
        for name, memory in chip.memories.items()
    }
    power = _of_several(chip.power, count)
    return chip.altered(cores=chip.cores * count, links=links, memories=memories, power=power)


def _one_wide_core(chip: Chip, count: int) -> Chip:
    width = chip.cores * count
    if width == 1:
        return chip
    engines = {
        name: Engine(block=_block(e.block, width), queue_depth=e.queue_depth)
        for name, e in chip.engines.items()
    }
    links = {name: _widened(link, count if link.shared else width) for name, link in chip.links.items()}
    memories = {
        name: _enlarged(memory, width if memory.level == "local" else count)
        for name, memory in chip.memories.items()
    }
    power = _of_several(chip.power, count)
    return chip.altered(cores=1, engines=engines, links=links, memories=memories, power=power)


def _block(block: MatrixEngine | VectorUnit | DmaEngine, width: int) -> MatrixEngine | VectorUnit | DmaEngine:
    if isinstance(block, VectorUnit):
        return dataclasses.replace(block, lanes=block.lanes * width)
    if isinstance(block, SystolicArray):
        return dataclasses.replace(block, arrays=block.arrays * width)
    if isinstance(block, DotUnit):
        return dataclasses.replace(block, native=block.native * width)
    if isinstance(block, DmaEngine) and block.bytes_per_second is not None:
        return dataclasses.replace(block, bytes_per_second=block.bytes_per_second * width)
    return block


def _widened(link: Link, factor: int) -> Link:
    return dataclasses.replace(link, bytes_per_second=link.bytes_per_second * factor)


def _enlarged(memory: Memory, factor: int) -> Memory:
    return dataclasses.replace(memory, capacity_bytes=memory.capacity_bytes * factor)


def copies_of(chip: Chip, peak_bytes: int) -> int:
    """How many calls run side by side on one chip: one a core where graphs are compiled for a core.

    Memory limits the copies; 0 if a core's share does not hold one.
    """
    if chip.policy.style != "compiled":
        return 1
    return min(chip.cores, chip.main_memory.capacity_bytes // max(1, peak_bytes))


def _of_several(power: Power | None, count: int) -> Power | None:
    """Base, limit and host share of `count` chips; energies per operation stay."""
    if power is None:
        return None
    per_chip = {name: getattr(power, name) for name in ("base_w", "limit_w", "host_w")}
    scaled = {name: None if fact is None else fact.scaled(count) for name, fact in per_chip.items()}
    return dataclasses.replace(power, **scaled)


def exchange_of(graph: Graph, forms: Sequence[Sequence[tuple[Form, ...]]]) -> Exchange:
    """The all-reduces of one repeated piece of a run: half of its contractions with weights end in one.

    Args:
        graph: recorded workload.
        forms: what every node of every segment means.
    """
    pieces = cut(graph)
    steady = usual(pieces.repeated)
    piece = add(steady or (pieces.setup, pieces.rest))
    sums = [0, 0, 0]
    for index, plays in piece.plays.items():
        for at, amount in enumerate(_weighted_outputs(graph.segments[index], forms[index])):
            sums[at] += plays * amount
    messages, size_bytes, rows = (each // max(1, len(steady)) for each in sums)
    return Exchange(messages // 2, size_bytes // 2, rows // 2)


def _weighted_outputs(segment: Segment, meant: Sequence[tuple[Form, ...]]) -> tuple[int, int, int]:
    """Contractions with weights, and the bytes and rows of their results."""
    messages = size_bytes = rows = 0
    for node, forms in zip(segment.nodes, meant, strict=True):
        if not any(segment.values[view.value].kind == "parameter" for view in node.inputs):
            continue
        if forms and isinstance(forms[0], Contract):
            messages += 1
            size_bytes += forms[0].result.bytes
            rows += forms[0].problems * forms[0].m
    return messages, size_bytes, rows


def exchange_seconds(chip: Chip, count: int, exchange: Exchange, latency_s: float = 10e-6) -> float | None:
    """Time of the all-reduces on a ring; None if the chip's link to its neighbours is unknown.

    Families whose exchanges were measured take what their policy says, as the simulator does; `latency_s` is
    that of others.
    """
    link: Fact | None = chip.facts.get(CHIP_LINK)
    if count == 1:
        return 0.0
    if link is None:
        return None
    moved = 2 * (count - 1) / count * exchange.size_bytes
    policy = chip.policy.exchange
    if policy is not None and exchange.messages:
        parts = OverheadParts(
            rows=max(1, exchange.rows // exchange.messages),
            sequences=1,
            steps=ring_steps(chip, count * chip.cores),
            fits=exchange.size_bytes // exchange.messages <= chip.memories[local_memory(chip)].capacity_bytes,
        )
        latency_s = parts.seconds(policy)
    return moved / link.value + exchange.messages * latency_s
