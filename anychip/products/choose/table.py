"""The ranked table, in at most 100 columns."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from anychip.products.choose.answer import Answer, Ranked
from anychip.products.choose.candidate import Candidate
from anychip.profile.profile import Range

ACCENT = "cyan"


def show(answer: Answer, console: Console, *, most: int | None = None) -> None:
    """Prints the answer: table, sentences, what it rests on.

    Args:
        answer: what to show.
        console: where; its colours are off when piped.
        most: rows of ranked candidates; None for all.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("instance", no_wrap=True, overflow="ellipsis", max_width=22)
    table.add_column("chip", no_wrap=True, overflow="ellipsis", max_width=15)
    table.add_column("numerics", no_wrap=True, overflow="ellipsis", max_width=8)
    table.add_column(f"{answer.unit} ms", justify="right", no_wrap=True)
    table.add_column("joules", justify="right", no_wrap=True)
    table.add_column("$/million", justify="right", no_wrap=True)
    table.add_column("bound", no_wrap=True, overflow="ellipsis", max_width=15)
    for ranked in answer.ranked[:most]:
        table.add_row(*_row(ranked), style=ACCENT if ranked.place == 1 else None)
    console.print(table)
    hidden = len(answer.ranked) - len(answer.ranked[:most])
    if hidden:
        console.print(f"  ... {hidden} more ranked (--all shows them)")
    _show_excluded(answer, console, most)
    console.print()
    for sentence in answer.why:
        console.print(sentence)
    console.print(footer(answer), style="dim")


def _row(ranked: Ranked) -> tuple[str | Text, ...]:
    candidate = ranked.candidate
    place = "-" if ranked.place is None else "=" if ranked.tied else str(ranked.place)
    mark = "*" if ranked.pareto else " "
    chip = f"{candidate.count} {candidate.chip}" if candidate.count > 1 else candidate.chip
    instance = candidate.instance or "no price"
    if candidate.copies > 1:
        instance = f"{candidate.copies} x {instance}"
    return (
        f"{place}{mark}",
        instance,
        chip,
        candidate.numerics,
        _milliseconds(candidate.time_s),
        _range(candidate.energy_j),
        "" if candidate.cost_usd is None else f"{candidate.cost_usd.value * 1e6:,.2f}",
        candidate.bound_by,
    )


def _milliseconds(span: Range | None) -> str:
    if span is None:
        return ""
    value, low, high = (x * 1e3 for x in (span.value, span.low, span.high))
    return f"{_short(value)} ({_short(low)}-{_short(high)})"


def _range(span: Range | None) -> str:
    if span is None:
        return "unknown"
    return f"{_short(span.low)}-{_short(span.high)}"


def _short(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _show_excluded(answer: Answer, console: Console, most: int | None) -> None:
    if not answer.excluded:
        return
    by_reason: dict[str, list[Candidate]] = {}
    for candidate in answer.excluded:
        by_reason.setdefault(candidate.reason or "", []).append(candidate)
    console.print()
    console.print("excluded", style="bold")
    for reason, candidates in by_reason.items():
        names = list(dict.fromkeys(c.instance or c.title for c in candidates))
        shown = names if most is None else names[:6]
        more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
        console.print(f"  {reason}: {', '.join(shown)}{more}", soft_wrap=False)


def footer(answer: Answer) -> str:
    """Marks, sources and prices in one line or two."""
    weights: dict[str, float] = {}
    for ranked in answer.ranked[:1]:
        weights = dict(ranked.candidate.rests_on)
    rests = ", ".join(
        f"{share:.0%} {kind}" for kind, share in sorted(weights.items(), key=lambda kv: -kv[1]) if share
    )
    parts = ["* best in time, energy or cost", "= cannot be told apart from the first"]
    if rests:
        parts.append(f"first rests on {rests} facts")
    if answer.prices:
        parts.append(f"prices {'; '.join(answer.prices)}")
    return " · ".join(parts)
