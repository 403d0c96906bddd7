"""The same as JSON: schema ``anychip.chips``, version 1, documented in docs/chips.md."""

from __future__ import annotations

from typing import Any

from anychip.blocks import Block
from anychip.chips import Chip, choices
from anychip.chips.instances import Instance, Market
from anychip.facts import Fact
from anychip.products.chips.comparison import Compared
from anychip.products.chips.quantities import formats, rent, unknown

SCHEMA, VERSION = "anychip.chips", 1


def wrapped_document(view: str, chips: list[dict[str, Any]]) -> dict[str, Any]:
    """The outermost object."""
    return {"schema": SCHEMA, "version": VERSION, "view": view, "chips": chips}


def summary(chip: Chip, market: Market) -> dict[str, Any]:
    """A chip in the list."""
    rented = rent(chip, market)
    limit = None if chip.power is None else chip.power.limit_w
    return {
        "name": chip.name,
        "title": chip.title,
        "vendor": chip.vendor,
        "kind": chip.kind,
        "aliases": list(chip.aliases),
        "cores": chip.cores,
        "peak_operations_per_second": {name: _peak(chip, name) for name in formats(chip)},
        "memory_bytes": chip.main_memory.capacity_bytes,
        "memory_bytes_per_second": chip.links[chip.load.links[0]].bytes_per_second,
        "limit_w": None if limit is None else limit.value,
        "usd_per_chip_hour": None if rented is None else rented[1].value,
        "instance": None if rented is None else rented[0].name,
        "note": chip.note,
    }


def full(chip: Chip, market: Market) -> dict[str, Any]:
    """Everything that `show` prints."""
    return summary(chip, market) | {
        "digest": chip.digest,
        "numerics": {
            "default": chip.numerics.name,
            "choices": {name: each.name for name, each in choices(chip).items()},
            "roundings": list(chip.roundings),
            "assumed": list(chip.numerics.assumed),
        },
        "facts": {name: fact_document(fact) for name, fact in chip.facts.items()},
        "blocks": {name: _block(block) for name, block in chip.blocks()},
        "policy": {name: fact_document(fact) for name, fact in chip.policy.facts.items()},
        "power": {}
        if chip.power is None
        else {name: fact_document(fact) for name, fact in chip.power.all_facts()},
        "instances": [_instance(instance) for instance in market.of_chip(chip.name)],
        "unknown": list(unknown(chip, market)),
    }


def comparison(entry: Compared) -> dict[str, Any]:
    """A chip of a comparison."""
    return {
        "name": entry.chip.name,
        "title": entry.chip.title,
        "peak_operations_per_second": {
            label: {"format": entry.formats[label], "value": value} for label, value in entry.peaks.items()
        },
        "achieved_operations_per_second": entry.achieved,
        "memory_bytes": entry.memory_bytes,
        "memory_bytes_per_second": entry.byte_per_s,
        "limit_w": entry.limit_w,
        "base_w": None if entry.base_w is None else fact_document(entry.base_w),
        "busy_w": None
        if entry.busy_w is None
        else dict(zip(("low", "value", "high"), entry.busy_w, strict=True)),
        "operation_j": {label: fact_document(fact) for label, fact in entry.operation_j.items()},
        "byte_j": None if entry.byte_j is None else fact_document(entry.byte_j),
        "instance": entry.instance,
        "usd_per_chip_hour": entry.usd_per_hour,
        "usd_per_petaflop_hour": entry.usd_per_petaflop_hour,
    }


def fact_document(fact: Fact) -> dict[str, Any]:
    """A fact with its range and source."""
    return {
        "value": fact.value,
        "unit": fact.unit,
        "low": fact.low,
        "high": fact.high,
        "kind": fact.source.kind,
        "where": fact.source.where,
        "read_on": fact.source.read_on,
    }


def _peak(chip: Chip, name: str) -> float:
    fact = chip.facts.get(f"peak.{name}")
    return 2 * chip.macs_per_second(name) if fact is None else fact.value


def _block(block: Block) -> dict[str, Any]:
    return {
        "type": type(block).__name__,
        "facts": {name: fact_document(fact) for name, fact in block.facts.items()},
    }


def _instance(instance: Instance) -> dict[str, Any]:
    return {
        "name": instance.name,
        "cloud": instance.cloud,
        "region": instance.region,
        "chips": float(instance.chips),
        "vcpus": instance.vcpus,
        "memory_gib": instance.memory_gib,
        "usd_per_hour": {term: fact_document(fact) for term, fact in instance.usd_per_hour.items()},
    }
