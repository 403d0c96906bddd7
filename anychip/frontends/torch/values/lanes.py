"""Recipes on torch tensors: one torch kernel per lane step, where that kernel rounds exactly once.

Only kernels of a single operation are used (none that a compiler may fuse into a multiply-add), on fp32
registers; curves are the arithmetic room's, rounded once. `arithmetic.evaluate` is the reference.
Registers that nothing reads any more are written again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from anychip.arithmetic import pointers
from anychip.arithmetic.curves import Curves
from anychip.arithmetic.recipe import CURVES, Number, Recipe, Step
from anychip.errors import unknown_name
from anychip.frontends.torch.values.stored import numpy_of

Tensor = torch.Tensor


def _round_even(x: Tensor) -> Tensor:
    return torch.round(x)


def _bitwise(boolean: Callable[..., Tensor], bits: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Truth values where a float or boolean takes part, bits where all are integers."""

    def perform(*arguments: Any) -> Tensor:
        tensors = [a if isinstance(a, Tensor) else torch.tensor(a) for a in arguments]
        if any(each.dtype.is_floating_point for each in tensors):
            return boolean(*(each != 0 for each in tensors))
        return bits(*tensors)

    return perform


#: Steps that round at most once.
_PLAIN: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "neg": torch.neg,
    "abs": torch.abs,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "and": _bitwise(torch.logical_and, torch.bitwise_and),
    "or": _bitwise(torch.logical_or, torch.bitwise_or),
    "xor": _bitwise(torch.logical_xor, torch.bitwise_xor),
    "not": _bitwise(torch.logical_not, torch.bitwise_not),
    "shift_left": torch.bitwise_left_shift,
    "shift_right": torch.bitwise_right_shift,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": _round_even,
    "trunc": torch.trunc,
    "sign": torch.sign,
    "sign_bit": torch.signbit,
    "copy": torch.clone,
    "isnan": torch.isnan,
    "floor_divide": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "remainder": torch.remainder,
    "fmod": torch.fmod,
}
#: Steps with an ``out=`` that writes fp32 registers without an intermediate.
_IN_PLACE = frozenset("add sub mul div neg abs maximum minimum floor ceil trunc sign".split())
_COMPARISONS = frozenset("eq ne lt le gt ge isnan sign_bit".split())


class Lanes:
    """A recipe ready to run on tensors.

    Args:
        recipe: what to do.
        curves: the chip's unit; anything but the correct one goes through the arithmetic room.
    """

    def __init__(self, recipe: Recipe, curves: Curves) -> None:
        self.recipe = recipe
        self.curves = curves
        self._steps = [self._step(step) for step in recipe.steps]
        self._needed = self._last_uses(recipe)

    def _last_uses(self, recipe: Recipe) -> list[tuple[int, ...]]:
        """Per step, the registers that nothing reads afterwards."""
        last: dict[int, int] = {}
        for index, step in enumerate(recipe.steps):
            for argument in step.arguments:
                if isinstance(argument, int):
                    last[argument] = index
        kept = {result for result in recipe.results if isinstance(result, int)}
        return [
            tuple(
                register
                for register, at in last.items()
                if at == index and register >= recipe.inputs and register not in kept
            )
            for index in range(len(recipe.steps))
        ]

    def _step(self, step: Step) -> tuple[str, Callable[..., Tensor], tuple[int | Number, ...]]:
        operation = step.operation
        if operation in CURVES and operation != "sqrt":
            return operation, self._curve(operation), step.arguments
        if operation == "sqrt":
            return operation, self._square_root, step.arguments
        if operation == "select":
            return operation, _select, step.arguments
        if operation not in _PLAIN:
            raise unknown_name("lane operation", operation, _PLAIN)
        return operation, _PLAIN[operation], step.arguments

    def _square_root(self, x: Tensor) -> Tensor:
        if not self.curves.is_exact("sqrt"):
            return self._curve("sqrt")(x)
        if x.dtype is torch.float64:
            return torch.sqrt(x)
        # In double and rounded once: PyTorch's fp32 kernel is not correctly rounded on every processor.
        return torch.from_numpy(np.asarray(np.sqrt(numpy_of(x.double())))).float()  # of one element: a scalar

    def _curve(self, name: str) -> Callable[..., Tensor]:
        """A curve as the arithmetic room specifies it: in the compiled core, or NumPy with its bits."""
        in_core = self.curves.is_exact(name) and name in pointers.CURVES

        def evaluated(*arguments: Any) -> Tensor:
            first = arguments[0]
            single = len(arguments) == 1 and isinstance(first, Tensor) and first.dtype is torch.float32
            if in_core and single and pointers.available():
                source = first.contiguous()
                result = torch.empty_like(source)
                if pointers.curve(name, source.data_ptr(), result.data_ptr(), source.numel()):
                    return result
            wide = any(isinstance(a, Tensor) and a.dtype is torch.float64 for a in arguments)
            doubles = [numpy_of(a.double()) if isinstance(a, Tensor) else float(a) for a in arguments]
            exact = torch.from_numpy(np.array(self.curves.evaluate(name, *map(np.asarray, doubles))))
            return exact if wide else exact.float()

        return evaluated

    def __call__(self, operands: Sequence[Tensor]) -> list[Tensor]:
        """What leaves the recipe, in lane precision; operands are carriers that broadcast."""
        registers: list[Any] = list(operands)
        free: list[Tensor] = []
        for index, (operation, function, arguments) in enumerate(self._steps):
            given = [
                registers[a] if isinstance(a, int) else self._constant(a, operation, arguments, registers)
                for a in arguments
            ]
            if operation in _IN_PLACE and free:
                registers.append(_reused(function, given, free))
            elif operation in _PLAIN and operation not in _COMPARISONS:
                registers.append(_numeric(function, given, operation))
            else:
                registers.append(function(*_tensors(given)))
            for register in self._needed[index]:
                if register >= self.recipe.inputs and registers[register].dtype is torch.float32:
                    free.append(registers[register])
                registers[register] = None
        return [
            registers[result] if isinstance(result, int) else self._result(result, operands)
            for result in self.recipe.results
        ]

    def _constant(
        self, number: Number, operation: str, arguments: tuple[int | Number, ...], registers: list[Any]
    ) -> Any:
        """A constant beside tensors; in lane precision wherever a float takes part."""
        value = number.value
        if isinstance(value, float):
            wide = any(isinstance(a, int) and registers[a].dtype is torch.float64 for a in arguments)
            return _double(value) if wide else _single(value)
        return value

    @staticmethod
    def _result(number: Number, operands: Sequence[Tensor]) -> Tensor:
        value = number.value
        shape = _widest(operands)
        return (_single(value) if isinstance(value, float) else torch.tensor(value)).expand(shape)


_singles: dict[str, Tensor] = {}


def _single(value: float) -> Tensor:
    key = value.hex()
    known = _singles.get(key)
    if known is None:
        known = _singles[key] = torch.tensor(value, dtype=torch.float32)
    return known


def _double(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def _tensors(arguments: list[Any]) -> list[Tensor]:
    return [a if isinstance(a, Tensor) else torch.tensor(a) for a in arguments]


def _select(condition: Tensor, chosen: Tensor, otherwise: Tensor) -> Tensor:
    truth = condition if condition.dtype is torch.bool else condition != 0
    if chosen.dtype is not otherwise.dtype:
        kind = torch.promote_types(_lane_type(chosen), _lane_type(otherwise))
        if not chosen.dim():
            kind = _lane_type(otherwise) if otherwise.dtype.is_floating_point else kind
        chosen, otherwise = chosen.to(kind), otherwise.to(kind)
    return torch.where(truth, chosen, otherwise)


def _lane_type(tensor: Tensor) -> torch.dtype:
    return tensor.dtype


def _numeric(function: Callable[..., Tensor], arguments: list[Any], operation: str) -> Tensor:
    """A plain step; where floats take part every operand is one, where none does integers are wide."""
    tensors = [a for a in arguments if isinstance(a, Tensor)]
    if any(t.dtype is torch.float64 for t in tensors if t.dim() or len(tensors) == 1):
        kind = torch.float64
    elif any(t.dtype.is_floating_point for t in tensors) or operation == "div":
        kind = torch.float32
    elif operation in ("and", "or", "xor", "not"):
        return function(*_tensors(arguments))
    else:
        kind = torch.int64
    if operation in ("shift_left", "shift_right", "and", "or", "xor", "not"):
        return function(*_tensors(arguments))
    return function(*(_as(a, kind) for a in arguments))


def _as(argument: Any, kind: torch.dtype) -> Tensor:
    if isinstance(argument, Tensor):
        return argument if argument.dtype is kind else argument.to(kind)
    return torch.tensor(argument, dtype=kind)


def _widest(tensors: Sequence[Tensor]) -> tuple[int, ...]:
    """The shape to which tensors broadcast (PyTorch's own function for it takes longer than a kernel)."""
    rank = max((t.dim() for t in tensors), default=0)
    shape = [1] * rank
    for tensor in tensors:
        for d, extent in enumerate(tensor.shape, rank - tensor.dim()):
            if extent != 1:
                shape[d] = extent
    return tuple(shape)


def _reused(function: Callable[..., Tensor], arguments: list[Any], free: list[Tensor]) -> Tensor:
    """A plain fp32 step written into a register that is no longer needed, if one fits."""
    tensors = _tensors(arguments)
    if all(t.dtype is torch.float32 for t in tensors):
        shape = _widest(tensors)
        for index, candidate in enumerate(free):
            if candidate.shape == shape and candidate.is_contiguous():
                del free[index]
                return function(*tensors, out=candidate)
    return _numeric(function, arguments, "")
