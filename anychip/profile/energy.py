"""Joules: demand times the chip's energy Facts, as ranges."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from anychip.chips import Chip, Power
from anychip.facts import Fact
from anychip.profile.profile import Energy, EnergyPart, Range
from anychip.programs.program import Demand


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
    total = total_of(part.energy_j for part in parts if part.energy_j is not None)
    return Energy(tuple(parts), total, average, power.limit_w)


def _working(chip: Chip, demand: Demand) -> list[EnergyPart]:
    power = chip.power or Power()
    parts: list[EnergyPart] = []
    if demand.macs:
        known = [(power.mac_j.get(name), count) for name, count in demand.macs]
        spent = None
        if all(fact is not None for fact, _ in known):
            spent = total_of(joules(fact, count) for fact, count in known if fact is not None)
        parts.append(EnergyPart(chip.matrix_name, "matrix", spent))
    lanes = sum(count for _, count in demand.lane_operations)
    if lanes:
        per_lane = power.lane_operation_j
        parts.append(EnergyPart("lanes", "vector", None if per_lane is None else joules(per_lane, lanes)))
    main = {chip.load.links[0], chip.store.links[0]} if chip.load.links and chip.store.links else set[str]()
    for name, moved in demand.traffic_bytes:
        per_byte = power.byte_j.get(name)
        role = "memory" if name in main else "link"
        parts.append(EnergyPart(name, role, None if per_byte is None else joules(per_byte, moved)))
    return parts
