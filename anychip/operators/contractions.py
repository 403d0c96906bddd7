"""Matrix products: one accumulated contraction, an epilogue in fp32 lanes, one rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from anychip.arithmetic.recipe import IDENTITY, Constant, Lane, Operable, Recipe, traced
from anychip.operators.arguments import Arguments, Tensor, merged, operand
from anychip.operators.forms import Contract, Form
from anychip.operators.table import Rule, register


def contract(
    left: Tensor,
    right: Tensor,
    result: Tensor,
    epilogue: Recipe = IDENTITY,
    extras: Sequence[Tensor] = (),
) -> Contract:
    """The form of ``left[..., m, k] @ right[..., k, n]`` into ``result[..., m, n]``.

    Leading dimensions are batches; those of an operand that has fewer, or extent 1, are broadcast. A batched
    left operand against one right matrix is one product with more rows.
    """
    batch = result.shape[:-2]
    m, n, k = result.shape[-2], result.shape[-1], left.shape[-1]
    loops = (*batch, m, n, k)
    outer = len(batch)

    def strides(tensor: Tensor, *own: int) -> list[int]:
        whole = [0] * outer + [0, 0, 0]
        leading = tensor.viewed(tensor.shape[:-2], tensor.strides[:-2])
        whole[:outer] = leading.broadcast(batch)
        for loop, dimension in zip(own, (-2, -1), strict=True):
            whole[outer + loop] = 0 if tensor.shape[dimension] == 1 else tensor.strides[dimension]
        return whole

    def extra(tensor: Tensor) -> list[int]:
        return [*tensor.broadcast(result.shape), 0]

    tensors = [left, right, *extras, result]
    moves = [strides(left, 0, 2), strides(right, 2, 1), *map(extra, extras), strides(result, 0, 1)]
    (batches, rows, columns, depth), kept = _grouped(loops, moves, outer)
    operands = [operand(tensor, stride) for tensor, stride in zip(tensors, kept, strict=True)]
    return Contract(
        batches,
        rows,
        columns,
        depth,
        left=operands[0],
        right=operands[1],
        result=operands[-1],
        epilogue=epilogue,
        extras=tuple(operands[2:-1]),
    )


def _grouped(
    loops: Sequence[int], moves: Sequence[Sequence[int]], outer: int
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Loops split into batch, rows, columns, depth, each merged, with the strides of every operand."""
    shared = outer
    while shared and moves[1][shared - 1] == 0 and loops[shared - 1] > 1:
        shared -= 1
    bounds = ((0, shared), (shared, outer + 1), (outer + 1, outer + 2), (outer + 2, outer + 3))
    groups: list[tuple[int, ...]] = []
    kept: list[tuple[int, ...]] = [() for _ in moves]
    for first, last in bounds:
        extents, strides = merged(loops[first:last], [m[first:last] for m in moves], may_reorder=False)
        groups.append(extents)
        kept = [old + more for old, more in zip(kept, strides, strict=True)]
    return groups, kept


def scaled_sum(beta: Constant, alpha: Constant) -> Recipe:
    """``beta * self + alpha * accumulator`` without steps for factors of 1; register 1 is `self`."""

    def formula(accumulator: Lane, bias: Lane) -> Operable:
        product = accumulator if alpha == 1 else accumulator * alpha
        return product + (bias if beta == 1 else bias * beta)

    return traced(2, formula)


def real(rule: Rule) -> Rule:
    """The rule, declining complex operands, which no array of a chip multiplies in one step."""

    def guarded(a: Arguments) -> tuple[Form, ...] | None:
        return None if any(tensor.format.startswith("complex") for tensor in a.inputs) else rule(a)

    return guarded


def product(a: Arguments) -> tuple[Form, ...]:
    """mm, bmm."""
    return (contract(a.tensor("self"), a.tensor("mat2"), a.results[0]),)


def added_product(left: str, right: str) -> Rule:
    """addmm, baddbmm: ``beta * self + alpha * (left @ right)``."""

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        beta, alpha = a.number("beta", 1), a.number("alpha", 1)
        result = a.results[0]
        if beta == 0:
            recipe = traced(1, lambda x: x if alpha == 1 else x * alpha)
            return (contract(a.tensor(left), a.tensor(right), result, recipe),)
        bias = a.tensor("self")
        return (contract(a.tensor(left), a.tensor(right), result, scaled_sum(beta, alpha), (bias,)),)

    return rule


def linear(a: Arguments) -> tuple[Form, ...]:
    bias = a.optional("bias")
    right = a.tensor("weight")
    right = right.permuted(1, 0) if len(right.shape) == 2 else as_column(right)
    result = a.results[0] if len(a.tensor("weight").shape) == 2 else as_column(a.results[0])
    left = a.tensor("input")
    if len(left.shape) == 1:
        left, result = as_row(left), as_row(result)
    if bias is None:
        return (contract(left, right, result),)
    return (contract(left, right, result, scaled_sum(1, 1), (bias,)),)


def as_row(tensor: Tensor) -> Tensor:
    """A vector as a matrix of one row."""
    return tensor.viewed((1, *tensor.shape), (0, *tensor.strides))


def as_column(tensor: Tensor) -> Tensor:
    """A vector as a matrix of one column (a further dimension of extent 1 at the end)."""
    return tensor.viewed((*tensor.shape, 1), (*tensor.strides, 0))


def dot(a: Arguments) -> tuple[Form, ...] | None:
    left, right = as_row(a.tensor("self")), as_column(a.tensor("tensor"))
    return (contract(left, right, as_column(as_column(a.results[0]))),)


def matrix_vector(a: Arguments) -> tuple[Form, ...] | None:
    right = as_column(a.tensor("vec"))
    return (contract(a.tensor("self"), right, as_column(a.results[0])),)


def added_matrix_vector(a: Arguments) -> tuple[Form, ...] | None:
    recipe = scaled_sum(a.number("beta", 1), a.number("alpha", 1))
    right, bias = as_column(a.tensor("vec")), as_column(a.tensor("self"))
    return (contract(a.tensor("mat"), right, as_column(a.results[0]), recipe, (bias,)),)


def outer_product(a: Arguments) -> tuple[Form, ...]:
    recipe = scaled_sum(a.number("beta", 1), a.number("alpha", 1))
    left, right = as_column(a.tensor("vec1")), as_row(a.tensor("vec2"))
    return (contract(left, right, a.results[0], recipe, (a.tensor("self"),)),)


def scaled_product(a: Arguments) -> tuple[Form, ...]:
    """The fp8 product with a scale for each operand: scales and bias are the epilogue."""
    scales = [a.tensor("scale_a"), a.tensor("scale_b")]
    bias = a.optional("bias")

    def formula(accumulator: Lane, *rest: Lane) -> Operable:
        value = accumulator * (rest[0] * rest[1])
        return value if bias is None else value + rest[2]

    extras = [*scales, *([bias] if bias is not None else [])]
    recipe = traced(1 + len(extras), formula)
    return (contract(a.tensor("self"), a.tensor("mat2"), a.results[0], recipe, extras),)


def grouped_product(a: Arguments) -> tuple[Form, ...] | None:
    """_grouped_mm: each group of rows (or columns, or of the summed dimension) meets its own matrix.

    Where the groups end is data, so that the form states the work of all: every row once, every matrix read.
    """
    left, right, result = a.tensor("self"), a.tensor("mat2"), a.results[0]
    ranks = (len(left.shape), len(right.shape))
    if ranks == (3, 3):
        return (contract(left, right, result),)
    one = right.viewed(right.shape[-2:], right.strides[-2:])
    other = left.viewed(left.shape[-2:], left.strides[-2:])
    flat = result.viewed(result.shape[-2:], result.strides[-2:])
    form = contract(other, one, flat)
    return (
        replace(
            form,
            left=replace(form.left, distinct=left.distinct),
            right=replace(form.right, distinct=right.distinct),
            result=replace(form.result, distinct=result.distinct),
        ),
    )


def summed_product(a: Arguments) -> tuple[Form, ...]:
    """addbmm: products of a batch summed too; the batch is the outer part of the summed dimension."""
    left, right, result = a.tensor("batch1"), a.tensor("batch2"), a.results[0]
    b, m, k, n = *left.shape, right.shape[2]
    moves = [
        [0, left.strides[1], 0, left.strides[0], left.strides[2]],
        [0, 0, right.strides[2], right.strides[0], right.strides[1]],
        [0, *a.tensor("self").broadcast((m, n)), 0, 0],
        [0, *result.strides, 0, 0],
    ]
    places = [strides[1:] for strides in moves]
    recipe = scaled_sum(a.number("beta", 1), a.number("alpha", 1))
    operands = [
        operand(tensor, tuple(strides))
        for tensor, strides in zip((left, right, a.tensor("self"), result), places, strict=True)
    ]
    return (Contract((), (m,), (n,), (b, k), operands[0], operands[1], operands[3], recipe, (operands[2],)),)


register("addbmm", "contraction", "self batch1 batch2", real(summed_product))
register("_grouped_mm", "contraction", "self mat2 offs bias", real(grouped_product))
register("mm bmm", "contraction", "self mat2", real(product))
register("addmm", "contraction", "self mat1 mat2", real(added_product("mat1", "mat2")))
register("baddbmm", "contraction", "self batch1 batch2", real(added_product("batch1", "batch2")))
register("linear", "contraction", "input weight bias", real(linear))
register("dot vdot", "contraction", "self tensor", real(dot))
register("mv", "contraction", "self vec", real(matrix_vector))
register("addmv", "contraction", "self mat vec", real(added_matrix_vector))
register("addr", "contraction", "self vec1 vec2", real(outer_product))
register("_scaled_mm", "contraction", "self mat2 scale_a scale_b bias scale_result", scaled_product)
