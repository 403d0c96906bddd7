"""What a chip's work costs in joules, as Facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from anychip.facts import Fact


@dataclass(frozen=True, kw_only=True)
class Power:
    """Energy of a chip by what it does.

    Args:
        base_w: drawn while a workload is loaded, whatever it does.
        limit_w: thermal design power; None if unpublished.
        mac_j: joules per multiply-add, by operand format.
        lane_operation_j: joules per lane operation.
        byte_j: joules per byte, by link.
        host_w: share of the host that belongs to this chip; None if unknown.
    """

    base_w: Fact | None = None
    limit_w: Fact | None = None
    mac_j: Mapping[str, Fact] = field(default_factory=dict)
    lane_operation_j: Fact | None = None
    byte_j: Mapping[str, Fact] = field(default_factory=dict)
    host_w: Fact | None = None

    def all_facts(self) -> Iterator[tuple[str, Fact]]:
        """Every Fact with the name of what it prices."""
        single = {"base_w": self.base_w, "limit_w": self.limit_w, "lane_operation_j": self.lane_operation_j}
        for name, fact in {**single, "host_w": self.host_w}.items():
            if fact is not None:
                yield name, fact
        yield from ((f"mac_j.{name}", fact) for name, fact in self.mac_j.items())
        yield from ((f"byte_j.{name}", fact) for name, fact in self.byte_j.items())
