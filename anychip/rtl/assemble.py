"""Kernels to instruction words: slots get addresses, tiles become nested counters, recipes microcode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic import Recipe
from anychip.arithmetic.recipe import CURVES, Constant, Number, Step
from anychip.errors import CapacityExceeded, InvalidDescription, NotModelled
from anychip.formats import fp32
from anychip.programs.expand import Issued, SlotUse, expand
from anychip.programs.graph import View
from anychip.programs.program import Access, Kernel, Slot, Tile
from anychip.rtl.encoding import ARGUMENT_KINDS, LANE_OPERATIONS, MAIN_BITS, Encoding
from anychip.rtl.hardware import ENGINES, Hardware

#: Bytes of an element of the formats that the hardware stores.
ELEMENT_BYTES = {"bf16": 2, "fp32": 4}


@dataclass(frozen=True)
class Assembled:
    """A kernel for one build of the hardware.

    Args:
        words: one row of 32-bit words per instruction.
        products: (m, n) of every multiplication in order.
        microcode: lane operations.
        constants: fp32 codes.
        tables: curves by table number.
    """

    words: NDArray[np.uint32]
    products: tuple[tuple[int, int], ...]
    microcode: tuple[int, ...]
    constants: tuple[int, ...]
    tables: tuple[str, ...]


class Dimension(NamedTuple):
    """One counter of a transfer: from `position` on, back to 0 after `extent`."""

    extent: int
    stride: int
    position: int


class Region(NamedTuple):
    """A tile in main memory: element number of its first coordinates, and counters, fastest first."""

    base: int
    dimensions: tuple[Dimension, ...]
    elements: int


def assemble(
    hardware: Hardware,
    kernel: Kernel,
    storages: Mapping[int, int],
    tables: Sequence[str] = (),
    alter: Callable[[Issued], Issued] | None = None,
) -> Assembled:
    """Instruction words of a kernel.

    Args:
        hardware: the build.
        kernel: nest and operands.
        storages: byte address of every storage, by the number that the kernel's views give.
        tables: curves that are resident already, by table number; more may be added.
        alter: changes every instruction first; how a test plants a mistake in a program.

    Raises:
        NotModelled: the kernel uses what this hardware does not have.
        CapacityExceeded: it does not fit a memory or a field of the hardware.
    """
    issued = [alter(each) if alter else each for each in expand(kernel.nest)]
    encoding = Encoding(hardware)
    recipes = Recipes(hardware, list(tables))
    slots = _slot_addresses(hardware, kernel, issued)
    values: list[int] = []
    products: list[tuple[int, int]] = []
    for each in issued:
        instruction = each.instruction
        match instruction.operation:
            case "load" | "store":
                payload = _transfer(hardware, kernel, storages, slots, each)
            case "multiply":
                payload = _multiply(slots, each)
                products.append(instruction.extents[:2])  # pyright: ignore[reportArgumentType]
            case "lanes" | "drain":
                payload = _vector(recipes, slots, each)
            case other:
                raise NotModelled(f"rtl: no hardware for operation {other} of {instruction.engine}")
        waits = {f"landed_{engine}": count for engine, count in each.landed}
        waits |= {f"finished_{engine}": count for engine, count in each.finished}
        if instruction.engine not in ENGINES:
            raise NotModelled(f"rtl: no engine {instruction.engine}; there are {', '.join(ENGINES)}")
        values.append(encoding.instruction(instruction.engine, waits, payload))
    return Assembled(
        _words(values, encoding.instruction_bits),
        tuple(products),
        tuple(recipes.microcode),
        tuple(recipes.constants),
        tuple(recipes.tables),
    )


def _words(values: list[int], bits: int) -> NDArray[np.uint32]:
    size = -(-bits // 32)
    joined = b"".join(value.to_bytes(size * 4, "little") for value in values)
    return np.frombuffer(joined, np.dtype("<u4")).reshape(len(values), size).astype(np.uint32)


def _slot_addresses(hardware: Hardware, kernel: Kernel, issued: list[Issued]) -> dict[SlotUse, int]:
    """Every slot's first word in the SRAM: buffers one after the other, each slot as its largest content."""
    words: dict[str, int] = {}
    for each in issued:
        if each.instruction.operation == "multiply":
            continue
        for use in each.writes:
            if use is not None:
                words[use.buffer] = max(words.get(use.buffer, 0), prod(each.instruction.extents))
    addresses: dict[SlotUse, int] = {}
    at = 0
    for buffer in kernel.nest.buffers:
        if buffer.memory == "array":
            if buffer.depth != 1:
                raise NotModelled(
                    f"rtl: the array holds one set of sums, buffer {buffer.name} has {buffer.depth}"
                )
            continue
        for number in range(buffer.depth):
            addresses[SlotUse(buffer.name, number)] = at
            at += words.get(buffer.name, 0)
    if at > hardware.sram_words:
        raise CapacityExceeded(
            f"rtl: kernel {kernel.nest.name} needs {at} words of SRAM, {hardware.sram_words} are there; "
            "use smaller tiles or fewer slots"
        )
    return addresses


# --- transfers -------------------------------------------------------------------------------------------


def _transfer(
    hardware: Hardware,
    kernel: Kernel,
    storages: Mapping[int, int],
    slots: Mapping[SlotUse, int],
    issued: Issued,
) -> dict[str, int]:
    instruction = issued.instruction
    loads = instruction.operation == "load"
    tile = instruction.reads[0] if loads else instruction.writes[0]
    use = issued.writes[0] if loads else issued.reads[0]
    if not isinstance(tile, Tile) or use is None:
        raise InvalidDescription(f"rtl: {instruction} is not a transfer between main memory and a slot")
    size = ELEMENT_BYTES.get(instruction.format)
    if size is None:
        raise NotModelled(f"rtl: no transfers of {instruction.format}; there are {', '.join(ELEMENT_BYTES)}")
    access, view = kernel.nest.accesses[tile.access], kernel.operands[tile.access]
    region = tile_region(access, view, tile, issued.environment)
    limit = hardware.limits.dimensions
    if len(region.dimensions) > limit:
        raise NotModelled(
            f"rtl: a transfer of {tile} walks {len(region.dimensions)} loops, the hardware has {limit}"
        )
    mask = (1 << MAIN_BITS) - 1
    payload = {
        "base": storages[view.value] + region.base * size & mask,
        "bytes": region.elements * size,
        "wide": int(size == 4),
        "local": slots[use],
    }
    for number in range(limit):
        given = region.dimensions[number : number + 1]
        extent, stride, position = given[0] if given else Dimension(1, 0, 0)
        payload |= {
            f"extent{number}": extent,
            f"stride{number}": stride * size & mask,
            f"position{number}": position,
            f"offset{number}": stride * position * size & mask,
        }
    return payload


def tile_region(access: Access, view: View, tile: Tile, environment: Mapping[str, int]) -> Region:
    """The tile as one run of nested counters.

    Raises:
        NotModelled: the tile has windows with an outside, or is not such a run.
    """
    operand = access.operand
    if operand.windows:
        raise NotModelled(f"rtl: no transfers through windows ({operand.text})")
    base = view.offset + operand.offset
    dimensions: list[Dimension] = []
    elements = 1
    loop = len(operand.strides)
    groups = list(zip(tile.origin, tile.shape, access.groups, access.extents, strict=True))
    while groups:
        origin, shape, group, extent = groups.pop()
        strides = operand.strides[loop - len(group) : loop]
        loop -= len(group)
        start = origin.at(environment)
        size = min(shape, extent - start)
        slowest = all(each[1] == 1 for each in groups)
        inner, counters = _counters(start, size, group, strides, slowest=slowest)
        base += inner
        dimensions += counters
        elements *= size
    return Region(base, tuple(dimensions), elements)


def _counters(
    start: int, size: int, group: tuple[int, ...], strides: tuple[int, ...], *, slowest: bool
) -> tuple[int, list[Dimension]]:
    """(element number of fixed coordinates, counters) of a range of one group's linear index."""
    base = 0
    counters: list[Dimension] = []
    loops = list(zip(group, strides, strict=True))
    while loops:
        extent, stride = loops.pop()
        start, coordinate = divmod(start, extent)
        if size == 1 or coordinate + size <= extent:
            base += coordinate * stride
            counters += [Dimension(size, stride, 0)] if size > 1 else []
            size = 1
        elif coordinate == 0 and size % extent == 0:
            counters.append(Dimension(extent, stride, 0))
            size //= extent
        elif slowest:
            counters.append(Dimension(extent, stride, coordinate))
            size = -(-(coordinate + size) // extent)
            if start + size > prod(each[0] for each in loops):
                raise InvalidDescription("rtl: a tile reaches past its operand; clip it")
        else:
            raise NotModelled(
                "rtl: a tile that is no run of nested counters; choose tiles that divide its loops"
            )
    return base, counters


# --- engines ---------------------------------------------------------------------------------------------


def _multiply(slots: Mapping[SlotUse, int], issued: Issued) -> dict[str, int]:
    instruction = issued.instruction
    m, n, k = instruction.extents
    left, right = issued.reads
    target = instruction.writes[0]
    if left is None or right is None or not isinstance(target, Slot) or instruction.format != "bf16":
        raise InvalidDescription(f"rtl: {instruction} is not a product of two bf16 slots into the array")
    return {"a": slots[left], "b": slots[right], "m": m, "n": n, "k": k, "fresh": int(target.fresh)}


def _vector(recipes: Recipes, slots: Mapping[SlotUse, int], issued: Issued) -> dict[str, int]:
    instruction = issued.instruction
    if instruction.recipe is None:
        raise InvalidDescription(f"rtl: {instruction} has no recipe")
    limits = recipes.hardware.limits
    if instruction.format not in ELEMENT_BYTES:
        raise NotModelled(f"rtl: no results in {instruction.format}; there are {', '.join(ELEMENT_BYTES)}")
    if len(issued.reads) > limits.inputs or len(issued.writes) > limits.results:
        raise NotModelled(
            f"rtl: a recipe with {len(issued.reads)} operands and {len(issued.writes)} results; the hardware "
            f"takes {limits.inputs} and {limits.results}"
        )
    code, steps = recipes.code_of(instruction.recipe)
    drain = instruction.operation == "drain"
    payload = {
        "elements": prod(instruction.extents),
        "columns": instruction.extents[-1] if drain else 0,
        "drain": int(drain),
        "narrow": int(instruction.format == "bf16"),
        "code": code,
        "steps": steps,
    }
    for number, use in enumerate(issued.reads):
        if use is not None and not (drain and number == 0):
            payload[f"input{number}"] = slots[use]
    for number, use in enumerate(issued.writes):
        if use is not None:
            payload[f"result{number}"] = slots[use]
    return payload


@dataclass
class Recipes:
    """Microcode, constants and tables of a program, filled as recipes are met.

    Args:
        hardware: whose limits hold.
        tables: curves by table number.
    """

    hardware: Hardware
    tables: list[str] = field(default_factory=list)
    microcode: list[int] = field(default_factory=list)
    constants: list[int] = field(default_factory=list)
    _known: dict[str, tuple[int, int]] = field(default_factory=dict)

    def code_of(self, recipe: Recipe) -> tuple[int, int]:
        """(first microcode word, steps) of a recipe."""
        if recipe.text not in self._known:
            words = list(self._operations(recipe))
            self._known[recipe.text] = (len(self.microcode), len(words))
            self.microcode += words
            _fits("microcode", len(self.microcode), self.hardware.limits.microcode)
            _fits("registers", len(words), self.hardware.limits.registers)
        return self._known[recipe.text]

    def _operations(self, recipe: Recipe) -> Iterator[int]:
        """A recipe without steps is one copy, in the one cycle that the vector unit takes for it."""
        fields = Encoding(self.hardware).microcode
        if not recipe.steps:
            if len(recipe.results) != 1:
                raise NotModelled(f"rtl: a recipe of copies with {len(recipe.results)} results")
            copied = self._argument(recipe, recipe.results[0])
            yield fields.pack({"operation": LANE_OPERATIONS.index("copy"), "first": copied, "emit": 1})
            return
        emits: dict[int, int] = {}
        for number, result in enumerate(recipe.results):
            if not isinstance(result, int) or result < recipe.inputs or result in emits:
                raise NotModelled(
                    f"rtl: result {number} of recipe {recipe.text} is not the value of one step"
                )
            emits[result] = number + 1
        for number, step in enumerate(recipe.steps):
            packed = self._step(recipe, step)
            yield fields.pack(packed | {"emit": emits.get(recipe.inputs + number, 0)})

    def _step(self, recipe: Recipe, step: Step) -> dict[str, int]:
        arguments = [self._argument(recipe, argument) for argument in step.arguments]
        packed = dict(zip(("first", "second", "third"), arguments, strict=False))
        if step.operation in CURVES and len(arguments) == 1:
            packed["third"] = self._table(step.operation) << 2
            return packed | {"operation": LANE_OPERATIONS.index("curve")}
        if step.operation not in LANE_OPERATIONS:
            raise NotModelled(
                f"rtl: no lane operation {step.operation}; there are {', '.join(LANE_OPERATIONS[:-1])} and "
                "curves of one argument"
            )
        return packed | {"operation": LANE_OPERATIONS.index(step.operation)}

    def _argument(self, recipe: Recipe, argument: int | Number) -> int:
        if isinstance(argument, Number):
            return ARGUMENT_KINDS.index("constant") | self._constant(argument.value) << 2
        if argument < recipe.inputs:
            return ARGUMENT_KINDS.index("input") | argument << 2
        return ARGUMENT_KINDS.index("register") | (argument - recipe.inputs) << 2

    def _constant(self, value: Constant) -> int:
        code = int(fp32.encode(np.float64(value)))
        if code not in self.constants:
            self.constants.append(code)
            _fits("constants", len(self.constants), self.hardware.limits.constants)
        return self.constants.index(code)

    def _table(self, curve: str) -> int:
        if curve not in self.tables:
            self.tables.append(curve)
            _fits("tables", len(self.tables), self.hardware.limits.tables)
        return self.tables.index(curve)


def _fits(what: str, needed: int, there: int) -> None:
    if needed > there:
        raise CapacityExceeded(
            f"rtl: a program needs {needed} {what}, the hardware has {there}; raise the limit"
        )
