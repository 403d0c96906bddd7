"""Products of stored codes by address: every path, storage, layout and range, against NumPy's slow sums.

What tells the paths apart are subnormals on the way, tiny results, infinities and NaN, minus zero, odd depths
and accumulators that enter the chain: instructions for bf16 flush some of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from anychip import formats
from anychip.arithmetic import Contraction, Order, Sequential, Tiles, contract, pointers
from anychip.arithmetic.pointers import Operand
from anychip.formats import Float, compiled

Values = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]


def normal(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.where(random.random(shape) < 0.1, 0.0, random.standard_normal(shape))


def scaled(low: int, high: int) -> Values:
    return lambda random, shape: normal(random, shape) * np.exp2(random.integers(low, high, shape))


def sometimes(share: float, *odd: float) -> Values:
    def values(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return np.where(random.random(shape) < share, random.choice(odd, shape), normal(random, shape))

    return values


VALUES: dict[str, Values] = {
    "normal": normal,
    "products around the smallest normal": scaled(-75, -55),
    "all of fp32's range": scaled(-120, 120),
    "subnormal": scaled(-134, -126),
    "one tiny among many": sometimes(0.002, 1e-38),
    "infinite and NaN": sometimes(0.02, np.inf, -np.inf, np.nan),
    "zeros of both signs": sometimes(0.9, 0.0, -0.0),
}
STORED = {"fp32": formats.fp32, "bf16": formats.bf16, "fp16": formats.fp16, "e4m3": formats.fp8_e4m3fn}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def product(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    stored: Float,
    rule: Contraction,
    start: NDArray[np.float32] | None,
    *,
    turned: bool,
    narrow: bool = False,
) -> NDArray[np.float32]:
    """The product by address of operands that are written down first; `turned`: each the other way round."""
    kept = []
    operands = []
    for matrix in (left, right):
        codes = matrix if stored == formats.fp32 else stored.encode(matrix)
        codes = codes.T.copy().T if turned else codes.copy()
        kept.append(codes)
        row, column = (stride // codes.itemsize for stride in codes.strides)
        operands.append(Operand(codes.ctypes.data, (0, row, column), stored))
    result = np.full((left.shape[0], right.shape[1]), 7, np.float32) if start is None else start.copy()
    out = Operand(result.ctypes.data, (0, result.shape[1], 1))
    pointers.product(
        *operands,
        out,
        rule,
        rows=left.shape[0],
        columns=right.shape[1],
        depth=left.shape[1],
        start=None if start is None else out,
        narrow=narrow,
    )
    return result


@pytest.mark.skipif(not pointers.available(), reason="needs the compiled core")
@pytest.mark.parametrize("turned", [False, True], ids=["as is", "turned"])
@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("order", [Sequential(), Tiles(32), Tiles(7)], ids=str)
def test_products_of_codes_are_the_declared_sums(order: Order, stored: str, turned: bool) -> None:
    random = np.random.default_rng(41)
    format = STORED[stored]
    rule = Contraction(format, order=order)
    before = compiled.path()
    for what, values in VALUES.items():
        for m, k, n in ((9, 67, 53), (1, 64, 17), (16, 33, 50)):
            a, b, start = (values(random, shape).astype(np.float32) for shape in ((m, k), (k, n), (m, n)))
            a, b = format.round(a), format.round(b)
            for begin in (None, start):
                compiled.use("numpy")
                expected = contract(a, b, rule, begin)
                for name in compiled.paths()[:-1]:
                    compiled.use(name)
                    got = product(a, b, format, rule, begin, turned=turned)
                    message = f"{name}: {what}, {m} x {k} x {n}, {'no ' if begin is None else ''}start"
                    np.testing.assert_array_equal(got, expected, message)
                    real = ~np.isnan(expected)
                    np.testing.assert_array_equal(np.signbit(got)[real], np.signbit(expected)[real], message)
    compiled.use(before)


@pytest.mark.skipif(not pointers.available(), reason="needs the compiled core")
def test_operands_that_do_not_hold_what_the_rule_says_are_not_cut(path: str) -> None:
    if path == "numpy":
        pytest.skip("by address only")
    random = np.random.default_rng(43)
    a, b = (random.standard_normal(shape).astype(np.float32) for shape in ((20, 64), (64, 50)))
    compiled.use("numpy")
    wide = contract(a, b, Contraction(formats.fp32))
    narrow = contract(formats.bf16.round(a), formats.bf16.round(b), Contraction(formats.bf16))
    compiled.use(path)
    rule = Contraction(formats.bf16)
    np.testing.assert_array_equal(product(a, b, formats.fp32, rule, None, turned=False), wide)
    np.testing.assert_array_equal(product(a, b, formats.fp32, rule, None, turned=False, narrow=True), narrow)


@pytest.mark.skipif(not pointers.available(), reason="needs the compiled core")
def test_long_chains_that_turn_tiny_on_the_way() -> None:
    """More than one block of K, the first one ordinary: what follows may not forget that it was not."""
    random = np.random.default_rng(47)
    a, b = normal(random, (40, 1500)).astype(np.float32), normal(random, (1500, 96)).astype(np.float32)
    a[:8, :300] *= np.float32(2.0**-90)
    b[:300, :48] *= np.float32(2.0**-50)
    a[:, 700:] *= np.float32(2.0**-70)
    b[700:] *= np.float32(2.0**-40)
    rule = Contraction(formats.bf16)
    a, b = formats.bf16.round(a), formats.bf16.round(b)
    before, results = compiled.path(), {}
    for threads in (1, 2, 3):
        compiled.set_threads(threads)
        for name in compiled.paths()[:-1]:
            compiled.use(name)
            results[name, threads] = product(a, b, formats.bf16, rule, None, turned=False)
    compiled.set_threads(2)
    compiled.use(before)
    first = next(iter(results.values()))
    for key, result in results.items():
        np.testing.assert_array_equal(result, first, str(key))
