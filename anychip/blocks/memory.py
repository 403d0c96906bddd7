"""Memories and the links between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from anychip.blocks.block import Block, require_share


@dataclass(frozen=True, kw_only=True)
class Memory(Block):
    """Bytes that hold values.

    Args:
        capacity_bytes: usable bytes, of one core where the memory belongs to a core.
        level: ``local`` (one core), ``shared`` (a cache or buffer of all cores) or ``main``.
    """

    capacity_bytes: int
    level: Literal["local", "shared", "main"] = "local"

    def __post_init__(self) -> None:
        self.require(capacity_bytes=self.capacity_bytes)


@dataclass(frozen=True, kw_only=True)
class Link(Block):
    """A path of finite bandwidth; a resource of its own, never owned by the queues that use it.

    Args:
        bytes_per_second: in each direction if `duplex`, else in both together.
        latency_cycles: from the last byte's departure to the landing.
        shared: one link for all cores; otherwise every core has its own.
        duplex: reads and writes do not share the bandwidth.
        efficiency: share of `bytes_per_second` that streams sustain; time is priced with it, bounds without.
    """

    bytes_per_second: float
    latency_cycles: int = 0
    shared: bool = True
    duplex: bool = False
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        self.require(bytes_per_second=self.bytes_per_second)
        require_share("Link", self.efficiency)

    @property
    def sustained_bytes_per_second(self) -> float:
        """What streams reach."""
        return self.bytes_per_second * self.efficiency


@dataclass(frozen=True, kw_only=True)
class DmaEngine(Block):
    """Moves tiles between memories.

    Args:
        startup_cycles: before the first byte of a transfer moves.
        bytes_per_second: the engine's own ceiling for the requests of one tile in flight; None if only its
            links limit it.
        link_shares: part of a link's peak that this engine's requests reach, where that is not what the link
            sustains for streams, which write as well as they read.
    """

    startup_cycles: int = 0
    bytes_per_second: float | None = None
    link_shares: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        for share in self.link_shares.values():
            require_share("DmaEngine", share)


@dataclass(frozen=True, kw_only=True)
class Sequencer(Block):
    """Issues a program's instructions in order into finite queues.

    Args:
        issue_cycles: between two instructions.
        queue_depth: instructions that may wait in or occupy one engine; an entry is freed when the
            instruction finishes.
        launch_cycles: before the first instruction of a kernel.
    """

    issue_cycles: int = 1
    queue_depth: int = 4
    launch_cycles: int = 0

    def __post_init__(self) -> None:
        self.require(queue_depth=self.queue_depth, issue_cycles=self.issue_cycles)
