"""Logarithmic axes of the pictures, in pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

WIDTH, HEIGHT, LEFT, BOTTOM = 940, 420, 76, 46


class Axis:
    """A logarithmic axis between two pixels, with a margin around the values."""

    def __init__(self, values: Iterable[float], start: float, end: float) -> None:
        known = list(values)
        self.low, self.high = min(known) / 1.4, max(known) * 1.6
        self.start, self.end = start, end

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> Iterator[float]:
        """1, 2 and 5 times powers of ten; powers alone where that would be many."""
        decades = math.log10(self.high / self.low)
        steps = (1, 2, 5) if decades < 3 else (1,)
        for exponent in range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1):
            for step in steps:
                value = step * 10.0**exponent
                if self.low <= value <= self.high:
                    yield value


def grid(
    x_axis: Axis, y_axis: Axis, x_words: Callable[[float], str], y_words: Callable[[float], str]
) -> Iterator[str]:
    """Lines and labels at the ticks of both axes."""
    for value in x_axis.ticks():
        x = x_axis.at(value)
        yield f'<line class="grid" x1="{x:.1f}" y1="16" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}"/>'
        yield f'<text class="middle" x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}">{x_words(value)}</text>'
    for value in y_axis.ticks():
        y = y_axis.at(value)
        yield f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{x_axis.end}" y2="{y:.1f}"/>'
        yield f'<text class="end" x="{LEFT - 8}" y="{y + 4:.1f}">{y_words(value)}</text>'
