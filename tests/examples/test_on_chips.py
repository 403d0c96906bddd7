"""The examples run unedited on simulated chips, and their results are those of the CPU up to the arithmetic.

Chips cast the operands of products to bf16, or the scripts ask for fp16 or bf16 on an accelerator, while the
CPU computes in fp32. A bf16 operand is off by at most 2**-9 of itself, and the metrics are means over many
sums of products, whose errors are of either sign. So a metric may differ by 2**-7 of itself, four times the
largest error of one operand; shares of correct answers by 1 in 20, for near ties that fall the other way.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.examples.scripts import ALL, ROOT, Example, identify, on_cpu, require, results

TRAINING = ("trn1", "h100", "graviton3")
INFERENCE = ("trn1", "inf2", "h100", "graviton3")
RELATIVE = 2**-7
SHARE = 1 / 20


@pytest.mark.slow
@pytest.mark.parametrize("example", ALL, ids=identify)
def test_results_are_those_of_the_cpu(example: Example):
    require(example)
    chips = INFERENCE if example.inference else TRAINING
    done = subprocess.run(
        (sys.executable, "-m", "tests.examples.on_chips", ",".join(chips), *example.command),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    runs = json.loads(done.stdout.splitlines()[-1])
    found = {chip: results(run["output"], example.metrics) for chip, run in runs.items()}
    expected = on_cpu(example) if example.cpu else found["graviton3"]
    for chip, run in runs.items():
        assert run["code"] == 0, f"{chip}: {run['output']}\n{done.stderr[-4000:]}"
        assert run["profile"]["chip"]["name"] == chip
        for name in example.metrics:
            tolerance = {"abs": SHARE} if name == "accuracy" else {"rel": RELATIVE}
            assert found[chip][name] == pytest.approx(expected[name], **tolerance), f"{name} on {chip}"
