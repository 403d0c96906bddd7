"""What catalogue CPUs take over from a calibrated one."""

from __future__ import annotations

from itertools import pairwise

import pytest

from anychip import chips
from anychip.chips.catalogue import cpu
from anychip.chips.catalogue.cpu_software import cpu_policy
from anychip.compile import lower
from anychip.programs.graph import Graph, Memory, Node, Place, Segment, Value, View
from anychip.simulate import simulate

NAMES = sorted(cpu.CHIPS)


def additions(elements: int, count: int, phase="forward") -> Graph:
    size = 4 * elements
    values = (Value(0, 0, size, "input"), *(Value(i, 0, size, "activation") for i in range(1, count + 1)))
    nodes = tuple(
        Node(
            "aten.mul.Tensor",
            (),
            (View(i, "fp32", (elements,), (1,)), View(0, "fp32", (elements,), (1,))),
            (View(i + 1, "fp32", (elements,), (1,)),),
            Place("", "", phase),
        )
        for i in range(count)
    )
    return Graph("additions", "host", (Segment(values, nodes, "end"),), (0,), (), Memory(0, 0, (), ()))


def seconds(chip, graph: Graph) -> float:
    return simulate(lower(graph, chip), chip).ticks / chip.clock_hz


@pytest.mark.parametrize("name", NAMES)
def test_every_number_is_an_assumption_with_a_range(name: str) -> None:
    chip = chips.by_name(name)
    software = chip.policy.inline
    assert software is not None
    facts = chip.policy.facts
    for phase, value in software.operator_s.items():
        assert facts[f"operator_s.{phase}"].value == value
    for field in ("mapped_bytes_per_second", "write_cost"):
        assert facts[field].value == getattr(software, field)
    for fact in facts.values():
        low, high = fact.range
        assert fact.source.kind == "assumed"
        assert low < fact.value < high


@pytest.mark.parametrize("name", NAMES)
def test_small_operators_take_the_framework_s_time(name: str) -> None:
    chip = chips.by_name(name)
    software = chip.policy.inline
    assert software is not None
    for phase in ("forward", "backward", "optimizer"):
        each = seconds(chip, additions(64, 50, phase)) / 50
        assert software.operator_s[phase] <= each < 1.5 * software.operator_s[phase]


@pytest.mark.parametrize("name", NAMES)
def test_more_cores_are_never_slower(name: str) -> None:
    chip = chips.by_name(name)
    times = [seconds(chip.altered(cores=cores), additions(1 << 22, 3)) for cores in (1, 2, 4, 8, 16, 32)]
    # Where memory is the limit, only the first tile's latency differs.
    assert all(later <= 1.01 * before for before, later in pairwise(times))
    assert times[0] > 1.2 * times[-1]


def test_results_larger_than_the_heap_keeps_wait_for_fresh_pages() -> None:
    chip = chips.by_name("graviton3")
    small, large = additions(7 << 20, 2), additions(9 << 20, 2)
    assert seconds(chip, large) > 1.5 * 9 / 7 * seconds(chip, small)


def test_pages_are_mapped_by_as_many_threads_as_there_are() -> None:
    one, eight, many = (cpu_policy(cores).facts["mapped_bytes_per_second"].value for cores in (1, 8, 64))
    assert eight == pytest.approx(8 * one)
    assert many == eight
