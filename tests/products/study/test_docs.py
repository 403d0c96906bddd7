"""docs/rounding_study.md is computed from docs/rounding_study/study.json."""

from __future__ import annotations

import json
from pathlib import Path

from anychip.chips import find
from anychip.products.study.page import page
from anychip.products.study.pricing import Priced
from anychip.products.study.training import FULL, Plan, Trained
from anychip.profile.profile import Range

DOCS = Path(__file__).parents[3] / "docs"


def _priced(entry):
    ends = {name: None if entry[name] is None else Range(**entry[name]) for name in ("energy_j", "engines_j")}
    return Priced(**{**entry, **ends})


def test_the_page_is_computed_from_the_results():
    document = json.loads((DOCS / "rounding_study" / "study.json").read_text())
    plan = Plan(**{name: tuple(v) if isinstance(v, list) else v for name, v in document["plan"].items()})
    assert plan == FULL
    expected = page(
        plan,
        find(document["chip"]).title,
        [Trained(**{**each, "losses": tuple(each["losses"])}) for each in document["trained"]],
        [_priced(each) for each in document["steps"]],
        [_priced(each) for each in document["products"]],
    )
    expected = expected.replace("](", "](rounding_study/")
    # Where lines break is no part of what the page says.
    assert " ".join(expected.split()) in " ".join((DOCS / "rounding_study.md").read_text().split())
