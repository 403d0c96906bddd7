"""Layer, batch, group and RMS normalisation, forward and backward, as passes over rows.

The mean is the sum over the count; the variance sums squared distances from that mean; the inverse root is a
curve. Saved statistics are results like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from anychip.arithmetic.recipe import Lane, Operable, apply
from anychip.operators.arguments import Arguments, Tensor
from anychip.operators.forms import Form, Join
from anychip.operators.reductions import Formula, mean_of, rows
from anychip.operators.table import Rule, register

Passes = Sequence[tuple[Join, Formula] | tuple[Join, Formula, Formula]]


def moments(count: int, eps: float) -> Passes:
    """Mean, and the inverse root of variance plus `eps`, of register 0."""
    return (
        ("sum", lambda x, *_: x, mean_of(count)),
        (
            "sum",
            lambda x, *rest: (x - rest[-1]) * (x - rest[-1]),
            lambda total, *_: apply("rsqrt", total / count + eps),
        ),
    )


def affine(value: Lane, weight: Lane | None, bias: Lane | None) -> Lane:
    """``value * weight + bias`` with what there is of them."""
    value = value if weight is None else value * weight
    return value if bias is None else value + bias


def on(tensor: Tensor, rank: int, dims: Sequence[int]) -> Tensor:
    """A tensor of few dimensions placed at `dims` of a grid, extent 1 elsewhere."""
    shape, strides = [1] * rank, [0] * rank
    for own, d in enumerate(dims):
        shape[d], strides[d] = tensor.shape[own], tensor.strides[own]
    return tensor.viewed(shape, strides)


def optional(*tensors: Tensor | None) -> list[Tensor]:
    """The tensors that are there."""
    return [tensor for tensor in tensors if tensor is not None]


def normalised(
    grid: Tensor,
    dims: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    results: Sequence[Tensor],
) -> Form:
    """Output, mean and inverse root over `dims`, for operands already placed on the grid."""
    count = prod(grid.shape[d] for d in dims)
    has = (weight is not None, bias is not None)

    def write(x: Lane, *rest: Lane) -> Sequence[Operable]:
        left = list(rest)
        gain = left.pop(0) if has[0] else None
        shift = left.pop(0) if has[1] else None
        mean, inverse = left
        return (affine((x - mean) * inverse, gain, shift), mean, inverse)[: len(results)]

    return rows(grid.shape, dims, (grid, *optional(weight, bias)), moments(count, eps), write, results)


def input_gradient(
    grid: Tensor,
    dims: Sequence[int],
    grad: Tensor,
    mean: Tensor,
    inverse: Tensor,
    weight: Tensor | None,
    result: Tensor,
) -> Form:
    """Gradient of a normalisation's input: the part along the mean and along the output taken out."""
    count = prod(grid.shape[d] for d in dims)
    gained = weight is not None

    def gain(g: Lane, rest: Sequence[Lane]) -> Lane:
        return g * rest[0] if gained else g

    def first(g: Lane, _x: Lane, _m: Lane, _i: Lane, *rest: Lane) -> Operable:
        return gain(g, rest)

    def second(g: Lane, x: Lane, m: Lane, i: Lane, *rest: Lane) -> Operable:
        return gain(g, rest) * ((x - m) * i)

    def write(g: Lane, x: Lane, m: Lane, i: Lane, *rest: Lane) -> Operable:
        along_mean, along_output = rest[-2], rest[-1]
        return (gain(g, rest) - (along_mean + (x - m) * i * along_output) / count) * i

    inputs = (grad, grid, mean, inverse, *optional(weight))
    return rows(grid.shape, dims, inputs, (("sum", first), ("sum", second)), write, (result,))


def parameter_gradients(
    grid: Tensor,
    dims: Sequence[int],
    grad: Tensor,
    mean: Tensor,
    inverse: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
) -> list[Form]:
    """Gradients of gain and shift: sums over `dims`, the dimensions that they lack, in one walk."""

    def scaled(g: Lane, x: Lane, m: Lane, i: Lane, *_: Lane) -> Operable:
        return g * ((x - m) * i)

    if weight is not None and bias is not None:
        steps: Passes = (("sum", scaled), ("sum", lambda g, *_: g))
        inputs = (grad, grid, mean, inverse)
        return [rows(grid.shape, dims, inputs, steps, lambda *all: all[-2:], (weight, bias))]
    if weight is not None:
        return [rows(grid.shape, dims, (grad, grid, mean, inverse), (("sum", scaled),), None, (weight,))]
    if bias is not None:
        return [rows(grid.shape, dims, (grad,), (("sum", lambda g: g),), None, (bias,))]
    return []


def wanted(a: Arguments, count: int = 3) -> list[Tensor | None]:
    """Results of a backward by its ``output_mask``; None where one is not asked for."""
    mask = a.attribute("output_mask", (True,) * count)
    flags = [bool(each) for each in mask] if isinstance(mask, tuple) else [True] * count
    results = iter(a.results)
    return [next(results, None) if flag else None for flag in flags]


def layer_norm(a: Arguments) -> tuple[Form, ...]:
    x = a.tensor("input")
    rank = len(x.shape)
    dims = range(rank - len(a.integers("normalized_shape")), rank)
    outer = range(dims.start)
    results = [a.results[0], *(on(t, rank, outer) for t in a.results[1:])]
    return (
        normalised(x, dims, a.optional("weight"), a.optional("bias"), float(a.number("eps", 1e-5)), results),
    )


def layer_norm_backward(a: Arguments) -> tuple[Form, ...]:
    x, grad = a.tensor("input"), a.tensor("grad_out")
    rank = len(x.shape)
    dims = range(rank - len(a.integers("normalized_shape")), rank)
    outer = range(dims.start)
    mean, inverse = on(a.tensor("mean"), rank, outer), on(a.tensor("rstd"), rank, outer)
    to_input, to_weight, to_bias = wanted(a)
    forms: list[Form] = []
    if to_input is not None:
        forms.append(input_gradient(x, dims, grad, mean, inverse, a.optional("weight"), to_input))
    placed = [None if t is None else on(t, rank, dims) for t in (to_weight, to_bias)]
    return (*forms, *parameter_gradients(x, outer, grad, mean, inverse, placed[0], placed[1]))


def rms_norm(a: Arguments) -> tuple[Form, ...]:
    x, weight = a.tensor("input"), a.optional("weight")
    rank = len(x.shape)
    dims = range(rank - len(a.integers("normalized_shape")), rank)
    count = prod(x.shape[d] for d in dims)
    eps = float(a.number("eps", 1.1920928955078125e-07))
    results = [a.results[0], *(on(t, rank, range(dims.start)) for t in a.results[1:])]

    def write(v: Lane, *rest: Lane) -> Sequence[Operable]:
        return (affine(v * rest[-1], rest[0] if weight is not None else None, None), rest[-1])[: len(results)]

    step: tuple[Join, Formula, Formula] = (
        "sum",
        lambda v, *_: v * v,
        lambda total, *_: apply("rsqrt", total / count + eps),
    )
    return (rows(x.shape, dims, (x, *optional(weight)), (step,), write, results),)


def rms_norm_backward(a: Arguments) -> tuple[Form, ...]:
    x, grad, weight = a.tensor("input"), a.tensor("grad_out"), a.optional("weight")
    rank = len(x.shape)
    dims = range(rank - len(a.integers("normalized_shape")), rank)
    count = prod(x.shape[d] for d in dims)
    inverse = on(a.tensor("rstd"), rank, range(dims.start))
    to_input, to_weight = wanted(a, 2)
    gained = weight is not None
    forms: list[Form] = []
    if to_input is not None:

        def along(g: Lane, v: Lane, i: Lane, *rest: Lane) -> Operable:
            return (g * rest[0] if gained else g) * (v * i)

        def write(g: Lane, v: Lane, i: Lane, *rest: Lane) -> Operable:
            return ((g * rest[0] if gained else g) - v * i * rest[-1] / count) * i

        inputs = (grad, x, inverse, *optional(weight))
        forms.append(rows(x.shape, dims, inputs, (("sum", along),), write, (to_input,)))
    if to_weight is not None:
        step: tuple[Join, Formula] = ("sum", lambda g, v, i: g * (v * i))
        target = on(to_weight, rank, dims)
        forms.append(rows(x.shape, range(dims.start), (grad, x, inverse), (step,), None, (target,)))
    return tuple(forms)


def batch_norm(*, training: bool | None, stats: bool = True) -> Rule:
    """Batch normalisation over every dimension but the channel.

    Args:
        training: None to read it from the arguments.
        stats: whether the overload has running statistics.
    """

    def rule(a: Arguments) -> tuple[Form, ...]:
        x = a.tensor("input")
        rank = len(x.shape)
        dims = tuple(d for d in range(rank) if d != 1)
        weight, bias, mean, variance = (
            None if t is None else on(t, rank, (1,))
            for t in (
                a.optional("weight"),
                a.optional("bias"),
                a.optional("running_mean") if stats else None,
                a.optional("running_var") if stats else None,
            )
        )
        eps, momentum = float(a.number("eps", 1e-5)), float(a.number("momentum", 0.1))
        learning = a.flag("training", default=True) if training is None else training
        # Overloads that say that they write the running statistics list them before their results.
        declared = 2 if stats and "legit" in a.name and training is None else 0
        fresh = list(a.results[declared:] if len(a.results) > 3 else a.results)
        if not learning and mean is not None and variance is not None:
            return (_with_running(x, dims, weight, bias, mean, variance, eps, fresh[0]),)
        saved = [on(t, rank, (1,)) for t in fresh[1:3] if t.elements]
        forms = [normalised(x, dims, weight, bias, eps, [fresh[0], *saved])]
        if mean is not None and variance is not None:
            forms.append(_running_update(x, dims, mean, variance, momentum))
        return tuple(forms)

    return rule


def _with_running(
    x: Tensor,
    dims: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    result: Tensor,
) -> Form:
    """Normalisation by statistics that are already known: no pass, one walk to write."""
    has = (weight is not None, bias is not None)

    def write(v: Lane, m: Lane, s: Lane, *rest: Lane) -> Operable:
        left = list(rest)
        gain = left.pop(0) if has[0] else None
        return affine((v - m) * apply("rsqrt", s + eps), gain, left.pop(0) if has[1] else None)

    return rows(x.shape, dims, (x, mean, variance, *optional(weight, bias)), (), write, (result,))


def _running_update(x: Tensor, dims: Sequence[int], mean: Tensor, variance: Tensor, momentum: float) -> Form:
    """Running statistics, moved by `momentum` towards those of the batch (the variance unbiased)."""
    count = prod(x.shape[d] for d in dims)
    passes: Passes = (
        ("sum", lambda v, *_: v, mean_of(count)),
        (
            "sum",
            lambda v, _m, _s, found: (v - found) * (v - found),
            lambda total, *_: total / max(count - 1, 1),
        ),
    )

    def write(_v: Lane, m: Lane, s: Lane, found: Lane, spread: Lane) -> Sequence[Operable]:
        return (
            found * momentum + m * (1.0 - momentum),
            spread * momentum + s * (1.0 - momentum),
        )

    return rows(x.shape, dims, (x, mean, variance), passes, write, (mean, variance))


def batch_norm_backward(a: Arguments) -> tuple[Form, ...] | None:
    x, grad = a.tensor("input"), a.tensor("grad_out")
    rank = len(x.shape)
    dims = tuple(d for d in range(rank) if d != 1)
    weight = a.optional("weight")
    weight = None if weight is None else on(weight, rank, (1,))
    to_input, to_weight, to_bias = wanted(a)
    placed = [None if t is None else on(t, rank, (1,)) for t in (to_weight, to_bias)]
    saved = (a.optional("save_mean"), a.optional("save_invstd"))
    if a.flag("train", default=True):
        if saved[0] is None or saved[1] is None:
            return None
        mean, inverse = on(saved[0], rank, (1,)), on(saved[1], rank, (1,))
        forms: list[Form] = []
        if to_input is not None:
            forms.append(input_gradient(x, dims, grad, mean, inverse, weight, to_input))
        return (*forms, *parameter_gradients(x, dims, grad, mean, inverse, placed[0], placed[1]))
    running = (a.optional("running_mean"), a.optional("running_var"))
    if running[0] is None or running[1] is None:
        return None
    mean, variance = on(running[0], rank, (1,)), on(running[1], rank, (1,))
    return _running_backward(a, x, dims, grad, mean, variance, weight, (to_input, placed[0], placed[1]))


def _running_backward(
    a: Arguments,
    x: Tensor,
    dims: Sequence[int],
    grad: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None,
    targets: tuple[Tensor | None, Tensor | None, Tensor | None],
) -> tuple[Form, ...]:
    """Backward of normalisation by known statistics: the gradient scaled, and two sums."""
    eps = float(a.number("eps", 1e-5))
    gained = weight is not None
    forms: list[Form] = []
    if targets[0] is not None:

        def write(g: Lane, s: Lane, *rest: Lane) -> Operable:
            return (g * rest[0] if gained else g) * apply("rsqrt", s + eps)

        inputs = (grad, variance, *optional(weight))
        forms.append(rows(x.shape, dims, inputs, (), write, (targets[0],)))
    if targets[1] is not None:
        step: tuple[Join, Formula] = ("sum", lambda g, v, m, s: g * ((v - m) * apply("rsqrt", s + eps)))
        forms.append(rows(x.shape, dims, (grad, x, mean, variance), (step,), None, (targets[1],)))
    if targets[2] is not None:
        forms.append(rows(x.shape, dims, (grad,), (("sum", lambda g: g),), None, (targets[2],)))
    return tuple(forms)


def grouped(tensor: Tensor, groups: int) -> Tensor:
    """Samples, groups, channels of a group, positions."""
    per_group = tensor.shape[1] // groups
    return tensor.viewed(
        (tensor.shape[0], groups, per_group, *tensor.shape[2:]),
        (tensor.strides[0], tensor.strides[1] * per_group, *tensor.strides[1:]),
    )


def by_channel(tensor: Tensor, groups: int, rank: int) -> Tensor:
    """A value per channel on the grid of `grouped`."""
    per_group, stride = tensor.shape[0] // groups, tensor.strides[0]
    return tensor.viewed(
        (1, groups, per_group, *(1,) * (rank - 3)), (0, stride * per_group, stride, *(0,) * (rank - 3))
    )


def group_norm(a: Arguments) -> tuple[Form, ...]:
    groups = a.integer("group", 1)
    x = grouped(a.tensor("input"), groups)
    rank = len(x.shape)
    weight, bias = (
        None if t is None else by_channel(t, groups, rank) for t in (a.optional("weight"), a.optional("bias"))
    )
    results = [grouped(a.results[0], groups), *(on(t, rank, (0, 1)) for t in a.results[1:])]
    return (normalised(x, range(2, rank), weight, bias, float(a.number("eps", 1e-5)), results),)


def group_norm_backward(a: Arguments) -> tuple[Form, ...]:
    groups = a.integer("group", 1)
    x, grad = grouped(a.tensor("input"), groups), grouped(a.tensor("grad_out"), groups)
    rank = len(x.shape)
    mean, inverse = on(a.tensor("mean"), rank, (0, 1)), on(a.tensor("rstd"), rank, (0, 1))
    weight = a.optional("weight")
    weight = None if weight is None else by_channel(weight, groups, rank)
    to_input, to_weight, to_bias = wanted(a)
    forms: list[Form] = []
    if to_input is not None:
        target = grouped(to_input, groups)
        forms.append(input_gradient(x, range(2, rank), grad, mean, inverse, weight, target))
    placed = [None if t is None else by_channel(t, groups, rank) for t in (to_weight, to_bias)]
    dims = (0, *range(3, rank))
    return (*forms, *parameter_gradients(x, dims, grad, mean, inverse, placed[0], placed[1]))


register("native_layer_norm", "rows", "input weight bias", layer_norm)
register("native_layer_norm_backward", "rows", "grad_out input mean rstd weight bias", layer_norm_backward)
register("_fused_rms_norm", "rows", "input weight", rms_norm)
register("_fused_rms_norm_backward", "rows", "grad_out input rstd weight", rms_norm_backward)
register("native_group_norm", "rows", "input weight bias", group_norm)
register("native_group_norm_backward", "rows", "grad_out input mean rstd weight", group_norm_backward)
register(
    "native_batch_norm _native_batch_norm_legit",
    "rows",
    "input weight bias running_mean running_var",
    batch_norm(training=None),
)
register(
    "_native_batch_norm_legit_no_training",
    "rows",
    "input weight bias running_mean running_var",
    batch_norm(training=False),
)
register(
    "_native_batch_norm_legit.no_stats", "rows", "input weight bias", batch_norm(training=None, stats=False)
)
register(
    "native_batch_norm_backward",
    "rows",
    "grad_out input weight running_mean running_var save_mean save_invstd",
    batch_norm_backward,
)
