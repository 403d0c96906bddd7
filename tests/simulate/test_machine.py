"""The simulator against its own expansion, an independent replay by explicit waits, and the roofline."""

from __future__ import annotations

from hypothesis import given, settings

from anychip.chips import Chip
from anychip.chips.basecamp import basecamp
from anychip.programs.expand import expand
from anychip.programs.program import Buffer, Grid, Instruction, Loop, Nest, Slot
from anychip.simulate.machine import link_ticks, simulate_nest, uncontended_ticks
from tests.simulate.nests import chips, nests


@settings(max_examples=150)
@given(chips(), nests())
def test_skipping_is_exact(chip: Chip, nest: Nest) -> None:
    skipped = simulate_nest(chip, nest)
    stepped = simulate_nest(chip, nest, skipping=False)
    assert skipped.ticks == stepped.ticks
    assert skipped.engines == stepped.engines
    assert skipped.link_ticks == stepped.link_ticks
    assert skipped.simulated <= stepped.simulated


@settings(max_examples=100)
@given(chips(), nests())
def test_engine_time_is_a_partition_and_the_roofline_holds(chip: Chip, nest: Nest) -> None:
    span = simulate_nest(chip, nest)
    for _, engine in span.engines:
        assert engine.not_asked >= 0
        assert engine.busy + sum(ticks for _, ticks in engine.waits) + engine.not_asked == span.ticks
    assert span.ideal_ticks <= span.ticks


@settings(max_examples=100)
@given(chips(), nests())
def test_explicit_waits_give_the_same_time(chip: Chip, nest: Nest) -> None:
    """Replays the expanded program with nothing but landed and finished counts."""
    if any(isinstance(item, Grid) for item in nest.body) or not chip.links["bus"].duplex:
        return
    chip = chip.altered(cores=1)
    assert replayed(chip, nest) + chip.sequencer.launch_cycles == simulate_nest(chip, nest).ticks


def replayed(chip: Chip, nest: Nest) -> int:
    depth = chip.sequencer.queue_depth
    finished: dict[str, list[int]] = {name: [] for name in chip.engines}
    landed: dict[str, list[int]] = {name: [] for name in chip.engines}
    issue = 0
    for issued in expand(nest):
        engine, instruction = issued.instruction.engine, issued.instruction
        history = finished[engine]
        issue += chip.sequencer.issue_cycles
        if len(history) >= depth:
            issue = max(issue, history[-depth])
        start = max([issue, *history[-1:]])
        start = max([start, *(landed[name][count - 1] for name, count in issued.landed)])
        start = max([start, *(finished[name][count - 1] for name, count in issued.finished)])
        busy, latency = uncontended_ticks(chip, instruction)
        busy = max([busy, *(link_ticks(chip, name, size, 1) for name, size in instruction.traffic)])
        latency += max((chip.links[name].latency_cycles for name, _ in instruction.traffic), default=0)
        history.append(start + busy)
        landed[engine].append(start + busy + latency)
    return max(time for times in landed.values() for time in times)


def test_waves_are_counted() -> None:
    """109 equal tiles on 108 cores take twice the time of 108."""
    chip = basecamp().altered(cores=108)
    tile = Instruction("matrix", "multiply", (), (Slot("accumulators", fresh=True),), (4, 4, 500), "bf16")
    buffers = (Buffer("accumulators", "array", 1, 64),)
    one = simulate_nest(chip, Nest("tiles", (), buffers, (Grid((("t", 108),), (tile,), overlap=False),)))
    two = simulate_nest(chip, Nest("tiles", (), buffers, (Grid((("t", 109),), (tile,), overlap=False),)))
    assert 1.95 < two.ticks / one.ticks < 2.01


def test_a_long_loop_costs_little_to_simulate() -> None:
    chip = basecamp()
    body = (
        Instruction("load", "load", (), (Slot("a", fresh=True),), (1,), "bf16", None, (("bus", 32),)),
        Instruction("matrix", "multiply", (Slot("a"),), (Slot("accumulators"),), (4, 4, 7), "bf16"),
    )
    first = Instruction("matrix", "multiply", (), (Slot("accumulators", fresh=True),), (4, 4, 7), "bf16")
    buffers = (Buffer("a", "sram", 2, 64), Buffer("accumulators", "array", 1, 64))
    nest = Nest("long", (), buffers, (first, Loop("k", 10**9, body)))
    span = simulate_nest(chip, nest)
    assert span.instructions == 2 * 10**9 + 1
    assert span.simulated < 100
    assert span.ticks > 7 * 10**9


def test_what_passes_beside_the_engines_costs_only_what_outlasts_them() -> None:
    chip = basecamp()
    work = Instruction("matrix", "multiply", (), (Slot("accumulators", fresh=True),), (4, 4, 500), "bf16")
    buffers = (Buffer("accumulators", "array", 1, 64),)
    alone = simulate_nest(chip, Nest("tiles", (), buffers, (work,)))
    short, long = (
        simulate_nest(chip, Nest("tiles", (), buffers, (work,), beside_ticks=(("collective", ticks),)))
        for ticks in (100, alone.ticks + 7)
    )
    assert short.ticks == alone.ticks and short.fixed == ()
    assert long.ticks == alone.ticks + 7 and long.fixed == (("collective", 7),)
