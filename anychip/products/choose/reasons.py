"""Why the first is first, and what would change that: its price, the batch, the formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from anychip.products.choose.candidate import Candidate, Ranked
from anychip.products.choose.question import Objective, Question
from anychip.units import decimal, seconds

_ADJECTIVE: dict[Objective, str] = {
    "time": "fastest",
    "cost": "cheapest",
    "energy": "most frugal in energy",
    "carbon": "lowest in carbon",
}
#: Launches below this share of the time are not worth a sentence.
_LITTLE = 0.02


def why(
    ranked: Sequence[Ranked], unit: str, question: Question, others: Sequence[Candidate] = ()
) -> Iterator[str]:
    """Sentences: why the first is first, what cannot be told apart from it, what would change it.

    Args:
        ranked: best first.
        unit: what one piece is.
        question: what was asked.
        others: best candidates in formats that were not asked for.
    """
    placed = [r.candidate for r in ranked if r.place is not None]
    if not placed:
        if ranked:
            yield from _without(ranked[0].candidate, question.minimise)
        return
    first, objective = placed[0], question.minimise
    yield _first(first, unit, objective)
    ties = [name_of(r.candidate) for r in ranked if r.tied]
    if ties:
        listed = ", ".join(ties[:3]) + (f" and {len(ties) - 3} more" if len(ties) > 3 else "")
        yield f"It cannot be told apart from {listed}: their ranges overlap."
    rivals = [each for each in placed[1:] if each.chip != first.chip]
    if rivals:
        yield _price(first, rivals[0], objective)
    yield from _batch(placed, unit, objective, question)
    yield from _formats(placed, others, objective)


def name_of(candidate: Candidate) -> str:
    """Instance, chips and formats, for sentences."""
    chips = f"{candidate.count} x {candidate.title}" if candidate.count > 1 else candidate.title
    batch = "" if candidate.batch is None else f", batch {candidate.batch}"
    if candidate.instance is None:
        return f"{chips} in {candidate.numerics}{batch}"
    return f"{candidate.instance} ({chips}, {candidate.numerics}{batch})"


def _without(first: Candidate, objective: Objective) -> Iterator[str]:
    """No candidate has a value of the objective."""
    unknown = {"cost": "price", "energy": "energy", "carbon": "energy or grid", "time": "time"}[objective]
    by = "time" if objective == "cost" else "energy and time" if objective == "carbon" else "time and cost"
    yield f"No {unknown} of these chips is known, so they are ranked by {by}: {name_of(first)} leads."


def _first(first: Candidate, unit: str, objective: Objective) -> str:
    parts: list[str] = []
    if first.time_s is not None:
        call = unit if first.pieces == 1 else f"call for {first.pieces} {unit}s"
        parts.append(f"one {call} takes {seconds(first.time_s.value)}, bound by {first.bound_by}")
    if first.instances > 1 and first.instance_usd is not None:
        rented = first.instances * first.instance_usd
        parts.append(f"{first.instances} instances cost {rented:.3g} USD an hour")
    elif first.hourly_usd is not None:
        what = "the instance costs" if first.cores is not None else "the chip costs"
        what = f"{first.count} chips cost" if first.count > 1 else what
        parts.append(f"{what} {first.hourly_usd:.3g} USD an hour")
    said = f"{name_of(first)} is {_ADJECTIVE[objective]}"
    return f"{said}: {', and '.join(parts)}." if parts else f"{said}."


def _price(first: Candidate, rival: Candidate, objective: Objective) -> str:
    """The price, or what else decides, at which the runner-up on another chip would come first."""
    factor = _ratio(first, rival, lambda c: _value(c, objective))
    if factor is None:
        return f"{name_of(rival)} follows."
    if objective == "cost" and rival.hourly_usd is not None:
        now = rival.hourly_usd
        return f"Price: below {now * factor:.3g} USD an hour (now {now:.3g}) {name_of(rival)} would be first."
    what = {"time": "faster", "energy": "more frugal", "carbon": "lower", "cost": "cheaper"}[objective]
    return f"{name_of(rival)} would be first if it were {_times(1 / factor)} {what}; prices change nothing."


def _batch(placed: Sequence[Candidate], unit: str, objective: Objective, question: Question) -> Iterator[str]:
    """What another batch changes: as priced, or as far as launches, which do not grow with it, tell."""
    first = placed[0]
    batches = sorted({each.batch for each in placed if each.batch is not None})
    if len(batches) > 1:
        best = [next(each for each in placed if each.batch == batch) for batch in batches]
        told = ", ".join(
            f"{each.batch}: {each.instance or each.chip} {_figure(each, objective, unit)}" for each in best
        )
        yield f"Batch: the best at each is {told}."
        return
    if question.requests_per_second is not None:
        return
    if objective in ("energy", "carbon"):
        yield (
            f"Batch: launches are {first.launch_share:.0%} of its time, in which it draws idle power alone; "
            "a batch that hides them saves no more than that."
        )
        return
    if max(each.launch_share for each in placed[:5]) < _LITTLE:
        yield f"Batch: launches are {first.launch_share:.0%} of its time, so hiding them changes nothing."
        return
    hidden = min(placed, key=lambda each: _hidden(each, objective))
    saved = f"Batch: launches are {first.launch_share:.0%} of its time; with a batch that hides them"
    if hidden.chip == first.chip:
        yield f"{saved} it stays first."
    else:
        factor = _hidden(first, objective) / _hidden(hidden, objective)
        yield f"{saved}, {name_of(hidden)} would be first, {_times(factor)} better."


def _formats(placed: Sequence[Candidate], others: Sequence[Candidate], objective: Objective) -> Iterator[str]:
    """What formats that were not asked for would change, on the first chips of the ranking."""
    first = placed[0]
    known = [each for each in others if _value(each, objective) is not None]
    if not known:
        return
    best = min(known, key=lambda each: _value(each, objective) or 0.0)
    factor = _ratio(first, best, lambda c: _value(c, objective))
    if factor is None:
        return
    where = f"{best.numerics} on {best.instance or best.chip}"
    if factor < _LITTLE + 1:
        worse = f"; the best, {where}, is {_times(1 / factor)} as much" if factor < 1 - _LITTLE else ""
        yield f"Precision: no other format of the first chips improves on {first.numerics}{worse}."
    else:
        stays = "it stays first" if best.chip == first.chip else f"{best.title} would be first"
        yield f"Precision: in {where} {stays}, {_times(factor)} better."


def _hidden(candidate: Candidate, objective: Objective) -> float:
    value = _value(candidate, objective)
    return float("inf") if value is None else value * (1 - candidate.launch_share)


def _value(candidate: Candidate, objective: Objective) -> float | None:
    span = candidate.objective(objective)
    return None if span is None else span.value


def _ratio(first: Candidate, other: Candidate, value: Callable[[Candidate], float | None]) -> float | None:
    mine, theirs = value(first), value(other)
    return None if not mine or not theirs else mine / theirs


def _figure(candidate: Candidate, objective: Objective, unit: str) -> str:
    span = candidate.objective(objective)
    if span is None:
        return ""
    if objective == "cost":
        return f"({span.value * 1e6:,.3g} USD a million {unit}s)"
    if objective == "time":
        return f"({seconds(span.value)})"
    return f"({decimal(span.value, 'J' if objective == 'energy' else 'g')})"


def _times(factor: float) -> str:
    return f"{factor:.3g}x" if factor >= 1.005 else f"{factor:.4g}x"
