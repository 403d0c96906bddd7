"""The study's plots as self-contained SVG that reads in light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

_COLOURS = ("#4269d0", "#efb118", "#ff725c", "#3ca951", "#a463f2", "#6cc5b0")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 340, 56, 150, 34, 44


def lines(
    title: str,
    x_name: str,
    y_name: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    logarithmic: bool = False,
) -> str:
    """One line per series of (x, y); earlier ones are wider, so that those on top of each other all show.

    Args:
        title: above the plot.
        x_name: under the horizontal axis.
        y_name: beside the vertical axis.
        series: points by name.
        logarithmic: whether the horizontal axis is, with a mark at every x.
    """
    points = [point for each in series.values() for point in each]
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    y_low, y_high = min(y for _, y in points), max(y for _, y in points)
    step = _step(y_high - y_low)
    y_low, y_high = floor(y_low / step) * step, ceil(y_high / step) * step or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        low, high, at = (log10(x_low), log10(x_high), log10(x)) if logarithmic else (x_low, x_high, x)
        across = (at - low) / ((high - low) or 1.0)
        up = (y - y_low) / ((y_high - y_low) or 1.0)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    parts: list[str] = []
    for tick in range(round((y_high - y_low) / step) + 1):
        value = y_low + tick * step
        _, y = place(x_high, value)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for value in _marks(x_low, x_high, points, logarithmic=logarithmic):
        x, _ = place(value, y_low)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{value:g}</text>')
    for number, (name, line) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        width = 1.6 + 1.8 * (len(series) - 1 - number)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:.1f}"/>')
        y = _TOP + 10 + 18 * number
        parts.append(
            f'<line x1="{_WIDTH - _RIGHT + 10}" x2="{_WIDTH - _RIGHT + 28}" y1="{y}" y2="{y}" '
            f'stroke="{colour}" stroke-width="3"/>'
        )
        parts.append(f'<text x="{_WIDTH - _RIGHT + 34}" y="{y + 4}">{escape(name)}</text>')
    parts.append(f'<text x="{_LEFT}" y="18" class="title">{escape(title)}</text>')
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{escape(x_name)}</text>"
    )
    parts.append(
        f'<text transform="translate(14 {(_HEIGHT - _BOTTOM + _TOP) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_name)}</text>"
    )
    style = (
        "<style>text{font:12px sans-serif;fill:#444}.title{font-weight:bold}.grid{stroke:#8884}"
        "@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>"
    )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">\n{style}\n{body}\n</svg>\n'
    )


def _step(extent: float) -> float:
    """A round distance that divides an extent into about five."""
    rough = extent / 5 or 1.0
    power = 10.0 ** floor(log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _marks(
    low: float, high: float, points: Sequence[tuple[float, float]], *, logarithmic: bool
) -> list[float]:
    if logarithmic:
        return sorted({x for x, _ in points})
    step = _step(high - low)
    first = ceil(low / step)
    return [step * number for number in range(first, floor(high / step) + 1)]


def smoothed(values: Sequence[float], width: int) -> list[tuple[float, float]]:
    """(step, mean of the last `width` values)."""
    found: list[tuple[float, float]] = []
    for end in range(1, len(values) + 1):
        window = values[max(0, end - width) : end]
        found.append((float(end), sum(window) / len(window)))
    return found
