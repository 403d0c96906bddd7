"""The page asks nothing of the network and is well formed."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from anychip.profile.page import fragment_of, page_of
from anychip.programs.graph import Memory
from tests.profile import workload
from tests.profile.test_summarize import CHIP, profile_of


@pytest.mark.parametrize("graph", [*map(workload.graph, (0, 1, 4)), workload.forward_graph()])
def test_a_page_is_well_formed_and_self_contained(graph) -> None:
    page = page_of(profile_of(graph))
    outside = re.findall(r"""(?:src|href|url|@import)\s*[=(]""", page)
    assert outside == []
    assert "http:" not in page.replace("http-equiv", "")
    assert "<script" not in page
    body = page[page.index("<main") : page.index("</main>") + len("</main>")]
    pictures = ElementTree.fromstring(body).iter("svg")
    assert [picture.get("aria-label") for picture in pictures] == [
        "how the time divides",
        "timeline",
        "roofline",
        "energy",
        "power",
    ]


def test_names_of_modules_cannot_break_out() -> None:
    profile = profile_of()
    profile = replace(profile, workload="<script>alert(1)</script>.py")
    assert "<script" not in page_of(profile)


def test_an_unknown_energy_leaves_its_picture_out() -> None:
    page = page_of(profile_of(chip=CHIP.altered(power=None)))
    assert 'aria-label="energy"' not in page
    assert 'aria-label="power"' not in page
    assert "no energies of this chip are known" in page


def test_a_model_that_does_not_fit_is_warned_about() -> None:
    graph = replace(workload.graph(), memory=Memory(peak_bytes=9 * 2**30))
    assert "Does not fit by 5 GiB: 3 chips would hold it." in page_of(profile_of(graph))


def test_a_notebook_gets_the_same_without_a_page() -> None:
    profile = profile_of()
    assert profile._repr_html_() == fragment_of(profile)
    assert "<html" not in fragment_of(profile)
