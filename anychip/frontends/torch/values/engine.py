"""The three things that a form asks of arithmetic, in two ways with the same bits.

`Reference` goes through the arithmetic room's NumPy evaluation, step by step. `Fast` uses torch kernels that
round once per step, NumPy sums whose order is the declared one, and the compiled contraction. Tests compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch

from anychip.arithmetic import Contraction, Numerics, Recipe, contract, evaluate, reduce_sum
from anychip.arithmetic import order as orders
from anychip.frontends.torch.values.lanes import Lanes
from anychip.frontends.torch.values.stored import numpy_of

Tensor = torch.Tensor


class Engine(Protocol):
    """What evaluates recipes, sums and contractions on carriers."""

    def lanes(self, recipe: Recipe, operands: Sequence[Tensor]) -> list[Tensor]:
        """What leaves a recipe, in lane precision."""
        ...

    def sum(self, values: Tensor) -> Tensor:
        """Sums along the last dimension, in the chip's order."""
        ...

    def contract(self, left: Tensor, right: Tensor, rule: Contraction) -> Tensor:
        """Accumulators of ``left @ right``; the operands already hold values of the rule's format."""
        ...


class Reference:
    """The slow path: the specification, evaluated literally."""

    def __init__(self, numerics: Numerics) -> None:
        self.numerics = numerics

    def lanes(self, recipe: Recipe, operands: Sequence[Tensor]) -> list[Tensor]:
        """What leaves a recipe, in lane precision."""
        arrays = tuple(numpy_of(each) for each in operands)
        values = evaluate(recipe, arrays, self.numerics.curves, self.numerics.lane)
        return [torch.from_numpy(np.array(value)) for value in values]

    def sum(self, values: Tensor) -> Tensor:
        """Sums along the last dimension, in the chip's order."""
        return torch.from_numpy(np.array(reduce_sum(numpy_of(values), -1, self.numerics.reduction)))

    def contract(self, left: Tensor, right: Tensor, rule: Contraction) -> Tensor:
        """Accumulators of ``left @ right``, one addition at a time."""
        return torch.from_numpy(np.array(contract(numpy_of(left), numpy_of(right), rule)))


class Fast:
    """The path of every day."""

    def __init__(self, numerics: Numerics) -> None:
        self.numerics = numerics
        self.reference = Reference(numerics)
        self._compiled = lru_cache(maxsize=4096)(lambda recipe: Lanes(recipe, numerics.curves))

    def lanes(self, recipe: Recipe, operands: Sequence[Tensor]) -> list[Tensor]:
        """What leaves a recipe, in lane precision."""
        return self._compiled(recipe)(operands)

    def sum(self, values: Tensor) -> Tensor:
        """Sums along the last dimension, in the chip's order."""
        rule = self.numerics.reduction
        plain = rule.accumulator.name == "fp32" and rule.rounded == "add"
        if values.dtype is not torch.float32 or not plain or values.dim() == 0:
            return self.reference.sum(values)
        match rule.order:
            case orders.Lanes(width):
                return _in_lanes(values, width)
            case orders.Sequential():
                return _one_by_one(values)
            case _:
                return self.reference.sum(values)

    def contract(self, left: Tensor, right: Tensor, rule: Contraction) -> Tensor:
        """Accumulators of ``left @ right`` by the compiled kernel, where there is one."""
        return torch.from_numpy(contract(numpy_of(left), numpy_of(right), rule))


def _one_by_one(values: Tensor) -> Tensor:
    """One addition after the other from +0; NumPy adds whole rows of a transposed copy in this order."""
    array = numpy_of(values)
    flat = np.ascontiguousarray(array.reshape(-1, array.shape[-1]).T)
    return torch.from_numpy(_added(flat)).reshape(values.shape[:-1])


def _added(rows: Any) -> Any:
    """Rows of an array added in order, from +0."""
    if rows.shape[0] == 0:
        return np.zeros(rows.shape[1:], np.float32)
    if rows[0].size == 1:  # NumPy would sum a single column by pairs
        return np.array([_chain(rows.reshape(-1))], np.float32).reshape(rows.shape[1:])
    with np.errstate(all="ignore"):
        return np.add.reduce(rows, axis=0, initial=np.float32(0))


def _chain(column: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.add.accumulate(np.concatenate([np.zeros(1, np.float32), column]))[-1]


def _in_lanes(values: Tensor, width: int) -> Tensor:
    """Element k joins running sum ``k mod width``; the sums are then added by a tree of neighbours."""
    length = values.shape[-1]
    width = min(width, length)
    if width == 0:
        return torch.zeros(values.shape[:-1])
    array = numpy_of(values).reshape(-1, length)
    full = length // width * width
    blocks = np.ascontiguousarray(array[:, :full]).reshape(array.shape[0], -1, width)
    with np.errstate(all="ignore"):
        if width == 1:
            sums = np.array([[_chain(row.reshape(-1))] for row in blocks], np.float32)
        else:
            sums = np.add.reduce(blocks, axis=1, initial=np.float32(0))
        rest = length - full
        if rest:
            sums[:, :rest] = sums[:, :rest] + array[:, full:]
        total = _tree(sums, 0, width)
    return torch.from_numpy(np.ascontiguousarray(total + np.float32(0))).reshape(values.shape[:-1])


def _tree(sums: Any, first: int, last: int) -> Any:
    count = last - first
    if count == 1:
        return sums[:, first]
    half = 1 << ((count - 1).bit_length() - 1)
    return _tree(sums, first, first + half) + _tree(sums, first + half, last)
