"""The examples of CONTRIBUTING.md run as they are written."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.docs.blocks import ROOT, python_blocks

BLOCKS = python_blocks(ROOT / "CONTRIBUTING.md")


def test_there_are_examples():
    assert len(BLOCKS) == 4


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line{block.line}")
def test_example_runs(block):
    """In a process of its own: one of them registers an operator."""
    done = subprocess.run(
        (sys.executable, "-c", block.code), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
