"""The Trace: what happened when, one span per kernel and never one event per instruction."""

from __future__ import annotations

from dataclasses import dataclass

from anychip.programs.program import Demand


@dataclass(frozen=True, slots=True)
class EngineTime:
    """How one engine of one core spent a span, in ticks.

    For every engine ``busy + sum(waits) + not_asked`` is the span.

    Args:
        busy: executing.
        waits: by cause, after an instruction had been issued to it: an engine's name (its result was
            awaited), ``buffer`` (no free slot), or a link's name.
        not_asked: no instruction had been issued.
    """

    busy: int
    waits: tuple[tuple[str, int], ...]
    not_asked: int


@dataclass(frozen=True)
class Span:
    """One nest, simulated.

    Args:
        ticks: from launch to the last landing, all cores.
        engines: by name.
        demand: useful work, all cores.
        ideal_ticks: lower bound: the most loaded engine or link at its peak.
        ideal_bound: which engine or link that is.
        launch_ticks: of the kernel's launches.
        fixed: (cause, ticks) that no engine explains.
        instructions: with every loop expanded, all cores.
        simulated: how many of them were stepped through.
        link_ticks: time each link was transferring.
        extrapolated: True if the state never repeated within the limit and the rest was extrapolated.
    """

    ticks: int
    engines: tuple[tuple[str, EngineTime], ...]
    demand: Demand
    ideal_ticks: int
    ideal_bound: str
    launch_ticks: int
    fixed: tuple[tuple[str, int], ...]
    instructions: int
    simulated: int
    link_ticks: tuple[tuple[str, int], ...]
    extrapolated: bool = False


@dataclass(frozen=True)
class Trace:
    """A Program, simulated.

    Args:
        chip: name of the chip.
        clock_hz: ticks per second.
        segments: spans of each segment's kernels, in order.
        path: which segments are played, in order.
    """

    chip: str
    clock_hz: float
    segments: tuple[tuple[Span, ...], ...]
    path: tuple[int, ...]

    @property
    def ticks(self) -> int:
        """Device time of the whole path."""
        per_segment = [sum(span.ticks for span in spans) for spans in self.segments]
        return sum(per_segment[index] for index in self.path)

    @property
    def seconds(self) -> float:
        """Device time of the whole path."""
        return self.ticks / self.clock_hz
