"""The unit of cubic segments: published behaviour, errors against mpmath, mistakes."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from anychip.arithmetic import Curves, Domain, Piecewise, evaluate, neuron_scalar_engine, traced
from anychip.arithmetic.recipe import apply
from anychip.errors import InvalidDescription, UnknownName
from anychip.facts import Fact, Source
from anychip.formats import bf16

UNIT = neuron_scalar_engine()
ASSUMED = Source("assumed", "a test", "2026-11-28")


def test_sine_is_not_clamped_as_published():
    """AWS: sin(9.0) gives about 27.65 on hardware."""
    bare = neuron_scalar_engine(reduces_arguments=False)
    assert bare.evaluate("sin", np.array([9.0, -9.0])) == pytest.approx([27.65, -27.65], abs=0.005)


def test_reduced_sine_serves_every_argument():
    x = np.float32([9.0, 1e3, -1e6, 3e38]).astype(np.float64)
    exact = [float(mpmath.sin(mpmath.mpf(v))) for v in x]
    assert UNIT.evaluate("sin", x) == pytest.approx(exact, abs=3e-7)


@pytest.mark.parametrize(
    ("curve", "exact", "points"),
    [
        ("exp", mpmath.exp, (-87.0, -1.0, 1e-4, 0.7, 88.7)),
        ("log", mpmath.log, (2.0**-64, 0.3, 1.7, 2.0**63.5)),
        ("sqrt", mpmath.sqrt, (2.0**-116, 3.0, 2.0**117.9)),
        ("rsqrt", lambda v: 1 / mpmath.sqrt(v), (2.0**-87, 5.0, 2.0**96.5)),
        ("reciprocal", lambda v: 1 / v, (2.0**-42, -7.0, -(2.0**41.9))),
        ("tanh", mpmath.tanh, (-9.0, -1e-5, 0.004, 2.5, 15.0)),
        ("gelu", lambda v: v * mpmath.ncdf(v), (-5.0, -1e-3, 1e-5, 0.5, 20.0)),
        ("silu", lambda v: v / (1 + mpmath.exp(-v)), (-20.0, -1e-3, 0.5, 90.0)),
    ],
)
def test_close_to_exact_inside_the_range(curve, exact, points):
    x = np.float32(points).astype(np.float64)
    found = UNIT.evaluate(curve, x)
    assert np.array_equal(found, found.astype(np.float32))  # fp32 results
    for value, result in zip(x, found, strict=True):
        true = exact(mpmath.mpf(float(value)))
        assert abs((mpmath.mpf(float(result)) - true) / true) < 2.0**-21


def test_outside_its_range_a_clamped_curve_stays_at_its_end():
    inside = UNIT.evaluate("reciprocal", np.array([2.0**42, -(2.0**-42)]))
    assert np.array_equal(UNIT.evaluate("reciprocal", np.array([1e30, -1e-30])), inside)


def test_zeros_infinities_and_nan_are_those_of_the_function():
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan])
    with np.errstate(all="ignore"):
        assert np.array_equal(UNIT.evaluate("exp", x), [1, 1, np.inf, 0, np.nan], equal_nan=True)
        assert np.array_equal(
            UNIT.evaluate("log", x), [-np.inf, -np.inf, np.inf, np.nan, np.nan], equal_nan=True
        )
        found = UNIT.evaluate("tanh", x)
    assert np.array_equal(found, [0, 0, 1, -1, np.nan], equal_nan=True)
    assert np.signbit(found[1])


def test_recipes_use_the_unit_and_round_what_it_lacks_correctly():
    recipe = traced(1, lambda x: (apply("exp", x), apply("expm1", x)))
    x = np.float32([0.3, -2.7])
    ours = evaluate(recipe, (x,), Curves(unit=UNIT))
    correct = evaluate(recipe, (x,))
    assert np.array_equal(ours[0], UNIT.evaluate("exp", x.astype(np.float64)))
    assert np.array_equal(ours[1], correct[1])


def test_mistakes():
    with pytest.raises(
        UnknownName, match=r'^unknown curve of neuron-scalar-engine "sinh"; did you mean sin\?'
    ):
        UNIT.evaluate("sinh", np.array([1.0]))
    with pytest.raises(InvalidDescription) as caught:
        Curves(format=bf16, unit=UNIT)
    assert str(caught.value) == (
        "curves: a table of bf16 and the unit neuron-scalar-engine; choose one of them"
    )
    with pytest.raises(InvalidDescription) as caught:
        Domain("log", Fact(1.0, "1", ASSUMED), None, "clamp", ASSUMED)
    assert str(caught.value) == (
        "piecewise log: no largest argument, and its tail is neither constant nor straight; state highest"
    )
    with pytest.raises(InvalidDescription) as caught:
        Domain("rsqrt", None, Fact(2.0, "1", ASSUMED), "clamp", ASSUMED)
    assert str(caught.value) == "piecewise rsqrt: not finite at 0; state lowest"
    with pytest.raises(
        UnknownName, match=r'^unknown curve of a piecewise unit "expo"; did you mean exp or exp2\?'
    ):
        Domain("expo", None, None, "exact", ASSUMED)


def test_coarser_units_err_more():
    coarse = Piecewise("coarse", (Domain("exp", None, None, "exact", ASSUMED),), finest=2)
    x = np.linspace(-5, 5, 101)
    exact = np.exp(np.float32(x).astype(np.float64))
    errors = [np.abs(unit.evaluate("exp", x) / exact - 1).max() for unit in (UNIT, coarse)]
    assert errors[0] < 2.0**-22 < 2.0**-14 < errors[1]
    assert coarse.segments("exp") < UNIT.segments("exp")
