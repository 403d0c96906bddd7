"""The ranked table, in at most 100 columns."""

from __future__ import annotations

from io import StringIO
from typing import cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from anychip.products.choose.accuracy import Accuracy
from anychip.products.choose.answer import Answer, Ranked
from anychip.products.choose.candidate import Candidate
from anychip.profile.profile import Range

ACCENT = "cyan"


def show(answer: Answer, console: Console, *, most: int | None = None, migration: bool = False) -> None:
    """Prints the answer: table, sentences, what it rests on.

    Args:
        answer: what to show.
        console: where; its colours are off when piped.
        most: rows of ranked candidates; None for all.
        migration: say what the script meets on every ranked chip, not only on the first.
    """
    shown = answer.ranked[:most]
    batches = len({r.candidate.batch for r in answer.ranked}) > 1
    accuracy = any(r.candidate.accuracy is not None for r in answer.ranked)
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("instance", no_wrap=True, overflow="ellipsis", max_width=20 if accuracy else 22)
    table.add_column("chip", no_wrap=True, overflow="ellipsis", max_width=15)
    table.add_column("numerics" if not accuracy else "format", no_wrap=True, overflow="ellipsis", max_width=8)
    if batches:
        table.add_column("batch", justify="right", no_wrap=True)
    calls = any(r.candidate.pieces > 1 for r in answer.ranked)
    factor, time_unit = _time_unit(answer)
    table.add_column(f"{'call' if calls else answer.unit} {time_unit}", justify="right", no_wrap=True)
    table.add_column(f"J/{answer.unit}" if calls else "joules", justify="right", no_wrap=True)
    table.add_column("$/million", justify="right", no_wrap=True)
    if accuracy:
        table.add_column("results", justify="right", no_wrap=True)
    if answer.question.minimise == "carbon":
        table.add_column("g CO2", justify="right", no_wrap=True)
    table.add_column("bound", no_wrap=True, overflow="ellipsis", max_width=9 if accuracy else 15)
    for ranked in shown:
        cells = _row(ranked, factor)
        if batches:
            cells = (*cells[:4], str(ranked.candidate.batch or ""), *cells[4:])
        if accuracy:
            cells = (*cells[:-1], error_text(ranked.candidate.accuracy), cells[-1])
        if answer.question.minimise == "carbon":
            cells = (*cells[:-1], _range(ranked.candidate.carbon_g), cells[-1])
        table.add_row(*cells, style=ACCENT if ranked.place == 1 else None)
    console.print(table)
    hidden = len(answer.ranked) - len(answer.ranked[:most])
    if hidden:
        console.print(f"  ... {hidden} more ranked (--all shows them)")
    _show_excluded(answer, console, most)
    console.print()
    for sentence in answer.why:
        console.print(sentence)
    for line in (*accuracy_lines(answer), *migration_lines(answer, None if migration else 1)):
        console.print(line)
    console.print(footer(answer), style="dim")


def text_of(answer: Answer) -> str:
    """What `show` prints, 100 columns wide, without colours."""
    console = Console(file=StringIO(), width=100, highlight=False, color_system=None)
    show(answer, console)
    return cast(StringIO, console.file).getvalue()


def accuracy_text(accuracy: Accuracy | None) -> str:
    """``loss 4.09 (4.08), off 0.3 %``: the script's figure, the reference's, and the error of its outputs."""
    if accuracy is None:
        return ""
    if accuracy.stopped_after_s is not None:
        return error_text(accuracy)
    parts: list[str] = []
    if accuracy.metric is not None:
        parts.append(f"{accuracy.metric} {accuracy.value:.4g} ({accuracy.reference:.4g})")
    if accuracy.overflowed or accuracy.output_error is not None:
        parts.append(error_text(accuracy))
    return ", ".join(parts) or error_text(accuracy)


def error_text(accuracy: Accuracy | None) -> str:
    """``off 0.3%``: the error of all that the script brings to the host, against PyTorch's own arithmetic."""
    if accuracy is None:
        return ""
    if accuracy.stopped_after_s is not None:
        return f"not done in {accuracy.stopped_after_s:g} s"
    if accuracy.overflowed:
        return "overflows"
    error = accuracy.output_error
    if error is None:
        return "other outputs"
    return f"off {error:.1%}" if error >= 1e-3 else f"off {error:.1e}"


def accuracy_lines(answer: Answer) -> list[str]:
    """What each arithmetic that was tried does to the script's results, and whose it is."""
    chips: dict[tuple[str, str], list[str]] = {}
    for ranked in answer.ranked:
        candidate = ranked.candidate
        if candidate.accuracy is not None:
            chips.setdefault((accuracy_text(candidate.accuracy), candidate.numerics), []).append(
                candidate.chip
            )
    if not chips:
        return []
    width = max(len(text) for text, _ in chips)
    lines = ["", "does low precision hurt? (in brackets: PyTorch's own arithmetic on this machine)"]
    for (text, numerics), names in chips.items():
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        lines.append(f"  {text:<{width}}  {numerics} on {', '.join(names[:4])}{more}")
    return lines


def migration_lines(answer: Answer, most: int | None) -> list[str]:
    """What the script meets on the first chips of the ranking, a chip once.

    Args:
        answer: ranked.
        most: chips; None for all.
    """
    by_chip = {r.candidate.chip: r.candidate for r in reversed(answer.ranked)}
    chips = list(dict.fromkeys(r.candidate.chip for r in answer.ranked))[:most]
    lines: list[str] = []
    for name in chips:
        differences = by_chip[name].migration
        lines += ["", f"moving to {name}:" + ("" if differences else " runs as it is")]
        lines += [f"  {each.about}: {each.what}" for each in differences]
    return lines


def _time_unit(answer: Answer) -> tuple[float, str]:
    """The unit in which the first's time is a number people read: how many make a second, and its name."""
    first = next((r.candidate.time_s for r in answer.ranked if r.candidate.time_s is not None), None)
    return (1.0, "s") if first is not None and first.value >= 1.0 else (1e3, "ms")


def _row(ranked: Ranked, per_second: float) -> tuple[str | Text, ...]:
    candidate = ranked.candidate
    place = "-" if ranked.place is None else "=" if ranked.tied else str(ranked.place)
    mark = "*" if ranked.pareto else " "
    chip = f"{candidate.count} {candidate.chip}" if candidate.count > 1 else candidate.chip
    instance = candidate.instance or "no price"
    if candidate.instances > 1:
        instance = f"{candidate.instances} x {instance}"
    return (
        f"{place}{mark}",
        instance,
        chip,
        candidate.numerics,
        _spanned(candidate.time_s, per_second),
        _range(candidate.energy_j),
        "" if candidate.cost_usd is None else f"{candidate.cost_usd.value * 1e6:,.2f}",
        candidate.bound_by,
    )


def _spanned(span: Range | None, factor: float) -> str:
    if span is None:
        return ""
    value, low, high = (x * factor for x in (span.value, span.low, span.high))
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
    if any(ranked.candidate.cores is not None for ranked in answer.ranked):
        parts.append("a CPU's cores come with their share of its bandwidth and cache (assumed)")
    if any(ranked.candidate.count > 1 for ranked in answer.ranked):
        parts.append("several chips share a model by a ring (assumed)")
    if rests:
        parts.append(f"first rests on {rests} facts")
    if answer.prices:
        parts.append(f"prices {'; '.join(answer.prices)}")
    return " · ".join(parts)
