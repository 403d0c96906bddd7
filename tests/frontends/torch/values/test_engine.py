"""The fast engine against the reference, bit for bit, and what a chip's results may not depend on."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from anychip.arithmetic import Numerics, neuron, reference
from anychip.chips import find
from anychip.formats import Rounding
from anychip.frontends.torch.values import Values, order_of
from anychip.frontends.torch.values.calls import Call, Shape
from anychip.frontends.torch.values.engine import Reference

aten = torch.ops.aten
ARITHMETICS = {"fp32": reference(), "neuron": neuron(2)}


def bits(value: Any) -> list[torch.Tensor]:
    """Tensors of a result as integers, so that -0 and NaN are told apart."""
    views = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    listed = value if isinstance(value, (tuple, list)) else [value]
    return [each.contiguous().view(views[each.element_size()]) for each in listed if each is not None]


def same(left: Any, right: Any) -> bool:
    """Whether two results have equal bits."""
    pairs = list(zip(bits(left), bits(right), strict=True))
    return bool(pairs) and all(torch.equal(a, b) for a, b in pairs)


def numbers(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    """Values over many binades, with zeros of both signs."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator) * torch.exp2(
        torch.randint(-6, 6, shape, generator=generator).float()
    )
    flat = values.view(-1)
    if flat.numel() > 8:
        flat[1], flat[5] = 0.0, -0.0
    return values.to(dtype)


def cases(dtype: torch.dtype) -> dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    """Calls of every family."""
    x, y = numbers(5, 37, dtype=dtype), numbers(5, 37, dtype=dtype, seed=1)
    w, v = numbers(37, dtype=dtype, seed=2), numbers(37, dtype=dtype, seed=3)
    image, kernel = numbers(2, 4, 7, 6, dtype=dtype), numbers(6, 2, 3, 3, dtype=dtype, seed=4)
    wide = numbers(2, 8, 7, 6, dtype=dtype, seed=10)
    backward = numbers(2, 6, 4, 3, dtype=dtype, seed=5)
    spread = numbers(4, 3, 3, 3, dtype=dtype, seed=6)
    q, k, s = (numbers(2, 3, 9, 8, dtype=dtype, seed=i) for i in (7, 8, 9))
    normed = aten.native_layer_norm.default(x, [37], w, v, 1e-5)
    return {
        "add": (aten.add.Tensor, (x, w), {}),
        "add with a factor": (aten.add.Tensor, (x, y), {"alpha": 0.3}),
        "sub": (aten.sub.Tensor, (x, y), {}),
        "mul by a number": (aten.mul.Tensor, (x, 0.1), {}),
        "div": (aten.div.Tensor, (x, y + 10), {}),
        "div by a number": (aten.div.Tensor, (x, 3.3), {}),
        "silu backward": (aten.silu_backward.default, (x, y), {}),
        "threshold backward": (aten.threshold_backward.default, (x, y, 0), {}),
        "addcmul": (aten.addcmul.default, (x, y, w), {"value": 0.7}),
        "addcdiv": (aten.addcdiv.default, (x, y, w.abs() + 1), {"value": -0.01}),
        "lerp": (aten.lerp.Scalar, (x, y, 0.1), {}),
        "pow 3": (aten.pow.Tensor_Scalar, (x, 3), {}),
        "rsqrt": (aten.rsqrt.default, (x.abs() + 0.1,), {}),
        "sqrt": (aten.sqrt.default, (x.abs(),), {}),
        "mm": (aten.mm.default, (x, y.t()), {}),
        "addmm": (aten.addmm.default, (w[:5], x, y.t()), {"beta": 0.5, "alpha": 2}),
        "bmm": (aten.bmm.default, (image[0], image[0].transpose(1, 2)), {}),
        "convolution": (
            aten.convolution.default,
            (image, kernel, w[:6], [2, 2], [1, 1], [1, 1], False, [0, 0], 2),
            {},
        ),
        "convolution of some channels": (
            aten.convolution.default,
            (
                wide[:, 2:6],
                kernel,
                None,
                [2, 2],
                [1, 1],
                [1, 1],
                False,
                [0, 0],
                2,
            ),
            {},
        ),
        "convolution of one image for all": (
            aten.convolution.default,
            (image[:1].expand(3, 4, 7, 6), kernel, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 2),
            {},
        ),
        "transposed convolution": (
            aten.convolution.default,
            (image, spread, None, [2, 3], [1, 0], [1, 2], True, [1, 0], 2),
            {},
        ),
        "convolution backward": (
            aten.convolution_backward.default,
            (backward, image, kernel, [6], [2, 2], [1, 1], [1, 1], False, [0, 0], 2, [True] * 3),
            {},
        ),
        "sum": (aten.sum.dim_IntList, (x, [1]), {}),
        "sum of all": (aten.sum.default, (x,), {}),
        "sum over rows": (aten.sum.dim_IntList, (x, [0], True), {}),
        "mean": (aten.mean.dim, (x, [-1]), {}),
        "var": (aten.var.correction, (x, [1]), {}),
        "norm": (aten.linalg_vector_norm.default, (x,), {}),
        "softmax": (aten._softmax.default, (x, -1, False), {}),
        "log softmax": (aten._log_softmax.default, (x, 0, False), {}),
        "softmax backward": (aten._softmax_backward_data.default, (x, y.softmax(-1), -1, dtype), {}),
        "cumsum": (aten.cumsum.default, (x, 1), {}),
        "layer norm": (aten.native_layer_norm.default, (x, [37], w, v, 1e-5), {}),
        "layer norm backward": (
            aten.native_layer_norm_backward.default,
            (y, x, [37], normed[1], normed[2], w, v, [True] * 3),
            {},
        ),
        "group norm": (aten.native_group_norm.default, (image, w[:4], v[:4], 2, 4, 42, 2, 1e-5), {}),
        "batch norm": (
            aten.native_batch_norm.default,
            (image, w[:4], v[:4], None, None, True, 0.1, 1e-5),
            {},
        ),
        "average pool": (aten.avg_pool2d.default, (image, [3, 2], [2, 1], [1, 0]), {}),
        "mse": (aten.mse_loss.default, (x, y), {}),
        "attention": (
            aten._scaled_dot_product_flash_attention_for_cpu.default,
            (q, k, s),
            {"is_causal": True},
        ),
        "foreach addcdiv": (
            aten._foreach_addcdiv.Scalar,
            ([x, w], [y, v], [y.abs() + 1, v.abs() + 1], -0.1),
            {},
        ),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_fast_engine_has_the_bits_of_the_reference(arithmetic: str, dtype: torch.dtype) -> None:
    numerics = ARITHMETICS[arithmetic]
    fast, slow = Values(numerics), Values(numerics, Reference(numerics))
    different = []
    for name, (operator, args, kwargs) in cases(dtype).items():
        kernel, specification = fast(operator), slow(operator)
        assert kernel is not None, name
        assert specification is not None, name
        specification.exact = None  # pyright: ignore[reportFunctionMemberAccess]
        if not same(kernel(*args, **kwargs), specification(*args, **kwargs)):
            different.append(name)
    assert different == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_row_does_not_depend_on_its_neighbours(dtype: torch.dtype) -> None:
    values = Values(reference())
    x, w = numbers(33, 300, dtype=dtype), numbers(70, 300, dtype=dtype, seed=1)
    product = values(aten.mm.default)
    softmax = values(aten._softmax.default)
    total = values(aten.sum.dim_IntList)
    assert product is not None
    assert softmax is not None
    assert total is not None
    for row in (0, 7, 32):
        assert same(product(x, w.t())[row : row + 1], product(x[row : row + 1], w.t()))
        assert same(softmax(x, 1, False)[row : row + 1], softmax(x[row : row + 1], 1, False))
        assert same(total(x, [1])[row : row + 1], total(x[row : row + 1], [1]))


def test_results_do_not_depend_on_threads() -> None:
    values = Values(reference())
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            calls = cases(torch.bfloat16).values()
            results.append([values(operator)(*args, **kwargs) for operator, args, kwargs in calls])  # type: ignore[misc]
    finally:
        torch.set_num_threads(before)
    assert all(same(one, two) for one, two in zip(*results, strict=True))


def stochastic(seed: int) -> Numerics:
    """bf16 and fp8 stores round at random."""
    return reference().with_rounding(Rounding.stochastic(seed=seed))


def test_stochastic_rounding_repeats_and_averages_out() -> None:
    ones = torch.ones(4096, dtype=torch.bfloat16)
    tiny = torch.full((4096,), 2.0**-10, dtype=torch.bfloat16)
    runs = [Values(stochastic(seed))(aten.add.Tensor)(ones, tiny) for seed in (7, 7, 8)]  # type: ignore[misc]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])
    up = (runs[0] > 1).double().mean()
    assert abs(float(up) - 0.125) < 0.03
    assert bool((aten.add.Tensor(ones, tiny) == 1).all())


def test_in_place_and_out_write_their_arguments() -> None:
    values = Values(neuron(2))
    x, y = numbers(4, 8), numbers(4, 8, seed=1)
    expected = values(aten.addcmul.default)(x, y, y, value=0.3)  # type: ignore[misc]
    target = x.clone()
    returned = values(aten.addcmul_.default)(target, y, y, value=0.3)  # type: ignore[misc]
    assert returned is target
    assert same(target, expected)
    out = torch.empty(4, 8)
    returned = values(aten.mm.out)(x, y.t(), out=torch.empty(4, 4))  # type: ignore[misc]
    assert same(returned, values(aten.mm.default)(x, y.t()))  # type: ignore[misc]
    values(aten.addcmul.out)(x, y, y, value=0.3, out=out)  # type: ignore[misc]
    assert same(out, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_functions_of_one_narrow_operand_are_the_same_from_a_table(dtype: torch.dtype) -> None:
    every = torch.arange(65536, dtype=torch.int32).to(torch.int16).view(dtype)
    large, small = Values(reference()), Values(reference())
    for operator in (aten.gelu.default, aten.silu.default, aten.rsqrt.default, aten.exp.default):
        whole = large(operator)(every.reshape(256, 256).t())  # type: ignore[misc]
        parts = [small(operator)(part) for part in every.split(4096)]  # type: ignore[misc]
        expected = torch.cat(parts).reshape(256, 256).t()
        assert same(whole.nan_to_num(7), expected.nan_to_num(7))


def test_a_strided_result_is_written_in_place() -> None:
    values = Values(reference())
    whole = numbers(6, 10)
    expected = whole.clone()
    part = whole[::2, 1::3]
    expected[::2, 1::3] = values(aten.silu.default)(part.clone())  # type: ignore[misc]
    values(aten.silu_.default)(part)  # type: ignore[misc]
    assert same(whole, expected)


def test_neuron_reads_fp32_operands_as_bf16() -> None:
    x, y = numbers(3, 40), numbers(40, 5, seed=1)
    cast = Values(neuron(2))(aten.mm.default)(x, y)  # type: ignore[misc]
    already = Values(neuron(2, autocast=None))(aten.mm.default)(x.bfloat16().float(), y.bfloat16().float())  # type: ignore[misc]
    assert same(cast, already)


@pytest.mark.parametrize(
    ("operator", "format_name", "order"),
    [
        ("aten.mm.default", "bf16", "chip"),
        ("aten.mm.default", "fp64", "host order"),
        ("aten.linalg_qr.default", "fp32", "host order"),
        ("aten.embedding_dense_backward.default", "fp32", "chip"),
        ("aten.embedding_dense_backward.default", "bf16", "host order"),
        ("aten.view.default", "fp64", "chip"),
    ],
)
def test_whose_arithmetic_a_call_has(operator: str, format_name: str, order: str) -> None:
    matrix = Shape(format_name, (4, 4), (4, 1))
    index = Shape("int64", (4,), (1,))
    second = index if "embedding" in operator else matrix
    assert order_of(Call(operator, (), (matrix, second), (matrix,))) == order


def test_a_format_that_the_chip_does_not_multiply_runs_in_the_host_order() -> None:
    numerics = find("t4").numerics_named("default")
    product = Values(numerics)(aten._scaled_mm.default)
    left, right = (numbers(16, 32, seed=s).clamp(-8, 8).to(torch.float8_e4m3fn) for s in (1, 2))
    one = torch.ones(())
    assert product is not None
    result = product(left, right.t(), one, one, None, None, torch.bfloat16)
    plain = aten._scaled_mm.default(left, right.t(), one, one, None, None, torch.bfloat16)
    assert same(result, plain)
    shapes = Shape("fp8_e4m3fn", (16, 32), (32, 1)), Shape("fp8_e4m3fn", (32, 16), (1, 32))
    scale, out = Shape("fp32", (), ()), Shape("bf16", (16, 16), (16, 1))
    call = Call("aten._scaled_mm.default", (), (*shapes, scale, scale), (out,))
    assert order_of(call, numerics) == "host order"
    assert order_of(call, find("h100").numerics_named("default")) == "chip"


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("operator", [aten.sqrt, aten.exp, aten.gelu, aten.linalg_vector_norm])
def test_a_tensor_without_dimensions_is_one_element(arithmetic: str, operator: Any) -> None:
    """NumPy makes a scalar of such an array on the way."""
    function: Any = Values(ARITHMETICS[arithmetic])(operator.default)
    one = numbers(1).abs()
    assert same(function(one.reshape(())).reshape(1), function(one).reshape(1))
