"""Formats round torch tensors as they round arrays, pass gradients through, and work under torch.compile."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anychip.errors import InvalidInput
from anychip.formats import Rounding, bf16, by_name


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


def test_complex_and_sparse_tensors_are_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        bf16.round(torch.tensor([1 + 2j]))
    assert str(caught.value) == (
        "format bf16: values are complex64, not dense real numbers; convert them first"
    )
    with pytest.raises(InvalidInput) as caught:
        by_name("int8").round(torch.eye(2).to_sparse())
    assert str(caught.value) == (
        "format int8: values are sparse_coo, not dense real numbers; convert them first"
    )


def test_names_of_roundings_serve_where_no_random_bits_are_needed() -> None:
    values = torch.randn(100)
    assert torch.equal(bf16.round(values, rounding="up"), bf16.round(values, rounding=Rounding.UP))


def test_stochastic_rounding_keeps_its_gradient_and_its_bits() -> None:
    values = torch.randn(1000, requires_grad=True)
    rounded = bf16.round(values, rounding=Rounding.stochastic(seed=7))
    assert torch.equal(rounded, bf16.round(values, rounding=Rounding.stochastic(seed=7)))
    assert not torch.equal(rounded, bf16.round(values))
    rounded.sum().backward()
    assert torch.equal(values.grad, torch.ones(1000))


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
