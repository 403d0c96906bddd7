"""Curves: the functions that lanes evaluate, in double precision, to be rounded once by the caller.

Every curve named in `recipe.CURVES` is here. Those of `specified.SPECIFIED` have the same bits everywhere;
the others take the host's mathematical library in double precision and are rounded once, so that they could
differ between hosts where the exact result lies within its error of a midpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic.piecewise import Piecewise
from anychip.arithmetic.specified import SPECIFIED
from anychip.errors import InvalidDescription, unknown_name
from anychip.formats import Float

Doubles = NDArray[np.float64]
Function = Callable[..., Doubles]

_SQRT_2 = math.sqrt(2)


def _each(function: Callable[[float], float]) -> Function:
    """A scalar function of the standard library over arrays; NaN where it is not defined."""

    def scalar(x: float) -> float:
        try:
            return function(x)
        except (ValueError, OverflowError):
            return math.nan

    return np.vectorize(scalar, otypes=[np.float64])


def _log_gamma(x: float) -> float:
    if x <= 0 and x == math.floor(x):
        return math.inf
    return abs(x) if math.isinf(x) else math.lgamma(x)


def _erfcx(x: float) -> float:
    if x < 25.0:
        return math.exp(x * x) * math.erfc(x) if x > -26.7 else math.inf
    y = 1.0 / (2.0 * x * x)
    return (1.0 - y * (1.0 - 3.0 * y * (1.0 - 5.0 * y))) / (x * math.sqrt(math.pi))


def _digamma(x: float) -> float:
    if math.isinf(x):
        return x if x > 0 else math.nan
    if x == 0:
        return math.copysign(math.inf, -x)
    if x < 0:
        if x == math.floor(x):
            return math.nan
        return _digamma(1.0 - x) - math.pi / math.tan(math.pi * math.fmod(x, 1.0))
    shifted = 0.0
    while x < 12.0:
        shifted -= 1.0 / x
        x += 1.0
    y = 1.0 / (x * x)
    # Asymptotic series, Abramowitz and Stegun 6.3.18.
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132 - y * 691 / 32760)))))
    return shifted + math.log(x) - 0.5 / x - series


def _normal_quantile(p: float) -> float:
    if not 0.0 < p < 1.0:
        return {0.0: -math.inf, 1.0: math.inf}.get(p, math.nan)
    return NormalDist().inv_cdf(p)


def _erfinv(x: float) -> float:
    if not -1.0 < x < 1.0:
        return {-1.0: -math.inf, 1.0: math.inf}.get(x, math.nan)
    y = NormalDist().inv_cdf((1.0 + x) / 2) / _SQRT_2 if abs(x) > 1e-3 else x * math.sqrt(math.pi) / 2
    for _ in range(2):  # Newton's correction restores the digits that (1 + x) / 2 loses
        y -= (math.erf(y) - x) * math.exp(y * y) * math.sqrt(math.pi) / 2
    return y


#: By the host's mathematical library, in full double precision: for fp64 lanes, and for curves that are not
#: specified operation by operation.
HOST: dict[str, Function] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "sin": np.sin,
    "cos": np.cos,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": _each(math.erf),
    "erfc": _each(math.erfc),
    "erfinv": _each(_erfinv),
    "pow": np.power,
    "lgamma": _each(_log_gamma),
    "digamma": _each(_digamma),
    "erfcx": _each(_erfcx),
    "normal_quantile": _each(_normal_quantile),
}
#: What lanes of at most fp32 evaluate.
FUNCTIONS: dict[str, Function] = {**HOST, **SPECIFIED}
#: Beyond the range that fp32 needs, specified curves clamp; fp64 lanes take these instead.
WIDE: dict[str, Function] = {**SPECIFIED, **HOST}


@dataclass(frozen=True, slots=True)
class Curves:
    """Which unit evaluates curves.

    Args:
        format: None: the exact value, rounded once. A format: a table with one entry for each of its codes;
            the argument is rounded to it, and so is the entry.
        unit: evaluates the curves that it has, in fp32; None: nothing does.

    Raises:
        InvalidDescription: a table and a unit at once.
    """

    format: Float | None = None
    unit: Piecewise | None = None

    def __post_init__(self) -> None:
        if self.format is not None and self.unit is not None:
            raise InvalidDescription(
                f"curves: a table of {self.format.name} and the unit {self.unit.name}; choose one of them"
            )

    @property
    def name(self) -> str:
        """What people call it."""
        if self.unit is not None:
            return self.unit.name
        return "correct" if self.format is None else f"{self.format.name} table"

    def is_exact(self, curve: str) -> bool:
        """Whether a curve is the exact value rounded once."""
        return self.format is None and (self.unit is None or self.unit.domain(curve) is None)

    def evaluate(self, curve: str, *arguments: Doubles) -> Doubles:
        """`curve` of the arguments, to be rounded once by the caller.

        Raises:
            UnknownName: no such curve.
        """
        if curve not in FUNCTIONS:
            raise unknown_name("curve", curve, FUNCTIONS)
        if self.unit is not None and not self.is_exact(curve):
            return self.unit.evaluate(curve, *arguments)
        table = self.format
        given = arguments if table is None else tuple(values_of(table.round(each)) for each in arguments)
        with np.errstate(all="ignore"):
            exact = np.asarray(FUNCTIONS[curve](*given), np.float64)
            return exact if table is None else values_of(table.round(exact))

    def evaluate_wide(self, curve: str, *arguments: Doubles) -> Doubles:
        """`curve` of fp64 values by the host's library, whatever the unit; raises as `evaluate`."""
        if curve not in WIDE:
            raise unknown_name("curve", curve, WIDE)
        with np.errstate(all="ignore"):
            return np.asarray(WIDE[curve](*arguments), np.float64)


CORRECT = Curves()


def values_of(array: NDArray[Any]) -> Doubles:
    """`array` as doubles, exact for every format but 64-bit integers."""
    with np.errstate(invalid="ignore"):
        return array.astype(np.float64)
