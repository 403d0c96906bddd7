"""Piecewise: a unit that evaluates curves by a cubic for each segment of its argument, in fp32.

The argument's sign, exponent and leading significand bits choose a segment; the unit subtracts the segment's
centre and evaluates the segment's polynomial by Horner's rule with fused multiply-adds in fp32. Coefficients
are interpolated here at Chebyshev nodes, because no maker publishes its own: the error is that of a unit of
this kind, not bit for bit that of a chip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic.specified import SPECIFIED
from anychip.arithmetic.summation import add_to_odd
from anychip.errors import InvalidDescription, unknown_name
from anychip.facts import Fact, Source

Doubles = NDArray[np.float64]
Outside = Literal["exact", "clamp", "extrapolate"]

#: Exponent below which one polynomial through the origin serves.
_NEAR = -8
_PI = float(np.float32(math.pi))  # rounded up: the last segment holds pi
#: Magnitudes of positive and negative arguments beyond which fp32 results are 0, 1, -1, infinity or straight.
_TAILS: dict[str, tuple[float, float]] = {
    "exp": (88.7228, 104.0),
    "sigmoid": (32.0, 104.0),
    "softplus": (32.0, 104.0),
    "silu": (32.0, 128.0),
    "mish": (32.0, 128.0),
    "gelu": (16.0, 16.0),
    "gelu_tanh": (16.0, 16.0),
    "tanh": (16.0, 16.0),
    "erf": (8.0, 8.0),
}
_POSITIVE = frozenset(("log", "sqrt", "rsqrt"))
_PERIODIC = frozenset(("sin", "cos"))


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a unit's curve is valid.

    Args:
        curve: its name in `recipe.CURVES`.
        lowest: smallest magnitude of a valid argument; None: down to 0.
        highest: largest; None: the curve's tails are constants or straight, and exact.
        outside: what other arguments give: the exact value, that of the nearest valid argument, or the
            nearest segment's polynomial.
        source: of the range.
    """

    curve: str
    lowest: Fact | None
    highest: Fact | None
    outside: Outside
    source: Source

    def __post_init__(self) -> None:
        if self.curve not in SPECIFIED:
            raise unknown_name("curve of a piecewise unit", self.curve, SPECIFIED)
        if self.highest is None and self.curve not in _TAILS:
            raise InvalidDescription(
                f"piecewise {self.curve}: no largest argument, and its tail is neither constant nor straight;"
                " state highest"
            )
        if self.lowest is None and self.curve in _POSITIVE | {"reciprocal"}:
            raise InvalidDescription(f"piecewise {self.curve}: not finite at 0; state lowest")


@dataclass(frozen=True, slots=True)
class Piecewise:
    """A unit of cubic segments.

    Args:
        name: of the unit.
        domains: the curves it has; all others are evaluated exactly and rounded once.
        finest: a binade of the argument is cut into at most ``2**finest`` segments.
        tolerance: a binade is cut until no cubic is further from the curve than this, relative to the largest
            value of its segment.
        reduces_arguments: whether arguments of sine and cosine are brought into [-pi, pi] before.
        facts: what is known of the unit's inside.
    """

    name: str
    domains: tuple[Domain, ...]
    finest: int = 11
    tolerance: float = 2.0**-24
    reduces_arguments: bool = True
    facts: tuple[tuple[str, Fact], ...] = ()

    def domain(self, curve: str) -> Domain | None:
        """Where the unit has the curve; None if it does not."""
        return next((each for each in self.domains if each.curve == curve), None)

    def segments(self, curve: str) -> int:
        """How many polynomials the curve's table holds; 0 if the unit does not have it."""
        domain = self.domain(curve)
        if domain is None:
            return 0
        return len(_table(domain, self.finest, self.tolerance).centres)

    def evaluate(self, curve: str, x: Doubles) -> Doubles:
        """The unit's fp32 results for arguments that fp32 can hold, as doubles.

        Args:
            curve: one that the unit has.
            x: arguments.

        Raises:
            UnknownName: the unit does not have the curve.
        """
        domain = self.domain(curve)
        if domain is None:
            raise unknown_name(f"curve of {self.name}", curve, [each.curve for each in self.domains])
        x = _single(np.asarray(x, np.float64))
        with np.errstate(all="ignore"):
            exact = _single(SPECIFIED[curve](x))
        usual = np.isfinite(x) & (x != 0)
        x = np.where(usual, x, 1.0)
        if curve in _PERIODIC and self.reduces_arguments:
            x = np.where(np.abs(x) > _PI, _reduced(x), x)
        table = _table(domain, self.finest, self.tolerance)
        held = np.clip(np.abs(x), *table.range)
        inside = held == np.abs(x)
        argument = x if domain.outside == "extrapolate" else np.copysign(held, x)
        value = table.polynomial(np.copysign(held, x), argument)
        if curve in _POSITIVE:
            usual &= x > 0
        if domain.outside == "exact":
            limit = np.where(x < 0, table.negative, table.positive)
            usual &= inside & (np.abs(x) <= limit)
        return np.where(usual, value, exact)


@dataclass(frozen=True, slots=True)
class _Table:
    """Segments of one curve: polynomial s is the sum of ``coefficients[i][s] * t**i``.

    There `t` is the distance from ``centres[s]`` in segments, so that no coefficient leaves fp32. Binade e is
    cut into ``2**cuts[sign, e]`` segments, of which the first is ``first[sign, e]``. Segment 0 is the one
    around 0, where the domain reaches it.
    """

    range: tuple[float, float]
    positive: float
    negative: float
    lowest: int
    cuts: NDArray[np.int64]
    first: NDArray[np.int64]
    centres: Doubles
    coefficients: tuple[Doubles, ...]

    def polynomial(self, held: Doubles, x: Doubles) -> Doubles:
        """Horner's rule at `x` in the segment of `held`: fused multiply-adds, each rounded to fp32."""
        place, width = self.places(held)
        with np.errstate(all="ignore"):
            t = np.ldexp(_single(x - self.centres[place]), -width)
            total = self.coefficients[-1][place]
            for coefficient in self.coefficients[-2::-1]:
                total = _single(add_to_odd(total * t, coefficient[place]))
        return total

    def places(self, x: Doubles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The segment of each argument, which lies in the range, and the logarithm of its width."""
        fraction, above = np.frexp(np.abs(x))
        exponent = above.astype(np.int64) - 1
        row = np.clip(exponent - self.lowest, 0, self.cuts.shape[1] - 1)
        sign = np.signbit(x).astype(np.int64)
        within = np.ldexp(2.0 * fraction - 1.0, self.cuts[sign, row]).astype(np.int64)
        last = np.where(sign == 1, len(self.centres), self.first[1, 0]) - 1
        place = np.minimum(self.first[sign, row] + within, last)
        near = exponent < self.lowest
        return np.where(near, 0, place), np.where(near, self.lowest, exponent - self.cuts[sign, row])


@lru_cache(maxsize=256)
def _table(domain: Domain, finest: int, tolerance: float) -> _Table:
    function = SPECIFIED[domain.curve]
    low = domain.lowest.value if domain.lowest else 0.0
    tails = _TAILS.get(domain.curve, (math.inf, math.inf))
    if domain.highest is not None:
        tails = (domain.highest.value, domain.highest.value)
    lowest = _NEAR if low == 0.0 else math.frexp(low)[1] - 1
    made: list[tuple[Doubles, ...]] = []
    if low == 0.0:
        reach = 2.0**_NEAR
        made.append(_fitted(function, np.array([[0.0, reach, -reach, reach / 2]]), np.zeros(1), reach))
    count = sum(len(each[0]) for each in made)
    binades = max(math.frexp(tail)[1] - 1 for tail in tails) - lowest + 1
    cuts, first = np.zeros((2, binades), np.int64), np.zeros((2, binades), np.int64)
    for sign, tail in ((0, tails[0]), (1, tails[1])):
        if sign == 1 and domain.curve in _POSITIVE:
            first[1] = count
            continue
        cut = 0
        for row in range(binades):
            first[sign, row] = count
            bottom = 2.0 ** (lowest + row)
            if bottom >= tail:
                cuts[sign, row] = cuts[sign, row - 1]
                continue
            cut, segments = _binade(function, bottom, tail, sign == 1, max(cut - 1, 0), finest, tolerance)
            cuts[sign, row] = cut
            count += len(segments[0])
            made.append(segments)
    columns = tuple(np.concatenate([each[i] for each in made]) for i in range(5))
    return _Table((low, max(tails)), *tails, lowest, cuts, first, columns[0], columns[1:])


def _binade(
    function: Callable[[Doubles], Doubles],
    bottom: float,
    top: float,
    negative: bool,
    cut: int,
    finest: int,
    tolerance: float,
) -> tuple[int, tuple[Doubles, ...]]:
    """The fewest segments of [bottom, 2 bottom) that keep the tolerance: their logarithm, and themselves."""
    nodes = (1.0 - np.cos((2.0 * np.arange(4) + 1.0) * (np.pi / 8.0))) / 2.0
    probes = np.linspace(0.0, 1.0, 9)
    while True:
        width = bottom / (1 << cut)
        edges = bottom + width * np.arange(1 << cut)
        edges = edges[edges < top]
        ends = np.minimum(edges + width, top)
        spans = ends - edges
        sign = -1.0 if negative else 1.0
        centres = _single(sign * (edges + spans / 2.0))
        segments = _fitted(function, sign * (edges[:, None] + spans[:, None] * nodes), centres, width)
        at = sign * (edges[:, None] + spans[:, None] * probes)
        with np.errstate(all="ignore"):
            wanted = function(at)
            t = (at - centres[:, None]) / width
            found = np.zeros_like(t)
            for coefficient in segments[:0:-1]:
                found = found * t + coefficient[:, None]
        largest = np.maximum(np.abs(wanted).max(axis=1, keepdims=True), 2.0**-126)
        if cut >= finest or bool((np.abs(found - wanted) <= tolerance * largest).all()):
            return cut, segments
        cut += 1


def _fitted(
    function: Callable[[Doubles], Doubles], nodes: Doubles, centres: Doubles, unit: float
) -> tuple[Doubles, Doubles, Doubles, Doubles, Doubles]:
    """Centres and fp32 coefficients of the cubics through four nodes a segment, by divided differences.

    The argument is measured from the centre, in multiples of `unit`.
    """
    u0, u1, u2, u3 = ((nodes[:, i] - centres) / unit for i in range(4))
    with np.errstate(all="ignore"):
        f0, f1, f2, f3 = (function(nodes[:, i].copy()) for i in range(4))
        f01, f12, f23 = (f1 - f0) / (u1 - u0), (f2 - f1) / (u2 - u1), (f3 - f2) / (u3 - u2)
        f012, f123 = (f12 - f01) / (u2 - u0), (f23 - f12) / (u3 - u1)
        third = (f123 - f012) / (u3 - u0)
        second = f012 - third * (u0 + u1 + u2)
        linear = f01 - f012 * (u0 + u1) + third * (u0 * u1 + u0 * u2 + u1 * u2)
        constant = f0 - f01 * u0 + f012 * u0 * u1 - third * u0 * u1 * u2
    return centres, _single(constant), _single(linear), _single(second), _single(third)


def _single(values: Doubles) -> Doubles:
    """Doubles rounded to fp32."""
    with np.errstate(all="ignore"):
        return np.asarray(values, np.float64).astype(np.float32).astype(np.float64)


def _reduced(x: Doubles) -> Doubles:
    """The fp32 value nearest to what `x` leaves after whole turns, in [-pi, pi]."""
    from anychip.arithmetic.specified import cos, sin

    with np.errstate(all="ignore"):
        return _single(np.arctan2(sin(x), cos(x)))


_READ = "2026-10-19"
_PUBLISHED = Source(
    "published", "AWS Neuron SDK 2.32, NKI activation functions of the Scalar engine: valid ranges", _READ
)
_UNPUBLISHED = Source("assumed", "no range published for this function: everywhere in fp32", "2026-11-28")
#: (curve, lowest as a power of two, highest), of AWS's table.
_NEURON_RANGES = (
    ("log", -64, 2.0**64),
    ("sqrt", -116, 2.0**118),
    ("rsqrt", -87, 2.0**97),
    ("reciprocal", -42, 2.0**42),
)


def neuron_scalar_engine(*, reduces_arguments: bool = True) -> Piecewise:
    """The Scalar engine of Inferentia2 and Trainium, as far as it is published.

    AWS says that it evaluates piecewise polynomials, and in which ranges they are valid. That sine is not
    clamped, and gives about 27.65 at 9.0, is what a cubic about pi gives there: hence the degree. How many
    segments there are, their coefficients, and the order of operations are assumed.

    Args:
        reduces_arguments: True for what PyTorch's operators mean, whose compiler brings arguments of sine
            into its range (assumed); False for the bare instruction.
    """
    domains = [
        Domain(
            curve,
            Fact(2.0**lowest, "1", _PUBLISHED),
            Fact(highest, "1", _PUBLISHED),
            "clamp",
            _PUBLISHED,
        )
        for curve, lowest, highest in _NEURON_RANGES
    ]
    sine = Domain("sin", None, Fact(_PI, "1", _PUBLISHED), "extrapolate", _PUBLISHED)
    cosine = Source("assumed", "the range that is published for sine", "2026-11-28")
    domains += [sine, replace(sine, curve="cos", highest=Fact(_PI, "1", cosine), source=cosine)]
    domains += [Domain(curve, None, None, "exact", _UNPUBLISHED) for curve in _TAILS]
    degree = Source(
        "derived", "the published sin(9.0) = 27.65 is a cubic about pi, -t + t**3 / 6, at 9.0", "2026-11-28"
    )
    cut = Source("assumed", "segments fine enough for half a unit of fp32 in the last place", "2026-11-28")
    return Piecewise(
        "neuron-scalar-engine",
        tuple(domains),
        reduces_arguments=reduces_arguments,
        facts=(("degree", Fact(3, "1", degree)), ("tolerance", Fact(2.0**-24, "1", cut))),
    )
