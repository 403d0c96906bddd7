"""A comparison as one HTML page that asks nothing of the network: rooflines, bars with ranges, the table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

from anychip.products.chips.comparison import LEGEND, ROWS, Compared
from anychip.profile.html import html_page, page_style

_WIDTH, _LEFT, _RIGHT = 940, 76, 20
_COLOURS = 6
#: Operations a byte that the rooflines span.
_INTENSITIES = (0.25, 4096.0)
Ends = tuple[float, float, float]


def page_of(entries: Sequence[Compared]) -> str:
    """The whole page."""
    title = " · ".join(entry.chip.name for entry in entries)
    sections = [
        _section("Rooflines, 16-bit operations a second against operations a byte", _rooflines(entries)),
        *(_section(heading, _bars(entries, ends, factor)) for heading, ends, factor in _MEASURES),
        _section("Side by side", _table(entries)),
    ]
    body = "\n".join(section for section in sections if section)
    return html_page(
        title,
        f'<style>\n{page_style()}</style>\n<main class="anychip">\n<h1>{escape(title)}</h1>\n{body}\n'
        f"<p>{escape(LEGEND)}</p>\n</main>",
    )


def _section(title: str, inside: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{inside}" if inside else ""


def _svg(height: float, parts: Iterator[str] | Sequence[str], label: str) -> str:
    inside = "".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">{inside}</svg>'


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(text)}</text>'


# --- rooflines ---------------------------------------------------------------------------------------


def _rooflines(entries: Sequence[Compared]) -> str:
    """Peak rate and memory bandwidth of every chip on logarithmic axes."""
    drawn = [entry for entry in entries if "16-bit" in entry.peaks]
    if not drawn:
        return ""
    height, bottom = 360, 44
    rates = [entry.peaks["16-bit"] for entry in drawn]
    low = min(entry.byte_per_s for entry in drawn) * _INTENSITIES[0]
    bounds = 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(max(rates)))

    def across(intensity: float) -> float:
        share = math.log(intensity / _INTENSITIES[0]) / math.log(_INTENSITIES[1] / _INTENSITIES[0])
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def up(rate: float) -> float:
        share = math.log(rate / bounds[0]) / math.log(bounds[1] / bounds[0])
        return height - bottom - share * (height - bottom - 12)

    parts: list[str] = []
    for power in range(round(math.log10(bounds[0])), round(math.log10(bounds[1])) + 1):
        y = up(10.0**power)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{10.0 ** (power - 12):g} T", "end"))
    for power in range(-2, 13, 2):
        x = across(2.0**power)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="12" x2="{x:.1f}" y2="{height - bottom}"/>')
        parts.append(_text(x, height - bottom + 18, f"{2.0**power:g}", "middle"))
    parts.append(_text(_WIDTH / 2, height - 6, "16-bit operations a byte of main memory", "middle"))
    for index, entry in enumerate(drawn):
        peak, bandwidth = entry.peaks["16-bit"], entry.byte_per_s
        ridge = min(max(peak / bandwidth, _INTENSITIES[0]), _INTENSITIES[1])
        corners = [(_INTENSITIES[0], bandwidth * _INTENSITIES[0]), (ridge, min(peak, bandwidth * ridge))]
        corners.append((_INTENSITIES[1], min(peak, bandwidth * _INTENSITIES[1])))
        line = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in corners)
        parts.append(
            f'<polyline points="{line}" style="{_stroke(index)}">'
            f"<title>{escape(entry.chip.title)}</title></polyline>"
        )
    return _svg(height, parts, "rooflines") + _key(drawn)


def _stroke(index: int) -> str:
    dashes = "" if index < _COLOURS else f"; stroke-dasharray: {2 + 2 * (index // _COLOURS)} 4"
    return f"fill: none; stroke: var(--part{index % _COLOURS}); stroke-width: 2{dashes}"


def _key(entries: Sequence[Compared]) -> str:
    items = "".join(
        f'<li><span class="part{index % _COLOURS}"></span>{escape(entry.chip.title)}</li>'
        for index, entry in enumerate(entries)
    )
    return f'<ul class="legend">{items}</ul>'


# --- bars --------------------------------------------------------------------------------------------


def _bars(entries: Sequence[Compared], ends: Callable[[Compared], Ends | None], factor: float) -> str:
    """One bar a chip, with a whisker over the range of its facts."""
    values = [ends(entry) for entry in entries]
    known = [value for value in values if value is not None]
    if not known:
        return ""
    step, left, right = 26, 150, 130
    scale = (_WIDTH - left - right) / max(high for _, _, high in known)
    parts: list[str] = []
    for index, (entry, value) in enumerate(zip(entries, values, strict=True)):
        y = index * step
        parts.append(_text(left - 10, y + 17, entry.chip.name, "label end"))
        if value is None:
            parts.append(_text(left, y + 17, "unknown"))
            continue
        low, middle, high = (end * scale for end in value)
        parts.append(
            f'<rect class="part{index % _COLOURS}" x="{left}" y="{y + 5}" '
            f'width="{max(middle, 1):.1f}" height="16"/>'
        )
        if high - low > 1:
            parts.append(
                f'<line class="whisker" x1="{left + low:.1f}" y1="{y + 13}" '
                f'x2="{left + high:.1f}" y2="{y + 13}"/>'
            )
        shown = [f"{end * factor:.3g}" for end in value]
        text = shown[1] if shown[0] == shown[2] else f"{shown[1]} ({shown[0]} to {shown[2]})"
        parts.append(_text(left + high + 8, y + 17, text))
    return _svg(len(entries) * step + 4, parts, "bars")


def _sure(value: float | None) -> Ends | None:
    return None if value is None else (value, value, value)


def _operation(entry: Compared) -> Ends | None:
    fact = entry.operation_j.get("16-bit")
    return None if fact is None else (fact.range[0], fact.value, fact.range[1])


_MEASURES: tuple[tuple[str, Callable[[Compared], Ends | None], float], ...] = (
    ("Achieved 16-bit rate, 1e12 operations a second", lambda entry: _sure(entry.achieved), 1e-12),
    ("Watts while multiplying at that rate", lambda entry: entry.busy_w, 1.0),
    ("Picojoules of a 16-bit operation, base not included", _operation, 1e12),
    (
        "Dollars of an achieved petaflop-hour, on demand",
        lambda entry: _sure(entry.usd_per_petaflop_hour),
        1.0,
    ),
)


def _table(entries: Sequence[Compared]) -> str:
    head = "".join(f'<th class="figure">{escape(entry.chip.name)}</th>' for entry in entries)
    rows = [f"<tr><th></th>{head}</tr>"]
    for label, text in ROWS:
        if text is None:
            rows.append(f'<tr><th colspan="{len(entries) + 1}"><b>{escape(label)}</b></th></tr>')
        else:
            cells = "".join(f'<td class="figure">{escape(text(entry))}</td>' for entry in entries)
            rows.append(f"<tr><td>{escape(label)}</td>{cells}</tr>")
    return f'<div class="wide"><table>{"".join(rows)}</table></div>'
