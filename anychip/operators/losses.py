"""Losses: an elementwise part, and its sum or mean over everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from anychip.arithmetic.recipe import Lane, Operable, apply, select
from anychip.operators.arguments import Arguments, Tensor, contiguous, plain
from anychip.operators.elementwise import lanes
from anychip.operators.forms import Form, Gather, Join
from anychip.operators.reductions import mean_of, rows
from anychip.operators.table import Rule, register

#: ``reduction`` as aten numbers it.
NONE, MEAN, SUM = 0, 1, 2
Formula = Callable[..., Operable]


def whole(tensor: Tensor, rank: int) -> Tensor:
    """A scalar on a grid of any rank."""
    return tensor.viewed((1,) * rank, (0,) * rank)


def pointwise(tensors: Sequence[str], formula: Formula) -> Rule:
    """A loss that is `formula` of each element (arguments of the call first), reduced as asked."""

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        bound = [a.optional(name) for name in tensors]
        inputs = [each for each in bound if each is not None]
        has = [each is not None for each in bound]

        def closed(*registers: Lane) -> Operable:
            left = iter(registers)
            return formula(a, *(next(left) if there else None for there in has))

        reduction = a.integer("reduction", MEAN)
        shape = _common(inputs)
        if reduction == NONE:
            return (lanes(a.results, inputs, closed),)
        rank = len(shape)
        count = 1
        for extent in shape:
            count *= extent
        result = (whole(a.results[0], rank),)
        if reduction == MEAN:
            return (rows(shape, range(rank), inputs, (("sum", closed, mean_of(count)),), None, result),)
        return (rows(shape, range(rank), inputs, (("sum", closed),), None, result),)

    return rule


def _common(tensors: Sequence[Tensor]) -> tuple[int, ...]:
    """The shape to which tensors broadcast."""
    rank = max(len(t.shape) for t in tensors)
    shape = [1] * rank
    for tensor in tensors:
        for d, extent in enumerate(reversed(tensor.shape)):
            shape[-1 - d] = extent if extent != 1 else shape[-1 - d]
    return tuple(shape)


def pointwise_backward(tensors: Sequence[str], formula: Formula) -> Rule:
    """Its gradient: `formula` of arguments, incoming gradient and the loss's own tensors."""

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        bound = [a.optional(name) for name in ("grad_output", *tensors)]
        inputs = [each for each in bound if each is not None]
        has = [each is not None for each in bound]
        count = inputs[1].elements
        share = 1.0 / count if a.integer("reduction", MEAN) == MEAN and count else 1.0

        def closed(*registers: Lane) -> Operable:
            left = iter(registers)
            grad, *rest = (next(left) if there else None for there in has)
            value = formula(a, *rest)
            incoming = cast("Lane", grad)
            return value * incoming if share == 1.0 else value * share * incoming

        return (lanes(a.results, inputs, closed),)

    return rule


def squared(_a: Arguments, x: Lane, y: Lane) -> Operable:
    return (x - y) * (x - y)


def smooth(a: Arguments, x: Lane, y: Lane) -> Operable:
    beta = a.number("beta", 1.0)
    distance = abs(x - y)
    if beta == 0:
        return distance
    return select(distance < beta, 0.5 * distance * distance / beta, distance - 0.5 * beta)


def smooth_slope(a: Arguments, x: Lane, y: Lane) -> Operable:
    beta = a.number("beta", 1.0)
    difference = x - y
    if beta == 0:
        return apply("sign", difference)
    return select(abs(difference) < beta, difference / beta, apply("sign", difference))


def huber(a: Arguments, x: Lane, y: Lane) -> Operable:
    delta = a.number("delta", 1.0)
    distance = abs(x - y)
    return select(distance <= delta, 0.5 * distance * distance, delta * (distance - 0.5 * delta))


def huber_slope(a: Arguments, x: Lane, y: Lane) -> Operable:
    delta = a.number("delta", 1.0)
    difference = x - y
    return select(abs(difference) <= delta, difference, apply("sign", difference) * delta)


def weighted(value: Lane, weight: Lane | None) -> Lane:
    """`value`, times the weight if there is one."""
    return value if weight is None else value * weight


def cross_entropy(_a: Arguments, x: Lane, y: Lane, weight: Lane | None) -> Operable:
    """Binary, of probabilities; logarithms are bounded by -100."""
    first = apply("maximum", apply("log", x), -100.0)
    second = apply("maximum", apply("log1p", -x), -100.0)
    return weighted((y - 1.0) * second - y * first, weight)


def cross_entropy_slope(_a: Arguments, x: Lane, y: Lane, weight: Lane | None) -> Operable:
    return weighted((x - y) / apply("maximum", (1.0 - x) * x, 1e-12), weight)


def logit_entropy(_a: Arguments, x: Lane, y: Lane, weight: Lane | None, positive: Lane | None) -> Operable:
    """Binary, of logits: ``(1 - y) x - log_weight * log_sigmoid(x)``."""
    logarithm = apply("log_sigmoid", x)
    if positive is not None:
        value = (1.0 - y) * x - ((positive - 1.0) * y + 1.0) * logarithm
    else:
        value = (1.0 - y) * x - logarithm
    return weighted(value, weight)


def picked(a: Arguments) -> tuple[Form, ...] | None:
    """nll_loss: the score of each row's class, weighted, summed or averaged."""
    scores, target, weight = a.tensor("self"), a.tensor("target"), a.optional("weight")
    if not 1 <= len(scores.shape) <= 2:
        return None
    count = target.elements
    classes = scores.shape[len(scores.shape) - 1]
    found = contiguous("temporary0", scores.format, (count,))
    forms: list[Form] = [
        Gather("read", count, 1, max(scores.elements, classes), (plain(target),), plain(scores), plain(found))
    ]
    inputs = [found]
    if weight is not None:
        gains = contiguous("temporary1", weight.format, (count,))
        forms.append(Gather("read", count, 1, classes, (plain(target),), plain(weight), plain(gains)))
        inputs.append(gains)
    if a.integer("reduction", MEAN) == NONE:
        flat = a.results[0].viewed((count,), (1,))
        forms.append(lanes((flat,), inputs, lambda v, *w: -v * w[0] if w else -v))
        return tuple(forms)
    mean = a.integer("reduction", MEAN) == MEAN
    results = [whole(each, 1) for each in a.results]
    passes: list[tuple[Join, Callable[..., Operable]]] = [("sum", lambda v, *w: -v * w[0] if w else -v)]
    if weight is not None:
        passes.append(("sum", lambda _v, gain, _total: gain))

    def write(*registers: Lane) -> Sequence[Operable]:
        total = registers[len(inputs)]
        size: Operable = registers[-1] if weight is not None else float(count)
        return (total / size if mean else total, size)[: len(results)]

    forms.append(rows((count,), (0,), inputs, passes, write, results))
    return tuple(forms)


def picked_backward(a: Arguments) -> tuple[Form, ...] | None:
    """Zeros, with minus the (weighted, averaged) gradient at each row's class."""
    target, result = a.tensor("target"), a.results[0]
    if not 1 <= len(result.shape) <= 2:
        return None
    count = target.elements
    grad, total = a.tensor("grad_output"), a.tensor("total_weight")
    weight = a.optional("weight")
    mean = a.integer("reduction", MEAN) == MEAN
    spread = contiguous("temporary0", result.format, (count,))
    inputs = [
        grad if grad.shape else whole(grad, 1),
        whole(total, 1),
    ]
    forms: list[Form] = []
    if weight is not None:
        gains = contiguous("temporary1", weight.format, (count,))
        classes = weight.elements
        forms.append(Gather("read", count, 1, classes, (plain(target),), plain(weight), plain(gains)))
        inputs.append(gains)

    def formula(g: Lane, size: Lane, *w: Lane) -> Operable:
        value = -g * w[0] if w else -g
        return value / size if mean else value

    forms.append(lanes((spread,), inputs, formula))
    forms.append(Gather("write", count, 1, result.elements, (plain(target),), plain(spread), plain(result)))
    return tuple(forms)


_PAIR = "self target"
register("mse_loss", "rows", _PAIR, pointwise(("self", "target"), squared))
register("smooth_l1_loss", "rows", _PAIR, pointwise(("self", "target"), smooth))
register("huber_loss", "rows", _PAIR, pointwise(("self", "target"), huber))
register(
    "binary_cross_entropy",
    "rows",
    "self target weight",
    pointwise(("self", "target", "weight"), cross_entropy),
)
register(
    "binary_cross_entropy_with_logits",
    "rows",
    "self target weight pos_weight",
    pointwise(("self", "target", "weight", "pos_weight"), logit_entropy),
)
register(
    "mse_loss_backward",
    "lanes",
    "grad_output self target",
    pointwise_backward(("self", "target"), lambda _a, x, y: 2.0 * (x - y)),
)
register(
    "smooth_l1_loss_backward",
    "lanes",
    "grad_output self target",
    pointwise_backward(("self", "target"), smooth_slope),
)
register(
    "huber_loss_backward",
    "lanes",
    "grad_output self target",
    pointwise_backward(("self", "target"), huber_slope),
)
register(
    "binary_cross_entropy_backward",
    "lanes",
    "grad_output self target weight",
    pointwise_backward(("self", "target", "weight"), cross_entropy_slope),
)
register("nll_loss_forward", "gather", "self target weight", picked)
register("nll_loss_backward", "gather", "grad_output self target weight total_weight", picked_backward)
