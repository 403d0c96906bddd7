"""The answer as one HTML page that asks nothing of the network: the Pareto picture, the table, the words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files

from anychip.products.choose.answer import Answer, Ranked
from anychip.products.choose.candidate import Candidate
from anychip.products.choose.table import footer
from anychip.profile.profile import Range
from anychip.units import decimal, seconds

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 940, 420, 76, 46
Quantity = Callable[[Candidate], Range | None]


def page_of(answer: Answer) -> str:
    """The whole page."""
    style = (files("anychip.profile") / "page.css").read_text(encoding="utf-8")
    title = escape(f"Where to run {answer.workload}")
    pictures = [
        _section("Time and cost", _scatter(answer, lambda c: c.cost_usd, "USD")),
        _section("Time and energy", _scatter(answer, lambda c: c.energy_j, "J")),
    ]
    body = "\n".join(
        [f"<h1>{title}</h1>", *(f"<p>{escape(s)}</p>" for s in answer.why), *pictures, _table(answer)]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>html {{ color-scheme: light dark; }} body {{ margin: 0; }}\n{style}"
        ".anychip .front { fill: none; stroke: var(--accent); stroke-width: 1.5; stroke-dasharray: 4 4; }\n"
        ".anychip .behind { fill: var(--soft); fill-opacity: .45; }\n"
        ".anychip .range { stroke: var(--soft); stroke-opacity: .4; stroke-width: 1; }\n"
        "</style>\n</head>\n"
        f'<body><main class="anychip">\n{body}\n<p>{escape(footer(answer))}</p>\n</main></body>\n</html>\n'
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
    x_axis = _Axis([time.value for _, time, _ in points], _LEFT, _WIDTH - 20)
    y_axis = _Axis([span.value for _, _, span in points], _HEIGHT - _BOTTOM, 16)
    front = _front([(time.value, span.value) for _, time, span in points])
    parts = [*_grid(x_axis, y_axis, unit)]
    if len(front) > 1:
        joined = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in front)
        parts.append(f'<polyline class="front" points="{joined}"/>')
    boxes: list[tuple[float, float]] = []
    for ranked, time, span in points:
        x, y = x_axis.at(time.value), y_axis.at(span.value)
        best = (time.value, span.value) in front
        low, high = max(x_axis.at(time.low), _LEFT), min(x_axis.at(time.high), _WIDTH - 20)
        parts.append(f'<line class="range" x1="{low:.1f}" y1="{y:.1f}" x2="{high:.1f}" y2="{y:.1f}"/>')
        parts.append(_dot(ranked.candidate, time, span, x, y, "dot" if best else "behind", unit))
        if best and all(abs(x - bx) > 90 or abs(y - by) > 13 for bx, by in boxes):
            boxes.append((x, y))
            parts.append(
                f'<text class="label" x="{x + 8:.1f}" y="{y - 7:.1f}">'
                f"{escape(_name(ranked.candidate))}</text>"
            )
    label = "time and cost of every candidate" if unit == "USD" else "time and energy of every candidate"
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


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


class _Axis:
    """A logarithmic axis between two pixels, with a margin around the values."""

    def __init__(self, values: Iterable[float], start: float, end: float) -> None:
        known = list(values)
        self.low, self.high = min(known) / 1.4, max(known) * 1.6
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> Iterator[float]:
        """1, 2 and 5 times powers of ten; powers alone where that would be many."""
        decades = math.log10(self.high / self.low)
        steps = (1, 2, 5) if decades < 3 else (1,)
        for exponent in range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1):
            for step in steps:
                value = step * 10.0**exponent
                if self.low <= value <= self.high:
                    yield value


def _grid(x_axis: _Axis, y_axis: _Axis, unit: str) -> Iterator[str]:
    for value in x_axis.ticks():
        x = x_axis.at(value)
        yield f'<line class="grid" x1="{x:.1f}" y1="16" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}"/>'
        yield f'<text class="middle" x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}">{seconds(value)}</text>'
    for value in y_axis.ticks():
        y = y_axis.at(value)
        yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - 20}" y2="{y:.1f}"/>'
        yield f'<text class="end" x="{_LEFT - 8}" y="{y + 4:.1f}">{decimal(value, unit)}</text>'


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
        "notes",
    )
    rows = "".join(_row(ranked) for ranked in answer.ranked)
    excluded = "".join(
        f"<tr><td></td><td>{escape(c.instance or '')}</td><td>{escape(c.title)}</td>"
        f"<td>{escape(c.numerics)}</td>"
        f'<td colspan="5">{escape(c.reason or "")}</td></tr>'
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
        "; ".join(c.notes),
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _spanned(span: Range | None, words: Callable[[float], str]) -> str:
    return "" if span is None else f"{words(span.value)} ({words(span.low)} to {words(span.high)})"
