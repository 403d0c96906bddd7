"""Formats round torch tensors as they round arrays, pass gradients through, and work under torch.compile."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anychip.formats import bf16, by_name


@pytest.mark.parametrize("name", ["bf16", "fp16", "fp8_e4m3fn", "fp8_e5m2", "int8", "mxfp8_e4m3"])
def test_tensors_are_rounded_as_arrays_are(name: str) -> None:
    format = by_name(name)
    values = torch.randn(64, 64) * 100
    assert np.array_equal(format.round(values).numpy(), format.round(values.numpy()))
    strided = values.t()[::2]
    assert torch.equal(format.round(strided), format.round(strided.contiguous()))


def test_the_type_of_the_tensor_is_kept_and_bf16_is_torchs_own() -> None:
    values = torch.randn(1000)
    assert torch.equal(bf16.round(values), values.bfloat16().float())
    half = values.half()
    assert by_name("fp8_e4m3fn").round(half).dtype is torch.float16


def test_gradients_go_straight_through() -> None:
    values = torch.randn(16, requires_grad=True)
    (bf16.round(values) * 3).sum().backward()
    assert torch.equal(values.grad, torch.full((16,), 3.0))


def test_it_works_inside_torch_compile() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return bf16.round(x * 1.1).sum()

    values = torch.randn(32, requires_grad=True)
    compiled = torch.compile(function, backend="aot_eager")(values)
    assert torch.equal(compiled, function(values))
    compiled.backward()
    assert torch.equal(values.grad, torch.full((32,), 1.1))
