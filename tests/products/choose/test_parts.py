"""Parts of CPU sockets: which sizes are ranked, what a part has, and what it is charged."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest

from anychip import chips
from anychip.chips.instances import Instance, snapshot
from anychip.products.choose.parts import part_of, sizes_of
from anychip.products.choose.pricing import Work, candidates
from anychip.products.choose.question import Question
from anychip.programs.graph import Memory
from tests.profile.workload import graph


def _instance(name: str) -> Instance:
    return snapshot().named(name)


def test_a_part_has_its_share_of_the_socket() -> None:
    whole = chips.by_name("graviton3")
    part = part_of(whole, _instance("c7g.2xlarge"))
    assert part.cores == whole.cores // 8
    assert part.links["dram"].bytes_per_second == pytest.approx(whole.links["dram"].bytes_per_second / 8)
    assert part.memories["l3"].capacity_bytes == whole.memories["l3"].capacity_bytes // 8
    assert part.memories["l2"] == whole.memories["l2"]  # a core's own
    assert part.main_memory.capacity_bytes == 16 * 2**30
    assert part.power is not None
    assert whole.power is not None
    assert part.power.base_w is not None
    assert whole.power.base_w is not None
    assert part.power.base_w.value == pytest.approx(whole.power.base_w.value / 8)
    assert part.power.base_w.source.kind == "assumed"
    assert part.macs_per_second("bf16") == pytest.approx(whole.macs_per_second("bf16") / 8)


def test_a_whole_socket_has_the_memory_of_its_instance() -> None:
    whole = part_of(chips.by_name("graviton3"), _instance("c7g.16xlarge"))
    assert whole.cores == 64
    assert whole.main_memory.capacity_bytes == 128 * 2**30


def test_sizes_hold_the_workload_and_the_cheapest_of_each_is_taken() -> None:
    market = snapshot()
    small = sizes_of(market.of_chip("graviton3"), 2**20, "on-demand", None)
    assert [each.name for each in small] == ["c7g.medium", "c7g.2xlarge", "c7g.16xlarge"]
    large = sizes_of(market.of_chip("graviton3"), 200 * 2**30, "on-demand", None)
    assert all((each.memory_gib or 0) >= 200 for each in large)
    assert large
    assert sizes_of(market.of_chip("graviton3"), 2**50, "on-demand", None) == []
    assert sizes_of(market.of_chip("graviton3"), 2**20, "spot", None) == []


def test_instances_that_live_on_credits_are_not_ranked() -> None:
    names = {each.name for each in snapshot().of_chip("graviton2")}
    assert any(name.startswith("t4g.") for name in names)
    for peak_bytes in (2**20, 2**30, 2**34):
        sizes = sizes_of(snapshot().of_chip("graviton2"), peak_bytes, "on-demand", None)
        assert not any(each.name.startswith("t4g.") for each in sizes)


def test_a_part_costs_what_its_instance_costs() -> None:
    found = list(candidates([Work.of(graph())], Question(), [chips.by_name("graviton3")], snapshot()))
    assert len(found) == 3
    for candidate in found:
        assert candidate.instance is not None
        price = _instance(candidate.instance).price()
        assert price is not None
        assert candidate.hourly_usd == candidate.instance_usd == price.value
    part = found[0]
    assert part.cores == 1
    assert part.notes == ("1 core of the socket, with a share of its memory bandwidth and cache (assumed)",)
    assert found[-1].cores is None


def test_more_memory_than_small_instances_have_needs_larger_ones() -> None:
    large = dataclasses.replace(graph(), memory=Memory(0, 60 * 2**30, (("parameter", 60 * 2**30),)))
    found = list(candidates([Work.of(large)], Question(), [chips.by_name("graviton3")], snapshot()))
    assert found
    assert all((_instance(c.instance or "").memory_gib or 0) >= 60 for c in found)
    assert all(_instance(c.instance or "").chips <= Fraction(1) for c in found)
