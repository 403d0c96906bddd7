"""Pictures of a Profile as inline SVG: roofline, timeline, division of time, energy.

Every picture scales with its container, takes its colours from the page's style sheet, and says its numbers
in titles that appear under the pointer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from itertools import pairwise

from anychip.profile import words
from anychip.profile.division import PARTS
from anychip.profile.layers import belongs, top
from anychip.profile.profile import Layer, Portion, Profile, Range, Slice
from anychip.programs.graph import Place
from anychip.units import decimal, seconds

#: Columns into which a timeline is gathered.
_COLUMNS = 480
#: Rows of a roofline's and a timeline's legend.
_SHOWN_LAYERS = 8


def division_bar(profile: Profile, portion: Portion) -> str:
    """One bar of the six parts of a portion's time."""
    total = portion.division.total
    if not total:
        return ""
    parts: list[str] = []
    x = 0.0
    for index, part in enumerate(PARTS):
        share = getattr(portion.division, part) / total
        if share:
            time = seconds(profile.seconds(getattr(portion.division, part) / portion.count))
            title = f"{words.part_name(part)}: {time}, {words.percent(share)}"
            parts.append(_rectangle(x * 1000, 0, max(0.5, share * 1000), 26, f"part{index}", title))
            x += share
    return _svg(1000, 26, "".join(parts), "how the time divides", stretch=True)


def roofline(profile: Profile) -> str:
    """Layers between the memory slope and the arithmetic roofs, on logarithmic axes."""
    layers, _ = top(profile.unit.layers, _SHOWN_LAYERS)
    dots = [(number, layer) for number, layer in enumerate(layers, 1) if layer.macs and layer.moved_bytes]
    used = {name for name, _ in profile.unit.macs}
    roofs = [(name, 2 * rate) for name, rate in profile.roof.macs_per_second if name in used]
    slope = profile.roof.bytes_per_second
    if not dots or not roofs:
        return ""
    intensity = [2 * layer.macs / layer.moved_bytes for _, layer in dots]
    reached = [2 * layer.macs / profile.seconds(layer.division.total) for _, layer in dots]
    ridges = [roof / slope for _, roof in roofs]
    x_axis = _Axis(min(*intensity, *ridges) / 4, max(*intensity, *ridges) * 8, 70, 690)
    y_axis = _Axis(min(reached) / 3, max(roof for _, roof in roofs) * 2, 340, 20)
    parts = [*_grid(x_axis, y_axis)]
    for name, roof in roofs:
        ridge = max(roof / slope, x_axis.low)
        points = f"{x_axis.at(ridge):.1f},{y_axis.at(roof):.1f} 690,{y_axis.at(roof):.1f}"
        if roof / slope > x_axis.low:
            low = max(x_axis.low, y_axis.low / slope)
            points = f"{x_axis.at(low):.1f},{y_axis.at(low * slope):.1f} {points}"
        parts.append(f'<polyline class="roof" points="{points}"/>')
        label = f"{name} {decimal(roof, 'op/s')}"
        parts.append(_text(686, y_axis.at(roof) - 6, label, "label end"))
    low = max(x_axis.low, y_axis.low / slope)
    parts.append(_text(x_axis.at(low) + 40, y_axis.at(low * slope) + 4, decimal(slope, "B/s"), "label"))
    for (number, layer), x, y in zip(dots, intensity, reached, strict=True):
        share = layer.division.total / profile.unit.division.total
        title = f"{words.layer_name(layer)}: {decimal(y, 'op/s')} at {x:.3g} operations a byte"
        radius = 5 + 14 * math.sqrt(share)
        parts.append(
            f'<g><title>{escape(title)}</title><circle class="dot" cx="{x_axis.at(x):.1f}" '
            f'cy="{y_axis.at(y):.1f}" r="{radius:.1f}"/>'
            f"{_text(x_axis.at(x), y_axis.at(y) + 4, str(number), 'number')}</g>"
        )
    parts.append(_text(380, 384, "operations per byte of device memory", "label middle"))
    return _svg(700, 392, "".join(parts), "roofline")


class _Axis:
    """A logarithmic axis between two pixels."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high = low, high
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self._start + min(1.0, max(0.0, share)) * (self._end - self._start)

    def decades(self) -> Iterator[float]:
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        step = max(1, (last - first) // 6)
        yield from (10.0**power for power in range(first, last + 1, step))


def _grid(x_axis: _Axis, y_axis: _Axis) -> Iterator[str]:
    for value in x_axis.decades():
        x = x_axis.at(value)
        yield f'<line class="grid" x1="{x:.1f}" y1="20" x2="{x:.1f}" y2="340"/>'
        yield _text(x, 358, f"{value:g}" if 1e-3 <= value < 1e5 else f"{value:.0e}", "tick middle")
    for value in y_axis.decades():
        y = y_axis.at(value)
        yield f'<line class="grid" x1="70" y1="{y:.1f}" x2="690" y2="{y:.1f}"/>'
        yield _text(62, y + 4, decimal(value, "op/s"), "tick end")


def timeline(profile: Profile) -> str:
    """One unit of the run from left to right: which layer ran, and how busy every engine was."""
    pieces = list(_unit_slices(profile))
    total = sum(piece.ticks for piece in pieces)
    if not total:
        return ""
    layers, _ = top(profile.unit.layers, _SHOWN_LAYERS)
    names = [use.name for use in profile.whole.engines]
    busy = {name: [0.0] * _COLUMNS for name in names}
    bands: list[tuple[float, float, Slice]] = []
    start = 0
    for piece in pieces:
        begin, end = start / total * _COLUMNS, (start + piece.ticks) / total * _COLUMNS
        for name, ticks in piece.busy:
            _spread(busy[name], begin, end, ticks / piece.ticks if piece.ticks else 0.0)
        bands.append((begin, end, piece))
        start += piece.ticks
    parts = [*_bands(bands, layers)]
    scale = 880 / _COLUMNS
    for row, name in enumerate(names):
        y = 44 + 30 * row
        parts.append(_text(108, y + 16, name, "tick end"))
        parts.append(f'<rect class="lane" x="116" y="{y}" width="880" height="22"/>')
        for first, last, share in _runs(busy[name]):
            x, width = 116 + first * scale, (last - first) * scale
            title = f"{name} busy {words.percent(share)}"
            parts.append(
                f'<rect class="busy" x="{x:.1f}" y="{y + 22 - 22 * share:.1f}" width="{width:.2f}" '
                f'height="{22 * share:.1f}"><title>{escape(title)}</title></rect>'
            )
    bottom = 44 + 30 * len(names) + 14
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        label = seconds(profile.seconds(total * share)) if share else "0"
        parts.append(_text(116 + 880 * share, bottom, label, f"tick {anchor}"))
    return _svg(1000, bottom + 8, "".join(parts), "timeline")


def _unit_slices(profile: Profile) -> Iterator[Slice]:
    """Kernels of the second piece of the run, which set-up does not disturb; else of all of it."""
    line = profile.timeline
    kind = "step " if any(label.startswith("step") for _, label in line.marks) else "forward "
    ends = [0, *(position for position, label in line.marks if label.startswith(kind))]
    spans = list(pairwise(ends))
    begin, end = (spans[1] if len(spans) > 1 else spans[0]) if spans else (0, len(line.path))
    for segment in line.path[begin:end]:
        yield from line.segments[segment]


def _spread(columns: list[float], begin: float, end: float, share: float) -> None:
    for column in range(int(begin), min(len(columns), math.ceil(end))):
        covered = min(end, column + 1) - max(begin, column)
        columns[column] += share * max(0.0, covered)


def _runs(columns: list[float]) -> Iterator[tuple[int, int, float]]:
    """Neighbouring columns of the same height to the percent, without empty ones."""
    first = 0
    for column in range(1, len(columns) + 1):
        if column == len(columns) or round(columns[column], 2) != round(columns[first], 2):
            share = min(1.0, columns[first])
            if share >= 0.005:
                yield first, column, share
            first = column


def _bands(bands: list[tuple[float, float, Slice]], layers: tuple[Layer, ...]) -> Iterator[str]:
    """The row of layers: neighbouring kernels of one layer are one band."""
    yield _text(108, 24, "layer", "tick end")
    yield '<rect class="lane" x="116" y="8" width="880" height="22"/>'
    merged: list[tuple[float, float, int]] = []
    for begin, end, piece in bands:
        number = _layer_number(piece, layers)
        if merged and merged[-1][2] == number:
            merged[-1] = (merged[-1][0], end, number)
        else:
            merged.append((begin, end, number))
    scale = 880 / _COLUMNS
    for begin, end, number in merged:
        name = words.layer_name(layers[number]) if number >= 0 else "everything else"
        style = f"layer{number}" if number >= 0 else "layer-other"
        width = max(0.2, (end - begin) * scale)
        yield _rectangle(116 + begin * scale, 8, width, 22, style, name)


def _layer_number(piece: Slice, layers: tuple[Layer, ...]) -> int:
    place = Place(piece.module, piece.source, piece.phase)
    return next((number for number, layer in enumerate(layers) if belongs(place, layer)), -1)


def energy_bars(profile: Profile) -> str:
    """Joules by consumer, with the range of each."""
    count = profile.unit.count
    known = [
        (part.name, part.energy_j.times(1 / count))
        for part in profile.unit.energy.parts
        if part.energy_j is not None and part.energy_j.high > 0
    ]
    if not known:
        return ""
    largest = max(energy.high for _, energy in known)
    parts: list[str] = []
    for row, (name, energy) in enumerate(sorted(known, key=lambda item: -item[1].value)):
        parts += _ranged_bar(30 * row, name, energy, 560 / largest, "J")
    return _svg(820, 30 * len(known) + 4, "".join(parts), "energy")


def power_bars(profile: Profile) -> str:
    """Average watts of the chip in each phase and in all, with the range of each, beside the design power."""
    energy = profile.unit.energy
    rows = [(phase.name, phase.chip_w) for phase in energy.phases] if len(energy.phases) > 1 else []
    rows += [("all", energy.average_w), ("with the host", energy.wall_w)]
    known = [(name, watts) for name, watts in rows if watts is not None]
    if not known:
        return ""
    limit = None if energy.limit_w is None else energy.limit_w.value
    largest = max([limit or 0.0, *(watts.high for _, watts in known)])
    height = 30 * len(known)
    parts: list[str] = []
    at = 0.0 if limit is None else 116 + 560 * limit / largest
    for row, (name, watts) in enumerate(known):
        parts += _ranged_bar(30 * row, name, watts, 560 / largest, "W", line=at)
    if limit is not None:
        parts.append(f'<line class="whisker" x1="{at:.1f}" y1="0" x2="{at:.1f}" y2="{height}"/>')
        parts.append(_text(at, height + 16, f"design power {limit:g} W", "tick end"))
    return _svg(820, height + (22 if limit is not None else 4), "".join(parts), "power")


def _ranged_bar(
    y: float, name: str, value: Range, scale: float, unit: str, *, line: float = 0.0
) -> list[str]:
    """A bar with its range and figure; the figure keeps clear of a vertical line at `line`."""
    width, low, high = (scale * each for each in (value.value, value.low, value.high))
    text = words.range_text(value, unit)
    parts = [
        _text(108, y + 17, name, "tick end"),
        _rectangle(116, y + 4, max(0.5, width), 18, "busy", f"{name}: {text}"),
    ]
    if high > low:
        ends = f'x1="{116 + low:.1f}" y1="{y + 13}" x2="{116 + high:.1f}" y2="{y + 13}"'
        parts.append(f'<line class="whisker" {ends}/>')
    at = 116 + max(high, width) + 10
    parts.append(_text(line + 10 if at - 10 < line < at + 90 else at, y + 17, text, "label"))
    return parts


def share_bar(share: float) -> str:
    """A small bar for a table cell."""
    return f'<span class="bar"><span style="width:{100 * min(1.0, share):.1f}%"></span></span>'


def _rectangle(x: float, y: float, width: float, height: float, style: str, title: str) -> str:
    return (
        f'<rect class="{style}" x="{x:.2f}" y="{y:.1f}" width="{width:.2f}" height="{height:.1f}">'
        f"<title>{escape(title)}</title></rect>"
    )


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(width: float, height: float, inside: str, label: str, *, stretch: bool = False) -> str:
    ratio = ' preserveAspectRatio="none"' if stretch else ""
    box = f'viewBox="0 0 {width:g} {height:g}"{ratio}'
    return f'<svg {box} role="img" aria-label="{escape(label)}">{inside}</svg>'
