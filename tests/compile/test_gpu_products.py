"""Products as the libraries of GPUs make them: steps of sums, biases, and which batches have tables."""

from __future__ import annotations

import csv
import lzma
from pathlib import Path

import pytest

import anychip
from anychip import chips
from anychip.compile import Lowering
from anychip.programs.graph import Node, View
from anychip.programs.program import Grid, Instruction, Nest
from anychip.simulate import Player
from tests.compile import workloads


def nest_of(chip_name: str, node: Node) -> Nest:
    lowering = Lowering(chips.by_name(chip_name))
    return lowering.nest(lowering.forms(node)[0])


def ticks(chip_name: str, node: Node) -> int:
    return Player(chips.by_name(chip_name)).span(nest_of(chip_name, node)).ticks


def without_bias(format_name: str, m: int, n: int, k: int) -> Node:
    weight = View(1, format_name, (k, n), (1, k))
    inputs = (workloads.view(0, format_name, m, k), weight)
    return Node("aten.mm.default", (), inputs, (workloads.view(2, format_name, m, n),))


@pytest.mark.parametrize("chip", ["p100", "v100", "a100-80", "h100"])
def test_sums_on_cuda_cores_are_padded_to_eight(chip: str) -> None:
    took = {k: ticks(chip, workloads.matmul("fp32", 64, 512, 512, k)) for k in (33, 40, 41, 48)}
    assert took[33] == pytest.approx(took[40], rel=0.03)  # what is fetched still differs
    assert took[41] == pytest.approx(took[48], rel=0.03)
    # One more step of six, beside what starts and drains a tile.
    assert 1.08 < took[48] / took[40] < 1.2


@pytest.mark.parametrize("chip", ["mi100", "mi210", "mi250"])
def test_a_bias_is_written_and_read_once_where_the_library_has_no_such_product(chip: str) -> None:
    made = chips.by_name(chip)
    m, n, k = 4096, 16384, 512
    biased, plain = (make("fp32", m, n, k) for make in (workloads.linear, without_bias))
    assert nest_of(chip, biased).launches == nest_of(chip, plain).launches + 1
    more = (ticks(chip, biased) - ticks(chip, plain)) / made.clock_hz
    moved = 2 * 4 * m * n / made.links["dram"].bytes_per_second
    # Reading overlaps with products of other tiles, writing is a kernel of its own.
    assert 0.5 * moved < more < 2 * moved
    traffic = [dict(nest_of(chip, node).demand.traffic_bytes)["dram"] for node in (biased, plain)]
    assert 1.7 * 4 * m * n < traffic[0] - traffic[1] <= 2.01 * 4 * m * n


@pytest.mark.parametrize("chip", ["v100", "a100-80", "h100", "mi300x"])
def test_elsewhere_a_bias_is_one_vector_in_the_same_launch(chip: str) -> None:
    biased, plain = (make("fp32", 2048, 2048, 1024) for make in (workloads.linear, without_bias))
    assert nest_of(chip, biased).launches == nest_of(chip, plain).launches
    assert ticks(chip, biased) < 1.02 * ticks(chip, plain)


def product(batch: int, m: int, n: int, k: int, layout: str = "kn", format_name: str = "fp32") -> Node:
    """A batch of matrices, each operand in row order or lying along the other index."""
    shapes = ((batch, m, k), (batch, k, n))
    straight = (layout[0] == "k", layout[1] == "n")
    inputs = tuple(
        View(
            port,
            format_name,
            shape,
            (shape[1] * shape[2], shape[2], 1) if along else (shape[1] * shape[2], 1, shape[1]),
        )
        for port, (shape, along) in enumerate(zip(shapes, straight, strict=True))
    )
    return Node("aten.bmm.default", (), inputs, (workloads.view(2, format_name, batch, m, n),))


def tile_of(chip_name: str, node: Node) -> tuple[int, int, int, str]:
    """Rows, columns and splits of the result tile, and the engine that multiplies."""
    nest = nest_of(chip_name, node)
    grid = next(item for item in nest.body if isinstance(item, Grid))
    multiply = next(
        item for item in grid.body if isinstance(item, Instruction) and item.operation == "multiply"
    )
    return multiply.extents[0], multiply.extents[1], dict(grid.variables)["s"], multiply.engine


def listed(
    chip: str, format_name: str, layout: str
) -> list[tuple[tuple[int, ...], tuple[int, int, int, str]]]:
    """The table as the file has it: sizes, and rows, columns, splits and engine of the kernel."""
    packed = (Path(anychip.__file__).parent / "chips" / "rocblas_kernels.csv.xz").read_bytes()
    rows = csv.DictReader(lzma.decompress(packed).decode().splitlines())
    return [
        (
            tuple(int(row[name]) for name in ("m", "n", "k")),
            (int(row["tile_m"]), int(row["tile_n"]), int(row["splits"]), row["engine"]),
        )
        for row in rows
        if (row["chip"], row["format"], row["layout"]) == (chip, format_name, layout)
    ]


@pytest.mark.parametrize(
    ("chip", "instructions"), [("mi100", "gfx908"), ("mi210", "gfx90a"), ("mi250", "gfx90a")]
)
@pytest.mark.parametrize("layout", ["kn", "kk", "mn"])
@pytest.mark.parametrize(
    "extents", [(512, 512, 64), (196, 128, 196), (2048, 2048, 8192), (4096, 50257, 1280)]
)
def test_kernels_are_those_of_the_nearest_problem_in_the_librarys_table(
    chip: str, instructions: str, layout: str, extents: tuple[int, int, int]
) -> None:
    table = listed(instructions, "fp32", layout)
    apart = [sum((a - b) ** 2 for a, b in zip(size, extents, strict=True)) for size, _ in table]
    *_, kernel = table[apart.index(min(apart))]
    assert tile_of(chip, product(3, *extents, layout)) == kernel
    # However many of them there are: tables do not know of batches.
    assert tile_of(chip, product(512, *extents, layout)) == kernel


def test_kernels_without_matrix_instructions_run_on_the_vector_pipes() -> None:
    assert tile_of("mi100", product(64, 4096, 4096, 64))[3] == "fma"
    assert tile_of("mi210", product(64, 4096, 4096, 64))[3] == "tensor"


def test_formats_without_a_table_choose_from_the_menu() -> None:
    assert tile_of("mi100", product(1, 512, 512, 512, format_name="int8"))[3] == "tensor"


@pytest.mark.parametrize("chip", ["mi100", "mi210"])
def test_rows_that_fall_on_the_same_places_of_the_cache_are_fetched_for_every_tile(chip: str) -> None:
    # Neighbouring sizes take the same kernel; only one of them has rows 128 KiB apart.
    there, beside = (product(1, 1280, 5120, k, "kk") for k in (32768, 32760))
    assert tile_of(chip, there) == tile_of(chip, beside)
    moved, usual = (dict(nest_of(chip, node).demand.traffic_bytes)["dram"] for node in (there, beside))
    assert moved > 2 * usual
    rows, columns, *_ = tile_of(chip, there)
    every_tile = 4 * 32768 * (1280 * (5120 // columns) + 5120 * (1280 // rows))
    assert moved == pytest.approx(every_tile, rel=0.05)


@pytest.mark.parametrize(("chip", "crowded"), [("mi100", False), ("mi210", True)])
def test_tiles_that_start_together_crowd_a_few_channels_of_main_memory(chip: str, crowded: bool) -> None:
    # rocBLAS staggers the starts of MI100's kernels for these sizes, and not those of MI210's.
    there, beside = (nest_of(chip, product(1, 1280, 5120, k, "kk")) for k in (32768, 32760))
    causes = dict(there.fixed_ticks)
    assert ("memory channels" in causes) is crowded
    assert "memory channels" not in dict(beside.fixed_ticks)
    if crowded:
        made = chips.by_name(chip)
        peak = made.links["dram"].bytes_per_second
        usual = made.link_rate(made.operand_engine("tensor"), "dram")
        moved = dict(there.demand.traffic_bytes)["dram"] - 4 * 1280 * 5120
        seconds = moved / usual + causes["memory channels"] / made.clock_hz
        assert moved / seconds == pytest.approx(made.policy.conflict_share * peak, rel=0.02)


@pytest.mark.parametrize(
    ("chip", "drift"),
    [("mi100", True), ("mi210", True), ("mi300x", False), ("v100", False), ("h100", False)],
)
def test_long_sums_lose_what_drifting_tiles_share(chip: str, drift: bool) -> None:
    def traffic(m: int, k: int) -> float:
        return dict(nest_of(chip, product(1, m, 2048, k, "kk")).demand.traffic_bytes)["dram"] / (m * k)

    # One tile of 30,000 products fetches more than the cache of MI100 and MI210 holds, one of 3,000 does not.
    longer = traffic(65536, 30000) / traffic(65536, 3000)
    assert longer > 1.3 if drift else longer < 1.1
    # While the first tiles are in flight all of them began together.
    assert traffic(512, 30000) < 1.1 * traffic(512, 3000)


@pytest.mark.parametrize("chip", ["l4", "h100", "mi210"])
def test_convolutions_of_single_channels_stream(chip: str) -> None:
    """Result tiles would be idle but for one column; the library's own kernel moves memory."""

    def convolution(groups: int) -> Node:
        image = workloads.view(0, "fp32", 32, 256, 56, 56)
        weight = workloads.view(1, "fp32", 256, 256 // groups, 3, 3)
        settings = (
            ("stride", (1, 1)), ("padding", (1, 1)), ("dilation", (1, 1)), ("transposed", False),
            ("output_padding", (0, 0)), ("groups", groups),
        )  # fmt: skip
        result = workloads.view(2, "fp32", 32, 256, 56, 56)
        return Node("aten.convolution.default", settings, (image, weight), (result,))

    whole, single = ticks(chip, convolution(1)), ticks(chip, convolution(256))
    assert single < whole / 10
    described = chips.by_name(chip)
    bytes_moved = 2 * 32 * 256 * 56 * 56 * 4
    seconds = single / described.clock_hz
    assert 1 <= seconds * described.links["dram"].bytes_per_second / bytes_moved < 4


def test_a_bias_slows_products_of_gp100_down_by_what_its_rows_say() -> None:
    biased, plain = (make("fp32", 4096, 4096, 4096) for make in (workloads.linear, without_bias))
    reach = chips.by_name("p100").policy.biased_reach
    assert 0.8 < reach < 0.9
    assert ticks("p100", plain) / ticks("p100", biased) == pytest.approx(reach, abs=0.02)


@pytest.mark.parametrize(("strong", "weak"), [("a100-80", "a100-pcie-40"), ("h100", "h100-pcie")])
def test_a_lower_power_limit_slows_products_on_lanes_down(strong: str, weak: str) -> None:
    node = workloads.matmul("fp32", 1, 8192, 8192, 8192)
    macs, rates = 8192**3, []
    for name in (strong, weak):
        chip = chips.by_name(name)
        peak = chip.cores * chip.engines["fma"].block.macs_per_cycle("fp32")  # pyright: ignore
        rates.append(macs / peak / ticks(name, node))
    assert rates[1] < 0.97 * rates[0]
