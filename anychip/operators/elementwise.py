"""Elementwise operators: formulas on lanes, each result rounded once into its stored format.

Formulas follow PyTorch's order of operations where that order can be seen in the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from anychip.arithmetic.recipe import Constant, Lane, Operable, apply, select, traced
from anychip.operators.arguments import Arguments, Tensor, merged, operand
from anychip.operators.forms import Form, Lanes
from anychip.operators.table import register

#: A formula: the call's arguments, then one register (or number, or None) per tensor argument.
Formula = Callable[..., Operable | Sequence[Operable]]


def lanes(
    results: Sequence[Tensor],
    inputs: Sequence[Tensor],
    formula: Callable[..., Operable | Sequence[Operable]],
    random: int = 0,
) -> Lanes:
    """The form of a formula over the common shape of its results."""
    shape = results[0].shape
    strides = [each.broadcast(shape) for each in inputs] + [each.broadcast(shape) for each in results]
    extents, kept = merged(shape, strides, may_reorder=True)
    operands = tuple(operand(tensor, s) for tensor, s in zip(inputs, kept, strict=False))
    written = tuple(operand(tensor, s) for tensor, s in zip(results, kept[len(inputs) :], strict=True))
    return Lanes(extents, operands, written, traced(len(inputs) + random, formula), random)


def formula_of(a: Arguments, names: Sequence[str], formula: Formula) -> tuple[list[Tensor], Formula]:
    """Tensor arguments among `names`, and the formula with the others put in as numbers."""
    bound = [a.value(name) for name in names]
    inputs = [each for each in bound if isinstance(each, Tensor)]

    def closed(*registers: Lane) -> Operable | Sequence[Operable]:
        left = iter(registers)
        given = [next(left) if isinstance(each, Tensor) else each for each in bound]
        return formula(a, *given, *left)

    return inputs, closed


def element(names: str, tensors: str, formula: Formula) -> None:
    """Registers an elementwise operator by its formula."""
    words = tensors.split()

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        if any(tensor.format.startswith("complex") for tensor in (*a.inputs, *a.results)):
            return None
        inputs, closed = formula_of(a, words, formula)
        return (lanes(a.results, inputs, closed),)

    register(names, "lanes", tensors, rule)


def curve(name: str) -> Formula:
    """The formula that is one curve."""
    return lambda _a, x: apply(name, x)


def scaled(x: Operable, factor: Constant) -> Operable:
    """``factor * x`` without a step where the factor is 1."""
    return x if factor == 1 else x * factor


def add(a: Arguments, x: Operable, y: Operable) -> Operable:
    return apply("add", x, scaled(y, a.number("alpha", 1)))


def sub(a: Arguments, x: Operable, y: Operable) -> Operable:
    return apply("sub", x, scaled(y, a.number("alpha", 1)))


def divide(a: Arguments, x: Operable, y: Operable) -> Operable:
    mode = a.attribute("rounding_mode")
    if mode == "floor":
        return apply("floor_divide", x, y)
    quotient = apply("div", x, y)
    return apply("trunc", quotient) if mode == "trunc" else quotient


def power(_a: Arguments, x: Operable, exponent: Operable) -> Operable:
    """Small constant exponents are products, as everywhere in PyTorch; others are a curve."""
    if isinstance(exponent, Lane) or not isinstance(x, Lane):
        return apply("pow", x, exponent)
    match float(exponent):
        case 0.0:
            return 1.0
        case 1.0:
            return x
        case 2.0:
            return x * x
        case 3.0:
            return x * x * x
        case 0.5:
            return apply("sqrt", x)
        case -0.5:
            return apply("rsqrt", x)
        case -1.0:
            return 1.0 / x
        case -2.0:
            return 1.0 / (x * x)
        case _:
            return apply("pow", x, exponent)


def clamp(a: Arguments, x: Lane, low: Operable | None = None, high: Operable | None = None) -> Operable:
    low = a.number("min", -math.inf) if low is None and a.attribute("min") is not None else low
    high = a.number("max", math.inf) if high is None and a.attribute("max") is not None else high
    result: Operable = x
    if low is not None:
        result = apply("maximum", result, low)
    return result if high is None else apply("minimum", result, high)


def gelu(a: Arguments, x: Lane) -> Operable:
    return apply("gelu_tanh" if a.attribute("approximate") == "tanh" else "gelu", x)


def gelu_backward(a: Arguments, grad: Lane, x: Lane) -> Operable:
    if a.attribute("approximate") == "tanh":
        square = x * x
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * (square * x))
        tangent = apply("tanh", inner)
        left = 0.5 * (1.0 + tangent)
        slope = math.sqrt(2 / math.pi) * (1.0 + (3 * 0.044715) * square)
        right = 0.5 * x * ((1.0 - tangent * tangent) * slope)
        return grad * (left + right)
    density = apply("exp", (x * x) * -0.5) * (1 / math.sqrt(2 * math.pi))
    return grad * (apply("normal_cdf", x) + x * density)


def sigmoid_backward(_a: Arguments, grad: Lane, y: Lane) -> Operable:
    return grad * (1.0 - y) * y


def tanh_backward(_a: Arguments, grad: Lane, y: Lane) -> Operable:
    return grad * (1.0 - y * y)


def silu_backward(_a: Arguments, grad: Lane, x: Lane) -> Operable:
    sigmoid = apply("sigmoid", x)
    return grad * sigmoid * (1.0 + x * (1.0 - sigmoid))


def threshold_backward(a: Arguments, grad: Operable, x: Operable) -> Operable:
    return select(apply("le", x, a.number("threshold", 0)), 0.0, grad)


def leaky_relu(a: Arguments, x: Lane) -> Operable:
    return select(x > 0.0, x, x * a.number("negative_slope", 0.01))


def leaky_relu_backward(a: Arguments, grad: Lane, x: Lane) -> Operable:
    return select(x > 0.0, grad, grad * a.number("negative_slope", 0.01))


def elu(a: Arguments, x: Lane) -> Operable:
    alpha, scale, inner = a.number("alpha", 1), a.number("scale", 1), a.number("input_scale", 1)
    negative = apply("expm1", scaled(x, inner)) * (alpha * scale)
    return select(x < 0.0, negative, scaled(x, scale))


def elu_backward(a: Arguments, grad: Lane, x: Lane) -> Operable:
    alpha, scale, inner = a.number("alpha", 1), a.number("scale", 1), a.number("input_scale", 1)
    if a.flag("is_result"):
        negative = grad * inner * (x + alpha * scale)
    else:
        negative = grad * (inner * alpha * scale) * apply("exp", scaled(x, inner))
    return select(x <= 0.0, negative, scaled(grad, scale))


def hardswish_backward(_a: Arguments, grad: Lane, x: Lane) -> Operable:
    inside = grad * (x / 3.0 + 0.5)
    return select(x <= -3.0, 0.0, select(x < 3.0, inside, grad))


def hardtanh_backward(a: Arguments, grad: Lane, x: Lane) -> Operable:
    outside = apply("or", x <= a.number("min_val", -1), x >= a.number("max_val", 1))
    return select(outside, 0.0, grad)


def hardsigmoid_backward(_a: Arguments, grad: Lane, x: Lane) -> Operable:
    inside = apply("and", x > -3.0, x < 3.0)
    return select(inside, grad * (1.0 / 6.0), 0.0)


def softplus(a: Arguments, x: Lane) -> Operable:
    beta, threshold = a.number("beta", 1), a.number("threshold", 20)
    curved = apply("softplus", scaled(x, beta))
    return select(scaled(x, beta) > threshold, x, curved if beta == 1 else curved / beta)


def softplus_backward(a: Arguments, grad: Lane, x: Lane) -> Operable:
    beta, threshold = a.number("beta", 1), a.number("threshold", 20)
    argument = scaled(x, beta)
    return select(argument > threshold, grad, grad * apply("sigmoid", argument))


def mish_backward(_a: Arguments, grad: Lane, x: Lane) -> Operable:
    tangent = apply("tanh", apply("softplus", x))
    return grad * (tangent + x * apply("sigmoid", x) * (1.0 - tangent * tangent))


def log_sigmoid_backward(_a: Arguments, grad: Lane, x: Lane, _buffer: Operable | None) -> Operable:
    return grad * apply("sigmoid", -x)


def log_sigmoid_forward(a: Arguments, x: Lane) -> Sequence[Operable]:
    results = (apply("log_sigmoid", x), apply("exp", -abs(x)))
    return results[: len(a.results)]


def glu_parts(a: Arguments, tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Both halves of a gated linear unit's input."""
    d = a.integer("dim", -1) % len(tensor.shape)
    half = tensor.shape[d] // 2
    return tensor.narrowed(d, 0, half), tensor.narrowed(d, half, half)


def glu(a: Arguments) -> tuple[Form, ...]:
    first, second = glu_parts(a, a.tensor("self"))
    return (lanes(a.results, (first, second), lambda x, y: x * apply("sigmoid", y)),)


def glu_backward(a: Arguments) -> tuple[Form, ...]:
    """Both halves of the gradient, one form each."""
    grad = a.tensor("grad_output")
    first, second = glu_parts(a, a.tensor("self"))
    to_first, to_second = glu_parts(a, a.results[0])

    def gate(g: Lane, x: Lane, y: Lane) -> Operable:
        sigmoid = apply("sigmoid", y)
        return g * x * (sigmoid * (1.0 - sigmoid))

    return (
        lanes((to_first,), (grad, second), lambda g, y: g * apply("sigmoid", y)),
        lanes((to_second,), (grad, first, second), gate),
    )


def addcmul(a: Arguments, x: Lane, first: Lane, second: Lane) -> Operable:
    return x + scaled(first, a.number("value", 1)) * second


def addcdiv(a: Arguments, x: Lane, first: Lane, second: Lane) -> Operable:
    return x + scaled(first, a.number("value", 1)) / second


def lerp(_a: Arguments, x: Lane, end: Lane, weight: Operable) -> Operable:
    """Computed from the nearer end, so that both ends are reached exactly."""
    near = x + weight * (end - x)
    far = end - (end - x) * (1.0 - weight)
    if isinstance(weight, Lane):
        return select(abs(weight) < 0.5, near, far)
    return near if abs(weight) < 0.5 else far


def nan_to_num(a: Arguments, x: Lane) -> Operable:
    limits = {"fp32": 3.4028234663852886e38, "bf16": 3.3895313892515355e38, "fp16": 65504.0}
    limit = limits.get(a.results[0].format, 1.7976931348623157e308)
    replaced = select(apply("isnan", x), a.number("nan", 0.0), x)
    replaced = select(apply("eq", x, math.inf), a.number("posinf", limit), replaced)
    return select(apply("eq", x, -math.inf), a.number("neginf", -limit), replaced)


def logaddexp(_a: Arguments, x: Lane, y: Lane) -> Operable:
    top, bottom = apply("maximum", x, y), apply("minimum", x, y)
    both = top + apply("log1p", apply("exp", bottom - top))
    return select(apply("eq", abs(top), math.inf), top, both)


def xlogy(_a: Arguments, x: Operable, y: Operable) -> Operable:
    product = apply("mul", x, apply("log", y)) if isinstance(y, Lane) else x * math.log(y) if y > 0 else x * y
    kept = select(apply("eq", x, 0.0), 0.0, product) if isinstance(x, Lane) else product
    return select(apply("isnan", y), math.nan, kept) if isinstance(y, Lane) else kept


def log_ndtr(_a: Arguments, x: Lane) -> Operable:
    """Logarithm of the normal distribution, on either side by the form that keeps its digits."""
    t = x * math.sqrt(0.5)
    below = apply("log", apply("erfcx", -t) * 0.5) - t * t
    return select(x < -1.0, below, apply("log1p", apply("erfc", t) * -0.5))


def celu(a: Arguments, x: Lane) -> Operable:
    alpha = a.number("alpha", 1)
    return select(x < 0.0, apply("expm1", x if alpha == 1 else x / alpha) * alpha, x)


def logaddexp2(_a: Arguments, x: Lane, y: Lane) -> Operable:
    top, bottom = apply("maximum", x, y), apply("minimum", x, y)
    both = top + apply("log1p", apply("exp2", bottom - top)) * (1 / math.log(2))
    return select(apply("eq", abs(top), math.inf), top, both)


def entropy(_a: Arguments, x: Lane) -> Operable:
    positive = -x * apply("log", x)
    inside = select(x > 0.0, positive, select(apply("eq", x, 0.0), 0.0, -math.inf))
    return select(apply("isnan", x), x, inside)


def xlog1py(_a: Arguments, x: Operable, y: Operable) -> Operable:
    logarithm = apply("log1p", y) if isinstance(y, Lane) else (math.log1p(y) if y > -1 else math.nan)
    product = apply("mul", x, logarithm)
    kept = select(apply("eq", x, 0.0), 0.0, product) if isinstance(x, Lane) else product
    return select(apply("isnan", y), math.nan, kept) if isinstance(y, Lane) else kept


def logit(a: Arguments, x: Lane) -> Operable:
    eps = a.attribute("eps")
    y = clamped(x, float(eps), 1.0 - float(eps)) if isinstance(eps, (int, float)) else x
    return apply("log", y / (1.0 - y))


def clamped(x: Lane, low: float, high: float) -> Lane:
    """`x` between two bounds."""
    return apply("minimum", apply("maximum", x, low), high)


def where(_a: Arguments, condition: Operable, x: Operable, y: Operable) -> Operable:
    return select(condition, x, y)


def masked_fill(a: Arguments, x: Operable, mask: Operable, value: Operable | None) -> Operable:
    return select(mask, a.number("value", 0) if value is None else value, x)


def copysign(_a: Arguments, x: Operable, y: Operable) -> Operable:
    size = apply("abs", x) if isinstance(x, Lane) else abs(x)
    negative = apply("sign_bit", y) if isinstance(y, Lane) else math.copysign(1.0, y) < 0
    flipped = apply("neg", size) if isinstance(size, Lane) else -size
    return select(negative, flipped, size) if isinstance(negative, Lane) else (flipped if negative else size)


def native_dropout(a: Arguments) -> tuple[Form, ...]:
    p = float(a.number("p", 0.5))
    scale = 0.0 if p >= 1 else 1.0 / (1.0 - p)

    def formula(x: Lane, draw: Lane) -> Sequence[Operable]:
        kept = draw >= p
        return (select(kept, x, 0.0) * scale, kept)

    return (lanes(a.results, (a.tensor("input"),), formula, random=1),)


def cast(a: Arguments) -> tuple[Form, ...]:
    """A copy into another format, rounded once; one that keeps the format is a copy too."""
    return (lanes(a.results[:1], (a.tensor("self"),), lambda x: x),)


def copied(a: Arguments) -> tuple[Form, ...]:
    return (lanes(a.results[:1], (a.tensor("src"),), lambda x: x),)


def _names(words: str, tensors: str, table: dict[str, Formula]) -> None:
    for name, formula in table.items():
        element(" ".join(f"{name}.{overload}" for overload in words.split()), tensors, formula)


_names(
    "default",
    "self",
    {
        **{
            name: curve(name)
            for name in (
                "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh "
                "asinh acosh atanh sigmoid silu erf erfc erfinv mish lgamma digamma neg abs floor ceil trunc "
                "isnan"
            ).split()
        },
        "reciprocal": lambda _a, x: 1.0 / x,
        "relu": lambda _a, x: apply("maximum", x, 0.0),
        "relu6": lambda _a, x: clamped(x, 0.0, 6.0),
        "sign": lambda _a, x: apply("sign", x),
        "sgn": lambda _a, x: apply("sign", x),
        "square": lambda _a, x: x * x,
        "frac": lambda _a, x: x - apply("trunc", x),
        "round": lambda _a, x: apply("round", x),
        "isinf": lambda _a, x: apply("eq", abs(x), math.inf),
        "isposinf": lambda _a, x: apply("eq", x, math.inf),
        "isneginf": lambda _a, x: apply("eq", x, -math.inf),
        "isfinite": lambda _a, x: abs(x) < math.inf,
        "signbit": lambda _a, x: apply("sign_bit", x),
        "logical_not": lambda _a, x: apply("eq", x, 0),
        "bitwise_not": lambda _a, x: apply("not", x),
        "gelu": gelu,
        "leaky_relu": leaky_relu,
        "elu": elu,
        "hardswish": lambda _a, x: x * clamped(x + 3.0, 0.0, 6.0) / 6.0,
        "hardsigmoid": lambda _a, x: clamped(x + 3.0, 0.0, 6.0) / 6.0,
        "hardtanh": lambda a, x: clamped(x, a.number("min_val", -1), a.number("max_val", 1)),
        "softplus": softplus,
        "log_sigmoid_forward": log_sigmoid_forward,
        "log_sigmoid": lambda _a, x: apply("log_sigmoid", x),
        "logit": logit,
        "nan_to_num": nan_to_num,
        "sinc": lambda _a, x: select(apply("eq", x, 0.0), 1.0, apply("sin", x * math.pi) / (x * math.pi)),
        "deg2rad": lambda _a, x: x * (math.pi / 180),
        "rad2deg": lambda _a, x: x * (180 / math.pi),
        "threshold": lambda a, x: select(x <= a.number("threshold", 0), a.number("value", 0), x),
        "hardshrink": lambda a, x: select(abs(x) <= a.number("lambd", 0.5), 0.0, x),
        "softshrink": lambda a, x: select(
            x > a.number("lambd", 0.5),
            x - a.number("lambd", 0.5),
            select(x < -a.number("lambd", 0.5), x + a.number("lambd", 0.5), 0.0 * x),
        ),
        "special_erfcx": curve("erfcx"),
        "special_ndtri": curve("normal_quantile"),
        "special_log_ndtr": log_ndtr,
        "positive": lambda _a, x: x,
    },
)
_names(
    "Tensor Scalar default",
    "self other",
    {
        "add": add,
        "sub": sub,
        "rsub": lambda a, x, y: sub(a, y, x),
        "mul": lambda _a, x, y: apply("mul", x, y),
        "div": divide,
        "true_divide": divide,
        "maximum": lambda _a, x, y: apply("maximum", x, y),
        "minimum": lambda _a, x, y: apply("minimum", x, y),
        "fmax": lambda _a, x, y: select(
            apply("isnan", x), y, select(apply("isnan", y), x, apply("maximum", x, y))
        ),
        "fmin": lambda _a, x, y: select(
            apply("isnan", x), y, select(apply("isnan", y), x, apply("minimum", x, y))
        ),
        "eq": lambda _a, x, y: apply("eq", x, y),
        "ne": lambda _a, x, y: apply("ne", x, y),
        "lt": lambda _a, x, y: apply("lt", x, y),
        "le": lambda _a, x, y: apply("le", x, y),
        "gt": lambda _a, x, y: apply("gt", x, y),
        "ge": lambda _a, x, y: apply("ge", x, y),
        "bitwise_and": lambda _a, x, y: apply("and", x, y),
        "bitwise_or": lambda _a, x, y: apply("or", x, y),
        "bitwise_xor": lambda _a, x, y: apply("xor", x, y),
        "__and__": lambda _a, x, y: apply("and", x, y),
        "__or__": lambda _a, x, y: apply("or", x, y),
        "__xor__": lambda _a, x, y: apply("xor", x, y),
        "__lshift__": lambda _a, x, y: apply("shift_left", x, y),
        "__rshift__": lambda _a, x, y: apply("shift_right", x, y),
        "bitwise_left_shift": lambda _a, x, y: apply("shift_left", x, y),
        "bitwise_right_shift": lambda _a, x, y: apply("shift_right", x, y),
        "logical_and": lambda _a, x, y: apply("and", apply("ne", x, 0), apply("ne", y, 0)),
        "logical_or": lambda _a, x, y: apply("or", apply("ne", x, 0), apply("ne", y, 0)),
        "logical_xor": lambda _a, x, y: apply("ne", apply("ne", x, 0), apply("ne", y, 0)),
        "floor_divide": lambda _a, x, y: apply("floor_divide", x, y),
        "remainder": lambda _a, x, y: apply("remainder", x, y),
        "fmod": lambda _a, x, y: apply("fmod", x, y),
        "atan2": lambda _a, x, y: apply("atan2", x, y),
        "copysign": copysign,
        "logaddexp": logaddexp,
        "heaviside": lambda _a, x, y: select(apply("eq", x, 0), y, apply("gt", x, 0)),
        "hypot": lambda _a, x, y: apply("sqrt", x * x + y * y),
    },
)
_names("Tensor_mode Scalar_mode", "self other", {"div": divide})
_names("Scalar_Tensor", "self other", {"remainder": lambda _a, x, y: apply("remainder", x, y)})
_names("Tensor Scalar_Other Scalar_Self", "self other", {"xlogy": xlogy})
_names("Tensor_Tensor Tensor_Scalar Scalar", "self exponent", {"pow": power})
_names("default Tensor", "self min max", {"clamp": clamp})
_names("default Tensor", "self min", {"clamp_min": clamp})
_names("default Tensor", "self max", {"clamp_max": lambda a, x, high: clamp(a, x, None, high)})
_names("default", "self tensor1 tensor2", {"addcmul": addcmul, "addcdiv": addcdiv})
_names("Scalar Tensor", "self end weight", {"lerp": lerp})
_names("self ScalarSelf ScalarOther Scalar", "condition self other", {"where": where})
_names("Scalar Tensor", "self mask value", {"masked_fill": masked_fill})
_names("default", "grad_output self", {"gelu_backward": gelu_backward})
_names(
    "default",
    "grad_output output",
    {"sigmoid_backward": sigmoid_backward, "tanh_backward": tanh_backward},
)
_names(
    "default",
    "grad_output self",
    {
        "silu_backward": silu_backward,
        "threshold_backward": threshold_backward,
        "leaky_relu_backward": leaky_relu_backward,
        "elu_backward": elu_backward,
        "hardswish_backward": hardswish_backward,
        "hardtanh_backward": hardtanh_backward,
        "hardsigmoid_backward": hardsigmoid_backward,
        "softplus_backward": softplus_backward,
        "mish_backward": mish_backward,
        "hardshrink_backward": lambda a, g, x: select(abs(x) <= a.number("lambd", 0.5), 0.0, g),
        "softshrink_backward": lambda a, g, x: select(abs(x) <= a.number("lambd", 0.5), 0.0, g),
    },
)
_names("default", "grad_output self buffer", {"log_sigmoid_backward": log_sigmoid_backward})
_names(
    "default",
    "grad_output mask",
    {
        "native_dropout_backward": lambda a, g, mask: select(mask, g, 0.0) * a.number("scale", 1),
    },
)
element("celu", "self", celu)
element("logaddexp2", "self other", logaddexp2)
element("special_entr", "self", entropy)
element("special_xlog1py", "self other", xlog1py)
element("special_xlog1py.other_scalar", "self other", xlog1py)
element("special_xlog1py.self_scalar", "self other", xlog1py)
element("ldexp.Tensor", "self other", lambda _a, x, y: x * apply("exp2", y))
element("_prelu_kernel", "self weight", lambda _a, x, w: select(x > 0.0, x, w * x))
register("native_dropout", "lanes", "input", native_dropout)
register("glu", "lanes", "self", glu)
register("glu_backward", "lanes", "grad_output self", glu_backward)
register("_to_copy", "lanes", "self", cast)
register("copy", "lanes", "self src", copied)
