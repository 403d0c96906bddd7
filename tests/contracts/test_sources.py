"""Every number of a real chip has a source, and what the blocks imply agrees with what the maker says."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import date

import pytest

from anychip import chips
from anychip.blocks import Block, MatrixEngine
from anychip.chips import Chip
from anychip.chips.names import NAMES
from anychip.facts import Fact

REAL = [name for name in NAMES if name != "basecamp"]
#: Rounding of datasheet figures: 312 stands for 311.9, 82 for 82.6.
ROUNDING = 0.01

#: Kinds of numbers that mean "nothing special": no delay, a factor of one, not stated.
NEUTRAL = (0, 1, None)


def numbers(block: Block) -> Iterator[tuple[str, float]]:
    """Every number of a block with the path its Fact must have."""
    for field in dataclasses.fields(block):
        value = getattr(block, field.name)
        if field.name == "facts" or isinstance(value, bool | str | tuple):
            continue
        if isinstance(value, Mapping):
            yield from ((f"{field.name}.{key}", number) for key, number in value.items())
        elif value not in NEUTRAL:
            yield field.name, value


@pytest.mark.parametrize("name", REAL)
def test_every_number_is_a_fact(name: str) -> None:
    chip = chips.by_name(name)
    bare = [
        f"{part}.{path} = {value:g}"
        for part, block in chip.blocks()
        for path, value in numbers(block)
        if path not in block.facts
    ]
    assert not bare, f"{name}: numbers without a Fact: {', '.join(bare)}"
    for needed in ("cores", "clock_hz"):
        assert needed in chip.facts, f"{name}: chip.facts has no {needed}"


@pytest.mark.parametrize("name", REAL)
def test_parameters_are_their_facts(name: str) -> None:
    """A block's parameter is the value of the Fact that it shows, also after a later change."""
    chip = chips.by_name(name)
    assert chip.cores == chip.facts["cores"].value
    assert chip.clock_hz == chip.facts["clock_hz"].value
    for part, block in chip.blocks():
        for path, fact in block.facts.items():
            field, _, key = path.partition(".")
            value = getattr(block, field)
            assert (value[key] if key else value) == fact.value, f"{name}: {part}.{path}"


@pytest.mark.parametrize("name", REAL)
def test_sources_say_where_and_when(name: str) -> None:
    for path, fact in chips.by_name(name).all_facts():
        assert fact.source.where.strip(), f"{name}: {path} has an empty source"
        assert fact.unit.strip(), f"{name}: {path} has no unit"
        assert date.fromisoformat(fact.source.read_on) <= date(2026, 12, 31), f"{name}: {path}"


@pytest.mark.parametrize("name", REAL)
def test_policy_numbers_are_facts(name: str) -> None:
    policy = chips.by_name(name).policy
    for field in ("block_s", "call_s", "dispatch_s", "host_bytes_per_second"):
        value = getattr(policy, field)
        if value:
            assert policy.facts[field].value == value, f"{name}: policy.{field}"


def peaks(chip: Chip) -> Iterator[tuple[str, Fact]]:
    for key, fact in chip.facts.items():
        if key.startswith("peak."):
            yield key.removeprefix("peak."), fact


@pytest.mark.parametrize("name", REAL)
def test_blocks_make_the_published_peak(name: str) -> None:
    chip = chips.by_name(name)
    stated = dict(peaks(chip))
    assert "bf16" in stated or "fp16" in stated or "fp32" in stated, f"{name}: no published peak at all"
    for format_name, fact in stated.items():
        derived = 2 * chip.macs_per_second(format_name)
        low, high = fact.range
        assert low * (1 - ROUNDING) <= derived <= high * (1 + ROUNDING), (
            f"{name}: blocks make {derived / 1e12:.4g}e12 {format_name} operations a second, "
            f"published are {low / 1e12:.4g} to {high / 1e12:.4g}"
        )


@pytest.mark.parametrize("name", REAL)
def test_nothing_recalled_looks_published(name: str) -> None:
    for path, fact in chips.by_name(name).all_facts():
        if "recalled" in fact.source.where:
            assert fact.source.kind == "assumed", f"{name}: {path}"


def test_a_wrong_peak_is_noticed() -> None:
    """The checks above can fail."""
    chip = chips.by_name("a100-40")
    wrong = dataclasses.replace(chip, cores=100)
    fact = dict(peaks(wrong))["bf16"]
    assert 2 * wrong.macs_per_second("bf16") < fact.range[0] * (1 - ROUNDING)
    bare = dataclasses.replace(chip.matrix, facts={})
    assert "native" in dict(numbers(bare))
    assert not bare.facts


@pytest.mark.parametrize("name", REAL)
def test_every_demand_has_a_price_in_joules(name: str) -> None:
    """An unknown term would make the whole energy unknown."""
    chip = chips.by_name(name)
    assert chip.power is not None
    formats = {
        key
        for engine in chip.engines.values()
        if isinstance(engine.block, MatrixEngine)
        for key in engine.block.rates
    }
    assert formats <= set(chip.power.mac_j)
    assert set(chip.links) <= set(chip.power.byte_j)
    assert chip.power.base_w is not None
    assert chip.power.lane_operation_j is not None
    assert chip.power.host_w is not None
