"""The tour runs from top to bottom and prints what the page says.

After a change that is meant: ``python -m tests.docs.blocks docs/tour.md`` writes the outputs anew.
"""

from __future__ import annotations

import importlib.util

import pytest

from anychip.errors import MissingTool
from tests.docs.blocks import ROOT, normal, printed, python_blocks

PAGE = ROOT / "docs" / "tour.md"


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the tour captures from PyTorch")
def test_tour(capsys):
    blocks = python_blocks(PAGE)
    assert len(blocks) == 9
    namespace = {}
    for block in blocks[:-1]:
        assert block.expected is not None
        assert normal(printed(block, namespace)) == normal(block.expected), f"{PAGE}:{block.line}"
    silicon = blocks[-1]
    try:
        output = printed(silicon, namespace)
    except MissingTool as error:
        pytest.skip(f"all but the RTL passed: {error}")
    assert normal(output) == normal(silicon.expected or "")
