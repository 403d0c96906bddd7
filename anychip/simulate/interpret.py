"""Values at instruction level: a plain, sequential interpretation of a program.

Main memory is hostile: reading elements that nobody wrote is an error, and fresh slots hold NaN until they
are written. Time plays no part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic import Numerics, contract, evaluate
from anychip.chips import Chip
from anychip.errors import InvalidDescription, InvalidInput
from anychip.formats import Float, by_name
from anychip.programs.expand import instances
from anychip.programs.graph import View
from anychip.programs.program import Access, Instruction, Kernel, Slot, Tile

#: Called with every multiplication's accumulators after it: for comparing with RTL.
Observer = Callable[[Instruction, Mapping[str, int], NDArray[Any]], None]


@dataclass(slots=True)
class Stored:
    """One storage of main memory as values, with a record of what has been written.

    Args:
        values: float32 or int64, one an element.
        written: which elements hold something.
    """

    values: NDArray[Any]
    written: NDArray[np.bool_]

    @classmethod
    def empty(cls, elements: int, format_name: str) -> Stored:
        """A storage that nobody has written."""
        carrier = np.float32 if isinstance(by_name(format_name), Float) else np.int64
        fill = np.nan if carrier is np.float32 else 0
        return cls(np.full(elements, fill, carrier), np.zeros(elements, np.bool_))

    @classmethod
    def holding(cls, values: NDArray[Any]) -> Stored:
        """A storage whose elements, flattened, are `values`."""
        flat = np.array(values).reshape(-1)
        return cls(flat, np.ones(flat.shape, np.bool_))


Memory = MutableMapping[int, Stored]


class Interpreter:
    """Runs kernels on a memory of storages, by value number of the segment's storages.

    Args:
        chip: whose blocks give the instructions their meaning.
        numerics: of the run; None takes the chip's.
        observer: sees the accumulators after every multiplication.
    """

    def __init__(
        self, chip: Chip, numerics: Numerics | None = None, observer: Observer | None = None
    ) -> None:
        self.chip = chip
        self.numerics = numerics or chip.numerics
        self._observer = observer

    def run(self, kernel: Kernel, memory: Memory) -> None:
        """Every instruction in program order.

        Args:
            kernel: its operands' `value` fields are keys of `memory`.
            memory: read and written.

        Raises:
            InvalidInput: an element is read that nobody wrote.
        """
        slots: dict[str, NDArray[Any]] = {}
        for instruction, environment in instances(kernel.nest.body, {}):
            self._execute(kernel, memory, slots, instruction, environment)

    def _execute(
        self,
        kernel: Kernel,
        memory: Memory,
        slots: dict[str, NDArray[Any]],
        instruction: Instruction,
        environment: Mapping[str, int],
    ) -> None:
        match instruction.operation:
            case "load":
                tile, slot = a_tile(instruction.reads[0]), a_slot(instruction.writes[0])
                slots[slot.buffer] = self._loaded(kernel, memory, tile, environment)
            case "store":
                slot, tile = a_slot(instruction.reads[0]), a_tile(instruction.writes[0])
                self._stored(kernel, memory, tile, environment, slots[slot.buffer])
            case "multiply":
                self._multiplied(slots, instruction)
                if self._observer is not None:
                    self._observer(instruction, environment, slots[a_slot(instruction.writes[0]).buffer])
            case _:
                self._laned(slots, instruction)

    def _loaded(
        self, kernel: Kernel, memory: Memory, tile: Tile, environment: Mapping[str, int]
    ) -> NDArray[Any]:
        access, view = kernel.nest.accesses[tile.access], kernel.operands[tile.access]
        index, inside = addresses(access, view, tile, environment)
        stored = memory[view.value]
        reached = np.where(inside, index, 0)
        if not (stored.written[reached] | ~inside).all():
            raise InvalidInput(
                f"kernel {kernel.nest.name}: load of {tile} at {dict(environment)} reads elements of "
                f"{access.operand.port} that nobody wrote"
            )
        return np.where(inside, stored.values[reached], np.float32(access.operand.outside))

    def _stored(
        self, kernel: Kernel, memory: Memory, tile: Tile, environment: Mapping[str, int], values: NDArray[Any]
    ) -> None:
        access, view = kernel.nest.accesses[tile.access], kernel.operands[tile.access]
        index, _ = addresses(access, view, tile, environment)
        stored = memory[view.value]
        stored.values[index.reshape(-1)] = values.reshape(-1)
        stored.written[index.reshape(-1)] = True

    def _multiplied(self, slots: dict[str, NDArray[Any]], instruction: Instruction) -> None:
        left, right = (a_slot(read) for read in instruction.reads)
        target = a_slot(instruction.writes[0])
        m, n, k = instruction.extents
        rule = self.numerics.contraction(by_name(instruction.format))
        operand = rule.operand
        a = operand.round(slots[left.buffer].reshape(-1)[: m * k].reshape(m, k))
        b = operand.round(slots[right.buffer].reshape(n, k))
        start = None if target.fresh else slots[target.buffer]
        slots[target.buffer] = contract(a, b.T, rule, start)

    def _laned(self, slots: dict[str, NDArray[Any]], instruction: Instruction) -> None:
        recipe = instruction.recipe
        if recipe is None:
            raise InvalidDescription(f"instruction {instruction}: a vector operation without a recipe")
        operands = [slots[read.buffer].reshape(-1) for read in instruction.reads if isinstance(read, Slot)]
        elements = 1
        for extent in instruction.extents:
            elements *= extent
        results = evaluate(recipe, tuple(operands), self.numerics.curves, self.numerics.lane)
        for write, values in zip(instruction.writes, results, strict=True):
            wide = np.broadcast_to(np.asarray(values), (elements,))
            slots[a_slot(write).buffer] = stored_as(wide, instruction.format, self.numerics)


def a_slot(operand: Tile | Slot) -> Slot:
    """The operand, which a legal program has in a slot."""
    if not isinstance(operand, Slot):
        raise InvalidDescription(f"operand {operand}: a tile of main memory where the operation takes a slot")
    return operand


def a_tile(operand: Tile | Slot) -> Tile:
    """The operand, which a legal program has in main memory."""
    if not isinstance(operand, Tile):
        raise InvalidDescription(f"operand {operand}: a slot where the operation takes a tile of main memory")
    return operand


def stored_as(values: NDArray[Any], format_name: str, numerics: Numerics) -> NDArray[Any]:
    """Lane values rounded once into a storage format."""
    target = by_name(format_name)
    if isinstance(target, Float):
        return target.round(values, rule=numerics.store(target))
    return values.astype(np.int64)


def addresses(
    access: Access, view: View, tile: Tile, environment: Mapping[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Element numbers in the storage that a tile means, and which of them lie inside their windows.

    Returns:
        two arrays of the tile's shape, clipped at the edges of the access's groups.
    """
    operand = access.operand
    ranges: list[NDArray[np.int64]] = []
    for origin, extent, limit in zip(tile.origin, tile.shape, access.extents, strict=True):
        start = origin.at(environment)
        ranges.append(np.arange(start, min(start + extent, limit), dtype=np.int64))
    loops = _loop_indices(access, ranges)
    shape = tuple(len(each) for each in ranges)
    index = np.full(shape, view.offset + operand.offset, np.int64)
    for stride, loop in zip(operand.strides, loops, strict=True):
        index = index + stride * loop
    inside = np.ones(shape, np.bool_)
    for window in operand.windows:
        position = np.full(shape, window.start, np.int64)
        for coefficient, loop in zip(window.coefficients, loops, strict=True):
            position = position + coefficient * loop
        element, hole = np.divmod(position, window.step)
        inside &= (hole == 0) & (element >= 0) & (element < window.extent)
        index = index + window.stride * element
    return index, inside


def _loop_indices(access: Access, ranges: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """The value of every loop at every position of the tile, shaped to broadcast."""
    loops: list[NDArray[np.int64]] = []
    for axis, (linear, group) in enumerate(zip(ranges, access.groups, strict=True)):
        shape = [1] * len(ranges)
        shape[axis] = len(linear)
        rest = linear.reshape(shape)
        reversed_loops: list[NDArray[np.int64]] = []
        for extent in reversed(group):
            reversed_loops.append(rest % extent)
            rest = rest // extent
        loops += reversed(reversed_loops)
    return loops
