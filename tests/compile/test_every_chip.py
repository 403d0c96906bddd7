"""Every form lowers on every chip, and what comes out obeys the laws of time."""

from __future__ import annotations

import dataclasses
from functools import cache

import pytest
from hypothesis import given, settings

from anychip import chips
from anychip.chips import Chip
from anychip.compile import Lowering
from anychip.programs.graph import Node
from anychip.simulate import Player, simulate_nest
from tests.compile import workloads

NAMES = tuple(chips.names())
FAMILIES = ("a100-80", "t4", "trn1", "inf1", "trn3", "graviton3", "tpu-v5e", "gaudi2", "mi300x")


@cache
def chip_of(name: str) -> Chip:
    return chips.by_name(name)


def ticks(chip: Chip, node: Node) -> int:
    lowering, player = Lowering(chip), Player(chip)
    return sum(player.span(lowering.nest(form)).ticks for form in lowering.forms(node))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "node",
    [
        workloads.linear("bf16", 129, 65, 200),
        workloads.linear("int64", 9, 7, 5),
        workloads.matmul("fp64", 2, 9, 7, 5),
        workloads.convolution("bf16", 2, 3, 8, 14, 3),
        workloads.softmax("fp32", 100, 3000),
        workloads.layer_norm("bf16", 7, 33),
        workloads.elementwise("gelu", "bf16", 3, 5),
        workloads.embedding("bf16", 9, 33, 100),
        workloads.copied("fp16", 65, 33),
        workloads.attention("bf16", 2, 4, 33, 33, 64),
        workloads.opaque("fp32", 9, 9),
    ],
    ids=lambda node: node.operator,
)
def test_every_form_lowers_on_every_chip(name: str, node: Node) -> None:
    chip = chip_of(name)
    lowering, player = Lowering(chip), Player(chip)
    for form in lowering.forms(node):
        span = player.span(lowering.nest(form))
        assert span.ideal_ticks <= span.ticks
        assert span.ticks > 0


@pytest.mark.parametrize("name", [name for name in NAMES if chip_of(name).policy.style == "compiled"])
def test_arrays_are_used_no_worse_by_larger_products(name: str) -> None:
    """Twice the size is eight times the work and at most a little more than eight times the time."""
    chip = chip_of(name)
    small, large = (ticks(chip, workloads.linear("bf16", size, size, size)) for size in (4096, 8192))
    assert large < 8.2 * small
    peak = 2 * chip.matrix.macs_per_cycle("bf16") * chip.clock_of(chip.matrix)
    assert 2 * 8192**3 / (large / chip.clock_hz) > 0.4 * peak


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=25)
@given(node=workloads.calls)
def test_nothing_is_faster_than_its_ideal(name: str, node: Node) -> None:
    chip = chip_of(name)
    lowering, player = Lowering(chip), Player(chip)
    for form in lowering.forms(node):
        span = player.span(lowering.nest(form))
        assert span.ideal_ticks <= span.ticks, form.text
        for _, engine in span.engines:
            assert engine.busy + sum(ticks for _, ticks in engine.waits) + engine.not_asked == span.ticks


@pytest.mark.parametrize("name", ["a100-80", "trn1", "graviton3", "gaudi2"])
@settings(max_examples=10)
@given(node=workloads.calls)
def test_skipping_equals_expanding(name: str, node: Node) -> None:
    chip = chip_of(name)
    lowering = Lowering(chip)
    for form in lowering.forms(node):
        nest = lowering.nest(form)
        if nest.instruction_count > 20_000:
            continue
        skipped, expanded = simulate_nest(chip, nest), simulate_nest(chip, nest, skipping=False)
        assert skipped.ticks == expanded.ticks
        assert skipped.engines == expanded.engines


@pytest.mark.parametrize("name", ["a100-80", "trn1", "tpu-v5e"])
@settings(max_examples=15)
@given(node=workloads.calls)
def test_more_bandwidth_is_not_slower(name: str, node: Node) -> None:
    chip = chip_of(name)
    links = {
        key: dataclasses.replace(link, bytes_per_second=2 * link.bytes_per_second)
        for key, link in chip.links.items()
    }
    wider = chip.altered(links=links)
    for form in Lowering(chip).forms(node):
        nest = Lowering(chip).nest(form)
        assert simulate_nest(wider, nest).ticks <= simulate_nest(chip, nest).ticks * 1.01 + 16


def test_one_tile_too_many_takes_another_wave() -> None:
    chip = chip_of("a100-80")
    chip = chip.altered(policy=dataclasses.replace(chip.policy, tiles=((256, 128),), splits=(1,)))
    full, over = (ticks(chip, workloads.linear("bf16", 256, 128 * count, 4096)) for count in (108, 109))
    assert 1.7 < over / full < 2.1


def test_equal_layers_share_one_nest() -> None:
    chip = chip_of("a100-80")
    lowering = Lowering(chip)
    segment = workloads.segment_of(*[workloads.linear("bf16", 64, 64, 64)] * 5)
    kernels = lowering.segment(segment)
    assert len(kernels) == 5
    assert len({id(kernel.nest) for kernel in kernels}) == 1


def test_work_that_fits_no_array_runs_on_lanes() -> None:
    chip = chip_of("trn1")
    lowering = Lowering(chip)
    nest = lowering.nest(lowering.forms(workloads.matmul("fp64", 1, 8, 8, 8))[0])
    assert nest.demand.macs == ()
    assert dict(nest.demand.lane_operations)["lane"] > 0


@pytest.mark.parametrize("name", [name for name in NAMES if chip_of(name).policy.style == "compiled"])
@pytest.mark.parametrize("extents", [(64, 512, 64, 512), (512, 128, 128, 64), (1, 8192, 8192, 128)])
def test_operands_are_read_as_they_lie_in_memory(name: str, extents: tuple[int, int, int, int]) -> None:
    """Multiplying fp32 operands in fewer bits does not make them shorter, unless they were cast ahead."""
    chip = chip_of(name)
    batch, m, n, k = extents
    reads = batch * (m * k + k * n) * (2 if chip.policy.casts_ahead else 4)
    seconds = ticks(chip, workloads.matmul("fp32", *extents)) / chip.clock_hz
    moved = reads + 4 * batch * m * n
    assert seconds >= moved / chip.links[chip.load.links[0]].bytes_per_second
