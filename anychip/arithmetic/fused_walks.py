"""The two ways of walking rows: vectors along a row, or across rows that lie side by side in memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from anychip.arithmetic.fused_program import (
    CODES,
    JOINS,
    LOAD,
    MOST_SCALARS,
    MOST_VECTORS,
    Entry,
    Fused,
    Joined,
    NotInCore,
    Planner,
    Section,
    Value,
    stored_in,
)
from anychip.arithmetic.recipe import Number, Recipe, Step


class Along(Planner):
    """Vectors along rows: what a row shares is a scalar; what later passes read again is kept for the row."""

    def program(self, passes: Sequence[Joined], write: Recipe) -> Fused:
        """Plans every pass, then the write."""
        lone, vectors = Section(), Section()
        befores = [Section() for _ in range(len(passes) + 1)]
        sections = [Section() for _ in range(len(passes) + 1)]
        registers: list[Any] = list(range(len(self.operands)))
        joins: list[tuple[int, Value | None, Value | None]] = []
        self.befores, self.sections = befores, sections
        self.shared, self.computed = lone.known, vectors.known
        self.enter()
        for number, each in enumerate(passes):
            join = JOINS.get(each.join)
            if join is None:
                raise NotInCore
            (value,) = self.run(each.recipe, registers, sections[number], befores[number])
            term = self.resolved(value, sections[number], befores[number])
            if each.join in ("any", "all"):
                zero = Step("ne", (0, Number(0.0)))
                term = self.step(sections[number], zero, [term], lone=befores[number])
            if not term.vector or (term.truth and each.join not in ("any", "all")):
                raise NotInCore
            if term.source >= 0:
                copy = Value(term.truth, True, phase=number)
                sections[number].entries.append(Entry(CODES["copy"], copy, (term,)))
                term = copy
            result = Value(each.join in ("any", "all"), False, phase=number)
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
                    raise NotInCore
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
                raise NotInCore
            where = sections[-1] if along else befores[-1]
            stored_in(where, value, base + number)
        return self.assigned(joins)

    def enter(self) -> None:
        """Loads are made anew in each phase."""
        self.loaded: dict[int, Value] = {}

    def known(self, key: Any, where: Section) -> Value | None:
        """The same step in any earlier section has left its value for the row."""
        for section in (*self.sections[: self.phase + 1], *self.befores[: self.phase + 1]):
            if key in section.known:
                return section.known[key]
        return None

    def resolved(self, value: Any, section: Section, lone: Section) -> Value:
        if value is None:
            raise NotInCore
        if isinstance(value, Value):
            return value
        access = self.operands[value]
        vector = self.moves(access, rows=False)
        if not vector:
            for before in self.befores[: self.phase + 1]:
                if ("load", value) in before.known:
                    return before.known["load", value]
            made = Value(access.format is None, False, source=value, phase=self.phase)
            lone.known["load", value] = made
            lone.entries.append(Entry(LOAD, made, (), value))
            return made
        made = self.loaded.get(value)
        if made is None:
            made = self.loaded[value] = Value(access.format is None, True, source=value, phase=self.phase)
            section.entries.append(Entry(LOAD, made, (), value))
        return made

    def assigned(self, joins: list[tuple[int, Value | None, Value | None]]) -> Fused:
        """Registers: scalars each their own, vectors reused within a phase, rows for what crosses phases."""
        scalars = len(self.constants)
        crossing = {id(term) for _, term, _ in joins if term is not None}
        for number, section in enumerate(self.sections):
            read = {id(each) for entry in section.entries for each in entry.arguments}
            section.entries = [e for e in section.entries if e.operation != LOAD or id(e.target) in read]
            for entry in section.entries:
                crossing |= {id(v) for v in entry.arguments if v and v.vector and v.phase < number}
        rows: list[Value] = []
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
        if scalars > MOST_SCALARS or most + len(rows) > MOST_VECTORS:
            raise NotInCore
        empty = Section()
        phases = [
            (before, section, *join, empty)
            for before, section, join in zip(self.befores, self.sections, joins, strict=True)
        ]
        return self.built(phases, most, len(rows))


class Across(Planner):
    """Vectors across rows: all rows of a block walk together, and what a row shares is a vector."""

    across = True

    def program(self, passes: Sequence[Joined], write: Recipe) -> Fused:
        """Plans every pass, then the write; nothing is kept between phases but what joins leave."""
        registers: list[Any] = list(range(len(self.operands)))
        phases: list[tuple[Section, Section, int, Value | None, Value | None, Section]] = []
        base = len(self.operands)
        for each in passes:
            join = JOINS.get(each.join)
            if join is None:
                raise NotInCore
            before, section, after = Section(), Section(), Section()
            (value,) = self.run(each.recipe, registers, section, before)
            term = self.resolved(value, section, before)
            if each.join in ("any", "all"):
                term = self.step(section, Step("ne", (0, Number(0.0))), [term], lone=before)
            if not term.vector or (term.truth and each.join not in ("any", "all")):
                raise NotInCore
            result = Value(each.join in ("any", "all"), True)
            finished = result
            if each.finish is not None:
                first = [self.first(register) for register in registers]
                (finished,) = self.run(each.finish, [result, *first], after, _Refusing())
                finished = self.resolved(finished, after, _Refusing())
            phases.append((before, section, join, term, result, after))
            registers.append(finished)
        before, section, after = Section(), Section(), Section()
        wide = [self.moves(access, rows=False) for access in self.results]
        if any(wide):
            values = self.run(write, registers, section, before)
            ready = {n: self.resolved(values[n], section, before) for n, along in enumerate(wide) if along}
            for number, value in ready.items():
                stored_in(section, value, base + number)
        if not all(wide):
            firsts = [self.first(register) for register in registers]
            lone = tuple(r for r, along in zip(write.results, wide, strict=True) if not along)
            kept = Recipe(write.inputs, write.steps, lone)
            numbers = [number for number, along in enumerate(wide) if not along]
            values = self.run(kept, firsts, after, _Refusing())
            values = [self.resolved(value, after, _Refusing()) for value in values]
            for number, value in zip(numbers, values, strict=True):
                stored_in(after, value, base + number)
        phases.append((before, section, 0, None, None, after))
        return self.assigned(phases)

    def resolved(self, value: Any, section: Section, lone: Section) -> Value:
        if value is None:
            raise NotInCore
        if isinstance(value, Value):
            return value
        access = self.operands[value]
        vector = self.moves(access, rows=True) or isinstance(lone, _Refusing)
        where = section if vector else lone
        made = where.known.get(("load", value))
        if made is None:
            made = where.known["load", value] = Value(access.format is None, vector, source=value)
            where.entries.append(Entry(LOAD, made, (), value))
        return made

    def assigned(
        self, phases: list[tuple[Section, Section, int, Value | None, Value | None, Section]]
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
        if scalars > MOST_SCALARS or vectors > MOST_VECTORS:
            raise NotInCore
        return self.built(phases, vectors, 0)


class _Refusing(Section):
    """Stands where scalars cannot be computed."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = _NoEntries()


class _NoEntries(list[Entry]):
    def append(self, entry: Entry) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise NotInCore
