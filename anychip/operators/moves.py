"""Copies, joins, pads and fills: elements moved unchanged."""

from __future__ import annotations

from dataclasses import replace

from anychip.operators.arguments import Arguments, Tensor, merged, operand
from anychip.operators.elementwise import lanes
from anychip.operators.forms import Form, Move
from anychip.operators.table import Rule, register


def move(source: Tensor | None, result: Tensor, fill: float | None = None) -> Move:
    """`source`, broadcast to the result's shape, or a constant."""
    tensors = [result] if source is None else [source, result]
    extents, strides = merged(
        result.shape, [each.broadcast(result.shape) for each in tensors], may_reorder=True
    )
    target = operand(result, strides[-1])
    if source is None:
        return Move(extents, None, target, fill)
    return Move(extents, operand(source, strides[0]), target)


def copied(a: Arguments) -> tuple[Form, ...]:
    """A copy into the same format; a change of format is a cast, and so lanes."""
    source, result = a.tensor("self"), a.results[0]
    if source.format != result.format:
        return (lanes((result,), (source,), lambda x: x),)
    return (move(source, result),)


def flipped(a: Arguments) -> tuple[Form, ...]:
    """Elements in reverse order along dimensions."""
    source, result = a.tensor("self"), a.results[0]
    strides, offset = list(source.strides), source.offset
    for d in a.integers("dims"):
        offset += (source.shape[d] - 1) * strides[d]
        strides[d] = -strides[d]
    return (move(replace(source, strides=tuple(strides), offset=offset), result),)


def rolled(a: Arguments) -> tuple[Form, ...] | None:
    """One dimension at a time in general; here a copy of everything, whose two parts only change places."""
    return (move(a.tensor("self"), a.results[0]),) if a.results[0].elements else ()


def joined(a: Arguments) -> tuple[Form, ...]:
    """cat: every tensor into its part of the result."""
    result = a.results[0]
    parts = [each for each in a.tensors("tensors") if each.shape != (0,)]
    if not parts:
        return ()
    dim = a.integer("dim", 0) % len(result.shape)
    forms: list[Form] = []
    start = 0
    for part in parts:
        target = result.narrowed(dim, start, part.shape[dim])
        start += part.shape[dim]
        if part.elements:
            forms.append(_into(part, target))
    return tuple(forms)


def stacked(a: Arguments) -> tuple[Form, ...]:
    """Every tensor into its place along a dimension of its own."""
    result = a.results[0]
    dim = a.integer("dim", 0) % len(result.shape)
    return tuple(
        _into(part, _selected(result, dim, i)) for i, part in enumerate(a.tensors("tensors")) if part.elements
    )


def _selected(tensor: Tensor, dim: int, position: int) -> Tensor:
    """One position of a dimension, which is lost."""
    narrow = tensor.narrowed(dim, position, 1)
    keep = [d for d in range(len(tensor.shape)) if d != dim]
    return narrow.viewed([narrow.shape[d] for d in keep], [narrow.strides[d] for d in keep])


def _into(source: Tensor, result: Tensor) -> Form:
    if source.format != result.format:
        return lanes((result,), (source,), lambda x: x)
    whole = move(source, result)
    return replace(whole, result=replace(whole.result, distinct=source.elements))


def repeated(a: Arguments) -> tuple[Form, ...]:
    """repeat: the result has each repetition as an outer loop of its own."""
    source, result = a.tensor("self"), a.results[0]
    times = a.integers("repeats")
    missing = len(times) - len(source.shape)
    shape = (1,) * missing + source.shape
    strides = (0,) * missing + source.strides
    extents: list[int] = []
    reading: list[int] = []
    writing: list[int] = []
    for d, count in enumerate(times):
        extents += [count, shape[d]]
        reading += [0, strides[d]]
        writing += [result.strides[d] * shape[d], result.strides[d]]
    return (move(source.viewed(extents, reading), result.viewed(extents, writing)),)


def padded(a: Arguments) -> tuple[Form, ...]:
    """constant_pad_nd: the constant, then the source inside; negative padding cuts."""
    source, result = a.tensor("self"), a.results[0]
    pad = a.integers("pad")
    inner, target = source, result
    for i in range(len(pad) // 2):
        d = len(source.shape) - 1 - i
        before, after = pad[2 * i], pad[2 * i + 1]
        length = source.shape[d] + min(before, 0) + min(after, 0)
        inner = inner.narrowed(d, max(-before, 0), length)
        target = target.narrowed(d, max(before, 0), length)
    return (move(None, result, float(a.number("value", 0))), _into(inner, target))


def filled(value: float | None, argument: str = "") -> Rule:
    """A constant, given or by an argument."""

    def rule(a: Arguments) -> tuple[Form, ...]:
        if argument and a.optional(argument) is not None:
            return (lanes(a.results[:1], (a.tensor(argument),), lambda x: x),)
        constant = float(a.number(argument, 0)) if argument else value
        return tuple(move(None, each, constant) for each in a.results if each.elements)

    return rule


def nothing(_a: Arguments) -> tuple[Form, ...]:
    """Memory that is only reserved."""
    return ()


def drawn(a: Arguments) -> tuple[Form, ...]:
    """Random numbers, drawn on the host so that a seed gives the same numbers everywhere."""
    return tuple(lanes((each,), (), lambda draw: draw, random=1) for each in a.results if each.elements)


def triangle(a: Arguments) -> tuple[Form, ...]:
    """tril and triu: zeros, and the elements of the triangle copied."""
    x, result = a.tensor("self"), a.results[0]
    return (move(x, result),)


def part_of(kind: str) -> Rule:
    """slice_backward, select_backward and their kin: zeros, then the gradient in its part."""

    def rule(a: Arguments) -> tuple[Form, ...]:
        grad, result = a.tensor("grad_output"), a.results[0]
        dim = a.integer("dim", 0) % max(len(result.shape), 1)
        if kind == "select":
            target = _selected(result, dim, a.integer("index", 0) % result.shape[dim])
        else:
            target = _sliced(a, result, dim, grad)
        return (move(None, result, 0.0), _into(grad, target)) if grad.elements else (move(None, result, 0.0),)

    return rule


def _sliced(a: Arguments, tensor: Tensor, dim: int, part: Tensor) -> Tensor:
    extent = tensor.shape[dim]
    start = a.attribute("start")
    first = int(start) if isinstance(start, int) else 0
    first = max(first + extent, 0) if first < 0 else min(first, extent)
    step = a.integer("step", 1)
    narrow = tensor.narrowed(dim, first, part.shape[dim])
    strides = tuple(s * step if d == dim else s for d, s in enumerate(tensor.strides))
    return replace(narrow, strides=strides)


def inserted(kind: str) -> Rule:
    """slice_scatter, select_scatter: the whole copied, then the part written."""

    def rule(a: Arguments) -> tuple[Form, ...]:
        whole, part, result = a.tensor("self"), a.tensor("src"), a.results[0]
        dim = a.integer("dim", 0) % max(len(result.shape), 1)
        if kind == "select":
            target = _selected(result, dim, a.integer("index", 0) % result.shape[dim])
        else:
            target = _sliced(a, result, dim, part)
        return (move(whole, result), _into(part, target))

    return rule


def numbered(a: Arguments) -> tuple[Form, ...]:
    """arange, linspace: one multiply and one add an element, written."""
    return tuple(move(None, each) for each in a.results if each.elements)


register("clone contiguous _conj_physical lift_fresh_copy", "move", "self", copied)
register(
    "expand_copy view_copy permute_copy slice_copy.Tensor select_copy.int alias_copy detach_copy "
    "squeeze_copy unsqueeze_copy transpose_copy.int t_copy narrow_copy",
    "move",
    "self",
    lambda a: (move(a.inputs[0], a.results[0]),) if a.inputs[0].shape == a.results[0].shape else None,
)
register("cat concat concatenate", "move", "tensors[]", joined)
register("stack", "move", "tensors[]", stacked)
register("flip", "move", "self", flipped)
register("roll", "move", "self", rolled)
register("repeat", "move", "self", repeated)
register("constant_pad_nd", "move", "self", padded)
register("zero zeros zeros_like new_zeros", "move", "self", filled(0.0))
register("ones ones_like new_ones", "move", "self", filled(1.0))
register("full full_like new_full", "move", "self", filled(None, "fill_value"))
register("fill.Scalar fill.Tensor", "move", "self value", filled(None, "value"))
register("scalar_tensor", "move", "", filled(None, "s"))
register("eye eye.m", "move", "", filled(0.0))
register(
    "arange arange.start arange.start_step linspace logspace",
    "move",
    "",
    numbered,
)
register(
    "empty.memory_format empty_like empty_strided new_empty new_empty_strided resize _efficientzerotensor",
    "move",
    "self",
    nothing,
)
register("tril triu", "move", "self", triangle)
register("slice_backward", "move", "grad_output", part_of("slice"))
register("select_backward", "move", "grad_output", part_of("select"))
register("slice_scatter", "move", "self src", inserted("slice"))
register("select_scatter", "move", "self src", inserted("select"))
register(
    "bernoulli bernoulli.float bernoulli.p bernoulli.Tensor uniform normal normal_functional exponential "
    "random random.from random.to rand rand.generator randn randn.generator rand_like randn_like randint "
    "randint.low randint_like randint_like.low_dtype randperm geometric log_normal cauchy "
    "normal.Tensor_float normal.float_Tensor normal.Tensor_Tensor normal.float_float poisson",
    "random",
    "self",
    drawn,
)
