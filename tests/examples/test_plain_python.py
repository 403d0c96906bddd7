"""The examples are ordinary scripts: they run under plain Python and know nothing of anychip."""

from __future__ import annotations

import ast
import math

import pytest

from tests.examples.scripts import ALL, EXAMPLES, execute, identify, on_cpu, require, results, words


def test_every_script_is_listed():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {example.script for example in ALL}


@pytest.mark.parametrize("example", ALL, ids=identify)
def test_does_not_import_anychip(example):
    tree = ast.parse((EXAMPLES / example.script).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [name for name in imported if name.split(".")[0] == "anychip"]


@pytest.mark.slow
@pytest.mark.parametrize("example", [e for e in ALL if e.cpu], ids=identify)
def test_runs_on_the_cpu(example):
    require(example)
    found = on_cpu(example)
    for name in example.metrics:
        assert found[name], f"{example.script} printed no {name}"
        assert all(math.isfinite(number) for number in found[name])


@pytest.mark.slow
def test_training_learns():
    """The transformer beats the best guess that ignores all context, which is the entropy of single bytes."""
    example = ALL[0]
    require(example)
    short = words("--steps 60 --batch 8 --layers 2 --width 128 --context 64 --lr 3e-3")
    losses = results(execute((str(EXAMPLES / example.script), *short)), ("loss", "validation loss"))
    assert losses["loss"][0] == pytest.approx(
        math.log(256), abs=0.3
    )  # at first all 256 bytes are equally likely
    assert losses["validation loss"][0] < 3.2  # the entropy is 3.26 nats
