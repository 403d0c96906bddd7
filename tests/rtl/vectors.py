"""Operands that find mistakes: where roundings, cancellations and the ends of the range are."""

from __future__ import annotations

import numpy as np

from anychip.rtl.floats import Layout


def landmarks(layout: Layout) -> np.ndarray:
    """Codes at and beside every edge of a format, both signs."""
    one_step = 1 << layout.mantissa_bits
    top = layout.overflow_code
    near = {0, 1, 2, one_step - 1, one_step, one_step + 1, top - 2, top - 1, top, layout.nan_code}
    one = layout.bias * one_step
    near |= {one - 1, one, one + 1, one + one_step - 1, one + (one_step >> 1)}
    near |= {(layout.bias + shift) * one_step for shift in (-2, -1, 1, 2, layout.mantissa_bits)}
    near |= {(1 << layout.mantissa_bits) - 1, top | 1}
    mask = (1 << (layout.bits - 1)) - 1
    codes = sorted({code & mask for code in near if code >= 0})
    return np.array([code | sign << (layout.bits - 1) for code in codes for sign in (0, 1)], np.uint64)


def anything(layout: Layout, count: int, seed: int) -> np.ndarray:
    """Codes drawn evenly: every exponent, subnormals, infinities, NaN."""
    return np.random.default_rng(seed).integers(0, 1 << layout.bits, count, dtype=np.uint64)


def near_one(layout: Layout, count: int, seed: int, *, spread: int = 3) -> np.ndarray:
    """Codes with exponents within `spread` of one's: sums of them cancel."""
    generator = np.random.default_rng(seed)
    exponent = generator.integers(layout.bias - spread, layout.bias + spread + 1, count, dtype=np.uint64)
    mantissa = generator.integers(0, 1 << layout.mantissa_bits, count, dtype=np.uint64)
    sparse = mantissa & generator.integers(0, 1 << layout.mantissa_bits, count, dtype=np.uint64)
    chosen = np.where(generator.random(count) < 0.5, mantissa, sparse & mantissa >> np.uint64(1))
    sign = generator.integers(0, 2, count, dtype=np.uint64)
    return (
        sign << np.uint64(layout.bits - 1)
        | exponent << np.uint64(layout.mantissa_bits)
        | chosen & np.uint64((1 << layout.mantissa_bits) - 1)
    )


def pairs(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every one of `first` with every one of `second`."""
    return np.repeat(first, len(second)), np.tile(second, len(first))
