"""Inference mode records the same operators as no_grad: composite ones are taken apart there too."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from anychip.frontends.torch.capture import Capture  # noqa: E402


def recorded(mode) -> list[str]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8))
    with Capture() as capture:
        model.to("anychip")
        x = torch.ones(2, 3, 4, 8).to("anychip")
        with mode():
            y = model(x)
            y = torch.nn.functional.scaled_dot_product_attention(y, y, y)
            y = torch.einsum("abij,abkj->abik", torch.softmax(y, -1), y)
            assert bool((y.sum() == y.numel()).logical_not())
            y.sum().item()
    graph = capture.graph()
    return [node.operator for index in graph.path for node in graph.segments[index].nodes]


def test_it_records_what_no_grad_records() -> None:
    inference = recorded(torch.inference_mode)
    assert inference == recorded(torch.no_grad)
    assert "aten.addmm.default" in inference
    assert "aten._scaled_dot_product_flash_attention_for_cpu.default" in inference
