"""Where the time of a kernel went, in six parts that add up exactly to it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from anychip.blocks import DmaEngine
from anychip.chips import Chip
from anychip.simulate.trace import EngineTime, Span

#: Causes of a span's fixed time that are the host's work; every other cause is overhead of launching.
HOST_CAUSES = frozenset({"host"})
#: Causes that move data between chips.
TRANSFER_CAUSES = frozenset({"collective"})
#: Fixed cost of calling a compiled graph: it belongs to no layer.
CALL_CAUSE = "call"


@dataclass(frozen=True, slots=True)
class Division:
    """Ticks by what they were spent on.

    Args:
        ideal: what no schedule could avoid: the most loaded engine or link at its peak rate.
        fill_and_drain: filling and draining pipelines, padding, short operations, engines that wait for
            each other.
        memory_wait: waiting for memory beyond the ideal.
        launch: starting kernels, fixed latencies of kernels included.
        host: work that the host does while the chip waits.
        transfer: copying between host and device, and between chips.
    """

    ideal: int = 0
    fill_and_drain: int = 0
    memory_wait: int = 0
    launch: int = 0
    host: int = 0
    transfer: int = 0

    @property
    def total(self) -> int:
        """All ticks."""
        return self.ideal + self.fill_and_drain + self.memory_wait + self.launch + self.host + self.transfer

    def __add__(self, other: Division) -> Division:
        return Division(
            self.ideal + other.ideal,
            self.fill_and_drain + other.fill_and_drain,
            self.memory_wait + other.memory_wait,
            self.launch + other.launch,
            self.host + other.host,
            self.transfer + other.transfer,
        )

    def __sub__(self, other: Division) -> Division:
        return self + other.times(-1)

    def times(self, count: int) -> Division:
        """The division of `count` repetitions."""
        return Division(*(count * getattr(self, name) for name in PARTS))


#: Names of the parts, in the order in which reports show them.
PARTS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(Division))


def divide(chip: Chip, span: Span) -> Division:
    """Divides a span's time.

    Launch and host time are the span's own. Of the rest, `Span.ideal_ticks` is ideal. What exceeds it is
    memory wait as far as the busiest compute engine waited for transfers longer than the ideal itself
    makes it wait; the remainder is fill and drain. Waiting for a free buffer is waiting for transfers where
    a transfer engine was the busiest of the others, for it is what has not yet emptied the buffer.

    Returns:
        parts that add up to ``span.ticks``.
    """
    host = sum(ticks for cause, ticks in span.fixed if cause in HOST_CAUSES)
    transfer = sum(ticks for cause, ticks in span.fixed if cause in TRANSFER_CAUSES)
    launch = span.launch_ticks + sum(ticks for _, ticks in span.fixed) - host - transfer
    running = max(0, span.ticks - launch - host - transfer)
    ideal = min(span.ideal_ticks, running)
    excess = running - ideal
    engine = busiest_engine(chip, span)
    waited = 0
    if engine is not None:
        name, time = engine
        transfers = _transfer_causes(chip)
        others = [(each.busy, other) for other, each in span.engines if other != name]
        if others and isinstance(chip.engines[max(others)[1]].block, DmaEngine):
            transfers.add("buffer")
        for_memory = sum(ticks for cause, ticks in time.waits if cause in transfers)
        waited = min(excess, max(0, for_memory - max(0, ideal - time.busy)))
    return Division(
        ideal=ideal,
        fill_and_drain=excess - waited,
        memory_wait=waited,
        launch=launch,
        host=host,
        transfer=transfer,
    )


def call_ticks(span: Span) -> int:
    """The part of a span's launch time that belongs to the call of the whole graph."""
    return sum(ticks for cause, ticks in span.fixed if cause == CALL_CAUSE)


def busiest_engine(chip: Chip, span: Span) -> tuple[str, EngineTime] | None:
    """The compute engine that was busy longest; the busiest transfer engine if none computed."""
    ranked = sorted(
        span.engines,
        key=lambda pair: (
            pair[1].busy > 0 and not isinstance(chip.engines[pair[0]].block, DmaEngine),
            pair[1].busy,
        ),
    )
    return ranked[-1] if ranked else None


def _transfer_causes(chip: Chip) -> set[str]:
    causes = {name for name, engine in chip.engines.items() if isinstance(engine.block, DmaEngine)}
    for name in chip.links:
        causes |= {name, f"{name} read", f"{name} write"}
    return causes


def occupied_most(chip: Chip, span: Span, division: Division) -> str:
    """What bounds a span: the engine, link, launch or host work that was occupied longest.

    ``latency`` if most of the time nothing was: dependencies, filling and draining.
    """
    return occupied(chip, span, division, span.ticks)


def occupied(chip: Chip, span: Span, division: Division, ticks: int) -> str:
    """See `occupied_most`; for a span that takes `ticks`, a wait for its launch included."""
    held = {"launch": division.launch, "host": division.host, "transfer": division.transfer}
    for name, time in span.engines:
        if not isinstance(chip.engines[name].block, DmaEngine):
            held[name] = time.busy
    for name, booked in span.link_ticks:
        link = name.removesuffix(" read").removesuffix(" write")
        held[link] = max(held.get(link, 0), booked)
    name = max(held, key=lambda name: held[name])
    return name if held[name] * 3 >= ticks or not ticks else "latency"
