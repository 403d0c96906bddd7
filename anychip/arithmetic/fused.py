"""Recipes for the compiled core: a whole grid, or rows with their sums, in one pass over memory.

The core reads operands as they are stored, keeps every register in fp32 (each step rounds once, as
`evaluate` does), sums in the order of the chip's `Reduction`, and rounds results as it stores them. What is
not lanes on fp32 (integers, doubles, curves that are not specified, tables) it does not take: `fused` returns
None, and the caller goes step by step, with the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from anychip.arithmetic.access import Access, tabulated
from anychip.arithmetic.fused_program import (
    MOST_ACCESSES,
    MOST_LOOPS,
    Fused,
    Joined,
    NotInCore,
)
from anychip.arithmetic.fused_walks import Across, Along
from anychip.arithmetic.order import Lanes, Sequential, Tiles
from anychip.arithmetic.pointers import summable
from anychip.arithmetic.recipe import Recipe
from anychip.arithmetic.reduction import Reduction
from anychip.formats import compiled

__all__ = ["Fused", "Joined", "fused"]

#: Elements from which a table of all codes is worth making.
_TABLE_PAYS = 1 << 15


def fused(
    outer: Sequence[int],
    inner: Sequence[int],
    operands: Sequence[Access],
    passes: Sequence[Joined],
    write: Recipe,
    results: Sequence[Access],
    reduction: Reduction,
) -> Fused | None:
    """Prepares a program: `passes` along the inner loops of each outer position, then `write`.

    Args:
        outer: extents of independent rows.
        inner: extents along a row, the last one fastest.
        operands: registers 0 and on of every recipe; what passes leave follows.
        passes: in order.
        write: gives the results.
        results: where they go; a value per row has inner strides of 0.
        reduction: order of the sums.

    Returns:
        None where the core does not do it, or there is nothing to do.
    """
    if compiled.library() is None or not summable(reduction) or not prod(outer) * prod(inner):
        return None
    if max(len(outer), len(inner)) > MOST_LOOPS or len(operands) + len(results) > MOST_ACCESSES:
        return None
    if not passes and prod(inner) >= _TABLE_PAYS:
        operands, write = tabulated(operands, write, MOST_ACCESSES - len(operands) - len(results))
    across = bool(passes) and _side_by_side(outer, inner, operands)
    if across and not isinstance(reduction.order, Sequential | Tiles | Lanes):
        return None
    try:
        planner = Across if across else Along
        return planner(outer, inner, operands, results, reduction).program(passes, write)
    except NotInCore:
        return None


def _side_by_side(outer: Sequence[int], inner: Sequence[int], operands: Sequence[Access]) -> bool:
    """Whether neighbours in memory belong to different rows."""
    votes = 0
    for each in operands:
        along = [s for e, s in zip(inner, each.strides[len(outer) :], strict=True) if e > 1 and s]
        beside = [s for e, s in zip(outer, each.strides[: len(outer)], strict=True) if e > 1 and s]
        if along and beside:
            votes += 1 if min(map(abs, beside)) < min(map(abs, along)) else -1
    return votes > 0 and prod(outer) >= 8
