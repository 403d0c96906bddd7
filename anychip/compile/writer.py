"""Collects a fused block: streamed operands, what waits for them, and loads moved ahead of their use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import NamedTuple

from anychip.arithmetic.recipe import Recipe, Step
from anychip.blocks import ceil_div
from anychip.chips import Chip
from anychip.compile.layout import load, local_memory
from anychip.programs.program import Buffer, Instruction, Item, Loop, Slot

#: A form's weights are streamed in at most so many pieces outside a loop.
_UNROLLED = 16
#: Share of the local memory for weights that wait, and the most bytes of one piece.
_AHEAD_SHARE, _PIECE_BYTES = 0.4, 1 << 20
#: Slots of streamed pieces; so many loads may be under way or waiting.
_IN_FLIGHT = 4 * _UNROLLED


class Part(NamedTuple):
    """Items in program order; `ahead` is the weight bytes of a load that may be hoisted, else 0."""

    item: Item
    ahead: int = 0


class BlockWriter:
    """Collects a block's parts, buffers and traffic."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.vector = chip.vector_names[0]
        self.scalar = next((name for name in chip.vector_names[1:] if name == "scalar"), self.vector)
        self.lanes = chip.engines[self.vector].block
        self.local = local_memory(chip)
        self.capacity = chip.memories[self.local].capacity_bytes
        self.parts: list[Part] = []
        self.buffers: dict[str, Buffer] = {}
        self.fixed: dict[str, int] = {}
        self._pieces = 0
        self.spread = chip.policy.graph_cores or chip.cores

    def buffer(self, name: str, depth: int, size: int, memory: str | None = None) -> str:
        """Makes room, or more room, in a buffer."""
        known = self.buffers.get(name)
        size = max(size, known.slot_bytes if known else 1)
        self.buffers[name] = Buffer(name, memory or self.local, depth, size)
        return name

    def add(self, *items: Item) -> None:
        """Appends items that stay where they are."""
        self.parts += [Part(item) for item in items]

    def weights(self, size: int) -> tuple[Instruction, str]:
        """A load of streamed bytes into a slot of its own, which later parts may be hoisted over."""
        name = f"w{self._pieces % _IN_FLIGHT}"
        self._pieces += 1
        self.buffer(name, 1, size, "stream")
        return load(self.chip, name, size, size), name

    def lane(self, engine: str, reads: tuple[Slot, ...], elements: float, steps: int) -> Instruction:
        """`steps` operations on every element, in the vector or scalar engine, into the block's values."""
        recipe = Recipe(1, (Step("copy", (0,)),) * steps, (0,))
        written = (Slot(self.buffer("values", 1, 1), fresh=True),)
        return Instruction(engine, "lanes", reads, written, (max(1, ceil(elements)),), "fp32", recipe)

    def items(self) -> tuple[Item, ...]:
        """All parts in steady state: loads moved ahead as far as the memory for waiting weights allows.

        What fits that memory before the first operation was loaded while the block before was running; in
        return the block loads as much for the next one.
        """
        budget = _AHEAD_SHARE * self.capacity
        loads = [(index, part) for index, part in enumerate(self.parts) if part.ahead]
        waiting = early = 0
        while early < len(loads) and waiting + loads[early][1].ahead <= budget and early < _IN_FLIGHT:
            waiting += loads[early][1].ahead
            early += 1
        queue = loads[early:] + [(len(self.parts), self._for_next(part, early)) for _, part in loads[:early]]
        placed: list[Item] = []
        following = used = 0
        for index, part in enumerate(self.parts):
            while following < len(queue) and (
                queue[following][0] <= index
                or (waiting + queue[following][1].ahead <= budget and following < used + _IN_FLIGHT - early)
            ):
                placed.append(queue[following][1].item)
                waiting += queue[following][1].ahead
                following += 1
            if part.ahead:
                used += 1
                continue
            placed.append(part.item)
            if index and self.parts[index - 1].ahead:
                waiting -= self.parts[index - 1].ahead
        placed += [part.item for _, part in queue[following:]]
        return tuple(placed)

    def _for_next(self, part: Part, count: int) -> Part:
        """A load of the next block, as long as the one of this block."""
        item = part.item
        assert isinstance(item, Instruction)  # noqa: S101 - only loads run ahead
        name = self.buffer("next", count, part.ahead, "stream")
        return part._replace(item=replace(item, writes=(Slot(name, fresh=True),)))


def streamed_pieces(
    writer: BlockWriter, size: int, piece: Callable[[float, tuple[Slot, ...]], tuple[Item, ...]]
) -> None:
    """Work on operands that are streamed in pieces: each piece's share of the work follows its load.

    Args:
        writer: where to.
        size: bytes in all, 0 if everything is on the chip.
        piece: items of a share of the work, given the slots it reads.
    """
    if not size:
        writer.add(*piece(1.0, ()))
        return
    size = ceil(size / writer.spread)
    pieces = ceil_div(size, _PIECE_BYTES)
    if pieces <= _UNROLLED:
        for _ in range(pieces):
            each = ceil(size / pieces)
            instruction, name = writer.weights(each)
            writer.parts.append(Part(instruction, each))
            writer.add(*piece(1 / pieces, (Slot(name),)))
        return
    each = ceil(size / pieces)
    name = writer.buffer("stream", 4, each)
    body = (load(writer.chip, name, each, each), *piece(1 / pieces, (Slot(name),)))
    writer.add(Loop("w", pieces, body))
