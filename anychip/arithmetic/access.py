"""Operands and results of programs of the compiled core, and what is read from a table.

A curve of an operand of 16 bits or fewer has at most 65536 values: all of them are evaluated once, and the
operand is read through that table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic.evaluation import evaluate
from anychip.arithmetic.pointers import table_of
from anychip.arithmetic.recipe import CURVES, Number, Recipe, Step
from anychip.formats import CastRule, Float

#: Steps that may leave truth values, which a table of numbers does not hold.
_NO_NUMBERS = frozenset("eq ne lt le gt ge isnan sign_bit and or xor not select copy".split())


@dataclass(frozen=True, slots=True)
class Access:
    """An operand or a result.

    Args:
        format: how elements are stored; None: truth values, a byte each.
        strides: of the outer loops, then of the inner ones, in elements.
        offset: of the first element, in elements, from the address given for it.
        rule: how values are rounded into the format; of results alone.
        table: what every code is read as; None: its value.
        source: number of the operand whose address it shares, if it is a second reading of it.
    """

    format: Float | None
    strides: tuple[int, ...]
    offset: int = 0
    rule: CastRule | None = None
    table: NDArray[np.float32] | None = None
    source: int | None = None


def tabulated(operands: Sequence[Access], write: Recipe, most: int) -> tuple[Sequence[Access], Recipe]:
    """Curves of one narrow operand become readings of it through a table of all its codes.

    Args:
        operands: the first registers of `write`.
        write: a recipe of lanes.
        most: how many readings may be added; with more nothing is changed.

    Returns:
        The operands with those readings after them, and the recipe that is left.
    """
    count = write.inputs
    depends: list[int | None] = [i if _is_narrow(each) else None for i, each in enumerate(operands)]
    curved = [False] * count
    for step in write.steps:
        given = {depends[a] for a in step.arguments if isinstance(a, int)}
        depends.append(given.pop() if len(given) == 1 else None)
        inside = any(curved[a] for a in step.arguments if isinstance(a, int))
        curved.append(inside or (step.operation in CURVES and step.operation != "sqrt"))
    read = {r for r in write.results if isinstance(r, int)}
    for index, step in enumerate(write.steps):
        if depends[count + index] is None:
            read |= {a for a in step.arguments if isinstance(a, int)}
    # Truth values are no numbers, and what leaves a comparison is one.
    chosen = [
        r
        for r in sorted(read)
        if r >= count
        and depends[r] is not None
        and curved[r]
        and write.steps[r - count].operation not in _NO_NUMBERS
    ]
    if not chosen or len(chosen) > most:
        return operands, write
    wide = list(operands)
    for register in chosen:
        source = depends[register]
        format = None if source is None else operands[source].format
        if source is not None and format is not None:
            alone = Recipe(count, write.steps[: register - count + 1], (register,))
            table = _table_of(_alone(alone, source), format)
            wide.append(replace(operands[source], table=table, source=source))
    moved = {r: count + n for n, r in enumerate(chosen)}
    extra = len(chosen)
    where = [moved.get(r, r if r < count else r + extra) for r in range(count + len(write.steps))]

    def renamed(argument: int | Number) -> int | Number:
        return where[argument] if isinstance(argument, int) else argument

    steps = tuple(Step(step.operation, tuple(map(renamed, step.arguments))) for step in write.steps)
    # Numbers of the addresses stay those of the operands that the caller gave, then of the results.
    return wide, Recipe(count + extra, steps, tuple(map(renamed, write.results)))


def _is_narrow(access: Access) -> bool:
    return access.format is not None and access.format.bits <= 16 and any(access.strides)


def _alone(recipe: Recipe, source: int) -> Recipe:
    """A recipe whose one result depends on one input, as a recipe of that input."""
    needed = {recipe.results[0]}
    for index in range(len(recipe.steps) - 1, -1, -1):
        if recipe.inputs + index in needed:
            needed |= {a for a in recipe.steps[index].arguments if isinstance(a, int)}
    where = {source: 0}
    steps: list[Step] = []
    for index, step in enumerate(recipe.steps):
        if recipe.inputs + index in needed:
            arguments = tuple(where[a] if isinstance(a, int) else a for a in step.arguments)
            where[recipe.inputs + index] = 1 + len(steps)
            steps.append(Step(step.operation, arguments))
    return Recipe(1, tuple(steps), (len(steps),))


@lru_cache(maxsize=128)
def _table_of(recipe: Recipe, format: Float) -> NDArray[np.float32]:
    (values,) = evaluate(recipe, (table_of(format),))
    return np.ascontiguousarray(values, np.float32)
