"""Device memory, exact to the byte: who allocated what, what lives, and what lived at the peak.

A `Storage` is the memory behind a tensor and all its views. It lives as long as any of them, autograd's
saved ones included, so Python's own reference counts say when it is freed; nothing is keyed by an
address that could be used again. Allocations and frees are appended to a list, which is thread-safe and
costs a fraction of a microsecond; sums are made when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING

from anychip.frontends.torch.native import SEAM
from anychip.programs.graph import Kind, Memory

_SETTLE_AFTER_EVENTS = 1 << 16
_numbers = count(1)


class Allocation:
    """One piece of device memory.

    Attributes:
        number: never used again in this process; a storage that is resized keeps it.
        size_bytes: bytes of the whole storage.
        kind: what it holds.
        place: number of the place of the operator that allocated it.
    """

    __slots__ = ("kind", "number", "place", "size_bytes")

    def __init__(self, size_bytes: int, kind: Kind, place: int) -> None:
        self.number = next(_numbers)
        self.size_bytes = size_bytes
        self.kind: Kind = kind
        self.place = place


class Storage:
    """What keeps an allocation alive: the tensors that show it share this object."""

    __slots__ = ("allocation",)

    def __init__(self, size_bytes: int, kind: Kind = "other", place: int = 0) -> None:
        self.allocation = allocation = Allocation(size_bytes, kind, place)
        _note_allocated(allocation)

    def __del__(self) -> None:
        _note_freed((self.allocation,))

    def resize(self, size_bytes: int) -> None:
        """The storage was given another size in place; its number stays."""
        old = self.allocation
        new = Allocation(size_bytes, old.kind, old.place)
        new.number = old.number
        self.allocation = new
        _note_freed((old,))
        _note_allocated(new)


class Ledger:
    """All device memory of the process."""

    def __init__(self) -> None:
        self._events: list[Allocation | tuple[Allocation]] = []
        self._lock = RLock()
        self.live: dict[Allocation, None] = {}
        self.live_bytes = 0
        self.peak_bytes = 0
        self.allocated_bytes = 0
        self.allocations = 0
        self._capture_peak_bytes = 0
        self._at_peak: list[Allocation] = []

    def settle(self) -> None:
        """Work off what was noted since the last time."""
        with self._lock:
            end = len(self._events)
            events = self._events[:end]
            del self._events[:end]
            live_bytes = self.live_bytes
            highest, highest_at = self._capture_peak_bytes, -1
            for position, event in enumerate(events):
                if type(event) is tuple:
                    live_bytes -= event[0].size_bytes
                else:
                    size_bytes = event.size_bytes  # pyright: ignore
                    live_bytes += size_bytes
                    self.allocated_bytes += size_bytes
                    self.allocations += 1
                    if live_bytes > highest:
                        highest, highest_at = live_bytes, position
                    if live_bytes > self.peak_bytes:
                        self.peak_bytes = live_bytes
            for position, event in enumerate(events):
                if type(event) is tuple:
                    self.live.pop(event[0], None)
                else:
                    self.live[event] = None  # pyright: ignore
                if position == highest_at:
                    self._at_peak = list(self.live)
            self._capture_peak_bytes = highest
            self.live_bytes = live_bytes

    def reset_peak(self) -> None:
        """`torch.cuda.reset_peak_memory_stats`: the user's peak starts again, a capture's does not."""
        self.settle()
        self.peak_bytes = self.live_bytes

    def start_capture(self) -> None:
        """A capture's peak starts with what lives now."""
        self.settle()
        self._capture_peak_bytes = self.live_bytes
        self._at_peak = list(self.live)

    def report(self, module_of: Callable[[int], str]) -> Memory:
        """What a Graph says about memory.

        Args:
            module_of: the module of a place's number.
        """
        self.settle()
        by_kind: dict[Kind, int] = {}
        by_module: dict[str, int] = {}
        for allocation in self._at_peak:
            size_bytes = allocation.size_bytes
            by_kind[allocation.kind] = by_kind.get(allocation.kind, 0) + size_bytes
            module = module_of(allocation.place)
            by_module[module] = by_module.get(module, 0) + size_bytes
        return Memory(
            live_bytes=self.live_bytes,
            peak_bytes=self._capture_peak_bytes,
            peak_by_kind=tuple(sorted(by_kind.items(), key=lambda item: (-item[1], item[0]))),
            peak_by_module=tuple(sorted(by_module.items(), key=lambda item: (-item[1], item[0]))),
        )

    def note_allocated(self, allocation: Allocation) -> None:
        """Hot path: one append; settles by itself before the list grows large."""
        events = self._events
        events.append(allocation)
        if len(events) > _SETTLE_AFTER_EVENTS:
            self.settle()


LEDGER = Ledger()
_note_allocated = LEDGER.note_allocated
# A list's append is atomic and allocates no Python frame, which matters inside a finalizer: it may run at
# any allocation, even while `settle` holds the lock.
_note_freed = LEDGER._events.append  # pyright: ignore[reportPrivateUsage]

if not TYPE_CHECKING and SEAM is not None:
    Allocation, Storage = SEAM.Allocation, SEAM.Storage
    SEAM.keep_books(LEDGER._events, LEDGER.settle, _SETTLE_AFTER_EVENTS)
