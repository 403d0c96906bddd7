"""Curves as fixed sequences of double-precision operations: the same bits on every machine and path.

Only additions, subtractions, multiplications, divisions, square roots and exponent fields are used, each
rounded to nearest-even, none fused; `kernels/curves.h` repeats them one by one. Arguments are values of
formats up to fp32 and results are rounded once by the caller. The error in double precision is a few units
in its last place, so that after rounding to 24 bits about one result in 2**26 differs from the correctly
rounded one; for 16-bit formats all arguments are tested and every result is correctly rounded.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def _constants(text: str) -> tuple[float, ...]:
    return tuple(float.fromhex(word) for word in text.split())


LOG2_E = float.fromhex("0x1.71547652b82fep+0")
LOG10_E = float.fromhex("0x1.bcb7b1526e50ep-2")
LN2 = float.fromhex("0x1.62e42fefa39efp-1")
TWO_PI = float.fromhex("0x1.45f306dc9c883p-1")
PI_2 = float.fromhex("0x1.921fb54442d18p+0")
SQRT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")
SQRT_8_OVER_PI = float.fromhex("0x1.9884533d43651p+0")
TINY, EPSILON = 2.0**-60, 2.0**-53
#: Adding it rounds to a whole number and leaves that number in the low bits.
MAGIC = 6755399441055744.0
LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42fef00000p-1"), float.fromhex("0x1.473de6af278edp-34")
PI_2_PARTS = _constants("0x1.921fb54400000p+0 0x1.0b4611a600000p-34 0x1.3198a2e037073p-69")
TWO_OVER_PI = 0xA2F9836E4E441529FC2757D1F534DDC0DB6295993C439041FE5163ABDEBBC561B7246E3A424DD2E0
#: exp(r) - 1 - r, from r**2 on: 1 / n!.
EXP = _constants(
    """
    0x1.0000000000000p-1 0x1.5555555555555p-3 0x1.5555555555555p-5 0x1.1111111111111p-7
    0x1.6c16c16c16c17p-10 0x1.a01a01a01a01ap-13 0x1.a01a01a01a01ap-16 0x1.71de3a556c734p-19
    0x1.27e4fb7789f5cp-22 0x1.ae64567f544e4p-26 0x1.1eed8eff8d898p-29 0x1.6124613a86d09p-33
    """
)

#: log((1 + s) / (1 - s)) - 2 s, from s**3 on: 2 / (2 k + 1).
LOG = _constants(
    """
    0x1.5555555555555p-1 0x1.999999999999ap-2 0x1.2492492492492p-2 0x1.c71c71c71c71cp-3
    0x1.745d1745d1746p-3 0x1.3b13b13b13b14p-3 0x1.1111111111111p-3 0x1.e1e1e1e1e1e1ep-4
    0x1.af286bca1af28p-4 0x1.8618618618618p-4 0x1.642c8590b2164p-4
    """
)

#: sin(r) - r, from r**3 on.
SIN = _constants(
    """
    -0x1.5555555555555p-3 0x1.1111111111111p-7 -0x1.a01a01a01a01ap-13 0x1.71de3a556c734p-19
    -0x1.ae64567f544e4p-26 0x1.6124613a86d09p-33 -0x1.ae7f3e733b81fp-41 0x1.952c77030ad4ap-49
    -0x1.2f49b46814157p-57
    """
)

#: cos(r) - 1, from r**2 on.
COS = _constants(
    """
    -0x1.0000000000000p-1 0x1.5555555555555p-5 -0x1.6c16c16c16c17p-10 0x1.a01a01a01a01ap-16
    -0x1.27e4fb7789f5cp-22 0x1.1eed8eff8d898p-29 -0x1.93974a8c07c9dp-37 0x1.ae7f3e733b81fp-45
    -0x1.6827863b97d97p-53
    """
)

#: erf(x) from x on, odd powers (Abramowitz and Stegun 7.1.5).
ERF = _constants(
    """
    0x1.20dd750429b6dp+0 -0x1.812746b0379e7p-2 0x1.ce2f21a042be2p-4 -0x1.b82ce31288b51p-6
    0x1.565bcd0e6a53fp-8 -0x1.c02db40040b86p-11 0x1.f9a326f9b89b7p-14 -0x1.f4d25c3e0c2ebp-17
    0x1.b9e6c9dc651a3p-20 -0x1.5f742ec43e71ap-23 0x1.fcc5720624c1cp-27 -0x1.51d7181c5d36dp-30
    0x1.9e6ad5e55a730p-34 -0x1.d8453cb0c46eap-38 0x1.f683ae4a97007p-42 -0x1.f56f071a885cfp-46
    0x1.d70b3537f4765p-50 -0x1.a2007af3447f6p-54 0x1.5f7919bc67b8cp-58 -0x1.18cc8a061c479p-62
    """
)

#: Chebyshev coefficients of exp(x**2) erfc(x) (1 + 2 x) in t = (x - 4) / (x + 4).
ERFCX = _constants(
    """
    0x1.2d6f89fde5d31p+0 -0x1.dbd7f406f0499p-8 -0x1.4cdca869ad5c3p-4 0x1.ec465395e4195p-5
    -0x1.d71abf3cb584ep-6 0x1.5b32ddd011bcbp-7 -0x1.9b29d047b35d8p-9 0x1.86ef5f940a354p-11
    -0x1.1f3f05651159ap-13 0x1.204c1fa3be6c7p-16 -0x1.804fd072268f5p-21 -0x1.04813a1b8a43fp-22
    0x1.df061781becebp-25 -0x1.216acaa8bc356p-29 -0x1.421950d8f4eb9p-30 0x1.a3fa2e79e6f6fp-33
    0x1.efb3e31573494p-37 -0x1.e59f50c0d2d6dp-38 0x1.9ce35d0f40046p-44 0x1.e31cd1e32d8e2p-43
    -0x1.091c3928bfbe5p-46 -0x1.e08757d939697p-48 0x1.b09c53bcfd659p-51 0x1.ffeb29a8dc86ap-53
    -0x1.246d10c2d12fap-55
    """
)


def _horner(x: Doubles, coefficients: tuple[float, ...]) -> Doubles:
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


def _whole(x: Doubles) -> tuple[Doubles, NDArray[np.int64]]:
    """`x` rounded to nearest-even, as a double and as an integer."""
    raised = x + MAGIC
    return raised - MAGIC, raised.view(np.int64) - np.float64(MAGIC).view(np.int64)


def _power_of_two(n: NDArray[np.int64]) -> Doubles:
    return ((n + 1023) << 52).view(np.float64)


def _exp_reduced(r: Doubles, n: NDArray[np.int64]) -> Doubles:
    return (1.0 + (r + r * r * _horner(r, EXP))) * _power_of_two(n)


def exp(x: Doubles) -> Doubles:
    """e to the x, for results from 2**-1000 to 2**1000, beyond which fp32 overflows or vanishes anyway."""
    x = np.where(x < -690.0, -690.0, np.where(x > 690.0, 690.0, x))
    whole, n = _whole(x * LOG2_E)
    return _exp_reduced((x - whole * LN2_HIGH) - whole * LN2_LOW, n)


def exp2(x: Doubles) -> Doubles:
    """2 to the x, in the same range."""
    x = np.where(x < -990.0, -990.0, np.where(x > 990.0, 990.0, x))
    whole, n = _whole(x)
    return _exp_reduced((x - whole) * LN2, n)


def expm1(x: Doubles) -> Doubles:
    """exp(x) - 1, without cancellation near 0."""
    near = x + x * x * _horner(x, EXP)
    return np.where((x > -0.35) & (x < 0.35), near, exp(x) - 1.0)


def _log_ratio(s: Doubles) -> Doubles:
    """log((1 + s) / (1 - s)) - 2 s."""
    square = s * s
    return s * square * _horner(square, LOG)


def log(x: Doubles) -> Doubles:
    """Natural logarithm; NaN below 0, -infinity at 0."""
    bits = x.view(np.int64)
    # Normal numbers only: every fp32 is one in double precision.
    exponent = (bits >> 52) - 1023
    mantissa = ((bits & ((1 << 52) - 1)) | (1023 << 52)).view(np.float64)
    high = mantissa > SQRT_HALF * 2.0
    mantissa = np.where(high, mantissa * 0.5, mantissa)
    e = (exponent + high).astype(np.float64)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    result = e * LN2_HIGH + (2.0 * s + (_log_ratio(s) + e * LN2_LOW))
    result = np.where(x == 0.0, -np.inf, result)
    result = np.where(x < 0.0, np.nan, result)
    return np.where((x == np.inf) | (x != x), x, result)


def log1p(x: Doubles) -> Doubles:
    """log(1 + x), without cancellation near 0."""
    s = x / (2.0 + x)
    return np.where((x > -0.25) & (x < 0.4), 2.0 * s + _log_ratio(s), log(1.0 + x))


def log2(x: Doubles) -> Doubles:
    """Logarithm to base 2."""
    return log(x) * LOG2_E


def log10(x: Doubles) -> Doubles:
    """Logarithm to base 10."""
    return log(x) * LOG10_E


def tanh(x: Doubles) -> Doubles:
    """Hyperbolic tangent."""
    size = np.abs(x)
    size = np.where(size > 20.0, 20.0, size)
    e = expm1(2.0 * size)
    return np.copysign(e / (e + 2.0), x)


def sigmoid(x: Doubles) -> Doubles:
    """1 / (1 + exp(-x))."""
    e = exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, e) / (1.0 + e)


def softplus(x: Doubles) -> Doubles:
    """log(1 + exp(x))."""
    return np.where(x > 0.0, x, 0.0 * x) + log1p(exp(-np.abs(x)))


def log_sigmoid(x: Doubles) -> Doubles:
    """log(sigmoid(x))."""
    return -softplus(-x)


def _erfcx(x: Doubles) -> Doubles:
    """exp(x**2) erfc(x) for x >= 0, by Clenshaw's recurrence."""
    t = (x - 4.0) / (x + 4.0)
    twice = 2.0 * t
    last, before = np.zeros_like(x), np.zeros_like(x)
    for coefficient in ERFCX[:0:-1]:
        last, before = (twice * last - before) + coefficient, last
    return ((t * last - before) + ERFCX[0]) / (1.0 + 2.0 * x)


def erfc(x: Doubles) -> Doubles:
    """1 - erf(x)."""
    size = np.abs(x)
    size = np.where(size > 25.0, 25.0, size)
    tail = exp(-(size * size)) * _erfcx(size)
    return np.where(x < 0.0, 2.0 - tail, tail)


def erf(x: Doubles) -> Doubles:
    """Error function."""
    square = x * x
    near = x * _horner(np.where(square > 1.0, 1.0, square), ERF)
    size = np.abs(x)
    size = np.where(size > 25.0, 25.0, size)
    far = np.copysign(1.0 - exp(-(size * size)) * _erfcx(size), x)
    return np.where(square < 1.0, near, far)


def normal_cdf(x: Doubles) -> Doubles:
    """Distribution function of the standard normal."""
    size = np.abs(x)
    size = np.where(size > 36.0, 36.0, size)
    tail = 0.5 * (exp(-0.5 * (size * size)) * _erfcx(size * SQRT_HALF))
    return np.where(x > 0.0, 1.0 - tail, tail)


def _bounded_product(x: Doubles, factor: Doubles) -> Doubles:
    """``x * factor`` where the factor vanishes at -infinity, is 1 at infinity and rises through 0.

    For tiny `x` the factor is 1/2 in double precision but not in truth: without its last bit, half of an odd
    subnormal would look like a tie.
    """
    factor = factor + np.where(np.abs(x) < TINY, np.copysign(EPSILON, x), 0.0)
    return np.where(x == -np.inf, -0.0, x * factor)


def gelu(x: Doubles) -> Doubles:
    """x times the normal distribution function."""
    return _bounded_product(x, normal_cdf(x))


def gelu_tanh(x: Doubles) -> Doubles:
    """GELU by its tanh approximation."""
    return _bounded_product(x, sigmoid(SQRT_8_OVER_PI * (x + 0.044715 * (x * x * x))))


def silu(x: Doubles) -> Doubles:
    """x times the sigmoid."""
    return _bounded_product(x, sigmoid(x))


def mish(x: Doubles) -> Doubles:
    """x times tanh(softplus(x))."""
    return _bounded_product(x, tanh(softplus(x)))


def rsqrt(x: Doubles) -> Doubles:
    """1 / sqrt(x)."""
    return 1.0 / np.sqrt(x)


def reciprocal(x: Doubles) -> Doubles:
    """1 / x."""
    return 1.0 / x


def _quarter_turns(x: Doubles) -> tuple[Doubles, NDArray[np.int64]]:
    """`x` less the nearest multiple of pi / 2, and that multiple."""
    small = np.abs(x) < 1048576.0
    held = np.where(small, x, 0.0)
    whole, n = _whole(held * TWO_PI)
    r = ((held - whole * PI_2_PARTS[0]) - whole * PI_2_PARTS[1]) - whole * PI_2_PARTS[2]
    for i in np.flatnonzero(~small):
        r.flat[i], n.flat[i] = _large_quarter_turns(float(x.flat[i]))
    return r, n


def _large_quarter_turns(x: float) -> tuple[float, int]:
    """The same for large fp32 values by integers (Payne and Hanek 1983)."""
    if not np.isfinite(x):
        return float("nan"), 0
    bits = int(np.float32(abs(x)).view(np.uint32))
    exponent = (bits >> 23) - 150
    significand = bits & 0x7FFFFF | 0x800000
    # 128 bits of 2 / pi: those above weigh whole turns, those below less than 2**-102.
    first = max(exponent - 2, 0)
    window = TWO_OVER_PI >> (320 - first - 128) & ((1 << 128) - 1)
    scale = 128 - (exponent - first)  # weight of the window's last bit, negated
    product = significand * window
    turns = (product + (1 << (scale - 1))) >> scale
    rest = product - (turns << scale)
    # 64 significant bits, truncated, are converted with one rounding.
    drop = max(0, abs(rest).bit_length() - 64)
    r = float(np.ldexp(float(abs(rest) >> drop), drop - scale)) * PI_2
    r = -r if rest < 0 else r
    return (-r, -turns & 3) if x < 0 else (r, turns & 3)


def _sin_cos(r: Doubles) -> tuple[Doubles, Doubles]:
    square = r * r
    return r + r * square * _horner(square, SIN), 1.0 + square * _horner(square, COS)


def sin(x: Doubles) -> Doubles:
    """Sine, of any magnitude."""
    r, n = _quarter_turns(x)
    s, c = _sin_cos(r)
    value = np.where(n & 1, c, s)
    return np.where(n & 2, -value, value)


def cos(x: Doubles) -> Doubles:
    """Cosine, of any magnitude."""
    r, n = _quarter_turns(x)
    s, c = _sin_cos(r)
    value = np.where(n & 1, s, c)
    return np.where((n + 1) & 2, -value, value)


#: In the order of `Curve` in kernels/curves.h.
SPECIFIED: dict[str, Callable[[Doubles], Doubles]] = {
    function.__name__: function
    for function in (
        *(exp, exp2, expm1, log, log1p, log2, log10, tanh, sigmoid, log_sigmoid, softplus, silu, mish),
        *(gelu, gelu_tanh, erf, erfc, normal_cdf, rsqrt, reciprocal, sin, cos),
    )
}
SPECIFIED["sqrt"] = np.sqrt
