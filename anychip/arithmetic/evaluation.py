"""Evaluating recipes with one rounding per step: NumPy, the reference.

A step on float registers is rounded to the lane's format; on fp64 registers it is done in fp64; on integer
and truth registers alone in 64-bit integers, which wrap. Division and curves always give floats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic import pointers
from anychip.arithmetic.curves import CORRECT, Curves, values_of
from anychip.arithmetic.recipe import CURVES, PLAIN, Number, Recipe, Step
from anychip.arithmetic.summation import Doubles, add_to_odd
from anychip.errors import InvalidInput, unknown_name
from anychip.formats import Float, fp32, fp64

#: Steps that give the truth value of a comparison.
_COMPARISONS: dict[str, Callable[..., Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "isnan": np.isnan,
    "sign_bit": np.signbit,
}


def evaluate(
    recipe: Recipe,
    operands: tuple[NDArray[Any], ...],
    functions: Curves = CORRECT,
    lane: Float = fp32,
) -> tuple[NDArray[Any], ...]:
    """What leaves `recipe`, still in lane precision: the caller rounds once into the stored format.

    Args:
        recipe: what to do to every element.
        operands: arrays that broadcast against each other: float32 (any narrow format), float64, integers or
            truth values.
        functions: the unit that evaluates curves.
        lane: format of the registers.

    Raises:
        InvalidInput: the wrong number of operands, or shapes that do not broadcast.
        UnknownName: a step that no lane does.
    """
    if len(operands) != recipe.inputs:
        raise InvalidInput(f"recipe: {len(operands)} operands, but it takes {recipe.inputs}; give those")
    try:
        np.broadcast_shapes(*(np.shape(operand) for operand in operands))
    except ValueError:
        shapes = " and ".join(str(list(np.shape(operand))) for operand in operands)
        what = f"recipe: operands of shapes {shapes} do not broadcast; make them equal or 1"
        raise InvalidInput(what) from None
    registers: list[NDArray[Any]] = [np.asarray(operand) for operand in operands]
    for step in recipe.steps:
        registers.append(_perform(step, _arguments(step, registers, lane), functions, lane))
    return tuple(
        np.asarray(lane.round(one.value) if isinstance(one.value, float) else one.value)
        if isinstance(one, Number)
        else registers[one]
        for one in recipe.results
    )


def _arguments(step: Step, registers: list[NDArray[Any]], lane: Float) -> list[NDArray[Any]]:
    wide = any(isinstance(a, int) and registers[a].dtype == np.float64 for a in step.arguments)
    format = fp64 if wide else lane
    return [
        registers[a]
        if isinstance(a, int)
        else np.asarray(format.round(a.value) if isinstance(a.value, float) else a.value)
        for a in step.arguments
    ]


def _perform(step: Step, inputs: list[NDArray[Any]], functions: Curves, lane: Float) -> NDArray[Any]:
    operation = step.operation
    if operation not in PLAIN and operation not in CURVES:
        raise unknown_name("lane operation", operation, PLAIN | CURVES)
    if operation in _COMPARISONS:
        return np.asarray(_COMPARISONS[operation](*inputs))
    data = inputs[1:] if operation == "select" else inputs
    floating = any(one.dtype.kind == "f" for one in data) or operation in CURVES or operation == "div"
    if not floating:
        return _integers(operation, inputs)
    format = fp64 if any(one.dtype == np.float64 for one in data) else lane
    if operation in ("and", "or", "xor", "not"):
        return _integers(operation, [one != 0 for one in inputs])
    if (
        operation in pointers.CURVES
        and format == fp32
        and functions.is_exact(operation)
        and pointers.available()
    ):
        return _curve(operation, inputs[0])
    exact = _compute(operation, [values_of(one) for one in inputs], functions, format)
    return exact if format is fp64 else np.asarray(format.round(exact))


def _compute(operation: str, x: list[Doubles], functions: Curves, format: Float) -> Doubles:
    """The operation in double precision, exact or such that one more rounding to 24 bits is innocuous."""
    add = np.add if format is fp64 else add_to_odd
    with np.errstate(all="ignore"):
        match operation:
            case "add":
                return add(x[0], x[1])
            case "sub":
                return add(x[0], -x[1])
            case "mul":
                return x[0] * x[1]
            case "div":
                return x[0] / x[1]
            case "select":
                return np.where(x[0] != 0, x[1], x[2])
            case _ if operation in _FLOATS:
                return np.asarray(_FLOATS[operation](*x), np.float64)
            case _ if format is fp64:
                return functions.evaluate_wide(operation, *x)
            case _:
                return functions.evaluate(operation, *x)


def _curve(operation: str, values: NDArray[Any]) -> NDArray[np.float32]:
    source = np.ascontiguousarray(values, np.float32).reshape(np.shape(values))
    result = np.empty(source.shape, np.float32)
    pointers.curve(operation, source.ctypes.data, result.ctypes.data, source.size)
    return result


def _floor_divide(x: Any, y: Any) -> Any:
    return np.where(y == 0, x / y, np.floor_divide(x, y))


_FLOATS: dict[str, Callable[..., Any]] = {
    "neg": np.negative,
    "abs": np.abs,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "trunc": np.trunc,
    "sign": np.sign,
    "copy": np.array,
    "floor_divide": _floor_divide,
    "remainder": np.remainder,
    "fmod": np.fmod,
}

_WHOLE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "neg": np.negative,
    "abs": np.abs,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "shift_left": np.left_shift,
    "shift_right": np.right_shift,
    "floor_divide": np.floor_divide,
    "remainder": np.remainder,
    "fmod": np.fmod,
    "sign": np.sign,
    **dict.fromkeys(("floor", "ceil", "round", "trunc", "copy"), np.array),
}


def _integers(operation: str, inputs: list[NDArray[Any]]) -> NDArray[Any]:
    if operation == "not":
        return np.logical_not(inputs[0]) if inputs[0].dtype == np.bool_ else np.invert(inputs[0])
    if operation == "select":
        return np.where(inputs[0] != 0, inputs[1], inputs[2])
    if operation not in _WHOLE:
        raise unknown_name("integer lane operation", operation, _WHOLE)
    truths = all(one.dtype == np.bool_ for one in inputs) and operation in ("and", "or", "xor")
    with np.errstate(all="ignore"):
        return np.asarray(_WHOLE[operation](*(one if truths else one.astype(np.int64) for one in inputs)))
