"""A Program played on its chip: every distinct nest simulated once, launches overlapped with execution.

Kernels of one segment run one after the other. The host launches them ahead of the device, `dispatch_s`
apart; a kernel that comes before its launch waits for it, and that wait is launch time of its span. One
launch starts all kernels of a replayed region. At a cut the host has read a value, so it starts the next
segment with an idle device.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from anychip.chips import Chip
from anychip.programs.graph import Region
from anychip.programs.program import Kernel, Nest, Program
from anychip.simulate.machine import simulate_nest
from anychip.simulate.trace import Span, Trace


class Player:
    """Simulates nests on one chip and remembers them.

    Args:
        chip: what everything runs on.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        # Keyed by identity: lowering gives equal work the same object. The nest is kept so that its
        # identity is not reused.
        self._spans: dict[int, tuple[Nest, Span]] = {}

    def span(self, nest: Nest) -> Span:
        """The span of a nest by itself."""
        known = self._spans.get(id(nest))
        if known is None:
            known = self._spans[id(nest)] = (nest, simulate_nest(self.chip, nest))
        return known[1]

    def segment(self, kernels: Sequence[Kernel]) -> tuple[Span, ...]:
        """Spans of a segment's kernels, launch waits included."""
        dispatch = round(self.chip.policy.dispatch_s * self.chip.clock_hz)
        if not dispatch:
            return tuple(self.span(kernel.nest) for kernel in kernels)
        host = device = 0
        spans: list[Span] = []
        before: Region | None = None
        for kernel in kernels:
            span = self.span(kernel.nest)
            host += dispatch * host_launches(kernel.nest.launches, kernel.place.region, before)
            before = kernel.place.region
            wait = max(0, host - device)
            device = max(device, host) + span.ticks
            spans.append(delayed(span, wait) if wait else span)
        return tuple(spans)

    def play(self, program: Program) -> Trace:
        """The trace of a program."""
        segments = tuple(self.segment(kernels) for kernels in program.segments)
        return Trace(self.chip.name, self.chip.clock_hz, segments, program.path)


def host_launches(count: int, region: Region | None, before: Region | None) -> int:
    """Launches that the host makes for a kernel of `count` launches behind one in the region `before`."""
    if region is None or not region.replayed:
        return count
    return 0 if region == before else 1


def delayed(span: Span, ticks: int) -> Span:
    """A span that starts with a wait for its launch, in which no engine was asked."""
    engines = tuple(
        (name, dataclasses.replace(engine, not_asked=engine.not_asked + ticks))
        for name, engine in span.engines
    )
    return dataclasses.replace(
        span, ticks=span.ticks + ticks, launch_ticks=span.launch_ticks + ticks, engines=engines
    )


def simulate(program: Program, chip: Chip) -> Trace:
    """The trace of a program on the chip that it was lowered for."""
    return Player(chip).play(program)
