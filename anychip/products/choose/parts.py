"""CPUs are rented by the core: an instance as a chip of its own, with its share of what the socket shares.

Cores and memory of an instance are published. That it gets bandwidth of main memory, last-level cache and
idle power in proportion to its cores is assumed: clouds publish no partition of them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction

from anychip.blocks import Memory
from anychip.chips import Chip
from anychip.chips.instances import Instance, Term
from anychip.facts import Fact, Source

#: How many sizes of one CPU are ranked: the smallest that holds the workload, the whole socket, and between.
_SIZES = 3
#: AWS's families whose cores run at full speed only while credits last.
_BURSTABLE = re.compile(r"t\d")
_ASSUMED = Source("assumed", "in proportion to the cores rented; clouds publish no partition", "2026-11-28")


def part_of(chip: Chip, instance: Instance) -> Chip:
    """The part of a socket that an instance is; the chip itself where it carries all of one or more.

    Args:
        chip: a CPU.
        instance: that carries it, or part of it.
    """
    memory = _memory(chip, instance)
    share = instance.chips
    if share >= 1:
        return chip.altered(memories=memory)
    cores = max(1, round(chip.cores * share))
    links = {
        name: dataclasses.replace(link, bytes_per_second=link.bytes_per_second * float(share))
        if link.shared
        else link
        for name, link in chip.links.items()
    }
    memories = {
        name: dataclasses.replace(each, capacity_bytes=max(1, int(each.capacity_bytes * share)))
        if each.level == "shared"
        else each
        for name, each in memory.items()
    }
    power = chip.power
    if power is not None:
        limits = {
            name: None if (fact := getattr(power, name)) is None else _shared(fact, share)
            for name in ("base_w", "limit_w")
        }
        power = dataclasses.replace(power, **limits)
    return chip.altered(cores=cores, links=links, memories=memories, power=power, facts=chip.facts)


def _shared(fact: Fact, share: Fraction) -> Fact:
    scaled = fact.scaled(float(share))
    return dataclasses.replace(scaled, source=_ASSUMED)


def _memory(chip: Chip, instance: Instance) -> Mapping[str, Memory]:
    """The memories with the instance's own capacity where it is known."""
    if instance.memory_gib is None:
        return chip.memories
    sockets = max(Fraction(1), instance.chips)
    size = int(instance.memory_gib * 2**30 / sockets)
    return {
        name: dataclasses.replace(each, capacity_bytes=size) if each.level == "main" else each
        for name, each in chip.memories.items()
    }


def sizes_of(
    instances: Iterable[Instance], peak_bytes: int, term: Term, region: str | None
) -> list[Instance]:
    """Instances of one CPU worth ranking, small to large: the cheapest of each size that holds a workload.

    Args:
        instances: that carry the CPU.
        peak_bytes: what the workload needs.
        term: of the prices.
        region: of the prices; None for all.

    Returns:
        the smallest size, the whole socket, and what lies between; empty if none holds it or has a price.
    """
    cheapest: dict[Fraction, tuple[float, str, Instance]] = {}
    for each in instances:
        price = each.price(term)
        holds = each.memory_gib is None or each.memory_gib * 2**30 >= peak_bytes
        if price is None or each.chips > 1 or not holds or region not in (None, each.region):
            continue
        if _BURSTABLE.match(each.name):
            continue
        key = (price.value, each.name, each)
        if each.chips not in cheapest or key[:2] < cheapest[each.chips][:2]:
            cheapest[each.chips] = key
    sizes = [cheapest[share][2] for share in sorted(cheapest)]
    if len(sizes) <= _SIZES:
        return sizes
    first, last = float(sizes[0].chips), float(sizes[-1].chips)
    wanted = [first * (last / first) ** (step / (_SIZES - 1)) for step in range(_SIZES)]
    chosen = [min(sizes, key=lambda each: abs(float(each.chips) / want - 1)) for want in wanted]
    return [each for each in sizes if any(each is one for one in chosen)]
