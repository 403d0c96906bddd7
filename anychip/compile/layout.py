"""Where a kernel's operands live on a chip, and how its traffic is written down."""

from __future__ import annotations

from math import ceil

from anychip.chips import Chip
from anychip.operators import Operand
from anychip.programs.program import Instruction, Slot, Tile


def local_memory(chip: Chip) -> str:
    """Name of the memory in which one core works; the nearest there is."""
    for level in ("local", "shared", "main"):
        names = [name for name, memory in chip.memories.items() if memory.level == level]
        if names:
            return max(names, key=lambda name: chip.memories[name].capacity_bytes)
    raise AssertionError("a chip has a main memory")


def shared_cache_bytes(chip: Chip) -> int:
    """Capacity of the cache that all cores share, 0 if there is none."""
    return max((m.capacity_bytes for m in chip.memories.values() if m.level == "shared"), default=0)


def bytes_of(operands: tuple[Operand, ...]) -> int:
    """Bytes of all operands, each moved once."""
    return sum(operand.bytes for operand in operands)


def write_cost(chip: Chip) -> float:
    """Bytes that cross to main memory for each byte stored there."""
    return 1.0 if chip.policy.inline is None else chip.policy.inline.write_cost


def library_engine(chip: Chip, kind: str, format_name: str) -> str:
    """Name of the engine on which a kind of kernel multiplies: on a CPU that of its library."""
    software = chip.policy.inline
    named = None if software is None else software.engines.get(f"{kind} {format_name}")
    return named or chip.multiplier(format_name)


def load(
    chip: Chip,
    buffer: str,
    elements: float,
    far_bytes: float,
    near_bytes: float | None = None,
    *,
    tile: Tile | None = None,
    engine: str | None = None,
    format_name: str = "",
    held_ticks: float = 0.0,
) -> Instruction:
    """A transfer from main memory into the next slot of `buffer`.

    Args:
        chip: whose load route it takes.
        buffer: to fill.
        elements: how many.
        far_bytes: over the link of main memory, this core's share.
        near_bytes: over the links nearer the core; None: the same.
        tile: what it reads, where that is known.
        engine: None takes the route's.
        format_name: of the elements.
        held_ticks: for which accesses that wait for each other hold the engine, whatever the bytes.
    """
    traffic = _traffic(chip.load.links, far_bytes, near_bytes)
    reads = () if tile is None else (tile,)
    count = (max(1, ceil(elements)),) + ((ceil(held_ticks),) if held_ticks else ())
    return Instruction(
        engine or chip.load.engine,
        "load",
        reads,
        (Slot(buffer, fresh=True),),
        count,
        format_name,
        None,
        traffic,
    )


def store(
    chip: Chip,
    buffer: str,
    elements: float,
    far_bytes: float,
    near_bytes: float | None = None,
    *,
    tile: Tile | None = None,
    format_name: str = "",
) -> Instruction:
    """A transfer of the current slot of `buffer` to main memory; arguments as of `load`."""
    traffic = _traffic(chip.store.links, far_bytes, near_bytes)
    writes = () if tile is None else (tile,)
    count = (max(1, ceil(elements)),)
    return Instruction(chip.store.engine, "store", (Slot(buffer),), writes, count, format_name, None, traffic)


def _traffic(links: tuple[str, ...], far: float, near: float | None) -> tuple[tuple[str, int], ...]:
    """Bytes by link, far to near; the first link is main memory's."""
    inner = far if near is None else near
    sizes = [far] + [inner] * (len(links) - 1)
    return tuple((link, ceil(size)) for link, size in zip(links, sizes, strict=True))
