"""Floating point by exact integers: an oracle that shares nothing with the gates.

Codes are decoded to fractions, the operation is exact, and the result is the representable number that
the rounding rule names, found by comparing fractions.
"""

from __future__ import annotations

from fractions import Fraction

from anychip.rtl.floats import Layout


class Special:
    """Not a number, or one of the infinities."""


NAN = Special()
INFINITY = {False: Special(), True: Special()}


def decoded(layout: Layout, code: int) -> tuple[bool, Fraction | Special]:
    """Sign and magnitude of a code."""
    negative = bool(code >> (layout.bits - 1))
    body = code & ((1 << (layout.bits - 1)) - 1)
    mantissa = body & ((1 << layout.mantissa_bits) - 1)
    field = body >> layout.mantissa_bits
    if layout.infinities and field == (1 << layout.exponent_bits) - 1:
        return negative, NAN if mantissa else INFINITY[negative]
    if not layout.infinities and body == (1 << (layout.bits - 1)) - 1:
        return negative, NAN
    whole = mantissa + ((1 << layout.mantissa_bits) if field else 0)
    power = max(field, 1) - layout.bias - layout.mantissa_bits
    return negative, Fraction(whole) * Fraction(2) ** power


def encoded(
    layout: Layout,
    value: Fraction,
    *,
    negative_zero: bool = False,
    random: tuple[int, int] | None = None,
    saturate: bool = False,
) -> int:
    """The code of the value rounded: to nearest even, or with `random` = (bits, width)."""
    negative = value < 0 or (value == 0 and negative_zero)
    magnitude = abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if magnitude < Fraction(2) ** exponent:
        exponent -= 1
    exponent = max(exponent, layout.lowest_exponent) if magnitude else layout.lowest_exponent
    last_place = Fraction(2) ** (exponent - layout.mantissa_bits)
    quotient = magnitude / last_place
    whole = quotient.numerator // quotient.denominator
    rest = quotient - whole
    if random is not None:
        bits, width = random
        scaled = rest * (1 << width)
        whole += (scaled.numerator // scaled.denominator + bits) >> width
    elif rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2):
        whole += 1
    # a normal number's hidden bit adds the first step of the exponent field by itself
    body = ((exponent - layout.lowest_exponent) << layout.mantissa_bits) + whole
    if body >= layout.overflow_code:
        body = layout.overflow_code - 1 if saturate else layout.overflow_code
        if body == layout.nan_code:
            negative = False
    return body | (int(negative) << (layout.bits - 1))


def _infinity_code(layout: Layout, negative: bool) -> int:
    return layout.overflow_code | (int(negative) << (layout.bits - 1))


def multiply_add(operand: Layout, result: Layout, a: int, b: int, c: int) -> int:
    """``a * b + c`` with one rounding."""
    (a_negative, a_value), (b_negative, b_value) = decoded(operand, a), decoded(operand, b)
    c_negative, c_value = decoded(result, c)
    product_negative = a_negative ^ b_negative
    if NAN in (a_value, b_value, c_value):
        return result.nan_code
    a_infinite, b_infinite = isinstance(a_value, Special), isinstance(b_value, Special)
    if a_infinite or b_infinite:
        if a_value == 0 or b_value == 0 or (isinstance(c_value, Special) and c_negative != product_negative):
            return result.nan_code
        return _infinity_code(result, product_negative)
    if isinstance(c_value, Special):
        return _infinity_code(result, c_negative)
    assert isinstance(a_value, Fraction)
    assert isinstance(b_value, Fraction)
    product = a_value * b_value * (-1 if product_negative else 1)
    total = product + c_value * (-1 if c_negative else 1)
    return encoded(result, total, negative_zero=product_negative and c_negative)


def add(layout: Layout, x: int, y: int) -> int:
    """``x + y`` with one rounding."""
    one = layout.bias << layout.mantissa_bits
    return multiply_add(layout, layout, one, x, y)


def multiply(layout: Layout, x: int, y: int) -> int:
    """``x * y`` with one rounding."""
    zero = 0 if (x ^ y) >> (layout.bits - 1) == 0 else 1 << (layout.bits - 1)
    return multiply_add(layout, layout, x, y, zero)


def converted(
    source: Layout,
    target: Layout,
    code: int,
    *,
    random: tuple[int, int] | None = None,
    saturate: bool = False,
) -> int:
    """A number in another format."""
    negative, value = decoded(source, code)
    if value is NAN:
        return target.nan_code
    if isinstance(value, Special):
        return _infinity_code(target, negative) if target.infinities else target.nan_code
    signed = value * (-1 if negative else 1)
    return encoded(target, signed, negative_zero=negative, random=random, saturate=saturate)
