"""Totals equal sums, whatever the spans."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anychip.chips import Chip
from anychip.facts import Fact
from anychip.profile import Profile, summarize
from anychip.profile.division import divide
from anychip.profile.money import Rent
from anychip.profile.profile import Layer
from anychip.programs.graph import Memory
from anychip.programs.program import Demand
from anychip.simulate.trace import EngineTime, Span
from tests.profile import workload

CHIP = workload.chip()
WITH_HOST = CHIP.altered(policy=replace(CHIP.policy, host_bytes_per_second=1e9))
ENGINES = tuple(CHIP.engines)


def profile_of(graph=None, chip: Chip = WITH_HOST, **options) -> Profile:
    graph = graph or workload.graph()
    program = workload.program(graph, chip)
    return summarize(graph, program, workload.trace(program, chip), chip, **options)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    running = draw(st.integers(0, 10**6))
    launch = draw(st.integers(0, 10**4))
    fixed = tuple(
        draw(
            st.lists(
                st.tuples(st.sampled_from(["host", "latency", "collective", "call"]), st.integers(0, 999)),
                max_size=3,
            )
        )
    )
    ticks = running + launch + sum(t for _, t in fixed)
    engines = []
    causes = st.sampled_from(["load", "store", "buffer", "vector", "bus read", "bus write"])
    for name in ENGINES:
        left = running
        busy = draw(st.integers(0, left))
        left -= busy
        waits = {}
        for cause in draw(st.lists(causes, max_size=3, unique=True)):
            waits[cause] = draw(st.integers(0, left))
            left -= waits[cause]
        engines.append(
            (name, EngineTime(busy, tuple(sorted(waits.items())), ticks - busy - sum(waits.values())))
        )
    ideal = draw(st.integers(0, running))
    bound = draw(st.sampled_from(["matrix", "bus"]))
    return Span(ticks, tuple(engines), Demand(), ideal, bound, launch, fixed, 1, 1, ())


@given(spans())
def test_a_division_adds_up_to_its_span(span: Span) -> None:
    division = divide(CHIP, span)
    assert division.total == span.ticks
    assert min(getattr(division, name) for name in division.__slots__) >= 0
    assert division.ideal == span.ideal_ticks


def walk(layers: tuple[Layer, ...]):
    for layer in layers:
        yield layer
        yield from walk(layer.parts)


@pytest.mark.parametrize(
    "graph", [workload.graph(), workload.graph(1), workload.graph(0), workload.forward_graph()]
)
def test_every_portion_adds_up(graph) -> None:
    profile = profile_of(graph)
    for portion in filter(None, (profile.whole, profile.unit, profile.first, profile.setup)):
        layers = sum(layer.division.total for layer in portion.layers)
        assert layers + portion.copy_ticks == portion.division.total
        assert portion.copy_ticks == portion.division.transfer
        assert sum(ticks for _, ticks in portion.phases) == layers
        for use in portion.engines:
            spent = use.busy_ticks + sum(ticks for _, ticks in use.waits) + use.not_asked_ticks
            assert spent == portion.division.total
            assert use.not_asked_ticks >= 0
        for layer in walk(portion.layers):
            assert sum(part.division.total for part in layer.parts) <= layer.division.total
            assert sum(ticks for _, ticks in layer.phases) == layer.division.total
        known = [part.energy_j.value for part in portion.energy.parts if part.energy_j is not None]
        assert portion.energy.total_j is not None
        assert portion.energy.total_j.value == pytest.approx(sum(known))
        for bound in ("low", "value", "high"):
            phases = sum(
                getattr(part, bound)
                for phase in portion.energy.phases
                for part in (phase.working_j, phase.idle_j, phase.host_j)
                if part is not None
            )
            assert phases == pytest.approx(getattr(portion.energy.total_j, bound))
        assert sum(phase.ticks for phase in portion.energy.phases) == portion.division.total
    assert sum(share for _, share in profile.rests_on) == pytest.approx(1)


@given(st.integers(0, 6))
def test_the_run_is_setup_and_pieces_and_rest(steps: int) -> None:
    profile = profile_of(workload.graph(steps))
    repeated = sum(group.ticks for group in profile.passes)
    outside = profile.setup.division.total if profile.setup is not None else 0
    if steps:
        assert repeated + outside == profile.whole.division.total
        assert sum(group.count for group in profile.passes) == steps
    else:
        assert profile.unit is profile.whole
    simulated = workload.trace(workload.program(workload.graph(steps), WITH_HOST), WITH_HOST).ticks
    assert profile.whole.division.total - profile.whole.division.transfer == simulated


def test_the_first_step_is_apart_and_moving_the_model_is_set_up() -> None:
    profile = profile_of()
    assert (profile.unit.name, profile.unit.count) == ("step", 3)
    assert profile.first is not None
    assert profile.first.to_device_bytes == 256
    assert profile.setup is not None
    assert profile.setup.to_device_bytes == profile.whole.to_device_bytes - 4 * 256
    assert profile.setup.to_host_bytes == 64
    assert profile.unit.tokens == 3 * 32


def test_equal_layers_are_one_and_unlike_ones_are_not() -> None:
    (model, *_) = (layer for layer in profile_of().unit.layers if layer.name == "model")
    names = {layer.name: layer.count for layer in walk((model,))}
    assert names == {
        "model": 1,
        "model.layers": 1,
        "model.layers.*": 3,
        "model.layers.*.mlp": 3,
        "model.layers.*.act": 3,
        "model.head": 1,
    }


def test_energy_is_demand_times_facts() -> None:
    portion = profile_of().whole
    parts = {part.name: part.energy_j for part in portion.energy.parts}
    macs = dict(portion.macs)["bf16"]
    assert parts["matrix"] is not None
    assert (parts["matrix"].low, parts["matrix"].value, parts["matrix"].high) == pytest.approx(
        (macs * 0.5e-12, macs * 1e-12, macs * 2e-12)
    )
    seconds = portion.division.total / WITH_HOST.clock_hz
    assert parts["idle"] is not None
    assert parts["idle"].value == pytest.approx(0.5 * seconds)
    assert portion.energy.is_above_limit is False


def test_power_above_the_design_power_is_flagged() -> None:
    power = workload.power()
    hot = WITH_HOST.altered(
        power=type(power)(
            base_w=Fact(9.0, "W", workload.ASSUMED),
            limit_w=power.limit_w,
            mac_j=power.mac_j,
            lane_operation_j=power.lane_operation_j,
            byte_j=power.byte_j,
        )
    )
    profile = profile_of(chip=hot)
    assert profile.unit.energy.is_above_limit is True
    assert any("design power" in note for note in profile.notes)
    assert "(above design power)" in repr(profile)
    assert profile.unit.energy.wall_w is None, "the share of the host is not known"


def test_watts_are_joules_by_time_with_and_without_the_host() -> None:
    profile = profile_of()
    energy = profile.unit.energy
    seconds = profile.seconds(profile.unit.division.total)
    assert energy.total_j is not None and energy.average_w is not None and energy.wall_w is not None
    assert energy.wall_w.value * seconds == pytest.approx(energy.total_j.value)
    assert energy.wall_w.value - energy.average_w.value == pytest.approx(0.1)
    weighed = 0.0
    for phase in energy.phases:
        assert phase.chip_w is not None and phase.wall_w is not None
        assert phase.wall_w.value - phase.chip_w.value == pytest.approx(0.1)
        assert phase.chip_w.value >= 0.5 * (1 - 1e-9)
        weighed += phase.chip_w.value * profile.seconds(phase.ticks)
    assert weighed / seconds == pytest.approx(energy.average_w.value)
    assert {"forward", "backward", "optimizer", "copies"} >= {phase.name for phase in energy.phases}
    copies = [phase for phase in profile.whole.energy.phases if phase.name == "copies"]
    assert [phase.chip_w.value for phase in copies if phase.chip_w is not None] == pytest.approx([0.5])
    assert energy.share_of("idle") == pytest.approx(0.5 * seconds / energy.total_j.value)


def test_watts_of_passes_of_different_sizes() -> None:
    profile = profile_of(workload.graph(4))
    for group in profile.passes:
        assert group.energy.average_w is not None
        assert group.energy.total_j is not None
    steps = sum(group.energy.total_j.value for group in profile.passes if group.energy.total_j is not None)
    outside = profile.setup.energy.total_j.value if profile.setup and profile.setup.energy.total_j else 0.0
    assert profile.whole.energy.total_j is not None
    assert steps + outside == pytest.approx(profile.whole.energy.total_j.value)


def test_unknown_is_none_and_never_zero() -> None:
    profile = profile_of(chip=WITH_HOST.altered(power=None))
    assert profile.unit.energy.total_j is None
    assert profile.unit.energy.average_w is None
    assert profile.unit.energy.wall_w is None
    assert all(phase.chip_w is None and phase.idle_j is None for phase in profile.unit.energy.phases)
    assert profile.unit.energy.share_of("idle") is None
    assert set(profile.unit.energy.unknown) == {"matrix", "lanes", "bus", "idle", "host"}
    assert profile.unit.cost is None
    assert "unknown" in repr(profile)


def test_cost_is_the_price_of_the_share_for_the_time() -> None:
    rent = Rent("tiny.large", Fraction(1, 4), Fact(3.6, "USD/h", workload.ASSUMED))
    portion = profile_of(rent=rent).whole
    assert portion.cost is not None
    assert portion.cost.usd == pytest.approx(3.6 / 3600 / 4 * portion.division.total / WITH_HOST.clock_hz)


def test_a_chip_without_a_host_link_says_so() -> None:
    profile = profile_of(chip=CHIP)
    assert profile.whole.division.transfer == 0
    assert any("host link is not known" in note for note in profile.notes)


def test_a_model_that_does_not_fit_says_by_how_much() -> None:
    graph = replace(
        workload.graph(), memory=Memory(peak_bytes=9 * 2**30, peak_by_kind=(("parameter", 9 * 2**30),))
    )
    profile = profile_of(graph)
    assert (profile.memory.fits, profile.memory.over_bytes, profile.memory.chips_needed) == (
        False,
        5 * 2**30,
        3,
    )
    assert "does not fit by 5 GiB: 3 chips would hold it" in repr(profile)


def test_generation_tells_prefill_from_decoding() -> None:
    profile = profile_of(workload.forward_graph())
    assert [(group.count, group.tokens) for group in profile.passes] == [(1, 32), (5, 1)]
    assert "5 inferences" in repr(profile)
    assert (profile.unit.count, profile.unit.tokens) == (5, 5)


def test_host_order_lowers_the_share_of_chip_arithmetic() -> None:
    graph = workload.graph()
    odd = frozenset(
        number
        for number, node in enumerate(graph.segments[0].nodes)
        if node.operator == "aten.linalg_qr.default"
    )
    profile = profile_of(graph, host_order=[odd, frozenset()])
    assert profile.chip_semantics is not None
    assert 0.99 < profile.chip_semantics < 1
    assert profile.host_order == (("aten.linalg_qr.default", 4),)
    assert "linalg_qr (4x)" in repr(profile)
