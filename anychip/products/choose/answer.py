"""Candidates under the limits of a question, ranked, with the Pareto set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from anychip.products.choose.candidate import Candidate, Exclusion, Ranked
from anychip.products.choose.question import Objective, Question
from anychip.products.choose.reasons import why
from anychip.profile.profile import Range
from anychip.units import seconds

#: When the first candidate has no value of the objective, these decide.
_FALLBACK: dict[Objective, tuple[Objective, ...]] = {
    "time": ("cost", "energy"),
    "cost": ("time", "energy"),
    "energy": ("time", "cost"),
    "carbon": ("energy", "time"),
}


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

    def table(self) -> list[dict[str, Any]]:
        """The ranking as rows of plain values, for ``pandas.DataFrame(answer.table())`` and the like."""
        from anychip.products.choose.export import rows_of

        return rows_of(self)

    def __str__(self) -> str:
        from anychip.products.choose.table import text_of

        return text_of(self)

    def _repr_html_(self) -> str:
        from anychip.products.choose.page import fragment_of

        return fragment_of(self)


def answered(
    workload: str,
    unit: str,
    question: Question,
    candidates: Iterable[Candidate],
    others: Sequence[Candidate] = (),
) -> Answer:
    """Ranks candidates under a question; limits move candidates among the excluded, with the reason.

    Args:
        workload: name.
        unit: what one piece is.
        question: limits and objective.
        candidates: to rank.
        others: the best candidates in formats that were not asked for, to say what those would change.
    """
    others = [each for each in (limited(other, question) for other in others) if each.reason is None]
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
        workload, unit, question, tuple(ranked), excluded, tuple(why(ranked, unit, question, others)), prices
    )


def limited(candidate: Candidate, question: Question) -> Candidate:
    """The candidate with the instances that the asked rate needs, excluded if it breaks a limit.

    A range that reaches over a limit does not exclude: the note says that it may miss it.
    """
    if candidate.reason is not None or candidate.time_s is None:
        return candidate
    time, limit = candidate.time_s, question.latency_below_s
    notes = list(candidate.notes)
    if limit is not None and time.value >= limit:
        reaches = "" if time.low >= limit else " (its range reaches below)"
        return _excluded(candidate, "latency", f"over {seconds(limit)}{reaches}")
    if limit is not None and time.high >= limit:
        notes.append(f"may miss {seconds(limit)}")
    if question.requests_per_second is not None:
        candidate = _serving(candidate, question.requests_per_second)
    if question.budget_usd is not None and question.pieces_total is not None:
        if candidate.cost_usd is None:
            return _excluded(candidate, "budget", "no price known to hold against the budget")
        total = candidate.cost_usd.times(question.pieces_total)
        if total.value > question.budget_usd:
            reason = f"costs {total.value:,.2f} USD, over {question.budget_usd:,.2f}"
            return _excluded(candidate, "budget", reason)
    return dataclasses.replace(candidate, notes=tuple(notes))


def _excluded(candidate: Candidate, by: Exclusion, reason: str) -> Candidate:
    return dataclasses.replace(candidate, excluded_by=by, reason=reason)


def _serving(candidate: Candidate, rate: float) -> Candidate:
    """The candidate with as many whole instances, rented all the time, as serve `rate` pieces a second."""
    assert candidate.time_s is not None  # noqa: S101 - checked by the caller
    each = candidate.side_by_side * candidate.pieces / candidate.time_s.value
    copies = max(1, ceil(rate / each))
    groups = max(1, (candidate.chips_of_instance or candidate.count) // candidate.count)
    instances = ceil(copies / groups)
    cost = None
    if candidate.instance_usd is not None:
        usd = candidate.instance_usd * instances / (rate * 3600)
        cost = Range(usd, usd, usd)
    return dataclasses.replace(candidate, instances=instances, cost_usd=cost)


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
