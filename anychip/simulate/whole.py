"""Values at operator level: a form evaluated on whole arrays, without any instruction.

The counterpart of `interpret`, which computes the same by tiles; both must give the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic import Numerics, contract, evaluate, reduce_sum
from anychip.errors import InvalidInput, NotModelled
from anychip.formats import by_name
from anychip.operators import Contract, Form, Lanes, Operand, Rows
from anychip.programs.graph import View
from anychip.programs.program import Access, Affine, Tile
from anychip.simulate.interpret import Memory, addresses, stored_as

Views = dict[str, View]


def evaluate_form(form: Form, views: Views, memory: Memory, numerics: Numerics) -> NDArray[Any] | None:
    """Perform a form on main memory.

    Args:
        form: what to do.
        views: by port, the view whose `value` is a key of `memory`.
        memory: read and written.
        numerics: of the chip.

    Returns:
        the finished sums of a contraction [batch, m, n] or of rows [rows] before anything else is done to
        them; None for forms without sums.

    Raises:
        NotModelled: a form whose values are not specified here.
        InvalidInput: an element is read that nobody wrote.
    """
    match form:
        case Contract():
            return _contract(form, views, memory, numerics)
        case Lanes() if not form.random:
            operands = tuple(_read(each, (form.extents,), views, memory) for each in form.operands)
            results = evaluate(form.recipe, operands, numerics.curves, numerics.lane)
            for result, values in zip(form.results, results, strict=True):
                _write(result, (form.extents,), views, memory, values, numerics)
            return None
        case Rows():
            return _rows(form, views, memory, numerics)
        case _:
            raise NotModelled(f"no values at operator level for {form.text}")


def _contract(form: Contract, views: Views, memory: Memory, numerics: Numerics) -> NDArray[Any]:
    groups = (form.batch, form.rows, form.columns, form.depth)
    left = _read(form.left, groups, views, memory)[:, :, 0, :]
    right = _read(form.right, groups, views, memory)[:, 0, :, :]
    stored = by_name(form.left.format)
    sums = contract(
        numerics.read(left, stored),
        numerics.read(right, by_name(form.right.format)).transpose(0, 2, 1),
        numerics.contraction(stored),
    )
    extras = tuple(_read(each, groups, views, memory)[..., 0] for each in form.extras)
    (result,) = evaluate(form.epilogue, (sums, *extras), numerics.curves, numerics.lane)
    _write(form.result, groups, views, memory, result[..., None], numerics)
    return sums


def _rows(form: Rows, views: Views, memory: Memory, numerics: Numerics) -> NDArray[Any]:
    """A plain sum of every row, and what happens to it once."""
    groups = (form.rows, form.length)
    (only,) = form.passes
    if only.join != "sum" or len(form.operands) != 1 or form.write.steps or form.write.results != (1,):
        raise NotModelled(f"no values at operator level for {form.text}")
    elements = _read(form.operands[0], groups, views, memory)
    (terms,) = evaluate(only.recipe, (elements,), numerics.curves, numerics.lane)
    sums = reduce_sum(terms, 1, numerics.reduction)
    finished = sums
    if only.finish is not None:
        operands = (sums, elements[:, 0])[: only.finish.inputs]
        (finished,) = evaluate(only.finish, operands, numerics.curves, numerics.lane)
    _write(form.results[0], groups, views, memory, finished[:, None], numerics)
    return sums


def _access(operand: Operand, groups: tuple[tuple[int, ...], ...]) -> tuple[Access, Tile]:
    access = Access(operand, groups)
    return access, Tile(0, (Affine(),) * len(groups), access.extents)


def _read(
    operand: Operand, groups: tuple[tuple[int, ...], ...], views: Views, memory: Memory
) -> NDArray[Any]:
    view = views[operand.port]
    access, tile = _access(operand, groups)
    index, inside = addresses(access, view, tile, {})
    stored = memory[view.value]
    reached = np.where(inside, index, 0)
    if not (stored.written[reached] | ~inside).all():
        raise InvalidInput(f"{operand.port}: reads elements that nobody wrote")
    return np.where(inside, stored.values[reached], np.float32(operand.outside))


def _write(
    operand: Operand,
    groups: tuple[tuple[int, ...], ...],
    views: Views,
    memory: Memory,
    values: NDArray[Any],
    numerics: Numerics,
) -> None:
    view = views[operand.port]
    access, tile = _access(operand, groups)
    index, _ = addresses(access, view, tile, {})
    if len(groups) > 1:  # a result does not move along the summed group: its first position stands for all
        index = index[..., :1]
    stored = memory[view.value]
    rounded = stored_as(np.broadcast_to(values, index.shape), operand.format, numerics)
    stored.values[index.reshape(-1)] = rounded.reshape(-1)
    stored.written[index.reshape(-1)] = True
