"""Joules: demand times the chip's energy Facts, as ranges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

from anychip.chips import Chip, Power
from anychip.facts import Fact
from anychip.profile.profile import Energy, EnergyPart, PhaseEnergy, Range
from anychip.programs.graph import Phase
from anychip.programs.program import Demand

_NOTHING = Range(0.0, 0.0, 0.0)


def joules(fact: Fact, amount: float) -> Range:
    """A fact per unit of something, times an amount of it."""
    low, high = fact.range
    return Range(low, fact.value, high).times(amount)


def total_of(ranges: Iterable[Range]) -> Range | None:
    """Their sum; None if there are none."""
    ranges = list(ranges)
    return reduce(Range.__add__, ranges) if ranges else None


def working_j(chip: Chip, demand: Demand) -> Range | None:
    """What arithmetic and movement cost, idle and host apart; None if any of it is unknown."""
    parts = [part.energy_j for part in _working(chip, demand)]
    return None if None in parts else total_of(part for part in parts if part is not None)


def known_working_j(chip: Chip, demand: Demand) -> Range:
    """What arithmetic and movement cost as far as it is known."""
    parts = [part.energy_j for part in _working(chip, demand)]
    return total_of(part for part in parts if part is not None) or _NOTHING


def chip_w(chip: Chip, demand: Demand, seconds: float) -> float | None:
    """Average power of a chip that does so much in so long, the host apart; None if any of it is unknown."""
    working, power = working_j(chip, demand), chip.power
    if power is None or power.base_w is None or not seconds or (working is None and _working(chip, demand)):
        return None
    return power.base_w.value + (0.0 if working is None else working.value / seconds)


def phases_of(
    chip: Chip, total: Energy, spent: Mapping[Phase, tuple[int, Range]], copy_ticks: int
) -> tuple[PhaseEnergy, ...]:
    """The energy of a portion by phase: the same joules, divided another way.

    Args:
        chip: as for `energy_of`.
        total: of the portion.
        spent: (ticks, joules of arithmetic and movement that are known) of each phase.
        copy_ticks: time of copies between host and device, in which the chip idles.
    """
    power = chip.power or Power()
    is_host_known = power.host_w is not None
    phases: list[PhaseEnergy] = []
    copies: list[tuple[Phase | str, int, Range]] = [("copies", copy_ticks, _NOTHING)] if copy_ticks else []
    for name, ticks, working in (*((n, t, w) for n, (t, w) in spent.items() if t), *copies):
        seconds = ticks / chip.clock_hz
        idle = None if power.base_w is None else joules(power.base_w, seconds)
        host = None if power.host_w is None else joules(power.host_w, seconds)
        drawn = None
        if total.average_w is not None and idle is not None:
            drawn = (working + idle).times(1 / seconds)
        wall = None
        if drawn is not None and is_host_known and host is not None:
            wall = drawn + host.times(1 / seconds)
        phases.append(PhaseEnergy(name, ticks, working, idle, host, drawn, wall))  # pyright: ignore[reportArgumentType]
    return tuple(sorted(phases, key=lambda phase: -phase.ticks))


def energy_of(chip: Chip, demand: Demand, seconds: float) -> Energy:
    """Energy by consumer.

    Args:
        chip: with or without `Chip.power`.
        demand: of all kernels.
        seconds: from the first to the last.
    """
    power = chip.power or Power()
    parts = [*_working(chip, demand)]
    parts.append(EnergyPart("idle", "idle", None if power.base_w is None else joules(power.base_w, seconds)))
    on_chip = [part.energy_j for part in parts]
    parts.append(EnergyPart("host", "host", None if power.host_w is None else joules(power.host_w, seconds)))
    average = None
    if seconds > 0 and None not in on_chip:
        drawn = total_of(part for part in on_chip if part is not None)
        average = None if drawn is None else drawn.times(1 / seconds)
    wall = None
    if average is not None and power.host_w is not None:
        wall = average + joules(power.host_w, 1.0)
    total = total_of(part.energy_j for part in parts if part.energy_j is not None)
    return Energy(tuple(parts), total, average, power.limit_w, wall)


def _working(chip: Chip, demand: Demand) -> list[EnergyPart]:
    """Arithmetic by engine, then movement by link.

    A link without an energy of its own is left out, unless it leads to main memory: fitted energies of
    arithmetic and of main memory contain the caches and buffers on the way.
    """
    power = chip.power or Power()
    by_engine: dict[str, list[tuple[Fact | None, int]]] = {}
    for name, count in demand.macs:
        by_engine.setdefault(chip.multiplier(name), []).append((power.mac_j.get(name), count))
    parts = [EnergyPart(engine, "matrix", _sum_known(known)) for engine, known in by_engine.items()]
    lanes = sum(count for _, count in demand.lane_operations)
    if lanes:
        parts.append(EnergyPart("lanes", "vector", _sum_known([(power.lane_operation_j, lanes)])))
    main = {*chip.load.links[:1], *chip.store.links[:1]}
    for name, moved in demand.traffic_bytes:
        per_byte = power.byte_j.get(name)
        if per_byte is not None or name in main:
            role = "memory" if name in main else "link"
            parts.append(EnergyPart(name, role, _sum_known([(per_byte, moved)])))
    return parts


def _sum_known(amounts: list[tuple[Fact | None, int]]) -> Range | None:
    """Facts times amounts, added; None if a fact is missing."""
    known = [joules(fact, amount) for fact, amount in amounts if fact is not None]
    return total_of(known) if len(known) == len(amounts) else None
