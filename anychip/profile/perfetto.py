"""A Profile's timeline in the Chrome trace format, which ui.perfetto.dev opens.

One track shows kernels nested in the user's modules, one each engine, one the copies between host and
device; counters show memory, links and watts. A kernel's engines are drawn from its start for as long as they
were busy in all: the order within a kernel is not recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from anychip.profile.profile import Profile, Slice

#: Kernels after which a trace ends, so that a browser can still open it.
LARGEST_KERNELS = 100_000

_PROCESS = 1
_MODULES, _TRANSFERS, _FIRST_ENGINE = 1, 2, 3


def trace_chunks(profile: Profile) -> Iterator[str]:
    """The trace as text, event by event."""
    other = {"workload": profile.workload, "chip": profile.chip, "clock_hz": profile.clock_hz}
    yield f'{{"displayTimeUnit": "ns", "otherData": {json.dumps(other)}, "traceEvents": [\n'
    separator = ""
    for event in _events(profile):
        yield separator + json.dumps(event, separators=(",", ":"))
        separator = ",\n"
    yield "\n]}\n"


def _events(profile: Profile) -> Iterator[dict[str, Any]]:
    engines = {use.name: _FIRST_ENGINE + i for i, use in enumerate(profile.whole.engines)}
    yield _meta("process_name", 0, f"{profile.workload} on {profile.chip_title}")
    for name, track in [("modules and kernels", _MODULES), ("host copies", _TRANSFERS), *engines.items()]:
        yield _meta("thread_name", track, name)
        yield {**_meta("thread_sort_index", track, ""), "args": {"sort_index": track}}
    yield from _Writer(profile, engines).events()


def _meta(name: str, track: int, value: str) -> dict[str, Any]:
    return {"ph": "M", "pid": _PROCESS, "tid": track, "name": name, "args": {"name": value}}


class _Writer:
    """Walks the path with a clock, opening and closing modules."""

    def __init__(self, profile: Profile, engines: dict[str, int]) -> None:
        self._profile = profile
        self._engines = engines
        self._now = 0
        self._open: list[str] = []

    def events(self) -> Iterator[dict[str, Any]]:
        timeline = self._profile.timeline
        transfers = list(timeline.transfers)
        marks = list(timeline.marks)
        kernels = 0
        for position, segment in enumerate(timeline.path):
            yield from self._boundaries(position, transfers, marks)
            for piece in timeline.segments[segment]:
                if kernels >= LARGEST_KERNELS:
                    yield from self._close(0)
                    yield self._instant(f"cut here after {kernels:,} kernels")
                    return
                kernels += 1
                yield from self._kernel(piece)
        yield from self._boundaries(len(timeline.path), transfers, marks)
        yield from self._close(0)

    def _boundaries(
        self, position: int, transfers: list[tuple[int, int, int, int]], marks: list[tuple[int, str]]
    ) -> Iterator[dict[str, Any]]:
        while marks and marks[0][0] <= position:
            yield from self._close(0)
            yield self._instant(f"end of {marks.pop(0)[1]}")
        while transfers and transfers[0][0] <= position:
            _, ticks, to_device, to_host = transfers.pop(0)
            yield from self._close(0)
            name = "to device" if to_device else "to host"
            args = {"to_device_bytes": to_device, "to_host_bytes": to_host}
            yield self._slice(_TRANSFERS, name, ticks, args)
            self._now += ticks

    def _kernel(self, piece: Slice) -> Iterator[dict[str, Any]]:
        path = [piece.phase, *(piece.module.split(".") if piece.module else [])]
        shared = 0
        while shared < min(len(path), len(self._open)) and path[shared] == self._open[shared]:
            shared += 1
        yield from self._close(shared)
        for name in path[shared:]:
            self._open.append(name)
            yield {"ph": "B", "name": name, "ts": self._time(), **_at(_MODULES)}
        division = {name: getattr(piece.division, name) for name in type(piece.division).__slots__}
        args: dict[str, Any] = {"source": piece.source} if piece.source else {}
        args |= {f"{name}_ticks": ticks for name, ticks in division.items() if ticks}
        args |= {f"{name}_bytes": moved for name, moved in piece.moved_bytes}
        yield {"ph": "B", "name": piece.name, "ts": self._time(), "args": args, **_at(_MODULES)}
        yield self._counter("live bytes of the segment", {"bytes": piece.live_bytes})
        if piece.chip_w is not None:
            yield self._counter("chip W", {"W": round(piece.chip_w, 3)})
        seconds = self._profile.seconds(piece.ticks)
        if seconds:
            for name, moved in piece.moved_bytes:
                yield self._counter(f"{name} GB/s", {"GB/s": moved / seconds / 1e9})
        start = self._now + piece.division.launch
        for name, busy in piece.busy:
            share = busy / piece.ticks if piece.ticks else 0.0
            yield self._slice(self._engines[name], piece.name, busy, {"share": round(share, 4)}, start)
        self._now += piece.ticks
        yield {"ph": "E", "name": piece.name, "ts": self._time(), **_at(_MODULES)}

    def _close(self, depth: int) -> Iterator[dict[str, Any]]:
        while len(self._open) > depth:
            yield {"ph": "E", "name": self._open.pop(), "ts": self._time(), **_at(_MODULES)}

    def _time(self, ticks: int | None = None) -> float:
        return self._profile.seconds(self._now if ticks is None else ticks) * 1e6

    def _slice(
        self, track: int, name: str, ticks: int, args: dict[str, Any], start: int | None = None
    ) -> dict[str, Any]:
        duration = self._profile.seconds(ticks) * 1e6
        return {"ph": "X", "name": name, "ts": self._time(start), "dur": duration, "args": args, **_at(track)}

    def _counter(self, name: str, values: dict[str, float]) -> dict[str, Any]:
        return {"ph": "C", "name": name, "ts": self._time(), "pid": _PROCESS, "args": values}

    def _instant(self, name: str) -> dict[str, Any]:
        return {"ph": "i", "s": "p", "name": name, "ts": self._time(), **_at(_MODULES)}


def _at(track: int) -> dict[str, int]:
    return {"pid": _PROCESS, "tid": track}
