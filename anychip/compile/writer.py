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
    """Items in program order.

    Args:
        item: of the nest.
        ahead: bytes of a load that may be moved ahead, else 0.
        fenced: a load before which none of the later ones may be moved.
    """

    item: Item
    ahead: int = 0
    fenced: bool = False


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
        self.beside: dict[str, int] = {}
        self._pieces = 0
        self._fenced = False
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

    @property
    def is_fenced(self) -> bool:
        """Whether the next load waits."""
        return self._fenced

    def fence(self) -> None:
        """Makes the next load wait for the block's values, and with it all loads that queue behind it."""
        self._fenced = True

    def streamed(self, size: int) -> tuple[Part, Slot]:
        """A load of streamed bytes, and the slot of its own that it fills.

        It may be moved ahead of its use unless it is fenced; loads behind a fence stay behind it.
        """
        name = f"w{self._pieces % _IN_FLIGHT}"
        self._pieces += 1
        self.buffer(name, 1, size, "stream")
        instruction = load(self.chip, name, size, size)
        if not self._fenced:
            return Part(instruction, size), Slot(name)
        self._fenced = False
        values = Slot(self.buffer("values", 1, 1))
        return Part(replace(instruction, reads=(*instruction.reads, values)), fenced=True), Slot(name)

    def lane(
        self, engine: str, reads: tuple[Slot, ...], elements: float, steps: int, target: str = "values"
    ) -> Instruction:
        """`steps` operations on every element, in the vector or scalar engine, into the block's values."""
        recipe = Recipe(1, (Step("copy", (0,)),) * steps, (0,))
        depth = 1 if target == "values" else self.chip.policy.accumulators
        written = (Slot(self.buffer(target, depth, 1), fresh=True),)
        return Instruction(engine, "lanes", reads, written, (max(1, ceil(elements)),), "fp32", recipe)

    def items(self) -> tuple[Item, ...]:
        """All parts in steady state: loads moved ahead as far as the memory for waiting weights allows.

        What fits that memory before the first operation was loaded while the block before was running; in
        return the block loads as much for the next one.
        """
        budget = _AHEAD_SHARE * self.capacity
        loads = [(index, part) for index, part in enumerate(self.parts) if part.ahead]
        fences = [index for index, part in enumerate(self.parts) if part.fenced]
        first = fences[0] if fences else len(self.parts)
        waiting = early = 0
        while (
            early < len(loads)
            and loads[early][0] < first
            and waiting + loads[early][1].ahead <= budget
            and early < _IN_FLIGHT
        ):
            waiting += loads[early][1].ahead
            early += 1
        queue = loads[early:] + [(len(self.parts), self._for_next(part, early)) for _, part in loads[:early]]
        placed: list[Item] = []
        following = used = 0
        for index, part in enumerate(self.parts):
            reach = next((fence for fence in fences if fence >= index), len(self.parts))
            while following < len(queue) and (
                queue[following][0] <= index
                or (
                    queue[following][0] <= reach
                    and waiting + queue[following][1].ahead <= budget
                    and following < used + _IN_FLIGHT - early
                )
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
            part, slot = writer.streamed(ceil(size / pieces))
            writer.parts.append(part)
            writer.add(*piece(1 / pieces, (slot,)))
        return
    each = ceil(size / pieces)
    name = writer.buffer("stream", 4, each)
    body = (load(writer.chip, name, each, each), *piece(1 / pieces, (Slot(name),)))
    if writer.is_fenced:
        # The first of them waits; the others queue behind it.
        first, slot = writer.streamed(each)
        writer.parts.append(first)
        writer.add(*piece(1 / pieces, (slot,)), Loop("w", pieces - 1, body))
        return
    writer.add(Loop("w", pieces, body))
