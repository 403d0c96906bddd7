"""Optimizer steps: foreach lists and fused updates, one form per tensor, all of one node.

State written in place carries the port of the input it overwrites.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from anychip.arithmetic.recipe import Constant, Lane, Operable, apply, select
from anychip.operators.arguments import Arguments, Tensor
from anychip.operators.elementwise import lanes, power, scaled
from anychip.operators.forms import Form
from anychip.operators.reductions import rows
from anychip.operators.table import Rule, register

#: A formula on one tensor of a list: first the arguments of the call.
ListFormula = Callable[..., Operable | Sequence[Operable]]


def foreach(lists: str, formula: ListFormula) -> Rule:
    """Applies `formula` to the tensors of several lists, position by position.

    A list argument may be given as one scalar, one tensor, or a list of scalars.
    """
    words = [word.removesuffix("[]") for word in lists.split()]

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        columns = [_column(a, word, len(a.tensors(words[0]))) for word in words]
        results = a.results or a.tensors(words[0])
        if any(tensor.format.startswith("complex") for tensor in a.inputs):
            return None
        return tuple(
            _one(a, [column[i] for column in columns], formula, result) for i, result in enumerate(results)
        )

    return rule


def _column(a: Arguments, name: str, count: int) -> Sequence[Tensor | Constant | None]:
    tensors = a.tensors(name)
    if tensors:
        return tensors if len(tensors) == count else tensors * count
    single = a.value(name)
    numbers = a.attribute(name)
    if single is None and isinstance(numbers, tuple):
        return [number if isinstance(number, (bool, int, float)) else None for number in numbers]
    return [single] * count


def _one(
    a: Arguments, bound: Sequence[Tensor | Constant | None], formula: ListFormula, result: Tensor
) -> Form:
    inputs = [each for each in bound if isinstance(each, Tensor)]

    def closed(*registers: Lane) -> Operable | Sequence[Operable]:
        left = iter(registers)
        return formula(a, *(next(left) if isinstance(each, Tensor) else each for each in bound))

    return lanes((result,), inputs, closed)


def _other(a: Arguments, scalar: Operable | None, name: str) -> Operable:
    return a.number(name, 0) if scalar is None else scalar


def _binary(operation: str) -> ListFormula:
    return lambda a, x, y: apply(operation, x, scaled(_other(a, y, "scalar"), a.number("alpha", 1)))


def _pointwise(a: Arguments, x: Lane, first: Lane, second: Lane, value: Operable | None) -> Operable:
    factor = a.number("value", 1) if value is None else value
    return x + (first if isinstance(factor, (int, float)) and factor == 1 else first * factor) * second


def _pointwise_quotient(a: Arguments, x: Lane, first: Lane, second: Lane, value: Operable | None) -> Operable:
    factor = a.number("value", 1) if value is None else value
    return x + (first if isinstance(factor, (int, float)) and factor == 1 else first * factor) / second


def _interpolated(a: Arguments, x: Lane, end: Lane, weight: Operable | None) -> Operable:
    factor = a.number("weight", 0) if weight is None else weight
    if isinstance(factor, Lane):
        near, far = x + factor * (end - x), end - (end - x) * (1.0 - factor)
        return select(abs(factor) < 0.5, near, far)
    return x + factor * (end - x) if abs(factor) < 0.5 else end - (end - x) * (1.0 - factor)


def foreach_norm(a: Arguments) -> tuple[Form, ...] | None:
    """_foreach_norm: one row per tensor, orders 1, 2 and infinity."""
    order = a.number("ord", 2)
    forms: list[Form] = []
    for tensor, result in zip(a.tensors("self"), a.results, strict=True):
        dims = tuple(range(len(tensor.shape)))
        whole = result.viewed((1,) * len(dims), (0,) * len(dims))
        if order == 2:
            step = ("sum", lambda v: v * v, lambda total, *_: apply("sqrt", total))
        elif order == 1:
            step = ("sum", lambda v: abs(v))
        elif order == float("inf"):
            step = ("maximum", lambda v: abs(v))
        else:
            return None
        forms.append(rows(tensor.shape, dims, (tensor,), (step,), None, (whole,)))  # pyright: ignore
    return tuple(forms)


def fused_sgd(a: Arguments) -> tuple[Form, ...]:
    """SGD with momentum as torch.optim.SGD states it."""
    momentum = float(a.number("momentum", 0))
    rate, scale = a.value("lr"), a.optional("grad_scale")
    buffers = a.tensors("momentum_buffer_list") if momentum else ()
    forms: list[Form] = []
    for i, (parameter, grad) in enumerate(zip(a.tensors("self"), a.tensors("grads"), strict=True)):
        buffer = buffers[i : i + 1]
        rest = [each for each in (rate, scale) if isinstance(each, Tensor)]
        forms.append(lanes((parameter, *buffer), (parameter, grad, *buffer, *rest), sgd_step(a)))
    return tuple(forms)


def sgd_step(a: Arguments) -> Callable[..., Sequence[Operable]]:
    """One element of SGD: parameter, gradient, then momentum buffer, learning rate, scale where there are."""
    decay, momentum = float(a.number("weight_decay", 0)), float(a.number("momentum", 0))
    dampening, first = float(a.number("dampening", 0)), a.flag("is_first_step")
    has_buffer = bool(momentum and a.tensors("momentum_buffer_list"))

    def formula(p: Lane, g: Lane, *rest: Lane) -> Sequence[Operable]:
        left = list(rest)
        buffer = left.pop(0) if has_buffer else None
        rate = left.pop(0) if isinstance(a.value("lr"), Tensor) else a.number("lr", 0)
        step = g / left.pop(0) if left else g
        step = -step if a.flag("maximize") else step
        step = step + p * decay if decay else step
        if buffer is None:
            return (p - step * rate,)
        velocity = step if first else buffer * momentum + scaled(step, 1 - dampening)
        return (p - (step + velocity * momentum if a.flag("nesterov") else velocity) * rate, velocity)

    return formula


def fused_adam(*, decoupled: bool) -> Rule:
    """Adam and AdamW as torch.optim states them; bias corrections from the step tensor."""

    def rule(a: Arguments) -> tuple[Form, ...]:
        beta1, beta2 = float(a.number("beta1", 0.9)), float(a.number("beta2", 0.999))
        decay, eps = float(a.number("weight_decay", 0)), float(a.number("eps", 1e-8))
        rate = a.value("lr")
        extremes = a.tensors("max_exp_avg_sqs") if a.flag("amsgrad") else ()
        scale = a.optional("grad_scale")
        columns = [a.tensors(name) for name in ("self", "grads", "exp_avgs", "exp_avg_sqs", "state_steps")]
        forms: list[Form] = []
        for i, (parameter, grad, mean, square, step) in enumerate(zip(*columns, strict=True)):
            extra = [each for each in (rate, scale) if isinstance(each, Tensor)]
            kept = (extremes[i],) if extremes else ()
            inputs = (parameter, grad, mean, square, step, *kept, *extra)

            def formula(p: Lane, g: Lane, m: Lane, v: Lane, t: Lane, *rest: Lane) -> Sequence[Operable]:
                left = list(rest)
                largest = left.pop(0) if extremes else None
                factor = left.pop(0) if isinstance(rate, Tensor) else a.number("lr", 1e-3)
                g = g / left.pop(0) if scale is not None else g
                g = -g if a.flag("maximize") else g
                if decay and decoupled:
                    p = p * (1.0 - factor * decay)
                elif decay:
                    g = g + p * decay
                m = m + (1.0 - beta1) * (g - m)
                v = v * beta2 + (1.0 - beta2) * (g * g)
                first = 1.0 - apply("pow", beta1, t)
                second = apply("sqrt", 1.0 - apply("pow", beta2, t))
                spread = v if largest is None else apply("maximum", largest, v)
                p = p - (factor / first) * (m / (apply("sqrt", spread) / second + eps))
                return (p, m, v) if largest is None else (p, m, v, spread)

            forms.append(lanes((parameter, mean, square, *kept), inputs, formula))
        return tuple(forms)

    return rule


def fused_adagrad(a: Arguments) -> tuple[Form, ...]:
    """Adagrad as torch.optim states it."""
    decay, eps = float(a.number("weight_decay", 0)), float(a.number("eps", 1e-10))
    rate, rate_decay = float(a.number("lr", 1e-2)), float(a.number("lr_decay", 0))
    columns = [a.tensors(name) for name in ("self", "grads", "state_sums", "state_steps")]

    def formula(p: Lane, g: Lane, total: Lane, t: Lane) -> Sequence[Operable]:
        g = -g if a.flag("maximize") else g
        g = g + p * decay if decay else g
        total = total + g * g
        return (p - (rate / (1.0 + (t - 1.0) * rate_decay)) * (g / (apply("sqrt", total) + eps)), total)

    return tuple(
        lanes((parameter, total), (parameter, grad, total, step), formula)
        for parameter, grad, total, step in zip(*columns, strict=True)
    )


def unscale(a: Arguments) -> tuple[Form, ...]:
    """GradScaler: gradients times the inverse scale; found_inf records whether any is not finite."""
    inverse, found = a.tensor("inv_scale"), a.tensor("found_inf")
    forms: list[Form] = []
    for grad in a.tensors("self"):
        dims = tuple(range(len(grad.shape)))
        flag = found.viewed((1,) * len(dims), (0,) * len(dims))
        scale = inverse.viewed((1,) * len(dims), (0,) * len(dims))
        forms.append(
            rows(
                grad.shape,
                dims,
                (grad, scale, flag),
                (("maximum", lambda g, _s, f: select(abs(g) < float("inf"), f, 1.0)),),
                lambda g, s, _f, any_infinite: (g * s, any_infinite),
                (grad, flag),
            )
        )
    return tuple(forms)


def update_scale(a: Arguments) -> tuple[Form, ...]:
    """GradScaler: grows the scale after a run of finite steps, backs off after an infinite one."""
    scale, tracker, found = a.tensor("self"), a.tensor("growth_tracker"), a.tensor("found_inf")
    growth, backoff = a.number("scale_growth_factor", 2.0), a.number("scale_backoff_factor", 0.5)
    interval = a.number("growth_interval", 2000)

    def formula(s: Lane, t: Lane, f: Lane) -> Sequence[Operable]:
        infinite = f > 0.0
        due = apply("eq", t + 1, interval)
        grown = select(due, s * growth, s)
        return (select(infinite, s * backoff, grown), select(infinite, 0, select(due, 0, t + 1)))

    return (lanes((scale, tracker), (scale, tracker, found), formula),)


def _with_scalars(a: Arguments, formula: ListFormula) -> tuple[Form, ...] | None:
    """A foreach operator whose second argument is a scalar or a list of scalars."""
    tensors = a.tensors("self")
    given = a.attribute("scalars", a.attribute("scalar", a.attribute("value", a.attribute("exponent", 0))))
    numbers = given if isinstance(given, tuple) else (given,) * len(tensors)
    if any(tensor.format.startswith("complex") for tensor in tensors):
        return None
    return tuple(
        _one(a, (tensor, number if isinstance(number, (bool, int, float)) else 0), formula, result)
        for tensor, number, result in zip(tensors, numbers, a.results or tensors, strict=True)
    )


def _register_binary(packet: str, operation: str) -> None:
    formula = _binary(operation)
    register(f"{packet}.List {packet}.Tensor", "lanes", "self[] other[]", foreach("self[] other[]", formula))
    register(f"{packet}.Scalar {packet}.ScalarList", "lanes", "self[]", lambda a: _with_scalars(a, formula))


for _packet, _operation in {
    "_foreach_add": "add",
    "_foreach_sub": "sub",
    "_foreach_mul": "mul",
    "_foreach_div": "div",
    "_foreach_maximum": "maximum",
    "_foreach_clamp_min": "maximum",
    "_foreach_minimum": "minimum",
    "_foreach_clamp_max": "minimum",
}.items():
    _register_binary(_packet, _operation)
for _name in "abs neg exp sqrt rsqrt sin cos tanh log sigmoid sign floor ceil round trunc".split():
    register(
        f"_foreach_{_name}", "lanes", "self[]", foreach("self[]", lambda _a, x, name=_name: apply(name, x))
    )
register("_foreach_reciprocal", "lanes", "self[]", foreach("self[]", lambda _a, x: 1.0 / x))
register("_foreach_zero", "lanes", "self[]", foreach("self[]", lambda _a, _x: 0.0))
register("_foreach_copy", "lanes", "self[] src[]", foreach("self[] src[]", lambda _a, _x, y: y))
register(
    "_foreach_addcmul.Scalar _foreach_addcmul.ScalarList",
    "lanes",
    "self[] tensor1[] tensor2[]",
    foreach("self[] tensor1[] tensor2[] scalars", _pointwise),
)
register(
    "_foreach_addcdiv.Scalar _foreach_addcdiv.ScalarList",
    "lanes",
    "self[] tensor1[] tensor2[]",
    foreach("self[] tensor1[] tensor2[] scalars", _pointwise_quotient),
)
register(
    "_foreach_lerp.Scalar",
    "lanes",
    "self[] tensors1[]",
    foreach("self[] tensors1[] weight", _interpolated),
)
register(
    "_foreach_lerp.List",
    "lanes",
    "self[] tensors1[] weights[]",
    foreach("self[] tensors1[] weights[]", _interpolated),
)
register(
    "_foreach_pow.Scalar _foreach_pow.ScalarList",
    "lanes",
    "self[]",
    lambda a: _with_scalars(a, power),
)
register("_foreach_norm.Scalar", "rows", "self[]", foreach_norm)
register(
    "_fused_sgd _fused_sgd.tensor_lr",
    "lanes",
    "self[] grads[] momentum_buffer_list[] lr grad_scale found_inf",
    fused_sgd,
)
for _packet, _decoupled in (("_fused_adam", False), ("_fused_adamw", True)):
    register(
        f"{_packet} {_packet}.tensor_lr",
        "lanes",
        "self[] grads[] exp_avgs[] exp_avg_sqs[] max_exp_avg_sqs[] state_steps[] lr grad_scale found_inf",
        fused_adam(decoupled=_decoupled),
    )
register(
    "_fused_adagrad", "lanes", "self[] grads[] state_sums[] state_steps[] grad_scale found_inf", fused_adagrad
)
register("_amp_foreach_non_finite_check_and_unscale", "rows", "self[] found_inf inv_scale", unscale)
register("_amp_update_scale", "lanes", "self growth_tracker found_inf", update_scale)
