"""Ranking: limits, ties, the Pareto set by brute force, and that candidates do not influence each other."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anychip.errors import InvalidInput, UnknownName
from anychip.products.choose.answer import answered, pareto
from anychip.products.choose.candidate import Candidate
from anychip.products.choose.export import as_data, as_json, regressions
from anychip.products.choose.question import Question, duration_s
from anychip.profile.profile import Range

positive = st.floats(1e-6, 1e3)


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    drawn: list[Candidate] = []
    for index in range(draw(st.integers(0, 12))):
        time = draw(positive)
        hourly = draw(st.one_of(st.none(), positive))
        energy = draw(st.one_of(st.none(), positive))
        drawn.append(
            Candidate(
                chip=f"chip{index}",
                title=f"Chip {index}",
                vendor="maker",
                instance=f"i{index}.large",
                hourly_usd=hourly,
                numerics="bf16",
                time_s=Range(time * 0.8, time, time * 1.25),
                energy_j=None if energy is None else Range(energy, energy, energy),
                cost_usd=None
                if hourly is None
                else Range(*(time * f * hourly / 3600 for f in (0.8, 1, 1.25))),
            )
        )
    return drawn


@given(candidates())
def test_the_first_is_the_least(drawn: list[Candidate]) -> None:
    answer = answered("work", "step", Question(minimise="time"), drawn)
    times = [r.candidate.time_s.value for r in answer.ranked if r.candidate.time_s]
    assert times == sorted(times)


@given(candidates())
def test_cost_is_price_times_time(drawn: list[Candidate]) -> None:
    answer = answered("work", "step", Question(minimise="cost"), drawn)
    for ranked in answer.ranked:
        c = ranked.candidate
        if c.cost_usd is None:
            assert ranked.place is None
        else:
            assert c.cost_usd.value == pytest.approx(c.hourly_usd * c.time_s.value / 3600)


@given(candidates())
def test_pareto_set_by_brute_force(drawn: list[Candidate]) -> None:
    def point(c: Candidate) -> tuple[float, float, float]:
        return tuple(float("inf") if s is None else s.value for s in (c.time_s, c.energy_j, c.cost_usd))  # type: ignore

    expected = set()
    for one in drawn:
        beaten = False
        for other in drawn:
            no_worse = all(o <= m for o, m in zip(point(other), point(one), strict=True))
            better = any(o < m for o, m in zip(point(other), point(one), strict=True))
            beaten = beaten or (no_worse and better)
        if not beaten:
            expected.add(one.key)
    assert {c.key for c in pareto(drawn)} == expected


@given(candidates())
def test_removing_a_candidate_changes_no_other(drawn: list[Candidate]) -> None:
    if not drawn:
        return
    question = Question(minimise="energy", latency_below_s=1.0)
    whole = {r.candidate.key: r.candidate for r in answered("w", "step", question, drawn).ranked}
    part = {r.candidate.key: r.candidate for r in answered("w", "step", question, drawn[1:]).ranked}
    assert all(whole[key] == candidate for key, candidate in part.items())


@given(candidates())
def test_same_question_same_json(drawn: list[Candidate]) -> None:
    first, second = (as_json(answered("w", "step", Question(), drawn)) for _ in range(2))
    assert first == second


def _candidate(time_s: float, hourly: float | None = 1.0) -> Candidate:
    cost = None if hourly is None else Range(*(time_s * f * hourly / 3600 for f in (0.8, 1.0, 1.25)))
    span = Range(time_s * 0.8, time_s, time_s * 1.25)
    return Candidate(
        chip="x",
        title="X",
        vendor="m",
        time_s=span,
        instance_usd=hourly,
        hourly_usd=hourly,
        cost_usd=cost,
    )


def test_limits_exclude_with_a_reason() -> None:
    answer = answered("w", "inference", Question(latency_below_s=0.02), [_candidate(0.05)])
    assert [c.reason for c in answer.excluded] == ["over 20 ms"]
    answer = answered("w", "inference", Question(latency_below_s=0.02), [_candidate(0.018)])
    assert answer.ranked[0].candidate.notes == ("may miss 20 ms",)


def test_a_rate_needs_copies() -> None:
    answer = answered("w", "inference", Question(requests_per_second=100), [_candidate(0.035)])
    candidate = answer.ranked[0].candidate
    assert candidate.instances == 4
    assert candidate.cost_usd is not None
    assert candidate.cost_usd.value == pytest.approx(4 / (100 * 3600))


def test_without_a_price_time_and_energy_still_rank() -> None:
    answer = answered("w", "step", Question(minimise="cost"), [_candidate(2, None), _candidate(1, None)])
    assert [r.place for r in answer.ranked] == [None, None]
    assert [r.candidate.time_s.value for r in answer.ranked if r.candidate.time_s] == [1, 2]


def test_regressions_are_named() -> None:
    base = as_data(answered("w", "step", Question(), [_candidate(1.0)]))
    slower = as_data(answered("w", "step", Question(), [_candidate(1.2)]))
    assert regressions(base, base, 0.05) == []
    assert len(regressions(base, slower, 0.05)) == 2
    with pytest.raises(
        InvalidInput, match=r'^old file: schema is None, not "anychip.choose/1"; export with --json$'
    ):
        regressions({}, base, 0.05)


@pytest.mark.parametrize(("text", "value"), [("20ms", 0.02), ("1.5 s", 1.5), ("3us", 3e-6), ("2h", 7200)])
def test_durations(text: str, value: float) -> None:
    assert duration_s(text) == pytest.approx(value)


def test_bad_questions_say_what_is_wrong() -> None:
    with pytest.raises(
        InvalidInput, match=r'^duration "20": unit ""; write us, ms, s, min, h, for example 20ms$'
    ):
        duration_s("20")
    with pytest.raises(
        InvalidInput, match=r"^--budget 5 USD: a budget for how much work\? add --steps-total$"
    ):
        Question(budget_usd=5)
    with pytest.raises(InvalidInput, match="--latency-below: -1 is not a limit"):
        Question(latency_below_s=-1)
    with pytest.raises(UnknownName, match='unknown numerics "bf61"; did you mean bf16'):
        Question(stored=("bf61",))
    assert dataclasses.is_dataclass(Question())
