"""Logarithmic axes of the pictures, in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

WIDTH, HEIGHT, LEFT, BOTTOM = 940, 420, 76, 46


class Axis:
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
