"""Programs of the compiled core against single steps: the same bits, whatever path and threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anychip.arithmetic import Numerics, evaluate, reduce_sum, reference
from anychip.arithmetic.access import Access
from anychip.arithmetic.fused import Joined, fused
from anychip.arithmetic.order import Lanes, Order, Sequential, Tiles, Tree
from anychip.arithmetic.recipe import IDENTITY, Operable, Recipe, apply, select, traced
from anychip.arithmetic.reduction import Reduction
from anychip.formats import CastRule, Float, Rounding, bf16, by_name, compiled, fp16, fp32

pytestmark = pytest.mark.skipif(compiled.library() is None, reason="the compiled core is not built")
NUMERICS: Numerics = reference()


def stored(values: NDArray[Any], format: Float | None) -> NDArray[Any]:
    """Values as memory holds them: codes, fp32, or truth values."""
    if format is None:
        return np.ascontiguousarray(values > 0).astype(np.uint8)
    return np.ascontiguousarray(values, np.float32) if format == fp32 else format.encode(values)


def values_of(memory: NDArray[Any], format: Float | None) -> NDArray[Any]:
    """What lanes compute on."""
    if format is None:
        return memory.astype(bool)
    return memory if format == fp32 else format.decode(memory).astype(np.float32)


def numbers(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """Values over many binades, zeros of both signs among them."""
    generator = np.random.default_rng(seed)
    values = (generator.standard_normal(shape) * 2.0 ** generator.integers(-6, 6, shape)).astype(np.float32)
    flat = values.reshape(-1)
    flat[:: max(7, flat.size // 5)] = 0.0
    flat[1 :: max(11, flat.size // 3)] = -0.0
    return values


def run(program: Any, arrays: list[NDArray[Any]], **keywords: Any) -> None:
    """Calls a program on arrays."""
    assert program is not None
    program([array.ctypes.data for array in arrays], **keywords)


def equal(left: NDArray[Any], right: NDArray[Any]) -> bool:
    """Whether bits are equal."""
    return left.tobytes() == np.ascontiguousarray(right, left.dtype).tobytes()


def everything(x: Any, y: Any, z: Any, m: Any) -> tuple[Operable, ...]:
    """Every step that the core has, on three numbers and a truth value."""
    gate = apply("sigmoid", x) * apply("gelu", y) + apply("exp", apply("minimum", z, 3.0))
    root = apply("sqrt", abs(x)) / (apply("rsqrt", abs(y) + 1.0) - 7.25)
    whole = apply("floor", x) + apply("ceil", y) - apply("trunc", z) + apply("round", x * 3.3)
    truth = apply(
        "or", apply("and", apply("gt", x, y), m), apply("xor", apply("eq", z, 0.0), apply("not", m))
    )
    chosen = select(truth, gate, apply("maximum", root, whole))
    other = select(apply("sign_bit", z), -x, select(apply("isnan", gate), 1.0, z * 0.1))
    return chosen, other, truth, apply("le", x, y), apply("copy", x), 0.5


@pytest.mark.parametrize("path", compiled.paths()[:-1])
@pytest.mark.parametrize("shape", [(1,), (17,), (3, 700), (5, 8, 65)], ids=str)
@pytest.mark.parametrize("format", [fp32, bf16, fp16, by_name("fp8_e4m3fn")], ids=lambda f: f.name)
def test_a_grid_has_the_bits_of_its_steps(path: str, shape: tuple[int, ...], format: Float) -> None:
    recipe = traced(4, everything)
    memory = [stored(numbers(shape, seed), format) for seed in range(3)]
    memory[1] = np.asfortranarray(memory[1])
    memory[2] = memory[2][..., :1].copy()  # broadcast along the last dimension
    mask = stored(numbers(shape, 9), None)
    results = [np.zeros(shape, memory[0].dtype) for _ in range(2)]
    results += [np.zeros(shape, np.uint8) for _ in range(2)] + [
        np.zeros(shape, memory[0].dtype) for _ in range(2)
    ]
    operands = [*memory, mask]
    formats: list[Float | None] = [format, format, format, None]
    outs: list[Float | None] = [format, format, None, None, format, format]

    def access(array: NDArray[Any], kind: Float | None) -> Access:
        strides = tuple(
            0 if array.shape[d] == 1 else s // array.itemsize for d, s in enumerate(array.strides)
        )
        return Access(kind, strides)

    before = compiled.path()
    compiled.use(path)
    try:
        program = fused(
            (),
            shape,
            [access(a, f) for a, f in zip(operands, formats, strict=True)],
            (),
            recipe,
            [access(a, f) for a, f in zip(results, outs, strict=True)],
            NUMERICS.reduction,
        )
        run(program, [*operands, *results])
    finally:
        compiled.use(before)
    given = tuple(values_of(a, f) for a, f in zip(operands, formats, strict=True))
    expected = evaluate(recipe, given)
    for result, kind, value in zip(results, outs, expected, strict=True):
        value = np.broadcast_to(value, shape)
        right = value.astype(np.uint8) if kind is None else stored(value, kind)
        assert equal(result, right), kind


ORDERS: list[Order] = [Sequential(), Tiles(16), Lanes(16), Lanes(5), Tree(4)]


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("direction", ["along", "across"])
@pytest.mark.parametrize("threads", [1, 2])
def test_rows_have_the_bits_of_their_passes(order: Order, direction: str, threads: int) -> None:
    rows, length = 37, 611
    rule = Reduction(order=order)
    shape = (rows, length) if direction == "along" else (length, rows)
    x = bf16.encode(numbers(shape, 1))
    gain = numbers((length,), 2)
    here = (length, 1) if direction == "along" else (1, rows)
    passes = (
        Joined(traced(2, lambda v, _: v), "maximum"),
        Joined(
            traced(3, lambda v, w, top: apply("exp", v - top) * w),
            "sum",
            traced(4, lambda total, *_: apply("log", abs(total) + 1.0)),
        ),
    )
    write = traced(4, lambda v, w, top, s: (apply("exp", v - top) / s * w, s))
    wide, narrow = np.zeros(shape, np.uint16), np.zeros(rows, np.float32)
    program = fused(
        (rows,),
        (length,),
        [Access(bf16, here), Access(fp32, (0, 1))],
        passes,
        write,
        [Access(bf16, here), Access(fp32, (1, 0))],
        rule,
    )
    if direction == "across" and isinstance(order, Tree):
        assert program is None
        return
    compiled.set_threads(threads)
    try:
        run(program, [x, gain, wide, narrow])
    finally:
        compiled.set_threads(1)
    values = bf16.decode(x).astype(np.float32)
    values = values if direction == "along" else values.T
    top = values.max(1, keepdims=True)
    (terms,) = evaluate(passes[1].recipe, (values, gain, top))
    total = reduce_sum(np.ascontiguousarray(terms), -1, rule)[:, None].astype(np.float32)
    assert passes[1].finish is not None
    (finished,) = evaluate(passes[1].finish, (total, total, total, total))
    result, last = evaluate(write, (values, gain, top, finished))
    assert equal(wide, bf16.encode(result if direction == "along" else np.ascontiguousarray(result.T)))
    assert equal(narrow, last.reshape(-1))


@pytest.mark.parametrize("count", [5, 1000, 70001])
@pytest.mark.parametrize("threads", [1, 2])
def test_stochastic_rounding_goes_by_the_elements_of_the_result(count: int, threads: int) -> None:
    rounding = Rounding.stochastic(seed=3)
    x = numbers((count,), 1)
    result = np.zeros(count, np.uint16)
    rule = CastRule(rounding=rounding)
    third = traced(1, lambda v: v * 0.3333)
    program = fused(
        (), (count,), [Access(fp32, (1,))], (), third, [Access(bf16, (1,), rule=rule)], Reduction()
    )
    compiled.set_threads(threads)
    try:
        run(program, [x, result], tensors=[7], step=11)
    finally:
        compiled.set_threads(1)
    placed = CastRule(rounding=rounding.at(step=11, tensor=7))
    assert equal(result, bf16.encode((x * np.float32(0.3333)).astype(np.float32), rule=placed))


@pytest.mark.parametrize("format", [bf16, fp16, by_name("fp8_e5m2")], ids=lambda f: f.name)
def test_curves_of_narrow_operands_have_their_bits_by_table(format: Float) -> None:
    def formula(g: Any, x: Any) -> tuple[Operable, ...]:
        density = apply("exp", (x * x) * -0.5) * 0.3989
        slope = apply("normal_cdf", x) + x * density
        return g * slope, apply("gelu", x), select(apply("gt", apply("tanh", x), g), density, g)

    recipe, count = traced(2, formula), 1 << 16
    memory = [stored(numbers((count,), seed), format) for seed in (1, 2)]
    if format.bits == 16:
        memory[1] = np.arange(count, dtype=np.uint16)
        memory[1][np.isnan(format.decode(memory[1]))] = 0
    results = [np.zeros(count, np.float32) for _ in range(3)]
    one = Access(fp32, (1,))
    program = fused((), (count,), [Access(format, (1,))] * 2, (), recipe, [one] * 3, Reduction())
    run(program, [*memory, *results])
    given = tuple(values_of(each, format) for each in memory)
    for result, value in zip(results, evaluate(recipe, given), strict=True):
        assert equal(result, value)


def test_results_may_be_operands() -> None:
    x, y = numbers((5000,), 1), numbers((5000,), 2)
    swapped = Recipe(2, (), (1, 0))
    program = fused((), (5000,), [Access(fp32, (1,))] * 2, (), swapped, [Access(fp32, (1,))] * 2, Reduction())
    a, b = x.copy(), y.copy()
    run(program, [a, b, a, b])
    assert equal(a, y)
    assert equal(b, x)


def test_what_is_no_lane_work_is_left_to_single_steps() -> None:
    one = [Access(fp32, (1,))]
    rule = Reduction()
    truth = [Access(None, (1,))]
    assert fused((), (4,), one, (), traced(1, lambda v: apply("pow", v, 1.5)), one, rule) is None
    assert fused((), (4,), truth, (), traced(1, lambda v: v + 1), one, rule) is None
    assert fused((), (4,), [Access(by_name("fp64"), (1,))], (), IDENTITY, one, rule) is None  # type: ignore[arg-type]
    assert fused((), (0,), one, (), IDENTITY, one, rule) is None
    argument = Joined(traced(1, lambda v: v), "argmaximum")
    assert (
        fused(
            (3,), (4,), [Access(fp32, (4, 1))], (argument,), Recipe(2, (), (1,)), [Access(fp32, (1, 0))], rule
        )
        is None
    )
