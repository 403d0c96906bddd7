"""Deliberate mistakes in every level, each of which the comparisons must see.

A comparison that never fails proves nothing. A mutant is tried on random cases until one differs; a mutant
that survives all of them is a failure of the crosscheck.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from anychip.arithmetic import CORRECT, Contraction, Numerics, Tiles, Tree
from anychip.chips import Chip
from anychip.formats import CastRule, Rounding, bf16
from anychip.products.crosscheck.cases import Case, mutant_case
from anychip.products.crosscheck.comparison import (
    finished_differences,
    hang_limits,
    running_differences,
    stored_differences,
)
from anychip.products.crosscheck.levels import (
    Work,
    by_hardware,
    by_instructions,
    by_operators,
    lowered,
    ticks_of,
)
from anychip.programs.expand import Issued
from anychip.programs.program import Nest
from anychip.rtl.board import Board, HardwareStopped
from anychip.rtl.hardware import MUTANTS as HARDWARE_MUTANTS
from anychip.simulate.machine import simulate_nest

#: Random cases on which a mutant is tried before it counts as a survivor.
TRIES = 100
#: The first of them also run without a mistake, and must show no difference.
CONTROLS = 6

Level = Literal["values", "simulator", "program", "RTL"]


@dataclass(frozen=True)
class Mutant:
    """A mistake.

    Args:
        level: where it is made.
        name: what it is called.
        note: what it does.
    """

    level: Level
    name: str
    note: str

    @property
    def needs_hardware(self) -> bool:
        """Whether it can only be seen beside hardware."""
        return self.level != "values"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Args:
        mutant: which.
        tries: cases until it was seen, or all of them.
        seen: the first difference, None if it survived.
    """

    mutant: Mutant
    tries: int
    seen: str | None


def _order(numerics: Numerics, rule: Contraction) -> Numerics:
    return dataclasses.replace(numerics, contractions=(rule,))


_NUMERICS: dict[str, tuple[str, Callable[[Numerics], Numerics]]] = {
    "sum in tiles": (
        "partial sums of 3 are added afterwards instead of entering the chain",
        lambda n: _order(n, Contraction(bf16, order=Tiles(3))),
    ),
    "sum as tree": (
        "pairs of products are added first",
        lambda n: _order(n, Contraction(bf16, order=Tree(2))),
    ),
    "exact sum": (
        "sums are rounded once at the end",
        lambda n: _order(n, Contraction(bf16, rounded="end")),
    ),
    "rounded products": (
        "products are rounded to bf16 first",
        lambda n: _order(n, Contraction(bf16, product=bf16)),
    ),
    "exact curves": (
        "curves take fp32 arguments instead of a table's bf16",
        lambda n: dataclasses.replace(n, curves=CORRECT),
    ),
    "stores truncate": (
        "results are truncated to bf16",
        lambda n: dataclasses.replace(n, stores=(("bf16", CastRule(rounding=Rounding.TOWARD_ZERO)),)),
    ),
    "stores tie away": (
        "results that are ties are rounded away from zero",
        lambda n: dataclasses.replace(n, stores=(("bf16", CastRule(rounding=Rounding.NEAREST_AWAY)),)),
    ),
}


def _queue(chip: Chip, change: int) -> Chip:
    depth = chip.sequencer.queue_depth + change
    return chip.altered(sequencer=dataclasses.replace(chip.sequencer, queue_depth=depth))


def _engine(chip: Chip, name: str, **changes: int) -> Chip:
    engine = chip.engines[name]
    block = dataclasses.replace(engine.block, **changes)  # pyright: ignore[reportArgumentType]
    return chip.altered(engines={**chip.engines, name: dataclasses.replace(engine, block=block)})


def _link(chip: Chip, latency_cycles: int) -> Chip:
    bus = chip.links["bus"]
    changed = dataclasses.replace(bus, latency_cycles=bus.latency_cycles + latency_cycles)
    return chip.altered(links={"bus": changed})


def _more_slots(nest: Nest) -> Nest:
    """Buffers with a slot more: a slot is taken before its last reader has finished."""
    buffers = tuple(
        dataclasses.replace(buffer, depth=buffer.depth + (buffer.memory != "array"))
        for buffer in nest.buffers
    )
    return dataclasses.replace(nest, buffers=buffers)


_SIMULATORS: dict[str, tuple[str, Callable[[Chip], Chip], Callable[[Nest], Nest] | None]] = {
    "queue one deeper": ("queues hold an instruction more", lambda c: _queue(c, 1), None),
    "queue one shallower": ("queues hold an instruction less", lambda c: _queue(c, -1), None),
    "early write": ("a buffer's slot is written before its last reader finished", lambda c: c, _more_slots),
    "fill forgotten": (
        "sums land one cycle early",
        lambda c: _engine(c, "matrix", fill_cycles=c.matrix.fill_cycles - 1),  # pyright: ignore[reportAttributeAccessIssue]
        None,
    ),
    "lane latency forgotten": (
        "lane results land at once",
        lambda c: _engine(c, "vector", latency_cycles=0),
        None,
    ),
    "late link": ("transfers land one cycle late", lambda c: _link(c, 1), None),
    "free issue": (
        "the sequencer issues every other cycle",
        lambda c: c.altered(sequencer=dataclasses.replace(c.sequencer, issue_cycles=2)),
        None,
    ),
}


def _fewer(waits: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    return tuple((engine, count - 1) for engine, count in waits)


_PROGRAMS: dict[str, tuple[str, Callable[[Issued], Issued]]] = {
    "early release": (
        "instructions wait for one reader less before they write",
        lambda issued: dataclasses.replace(issued, finished=_fewer(issued.finished)),
    ),
    "early read": (
        "instructions wait for one result less before they read",
        lambda issued: dataclasses.replace(issued, landed=_fewer(issued.landed)),
    ),
}


def mutants() -> tuple[Mutant, ...]:
    """All of them."""
    return (
        *(Mutant("values", name, note) for name, (note, _) in _NUMERICS.items()),
        *(Mutant("simulator", name, note) for name, (note, *_) in _SIMULATORS.items()),
        *(Mutant("program", name, note) for name, (note, _) in _PROGRAMS.items()),
        *(Mutant("RTL", name, note) for name, note in HARDWARE_MUTANTS.items()),
    )


def judge(mutant: Mutant, seed: int, board: Board | None) -> Verdict:
    """Try a mutant until it is seen.

    Args:
        mutant: the mistake.
        seed: of the run.
        board: hardware of `MUTANT_BUILD`: with the mistake for an RTL mutant, sound otherwise; None for
            mutants of values.
    """
    for number in range(TRIES):
        seen = _difference(mutant, mutant_case(seed, number), board)
        if seen is not None:
            return Verdict(mutant, number + 1, seen)
    return Verdict(mutant, TRIES, None)


def _difference(mutant: Mutant, case: Case, board: Board | None) -> str | None:
    """The first difference that the mistake makes in a case, None if there is none."""
    chip = case.chip
    work = lowered(case.script, chip)
    if mutant.level == "values":
        wrong = by_instructions(work, chip, _NUMERICS[mutant.name][1](chip.numerics))
        whole = by_operators(work, chip.numerics)
        found = stored_differences("operator", whole, "instruction", wrong)
        return _first(found + finished_differences(work, whole, wrong))
    if board is None:
        return None
    ticks = ticks_of(work, chip, skipping=True)
    if mutant.level == "simulator":
        ticks = _mutated_ticks(mutant, work, chip)
    alter = _PROGRAMS[mutant.name][1] if mutant.level == "program" else None
    try:
        hardware = by_hardware(work, board, hang_limits(ticks), alter)
    except HardwareStopped as stopped:
        return f"stopped: {stopped}"
    if hardware.cycles != ticks:
        return f"cycles: simulated {sum(ticks)}, RTL {sum(hardware.cycles)}"
    tiled = by_instructions(work, chip)
    found = stored_differences("instruction", tiled, "RTL", hardware.values)
    return _first(found + running_differences(tiled, hardware.values))


def _mutated_ticks(mutant: Mutant, work: Work, chip: Chip) -> tuple[int, ...]:
    _, of_chip, of_nest = _SIMULATORS[mutant.name]
    changed = of_chip(chip)
    return tuple(
        simulate_nest(changed, of_nest(kernel.nest) if of_nest else kernel.nest).ticks
        for kernel in work.kernels
    )


def _first(found: list[str]) -> str | None:
    return found[0] if found else None
