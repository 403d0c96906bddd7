"""Scaled operands: blocks as the block-scaled formats have them, tensors without saturation, mistakes."""

from __future__ import annotations

import numpy as np
import pytest

from anychip import formats
from anychip.arithmetic import Scaling, contract, neuron
from anychip.arithmetic.scaling import Amaxes
from anychip.errors import InvalidDescription, UnknownName
from anychip.formats import CastRule, Float, fp8_e4m3fn

RULE = CastRule()


def _spread() -> np.ndarray:
    random = np.random.default_rng(3)
    return (random.standard_normal((7, 70)) * np.exp(random.uniform(-40, 40, (7, 70)))).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    ("element", "scaled"), [("fp8_e4m3fn", "mxfp8_e4m3"), ("fp8_e5m2", "mxfp8_e5m2"), ("fp4_e2m1", "mxfp4")]
)
def test_blocks_are_those_of_the_microscaling_formats(element: str, scaled: str, axis: int) -> None:
    format = formats.by_name(element)
    assert isinstance(format, Float)
    found = Scaling("block").read(_spread(), format, RULE, axis=axis, largest=0.0)
    wanted = formats.by_name(scaled).round(_spread(), axis=axis)  # type: ignore[call-arg]
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("largest", [448.0, 449.0, 3e38, 1e-30, 1.0])
def test_a_tensors_scale_is_the_largest_that_saturates_nothing(largest: float) -> None:
    values = np.float32([largest, largest / 3, 0.0])
    found = Scaling("tensor").read(values, fp8_e4m3fn, RULE, axis=0, largest=float(values[0]))
    assert np.all(np.abs(found - values) <= values / 16)
    coarser = Scaling("tensor").read(values, fp8_e4m3fn, RULE, axis=0, largest=float(values[0]) * 0.25)
    assert coarser[0] < values[0] / 2  # a scale four times as large saturates


def test_a_delayed_scale_looks_back_and_saturates_what_grew() -> None:
    amaxes, scaling = Amaxes(), Scaling("delayed", history=2)
    decided = []
    for step, largest in enumerate((1.0, 4.0, 2.0, 1.0, 1.0)):
        amaxes.begin_step(step)
        amaxes.begin_pass(model=1)
        decided.append(amaxes.decide(largest, scaling))
    assert decided == [1.0, 1.0, 4.0, 4.0, 2.0]
    grown = scaling.read(np.float32([4.0]), fp8_e4m3fn, RULE, axis=0, largest=1.0)
    assert grown.tolist() == [448.0 / 256.0]


def test_places_are_those_after_the_call_of_a_model() -> None:
    amaxes, scaling = Amaxes(), Scaling("delayed")
    amaxes.begin_pass(model=1)
    assert [amaxes.decide(v, scaling) for v in (1.0, 2.0)] == [1.0, 2.0]
    amaxes.begin_pass(model=2)
    assert amaxes.decide(8.0, scaling) == 8.0
    amaxes.begin_pass(model=1)
    assert [amaxes.decide(v, scaling) for v in (5.0, 5.0)] == [1.0, 2.0]
    amaxes.begin_step(0)
    assert amaxes.decide(3.0, scaling) == 3.0


def test_scaled_products_are_products_of_what_the_codes_stand_for() -> None:
    """Sums of scaled codes, scaled back, have the bits of sums of the values that were read."""
    random = np.random.default_rng(5)
    a, b = (random.standard_normal(s).astype(np.float32) for s in ((5, 300), (300, 4)))
    rule = neuron(3).contraction(formats.fp8_e4m3)
    read = [
        Scaling("tensor").read(x, formats.fp8_e4m3, RULE, axis=axis, largest=float(np.abs(x).max()))
        for x, axis in ((a, 1), (b, 0))
    ]
    scales = [np.float32(2.0**k) for k in (-5, 7)]
    codes = [x * s for x, s in zip(read, scales, strict=True)]
    assert np.array_equal(contract(*read, rule), contract(*codes, rule) / np.float32(4.0))


def test_mistakes() -> None:
    with pytest.raises(UnknownName) as unknown:
        Scaling("row")  # type: ignore[arg-type]
    assert str(unknown.value) == 'unknown scaling "row"; known: block, delayed, tensor'
    with pytest.raises(InvalidDescription) as caught:
        Scaling("block", block=0)
    assert str(caught.value) == "scaling per block: block is 0; choose at least 1"
