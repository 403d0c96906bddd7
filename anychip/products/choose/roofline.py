"""The roofs of the best candidates: what their chips could do with the workload, and what they do."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from anychip.products.choose.answer import Answer
from anychip.products.choose.axes import BOTTOM, HEIGHT, LEFT, WIDTH, Axis, grid
from anychip.products.choose.candidate import Candidate, RooflinePoint
from anychip.units import decimal

#: Roofs in one picture; more could not be told apart.
_MOST = 6


def roofline_of(answer: Answer) -> str:
    """An SVG: a roof and a point for each chip of the Pareto set, the first ones of the ranking."""
    best = [r.candidate for r in answer.ranked if r.pareto and r.candidate.roofline is not None][:_MOST]
    points = [(c, c.roofline) for c in best if c.roofline is not None]
    if not points:
        return ""
    ridges = [p.peak_flops_per_second / p.peak_bytes_per_second for _, p in points]
    intensities = [p.flops_per_byte for _, p in points]
    x_axis = Axis([*(r / 20 for r in ridges), *(r * 8 for r in ridges), *intensities], LEFT, WIDTH - 90)
    y_axis = Axis(
        [*(p.flops_per_second for _, p in points), *(p.peak_flops_per_second for _, p in points)],
        HEIGHT - BOTTOM,
        16,
    )
    parts = [*grid(x_axis, y_axis, _intensity, _rate)]
    heights: list[float] = []
    for candidate, point in sorted(points, key=lambda pair: -pair[1].peak_flops_per_second):
        height = y_axis.at(point.peak_flops_per_second) + 4
        heights.append(max(height, heights[-1] + 13) if heights else height)
        parts += _roof(candidate, point, x_axis, y_axis, heights[-1])
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="roofs of the best chips">'
        f"{''.join(parts)}</svg>"
    )


def _roof(c: Candidate, point: RooflinePoint, x_axis: Axis, y_axis: Axis, label_y: float) -> Iterator[str]:
    ridge = point.peak_flops_per_second / point.peak_bytes_per_second
    start = max(x_axis.low, y_axis.low / point.peak_bytes_per_second)
    corners = [
        (start, start * point.peak_bytes_per_second),
        (ridge, point.peak_flops_per_second),
        (x_axis.high, point.peak_flops_per_second),
    ]
    line = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in corners)
    yield f'<polyline class="range" fill="none" points="{line}"/>'
    x, y = x_axis.at(point.flops_per_byte), y_axis.at(point.flops_per_second)
    roof = min(point.peak_flops_per_second, point.flops_per_byte * point.peak_bytes_per_second)
    share = point.flops_per_second / roof
    title = f"{c.chip} {c.numerics}: {_rate(point.flops_per_second)}, {share:.0%} of its roof"
    yield f'<line class="front" x1="{x:.1f}" y1="{y:.1f}" x2="{x:.1f}" y2="{y_axis.at(roof):.1f}"/>'
    yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{escape(title)}</title></circle>'
    right = x_axis.at(x_axis.high) + 6
    yield f'<text class="label" x="{right:.1f}" y="{label_y:.1f}">{escape(c.chip)} {share:.0%}</text>'


def _intensity(value: float) -> str:
    return f"{value:g} flop/byte"


def _rate(value: float) -> str:
    return decimal(value, "flop/s")
