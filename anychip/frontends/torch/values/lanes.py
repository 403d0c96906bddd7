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
#: Elements of one block of `streams`: a few registers of it stay in the second-level cache.
_STREAM = 1 << 16
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
        self._program: list[tuple[Callable[..., Tensor], tuple[Any, ...], int]] = []
        self._registers = self._allocated() if curves.is_exact("sqrt") and recipe.steps else None

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
        return torch.sqrt(x) if x.dtype.is_floating_point else torch.sqrt(x.double()).float()

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

    def streams(self, operands: Sequence[Tensor], results: Sequence[Tensor]) -> bool:
        """Runs over contiguous fp32 vectors of one length in blocks, each step into a register of the cache.

        Operands of one element are shared. Results may be operands.

        Returns:
            False, and nothing done, if the recipe or the operands are of another sort.
        """
        if self._registers is None or any(t.dtype is not torch.float32 for t in (*operands, *results)):
            return False
        count = results[0].numel()
        blocks: list[Any] = []
        for tensor in (*operands, *results):
            if tensor.numel() == 1 and count > 1:
                blocks.append(None)
            elif tensor.dim() == 1 and tensor.numel() == count and tensor.stride(0) == 1:
                blocks.append(tensor.split(_STREAM))
            else:
                return False
        scratch = list(torch.empty(self._registers, min(count, _STREAM)).unbind(0))
        for index in range(-(-count // _STREAM)):
            size = min(_STREAM, count - index * _STREAM)
            held: list[Any] = [
                each if parts is None else parts[index]
                for each, parts in zip((*operands, *results), blocks, strict=True)
            ]
            held += [row[:size] for row in scratch] if size < min(count, _STREAM) else scratch
            for function, arguments, target in self._program:
                function(*[held[a] if type(a) is int else a for a in arguments], out=held[target])
        return True

    def _allocated(self) -> int | None:
        """Assigns registers for `streams`: how many it needs, None if a step cannot write one.

        Slots are operands, then results, then scratch.
        """
        recipe = self.recipe
        inputs, outputs = recipe.inputs, len(recipe.results)
        places: dict[int, int] = {}
        for index, result in enumerate(recipe.results):
            if not isinstance(result, int) or result < inputs or result in places:
                return None
            places[result] = inputs + index
        where: dict[int, int] = {register: register for register in range(inputs)}
        free: list[int] = []
        used = 0
        last_read = {r: i for i, step in enumerate(recipe.steps) for r in step.arguments if type(r) is int}
        for index, step in enumerate(recipe.steps):
            if step.operation not in _IN_PLACE and step.operation != "sqrt":
                return None
            arguments = tuple(
                where[a] if isinstance(a, int) else _single(float(a.value)) for a in step.arguments
            )
            register = inputs + index
            final = places.get(register)
            # A result may be an operand that later steps still read: it is written when none does.
            late = final is not None and any(last_read.get(r, -1) > index for r in range(inputs))
            if final is None or late:
                slot = free.pop() if free else inputs + outputs + used
                used += slot == inputs + outputs + used
            else:
                slot = final
            where[register] = slot
            function = torch.sqrt if step.operation == "sqrt" else _PLAIN[step.operation]
            self._program.append((function, arguments, slot))
            for r in {a for a in step.arguments if type(a) is int and a >= inputs}:
                if last_read[r] == index and r not in places and where[r] >= inputs + outputs:
                    free.append(where[r])
        for register, final in places.items():
            if where[register] != final:
                self._program.append((torch.add, (where[register], _single(-0.0)), final))
        return used

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
