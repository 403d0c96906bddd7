"""Waves of a grid: what a last wave that is not full costs, and what holds a transfer engine."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from anychip import chips
from anychip.blocks import Crowd, DmaEngine, DotUnit
from anychip.chips import Chip, Engine
from anychip.compile import Lowering
from anychip.simulate.machine import simulate_nest
from tests.compile import workloads


def weighted(weight: float) -> Chip:
    """An A100 whose tensor cores have one tile and one weight of waves."""
    chip = chips.by_name("a100-80")
    unit = chip.engines["tensor"].block
    assert isinstance(unit, DotUnit)
    block = dataclasses.replace(unit, wave_weight=weight)
    policy = dataclasses.replace(chip.policy, tiles=((128, 128),), splits=(1,))
    return chip.altered(engines=dict(chip.engines) | {"tensor": Engine(block=block)}, policy=policy)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from((0.0, 0.3, 1.0)), st.integers(1, 700), st.integers(1, 60))
def test_more_tiles_never_take_less_time_nor_beat_the_peak(weight: float, count: int, more: int) -> None:
    chip = weighted(weight)
    spans = []
    for tiles in (count, count + more):
        (form,) = Lowering(chip).forms(workloads.linear("bf16", 128, 128 * tiles, 2048))
        spans.append(simulate_nest(chip, Lowering(chip).nest(form)))
    first, second = spans
    # A core's last tile drains alone: so much may two counts differ the other way.
    assert first.ticks <= second.ticks * 1.02
    assert all(span.ideal_ticks <= span.ticks for span in spans)
    for span in spans:
        for _, engine in span.engines:
            assert engine.busy + sum(ticks for _, ticks in engine.waits) + engine.not_asked == span.ticks


def test_cores_that_drift_apart_feel_less_of_a_wave_that_is_not_full() -> None:
    times = []
    for weight in (0.0, 0.5, 1.0):
        chip = weighted(weight)
        (form,) = Lowering(chip).forms(workloads.linear("bf16", 128, 128 * (2 * 108 + 1), 8192))
        times.append(simulate_nest(chip, Lowering(chip).nest(form)).ticks)
    assert times[0] < times[1] < times[2]


@given(st.integers(1, 8), st.floats(0.01, 1.0), st.floats(0.0, 1.0))
def test_slowdown_lies_between_a_full_wave_and_lockstep(resident: int, filled: float, weight: float) -> None:
    unit = DotUnit(
        native=64, full_results=32768, occupancy_exponent=0.5, wave_weight=weight, rates={"fp32": 1}
    )
    crowd = Crowd(resident, 8, filled, first=False)
    alike = unit.slowdown("multiply", (64, 64, 64), Crowd(resident, 8))
    slow = unit.slowdown("multiply", (64, 64, 64), crowd)
    assert filled <= slow * (1 + 1e-9)
    assert slow <= alike * (1 + 1e-9)


def test_a_link_gives_an_engine_its_share() -> None:
    chip = chips.by_name("a100-80")
    link = chip.links["dram"]
    assert chip.link_rate("load", "dram") == link.sustained_bytes_per_second
    stage = chip.engines["stage fma"].block
    assert isinstance(stage, DmaEngine)
    assert chip.link_rate("stage fma", "dram") == link.bytes_per_second * stage.link_shares["dram"]
    assert chip.operand_engine("fma") == "stage fma"
    assert chip.operand_engine("tensor") == "stage tensor"
