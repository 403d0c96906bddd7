"""Loops expanded: the form that hardware takes.

Every instruction gets explicit waits in place of the scoreboard: before it starts, engine e must have
*landed* at least a of its instructions (their results are there) and *finished* at least b (they no longer
read). Engines run their own instructions in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from anychip.programs.program import Grid, Instruction, Item, Loop, Nest, Slot


class SlotUse(NamedTuple):
    """A concrete slot: buffer name and number within its depth."""

    buffer: str
    number: int


@dataclass(frozen=True, slots=True)
class Issued:
    """One instruction of an expanded program.

    Args:
        instruction: what to do.
        environment: values of the loop variables.
        reads: the slot behind each read, None where the read is a tile.
        writes: the slot behind each write, None where the write is a tile.
        landed: (engine, count): engine must have landed that many.
        finished: (engine, count): engine must have finished that many.
    """

    instruction: Instruction
    environment: Mapping[str, int]
    reads: tuple[SlotUse | None, ...]
    writes: tuple[SlotUse | None, ...]
    landed: tuple[tuple[str, int], ...]
    finished: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class _SlotState:
    """Who last wrote a slot and who has read it since, as (engine, ordinal)."""

    writer: tuple[str, int] | None = None
    readers: dict[str, int] | None = None


def instances(
    body: tuple[Item, ...], environment: dict[str, int]
) -> Iterator[tuple[Instruction, dict[str, int]]]:
    """Every instruction with its loop variables, in program order; a grid runs on one core."""
    for item in body:
        if isinstance(item, Instruction):
            yield item, dict(environment)
        elif isinstance(item, Loop):
            for index in range(item.count):
                environment[item.variable] = index
                yield from instances(item.body, environment)
        else:
            yield from _grid_instances(item, environment)


def _grid_instances(grid: Grid, environment: dict[str, int]) -> Iterator[tuple[Instruction, dict[str, int]]]:
    for linear in range(grid.count):
        rest = linear
        for name, extent in reversed(grid.variables):
            rest, environment[name] = divmod(rest, extent)
        yield from instances(grid.body, environment)


def expand(nest: Nest) -> Iterator[Issued]:
    """The nest as one core would run it, with explicit waits.

    The caller sees slots as the simulator does: `fresh` moves a buffer to its next slot.
    """
    slots = {buffer.name: [_SlotState() for _ in range(buffer.depth)] for buffer in nest.buffers}
    current = dict.fromkeys(slots, -1)
    issued: dict[str, int] = {}
    for instruction, environment in instances(nest.body, {}):
        engine = instruction.engine
        issued[engine] = issued.get(engine, 0) + 1
        ordinal = issued[engine]
        landed: dict[str, int] = {}
        finished: dict[str, int] = {}
        reads: list[SlotUse | None] = []
        for operand in instruction.reads:
            if not isinstance(operand, Slot):
                reads.append(None)
                continue
            use = SlotUse(operand.buffer, current[operand.buffer])
            reads.append(use)
            state = slots[use.buffer][use.number]
            if state.writer is not None:
                _raise_to(landed, *state.writer)
            state.readers = {**(state.readers or {}), engine: ordinal}
        writes = tuple(
            _written(operand, engine, slots, current, landed, finished) if isinstance(operand, Slot) else None
            for operand in instruction.writes
        )
        for use in writes:
            if use is not None:
                state = slots[use.buffer][use.number]
                state.writer, state.readers = (engine, ordinal), None
        waits = tuple(sorted(landed.items())), tuple(sorted(finished.items()))
        yield Issued(instruction, environment, tuple(reads), writes, *waits)


def _written(
    operand: Slot,
    writer: str,
    slots: dict[str, list[_SlotState]],
    current: dict[str, int],
    landed: dict[str, int],
    finished: dict[str, int],
) -> SlotUse:
    """The slot that `writer` writes, and the waits that makes necessary."""
    depth = len(slots[operand.buffer])
    if operand.fresh:
        current[operand.buffer] = (current[operand.buffer] + 1) % depth
    use = SlotUse(operand.buffer, current[operand.buffer])
    state = slots[use.buffer][use.number]
    for engine, ordinal in (state.readers or {}).items():
        if engine != writer:
            _raise_to(finished, engine, ordinal)
    if state.writer is not None and state.writer[0] != writer:
        _raise_to(landed, *state.writer)
    return use


def _raise_to(waits: dict[str, int], engine: str, count: int) -> None:
    waits[engine] = max(waits.get(engine, 0), count)
