"""docs/chips.md runs from top to bottom and prints what the page says."""

from __future__ import annotations

from typing import Any

from tests.docs.blocks import ROOT, normal, printed, python_blocks

PAGE = ROOT / "docs" / "chips.md"


def test_page() -> None:
    blocks = python_blocks(PAGE)
    assert len(blocks) >= 5
    namespace: dict[str, Any] = {}
    for block in blocks:
        assert block.expected is not None
        assert normal(printed(block, namespace)) == normal(block.expected), f"{PAGE}:{block.line}"
