"""Programs of the compiled core: from recipe steps to the core's structs, whichever way rows are walked.

Steps are appended to sections, each value known by what computes it, so that the same step is done once;
`Planner.built` writes the sections down for the core.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from anychip.arithmetic.access import Access
from anychip.arithmetic.order import Lanes, Pairwise, Sequential, Tiles, Tree
from anychip.arithmetic.pointers import CURVES, table_of
from anychip.arithmetic.recipe import Number, Recipe, Step
from anychip.arithmetic.reduction import Reduction
from anychip.formats import CastRule, compiled, fp32
from anychip.formats.casting import job

_OPERATIONS = (
    "load store add sub mul div neg abs maximum minimum eq ne lt le gt ge select and or xor not floor ceil "
    "round trunc sign_bit copy isnan sqrt"
).split()
CODES = {name: index for index, name in enumerate(_OPERATIONS)} | {
    name: 64 + index for index, name in enumerate(CURVES) if name != "sqrt"
}
LOAD, STORE = CODES["load"], CODES["store"]
_TRUTHS = frozenset("eq ne lt le gt ge isnan sign_bit and or xor not".split())
_LOGICAL = frozenset("and or xor not".split())
JOINS = {"sum": 1, "maximum": 2, "minimum": 3, "any": 2, "all": 3}
_ORDERS: dict[type, int] = {Sequential: 0, Tiles: 1, Tree: 2, Pairwise: 3, Lanes: 4}
_BOOLEAN = 5
MOST_LOOPS, MOST_VECTORS, MOST_SCALARS, MOST_ACCESSES = 6, 64, 90, 24


@dataclass(frozen=True, slots=True)
class Joined:
    """A walk along rows: `recipe` of the operands and earlier results, joined, then finished once a row."""

    recipe: Recipe
    join: str
    finish: Recipe | None = None


class NotInCore(Exception):
    """A step, type or layout that goes step by step instead."""


@dataclass(slots=True, eq=False)
class Value:
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
class Entry:
    """A step before registers are assigned; arguments that it does not have are None."""

    operation: int
    target: Value | None
    arguments: tuple[Value | None, ...]
    number: int = 0
    copies: int = 0


@dataclass(slots=True)
class Section:
    """Steps that run together, and what they have computed."""

    entries: list[Entry] = field(default_factory=list[Entry])
    known: dict[Any, Value] = field(default_factory=dict[Any, Value])


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


class Planner:
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
        self._constant_values: dict[str, Value] = {}
        self.phase = 0
        #: How many accesses read an operand a second time; they follow the operands.
        self.again = sum(each.source is not None for each in self.operands)

    def moves(self, access: Access, *, rows: bool) -> bool:
        """Whether it differs between rows, or along them."""
        extents = (*self.outer, *self.inner)
        cut = len(self.outer)
        chosen = range(cut) if rows else range(cut, len(extents))
        return any(access.strides[d] and extents[d] > 1 for d in chosen)

    def constant(self, number: float) -> Value:
        """A scalar that is known beforehand."""
        single = float(np.float32(number))
        key = single.hex()
        known = self._constant_values.get(key)
        if known is None:
            known = self._constant_values[key] = Value(False, False, code=~len(self.constants))
            self.constants.append(single)
        return known

    def argument(self, given: int | Number, registers: list[Any]) -> Any:
        """A register, or a constant."""
        if isinstance(given, int):
            return registers[given]
        if isinstance(given.value, complex):
            raise NotInCore
        return self.constant(float(given.value))

    def step(self, section: Section, step: Step, registers: list[Any], *, lone: Section) -> Value:
        """Appends a step to `section`, or to `lone` if it works on scalars."""
        code = CODES.get(step.operation)
        if code is None:
            raise NotInCore
        values = [self.argument(each, registers) for each in step.arguments]
        resolved = [self.resolved(each, section, lone) for each in values]
        truth = self.type_of(step, resolved)
        vector = any(each.vector for each in resolved)
        where = section if vector else lone
        if not vector and all(each.code < 0 and id(each) in self._fixed() for each in resolved):
            raise NotInCore  # nothing but constants
        if vector and len(resolved) == 1 and not resolved[0].vector:
            raise NotInCore
        # A load is made anew in each phase, and is the same value all the same.
        key = (step.operation, *((id(v) if v.source < 0 else ("load", v.source)) for v in resolved))
        known = self.known(key, where)
        if known is None:
            known = where.known[key] = Value(truth, vector, phase=self.phase)
            where.entries.append(Entry(code, known, tuple(resolved)))
        return known

    def _fixed(self) -> set[int]:
        return {id(each) for each in self._constant_values.values()}

    def first(self, register: Any) -> Any:
        """What a row as a whole has of a register."""
        if isinstance(register, int) and self.moves(self.operands[register], rows=False):
            return None
        return register

    def known(self, key: Any, where: Section) -> Value | None:
        """A value that the same step has left already."""
        return where.known.get(key)

    def resolved(self, value: Any, section: Section, lone: Section) -> Value:
        """A value for use in a section: operands are loaded there."""
        raise NotImplementedError

    def type_of(self, step: Step, values: list[Value]) -> bool:
        """Whether a step leaves a truth value; integers among themselves are not for the core."""
        given = list(zip(step.arguments, values, strict=True))
        if step.operation in _LOGICAL:
            if any(isinstance(a, Number) and not isinstance(a.value, bool) for a, _ in given):
                raise NotInCore
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
        raise NotInCore

    def run(self, recipe: Recipe, registers: list[Any], section: Section, lone: Section) -> list[Any]:
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
            target.collapsed = is_one_loop(loops[1], inner) | (
                2 * is_one_loop(loops[0], outer) if outer else 0
            )
            if each.format is None:
                target.kind = _BOOLEAN
                continue
            if each.format == fp32:
                if each.rule is not None and each.rule != CastRule():
                    raise NotInCore
                continue
            if each.format.bits > 16 or each.format.carrier is not np.float32:
                raise NotInCore
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
                    raise NotInCore
                places.append(number)
        return made, kept, tuple(places)

    def built(
        self,
        phases: list[tuple[Section, Section, int, Value | None, Value | None, Section]],
        vectors: int,
        row_vectors: int,
    ) -> Fused:
        """The program of sections (before, steps, join, term, result, after)."""
        made, kept, places = self.accesses()
        steps: list[tuple[int, int, int, int, int]] = []
        rows: list[tuple[int, ...]] = []

        def put(section: Section) -> tuple[int, int]:
            first = len(steps)
            for entry in section.entries:
                codes = [0 if each is None else each.code for each in entry.arguments]
                codes += [codes[0] if codes else 0] * (3 - len(codes))
                if entry.operation == LOAD:
                    codes = [entry.number, entry.copies, 0]
                elif entry.operation == STORE:
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


def stored_in(section: Section, value: Value, number: int) -> None:
    """Appends a store; what was loaded is copied first, since a load may give the memory itself."""
    for entry in section.entries:
        if entry.target is value and value.source >= 0:
            entry.copies = 1
    section.entries.append(Entry(STORE, None, (value,), number))


def is_one_loop(extents: Sequence[int], strides: Sequence[int]) -> int:
    """Whether nested loops walk memory as a single one does."""
    pairs = [(e, s) for e, s in zip(extents, strides, strict=True)]
    return int(all(pairs[i][1] == pairs[i + 1][1] * pairs[i + 1][0] for i in range(len(pairs) - 1)))
