"""Curves: how far every unit's functions are from mpmath, in units in the last place.

A unit in the last place is the distance of two neighbours of the format at the exact result, and that of
subnormals below the smallest normal number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anychip import formats
from anychip.arithmetic.curves import HOST
from anychip.arithmetic.piecewise import Domain, neuron_scalar_engine
from anychip.arithmetic.specified import SPECIFIED
from anychip.formats import Float
from anychip.products.evidence.finding import Check, peer_library

Doubles = NDArray[np.float64]

#: Arguments of a curve that are compared with mpmath.
_SAMPLES = 2000
#: Arguments of a curve of a unit, which are compared with the double results.
_MANY = 1 << 18
#: Magnitudes of arguments worth drawing where the curve is defined everywhere.
_USUAL = (2.0**-20, 2.0**6)


def checks(*, everything: bool) -> Iterator[tuple[str, Check]]:
    """Every claim with its check; `everything` draws sixteen times as many fp32 arguments."""
    count = _SAMPLES * (16 if everything else 1)
    for name in sorted(SPECIFIED):
        yield f"{name}: correctly rounded for every bf16 and fp16 argument", lambda n=name: _narrow(n)
    for name in sorted(SPECIFIED):
        yield f"{name}: correctly rounded for random fp32 arguments", lambda n=name: _single(n, count)
    yield "piecewise sine, unreduced: 27.65 at 9.0 as AWS publishes", _published_sine
    for domain in neuron_scalar_engine().domains:
        yield (
            f"piecewise {domain.curve}: within its range fp32 results are exact to 2**-21",
            lambda d=domain: _near(d),
        )


def tables() -> str:
    """Errors of every curve by the units that evaluate it, in Markdown."""
    correct = _rows(_doubles(name, SPECIFIED[name]) for name in sorted(SPECIFIED))
    host = _rows(_doubles(name, HOST[name]) for name in sorted(HOST) if name not in SPECIFIED)
    cubic = _rows(_piecewise(domain) for domain in neuron_scalar_engine().domains)
    return f"""\
Correctly rounded curves (the default): the error of the double result before it is rounded, in units of the
last place of double precision, over {_SAMPLES:,} fp32 arguments, against mpmath.

| curve | largest | mean |
|---|---:|---:|
{correct}

Curves of the host's mathematical library in double precision, likewise (they are rounded once too):

| curve | largest | mean |
|---|---:|---:|
{host}

Piecewise cubics of Trainium's Scalar engine (`--numerics piecewise-curves`): errors inside the valid range,
in units of the last place of fp32 over {_MANY:,} arguments, and of bf16 over all of its arguments with the
result rounded to bf16 once more. Near a zero of the function the error is small, but the unit smaller.

| curve | valid magnitudes | source | segments | largest fp32 | mean fp32 | at | largest bf16 | outside |
|---|---|---|---:|---:|---:|---:|---:|---|
{cubic}
"""


def _rows(cells: Iterator[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def _drawn(name: str, count: int, lowest: float = _USUAL[0], highest: float = _USUAL[1]) -> Doubles:
    """fp32 arguments with evenly spread exponents, of both signs where the curve has them."""
    random = np.random.default_rng(29)
    exponents = random.uniform(np.log2(lowest), np.log2(highest), count)
    values = np.clip(np.exp2(exponents).astype(np.float32), np.float32(lowest), np.float32(highest))
    if name in ("erfinv", "asin", "acos", "atanh", "normal_quantile"):
        values = values / np.float32(highest)
    if name == "normal_quantile":
        return values.astype(np.float64)
    if name == "acosh":
        return 1.0 + values.astype(np.float64)
    if name in ("log", "log2", "log10", "sqrt", "rsqrt", "log1p", "lgamma", "digamma", "pow"):
        return values.astype(np.float64)
    return (values * random.choice(np.array([-1, 1], np.float32), count)).astype(np.float64)


def _unit(exact: Doubles, format: Float) -> Doubles:
    """The unit in the last place of a format at each exact result."""
    _, exponent = np.frexp(np.abs(exact))
    return np.ldexp(1.0, np.maximum(exponent - 1, format.emin) - format.significand_bits)


def _doubles(name: str, function: Callable[..., Doubles]) -> tuple[str, str, str]:
    mpmath = peer_library("mpmath")
    values = _drawn(name, _SAMPLES if name in SPECIFIED else _SAMPLES // 8)
    others = np.roll(values, 1) if name in ("pow", "atan2") else None
    arguments = (values,) if others is None else (values, others)
    with np.errstate(all="ignore"):
        results = function(*arguments)
    errors: list[float] = []
    held = (np.abs(results) >= 2.0**-150) & (np.abs(results) < 2.0**128)  # what fp32 can hold
    for place in np.flatnonzero(held):
        exact = settled(mpmath, name, *(float(each[place]) for each in arguments))
        if mpmath.isfinite(exact) and exact != 0:
            unit = mpmath.mpf(2) ** (int(mpmath.frexp(abs(exact))[1]) - 53)
            errors.append(float(abs(mpmath.mpf(float(results[place])) - exact) / unit))
    return name, f"{max(errors):.2f}", f"{float(np.mean(errors)):.2f}"


def _narrow(name: str) -> tuple[int, int]:
    checked = wrong = 0
    for format in (formats.bf16, formats.fp16):
        values = format.decode(np.arange(1 << 16, dtype=np.uint16)).astype(np.float64)
        checked += len(values)
        wrong += _misrounded(name, format, values)
    return checked, wrong


def _single(name: str, count: int) -> tuple[int, int]:
    random = np.random.default_rng(31)
    anything = random.integers(0, 1 << 32, count, dtype=np.uint32).view(np.float32)
    values = np.concatenate([_drawn(name, count), anything[~np.isnan(anything)].astype(np.float64)])
    return len(values), _misrounded(name, formats.fp32, values)


def _misrounded(name: str, format: Float, values: Doubles) -> int:
    """Results that differ from the exact ones rounded once.

    One is correct unless the double result lies within 2**-43 of a midpoint; those are settled by mpmath.
    """
    mpmath = peer_library("mpmath")
    with np.errstate(all="ignore"):
        result = SPECIFIED[name](values)
        low, high = (format.round(result * (1 + side * 2.0**-43)) for side in (-1, 1))
    ours = format.round(result)
    return sum(
        float(ours[i]) != _nearest(mpmath, format, settled(mpmath, name, float(values[i])))
        for i in np.flatnonzero((low != high) & ~np.isnan(ours))
    )


def _published_sine() -> tuple[int, int]:
    bare = neuron_scalar_engine(reduces_arguments=False)
    (result,) = bare.evaluate("sin", np.array([9.0]))
    return 1, int(round(float(result), 2) != 27.65)


def _reach(domain: Domain) -> tuple[float, float]:
    """Magnitudes in which a unit's curve is valid; the usual ones where they are not published."""
    return (
        domain.lowest.value if domain.lowest else _USUAL[0],
        domain.highest.value if domain.highest else _USUAL[1],
    )


def _near(domain: Domain) -> tuple[int, int]:
    values = _drawn(domain.curve, _MANY, *_reach(domain))
    with np.errstate(all="ignore"):
        exact = SPECIFIED[domain.curve](values)
    found = neuron_scalar_engine().evaluate(domain.curve, values)
    finite = np.isfinite(formats.fp32.round(exact))
    # Where a function passes through zero its error is that of its neighbourhood.
    allowed = 2.0**-21 * np.maximum(np.abs(exact), _around(domain.curve))
    return len(values), int(np.count_nonzero((np.abs(found - exact) > allowed + 2.0**-148) & finite))


def _around(curve: str) -> float:
    """Size of a curve's neighbourhood of a zero away from the origin: that of one segment."""
    return {"sin": 2.0**-5, "cos": 2.0**-5, "log": 2.0**-5}.get(curve, 0.0)


def _piecewise(domain: Domain) -> tuple[str, ...]:
    unit = neuron_scalar_engine()
    lowest, highest = _reach(domain)
    values = _drawn(domain.curve, _MANY, lowest, highest)
    errors = _errors(domain.curve, values, formats.fp32)
    worst = int(np.nanargmax(errors))
    codes = formats.bf16.decode(np.arange(1 << 16, dtype=np.uint16)).astype(np.float64)
    codes = codes[np.isfinite(codes) & (np.abs(codes) >= lowest) & (np.abs(codes) <= highest)]
    valid = "all" if domain.highest is None else f"to {_power(highest)}"
    if domain.lowest is not None:
        valid = f"{_power(lowest)} {valid}"
    outside = {"exact": "exact", "clamp": "as at its end", "extrapolate": "continued"}[domain.outside]
    outside += " after reduction to it" if domain.curve in ("sin", "cos") else ""
    return (
        domain.curve,
        valid,
        domain.source.kind,
        f"{unit.segments(domain.curve):,}",
        f"{errors[worst]:.3g}",
        f"{np.nanmean(errors):.2f}",
        f"{values[worst]:.5g}",
        f"{np.nanmax(_errors(domain.curve, codes, formats.bf16)):.3g}",
        outside,
    )


def _errors(curve: str, values: Doubles, format: Float) -> Doubles:
    with np.errstate(all="ignore"):
        exact = SPECIFIED[curve](values)
        found = format.round(neuron_scalar_engine().evaluate(curve, values)).astype(np.float64)
        errors = np.abs(found - exact) / _unit(exact, format)
    return np.where(np.isfinite(format.round(exact)), errors, np.nan)


def _power(value: float) -> str:
    exponent = np.log2(value)
    return f"2**{int(exponent)}" if exponent == int(exponent) else "pi"


def settled(mpmath: Any, name: str, x: float, y: float = 0.0) -> Any:
    """The exact value of a curve, to sixty digits."""
    mp = mpmath.mp
    mp.dps = 60
    v = mpmath.mpf(x)
    match name:
        case "exp2":
            return mpmath.mpf(2) ** v
        case "log2":
            return mp.log(v) / mp.log(2)
        case "sigmoid" | "silu":
            return (v if name == "silu" else 1) / (1 + mp.exp(-v))
        case "softplus" | "log_sigmoid":
            sign = 1 if name == "softplus" else -1
            return sign * mp.log1p(mp.exp(sign * v))
        case "mish":
            return v * mp.tanh(mp.log1p(mp.exp(v)))
        case "normal_cdf" | "gelu":
            return (v if name == "gelu" else 1) * mp.erfc(-v / mp.sqrt(2)) / 2
        case "gelu_tanh":
            inner = mp.sqrt(8 / mp.pi) * (v + mpmath.mpf("0.044715") * v**3)
            return v / (1 + mp.exp(-inner))
        case "rsqrt":
            return 1 / mp.sqrt(v)
        case "reciprocal":
            return 1 / v
        case "pow":
            return v ** mpmath.mpf(y)
        case "atan2":
            return mp.atan2(v, mpmath.mpf(y))
        case "lgamma":
            return mp.log(abs(mp.gamma(v)))
        case "erfcx":
            return mp.exp(v * v) * mp.erfc(v)
        case "normal_quantile":
            return mp.sqrt(2) * mp.erfinv(2 * v - 1)
        case _:
            return getattr(mp, name)(v)


def _nearest(mpmath: Any, format: Float, exact: Any) -> float:
    """`exact` rounded to nearest-even in `format`, from the definition."""
    if exact == 0:
        return 0.0
    _, exponent = mpmath.frexp(abs(exact))
    quantum = mpmath.mpf(2) ** (max(int(exponent) - 1, format.emin) - format.significand_bits)
    value = float(mpmath.nint(exact / quantum) * quantum)
    return value if abs(value) <= format.max_finite else float(np.copysign(np.inf, value))
