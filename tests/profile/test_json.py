"""The documented schema is the one that is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from anychip.profile.document import SCHEMA, document_of
from tests.profile import workload
from tests.profile.test_summarize import CHIP, profile_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "json.md"


@pytest.fixture(scope="module")
def schema() -> dict:
    text = PAGE.read_text(encoding="utf-8")
    return json.loads(text.partition("```json\n")[2].partition("```")[0])


def test_the_schema_is_one(schema: dict) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == SCHEMA
    assert f"`{SCHEMA}`" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("graph", [*map(workload.graph, (0, 1, 4)), workload.forward_graph()])
def test_every_document_follows_it(schema: dict, graph) -> None:
    for profile in (profile_of(graph), profile_of(graph, chip=CHIP.altered(power=None))):
        jsonschema.validate(json.loads(json.dumps(document_of(profile))), schema)


def test_every_field_is_required_and_nothing_else_is_allowed(schema: dict) -> None:
    document = document_of(profile_of())
    for name in document:
        short = {key: value for key, value in document.items() if key != name}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(short, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "more": 1}, schema)


def test_times_add_up_in_the_document() -> None:
    document = document_of(profile_of())
    for portion in filter(None, (document[name] for name in ("unit", "whole", "first", "setup"))):
        assert sum(portion["division_ticks"].values()) == portion["ticks"]
        assert portion["seconds_each"] * portion["count"] == pytest.approx(portion["seconds"])
        for engine in portion["engines"]:
            spent = engine["busy_ticks"] + sum(engine["waits_ticks"].values()) + engine["not_asked_ticks"]
            assert spent == portion["ticks"]


def test_numbers_that_json_cannot_say_are_refused() -> None:
    from anychip.profile.document import json_of

    profile = profile_of()
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_of(replace(profile, chip_semantics=float("nan")))
