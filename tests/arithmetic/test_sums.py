"""Contractions and reductions against exact rational arithmetic, bit for bit, on every path."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from anychip import formats
from anychip.arithmetic import (
    Contraction,
    Lanes,
    Order,
    Pairwise,
    Reduction,
    Sequential,
    Tiles,
    Tree,
    contract,
    reduce_sum,
)
from anychip.formats import Float, compiled

ORDERS: list[Order] = [Sequential(), Tiles(4), Tiles(3), Tree(4), Tree(3), Pairwise(), Lanes(4)]


def rounded(value: Fraction, format: Float) -> Fraction:
    """Nearest-even from the definition: candidates on the grid of the value's binade."""
    if value == 0:
        return Fraction(0)
    exponent = 0
    size = abs(value)
    while size >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while size < Fraction(2) ** exponent:
        exponent -= 1
    quantum = Fraction(2) ** (max(exponent, format.emin) - format.significand_bits)
    return round(value / quantum) * quantum  # Python rounds halves to even


def total(terms: list[Fraction], start: Fraction, order: Order, when: str, format: Float) -> Fraction:
    """The declared sum, literally."""

    def add(a: Fraction, b: Fraction) -> Fraction:
        return rounded(a + b, format)

    def chain(parts: list[Fraction], first: Fraction) -> Fraction:
        for part in parts:
            first = add(first, part)
        return first

    def tree(parts: list[Fraction]) -> Fraction:
        while len(parts) > 1:
            pairs = [add(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
            parts = pairs + ([parts[-1]] if len(parts) % 2 else [])
        return parts[0]

    if when == "end":
        return rounded(start + sum(terms), format)
    cut = order.length if isinstance(order, Tiles) else order.width if isinstance(order, Tree | Lanes) else 1
    groups = [terms[k : k + cut] for k in range(0, len(terms), cut)]
    if when == "tile":
        for group in groups:
            start = rounded(start + sum(group), format)
        return start
    match order:
        case Sequential():
            return chain(terms, start)
        case Tiles():
            return chain([chain(group, Fraction(0)) for group in groups], start)
        case Tree():
            return chain([tree(group) for group in groups], start)
        case Pairwise():
            return add(start, tree(terms)) if terms else start
        case Lanes():
            lanes = [chain(terms[lane::cut], Fraction(0)) for lane in range(min(cut, len(terms)))]
            return add(start, tree(lanes)) if terms else start


def cancelling(random: np.random.Generator, shape: tuple[int, ...], format: Float) -> np.ndarray:
    """Operands whose sums mostly cancel, over many binades: what is left is the rounding."""
    values = random.standard_normal(shape) * np.exp2(random.integers(-6, 7, shape))
    return format.round(values.astype(np.float32))


CASES = [(order, "add") for order in ORDERS] + [(Tiles(4), "tile"), (Tree(3), "tile"), (Sequential(), "end")]


@pytest.mark.parametrize(("order", "when"), CASES, ids=str)
@pytest.mark.parametrize("operand", ["fp32", "bf16", "fp8_e5m2"])
@pytest.mark.parametrize("accumulator", ["fp32", "fp16", "bf16"])
def test_contraction_is_the_declared_sum(
    order: Order, when: str, operand: str, accumulator: str, path: str
) -> None:
    random = np.random.default_rng(17)
    stored, kept = formats.by_name(operand), formats.by_name(accumulator)
    assert isinstance(stored, Float)
    assert isinstance(kept, Float)
    rule = Contraction(stored, kept, order=order, rounded=when)  # type: ignore[arg-type]
    for m, k, n in ((1, 1, 1), (2, 7, 3), (3, 13, 2), (1, 24, 1), (2, 0, 2)):
        a, b = cancelling(random, (m, k), stored), cancelling(random, (k, n), stored)
        a[:, k // 2 : k // 2 * 2] = -a[:, : k // 2]
        b[k // 2 : k // 2 * 2] = b[: k // 2]
        start = kept.round(random.standard_normal((m, n)).astype(np.float32))
        result = contract(a, b, rule, start)
        for i in range(m):
            for j in range(n):
                terms = [Fraction(float(a[i, x])) * Fraction(float(b[x, j])) for x in range(k)]
                expected = total(terms, Fraction(float(start[i, j])), order, when, kept)
                assert Fraction(float(result[i, j])) == expected


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_reduction_is_the_declared_sum(order: Order, path: str) -> None:
    values = cancelling(np.random.default_rng(19), (3, 5, 29), formats.fp32)
    result = reduce_sum(values, (0, 2), Reduction(order=order))
    for i in range(5):
        terms = [Fraction(float(x)) for x in values[:, i].reshape(-1)]
        assert Fraction(float(result[i])) == total(terms, Fraction(0), order, "add", formats.fp32)


def test_subnormal_overflow_and_special_sums(path: str) -> None:
    tiny = np.float32([[2.0**-75, 2.0**-75, 2.0**-74]])
    rule = Contraction(formats.fp32)
    np.testing.assert_array_equal(contract(tiny, tiny.T, rule), np.float32([[2.0**-148]]))
    huge = np.float32([[2.0**127, 2.0**127]])
    assert contract(huge, np.float32([[1], [1]]), rule)[0, 0] == np.inf
    # The product of a fused multiply-add may leave fp32's range as long as the sum returns to it.
    assert contract(huge[:, :1], np.float32([[2.0]]), rule, np.float32([[-(2.0**127)]]))[0, 0] == 2.0**127
    assert np.isnan(contract(np.float32([[np.inf, -np.inf]]), np.float32([[1], [1]]), rule)[0, 0])
    assert not np.signbit(contract(np.float32([[-0.0]]), np.float32([[1.0]]), rule)[0, 0])


@pytest.mark.parametrize("order", [Sequential(), Tiles(8), Tree(4)], ids=str)
def test_cut_sums_are_the_whole(order: Order, path: str) -> None:
    random = np.random.default_rng(23)
    a, b = (random.standard_normal(s).astype(np.float32) for s in ((2, 9, 500), (500, 70)))
    rule = Contraction(formats.fp32, order=order)
    whole = contract(a, b, rule)
    part = contract(a[..., :264], b[:264], rule)
    np.testing.assert_array_equal(contract(a[..., 264:], b[264:], rule, part), whole)


def test_rows_do_not_know_their_neighbours(path: str) -> None:
    random = np.random.default_rng(29)
    a, b = (random.standard_normal(s).astype(np.float32) for s in ((37, 333), (333, 101)))
    rule = Contraction(formats.fp32)
    whole = contract(a, b, rule)
    for row in (0, 8, 36):
        np.testing.assert_array_equal(contract(a[row : row + 1], b, rule)[0], whole[row])
    np.testing.assert_array_equal(contract(np.asfortranarray(a), b.copy().T.copy().T, rule), whole)


def test_threads_change_nothing() -> None:
    random = np.random.default_rng(31)
    a, b = (random.standard_normal(s).astype(np.float32) for s in ((300, 400), (400, 310)))
    results = []
    for threads in (1, 2, 4):
        compiled.set_threads(threads)
        results.append(contract(a, b, Contraction(formats.fp32)))
    compiled.set_threads(2)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_every_path_agrees_on_large_products() -> None:
    random = np.random.default_rng(37)
    a, b = (random.standard_normal(s).astype(np.float32) for s in ((61, 700), (700, 130)))
    before = compiled.path()
    results = {}
    for order in (Sequential(), Tiles(128), Tiles(5)):
        for name in compiled.paths():
            compiled.use(name)
            results[name] = contract(a, b, Contraction(formats.fp32, order=order))
            np.testing.assert_array_equal(results[name], results[compiled.paths()[0]])
    compiled.use(before)


def test_integer_contractions_wrap() -> None:
    rule = Contraction(formats.int8, formats.int32)
    a, b = np.full((1, 200_000), -128, np.int8), np.full((200_000, 1), -128, np.int8)
    assert contract(a, b, rule)[0, 0] == np.int64(200_000 * 16384).astype(np.int32)


def test_disputed_products_round_first(path: str) -> None:
    a, b = np.float32([[1.0078125]]), np.float32([[1.0078125]])
    exact = contract(a, b, Contraction(formats.bf16))
    early = contract(a, b, Contraction(formats.bf16, product=formats.bf16))
    assert float(exact[0, 0]) == 1.0078125**2
    assert float(early[0, 0]) == 1.015625
