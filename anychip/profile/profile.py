"""What a person reads: the Profile, plain data that prints itself.

Times are whole ticks of the chip's clock, so that parts add up exactly; `Profile.seconds` turns them into
seconds. A `Portion` describes a set of equal pieces of the run (all training steps, say) as their sum and
says how many there were.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from anychip.facts import Fact
from anychip.profile.division import Division
from anychip.programs.graph import Phase

Unit = Literal["step", "inference", "run"]


@dataclass(frozen=True, slots=True)
class Range:
    """A quantity with the lowest and highest credible value."""

    low: float
    value: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.value + other.value, self.high + other.high)

    def times(self, factor: float) -> Range:
        """The range scaled by a factor of at least 0."""
        return Range(self.low * factor, self.value * factor, self.high * factor)

    def overlaps(self, other: Range) -> bool:
        """Whether the two cannot be told apart."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True, slots=True)
class EngineUse:
    """How one engine of a core spent a portion.

    For every engine ``busy + sum(waits) + not_asked`` is the portion's time.

    Args:
        name: in the chip.
        role: ``matrix``, ``vector`` or ``transfer``.
        busy_ticks: executing.
        waits: (cause, ticks) with work at hand.
        not_asked_ticks: without work, transfers between host and device included.
    """

    name: str
    role: Literal["matrix", "vector", "transfer"]
    busy_ticks: int
    waits: tuple[tuple[str, int], ...]
    not_asked_ticks: int


@dataclass(frozen=True, slots=True)
class LinkUse:
    """What crossed one link, all cores together.

    Args:
        name: in the chip.
        role: ``memory`` if it leads to main memory, else ``link``.
        moved_bytes: in both directions.
        peak_bytes_per_second: of all its copies, in both directions if duplex.
    """

    name: str
    role: Literal["memory", "link"]
    moved_bytes: int
    peak_bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Layer:
    """Part of the workload under one name.

    Args:
        name: path by the user's module names, ``*`` for equal repeated indices; the optimizer's name;
            or empty for work outside modules.
        count: how many modules the name stands for.
        phases: (phase, ticks), largest first.
        source: line on which most of its time was spent, e.g. ``"train.py:88"``; empty if unknown.
        division: its time.
        bounds: (what was occupied most, ticks for which it was), largest first.
        macs: useful multiply-adds.
        moved_bytes: over the link to main memory.
        energy_j: without idle and host; None if the chip's energies are unknown.
        parts: the modules inside it, largest first; the rest it spent itself.
    """

    name: str
    count: int
    phases: tuple[tuple[Phase, int], ...]
    source: str
    division: Division
    bounds: tuple[tuple[str, int], ...]
    macs: int
    moved_bytes: int
    energy_j: Range | None
    parts: tuple[Layer, ...] = ()

    @property
    def bound_by(self) -> str:
        """What was occupied most for most of the time."""
        return self.bounds[0][0] if self.bounds else ""


@dataclass(frozen=True, slots=True)
class EnergyPart:
    """Joules of one consumer; None where the chip's Facts do not say."""

    name: str
    role: Literal["matrix", "vector", "memory", "link", "idle", "host"]
    energy_j: Range | None


def is_above(drawn_w: Range | None, limit_w: Fact | None) -> bool | None:
    """Whether even the lowest credible power is more than a limit; None if either is unknown."""
    if drawn_w is None or limit_w is None:
        return None
    return drawn_w.low > limit_w.range[1]


@dataclass(frozen=True, slots=True)
class PhaseEnergy:
    """Joules and watts of one phase of a portion.

    Args:
        name: of the phase; ``copies`` between host and device.
        ticks: how long it took.
        working_j: of arithmetic and movement that are known.
        idle_j: what the chip draws whatever it does; None if unknown.
        host_j: the share of the host; None if unknown.
        chip_w: average of the chip without the host; None if any of it is unknown.
        wall_w: average with the share of the host; None if any of it is unknown.
    """

    name: Phase | Literal["copies"]
    ticks: int
    working_j: Range
    idle_j: Range | None
    host_j: Range | None
    chip_w: Range | None
    wall_w: Range | None


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules of a portion.

    Args:
        parts: by consumer; they add up to `total_j`.
        total_j: of the parts that are known; None if none is.
        average_w: of the chip without the host; None if unknown.
        limit_w: published thermal design power; None if unpublished.
        wall_w: average with the share of the host; None if unknown.
        phases: the same joules by phase, longest first; empty where only the sum was asked for.
    """

    parts: tuple[EnergyPart, ...] = ()
    total_j: Range | None = None
    average_w: Range | None = None
    limit_w: Fact | None = None
    wall_w: Range | None = None
    phases: tuple[PhaseEnergy, ...] = ()

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the parts without an energy."""
        return tuple(part.name for part in self.parts if part.energy_j is None)

    @property
    def is_above_limit(self) -> bool | None:
        """Whether more power was drawn than the chip is designed for; None if either is unknown."""
        return is_above(self.average_w, self.limit_w)

    def share_of(self, role: Literal["idle", "host"]) -> float | None:
        """Part of the known joules that went to idling or to the host; None if it is unknown."""
        known = [part.energy_j for part in self.parts if part.role == role and part.energy_j is not None]
        if not known or self.total_j is None or not self.total_j.value:
            return None
        return sum(each.value for each in known) / self.total_j.value


@dataclass(frozen=True, slots=True)
class Cost:
    """Money for a portion.

    Args:
        instance: what is rented.
        chip_share: part of the instance's accelerators that the run uses.
        hourly_usd: price of the whole instance.
        usd: of the portion.
    """

    instance: str
    chip_share: Fraction
    hourly_usd: Fact
    usd: float


@dataclass(frozen=True, slots=True)
class Portion:
    """The sum of `count` pieces of the run.

    Args:
        name: what one piece is.
        count: how many pieces are added up here.
        division: time.
        engines: how each was used.
        links: what crossed each.
        macs: (operand format, useful multiply-adds).
        lane_operations: all of the vector engines.
        host_operations: done by the host.
        layers: by module, largest first; their times and the transfers add up to the portion's.
        phases: (phase, ticks).
        to_device_bytes: from the host.
        to_host_bytes: to the host.
        items: samples processed; None if unknown.
        tokens: tokens processed; None if not a token workload.
        energy: joules.
        cost: money; None where no price is known.
    """

    name: Unit
    count: int
    division: Division
    engines: tuple[EngineUse, ...]
    links: tuple[LinkUse, ...]
    macs: tuple[tuple[str, int], ...]
    lane_operations: int
    host_operations: int
    layers: tuple[Layer, ...]
    phases: tuple[tuple[Phase, int], ...]
    to_device_bytes: int
    to_host_bytes: int
    items: int | None
    tokens: int | None
    energy: Energy
    cost: Cost | None

    @property
    def copy_ticks(self) -> int:
        """Time of copies between host and device."""
        return self.division.total - sum(layer.division.total for layer in self.layers)


@dataclass(frozen=True, slots=True)
class PassGroup:
    """Steps or forward passes over equally large inputs, e.g. one prefill and its decode passes.

    Args:
        kind: ``step`` or ``inference``.
        count: how many.
        items: samples of one of them.
        tokens: tokens of one of them.
        ticks: of all of them together.
        energy: joules of all of them together.
    """

    kind: Unit
    count: int
    items: int | None
    tokens: int | None
    ticks: int
    energy: Energy = Energy()


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Main memory at its fullest.

    Args:
        peak_bytes: most ever allocated at once.
        capacity_bytes: of one chip.
        by_kind: bytes of each kind at the peak, largest first.
        by_module: bytes by the module that allocated them, largest first.
    """

    peak_bytes: int
    capacity_bytes: int
    by_kind: tuple[tuple[str, int], ...]
    by_module: tuple[tuple[str, int], ...]

    @property
    def fits(self) -> bool:
        """Whether one chip holds it."""
        return self.peak_bytes <= self.capacity_bytes

    @property
    def over_bytes(self) -> int:
        """How much too large it is; 0 if it fits."""
        return max(0, self.peak_bytes - self.capacity_bytes)

    @property
    def chips_needed(self) -> int:
        """How many chips would hold it, if it can be divided evenly."""
        return max(1, -(-self.peak_bytes // self.capacity_bytes))


@dataclass(frozen=True, slots=True)
class Roof:
    """Peak rates for a roofline.

    Args:
        macs_per_second: by operand format, all cores.
        bytes_per_second: of main memory.
    """

    macs_per_second: tuple[tuple[str, float], ...]
    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Slice:
    """One kernel for timelines.

    Args:
        name: of the kernel.
        module: the user's.
        source: the user's line.
        phase: of the step.
        ticks: duration.
        division: of the duration.
        busy: (engine, ticks).
        moved_bytes: (link, bytes).
        live_bytes: of the values that its segment still needs, for memory counters.
        chip_w: average power of the chip; None if any of it is unknown.
    """

    name: str
    module: str
    source: str
    phase: Phase
    ticks: int
    division: Division
    busy: tuple[tuple[str, int], ...]
    moved_bytes: tuple[tuple[str, int], ...]
    live_bytes: int
    chip_w: float | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """Kernels in the order of the run.

    Args:
        segments: slices of each distinct segment.
        path: segments as played.
        transfers: (position in the path, ticks, bytes to device, bytes to host).
        marks: (position in the path, label) of step and forward boundaries.
    """

    segments: tuple[tuple[Slice, ...], ...]
    path: tuple[int, ...]
    transfers: tuple[tuple[int, int, int, int], ...]
    marks: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a workload costs on a chip, and why.

    Args:
        workload: name, e.g. ``"train.py"``.
        chip: name of the chip.
        chip_title: as people write it.
        cores: of the chip.
        cores_used: those that the workload runs on; one where a graph is compiled for one.
        clock_hz: ticks per second.
        numerics: label of the arithmetic.
        with_values: False if only time was asked for.
        whole: the whole run.
        unit: the pieces that the run repeats, the first one and set-up left out where there are several,
            and of several sizes the most frequent one; the same as `whole` if it repeats nothing.
        first: the first piece, where `unit` leaves it out.
        setup: what lies outside all pieces, loading weights for instance.
        passes: steps or forward passes by size.
        memory: main memory.
        roof: peak rates.
        rests_on: (kind of source, share of the time); ``design`` are the chip author's own choices.
        chip_semantics: share of arithmetic done as the chip does it; None without values.
        host_order: (operator, calls) that ran on the host's library.
        notes: sentences a reader must know.
        timeline: for pictures.
    """

    workload: str
    chip: str
    chip_title: str
    cores: int
    cores_used: int
    clock_hz: float
    numerics: str
    with_values: bool
    whole: Portion
    unit: Portion
    first: Portion | None
    setup: Portion | None
    passes: tuple[PassGroup, ...]
    memory: MemoryUse
    roof: Roof
    rests_on: tuple[tuple[str, float], ...]
    chip_semantics: float | None
    host_order: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]
    timeline: Timeline

    @property
    def bound_by(self) -> str:
        """What the unit's time was spent on most: an engine, a link, ``launch``, ``host`` or ``latency``."""
        ticks: Counter[str] = Counter()
        for layer in self.unit.layers:
            for name, spent in layer.bounds:
                ticks[name] += spent
        ticks["transfer"] += self.unit.copy_ticks
        return max(ticks, key=lambda name: ticks[name])

    def seconds(self, ticks: float) -> float:
        """Ticks of the chip's clock as seconds."""
        return ticks / self.clock_hz

    def __repr__(self) -> str:
        from anychip.profile.terminal import text_of

        return text_of(self)

    def _repr_html_(self) -> str:
        from anychip.profile.page import fragment_of

        return fragment_of(self)
