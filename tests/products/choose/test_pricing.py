"""Pricing a recorded workload on real chips: consistency, memory, formats, several chips."""

from __future__ import annotations

import dataclasses

import pytest

from anychip import chips
from anychip.chips.instances import snapshot
from anychip.products.choose.answer import answered
from anychip.products.choose.candidate import Candidate
from anychip.products.choose.copies import joined
from anychip.products.choose.export import as_json
from anychip.products.choose.pricing import Work, candidates, price
from anychip.products.choose.question import Question
from anychip.products.choose.variants import Variants
from anychip.programs.graph import Graph, Mark, Memory
from anychip.programs.retype import retyped
from tests.profile.workload import forward_graph, graph

NAMES = ("trn1", "a10g", "graviton3", "h100")


def found(workload: Graph, question: Question, names: tuple[str, ...] = NAMES) -> list[Candidate]:
    chosen = [chips.by_name(name) for name in names]
    return list(candidates([Work.of(workload)], question, chosen, snapshot()))


def test_the_same_twice_and_no_influence_on_each_other() -> None:
    question = Question(minimise="time", stored=("captured", "fp32"))
    first, second = (found(graph(), question) for _ in range(2))
    assert as_json(answered("w", "step", question, first)) == as_json(answered("w", "step", question, second))
    alone = found(graph(), question, ("a10g",))
    assert [c for c in first if c.chip == "a10g"] == alone


def test_cost_is_price_times_time() -> None:
    for candidate in found(graph(), Question()):
        assert candidate.time_s is not None
        assert candidate.cost_usd is not None
        assert candidate.hourly_usd is not None
        per_call = candidate.time_s.value * candidate.hourly_usd / 3600 / candidate.side_by_side
        assert candidate.cost_usd.value == pytest.approx(per_call)


def test_more_bandwidth_is_never_slower() -> None:
    variant = Variants(forward_graph()).on(chips.by_name("a10g"), "captured")
    chip = chips.by_name("a10g")
    links = {
        name: dataclasses.replace(link, bytes_per_second=2 * link.bytes_per_second)
        for name, link in chip.links.items()
    }
    assert price(chip.altered(links=links), variant).time_s.value <= price(chip, variant).time_s.value


def test_what_does_not_fit_says_how_many_chips_would() -> None:
    large = dataclasses.replace(forward_graph(), memory=Memory(0, 100 * 2**30, (("parameter", 100 * 2**30),)))
    (one,) = found(large, Question(counts=(1,)), ("a10g",))
    assert one.reason == "needs 100 GiB: 5 chips of 24 GiB hold it"
    (enough,) = found(large, Question(), ("a10g",))
    assert (enough.reason, enough.count, enough.instance) == (None, 8, "g5.48xlarge")


def test_inference_chips_do_not_train() -> None:
    (training,) = found(graph(), Question(), ("inf2",))
    assert training.reason == "made for inference, not for training"
    forward = dataclasses.replace(forward_graph(), path=(1,), marks=(Mark("forward", 1, 1, 1),))
    (inference,) = found(forward, Question(), ("inf2",))
    assert inference.reason is None


def test_a_format_that_the_chip_lacks_is_a_reason() -> None:
    (candidate,) = found(graph(), Question(stored=("fp8",)), ("graviton3",))
    assert candidate.reason is not None
    assert "fp8" in candidate.reason


def test_retyping_halves_what_is_stored() -> None:
    wide = retyped(graph(), "fp32")
    narrow = retyped(wide, "bf16")
    for before, after in zip(wide.segments, narrow.segments, strict=True):
        for was, now in zip(before.values, after.values, strict=True):
            assert now.size_bytes * 2 == was.size_bytes


@pytest.mark.parametrize("name", ["trn1", "h100"])
def test_several_chips_have_all_their_peaks(name: str) -> None:
    one = chips.by_name(name)
    many = joined(one, 4)
    assert many.main_memory.capacity_bytes == 4 * one.main_memory.capacity_bytes
    assert many.macs_per_second("bf16") == pytest.approx(4 * one.macs_per_second("bf16"))
