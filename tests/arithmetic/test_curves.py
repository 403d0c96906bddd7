"""Curves against mpmath, and the same bits on every path."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from anychip import formats
from anychip.arithmetic import pointers, traced
from anychip.arithmetic.evaluation import evaluate
from anychip.arithmetic.recipe import apply
from anychip.arithmetic.specified import SPECIFIED
from anychip.formats import compiled

mp = mpmath.mp
EXACT = {
    "exp": mp.exp,
    "exp2": lambda v: mpmath.mpf(2) ** v,
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "log2": lambda v: mp.log(v, 2),
    "log10": mp.log10,
    "tanh": mp.tanh,
    "sigmoid": lambda v: 1 / (1 + mp.exp(-v)),
    "log_sigmoid": lambda v: -mp.log1p(mp.exp(-v)),
    "softplus": lambda v: mp.log1p(mp.exp(v)),
    "silu": lambda v: v / (1 + mp.exp(-v)),
    "mish": lambda v: v * mp.tanh(mp.log1p(mp.exp(v))),
    "gelu": lambda v: v * mp.erfc(-v / mp.sqrt(2)) / 2,
    "gelu_tanh": lambda v: v / (1 + mp.exp(-2 * mp.sqrt(2 / mp.pi) * (v + mpmath.mpf("0.044715") * v**3))),
    "erf": mp.erf,
    "erfc": mp.erfc,
    "normal_cdf": lambda v: mp.erfc(-v / mp.sqrt(2)) / 2,
    "rsqrt": lambda v: 1 / mp.sqrt(v),
    "reciprocal": lambda v: 1 / v,
    "sin": mp.sin,
    "cos": mp.cos,
    "sqrt": mp.sqrt,
}
#: Half-units in the last place of double precision; GELU by tanh amplifies its exponent's error by its size.
BOUND = {"gelu_tanh": 400.0}


def arguments() -> np.ndarray:
    random = np.random.default_rng(41)
    return np.concatenate(
        [
            random.integers(0, 1 << 32, 4000, dtype=np.uint32).view(np.float32),
            (random.standard_normal(4000) * 3).astype(np.float32),
            (1 + random.standard_normal(500) * 1e-3).astype(np.float32),
            np.float32([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1048576, -1048577, 3e38, 1e-45, 16, 0.25]),
        ]
    )


@pytest.mark.parametrize("name", SPECIFIED)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_double_result_is_close_to_exact(name: str) -> None:
    mp.dps = 40
    values = np.concatenate([arguments()[:120], arguments()[4000:4250], arguments()[8000:8050]])
    results = SPECIFIED[name](values.astype(np.float64))
    checked = 0
    for value, result in zip(values, results, strict=True):
        if not (np.isfinite(value) and np.isfinite(result)) or not 1e-45 < abs(result) < 1e39:
            continue
        exact = EXACT[name](mpmath.mpf(float(value)))
        if isinstance(exact, mpmath.mpc) or exact == 0:
            continue
        assert abs((mpmath.mpf(float(result)) - exact) / exact) * 2**53 < BOUND.get(name, 6.0), float(value)
        checked += 1
    assert checked > 100


@pytest.mark.parametrize("name", SPECIFIED)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_path_has_the_same_bits(name: str) -> None:
    values = arguments()
    expected = formats.fp32.round(SPECIFIED[name](values.astype(np.float64)))
    before = compiled.path()
    for path in compiled.paths()[:-1]:
        compiled.use(path)
        got = np.empty_like(values)
        assert pointers.curve(name, values.ctypes.data, got.ctypes.data, values.size)
        equal = (got.view(np.uint32) == expected.view(np.uint32)) | (np.isnan(got) & np.isnan(expected))
        assert equal.all(), (path, values[~equal][:4], got[~equal][:4], expected[~equal][:4])
    compiled.use(before)


@pytest.mark.parametrize("name", ["exp", "tanh", "erf", "gelu", "log", "sigmoid", "rsqrt", "sin"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_correctly_rounded_for_bf16(name: str) -> None:
    """Every 16th bf16 argument against mpmath; `anychip evidence curves` takes them all."""
    mp.dps = 40
    values = formats.bf16.decode(np.arange(0, 1 << 16, 16, dtype=np.uint16))
    values = values[np.isfinite(values) & (np.abs(values) < 1e4) & (np.abs(values) > 1e-6)]
    results = formats.bf16.round(SPECIFIED[name](values.astype(np.float64)))
    for value, result in zip(values, results, strict=True):
        if not np.isfinite(result):
            continue
        exact = EXACT[name](mpmath.mpf(float(value)))
        below, above = (formats.bf16.round(np.float64(exact), rounding=r) for r in (DOWN, UP))
        nearer = below if abs(exact - float(below)) < abs(exact - float(above)) else above
        assert result == nearer, float(value)


UP, DOWN = formats.Rounding.UP, formats.Rounding.DOWN


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_recipes_round_every_step(path: str) -> None:
    recipe = traced(2, lambda x, y: (x * y + 1.0) / apply("exp", x))
    random = np.random.default_rng(43)
    x, y = (random.standard_normal(1000).astype(np.float32) for _ in range(2))
    (result,) = evaluate(recipe, (x, y))
    product = (x.astype(np.float64) * y).astype(np.float32)
    total = product + np.float32(1)
    power = np.array([mp.exp(mpmath.mpf(float(v))) for v in x]).astype(np.float64).astype(np.float32)
    np.testing.assert_array_equal(result, total / power)
