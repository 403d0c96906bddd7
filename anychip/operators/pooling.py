"""Pooling and resampling: rows whose elements are the positions of a window."""

from __future__ import annotations

import math
from math import prod

from anychip.arithmetic.recipe import Recipe, traced
from anychip.operators.arguments import Arguments, Tensor, plain
from anychip.operators.forms import Form, Gather, Join, Operand, Pass, Rows, Window
from anychip.operators.indexing import fill
from anychip.operators.moves import move
from anychip.operators.reductions import mean_of
from anychip.operators.table import Rule, register


def _each(a: Arguments, name: str, rank: int, default: tuple[int, ...]) -> tuple[int, ...]:
    given = a.integers(name) or default
    return given * rank if len(given) == 1 else given


def _windowed(
    image: Tensor,
    result: Tensor,
    kernel: tuple[int, ...],
    placed: tuple[tuple[int, int, int, int], ...],
    outside: float,
) -> tuple[tuple[int, ...], Operand, Operand]:
    """Row extents, the image under its windows, and the result, for rows over samples, channels, positions.

    Args:
        image: what is pooled.
        result: a value per window.
        kernel: extents of the window, the row's length.
        placed: per dimension: coefficient of the output position, of the kernel position, start, step.
        outside: what padding reads as.
    """
    outer = len(result.shape) - len(kernel)
    loops = len(result.shape) + len(kernel)
    windows: list[Window] = []
    for d, (by_position, by_tap, start, step) in enumerate(placed):
        coefficients = [0] * loops
        coefficients[outer + d] = by_position
        coefficients[len(result.shape) + d] = by_tap
        windows.append(
            Window(tuple(coefficients), start, image.shape[outer + d], image.strides[outer + d], step)
        )
    reading = image.strides[:outer] + (0,) * (loops - outer)
    read = Operand(image.port, image.format, reading, image.distinct, tuple(windows), outside, image.offset)
    written = Operand(
        result.port, result.format, result.strides + (0,) * len(kernel), result.distinct, offset=result.offset
    )
    return result.shape, read, written


def _geometry(a: Arguments, rank: int) -> tuple[tuple[int, ...], ...]:
    kernel = _each(a, "kernel_size", rank, (1,))
    stride = _each(a, "stride", rank, kernel)
    return (
        kernel,
        stride,
        _each(a, "padding", rank, (0,)),
        _each(a, "dilation", rank, (1,)),
    )


def largest(rank: int) -> Rule:
    """max_pool with indices: the largest of each window, and where in the image it was."""

    def rule(a: Arguments) -> tuple[Form, ...]:
        image, result = a.tensor("self"), a.results[0]
        kernel, stride, padding, dilation = _geometry(a, rank)
        placed = tuple((stride[d], dilation[d], -padding[d], 1) for d in range(rank))
        across, read, written = _windowed(image, result, kernel, placed, -math.inf)
        passes: list[Pass] = [Pass(Recipe(1, (), (0,)), "maximum")]
        results = [written]
        if len(a.results) > 1:
            passes.append(Pass(Recipe(2, (), (0,)), "argmaximum"))
            index = a.results[1]
            results.append(Operand(index.port, index.format, index.strides + (0,) * rank, index.distinct))
        write = Recipe(1 + len(passes), (), tuple(range(1, 1 + len(passes))))
        return (Rows(across, kernel, (read,), tuple(passes), write, tuple(results)),)

    return rule


def average(rank: int) -> Rule:
    """avg_pool, where every window divides by the same count."""

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        image, result = a.tensor("self"), a.results[0]
        kernel, stride, padding, _ = _geometry(a, rank)
        if a.flag("ceil_mode") or (any(padding) and not a.flag("count_include_pad", default=True)):
            return None
        divisor = a.attribute("divisor_override")
        count = int(divisor) if isinstance(divisor, int) else prod(kernel)
        placed = tuple((stride[d], 1, -padding[d], 1) for d in range(rank))
        return (_mean(image, result, kernel, placed, count),)

    return rule


def _mean(
    image: Tensor,
    result: Tensor,
    kernel: tuple[int, ...],
    placed: tuple[tuple[int, int, int, int], ...],
    count: int,
) -> Rows:
    across, read, written = _windowed(image, result, kernel, placed, 0.0)
    join: Join = "sum"
    step = Pass(Recipe(1, (), (0,)), join, traced(2, mean_of(count)))
    return Rows(across, kernel, (read,), (step,), Recipe(2, (), (1,)), (written,))


def average_backward(rank: int) -> Rule:
    """Each input position sums the gradients of the windows that it was in, each divided by the count."""

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        grad, result = a.tensor("grad_output"), a.results[0]
        kernel, stride, padding, _ = _geometry(a, rank)
        if a.flag("ceil_mode") or (any(padding) and not a.flag("count_include_pad", default=True)):
            return None
        divisor = a.attribute("divisor_override")
        count = int(divisor) if isinstance(divisor, int) else prod(kernel)
        placed = tuple((1, -1, padding[d], stride[d]) for d in range(rank))
        across, read, written = _windowed(grad, result, kernel, placed, 0.0)
        step = Pass(traced(1, lambda g: g / count), "sum")
        return (Rows(across, kernel, (read,), (step,), Recipe(2, (), (1,)), (written,)),)

    return rule


def adaptive_average(rank: int) -> Rule:
    """Windows of equal extent where the sizes divide."""

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        image, result = a.tensor("self"), a.results[0]
        pairs = list(zip(image.shape[-rank:], result.shape[-rank:], strict=True))
        if any(before % after for before, after in pairs):
            return None
        kernel = tuple(before // after for before, after in pairs)
        placed = tuple((extent, 1, 0, 1) for extent in kernel)
        return (_mean(image, result, kernel, placed, prod(kernel)),)

    return rule


def adaptive_average_backward(rank: int) -> Rule:
    """The gradient of each window, divided, at every position of it."""

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        grad, result = a.tensor("grad_output"), a.results[0]
        pairs = list(zip(result.shape[-rank:], grad.shape[-rank:], strict=True))
        if any(before % after for before, after in pairs):
            return None
        kernel = tuple(before // after for before, after in pairs)
        placed = tuple((1, -1, 0, extent) for extent in kernel)
        across, read, written = _windowed(grad, result, kernel, placed, 0.0)
        step = Pass(traced(1, lambda g: g / prod(kernel)), "sum")
        return (Rows(across, kernel, (read,), (step,), Recipe(2, (), (1,)), (written,)),)

    return rule


def scattered(a: Arguments) -> tuple[Form, ...]:
    """max_pool backward: each gradient added where its maximum was."""
    grad, result, index = a.tensor("grad_output"), a.results[0], a.tensor("indices")
    return (
        fill(result),
        Gather("add", grad.elements, 1, result.elements, (plain(index),), plain(grad), plain(result)),
    )


def nearest(rank: int) -> Rule:
    """upsample_nearest by whole factors: every element repeated."""

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        image, result = a.tensor("self"), a.results[0]
        pairs = list(zip(image.shape[-rank:], result.shape[-rank:], strict=True))
        if any(after % before for before, after in pairs):
            return None
        outer = len(image.shape) - rank
        extents, reading, writing = (
            list(image.shape[:outer]),
            list(image.strides[:outer]),
            list(result.strides[:outer]),
        )
        for d, (before, after) in enumerate(pairs, outer):
            factor = after // before
            extents += [before, factor]
            reading += [image.strides[d], 0]
            writing += [result.strides[d] * factor, result.strides[d]]
        return (move(image.viewed(extents, reading), result.viewed(extents, writing)),)

    return rule


def nearest_backward(rank: int) -> Rule:
    """Every input position sums the gradients of its copies."""

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        grad, result = a.tensor("grad_output"), a.results[0]
        pairs = list(zip(result.shape[-rank:], grad.shape[-rank:], strict=True))
        if any(after % before for before, after in pairs):
            return None
        kernel = tuple(after // before for before, after in pairs)
        placed = tuple((extent, 1, 0, 1) for extent in kernel)
        across, read, written = _windowed(grad, result, kernel, placed, 0.0)
        step = Pass(Recipe(1, (), (0,)), "sum")
        return (Rows(across, kernel, (read,), (step,), Recipe(2, (), (1,)), (written,)),)

    return rule


for _rank in (1, 2, 3):
    if _rank > 1:
        register(f"max_pool{_rank}d_with_indices", "rows", "self", largest(_rank))
        register(f"max_pool{_rank}d_with_indices_backward", "gather", "grad_output self indices", scattered)
        register(f"avg_pool{_rank}d", "rows", "self", average(_rank))
        register(f"avg_pool{_rank}d_backward", "rows", "grad_output self", average_backward(_rank))
        register(f"_adaptive_avg_pool{_rank}d", "rows", "self", adaptive_average(_rank))
        register(
            f"_adaptive_avg_pool{_rank}d_backward",
            "rows",
            "grad_output self",
            adaptive_average_backward(_rank),
        )
    register(f"upsample_nearest{_rank}d _upsample_nearest_exact{_rank}d", "move", "self", nearest(_rank))
    register(
        f"upsample_nearest{_rank}d_backward _upsample_nearest_exact{_rank}d_backward",
        "rows",
        "grad_output",
        nearest_backward(_rank),
    )
