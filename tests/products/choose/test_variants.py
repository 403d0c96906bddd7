"""Formats that a chip lacks are replaced by the nearest, and what a script meets on a chip is said."""

from __future__ import annotations

import pytest

from anychip import chips
from anychip.chips.instances import snapshot
from anychip.errors import NotModelled, UnknownName
from anychip.products.choose.answer import Answer, answered
from anychip.products.choose.asking import chips_named, choose, clouds_named
from anychip.products.choose.page import page_of
from anychip.products.choose.pricing import Work, candidates
from anychip.products.choose.question import Question
from anychip.products.choose.variants import Variants
from anychip.programs.retype import retyped
from tests.profile.workload import forward_graph, graph


def _answer(question: Question | None = None, *names: str) -> Answer:
    chosen = [chips.by_name(name) for name in names or ("trn1", "t4", "graviton3", "h100")]
    asked = question or Question(minimise="time")
    return answered("w", "step", asked, candidates([Work.of(graph())], asked, chosen, snapshot()))


def test_bf16_becomes_fp16_where_only_that_is_multiplied() -> None:
    narrow = Variants(retyped(forward_graph(), "bf16"))
    assert narrow.on(chips.by_name("a10g"), "captured").label == "bf16"
    turing = narrow.on(chips.by_name("t4"), "captured")
    assert (turing.label, turing.replaced) == ("fp16", (("bf16", "fp16"),))
    assert narrow.on(chips.by_name("p4"), "captured").label == "fp32"
    half = Variants(retyped(forward_graph(), "fp16"))
    assert half.on(chips.by_name("tpu-v4"), "captured").label == "bf16"


def test_formats_that_were_asked_for_are_never_replaced() -> None:
    with pytest.raises(NotModelled, match=r"^computes in no bf16$"):
        Variants(forward_graph()).on(chips.by_name("t4"), "bf16")
    with pytest.raises(NotModelled, match=r"^multiplies no fp8$"):
        Variants(forward_graph()).on(chips.by_name("a10g"), "fp8")
    assert Variants(forward_graph()).on(chips.by_name("trn1"), "fp8").replaced == ()


def test_what_a_script_meets_is_said_for_every_ranked_chip() -> None:
    met = {r.candidate.chip: {d.about for d in r.candidate.migration} for r in _answer().ranked}
    assert met["h100"] == {"host"}  # an operator of the test graph has no rule
    assert {"software", "shapes", "host"} <= met["trn1"]
    assert met["graviton3"] == {"software", "host"}


def test_clouds_and_makers_narrow_the_catalogue() -> None:
    market = snapshot()
    aws = {chip.name for chip in chips_named(["aws"], market)}
    assert {"trn1", "inf2", "graviton3", "a10g", "h100"} <= aws
    assert not aws & {"mi300x", "tpu-v4", "gaudi3"}
    assert clouds_named(["aws", "h100"], market) == {"aws"}
    assert {chip.vendor for chip in chips_named(["amd"], market)} == {"AMD"}
    with pytest.raises(UnknownName, match=r"did you mean aws\?"):
        chips_named(["awz"], market)


def test_an_answer_shows_itself_in_terminals_and_notebooks() -> None:
    answer = _answer()
    assert answer.ranked[0].candidate.chip in str(answer)
    assert max(map(len, str(answer).splitlines())) <= 100
    fragment = answer._repr_html_()
    assert fragment in page_of(answer)
    assert fragment.count("<svg") == 3
    assert "Moving there" in fragment


def test_the_library_asks_as_the_command_does() -> None:
    assert choose(graph(), chips=("trn1",)).ranked[0].candidate.chip == "trn1"


def test_spot_prices_are_other_prices() -> None:
    spot, plain = (_answer(Question(terms=terms), "l4", "trn1").ranked for terms in ("spot", "on-demand"))
    spot_usd, plain_usd = ({r.candidate.chip: r.candidate.hourly_usd for r in each} for each in (spot, plain))
    assert 0 < (spot_usd["l4"] or 0) < (plain_usd["l4"] or 0)
    assert spot_usd["trn1"] is None  # the snapshot has no spot price of it: ranked by time and energy
    with pytest.raises(UnknownName, match="price term"):
        Question(terms="sport")  # type: ignore


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_name_commands_options_and_chips(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    from anychip.products.completion import main

    assert main([shell]) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("choose", "trn1", "latency-below"))
