"""When the memory behind a workload's results comes and goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from anychip.programs.graph import Segment, View

_PERSISTENT = ("parameter", "optimizer")


class Lives(NamedTuple):
    """When storages come and go, by kernel of a segment.

    Args:
        born: storages with their sizes in bytes that a kernel is the first to write.
        dies: storages that it is the last to mention; gradients live until the segment comes again.
        sizes: bytes of every storage.
    """

    born: dict[int, list[tuple[int, int]]]
    dies: dict[int, list[int]]
    sizes: dict[int, int]


def lives_of(segment: Segment, kernels: Sequence[tuple[Sequence[View], Sequence[View]]]) -> Lives:
    """When storages come and go.

    Args:
        segment: whose values the views show.
        kernels: what each kernel reads and writes, in the order in which they run.
    """
    values = segment.values
    seen: set[int] = set()
    last: dict[int, int] = {}
    born: dict[int, list[tuple[int, int]]] = {}
    stays: set[int] = set()
    for index, (reads, writes) in enumerate(kernels):
        for view in reads:
            seen.add(values[view.value].storage)
            last[values[view.value].storage] = index
        for view in writes:
            value = values[view.value]
            if value.storage not in seen and value.kind not in _PERSISTENT:
                born.setdefault(index, []).append((value.storage, value.size_bytes))
            if value.kind == "gradient":
                stays.add(value.storage)
            seen.add(value.storage)
            last[value.storage] = index
    dies: dict[int, list[int]] = {}
    for storage, index in last.items():
        if storage not in stays:
            dies.setdefault(index, []).append(storage)
    return Lives(born, dies, {value.storage: value.size_bytes for value in values})
