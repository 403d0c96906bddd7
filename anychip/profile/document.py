"""A Profile as JSON, for programs: the schema is documented in docs/json.md and carries a version."""

from __future__ import annotations

import json
from typing import Any

from anychip import __version__
from anychip.profile.division import PARTS, Division
from anychip.profile.profile import Energy, Layer, Portion, Profile, Range, is_above

#: Name and version; the version rises when a field changes its meaning or disappears.
SCHEMA = "anychip.profile/1"


def json_of(profile: Profile) -> str:
    """The document as text, keys in documented order."""
    return json.dumps(document_of(profile), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def document_of(profile: Profile) -> dict[str, Any]:
    """The document as plain data: seconds, bytes, joules, USD; None where unknown."""
    memory = profile.memory
    return {
        "schema": SCHEMA,
        "anychip_version": __version__,
        "workload": profile.workload,
        "chip": {
            "name": profile.chip,
            "title": profile.chip_title,
            "cores": profile.cores,
            "cores_used": profile.cores_used,
            "clock_hz": profile.clock_hz,
        },
        "numerics": profile.numerics,
        "with_values": profile.with_values,
        "unit": _portion(profile, profile.unit),
        "whole": _portion(profile, profile.whole),
        "first": None if profile.first is None else _portion(profile, profile.first),
        "setup": None if profile.setup is None else _portion(profile, profile.setup),
        "passes": [
            {
                "kind": group.kind,
                "count": group.count,
                "items": group.items,
                "tokens": group.tokens,
                "seconds": profile.seconds(group.ticks),
                "chip_w": _range(group.energy.average_w),
                "wall_w": _range(group.energy.wall_w),
                "is_above_limit": group.energy.is_above_limit,
            }
            for group in profile.passes
        ],
        "bound_by": profile.bound_by,
        "memory": {
            "peak_bytes": memory.peak_bytes,
            "capacity_bytes": memory.capacity_bytes,
            "fits": memory.fits,
            "over_bytes": memory.over_bytes,
            "chips_needed": memory.chips_needed,
            "by_kind_bytes": dict(memory.by_kind),
            "by_module_bytes": dict(memory.by_module),
        },
        "roof": {
            "macs_per_second": dict(profile.roof.macs_per_second),
            "bytes_per_second": profile.roof.bytes_per_second,
        },
        "rests_on": dict(profile.rests_on),
        "chip_semantics": profile.chip_semantics,
        "host_order": dict(profile.host_order),
        "notes": list(profile.notes),
    }


def _portion(profile: Profile, portion: Portion) -> dict[str, Any]:
    seconds = profile.seconds
    total = portion.division.total
    cost = portion.cost
    return {
        "name": portion.name,
        "count": portion.count,
        "ticks": total,
        "seconds": seconds(total),
        "seconds_each": seconds(total / portion.count),
        "division_ticks": _division(portion.division),
        "engines": [
            {
                "name": use.name,
                "role": use.role,
                "busy_ticks": use.busy_ticks,
                "waits_ticks": dict(use.waits),
                "not_asked_ticks": use.not_asked_ticks,
                "busy_share": use.busy_ticks / total if total else 0.0,
            }
            for use in portion.engines
        ],
        "links": [
            {
                "name": use.name,
                "role": use.role,
                "moved_bytes": use.moved_bytes,
                "peak_bytes_per_second": use.peak_bytes_per_second,
            }
            for use in portion.links
        ],
        "macs": dict(portion.macs),
        "lane_operations": portion.lane_operations,
        "host_operations": portion.host_operations,
        "phases_ticks": dict(portion.phases),
        "to_device_bytes": portion.to_device_bytes,
        "to_host_bytes": portion.to_host_bytes,
        "items": portion.items,
        "tokens": portion.tokens,
        "energy": _energy(profile, portion.energy),
        "cost": None
        if cost is None
        else {
            "usd": cost.usd,
            "instance": cost.instance,
            "chip_share": float(cost.chip_share),
            "hourly_usd": cost.hourly_usd.value,
            "price_source": cost.hourly_usd.source.where,
        },
        "layers": [_layer(layer) for layer in portion.layers],
    }


def _division(division: Division) -> dict[str, int]:
    return {part: getattr(division, part) for part in PARTS}


def _energy(profile: Profile, energy: Energy) -> dict[str, Any]:
    limit = energy.limit_w
    return {
        "total_j": _range(energy.total_j),
        "average_w": _range(energy.average_w),
        "wall_w": _range(energy.wall_w),
        "idle_share": energy.share_of("idle"),
        "host_share": energy.share_of("host"),
        "limit_w": None if limit is None else limit.value,
        "is_above_limit": energy.is_above_limit,
        "unknown": list(energy.unknown),
        "parts": [
            {"name": part.name, "role": part.role, "energy_j": _range(part.energy_j)} for part in energy.parts
        ],
        "phases": [
            {
                "name": phase.name,
                "seconds": profile.seconds(phase.ticks),
                "working_j": _range(phase.working_j),
                "idle_j": _range(phase.idle_j),
                "host_j": _range(phase.host_j),
                "chip_w": _range(phase.chip_w),
                "wall_w": _range(phase.wall_w),
                "is_above_limit": is_above(phase.chip_w, limit),
            }
            for phase in energy.phases
        ],
    }


def _range(value: Range | None) -> dict[str, float] | None:
    return None if value is None else {"low": value.low, "value": value.value, "high": value.high}


def _layer(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "count": layer.count,
        "source": layer.source,
        "ticks": layer.division.total,
        "division_ticks": _division(layer.division),
        "phases_ticks": dict(layer.phases),
        "bound_by": layer.bound_by,
        "macs": layer.macs,
        "moved_bytes": layer.moved_bytes,
        "energy_j": _range(layer.energy_j),
        "parts": [_layer(part) for part in layer.parts],
    }
