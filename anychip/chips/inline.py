"""Software that runs on the chip's own cores: eager PyTorch on a CPU, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Inline:
    """What an operator costs besides its arithmetic where no separate host launches it.

    Between two operators the cores run the framework; results are written into memory that the C library
    hands out, whose pages the kernel may have to map first; a value just written is still in the cache when
    the next operator reads it.

    Args:
        operator_s: framework time of one operator by phase of the step, views and module calls included.
        mapped_bytes_per_second: at which fresh pages are mapped and cleared.
        write_cost: how long a byte written to main memory holds the link, relative to a byte read: up to 2
            where a line is fetched before it is overwritten, below 1 where one core's reads cannot fill the
            link.
        narrow_formats: formats that are widened before and narrowed after every lane operation.
        engines: by ``"convolutions FORMAT"``, ``"attention FORMAT"`` and ``"attention backward FORMAT"``,
            the engine that stands for the library's kernels; where none is named, the one of products.
        map_threshold_bytes: results at least so large get pages of their own, which are returned when they
            are freed and must be mapped again for the next one. glibc's largest dynamic threshold; smaller
            results come from the heap, which keeps its pages between the optimizer's state and the weights.
    """

    operator_s: Mapping[str, float]
    mapped_bytes_per_second: float
    write_cost: float = 1.0
    narrow_formats: tuple[str, ...] = ("bf16", "fp16")
    engines: Mapping[str, str] = field(default_factory=dict[str, str])
    map_threshold_bytes: int = 32 << 20
