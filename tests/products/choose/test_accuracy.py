"""What a script's results become in another arithmetic: the figure that counts, errors, overflow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anychip.errors import InvalidInput
from anychip.products.choose.accuracy import Accuracy, compared, last_figure, measured

SCRIPT = """
import torch
torch.manual_seed(0)
model = torch.nn.Linear(64, 1).cuda()
loss = model(torch.randn(8, 64).cuda()).square().mean()
loss.backward()
print(f"final loss {loss.item():.6f}")
print("that took 3.5 s")
"""


@pytest.mark.parametrize(
    ("printed", "figure"),
    [
        ("step 3 loss 4.08\n", ("loss", 4.08)),
        ("loss: 2.5\naccuracy = 93.5 %\n", ("accuracy", 0.935)),
        ("validation loss 1.5e-3\nmedian 12.5 ms\n3 steps/s\n", ("validation loss", 1.5e-3)),
        ("epoch 3\n", None),
        ("", None),
    ],
)
def test_the_last_figure_that_is_a_result(printed: str, figure: tuple[str, float] | None) -> None:
    assert last_figure(printed) == figure


def test_errors_are_relative_to_the_reference() -> None:
    reference = ("loss 2.0", np.array([3.0, 4.0]))
    assert compared(reference, ("loss 2.5", np.array([3.0, 4.5]))) == Accuracy("loss", 2.5, 2.0, 0.1)
    assert compared(reference, ("other 2.5", np.array([3.0]))) == Accuracy(None, None, None, None)
    assert compared(reference, ("loss 2.5", np.array([3.0, np.inf]))).overflowed


def test_a_script_in_bf16_and_in_fp8_differs_from_the_reference_and_by_how_much(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    reference = measured(str(script), (), None, "")
    exact, bf16, fp8 = (
        compared(reference, measured(str(script), (), "h100", name)).output_error
        for name in ("fp32", "bf16", "fp8")
    )
    assert exact is not None
    assert bf16 is not None
    assert fp8 is not None
    assert exact < 1e-5 < bf16 < fp8 < 0.5


def test_a_script_that_fails_says_where(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import torch\ntorch.ones(2).cuda()\nraise ValueError('no data')\n")
    with pytest.raises(InvalidInput, match=r"failed in h100's arithmetic default: ValueError: no data$"):
        measured(str(script), (), "h100", "default")
