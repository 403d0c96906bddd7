"""basecamp in Verilator: what each block promises about time is what its hardware takes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import numpy as np
import pytest

from anychip.arithmetic import CORRECT
from anychip.arithmetic.recipe import IDENTITY, Number, Recipe, Step, traced
from anychip.chips.basecamp import basecamp
from anychip.errors import CapacityExceeded, InvalidInput, NotModelled
from anychip.operators import Operand
from anychip.programs.graph import Place, View
from anychip.programs.program import Access, Affine, Buffer, Instruction, Item, Kernel, Nest, Slot, Tile
from anychip.rtl.assemble import assemble, tile_region
from anychip.rtl.board import Board, HardwareStopped, table_of
from anychip.rtl.hardware import hardware_of
from anychip.rtl.verilator import missing_tools
from anychip.simulate.interpret import Interpreter, Stored
from anychip.simulate.machine import simulate_nest

CHIP = basecamp(rows=2, columns=3, lanes=2, link_bytes_per_cycle=6, fill_cycles=2, launch_cycles=3)

needs_tools = pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {missing_tools()}")


@pytest.fixture(scope="module")
def board() -> Iterator[Board]:
    made = Board(hardware_of(CHIP), CHIP.numerics.curves)
    yield made
    made.close()


def row(count: int, format_name: str = "bf16") -> tuple[Access, View]:
    return (
        Access(Operand("in0", format_name, (1,), count), ((count,),)),
        View(0, format_name, (count,), (1,)),
    )


def kernel_of(items: tuple[Item, ...], count: int, format_name: str = "bf16") -> Kernel:
    access, view = row(count, format_name)
    out_access, out_view = row(count, format_name)
    buffers = (
        Buffer("a", "sram", 1, 4 * count),
        Buffer("b", "sram", 1, 4 * count),
        Buffer("accumulators", "array", 1, 4 * 6),
        Buffer("out", "sram", 1, 4 * count),
    )
    nest = Nest("timing", (access, out_access), buffers, items)
    views = (view, View(1, out_view.format, out_view.shape, out_view.strides))
    return Kernel(nest, views, (0,), Place())


def load(count: int, buffer: str = "a", format_name: str = "bf16") -> Instruction:
    size = {"bf16": 2, "fp32": 4}[format_name]
    tile = Tile(0, (Affine(),), (count,))
    traffic = (("bus", count * size),)
    return Instruction(
        "load", "load", (tile,), (Slot(buffer, fresh=True),), (count,), format_name, None, traffic
    )


def store(count: int, buffer: str = "out", format_name: str = "bf16") -> Instruction:
    size = {"bf16": 2, "fp32": 4}[format_name]
    tile = Tile(1, (Affine(),), (count,))
    traffic = (("bus", count * size),)
    return Instruction("store", "store", (Slot(buffer),), (tile,), (count,), format_name, None, traffic)


def lanes(count: int, recipe: Recipe, format_name: str = "bf16") -> Instruction:
    reads = (Slot("a"),) * recipe.inputs
    return Instruction("vector", "lanes", reads, (Slot("out", fresh=True),), (count,), format_name, recipe)


def ran(board: Board, kernel: Kernel, count: int, format_name: str = "bf16") -> tuple[int, np.ndarray]:
    """Cycles and the second storage, on the board."""
    size = {"bf16": 2, "fp32": 4}[format_name]
    memory = np.zeros(2 * count * size + 8, np.uint8)
    source = np.arange(count, dtype=np.float32) - 3
    memory[: count * size].view(f"<u{size}")[:] = source.view(np.uint32) >> (16 if size == 2 else 0)
    run = board.run(kernel, {0: 0, 1: count * size}, memory, 10_000)
    return run.cycles, memory[count * size : 2 * count * size].view(f"<u{size}")


@needs_tools
@pytest.mark.parametrize("format_name", ["bf16", "fp32"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 16])
def test_a_transfer_takes_its_bytes_and_lands_after_the_link(
    board: Board, count: int, format_name: str
) -> None:
    busy = -(-count * {"bf16": 2, "fp32": 4}[format_name] // 6)
    cycles, _ = ran(
        board, kernel_of((load(count, "a", format_name),), count, format_name), count, format_name
    )
    assert cycles == 3 + 1 + busy + 2 + 4


@needs_tools
@pytest.mark.parametrize("count", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_a_recipe_takes_a_cycle_per_step_and_group(board: Board, count: int, steps: int) -> None:
    ones = Recipe(
        0, tuple(Step("add", (Number(1.0), Number(float(i)))) for i in range(steps)), (max(0, steps - 1),)
    )
    recipe = ones if steps else Recipe(0, (), (Number(1.0),))
    block = CHIP.engines["vector"].block
    busy, latency = block.timing("lanes", (count,), recipe.operations)  # type: ignore[union-attr, call-arg, arg-type]
    assert busy == -(-count // 2) * max(1, steps)
    cycles, _ = ran(board, kernel_of((lanes(count, recipe),), count), count)
    assert cycles == 3 + 1 + busy + latency


@needs_tools
@pytest.mark.parametrize("k", [1, 2, 8])
def test_a_product_takes_a_cycle_per_step_and_lands_after_the_fill(board: Board, k: int) -> None:
    product = Instruction(
        "matrix",
        "multiply",
        (Slot("a"), Slot("b")),
        (Slot("accumulators", fresh=True),),
        (1, 1, k),
        "bf16",
    )
    both = load(k), load(k, "b")
    kernel = kernel_of((*both, product), k)
    busy, latency = CHIP.matrix.timing("multiply", (1, 1, k), "bf16")
    assert (busy, latency) == (k, 2)
    cycles, _ = ran(board, kernel, k)
    transfers = 2 * -(-2 * k // 6)
    assert cycles == 3 + 1 + transfers + (2 + 4) + busy + latency
    assert cycles == simulate_nest(CHIP, kernel.nest).ticks


@needs_tools
def test_lane_operations_have_the_values_of_the_numerics(board: Board) -> None:
    """Every operation of the lanes, on the same numbers, at instruction level and in hardware."""

    def everything(x: object) -> object:
        from anychip.arithmetic.recipe import Lane, apply, select

        assert isinstance(x, Lane)
        folded = abs(-x) + apply("maximum", x, 1.5) * apply("minimum", x, 2.5) - x / 3.0
        chosen = select(x < 2.0, folded, apply("gelu", x))
        chosen = select(apply("eq", x, 5.0), 7.25, chosen) + apply("isnan", x)
        return select(x >= 8.0, chosen * 2.0, select(x > 6.0, chosen - 1.0, select(x <= 0.0, x, chosen)))

    count = 16
    recipe = traced(1, everything)  # type: ignore[arg-type]
    kernel = kernel_of((load(count), lanes(count, recipe), store(count)), count)
    cycles, stored = ran(board, kernel, count)
    source = np.arange(count, dtype=np.float32) - 3
    memory = {0: Stored.holding(source), 1: Stored.empty(count, "bf16")}
    Interpreter(CHIP).run(kernel, memory)
    assert np.array_equal(stored, memory[1].values.view(np.uint32) >> 16)
    assert cycles == simulate_nest(CHIP, kernel.nest).ticks


@needs_tools
def test_the_whole_verilog_behaves_as_the_parts_do() -> None:
    """Units are foreign functions in the usual build; the one file for synthesis must do the same."""
    chip = basecamp(rows=1, columns=2, lanes=1, link_bytes_per_cycle=2)
    hardware = hardware_of(chip)
    product = Instruction(
        "matrix", "multiply", (Slot("a"), Slot("b")), (Slot("accumulators", fresh=True),), (1, 1, 9), "bf16"
    )
    drain = Instruction(
        "vector",
        "drain",
        (Slot("accumulators"), Slot("a")),
        (Slot("out", fresh=True),),
        (1, 1),
        "bf16",
        traced(2, lambda x, y: x / (y + 7.0)),
    )
    kernel = kernel_of((load(9), load(9, "b"), product, drain, store(1)), 9)
    random = np.random.default_rng(3)
    memory = random.integers(0x3F00, 0x4100, 20, dtype=np.uint16).view(np.uint8)
    memories, runs = [], []
    for flat in (False, True):
        board = Board(hardware, chip.numerics.curves, flat=flat)
        memories.append(memory.copy())
        runs.append(board.run(kernel, {0: 0, 1: 18}, memories[-1], 1000))
        board.close()
    assert runs[0].cycles == runs[1].cycles
    assert np.array_equal(memories[0], memories[1])
    assert not np.array_equal(memories[0], memory)
    assert np.array_equal(runs[0].sums[0], runs[1].sums[0])


@needs_tools
def test_hardware_that_hangs_or_leaves_its_memory_is_an_error(board: Board) -> None:
    kernel = kernel_of((load(16),), 16)
    with pytest.raises(HardwareStopped, match="kernel timing is not done after 5 cycles"):
        board.run(kernel, {0: 0, 1: 0}, np.zeros(64, np.uint8), 5)
    with pytest.raises(HardwareStopped, match="reached outside main memory"):
        board.run(kernel, {0: 60, 1: 0}, np.zeros(64, np.uint8), 500)


def test_what_the_hardware_cannot_do_is_refused() -> None:
    hardware = hardware_of(CHIP)
    power = Recipe(1, (Step("pow", (0, Number(2.5))),), (1,))
    with pytest.raises(NotModelled, match="rtl: no lane operation pow"):
        assemble(hardware, kernel_of((load(4), lanes(4, power)), 4), {0: 0, 1: 64})
    half = dataclasses.replace(load(4), format="fp16")
    with pytest.raises(NotModelled, match=re.escape("rtl: no transfers of fp16; there are bf16, fp32")):
        assemble(hardware, kernel_of((half,), 4), {0: 0, 1: 64})
    huge = kernel_of((load(40_000), lanes(40_000, IDENTITY)), 40_000)
    with pytest.raises(CapacityExceeded, match="needs 80000 words of SRAM, 32768 are there"):
        assemble(hardware, huge, {0: 0, 1: 64})
    with pytest.raises(InvalidInput, match='the numerics by "correct"'):
        table_of("exp", CORRECT)


@pytest.mark.parametrize(("start", "size"), [(0, 4), (3, 9), (5, 7), (0, 24), (23, 1)])
def test_a_run_of_elements_may_begin_in_the_middle_of_its_loops(start: int, size: int) -> None:
    """Nested counters visit the same elements as the linear index does."""
    extents, strides = (2, 3, 4), (50, 1, 7)
    access = Access(Operand("in0", "bf16", strides, 24), (extents,))
    view = View(0, "bf16", extents, strides, 11)
    region = tile_region(access, view, Tile(0, (Affine(start),), (size,)), {})
    wanted = [
        11 + int(np.dot(np.unravel_index(linear, extents), strides)) for linear in range(start, start + size)
    ]
    positions = [dimension.position for dimension in region.dimensions]
    visited: list[int] = []
    for _ in range(region.elements):
        steps = zip(positions, region.dimensions, strict=True)
        visited.append(region.base + sum(position * d.stride for position, d in steps))
        for number, dimension in enumerate(region.dimensions):
            positions[number] += 1
            if positions[number] < dimension.extent:
                break
            positions[number] = 0
    assert visited == wanted
