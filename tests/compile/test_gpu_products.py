"""Products as the libraries of GPUs make them: steps of sums, biases, and which batches have tables."""

from __future__ import annotations

import dataclasses

import pytest

from anychip import chips
from anychip.compile import Lowering
from anychip.compile.tiles import Problem, choose
from anychip.programs.graph import Node, View
from anychip.programs.program import Nest
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


@pytest.mark.parametrize("chip", ["mi100", "mi210"])
@pytest.mark.parametrize(
    ("extents", "as_batch"),
    [
        ((512, 512, 64), True),  # scores
        ((512, 64, 512), True),  # context, and the gradient of queries
        ((64, 512, 512), True),  # the gradient of keys
        ((2048, 2048, 64), False),
        ((512, 512, 128), False),
        ((512, 256, 64), False),
    ],
)
def test_batches_are_chosen_for_as_one_problem_unless_they_are_attention(
    chip: str, extents: tuple[int, int, int], as_batch: bool
) -> None:
    made = chips.by_name(chip)
    m, n, k = extents
    batch = Problem(512, m, n, k, 2048 * m * k, 2048 * k * n, 2048 * m * n, 4, "fp32")
    alike = made.altered(policy=dataclasses.replace(made.policy, batch_blind=False), facts=made.facts)
    assert choose(made, batch) == choose(alike, batch if as_batch else batch.alone())
    # The two ways really differ here.
    assert choose(alike, batch) != choose(alike, batch.alone())


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
