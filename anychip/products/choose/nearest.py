"""What to say when nothing is left: the limit that decided, and the choice nearest to what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

from anychip.products.choose.answer import Answer
from anychip.products.choose.candidate import Candidate, Exclusion
from anychip.products.choose.reasons import name_of
from anychip.units import binary

#: Limits from the one that is easiest to relax to those that no limit relaxes.
_ORDER: tuple[Exclusion, ...] = ("latency", "budget", "memory", "format", "training", "other")


def nothing_left(answer: Answer) -> str:
    """One line: that no candidate remains, why, and what would leave one."""
    count = len({each.chip for each in answer.excluded})
    chips = f"{count} chip" if count == 1 else f"{count} chips"
    if not answer.excluded:
        return f"{answer.workload}: no chip to price; `anychip chips` lists all"
    for by in _ORDER:
        found = [each for each in answer.excluded if each.excluded_by == by]
        if found:
            return f"{answer.workload}: none of {chips} can be had: {_TOLD[by](answer, found)}"
    return f"{answer.workload}: none of {chips} can be had: {answer.excluded[0].reason}"


def _latency(answer: Answer, found: Sequence[Candidate]) -> str:
    best = min(found, key=lambda each: each.time_s.value if each.time_s else float("inf"))
    assert best.time_s is not None  # noqa: S101 - what breaks a latency has a time
    limit = answer.question.latency_below_s or 0.0
    return (
        f"the fastest, {name_of(best)}, takes {_milliseconds(best.time_s.value)}, --latency-below is "
        f"{_milliseconds(limit)}; write --latency-below {_milliseconds(_above(best.time_s.value))}"
    )


def _budget(answer: Answer, found: Sequence[Candidate]) -> str:
    total = answer.question.pieces_total or 1
    best = min(found, key=lambda each: each.cost_usd.value if each.cost_usd else float("inf"))
    if best.cost_usd is None:
        return f"no price of {name_of(best)} is known to hold against --budget; give one with --prices"
    usd = best.cost_usd.value * total
    return (
        f"the cheapest, {name_of(best)}, costs {usd:,.2f} USD for {total:,} {answer.unit}s, --budget is "
        f"{answer.question.budget_usd:,.2f}; write --budget {_above(usd):.10g}"
    )


def _memory(answer: Answer, found: Sequence[Candidate]) -> str:
    def needed(each: Candidate) -> int:
        return -(-(each.peak_bytes or 0) * each.count // max(1, each.capacity_bytes or 1))

    best = min(found, key=needed)
    chips = needed(best)
    whole = f"{binary(best.peak_bytes or 0)} do not fit"
    if answer.question.counts:
        hold = f"{chips} x {best.title} hold them"
        return f"{whole}: {hold}; write --count {_power_of_two(chips)}, or no --count"
    return f"{whole}: {best.title} comes closest, {best.reason}; try larger chips or a narrower --numerics"


def _format(answer: Answer, found: Sequence[Candidate]) -> str:
    asked = ", ".join(dict.fromkeys(each.asked for each in found))
    return f"{found[0].chip} {found[0].reason}; write --numerics captured, or other chips than for {asked}"


def _training(answer: Answer, found: Sequence[Candidate]) -> str:
    return f"{found[0].title} is {found[0].reason}; the nearest that trains is trn1: add --chips trn1"


def _other(answer: Answer, found: Sequence[Candidate]) -> str:
    return f"{found[0].chip}: {found[0].reason}"


_TOLD = {
    "latency": _latency,
    "budget": _budget,
    "memory": _memory,
    "format": _format,
    "training": _training,
    "other": _other,
}


def _milliseconds(value_s: float) -> str:
    return f"{value_s * 1e3:.4g}ms"


def _above(value: float) -> float:
    """The next number of two digits above a value."""
    step = 10.0 ** (floor(log10(value)) - 1) if value > 0 else 1.0
    return ceil(value / step + 1e-9) * step


def _power_of_two(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()
