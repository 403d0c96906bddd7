"""Predicted against measured as one HTML page: a scatter for every class and format, and the tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape

from anychip.products.validate.figures import figures, groups_of
from anychip.products.validate.intervals import Interval, together
from anychip.products.validate.question import REASONS, Measured
from anychip.products.validate.report import Result
from anychip.profile.html import html_page, page_style
from anychip.units import seconds

_SIZE, _MARGIN, _MOST = 380, 52, 1500
#: Rows that a picture needs, and powers of ten below which an axis has ticks in between.
_FEWEST, _FEW_DECADES = 5, 2.5
_COLOURS = ("#0b7285", "#c2410c", "#5f3dc4", "#2b8a3e", "#a61e4d", "#1864ab", "#846200", "#495057")


def page_of(result: Result) -> str:
    """The whole page."""
    groups = groups_of(result.shown)
    counted = [row for row in result.rows if not row.short]
    chips = sorted({row.chip for row in counted})
    colours = {chip: _COLOURS[number % len(_COLOURS)] for number, chip in enumerate(chips)}
    legend = " ".join(f'<b style="color:{colours[chip]}">{escape(chip)}</b>' for chip in chips)
    pictures = "".join(
        f"<figure>{_scatter(mine, colours)}<figcaption>{escape(kind)} {dtype}, {len(mine):,} rows"
        "</figcaption></figure>"
        for (kind, dtype), mine in sorted(groups.items(), key=lambda each: -len(each[1]))
        if len(mine) >= _FEWEST
    )
    orders = "".join(
        f"<li>by {escape(each.of)}: {each.agreed / max(1, each.pairs):.1%} of {each.pairs:,} pairs; choosing "
        f"by prediction costs {each.regret:.1%} more than the best</li>"
        for each in result.rankings
    )
    body = [
        "<h1>Predicted beside measured</h1>",
        f"<p>{len(counted):,} published measurements; {escape(result.how)}. Lines: equal, and 30 % off.</p>",
        f"<p>{legend}</p>",
        f'<div class="plots">{pictures}</div>',
        _errors(result.shown),
        f"<h2>Chips ordered as measured, where more than 10 % apart</h2><ul>{orders}</ul>",
        _spans(result.intervals),
        _covered(result),
    ]
    style = (
        f"{page_style()}"
        ".plots { display: flex; flex-wrap: wrap; gap: 12px; } figure { margin: 0; width: 300px; }\n"
        ".plots svg { overflow: visible; } figcaption { text-align: center; font-size: 13px; }"
    )
    fragment = f'<style>{style}</style>\n<main class="anychip">{"".join(body)}</main>'
    return html_page("Predicted and measured", fragment)


def _covered(result: Result) -> str:
    """Rows that were replayed, and why others were not."""
    rows: list[str] = []
    for each in result.coverage:
        whys = ", ".join(f"{count:,}: {REASONS[reason]}" for reason, count in each.excluded.items())
        cells = (each.kind, f"{each.rows:,}", f"{each.replayed:,}", f"{each.replayed / each.rows:.0%}", whys)
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("class", "rows", "replayed", "share", "the others"))
    broken = "".join(f"<li>{escape(str(each))}</li>" for each in result.broken[:100])
    return f"<h2>Coverage</h2><table><tr>{head}</tr>{''.join(rows)}</table><ul>{broken}</ul>"


def _scatter(rows: Sequence[Measured], colours: Mapping[str, str]) -> str:
    units = sorted({row.unit for row in rows})
    label = seconds if units == ["s"] else "{:g}".format
    values = [value for row in rows for value in (row.measured, row.predicted)]
    low, high = math.log10(min(values)) - 0.1, math.log10(max(values)) + 0.1

    def at(value: float) -> float:
        return _MARGIN + (math.log10(value) - low) / (high - low) * (_SIZE - _MARGIN - 8)

    parts = [*_axes(low, high, at, label)]
    for factor in (1, 1.3, 1 / 1.3):
        ends = [(10**low, factor * 10**low), (10**high, factor * 10**high)]
        (x1, y1), (x2, y2) = ((at(x), _SIZE - at(y)) for x, y in ends)
        parts.append(f'<line class="grid" x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}"/>')
    for row in rows[:: max(1, len(rows) // _MOST)]:
        parts.append(
            f'<circle cx="{at(row.measured):.1f}" cy="{_SIZE - at(row.predicted):.1f}" r="2" '
            f'fill="{colours[row.chip]}" fill-opacity=".5"/>'
        )
    box = f'viewBox="0 0 {_SIZE} {_SIZE}" role="img" aria-label="predicted and measured"'
    return f"<svg {box}>{''.join(parts)}</svg>"


def _axes(
    low: float, high: float, at: Callable[[float], float], label: Callable[[float], str]
) -> Iterator[str]:
    decades = range(math.floor(low), math.floor(high) + 1)
    steps = (1, 2, 5) if high - low < _FEW_DECADES else (1,)
    ticks = (step * 10.0**exponent for exponent in decades for step in steps)
    for value in (tick for tick in ticks if low <= math.log10(tick) <= high):
        place = at(value)
        yield f'<text class="middle" x="{place:.0f}" y="{_SIZE - 30}">{label(value)}</text>'
        yield f'<text class="end" x="{_MARGIN - 6}" y="{_SIZE - place + 4:.0f}">{label(value)}</text>'
    yield f'<text class="middle" x="{_SIZE / 2}" y="{_SIZE - 10}">measured; upwards: predicted</text>'


def _errors(rows: Sequence[Measured]) -> str:
    """By class and format, then by chip and by model."""
    lines: list[str] = []
    for key, mine in groups_of(rows).items():
        lines.append(_line((*key, "all"), mine))
        lines += [_line(name, own) for name, own in groups_of(mine, "chip").items()]
        families = groups_of([row for row in mine if row.family], "family")
        lines += [_line(name, own) for name, own in families.items()]
    names = ("class", "format", "chip or model", "rows", "mean %", "median %", "bias %", "90th percentile %")
    head = "".join(f"<th>{name}</th>" for name in names)
    return f"<h2>Errors</h2><table><tr>{head}</tr>{''.join(lines)}</table>"


def _line(key: tuple[str, ...], rows: Sequence[Measured]) -> str:
    found = figures(rows)
    cells = [*key, f"{len(rows):,}", *(f"{found[name]:.1f}" for name in ("mape", "median", "bias", "p90"))]
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _spans(spans: Sequence[Interval]) -> str:
    rows = "".join(
        f"<tr><td>{escape(s.kind)}</td><td>{s.dtype}</td><td>{s.low:.2f} to {s.high:.2f}</td>"
        f"<td>{s.held:.0%} of {s.rows:,}</td><td>{s.groups}</td></tr>"
        for s in spans
    )
    if spans:
        share, count = together(spans)
        rows += f"<tr><td>all of these</td><td></td><td></td><td>{share}% of {count:,}</td><td></td></tr>"
    names = ("class", "format", "80 % interval", "held on what was left out", "chips or models")
    head = "<tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr>"
    return f"<h2>Intervals</h2><table>{head}{rows}</table>"
