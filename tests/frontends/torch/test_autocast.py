"""CUDA's operator lists of mixed precision, against the header that ships with PyTorch."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from anychip.frontends.torch import autocast
from anychip.frontends.torch.device import install

install()
HEADER = Path(torch.__file__).parent / "include/ATen/autocast_mode.h"


def listed(macro: str) -> set[str]:
    text = HEADER.read_text().split(f"#define {macro}(_)")[1].split("\n\n")[0]
    return {
        ".".join(word.strip() for word in entry.split(",")) for entry in re.findall(r"_\(([\w, ]+)\)", text)
    }


@pytest.mark.skipif(not HEADER.exists(), reason="this PyTorch ships no headers")
@pytest.mark.parametrize(
    ("macro", "ours"),
    [
        ("AT_FORALL_LOWER_PRECISION_FP", autocast.LOWER_PRECISION),
        ("AT_FORALL_FP32", autocast.FP32),
        ("AT_FORALL_FP32_SET_OPT_DTYPE", autocast.FP32_RESULT),
        ("AT_FORALL_PROMOTE", autocast.WIDEST),
    ],
)
def test_lists_are_the_headers(macro: str, ours: frozenset[str]) -> None:
    assert listed(macro) == set(ours)


def test_precision_follows_cuda_not_the_cpu() -> None:
    x = torch.randn(4, 4).to("anychip")
    with torch.autocast("anychip", dtype=torch.float16):
        y = x @ x
        assert y.dtype is torch.float16
        assert y.softmax(-1).dtype is torch.float32
        assert torch.nn.functional.layer_norm(y, (4,)).dtype is torch.float32
        assert y.sum().dtype is torch.float32
        assert y.norm().dtype is torch.float32
        assert (y + x).dtype is torch.float32
        assert torch.relu(y).dtype is torch.float16
        with pytest.raises(RuntimeError, match="unsafe to autocast"):
            torch.nn.functional.binary_cross_entropy(y.sigmoid(), y.sigmoid())
        with torch.autocast("anychip", enabled=False):
            assert (x @ x).dtype is torch.float32


def test_a_weight_is_cast_once_in_a_region() -> None:
    from anychip.frontends.torch.capture import Capture

    layer = torch.nn.Linear(4, 4).to("anychip")
    x = torch.randn(2, 4).to("anychip")
    with Capture() as capture, torch.autocast("anychip", dtype=torch.bfloat16):
        layer(layer(x))
    casts = [n for s in capture.graph().segments for n in s.nodes if n.operator == "aten._to_copy.default"]
    assert len(casts) == 3, "the weight, the bias and the input, each once"
