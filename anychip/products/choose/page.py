"""The answer as one HTML page that asks nothing of the network: the Pareto picture, the table, the words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from anychip.products.choose.answer import Answer, Ranked
from anychip.products.choose.axes import BOTTOM, HEIGHT, LEFT, WIDTH, Axis, grid
from anychip.products.choose.candidate import Candidate
from anychip.products.choose.migration import Difference
from anychip.products.choose.roofline import roofline_of
from anychip.products.choose.table import accuracy_text, footer
from anychip.profile.html import html_page, page_style
from anychip.profile.profile import Range
from anychip.units import decimal, seconds

Quantity = Callable[[Candidate], Range | None]


def page_of(answer: Answer) -> str:
    """The whole page."""
    return html_page(_title(answer), fragment_of(answer))


def _title(answer: Answer) -> str:
    return f"Where to run {answer.workload}"


def fragment_of(answer: Answer) -> str:
    """The page's contents with their style, for a notebook."""
    pictures = [
        _section("Time and cost", _scatter(answer, lambda c: c.cost_usd, "USD")),
        _section("Time and energy", _scatter(answer, lambda c: c.energy_j, "J")),
        _section("Roofs of the best, and how far below them they stay", roofline_of(answer)),
    ]
    told = [f"<h1>{escape(_title(answer))}</h1>"]
    told += [f"<p>{escape(sentence)}</p>" for sentence in answer.why]
    body = "\n".join([*told, *pictures, _table(answer), _migration(answer)])
    return (
        f"<style>{page_style()}"
        ".anychip .front { fill: none; stroke: var(--accent); stroke-width: 1.5; stroke-dasharray: 4 4; }\n"
        ".anychip .behind { fill: var(--soft); fill-opacity: .45; }\n"
        ".anychip .range { stroke: var(--soft); stroke-opacity: .4; stroke-width: 1; }\n"
        f'</style>\n<main class="anychip">\n{body}\n<p>{escape(footer(answer))}</p>\n</main>'
    )


def _section(title: str, picture: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{picture}" if picture else ""


def _scatter(answer: Answer, quantity: Quantity, unit: str) -> str:
    """Candidates by time and a quantity, on logarithmic axes; the best of both joined by a line."""
    points = [
        (ranked, ranked.candidate.time_s, span)
        for ranked in answer.ranked
        if ranked.candidate.time_s is not None and (span := quantity(ranked.candidate)) is not None
    ]
    if not points:
        return ""
    x_axis = Axis([time.value for _, time, _ in points], LEFT, WIDTH - 20)
    y_axis = Axis([span.value for _, _, span in points], HEIGHT - BOTTOM, 16)
    front = _front([(time.value, span.value) for _, time, span in points])
    parts = [*grid(x_axis, y_axis, seconds, lambda value: decimal(value, unit))]
    if len(front) > 1:
        joined = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in front)
        parts.append(f'<polyline class="front" points="{joined}"/>')
    boxes: list[tuple[float, float]] = []
    for ranked, time, span in points:
        x, y = x_axis.at(time.value), y_axis.at(span.value)
        best = (time.value, span.value) in front
        low, high = max(x_axis.at(time.low), LEFT), min(x_axis.at(time.high), WIDTH - 20)
        parts.append(f'<line class="range" x1="{low:.1f}" y1="{y:.1f}" x2="{high:.1f}" y2="{y:.1f}"/>')
        parts.append(_dot(ranked.candidate, time, span, x, y, "dot" if best else "behind", unit))
        if best and all(abs(x - bx) > 90 or abs(y - by) > 13 for bx, by in boxes):
            boxes.append((x, y))
            parts.append(
                f'<text class="label" x="{x + 8:.1f}" y="{y - 7:.1f}">'
                f"{escape(_name(ranked.candidate))}</text>"
            )
    label = "time and cost of every candidate" if unit == "USD" else "time and energy of every candidate"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _dot(c: Candidate, time: Range, span: Range, x: float, y: float, style: str, unit: str) -> str:
    title = f"{_name(c)}: {seconds(time.value)}, {decimal(span.value, unit)}"
    return f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{escape(title)}</title></circle>'


def _name(candidate: Candidate) -> str:
    return f"{candidate.chip} {candidate.numerics}" + (f" x{candidate.count}" if candidate.count > 1 else "")


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points that no other beats in both, from fast to slow."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(set(points)):
        if not front or y < front[-1][1]:
            front.append((x, y))
    return front


def _table(answer: Answer) -> str:
    heads = (
        "#",
        "instance",
        "chip",
        "numerics",
        f"{answer.unit}",
        "energy",
        "USD / million",
        "bound by",
        "results",
        "notes",
    )
    rows = "".join(_row(ranked) for ranked in answer.ranked)
    excluded = "".join(
        f"<tr><td></td><td>{escape(c.instance or '')}</td><td>{escape(c.title)}</td>"
        f"<td>{escape(c.numerics)}</td>"
        f'<td colspan="6">{escape(c.reason or "")}</td></tr>'
        for c in answer.excluded
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f'<h2>All candidates</h2><div class="wide"><table><tr>{head}</tr>{rows}{excluded}</table></div>'


def _row(ranked: Ranked) -> str:
    c = ranked.candidate
    place = "" if ranked.place is None else "=" if ranked.tied else str(ranked.place)
    cells = (
        place,
        c.instance or "no price",
        f"{c.count} x {c.title}" if c.count > 1 else c.title,
        c.numerics,
        _spanned(c.time_s, seconds),
        "unknown" if c.energy_j is None else _spanned(c.energy_j, lambda value: decimal(value, "J")),
        "" if c.cost_usd is None else f"{c.cost_usd.value * 1e6:,.2f}",
        c.bound_by,
        accuracy_text(c.accuracy),
        "; ".join(c.notes),
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _migration(answer: Answer) -> str:
    """What the script would meet on each ranked chip, chips that meet the same together."""
    chips: dict[tuple[Difference, ...], list[str]] = {}
    for ranked in answer.ranked:
        name = _name(ranked.candidate)
        chips.setdefault(ranked.candidate.migration, []).append(name)
    rows = "".join(
        f"<tr><td>{escape(', '.join(names))}</td><td>"
        + ("<br>".join(f"{escape(d.about)}: {escape(d.what)}" for d in differences) or "runs as it is")
        + "</td></tr>"
        for differences, names in chips.items()
    )
    head = "<tr><th>chip</th><th>what the script meets there</th></tr>"
    return f'<h2>Moving there</h2><div class="wide"><table>{head}{rows}</table></div>' if rows else ""


def _spanned(span: Range | None, words: Callable[[float], str]) -> str:
    return "" if span is None else f"{words(span.value)} ({words(span.low)} to {words(span.high)})"
