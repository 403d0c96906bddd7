"""How much arithmetic and traffic a Form asks for, before any chip has a say.

Additive demand: multiply-accumulates by the formats of the stored operands, lane operations, curves, and the
bytes of distinct elements, broadcast ones counted once. Nothing here depends on tiling or scheduling.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, log2

from anychip.arithmetic.recipe import CURVES, Recipe
from anychip.operators.attention import decomposed
from anychip.operators.forms import (
    Attention,
    Collective,
    Contract,
    Form,
    Gather,
    Host,
    Lanes,
    Move,
    Operand,
    Pass,
    Rows,
)


@dataclass(frozen=True, slots=True)
class Work:
    """Demand of one form or of many.

    Args:
        macs: multiply-accumulates by stored formats of both operands, ``"bf16"`` or ``"bf16*fp8_e4m3fn"``.
        lane_operations: plain lane operations (adds, compares, selects; casts are free).
        curves: evaluations by the name of the curve.
        read_bytes: distinct bytes read.
        written_bytes: distinct bytes written.
        host_operations: operations of forms without a rule.
        exchanged_bytes: bytes in collectives.
    """

    macs: Mapping[str, int] = field(default_factory=dict[str, int])
    lane_operations: int = 0
    curves: Mapping[str, int] = field(default_factory=dict[str, int])
    read_bytes: int = 0
    written_bytes: int = 0
    host_operations: int = 0
    exchanged_bytes: int = 0

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates of all formats."""
        return sum(self.macs.values())

    @property
    def total_curves(self) -> int:
        """Evaluations of all curves."""
        return sum(self.curves.values())

    @property
    def bytes(self) -> int:
        """Read and written."""
        return self.read_bytes + self.written_bytes

    @property
    def operations(self) -> int:
        """Arithmetic of every sort, a multiply-accumulate counted as two."""
        return 2 * self.total_macs + self.lane_operations + self.total_curves + self.host_operations

    def __add__(self, other: Work) -> Work:
        return Work(
            Counter(self.macs) + Counter(other.macs),
            self.lane_operations + other.lane_operations,
            Counter(self.curves) + Counter(other.curves),
            self.read_bytes + other.read_bytes,
            self.written_bytes + other.written_bytes,
            self.host_operations + other.host_operations,
            self.exchanged_bytes + other.exchanged_bytes,
        )


def total(works: Iterable[Work]) -> Work:
    """The sum of several demands."""
    return sum(works, Work())


def work(form: Form) -> Work:
    """What a form asks for."""
    read = sum(operand.bytes for operand in form.reads)
    written = sum(operand.bytes for operand in form.writes)
    match form:
        case Contract():
            results = form.problems * form.m * form.n
            plain, curves = _steps(form.epilogue, results)
            macs = {_pair(form.left, form.right): results * form.k}
            return Work(macs, plain, curves, read, written)
        case Lanes():
            plain, curves = _steps(form.recipe, form.elements)
            return Work({}, plain, curves, read, written)
        case Rows():
            plain, curves = _rows(form)
            return Work({}, plain, curves, read, written)
        case Attention():
            inner = total(work(each) for each in decomposed(form))
            share = form.pairs / (form.queries * form.keys) if form.queries * form.keys else 0.0
            macs = {name: round(count * share) for name, count in inner.macs.items()}
            curves = {name: round(count * share) for name, count in inner.curves.items()}
            return Work(macs, round(inner.lane_operations * share), curves, read, written)
        case Gather():
            picked = _picked_bytes(form)
            index = sum(operand.bytes for operand in form.index)
            adds = form.rows * form.width if form.mode in ("add", "reduce") else 0
            if form.mode == "read":
                return Work({}, adds, {}, index + picked, written)
            target = min(picked, form.result.bytes)
            return Work({}, adds, {}, index + form.source.bytes + (target if adds else 0), target)
        case Move():
            return Work({}, 0, {}, read, written)
        case Collective():
            return Work({}, 0, {}, read, written, exchanged_bytes=form.bytes)
        case Host():
            return Work({}, 0, {}, read, written, host_operations=form.operations)


def _pair(left: Operand, right: Operand) -> str:
    return left.format if left.format == right.format else "*".join(sorted((left.format, right.format)))


def _steps(recipe: Recipe, times: int) -> tuple[int, Counter[str]]:
    """Plain steps and curves of a recipe that runs `times` times."""
    curves: Counter[str] = Counter(step.operation for step in recipe.steps if step.operation in CURVES)
    plain = len(recipe.steps) - curves.total()
    return plain * times, Counter({name: count * times for name, count in curves.items()})


def _join_operations(each: Pass, length: int) -> int:
    """Joins of one row."""
    if each.join == "order":
        return length * max(1, ceil(log2(length))) if length > 1 else 0
    return max(length - 1, 0)


def _rows(form: Rows) -> tuple[int, Counter[str]]:
    """Plain operations and curves of all passes; what is the same for a whole row is counted once a row."""
    plain, curves = 0, Counter[str]()
    varying = [not form.per_row(operand) for operand in form.operands]
    for each in form.passes:
        count, found = _varying_steps(each.recipe, varying, form)
        plain += count + form.count * _join_operations(each, form.elements)
        curves += found
        if each.finish is not None:
            count, found = _steps(each.finish, form.count)
            plain, curves = plain + count, curves + found
        varying.append(each.join.startswith("running") or each.join == "order")
    count, found = _varying_steps(form.write, varying, form)
    return plain + count, curves + found


def _varying_steps(recipe: Recipe, varying: list[bool], form: Rows) -> tuple[int, Counter[str]]:
    """Steps of a recipe, those on row values alone counted once a row."""
    varies = list(varying)
    plain, curves = 0, Counter[str]()
    for step in recipe.steps:
        moved = any(isinstance(a, int) and varies[a] for a in step.arguments)
        varies.append(moved)
        times = form.count * (form.elements if moved else 1)
        if step.operation in CURVES:
            curves[step.operation] += times
        else:
            plain += times
    return plain, curves


def _picked_bytes(form: Gather) -> int:
    """Bytes of the rows picked: at most every row of the table once."""
    rows = min(form.rows, form.table_rows)
    table = form.source if form.mode == "read" else form.result
    per_row = table.bytes // form.table_rows if form.table_rows else 0
    return rows * per_row
