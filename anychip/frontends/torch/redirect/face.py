"""What a redirected script sees of the chip."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """The chip as `torch.cuda` describes it to a script.

    Args:
        name: what ``torch.cuda.get_device_name`` answers.
        memory_bytes: capacity of the device memory.
        processors: what ``multi_processor_count`` says.
        capability: compute capability; libraries choose number formats by it.
        clock_s: seconds that events show: simulated ones, or this machine's where no chip is simulated yet,
            so that a script which divides by them goes on.
    """

    name: str = "anychip"
    memory_bytes: int = 80 * 1024**3
    processors: int = 1
    capability: tuple[int, int] = (8, 0)
    clock_s: Callable[[], float] = time.perf_counter
