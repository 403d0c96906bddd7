"""Predicted against measured as one HTML page: a scatter for every class and format, and the tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape

from anychip.products.validate.figures import figures, groups_of
from anychip.products.validate.intervals import Interval, Ranking
from anychip.products.validate.rows import Measured
from anychip.profile.html import html_page, page_style
from anychip.units import seconds

_SIZE, _MARGIN, _MOST = 380, 52, 1500
_COLOURS = ("#0b7285", "#c2410c", "#5f3dc4", "#2b8a3e", "#a61e4d", "#1864ab", "#846200", "#495057")


def page_of(
    rows: Sequence[Measured],
    how: str,
    spans: Sequence[Interval],
    order: Ranking,
    left: Counter[str],
) -> str:
    """The whole page.

    Args:
        rows: with predictions.
        how: the constants were found.
        spans: intervals.
        order: ranking agreement.
        left: rows left out, by reason.
    """
    groups = groups_of(rows)
    chips = sorted({row.chip for row in rows})
    colours = {chip: _COLOURS[number % len(_COLOURS)] for number, chip in enumerate(chips)}
    legend = " ".join(f'<b style="color:{colours[chip]}">{escape(chip)}</b>' for chip in chips)
    pictures = "".join(
        f"<figure>{_scatter(mine, colours)}<figcaption>{escape(kind)} {dtype}, {len(mine)} rows</figcaption>"
        "</figure>"
        for (kind, dtype, chip), mine in groups.items()
        if not chip
    )
    agreement = f"{order.agreed / order.pairs:.1%} of {order.pairs:,} pairs" if order.pairs else "no pairs"
    body = [
        "<h1>Predicted beside measured</h1>",
        f"<p>{len(rows):,} published timings of operators; {escape(how)}. Chips are ordered as measured in "
        f"{agreement} more than 10 % apart. Lines: equal, and 30 % off.</p>",
        f"<p>{legend}</p>",
        f'<div class="plots">{pictures}</div>',
        _errors(groups),
        _spans(spans),
        "<h2>Left out</h2><ul>"
        + "".join(f"<li>{count:,}: {escape(why)}</li>" for why, count in left.most_common())
        + "</ul>",
    ]
    style = (
        f"{page_style()}"
        ".plots { display: flex; flex-wrap: wrap; gap: 12px; } figure { margin: 0; width: 300px; }\n"
        "figcaption { text-align: center; font-size: 13px; }"
    )
    fragment = f'<style>{style}</style>\n<main class="anychip">{"".join(body)}</main>'
    return html_page("Predicted and measured", fragment)


def _scatter(rows: Sequence[Measured], colours: Mapping[str, str]) -> str:
    values = [value for row in rows for value in (row.measured_s, row.predicted_s)]
    low, high = math.log10(min(values)) - 0.1, math.log10(max(values)) + 0.1

    def at(value: float) -> float:
        return _MARGIN + (math.log10(value) - low) / (high - low) * (_SIZE - _MARGIN - 8)

    parts = [*_axes(low, high, at)]
    for factor in (1, 1.3, 1 / 1.3):
        ends = [(10**low, factor * 10**low), (10**high, factor * 10**high)]
        (x1, y1), (x2, y2) = ((at(x), _SIZE - at(y)) for x, y in ends)
        parts.append(f'<line class="grid" x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}"/>')
    for row in rows[:: max(1, len(rows) // _MOST)]:
        parts.append(
            f'<circle cx="{at(row.measured_s):.1f}" cy="{_SIZE - at(row.predicted_s):.1f}" r="2" '
            f'fill="{colours[row.chip]}" fill-opacity=".5"/>'
        )
    box = f'viewBox="0 0 {_SIZE} {_SIZE}" role="img" aria-label="predicted and measured"'
    return f"<svg {box}>{''.join(parts)}</svg>"


def _axes(low: float, high: float, at: Callable[[float], float]) -> Iterator[str]:
    for exponent in range(math.ceil(low), math.floor(high) + 1):
        value, place = 10.0**exponent, at(10.0**exponent)
        yield f'<text class="middle" x="{place:.0f}" y="{_SIZE - 30}">{seconds(value)}</text>'
        yield f'<text class="end" x="{_MARGIN - 6}" y="{_SIZE - place + 4:.0f}">{seconds(value)}</text>'
    yield f'<text class="middle" x="{_SIZE / 2}" y="{_SIZE - 10}">measured; upwards: predicted</text>'


def _errors(groups: Mapping[tuple[str, str, str], Sequence[Measured]]) -> str:
    rows: list[str] = []
    for (kind, dtype, chip), mine in groups.items():
        found = figures(mine)
        cells = [kind, dtype, chip or "all", f"{len(mine):,}"]
        cells += [f"{found[name]:.1f}" for name in ("mape", "median", "bias", "p90")]
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    names = ("class", "format", "chip", "rows", "mean %", "median %", "bias %", "90th percentile %")
    head = "".join(f"<th>{name}</th>" for name in names)
    return f"<h2>Errors</h2><table><tr>{head}</tr>{''.join(rows)}</table>"


def _spans(spans: Sequence[Interval]) -> str:
    rows = "".join(
        f"<tr><td>{escape(s.kind)}</td><td>{s.dtype}</td><td>{s.low:.2f} to {s.high:.2f}</td>"
        f"<td>{s.held:.0%} of {s.rows:,}</td></tr>"
        for s in spans
    )
    head = "<tr><th>class</th><th>format</th><th>80 % interval</th><th>held on chips left out</th></tr>"
    return f"<h2>Intervals</h2><table>{head}{rows}</table>"
