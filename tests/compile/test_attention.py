"""Decoding with a cache on a GPU: a block of threads a sequence and key head, two in flight on a core."""

from __future__ import annotations

import pytest

from anychip import chips
from anychip.compile import Lowering
from anychip.products.validate.operators import view
from anychip.programs.graph import Node
from anychip.simulate import Player

KEY_HEADS, CACHED, WIDTH = 4, 2688, 128


def microseconds(chip_name: str, sequences: int) -> float:
    chip = chips.by_name(chip_name)
    query = view(0, "fp16", sequences, 32, 1, WIDTH)
    keys, values = (view(i, "fp16", sequences, KEY_HEADS, CACHED, WIDTH) for i in (1, 2))
    results = (view(3, "fp16", *query.shape), view(4, "fp32", *query.shape[:3]))
    node = Node("aten._scaled_dot_product_efficient_attention.default", (), (query, keys, values), results)
    lowering = Lowering(chip)
    return 1e6 * Player(chip).span(lowering.nest(lowering.forms(node)[0])).ticks / chip.clock_hz


def test_time_steps_where_a_core_gets_another_block_and_where_a_wave_ends() -> None:
    # 108 multiprocessors: 27 sequences are one block each, 28 give some a second, 54 give all of them one.
    times = {n: microseconds("a100-80", n) for n in (22, 27, 28, 54, 55, 81)}
    assert times[22] == pytest.approx(times[27], rel=0.1)
    # A second block on a core shares its memory's bandwidth with fewer others: less than twice the time.
    assert 1.2 < times[28] / times[27] < 1.7
    assert 1.2 < times[55] / times[54] < 1.7
    assert times[54] < 2.2 * times[27]


@pytest.mark.parametrize("chip", ["a100-80", "h100", "t4", "mi300x"])
def test_more_sequences_never_take_less_time_and_never_beat_memory(chip: str) -> None:
    made = chips.by_name(chip)
    times = [microseconds(chip, n) for n in (8, 27, 40, 80, 160)]
    assert times == sorted(times)
    for n, time in zip((8, 27, 40, 80, 160), times, strict=True):
        moved = n * KEY_HEADS * CACHED * WIDTH * 2 * 2
        assert time >= 1e6 * moved / made.links["dram"].bytes_per_second
