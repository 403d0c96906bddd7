"""The answer as JSON, and as a time estimate for schedulers."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from anychip.errors import InvalidInput
from anychip.products.choose.answer import Answer

SCHEMA = "anychip.choose/1"


def as_data(answer: Answer) -> dict[str, Any]:
    """Plain data, the same for the same answer; units are in the names."""
    return {
        "schema": SCHEMA,
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
    return json.dumps(as_data(answer), indent=2, sort_keys=True) + "\n"


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
            times.setdefault(candidate.instance, candidate.time_s.value * pieces)
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
    for name, data in (("old", old), ("new", new)):
        if data.get("schema") != SCHEMA:
            raise InvalidInput(
                f'{name} file: schema is {data.get("schema")!r}, not "{SCHEMA}"; export with --json'
            )
    before = {_key(entry): entry for entry in old["ranked"]}
    found: list[str] = []
    for entry in new["ranked"]:
        was = before.get(_key(entry))
        if was is None:
            continue
        for quantity in ("time_s", "energy_j", "cost_usd"):
            then, now = was[quantity], entry[quantity]
            if then and now and now["value"] > then["value"] * (1 + above):
                growth = now["value"] / then["value"] - 1
                found.append(
                    f"{entry['instance'] or entry['chip']} {entry['numerics']}: {quantity} "
                    f"{then['value']:.4g} to {now['value']:.4g} (+{growth:.1%})"
                )
    return found


def _key(entry: dict[str, Any]) -> tuple[Any, ...]:
    return (entry["chip"], entry["count"], entry["numerics"], entry["instance"])
