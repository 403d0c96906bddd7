"""Candidates ranked, the Pareto set, and the sentence that says why the first is first."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from anychip.products.choose.candidate import Candidate
from anychip.products.choose.question import Objective, Question
from anychip.profile.profile import Range
from anychip.units import decimal, seconds

#: When the first candidate has no value of the objective, these decide.
_FALLBACK: dict[Objective, tuple[Objective, ...]] = {
    "time": ("cost", "energy"),
    "cost": ("time", "energy"),
    "energy": ("time", "cost"),
    "carbon": ("energy", "time"),
}


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate in its place.

    Args:
        candidate: what.
        place: 1 is best; None where the objective is unknown for it.
        tied: its range overlaps the first's: they cannot be told apart.
        pareto: no other candidate is at least as good in time, energy and cost and better in one.
    """

    candidate: Candidate
    place: int | None
    tied: bool
    pareto: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What `choose` says.

    Args:
        workload: name.
        unit: what one piece is: step, inference, token, run.
        question: what was asked.
        ranked: best first; those without the objective's value after them.
        excluded: with their reasons.
        why: sentences about the first place.
        prices: snapshots that the prices come from.
    """

    workload: str
    unit: str
    question: Question
    ranked: tuple[Ranked, ...]
    excluded: tuple[Candidate, ...]
    why: tuple[str, ...]
    prices: tuple[str, ...]

    def __str__(self) -> str:
        from anychip.products.choose.table import text_of

        return text_of(self)

    def _repr_html_(self) -> str:
        from anychip.products.choose.page import fragment_of

        return fragment_of(self)


def answered(workload: str, unit: str, question: Question, candidates: Iterable[Candidate]) -> Answer:
    """Ranks candidates under a question; limits move candidates among the excluded, with the reason."""
    judged = [limited(candidate, question) for candidate in candidates]
    excluded = tuple(sorted((c for c in judged if c.reason is not None), key=lambda c: c.key))
    runnable = [c for c in judged if c.reason is None]
    objective = question.minimise
    known = sorted(
        (c for c in runnable if c.objective(objective) is not None), key=lambda c: _order(c, objective)
    )
    unknown = sorted(
        (c for c in runnable if c.objective(objective) is None), key=lambda c: _order(c, objective)
    )
    efficient = {c.key for c in pareto(runnable)}
    first = known[0].objective(objective) if known else None
    ranked = [
        Ranked(
            c,
            place,
            tied=place > 1 and first is not None and first.overlaps(_span(c, objective)),
            pareto=c.key in efficient,
        )
        for place, c in enumerate(known, 1)
    ]
    ranked += [Ranked(c, None, tied=False, pareto=c.key in efficient) for c in unknown]
    prices = tuple(sorted({c.price_source for c in judged if c.price_source}))
    return Answer(
        workload, unit, question, tuple(ranked), excluded, tuple(_why(ranked, unit, question)), prices
    )


def limited(candidate: Candidate, question: Question) -> Candidate:
    """The candidate with copies for the asked rate, excluded if it breaks a limit.

    A range that reaches over a limit does not exclude: the note says that it may miss it.
    """
    if candidate.reason is not None or candidate.time_s is None:
        return candidate
    time, limit = candidate.time_s, question.latency_below_s
    notes = list(candidate.notes)
    if limit is not None and time.low >= limit:
        return dataclasses.replace(candidate, reason=f"over {seconds(limit)}")
    if limit is not None and time.value >= limit:
        return dataclasses.replace(candidate, reason=f"over {seconds(limit)} (its range reaches below)")
    if limit is not None and time.high >= limit:
        notes.append(f"may miss {seconds(limit)}")
    copies = 1
    if question.requests_per_second is not None:
        copies = max(1, ceil(question.requests_per_second * time.value / candidate.side_by_side))
        cost = _served_cost(candidate, copies, question.requests_per_second)
        candidate = dataclasses.replace(candidate, copies=copies, cost_usd=cost)
    if (
        question.budget_usd is not None
        and question.pieces_total is not None
        and candidate.cost_usd is not None
    ):
        total = candidate.cost_usd.times(question.pieces_total)
        if total.value > question.budget_usd:
            reason = f"costs {total.value:,.2f} USD, over {question.budget_usd:,.2f}"
            return dataclasses.replace(candidate, reason=reason)
    return dataclasses.replace(candidate, notes=tuple(notes))


def _served_cost(candidate: Candidate, copies: int, rate: float) -> Range | None:
    """Dollars a piece when `copies` are rented all the time to serve `rate` pieces a second."""
    if candidate.hourly_usd is None:
        return None
    each = candidate.hourly_usd * copies / (rate * 3600)
    return Range(each, each, each)


def pareto(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Candidates that no other dominates in time, energy and cost; unknown counts as worst."""
    points = [(c, _point(c)) for c in candidates]
    return [c for c, point in points if not any(_dominates(other, point) for _, other in points)]


def _point(candidate: Candidate) -> tuple[float, ...]:
    spans = (candidate.time_s, candidate.energy_j, candidate.cost_usd)
    return tuple(float("inf") if span is None else span.value for span in spans)


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def _order(candidate: Candidate, objective: Objective) -> tuple[float, ...]:
    values = [candidate.objective(name) for name in (objective, *_FALLBACK[objective])]
    return tuple(float("inf") if span is None else span.value for span in values)


def _span(candidate: Candidate, objective: Objective) -> Range:
    span = candidate.objective(objective)
    return Range(float("inf"), float("inf"), float("inf")) if span is None else span


_ADJECTIVE: dict[Objective, str] = {
    "time": "fastest",
    "cost": "cheapest",
    "energy": "most frugal in energy",
    "carbon": "lowest in carbon",
}


def _why(ranked: list[Ranked], unit: str, question: Question) -> list[str]:
    """One sentence why the first is first, one on what cannot be told apart, one on what would change it."""
    placed = [r for r in ranked if r.place is not None]
    if not placed:
        return []
    first = placed[0].candidate
    sentences = [_first_sentence(first, unit, question)]
    ties = [_name(r.candidate) for r in placed[1:] if r.tied]
    if ties:
        listed = ", ".join(ties[:3]) + (f" and {len(ties) - 3} more" if len(ties) > 3 else "")
        sentences.append(f"It cannot be told apart from {listed}: their ranges overlap.")
    change = _what_would_change(placed, question)
    return [*sentences, change] if change else sentences


def _name(candidate: Candidate) -> str:
    if candidate.instance is None:
        return f"{candidate.title} in {candidate.numerics}"
    return f"{candidate.instance} ({candidate.title}, {candidate.numerics})"


def _first_sentence(first: Candidate, unit: str, question: Question) -> str:
    parts = [f"{_name(first)} is {_ADJECTIVE[question.minimise]}"]
    if first.time_s is not None:
        parts.append(f"one {unit} takes {seconds(first.time_s.value)}, bound by {first.bound_by}")
    if first.hourly_usd is not None:
        chips = f"{first.count} chips cost" if first.count > 1 else "the chip costs"
        parts.append(f"{chips} {first.hourly_usd:.3g} USD an hour")
    return f"{parts[0]}: {', and '.join(parts[1:])}." if len(parts) > 1 else f"{parts[0]}."


def _what_would_change(placed: list[Ranked], question: Question) -> str | None:
    """The price at which the runner-up on another chip would come first."""
    first = placed[0].candidate
    rivals = [r.candidate for r in placed[1:] if r.candidate.chip != first.chip]
    if not rivals:
        return None
    rival = rivals[0]
    mine, theirs = first.objective(question.minimise), rival.objective(question.minimise)
    if mine is None or theirs is None or theirs.value <= 0:
        return None
    factor = mine.value / theirs.value
    if question.minimise == "cost" and rival.hourly_usd is not None:
        return f"Below {rival.hourly_usd * factor:.3g} USD an hour {_name(rival)} would be first."
    what = {"time": "faster", "energy": "more frugal", "carbon": "lower", "cost": "cheaper"}[
        question.minimise
    ]
    return f"{_name(rival)} would be first if it were {decimal(1 / factor, 'x').replace(' ', '')} {what}."
