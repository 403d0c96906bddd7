"""Timing by interleaved repetitions: every call in turn, again and again, and the fastest of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

Clock = Literal["wall", "processor"]
CLOCKS: tuple[Clock, ...] = ("wall", "processor")
_CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}
#: A sample shorter than this would measure the clock.
_SHORTEST_S = 2e-3
#: Fewer repetitions have no minimum worth the name.
LEAST_REPETITIONS = 10


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of one call.

    Args:
        best_s: of the fastest repetition.
        middle_s: of the middle one.
        repetitions: how many there were.
    """

    best_s: float
    middle_s: float
    repetitions: int

    @property
    def noise(self) -> float:
        """How much longer the middle repetition took than the fastest, as a share."""
        return self.middle_s / self.best_s - 1


def clock_of(name: Clock) -> Callable[[], float]:
    """A clock in seconds: of the wall, or of the processor time of this process."""
    return _CLOCKS[name]


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    clock: Callable[[], float] = time.perf_counter,
    seconds: float = 20.0,
    least: int = LEAST_REPETITIONS,
    most: int = 60,
    advance: Callable[[float], None] = lambda share: None,
) -> dict[str, Timed]:
    """Times calls in turns, so that whatever disturbs the machine disturbs all of them alike.

    Args:
        calls: by name.
        clock: seconds.
        seconds: after which no further turn begins, once there were `least`.
        least: turns in any case.
        most: turns at most.
        advance: told the share of the turns or of the time that is over.
    """
    inner = {name: _inner(call, clock) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    for turn in range(most):
        for name, call in calls.items():
            count = inner[name]
            if count > 1 or turn == 0:
                call()  # whatever ran before has left its values in the caches
            begin = clock()
            for _ in range(count):
                call()
            samples[name].append((clock() - begin) / count)
        spent = time.perf_counter() - start
        timely = spent / seconds if seconds > 0 else 1.0
        advance(min(1.0, max((turn + 1) / most, min(timely, (turn + 1) / least))))
        if turn + 1 >= least and spent >= seconds:
            break
    return {name: Timed(min(times), median(times), len(times)) for name, times in samples.items()}


def _inner(call: Callable[[], object], clock: Callable[[], float]) -> int:
    """Calls in one sample; the first of all is not timed."""
    call()
    begin = clock()
    call()
    once = max(clock() - begin, 1e-9)
    return max(1, min(2000, round(_SHORTEST_S / once)))


def noise_floor(timed: Mapping[str, Timed]) -> float:
    """The middle over all calls of how much longer a middle repetition takes than the fastest."""
    return median(each.noise for each in timed.values()) if timed else 0.0
