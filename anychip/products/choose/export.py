"""The answer as JSON, and as a time estimate for schedulers."""

from __future__ import annotations

import dataclasses
import json
from math import ceil
from typing import Any

from anychip import __version__
from anychip.errors import InvalidInput
from anychip.products.choose.answer import Answer

SCHEMA = "anychip.choose/1"


def as_data(answer: Answer) -> dict[str, Any]:
    """Plain data, the same for the same answer; units are in the names. See ``docs/choose.schema.json``."""
    return {
        "schema": SCHEMA,
        "anychip_version": __version__,
        "workload": answer.workload,
        "unit": answer.unit,
        "question": dataclasses.asdict(answer.question),
        "ranked": [
            {
                "place": r.place,
                "tied_with_first": r.tied,
                "pareto": r.pareto,
                **dataclasses.asdict(r.candidate),
            }
            for r in answer.ranked
        ],
        "excluded": [dataclasses.asdict(candidate) for candidate in answer.excluded],
        "why": list(answer.why),
        "prices": list(answer.prices),
    }


def as_json(answer: Answer) -> str:
    """Canonical JSON text."""
    return json.dumps(as_data(answer), indent=2, sort_keys=True, allow_nan=False) + "\n"


#: Columns of `rows_of` that are ranges in the answer.
_RANGES = ("time_s", "energy_j", "carbon_g", "cost_usd")
_PLAIN = (
    "instance",
    "cloud",
    "region",
    "chip",
    "count",
    "cores",
    "batch",
    "numerics",
    "hourly_usd",
    "bound_by",
)


def rows_of(answer: Answer) -> list[dict[str, Any]]:
    """One flat row a ranked candidate; a range is three columns, the value and its ends."""
    rows: list[dict[str, Any]] = []
    for ranked in answer.ranked:
        candidate = ranked.candidate
        row: dict[str, Any] = {"place": ranked.place, "tied_with_first": ranked.tied, "pareto": ranked.pareto}
        row |= {name: getattr(candidate, name) for name in _PLAIN}
        for name in _RANGES:
            span = getattr(candidate, name)
            row[name] = None if span is None else span.value
            row[f"{name}_low"] = None if span is None else span.low
            row[f"{name}_high"] = None if span is None else span.high
        rows.append(row)
    return rows


def sky_estimates(answer: Answer, pieces: int) -> str:
    """A Python file with a time estimator for SkyPilot tasks: seconds by instance type.

    Args:
        answer: what was found.
        pieces: how many steps or inferences the task runs.
    """
    times: dict[str, float] = {}
    for ranked in answer.ranked:
        candidate = ranked.candidate
        if candidate.instance is not None and candidate.time_s is not None:
            calls = ceil(pieces / candidate.pieces)
            times.setdefault(candidate.instance, candidate.time_s.value * calls)
    table = json.dumps(times, indent=4, sort_keys=True)
    return (
        f'"""Run times of {answer.workload} in seconds by instance type, predicted by anychip."""\n\n'
        f"SECONDS = {table}\n\n\n"
        "def estimate(resources):\n"
        '    """For ``task.set_time_estimator(estimate)``; an hour for instances without a prediction."""\n'
        "    return SECONDS.get(resources.instance_type, 3600)\n"
    )


def regressions(old: dict[str, Any], new: dict[str, Any], above: float) -> list[str]:
    """Candidates whose time, energy or cost grew by more than `above` (a fraction), as sentences.

    Raises:
        InvalidInput: one of the two is not an answer of `choose`.
    """
    before = {_key(entry): entry for entry in _entries("old", old)}
    after = _entries("new", new)
    found: list[str] = []
    common = 0
    for entry in after:
        was = before.get(_key(entry))
        if was is None:
            continue
        common += 1
        for quantity in _COMPARED:
            then, now = was[quantity], entry[quantity]
            if then and now and now["value"] > then["value"] * (1 + above):
                growth = now["value"] / then["value"] - 1
                found.append(
                    f"{entry['instance'] or entry['chip']} {entry['numerics']}: {quantity} "
                    f"{then['value']:.4g} to {now['value']:.4g} (+{growth:.1%})"
                )
    dropped = {_key(entry): entry for entry in new.get("excluded") or () if isinstance(entry, dict)}
    for key in before.keys() & dropped.keys():
        common += 1
        entry = dropped[key]
        name = entry["instance"] or entry["chip"]
        found.append(f"{name} {entry['numerics']}: excluded now: {entry['reason']}")
    if not common:
        raise InvalidInput("compare: the two answers have no candidate in common; nothing can be compared")
    return found


def _entries(name: str, data: dict[str, Any]) -> list[dict[str, Any]]:
    """The ranked candidates of an answer that was read from a file.

    Raises:
        InvalidInput: it is none.
    """
    if data.get("schema") != SCHEMA:
        raise InvalidInput(
            f'{name} file: schema is {data.get("schema")!r}, not "{SCHEMA}"; export with --json'
        )
    ranked = data.get("ranked")
    if not isinstance(ranked, list) or not all(isinstance(each, dict) for each in ranked):
        raise InvalidInput(f"{name} file: no list of ranked candidates; export it again with --json")
    for entry in ranked:
        for field in (*_KEY, *_COMPARED):
            if field not in entry:
                raise InvalidInput(f'{name} file: a candidate without "{field}"; export it again with --json')
    return ranked


#: What tells entries apart, and what must not grow.
_KEY = ("chip", "count", "batch", "numerics", "asked", "instance")
_COMPARED = ("time_s", "energy_j", "cost_usd")


def _key(entry: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(entry.get(field) for field in _KEY)
