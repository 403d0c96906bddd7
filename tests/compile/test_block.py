"""Fused blocks of compiled graphs: attention by the compiler and by hand, shapes of tiles."""

from __future__ import annotations

import dataclasses

import pytest

from anychip.blocks import SystolicArray
from anychip.chips import Chip, by_name
from anychip.compile import Lowering
from anychip.compile.block import block
from anychip.compile.fuse import Group
from anychip.operators import Attention, Contract, Form
from anychip.programs.graph import Node
from anychip.simulate import simulate_nest
from tests.compile import workloads


def form(node: Node) -> Form:
    (found,) = Lowering(by_name("inf2")).forms(node)
    return found


def attention(tokens: int) -> Attention:
    """Causal, two heads of 128."""
    node = workloads.attention("bf16", 1, 2, tokens, tokens, 128)
    made = form(
        dataclasses.replace(node, operator="aten._scaled_dot_product_flash_attention_for_cpu.default")
    )
    assert isinstance(made, Attention)
    return made


def busy_s(chip: Chip, work: Form) -> dict[str, float]:
    span = simulate_nest(chip, block(chip, Group.single(work)))
    return {name: each.busy / chip.clock_hz for name, each in span.engines} | {
        "all": (span.ticks - sum(ticks for _, ticks in span.fixed)) / chip.clock_hz
    }


def by_compiler(chip: Chip) -> Chip:
    return chip.altered(policy=dataclasses.replace(chip.policy, kernel_queries=0))


@pytest.mark.parametrize("name", ["inf2", "trn2"])
def test_the_kernel_for_long_sequences_overlaps_the_engines(name: str) -> None:
    chip = by_name(name)
    work = attention(8192)
    ours, theirs = busy_s(chip, work), busy_s(by_compiler(chip), work)
    assert ours["all"] < 0.6 * theirs["all"]
    assert ours["all"] < 0.85 * (ours["tensor"] + ours["vector"] + ours["scalar"])
    useful = 4 * 2 * work.pairs * 128 / (chip.macs_per_second("bf16") * 2 / chip.cores)
    assert ours["tensor"] > useful


def test_short_sequences_are_left_to_the_compiler() -> None:
    chip = by_name("inf2")
    work = attention(2048)
    assert busy_s(chip, work) == busy_s(by_compiler(chip), work)


@pytest.mark.parametrize("name", ["inf2", "trn2"])
@pytest.mark.parametrize("shape", [(12800, 8192, 128), (8192, 4096, 128), (4096, 5120, 256)])
def test_tiles_hold_the_array_as_long_as_the_whole(name: str, shape: tuple[int, int, int]) -> None:
    chip = by_name(name)
    m, n, k = shape
    work = form(workloads.linear("bf16", m, n, k))
    assert isinstance(work, Contract)
    array = chip.engines["tensor"].block
    assert isinstance(array, SystolicArray)
    whole = array.timing("multiply", shape, "bf16").busy / chip.clock_hz
    assert whole <= busy_s(chip, work)["tensor"] < 1.3 * whole
