"""The few figures that ranking needs are exactly those of the whole Profile, on every chip."""

from __future__ import annotations

import pytest

from anychip import chips
from anychip.chips import Chip
from anychip.compile.grouping import Grouping
from anychip.compile.lower import Lowering
from anychip.profile import summarize
from anychip.profile.brief import brief_of
from anychip.programs.graph import Graph
from anychip.simulate import simulate
from tests.profile.workload import forward_graph, graph


@pytest.mark.parametrize("chip", list(chips.every_chip()), ids=lambda chip: chip.name)
@pytest.mark.parametrize("recorded", [graph(), forward_graph()], ids=["training", "forward"])
def test_a_brief_has_the_figures_of_the_profile(chip: Chip, recorded: Graph) -> None:
    program = Lowering(chip).program(recorded)
    profile = summarize(recorded, program, simulate(program, chip), chip)
    brief = brief_of(recorded, Grouping(recorded).on(chip), chip)
    unit = profile.unit
    assert brief.pieces == unit.count
    assert brief.seconds == pytest.approx(profile.seconds(unit.division.total), rel=1e-12)
    assert brief.launch_s == pytest.approx(profile.seconds(unit.division.launch), rel=1e-12, abs=1e-15)
    assert brief.bound_by == profile.bound_by
    assert dict(brief.macs) == dict(unit.macs)
    assert brief.moved_bytes == max(use.moved_bytes for use in unit.links if use.role == "memory")
    assert dict(brief.rests_on) == pytest.approx(dict(profile.rests_on))
    if unit.energy.total_j is None:
        assert brief.energy.total_j is None
    else:
        assert brief.energy.total_j is not None
        assert brief.energy.total_j.value == pytest.approx(unit.energy.total_j.value, rel=1e-9)


def test_equal_kernels_are_one_object() -> None:
    """Three equal layers: what a chip lowers does not grow with their number."""
    chip = chips.by_name("h100")
    forward = Grouping(forward_graph()).on(chip)
    kernels = [kernel for segment in forward for kernel in segment]
    assert len({id(kernel) for kernel in kernels}) < len(kernels)
    assert len({id(kernel) for kernel in kernels}) == len({kernel.work for kernel in kernels})


def test_chips_that_fuse_alike_share_their_kernels() -> None:
    grouping = Grouping(graph())
    assert grouping.on(chips.by_name("h100")) is grouping.on(chips.by_name("mi300x"))
    assert grouping.on(chips.by_name("graviton2")) is grouping.on(chips.by_name("graviton3")), "equal caches"
    assert grouping.on(chips.by_name("graviton3")) is not grouping.on(chips.by_name("turin"))
    assert grouping.on(chips.by_name("graviton3")) is not grouping.on(chips.by_name("h100"))
    assert grouping.on(chips.by_name("trn1")) is not grouping.on(chips.by_name("h100"))
