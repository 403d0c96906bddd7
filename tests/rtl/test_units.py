"""Every arithmetic unit in Verilator against exact integers, and mutants that must fail."""

from __future__ import annotations

import numpy as np
import pytest

from anychip.formats import CastRule, Rounding, by_name
from anychip.formats.randomness import random_bits
from anychip.rtl.floats import BF16, FP8_E4M3FN, FP8_E5M2, FP16, FP32, Defect, Layout
from anychip.rtl.units import Add, Compare, Divide, Multiply, MultiplyAdd, Round, Widen
from anychip.rtl.verilator import UnitLibrary, missing_tools
from anychip.rtl.verilog import write
from tests.rtl import exact
from tests.rtl.vectors import anything, landmarks, near_one, pairs

pytestmark = pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {missing_tools()}")

OPERANDS = [BF16, FP16, FP8_E4M3FN, FP8_E5M2]
EXACT = 6000


def built(component: object, name: str) -> UnitLibrary:
    return UnitLibrary(write(component, name))  # type: ignore[arg-type]


def differing(got: np.ndarray, want: list[int], *operands: np.ndarray) -> list[str]:
    """The first cases that differ, readable."""
    wrong = np.flatnonzero(got != np.array(want, np.uint64))[:5]
    return [f"{[hex(int(o[i])) for o in operands]}: {int(got[i]):#x}, exact {want[i]:#x}" for i in wrong]


def multiply_add_operands(operand: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges, everything, sums that nearly cancel, and ties with and without a sticky bit."""
    generator = np.random.default_rng(7)
    edge_a, edge_b = pairs(landmarks(operand)[::2], landmarks(operand)[1::2])
    edge_c = generator.choice(landmarks(FP32), len(edge_a))
    a = [edge_a, anything(operand, EXACT, 1), near_one(operand, EXACT, 2)]
    b = [edge_b, anything(operand, EXACT, 3), near_one(operand, EXACT, 4)]
    c = [edge_c, anything(FP32, EXACT, 5), near_one(FP32, EXACT, 6, spread=26)]
    a.append(near_one(operand, EXACT, 8))
    b.append(near_one(operand, EXACT, 9))
    c.append(cancelling(operand, a[-1], b[-1]))
    return np.concatenate(a), np.concatenate(b), np.concatenate(c)


def cancelling(operand: Layout, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Minus the product, give or take a few last places."""
    zero = 0
    minus = [
        exact.multiply_add(operand, FP32, int(x), int(y), zero) ^ 0x80000000
        for x, y in zip(a, b, strict=True)
    ]
    nudge = np.random.default_rng(11).integers(-3, 4, len(a))
    return (np.array(minus, np.int64) + nudge).astype(np.uint64)


@pytest.mark.parametrize("operand", OPERANDS, ids=lambda layout: layout.name)
def test_multiply_add_is_one_rounding_of_the_exact_sum(operand: Layout) -> None:
    unit = built(MultiplyAdd(operand), f"multiply_add_{operand.name}")
    a, b, c = multiply_add_operands(operand)
    got = unit(a=a, b=b, c=c)["result"]
    want = [
        exact.multiply_add(operand, FP32, int(x), int(y), int(z)) for x, y, z in zip(a, b, c, strict=True)
    ]
    assert not differing(got, want, a, b, c)


def fp32_operands() -> tuple[np.ndarray, np.ndarray]:
    edge_x, edge_y = pairs(landmarks(FP32), landmarks(FP32))
    near = near_one(FP32, EXACT, 21, spread=26)
    partner = near_one(FP32, EXACT, 22, spread=26)
    opposite = near ^ np.uint64(0x80000000)
    nudged = (opposite.astype(np.int64) + np.random.default_rng(23).integers(-3, 4, EXACT)).astype(np.uint64)
    small = anything(FP32, EXACT, 24) & np.uint64(0x81FFFFFF)
    x = np.concatenate([edge_x, near, near, anything(FP32, EXACT, 25), small])
    y = np.concatenate([edge_y, partner, nudged, anything(FP32, EXACT, 26), small[::-1]])
    return x, y


@pytest.mark.parametrize("operation", ["add", "multiply"])
def test_fp32_operations_are_one_rounding_of_the_exact_result(operation: str) -> None:
    component = {"add": Add, "multiply": Multiply}[operation]()
    oracle = {"add": exact.add, "multiply": exact.multiply}[operation]
    x, y = fp32_operands()
    got = built(component, f"{operation}_fp32")(x=x, y=y)["z"]
    assert not differing(got, [oracle(FP32, int(a), int(b)) for a, b in zip(x, y, strict=True)], x, y)


def test_products_in_the_subnormal_range_are_rounded_once() -> None:
    """Results around 2**-149 come from normal operands; every shift distance is visited."""
    generator = np.random.default_rng(31)
    exponent = generator.integers(1, 128, EXACT, dtype=np.uint64)
    partner = np.clip(127 - exponent.astype(np.int64) + generator.integers(-25, 4, EXACT), 0, 254)
    mantissas = generator.integers(0, 1 << 23, (2, EXACT), dtype=np.uint64)
    x = exponent << np.uint64(23) | mantissas[0]
    y = partner.astype(np.uint64) << np.uint64(23) | mantissas[1]
    got = built(Multiply(), "multiply_fp32")(x=x, y=y)["z"]
    assert not differing(got, [exact.multiply(FP32, int(a), int(b)) for a, b in zip(x, y, strict=True)], x, y)


def test_against_this_machines_own_arithmetic() -> None:
    """An independent implementation: numpy's float32, two million operands an operation."""
    x = np.concatenate([anything(FP32, 1_000_000, 41), near_one(FP32, 1_000_000, 42, spread=30)])
    y = np.concatenate([anything(FP32, 1_000_000, 43), near_one(FP32, 1_000_000, 44, spread=30)])
    left, right = (v.astype(np.uint32).view(np.float32) for v in (x, y))
    with np.errstate(all="ignore"):
        results = {"add": left + right, "multiply": left * right, "divide": left / right}
    units = {"add": Add(), "multiply": Multiply(), "divide": Divide()}
    for name, wanted in results.items():
        want = np.where(np.isnan(wanted), np.uint32(0x7FC00000), wanted.view(np.uint32))
        got = built(units[name], f"{name}_fp32")(x=x, y=y)["z"]
        assert np.count_nonzero(got != want) == 0, name


@pytest.mark.parametrize(
    ("target", "saturate"),
    [(BF16, False), (FP16, False), (FP8_E4M3FN, False), (FP8_E4M3FN, True), (FP8_E5M2, True)],
)
def test_rounding_to_nearest_and_by_chance(target: Layout, saturate: bool) -> None:
    unit = built(
        Round(target, random_bits=16, saturate=saturate), f"round_{target.name}{'_saturate' * saturate}"
    )
    widened = np.array(
        [exact.converted(target, FP32, int(code)) for code in anything(target, 800, 51)], np.uint64
    )
    last_bit = 22 - target.mantissa_bits
    ties = widened ^ np.uint64(1 << last_bit)
    around = np.concatenate([ties, ties + np.uint64(1), ties - np.uint64(1), widened])
    x = np.concatenate(
        [landmarks(FP32), around, anything(FP32, EXACT, 52), near_one(FP32, EXACT, 53, spread=30)]
    )
    x &= np.uint64(0xFFFFFFFF)
    random = np.random.default_rng(54).integers(0, 1 << 16, len(x), dtype=np.uint64)
    for stochastic in (0, 1):
        got = unit(x=x, random=random, stochastic=np.full(len(x), stochastic))["z"]
        want = [
            exact.converted(
                FP32, target, int(code), random=(int(bits), 16) if stochastic else None, saturate=saturate
            )
            for code, bits in zip(x, random, strict=True)
        ]
        assert not differing(got, want, x, random)


@pytest.mark.parametrize("target", [BF16, FP16, FP8_E4M3FN, FP8_E5M2], ids=lambda layout: layout.name)
@pytest.mark.parametrize("seed", [None, 7])
def test_rounding_is_the_cast_of_the_formats(target: Layout, seed: int | None) -> None:
    """The gates against `anychip.formats`, to nearest and stochastic with the same random bits."""
    saturate = target is FP8_E5M2
    name = f"round_{target.name}{'_saturate' * saturate}"
    unit = built(Round(target, random_bits=16, saturate=saturate), name)
    x = np.concatenate([anything(FP32, 100_000, 71), near_one(FP32, 100_000, 72, spread=30)])
    rounding = Rounding.NEAREST_EVEN if seed is None else Rounding.stochastic(seed=seed, bits=16)
    random = np.zeros(len(x), np.uint64) if seed is None else random_bits(rounding, len(x), 16)  # type: ignore[arg-type]
    got = unit(x=x, random=random, stochastic=np.full(len(x), int(seed is not None)))["z"]
    stored = by_name(target.name)
    values = x.astype(np.uint32).view(np.float32)
    rule = CastRule(rounding=rounding, **({"overflow": "saturate"} if saturate else {}))  # type: ignore[arg-type]
    want = stored.encode(values, rule=rule)  # type: ignore[union-attr, call-arg]
    with np.errstate(invalid="ignore"):
        nan = np.isnan(stored.decode(want))  # type: ignore[arg-type]
    assert np.array_equal(np.where(nan, target.nan_code, want), got)


@pytest.mark.parametrize("source", [FP16, FP8_E4M3FN], ids=lambda layout: layout.name)
def test_widening_is_exact_for_every_code(source: Layout) -> None:
    codes = np.arange(1 << source.bits, dtype=np.uint64)
    got = built(Widen(source), f"widen_{source.name}")(x=codes)["z"]
    assert not differing(got, [exact.converted(source, FP32, int(code)) for code in codes], codes)


def test_comparisons() -> None:
    x, y = fp32_operands()
    outputs = built(Compare(), "compare_fp32")(x=x, y=y)
    left, right = (v.astype(np.uint32).view(np.float32) for v in (x, y))
    nan = np.isnan(left) | np.isnan(right)
    with np.errstate(invalid="ignore"):
        assert np.array_equal(outputs["less"], left < right)
        assert np.array_equal(outputs["equal"], left == right)
        for name, choose in (("largest", np.maximum), ("smallest", np.minimum)):
            both_zero = (left == 0) & (right == 0)
            want = choose(left, right).view(np.uint32)
            zero = x & y if name == "largest" else x | y
            want = np.where(nan, 0x7FC00000, np.where(both_zero, zero, want))
            assert not differing(outputs[name], want.tolist(), x, y)


@pytest.mark.parametrize("mistake", ["ties_away", "no_sticky", "flush_subnormals", "no_guard"])
def test_a_wrong_multiply_add_is_seen(mistake: str) -> None:
    unit = built(MultiplyAdd(BF16, defect=Defect(**{mistake: True})), f"multiply_add_{mistake}")
    a, b, c = multiply_add_operands(BF16)
    got = unit(a=a, b=b, c=c)["result"]
    want = [exact.multiply_add(BF16, FP32, int(x), int(y), int(z)) for x, y, z in zip(a, b, c, strict=True)]
    assert differing(got, want, a, b, c)


@pytest.mark.parametrize("mistake", ["ties_away", "no_sticky", "flush_subnormals"])
def test_a_wrong_rounding_is_seen(mistake: str) -> None:
    target = FP16 if mistake != "flush_subnormals" else BF16
    unit = built(Round(target, defect=Defect(**{mistake: True})), f"round_{target.name}_{mistake}")
    x = np.concatenate([near_one(FP32, EXACT, 61, spread=30), anything(FP32, EXACT, 62)])
    x = np.concatenate([x, x & ~np.uint64(0xFFF), x & np.uint64(0x807FFFFF)])
    got = unit(x=x)["z"]
    assert differing(got, [exact.converted(FP32, target, int(code)) for code in x], x)
