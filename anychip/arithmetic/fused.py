"""Recipes for the compiled core: a whole grid, or rows with their sums, in one pass over memory.

The core reads operands as they are stored, keeps every register in fp32 (each step rounds once, as
`evaluate` does), sums in the order of the chip's `Reduction`, and rounds results as it stores them. What is
not lanes on fp32 (integers, doubles, curves that are not specified, tables) it does not take: `fused` returns
None, and the caller goes step by step, with the same bits.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from anychip.arithmetic.access import Access, tabulated
from anychip.arithmetic.order import Lanes, Pairwise, Sequential, Tiles, Tree
from anychip.arithmetic.pointers import CURVES, summable, table_of
from anychip.arithmetic.recipe import Number, Recipe, Step
from anychip.arithmetic.reduction import Reduction
from anychip.formats import CastRule, compiled, fp32
from anychip.formats.casting import job

_OPERATIONS = (
    "load store add sub mul div neg abs maximum minimum eq ne lt le gt ge select and or xor not floor ceil "
    "round trunc sign_bit copy isnan sqrt"
).split()
_CODES = {name: index for index, name in enumerate(_OPERATIONS)} | {
    name: 64 + index for index, name in enumerate(CURVES) if name != "sqrt"
}
_LOAD, _STORE = _CODES["load"], _CODES["store"]
_TRUTHS = frozenset("eq ne lt le gt ge isnan sign_bit and or xor not".split())
_LOGICAL = frozenset("and or xor not".split())
_JOINS = {"sum": 1, "maximum": 2, "minimum": 3, "any": 2, "all": 3}
_ORDERS: dict[type, int] = {Sequential: 0, Tiles: 1, Tree: 2, Pairwise: 3, Lanes: 4}
_BOOLEAN = 5
#: Elements from which a table of all codes is worth making.
_TABLE_PAYS = 1 << 15
_MOST_LOOPS, _MOST_VECTORS, _MOST_SCALARS, _MOST_ACCESSES = 6, 64, 90, 24


@dataclass(frozen=True, slots=True)
class Joined:
    """A walk along rows: `recipe` of the operands and earlier results, joined, then finished once a row."""

    recipe: Recipe
    join: str
    finish: Recipe | None = None


class _NotInCore(Exception):
    """A step, type or layout that goes step by step instead."""


@dataclass(slots=True, eq=False)
class _Value:
    """What a step leaves.

    Attributes:
        truth: 1 or 0 rather than a number.
        vector: one for each inner position, rather than one for all of them.
        source: number of the access it is loaded from, or -1.
        phase: in which it is computed.
        code: its register.
    """

    truth: bool
    vector: bool
    source: int = -1
    phase: int = 0
    code: int = 0


@dataclass(slots=True)
class _Entry:
    """A step before registers are assigned; arguments that it does not have are None."""

    operation: int
    target: _Value | None
    arguments: tuple[_Value | None, ...]
    number: int = 0
    copies: int = 0


@dataclass(slots=True)
class _Section:
    """Steps that run together, and what they have computed."""

    entries: list[_Entry] = field(default_factory=list[_Entry])
    known: dict[Any, _Value] = field(default_factory=dict[Any, _Value])


class Fused:
    """A program of the compiled core; call it with the addresses of operands, then results.

    Attributes:
        places: numbers of the results that are rounded stochastically, in order.
    """

    def __init__(
        self, struct: compiled.Fused, kept: Any, count: int, places: tuple[int, ...], again: int
    ) -> None:
        self._struct = ctypes.byref(struct)
        self._kept = (struct, kept)
        self._addresses = ctypes.c_void_p * (count - again)
        self._places = compiled.Place * count
        self._placed = places
        self.places = tuple(number - again for number in places)

    def __call__(self, addresses: Sequence[int], tensors: Sequence[int] = (), step: int = 0) -> None:
        """Runs it.

        Args:
            addresses: of every operand, then of every result.
            tensors: where random numbers begin, one for each of `places`.
            step: the training step that places them.
        """
        places = None
        if tensors:
            places = self._places()
            for number, tensor in zip(self._placed, tensors, strict=True):
                places[number].tensor, places[number].step = tensor & 0xFFFFFFFF, step & 0xFFFFFFFF
        compiled.library().anychip_fused(self._struct, self._addresses(*addresses), places)


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
    if max(len(outer), len(inner)) > _MOST_LOOPS or len(operands) + len(results) > _MOST_ACCESSES:
        return None
    if not passes and prod(inner) >= _TABLE_PAYS:
        operands, write = tabulated(operands, write, _MOST_ACCESSES - len(operands) - len(results))
    across = bool(passes) and _side_by_side(outer, inner, operands)
    if across and not isinstance(reduction.order, Sequential | Tiles | Lanes):
        return None
    try:
        planner = _Across if across else _Along
        return planner(outer, inner, operands, results, reduction).program(passes, write)
    except _NotInCore:
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


class _Planner:
    """What both directions share.

    Args:
        outer, inner: as the program's loops see them (exchanged where vectors run across rows).
    """

    across = False

    def __init__(
        self,
        outer: Sequence[int],
        inner: Sequence[int],
        operands: Sequence[Access],
        results: Sequence[Access],
        reduction: Reduction,
    ) -> None:
        self.outer, self.inner = tuple(outer), tuple(inner)
        self.operands, self.results = tuple(operands), tuple(results)
        self.reduction = reduction
        self.constants: list[float] = []
        self._constant_values: dict[str, _Value] = {}
        self.phase = 0
        #: How many accesses read an operand a second time; they follow the operands.
        self.again = sum(each.source is not None for each in self.operands)

    def moves(self, access: Access, *, rows: bool) -> bool:
        """Whether it differs between rows, or along them."""
        extents = (*self.outer, *self.inner)
        cut = len(self.outer)
        chosen = range(cut) if rows else range(cut, len(extents))
        return any(access.strides[d] and extents[d] > 1 for d in chosen)

    def constant(self, number: float) -> _Value:
        """A scalar that is known beforehand."""
        single = float(np.float32(number))
        key = single.hex()
        known = self._constant_values.get(key)
        if known is None:
            known = self._constant_values[key] = _Value(False, False, code=~len(self.constants))
            self.constants.append(single)
        return known

    def argument(self, given: int | Number, registers: list[Any]) -> Any:
        """A register, or a constant."""
        if isinstance(given, int):
            return registers[given]
        if isinstance(given.value, complex):
            raise _NotInCore
        return self.constant(float(given.value))

    def step(self, section: _Section, step: Step, registers: list[Any], *, lone: _Section) -> _Value:
        """Appends a step to `section`, or to `lone` if it works on scalars."""
        code = _CODES.get(step.operation)
        if code is None:
            raise _NotInCore
        values = [self.argument(each, registers) for each in step.arguments]
        resolved = [self.resolved(each, section, lone) for each in values]
        truth = self.type_of(step, resolved)
        vector = any(each.vector for each in resolved)
        where = section if vector else lone
        if not vector and all(each.code < 0 and id(each) in self._fixed() for each in resolved):
            raise _NotInCore  # nothing but constants
        if vector and len(resolved) == 1 and not resolved[0].vector:
            raise _NotInCore
        # A load is made anew in each phase, and is the same value all the same.
        key = (step.operation, *((id(v) if v.source < 0 else ("load", v.source)) for v in resolved))
        known = self.known(key, where)
        if known is None:
            known = where.known[key] = _Value(truth, vector, phase=self.phase)
            where.entries.append(_Entry(code, known, tuple(resolved)))
        return known

    def _fixed(self) -> set[int]:
        return {id(each) for each in self._constant_values.values()}

    def first(self, register: Any) -> Any:
        """What a row as a whole has of a register."""
        if isinstance(register, int) and self.moves(self.operands[register], rows=False):
            return None
        return register

    def known(self, key: Any, where: _Section) -> _Value | None:
        """A value that the same step has left already."""
        return where.known.get(key)

    def resolved(self, value: Any, section: _Section, lone: _Section) -> _Value:
        """A value for use in a section: operands are loaded there."""
        raise NotImplementedError

    def type_of(self, step: Step, values: list[_Value]) -> bool:
        """Whether a step leaves a truth value; integers among themselves are not for the core."""
        given = list(zip(step.arguments, values, strict=True))
        if step.operation in _LOGICAL:
            if any(isinstance(a, Number) and not isinstance(a.value, bool) for a, _ in given):
                raise _NotInCore
            return True
        if step.operation in _TRUTHS:
            return True
        data = given[1:] if step.operation == "select" else given
        floats = any(isinstance(a.value, float) if isinstance(a, Number) else not v.truth for a, v in data)
        if floats or step.operation == "div" or step.operation in CURVES:
            return False
        truths = all(isinstance(a.value, bool) if isinstance(a, Number) else v.truth for a, v in data)
        if truths and step.operation in ("select", "copy"):
            return True
        raise _NotInCore

    def run(self, recipe: Recipe, registers: list[Any], section: _Section, lone: _Section) -> list[Any]:
        """The values that leave a recipe."""
        needed = {result for result in recipe.results if isinstance(result, int)}
        for index in range(len(recipe.steps) - 1, -1, -1):
            if recipe.inputs + index in needed:
                needed |= {a for a in recipe.steps[index].arguments if isinstance(a, int)}
        held = list(registers)
        for index, step in enumerate(recipe.steps):
            wanted = recipe.inputs + index in needed
            held.append(self.step(section, step, held, lone=lone) if wanted else None)
        return [self.argument(each, held) for each in recipe.results]

    # --- into the core's structs

    def accesses(self) -> tuple[Any, list[Any], tuple[int, ...]]:
        """Every operand and result as the core reads it."""
        made = (compiled.Access * (len(self.operands) + len(self.results)))()
        kept: list[Any] = []
        places: list[int] = []
        loops = (self.inner, self.outer) if self.across else (self.outer, self.inner)
        for number, each in enumerate((*self.operands, *self.results)):
            target = made[number]
            target.port = each.source if each.source is not None else number
            if number >= len(self.operands):
                target.port -= self.again
            target.offset = each.offset
            cut = len(self.outer)
            parts = each.strides[:cut], each.strides[cut:]
            outer, inner = parts[::-1] if self.across else parts
            target.outer[: len(outer)], target.inner[: len(inner)] = outer, inner
            target.collapsed = _is_one_loop(loops[1], inner) | (
                2 * _is_one_loop(loops[0], outer) if outer else 0
            )
            if each.format is None:
                target.kind = _BOOLEAN
                continue
            if each.format == fp32:
                if each.rule is not None and each.rule != CastRule():
                    raise _NotInCore
                continue
            if each.format.bits > 16 or each.format.carrier is not np.float32:
                raise _NotInCore
            name = each.format.name
            target.kind = compiled.KINDS.get(name, 3 if each.format.storage_bytes == 1 else 4)
            if number < len(self.operands):
                if each.table is not None:
                    kept.append(each.table)
                    target.kind = 3 if each.format.storage_bytes == 1 else 4
                    target.table = each.table.ctypes.data
                elif name not in ("bf16", "fp16"):
                    table = table_of(each.format)
                    kept.append(table)
                    target.table = table.ctypes.data
                continue
            cast = job(each.format, each.format.rule(each.rule or CastRule()))
            kept.append(cast)
            target.cast = ctypes.addressof(cast)
            if each.rule is not None and each.rule.rounding.direction == "stochastic":
                if not target.collapsed & 1 or (inner and inner[-1] not in (0, 1)):
                    raise _NotInCore
                places.append(number)
        return made, kept, tuple(places)

    def built(
        self,
        phases: list[tuple[_Section, _Section, int, _Value | None, _Value | None, _Section]],
        vectors: int,
        row_vectors: int,
    ) -> Fused:
        """The program of sections (before, steps, join, term, result, after)."""
        made, kept, places = self.accesses()
        steps: list[tuple[int, int, int, int, int]] = []
        rows: list[tuple[int, ...]] = []

        def put(section: _Section) -> tuple[int, int]:
            first = len(steps)
            for entry in section.entries:
                codes = [0 if each is None else each.code for each in entry.arguments]
                codes += [codes[0] if codes else 0] * (3 - len(codes))
                if entry.operation == _LOAD:
                    codes = [entry.number, entry.copies, 0]
                elif entry.operation == _STORE:
                    codes = [codes[0], entry.number, 0]
                steps.append((entry.operation, entry.target.code if entry.target else 0, *codes))  # type: ignore[arg-type]
            return first, len(steps) - first

        for before, section, join, term, result, after in phases:
            rows.append(
                (
                    *put(before),
                    *put(section),
                    join,
                    term.code if term else 0,
                    result.code if result else 0,
                    *put(after),
                )
            )
        step_array = (compiled.Step * max(len(steps), 1))(*steps)
        phase_array = (compiled.Phase * len(rows))(*rows)
        constants = (ctypes.c_float * max(len(self.constants), 1))(*self.constants)
        outer, inner = (self.inner, self.outer) if self.across else (self.outer, self.inner)
        order = self.reduction.order
        struct = compiled.Fused(
            across=int(self.across),
            accesses=len(made),
            phases=len(rows),
            vectors=vectors,
            row_vectors=row_vectors,
            constants=len(self.constants),
            outer_loops=len(outer),
            inner_loops=len(inner),
            order=_ORDERS[type(order)],
            length=order.width if isinstance(order, Lanes) else order.run or 0,
            outer_count=prod(outer),
            inner_count=prod(inner),
            access=ctypes.addressof(made),
            phase=ctypes.addressof(phase_array),
            step=ctypes.addressof(step_array),
            constant=ctypes.addressof(constants),
        )
        struct.outer_extents[: len(outer)] = outer
        struct.inner_extents[: len(inner)] = inner
        kept = (made, kept, step_array, phase_array, constants)
        return Fused(struct, kept, len(made), places, self.again)


class _Along(_Planner):
    """Vectors along rows: what a row shares is a scalar; what later passes read again is kept for the row."""

    def program(self, passes: Sequence[Joined], write: Recipe) -> Fused:
        """Plans every pass, then the write."""
        lone, vectors = _Section(), _Section()
        befores = [_Section() for _ in range(len(passes) + 1)]
        sections = [_Section() for _ in range(len(passes) + 1)]
        registers: list[Any] = list(range(len(self.operands)))
        joins: list[tuple[int, _Value | None, _Value | None]] = []
        self.befores, self.sections = befores, sections
        self.shared, self.computed = lone.known, vectors.known
        self.enter()
        for number, each in enumerate(passes):
            join = _JOINS.get(each.join)
            if join is None:
                raise _NotInCore
            (value,) = self.run(each.recipe, registers, sections[number], befores[number])
            term = self.resolved(value, sections[number], befores[number])
            if each.join in ("any", "all"):
                zero = Step("ne", (0, Number(0.0)))
                term = self.step(sections[number], zero, [term], lone=befores[number])
            if not term.vector or (term.truth and each.join not in ("any", "all")):
                raise _NotInCore
            if term.source >= 0:
                copy = _Value(term.truth, True, phase=number)
                sections[number].entries.append(_Entry(_CODES["copy"], copy, (term,)))
                term = copy
            result = _Value(each.join in ("any", "all"), False, phase=number)
            joins.append((join, term, result))
            self.phase = number + 1
            self.enter()
            if each.finish is not None:
                first = [self.first(register) for register in registers]
                (finished,) = self.run(
                    each.finish, [result, *first], befores[number + 1], befores[number + 1]
                )
                finished = self.resolved(finished, befores[number + 1], befores[number + 1])
                if finished.vector:
                    raise _NotInCore
                registers.append(finished)
            else:
                registers.append(result)
        joins.append((0, None, None))
        values = self.run(write, registers, sections[-1], befores[-1])
        base = len(self.operands)
        # Everything is read before anything is written: results may be operands.
        values = [self.resolved(value, sections[-1], befores[-1]) for value in values]
        for number, (value, access) in enumerate(zip(values, self.results, strict=True)):
            along = self.moves(access, rows=False)
            if not along and (value.vector or (prod(self.inner) > 1 and not passes)):
                raise _NotInCore
            where = sections[-1] if along else befores[-1]
            _store(where, value, base + number)
        return self.assigned(joins)

    def enter(self) -> None:
        """Loads are made anew in each phase."""
        self.loaded: dict[int, _Value] = {}

    def known(self, key: Any, where: _Section) -> _Value | None:
        """The same step in any earlier section has left its value for the row."""
        for section in (*self.sections[: self.phase + 1], *self.befores[: self.phase + 1]):
            if key in section.known:
                return section.known[key]
        return None

    def resolved(self, value: Any, section: _Section, lone: _Section) -> _Value:
        if value is None:
            raise _NotInCore
        if isinstance(value, _Value):
            return value
        access = self.operands[value]
        vector = self.moves(access, rows=False)
        if not vector:
            for before in self.befores[: self.phase + 1]:
                if ("load", value) in before.known:
                    return before.known["load", value]
            made = _Value(access.format is None, False, source=value, phase=self.phase)
            lone.known["load", value] = made
            lone.entries.append(_Entry(_LOAD, made, (), value))
            return made
        made = self.loaded.get(value)
        if made is None:
            made = self.loaded[value] = _Value(access.format is None, True, source=value, phase=self.phase)
            section.entries.append(_Entry(_LOAD, made, (), value))
        return made

    def assigned(self, joins: list[tuple[int, _Value | None, _Value | None]]) -> Fused:
        """Registers: scalars each their own, vectors reused within a phase, rows for what crosses phases."""
        scalars = len(self.constants)
        crossing = {id(term) for _, term, _ in joins if term is not None}
        for number, section in enumerate(self.sections):
            read = {id(each) for entry in section.entries for each in entry.arguments}
            section.entries = [e for e in section.entries if e.operation != _LOAD or id(e.target) in read]
            for entry in section.entries:
                crossing |= {id(v) for v in entry.arguments if v and v.vector and v.phase < number}
        rows: list[_Value] = []
        most = 0
        for section in self.sections:
            last = {id(each): at for at, entry in enumerate(section.entries) for each in entry.arguments}
            free: list[int] = []
            used = 0
            for at, entry in enumerate(section.entries):
                target = entry.target
                if target is not None and id(target) in crossing:
                    rows.append(target)
                elif target is not None:
                    target.code = free.pop() if free else used
                    used += target.code == used
                    if id(target) not in last:
                        free.append(target.code)
                for each in {id(v): v for v in entry.arguments if v is not None}.values():
                    if each.vector and id(each) not in crossing and last[id(each)] == at:
                        free.append(each.code)
            most = max(most, used)
        for section in self.befores:
            for entry in section.entries:
                if entry.target is not None:
                    entry.target.code = ~scalars
                    scalars += 1
        for index, row in enumerate(rows):
            row.code = most + index
        for _, _, result in joins:
            if result is not None:
                result.code = ~scalars
                scalars += 1
        if scalars > _MOST_SCALARS or most + len(rows) > _MOST_VECTORS:
            raise _NotInCore
        empty = _Section()
        phases = [
            (before, section, *join, empty)
            for before, section, join in zip(self.befores, self.sections, joins, strict=True)
        ]
        return self.built(phases, most, len(rows))


class _Across(_Planner):
    """Vectors across rows: all rows of a block walk together, and what a row shares is a vector."""

    across = True

    def program(self, passes: Sequence[Joined], write: Recipe) -> Fused:
        """Plans every pass, then the write; nothing is kept between phases but what joins leave."""
        registers: list[Any] = list(range(len(self.operands)))
        phases: list[tuple[_Section, _Section, int, _Value | None, _Value | None, _Section]] = []
        base = len(self.operands)
        for each in passes:
            join = _JOINS.get(each.join)
            if join is None:
                raise _NotInCore
            before, section, after = _Section(), _Section(), _Section()
            (value,) = self.run(each.recipe, registers, section, before)
            term = self.resolved(value, section, before)
            if each.join in ("any", "all"):
                term = self.step(section, Step("ne", (0, Number(0.0))), [term], lone=before)
            if not term.vector or (term.truth and each.join not in ("any", "all")):
                raise _NotInCore
            result = _Value(each.join in ("any", "all"), True)
            finished = result
            if each.finish is not None:
                first = [self.first(register) for register in registers]
                (finished,) = self.run(each.finish, [result, *first], after, _Refusing())
                finished = self.resolved(finished, after, _Refusing())
            phases.append((before, section, join, term, result, after))
            registers.append(finished)
        before, section, after = _Section(), _Section(), _Section()
        wide = [self.moves(access, rows=False) for access in self.results]
        if any(wide):
            values = self.run(write, registers, section, before)
            ready = {n: self.resolved(values[n], section, before) for n, along in enumerate(wide) if along}
            for number, value in ready.items():
                _store(section, value, base + number)
        if not all(wide):
            firsts = [self.first(register) for register in registers]
            lone = tuple(r for r, along in zip(write.results, wide, strict=True) if not along)
            kept = Recipe(write.inputs, write.steps, lone)
            numbers = [number for number, along in enumerate(wide) if not along]
            values = self.run(kept, firsts, after, _Refusing())
            values = [self.resolved(value, after, _Refusing()) for value in values]
            for number, value in zip(numbers, values, strict=True):
                _store(after, value, base + number)
        phases.append((before, section, 0, None, None, after))
        return self.assigned(phases)

    def resolved(self, value: Any, section: _Section, lone: _Section) -> _Value:
        if value is None:
            raise _NotInCore
        if isinstance(value, _Value):
            return value
        access = self.operands[value]
        vector = self.moves(access, rows=True) or isinstance(lone, _Refusing)
        where = section if vector else lone
        made = where.known.get(("load", value))
        if made is None:
            made = where.known["load", value] = _Value(access.format is None, vector, source=value)
            where.entries.append(_Entry(_LOAD, made, (), value))
        return made

    def assigned(
        self, phases: list[tuple[_Section, _Section, int, _Value | None, _Value | None, _Section]]
    ) -> Fused:
        """Registers: every vector its own, since few are needed."""
        scalars, vectors = len(self.constants), 0
        for before, section, _, _, result, after in phases:
            for entry in (*before.entries, *section.entries, *after.entries):
                target = entry.target
                if target is None:
                    continue
                if target.vector:
                    target.code, vectors = vectors, vectors + 1
                else:
                    target.code, scalars = ~scalars, scalars + 1
            if result is not None:
                result.code, vectors = vectors, vectors + 1
        if scalars > _MOST_SCALARS or vectors > _MOST_VECTORS:
            raise _NotInCore
        return self.built(phases, vectors, 0)


def _store(section: _Section, value: _Value, number: int) -> None:
    """Appends a store; what was loaded is copied first, since a load may give the memory itself."""
    for entry in section.entries:
        if entry.target is value and value.source >= 0:
            entry.copies = 1
    section.entries.append(_Entry(_STORE, None, (value,), number))


class _Refusing(_Section):
    """Stands where scalars cannot be computed."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = _NoEntries()


class _NoEntries(list[_Entry]):
    def append(self, entry: _Entry) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise _NotInCore


def _is_one_loop(extents: Sequence[int], strides: Sequence[int]) -> int:
    """Whether nested loops walk memory as a single one does."""
    pairs = [(e, s) for e, s in zip(extents, strides, strict=True)]
    return int(all(pairs[i][1] == pairs[i + 1][1] * pairs[i + 1][0] for i in range(len(pairs) - 1)))
