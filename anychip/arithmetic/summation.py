"""Summing terms in a declared order with one rounding per addition: NumPy, the reference.

Values are float64 arrays that hold values of narrower formats. Rounding a double that was itself *rounded
to odd* to at most 50 bits is innocuous (Boldo and Melquiond, IEEE Trans. Computers 57, 2008), which is how
one rounding per addition is had without wider arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic.order import Lanes, Order, Pairwise, Rounded, Sequential, Tiles, Tree
from anychip.formats import Float

Doubles = NDArray[np.float64]
#: Gives the k-th term, exact.
Term = Callable[[int], Doubles]

_ONE = np.uint64(1)


def add_to_odd(a: Doubles, b: Doubles) -> Doubles:
    """``a + b`` rounded to odd in double precision."""
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.add(a, b)
        part = total - a
        error = (a - (total - part)) + (b - part)
        inexact = (error != 0) & np.isfinite(total) & ((total.view(np.uint64) & _ONE) == 0)
        if not inexact.any():
            return total
        toward = np.where(error > 0, np.inf, -np.inf)
        return np.where(inexact, np.nextafter(total, toward), total)


def rounder(format: Float) -> Callable[[Doubles], Doubles]:
    """Rounds doubles to nearest-even in `format`, kept as doubles."""
    if format.significand_bits == 23 and format.name == "fp32":

        def to_single(values: Doubles) -> Doubles:
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                return values.astype(np.float32).astype(np.float64)

        return to_single
    return lambda values: np.asarray(format.round(values), np.float64)


def sum_terms(
    term: Term, count: int, start: Doubles, accumulator: Float, order: Order, rounded: Rounded
) -> Doubles:
    """``start`` plus `count` terms.

    Args:
        term: the k-th term; terms are at most 48 bits wide.
        count: how many.
        start: what the accumulators hold before.
        accumulator: format of every partial sum.
        order: of the additions.
        rounded: when partial sums take the accumulator's format.
    """
    rounding = rounder(accumulator)

    def add(a: Doubles, b: Doubles) -> Doubles:
        return rounding(add_to_odd(a, b))

    if rounded == "end":
        return rounding(sum_exactly(term, range(count), start))
    if rounded == "tile":
        length = order.run or count
        for first in range(0, count, length):
            start = rounding(sum_exactly(term, range(first, min(first + length, count)), start))
        return start
    zero = np.zeros_like(start)
    match order:
        case Sequential():
            for k in range(count):
                start = add(start, term(k))
        case Tiles(length):
            for first in range(0, count, length):
                part = zero
                for k in range(first, min(first + length, count)):
                    part = add(part, term(k))
                start = add(start, part)
        case Tree(width):
            for first in range(0, count, width):
                start = add(start, _tree(term, first, min(first + width, count), add))
        case Pairwise():
            if count:
                start = add(start, _tree(term, 0, count, add))
        case Lanes(width):
            lanes = [zero] * min(width, count)
            for k in range(count):
                lanes[k % width] = add(lanes[k % width], term(k))
            if count:
                start = add(start, _tree(lambda k: lanes[k], 0, len(lanes), add))
    return start


def _tree(term: Term, first: int, end: int, add: Callable[[Doubles, Doubles], Doubles]) -> Doubles:
    """Sum of terms first..end by adjacent pairs; splitting at the largest power of two is the same tree."""
    count = end - first
    if count == 1:
        return term(first)
    half = 1 << ((count - 1).bit_length() - 1)
    return add(_tree(term, first, first + half, add), _tree(term, first + half, end, add))


#: Scale of the exact fixed-point sums: below the product of the two smallest doubles of 24 bits.
_POINT = 1200


def sum_exactly(term: Term, indices: range, start: Doubles) -> Doubles:
    """``start`` plus the terms without any rounding, then rounded to odd in double precision."""
    total = _fixed(start)
    special = np.where(np.isfinite(start), 0.0, start)
    for k in indices:
        value = term(k)
        total = total + _fixed(value)
        with np.errstate(invalid="ignore"):
            special = special + np.where(np.isfinite(value), 0.0, value)
    exact = np.array([_to_odd(int(t)) for t in total.reshape(-1)], np.float64).reshape(start.shape)
    return np.where(special == 0, exact, special)


def _fixed(values: Doubles) -> NDArray[np.object_]:
    fraction, exponent = np.frexp(np.where(np.isfinite(values), values, 0.0))
    whole = np.ldexp(fraction, 53).astype(np.int64).astype(object)
    return whole * np.array(
        [1 << int(e) for e in (exponent.reshape(-1) - 53 + _POINT)], dtype=object
    ).reshape(values.shape)


def _to_odd(total: int) -> float:
    magnitude = abs(total)
    drop = max(0, magnitude.bit_length() - 53)
    kept = magnitude >> drop
    if kept << drop != magnitude:
        kept |= 1
    if kept.bit_length() + drop - _POINT > 1024:
        return float("inf") if total > 0 else float("-inf")
    value = float(np.ldexp(float(kept), drop - _POINT))
    return -value if total < 0 else value
