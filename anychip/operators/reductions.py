"""Reductions, softmax and scans: rows walked once or more; sums run in the order that the chip declares."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from anychip.arithmetic.recipe import Lane, Operable, Recipe, apply, select, traced
from anychip.operators.arguments import Arguments, Tensor, merged, operand
from anychip.operators.forms import Form, Join, Pass, Rows
from anychip.operators.table import Rule, register

Formula = Callable[..., Operable | Sequence[Operable]]


def rows(
    shape: Sequence[int],
    dims: Sequence[int],
    inputs: Sequence[Tensor],
    passes: Sequence[tuple[Join, Formula] | tuple[Join, Formula, Formula]],
    write: Formula | None,
    results: Sequence[Tensor],
) -> Rows:
    """The form of passes over the dimensions `dims` of a grid.

    Args:
        shape: of the grid.
        dims: which of its dimensions make one row, in order.
        inputs: broadcast to the grid.
        passes: join, formula of operands and earlier passes, and what finishes the joined value (that value,
            then the same registers).
        write: formula of operands and passes; None if the last pass is the one result.
        results: broadcast to the grid; a value per row has extent 1 in every row dimension.
    """
    outer = [d for d in range(len(shape)) if d not in dims]
    moves = [each.broadcast(shape) for each in (*inputs, *results)]
    across, rows_moves = merged(
        [shape[d] for d in outer], [[m[d] for d in outer] for m in moves], may_reorder=True
    )
    along, length_moves = merged(
        [shape[d] for d in dims], [[m[d] for d in dims] for m in moves], may_reorder=False
    )
    operands = [
        operand(tensor, first + second)
        for tensor, first, second in zip((*inputs, *results), rows_moves, length_moves, strict=True)
    ]
    registers = len(inputs)
    built: list[Pass] = []
    for each in passes:
        finish = traced(1 + registers, each[2]) if len(each) == 3 else None
        built.append(Pass(traced(registers, each[1]), each[0], finish))
        registers += 1
    last = Recipe(registers, (), (registers - 1,))
    return Rows(
        across,
        along,
        tuple(operands[: len(inputs)]),
        tuple(built),
        last if write is None else traced(registers, write),
        tuple(operands[len(inputs) :]),
    )


def kept(tensor: Tensor, dims: Sequence[int], rank: int) -> Tensor:
    """A reduced tensor with its lost dimensions put back at extent 1."""
    if len(tensor.shape) == rank:
        return tensor
    shape, strides = list(tensor.shape), list(tensor.strides)
    for d in sorted(dims):
        shape.insert(d, 1)
        strides.insert(d, 0)
    return tensor.viewed(shape, strides)


def reduction(
    join: Join, formula: Formula | None = None, finish: Callable[[int], Formula] | None = None
) -> Rule:
    """The rule of an operator that joins `formula` of each element over ``dim``."""

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        x = a.tensor("self")
        if x.format.startswith("complex"):
            return None
        rank = len(x.shape)
        dims = a.dimensions("dim", rank)
        result = kept(a.results[0], dims, rank)
        count = prod(x.shape[d] for d in dims)
        element = formula or (lambda value: value)
        step = (join, element) if finish is None else (join, element, finish(count))
        return (rows(x.shape, dims, (x,), (step,), None, (result,)),)

    return rule


def mean_of(count: int) -> Formula:
    """Finishes a sum over `count` elements into their mean."""
    return lambda total, *_: total / count if count else total * math.nan


def with_index(join: Join, choice: Join) -> Rule:
    """max.dim and min.dim: the value and where it is found first."""

    def rule(a: Arguments) -> tuple[Form, ...]:
        x = a.tensor("self")
        rank = len(x.shape)
        dims = (a.integer("dim", 0) % rank,) if rank else ()
        results = [kept(each, dims, rank) for each in a.results]
        passes: list[tuple[Join, Formula]] = [(join, lambda v: v), (choice, lambda v, _: v)]
        return (rows(x.shape, dims, (x,), passes, lambda _v, best, where: (best, where), results),)

    return rule


def index_of(choice: Join) -> Rule:
    """argmax, argmin."""

    def rule(a: Arguments) -> tuple[Form, ...]:
        x = a.tensor("self")
        rank = len(x.shape)
        dims = a.dimensions("dim", rank)
        return (rows(x.shape, dims, (x,), ((choice, lambda v: v),), None, (kept(a.results[0], dims, rank),)),)

    return rule


def softmax(a: Arguments) -> tuple[Form, ...]:
    x = a.tensor("self")
    dims = (a.integer("dim", -1) % max(len(x.shape), 1),) if x.shape else ()
    passes: list[tuple[Join, Formula]] = [
        ("maximum", lambda v: v),
        ("sum", lambda v, top: apply("exp", v - top)),
    ]
    return (
        rows(x.shape, dims, (x,), passes, lambda v, top, total: apply("exp", v - top) / total, a.results),
    )


def safe_softmax(a: Arguments) -> tuple[Form, ...]:
    """Softmax in which a row of minus infinities gives zeros."""
    x = a.tensor("self")
    dims = (a.integer("dim", -1) % max(len(x.shape), 1),) if x.shape else ()
    passes: list[tuple[Join, Formula]] = [
        ("maximum", lambda v: v),
        ("sum", lambda v, top: apply("exp", v - top)),
    ]

    def write(v: Lane, top: Lane, total: Lane) -> Operable:
        return select(apply("eq", top, -math.inf), 0.0, apply("exp", v - top) / total)

    return (rows(x.shape, dims, (x,), passes, write, a.results),)


def log_softmax(a: Arguments) -> tuple[Form, ...]:
    x = a.tensor("self")
    dims = (a.integer("dim", -1) % max(len(x.shape), 1),) if x.shape else ()
    passes: list[tuple[Join, Formula, Formula] | tuple[Join, Formula]] = [
        ("maximum", lambda v: v),
        ("sum", lambda v, top: apply("exp", v - top), lambda total, *_: apply("log", total)),
    ]
    return (rows(x.shape, dims, (x,), passes, lambda v, top, logarithm: v - top - logarithm, a.results),)


def softmax_backward(a: Arguments) -> tuple[Form, ...]:
    grad, y = a.tensor("grad_output"), a.tensor("output")
    dims = (a.integer("dim", -1) % max(len(y.shape), 1),) if y.shape else ()
    return (
        rows(
            y.shape,
            dims,
            (grad, y),
            (("sum", lambda g, p: g * p),),
            lambda g, p, total: (g - total) * p,
            a.results,
        ),
    )


def log_softmax_backward(a: Arguments) -> tuple[Form, ...]:
    grad, y = a.tensor("grad_output"), a.tensor("output")
    dims = (a.integer("dim", -1) % max(len(y.shape), 1),) if y.shape else ()
    return (
        rows(
            y.shape,
            dims,
            (grad, y),
            (("sum", lambda g, _: g),),
            lambda g, logarithm, total: g - apply("exp", logarithm) * total,
            a.results,
        ),
    )


def logsumexp(a: Arguments) -> tuple[Form, ...]:
    """The maximum is taken out; where it is infinite nothing is."""
    x = a.tensor("self")
    rank = len(x.shape)
    dims = a.dimensions("dim", rank)

    def finite(top: Lane, *_: Lane) -> Operable:
        return select(apply("eq", abs(top), math.inf), 0.0, top)

    passes: list[tuple[Join, Formula, Formula]] = [
        ("maximum", lambda v: v, finite),
        ("sum", lambda v, top: apply("exp", v - top), lambda total, *_: apply("log", total)),
    ]
    result = kept(a.results[0], dims, rank)
    return (rows(x.shape, dims, (x,), passes, lambda _v, top, logarithm: top + logarithm, (result,)),)


def variance(*, root: bool, with_mean: bool) -> Rule:
    """var, std, and their pairs with the mean: mean first, then the sum of squared distances from it."""

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        x = a.tensor("self")
        if x.format.startswith("complex"):
            return None
        rank = len(x.shape)
        dims = a.dimensions("dim", rank)
        count = prod(x.shape[d] for d in dims)
        correction = a.number("correction", 1 if a.flag("unbiased", default=True) else 0)
        if a.attribute("correction", 1) is None:
            correction = 1
        freedom = max(count - correction, 0)

        def finish(total: Lane, *_: Lane) -> Operable:
            spread = total / freedom if freedom else total / 0.0
            return apply("sqrt", spread) if root else spread

        passes: list[tuple[Join, Formula, Formula]] = [
            ("sum", lambda v: v, mean_of(count)),
            ("sum", lambda v, mean: (v - mean) * (v - mean), finish),
        ]
        results = [kept(each, dims, rank) for each in a.results]
        if with_mean:
            return (rows(x.shape, dims, (x,), passes, lambda _v, mean, spread: (spread, mean), results),)
        return (rows(x.shape, dims, (x,), passes, lambda _v, _mean, spread: spread, results),)

    return rule


def norm(a: Arguments) -> tuple[Form, ...] | None:
    """linalg_vector_norm, norm: powers summed, or the extreme for infinite orders."""
    x = a.tensor("self")
    if x.format.startswith("complex"):
        return None
    rank = len(x.shape)
    dims = a.dimensions("dim", rank)
    order = a.attribute("ord", a.attribute("p", 2))
    order = 2.0 if order is None else float(order)  # pyright: ignore[reportArgumentType]
    result = (kept(a.results[0], dims, rank),)
    step: tuple[Join, Formula] | tuple[Join, Formula, Formula]
    if order == math.inf:
        step = ("maximum", lambda v: abs(v))
    elif order == -math.inf:
        step = ("minimum", lambda v: abs(v))
    elif order == 0:
        step = ("sum", lambda v: apply("ne", v, 0.0))
    elif order == 1:
        step = ("sum", lambda v: abs(v))
    elif order == 2:
        step = ("sum", lambda v: v * v, lambda total, *_: apply("sqrt", total))
    else:
        step = ("sum", lambda v: apply("pow", abs(v), order), lambda t, *_: apply("pow", t, 1.0 / order))
    return (rows(x.shape, dims, (x,), (step,), None, result),)


def scan(join: Join) -> Rule:
    """cumsum and its kin: a value at every position, one after the other."""

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        x = a.tensor("self")
        if len(a.results) > 1 or x.format.startswith("complex"):
            return None
        dims = (a.integer("dim", 0) % len(x.shape),) if x.shape else ()
        return (rows(x.shape, dims, (x,), ((join, lambda v: v),), None, a.results),)

    return rule


def ordered(a: Arguments) -> tuple[Form, ...]:
    """sort, topk: rows put in order; as much of each leaves as the results hold."""
    x = a.tensor("self")
    dims = (a.integer("dim", -1) % len(x.shape),) if x.shape else ()
    results = [each.viewed(x.shape, each.strides) for each in a.results]
    form = rows(x.shape, dims, (x,), (("order", lambda v: v),), lambda v, _: (v, v)[: len(results)], results)
    pairs = zip(form.results, a.results, strict=True)
    return (replace(form, results=tuple(replace(each, distinct=own.distinct) for each, own in pairs)),)


def renormalised(a: Arguments) -> tuple[Form, ...] | None:
    """_weight_norm_interface: ``v * (g / norm of v)`` over every dimension but one."""
    v, g = a.tensor("v"), a.tensor("g")
    dim = a.integer("dim", 0) % len(v.shape)
    dims = tuple(d for d in range(len(v.shape)) if d != dim)
    norms = a.results[1]
    return (
        rows(
            v.shape,
            dims,
            (v, g),
            (("sum", lambda x, _g: x * x, lambda total, *_: apply("sqrt", total)),),
            lambda x, gain, size: (x * (gain / size), size),
            (a.results[0], norms),
        ),
    )


register("sum.dim_IntList sum.default nansum", "rows", "self", reduction("sum"))
register("mean.dim mean.default", "rows", "self", reduction("sum", finish=mean_of))
register("prod.default prod.dim_int", "rows", "self", reduction("product"))
register("amax max.default", "rows", "self", reduction("maximum"))
register("amin min.default", "rows", "self", reduction("minimum"))
register("any.default any.dim any.dims", "rows", "self", reduction("any", lambda v: apply("ne", v, 0)))
register("all.default all.dim all.dims", "rows", "self", reduction("all", lambda v: apply("ne", v, 0)))
register(
    "count_nonzero.default count_nonzero.dim_IntList",
    "rows",
    "self",
    reduction("sum", lambda v: apply("ne", v, 0)),
)
register("max.dim", "rows", "self", with_index("maximum", "argmaximum"))
register("min.dim", "rows", "self", with_index("minimum", "argminimum"))
register("argmax", "rows", "self", index_of("argmaximum"))
register("argmin", "rows", "self", index_of("argminimum"))
register("_softmax softmax.int", "rows", "self", softmax)
register("_safe_softmax", "rows", "self", safe_softmax)
register("_log_softmax log_softmax.int", "rows", "self", log_softmax)
register("_softmax_backward_data", "rows", "grad_output output", softmax_backward)
register("_log_softmax_backward_data", "rows", "grad_output output", log_softmax_backward)
register("logsumexp", "rows", "self", logsumexp)
register("var.correction var.default var.dim", "rows", "self", variance(root=False, with_mean=False))
register("std.correction std.default std.dim", "rows", "self", variance(root=True, with_mean=False))
register("var_mean.correction", "rows", "self", variance(root=False, with_mean=True))
register("std_mean.correction", "rows", "self", variance(root=True, with_mean=True))
register(
    "linalg_vector_norm norm.Scalar norm.ScalarOpt_dim norm.ScalarOpt_dtype norm.ScalarOpt_dim_dtype",
    "rows",
    "self",
    norm,
)
register("cumsum", "rows", "self", scan("running_sum"))
register("cumprod", "rows", "self", scan("running_product"))
register("logcumsumexp _logcumsumexp", "rows", "self", scan("running_logsumexp"))
register("sort.default sort.stable topk argsort", "rows", "self", ordered)
register("_weight_norm_interface", "rows", "v g", renormalised)
