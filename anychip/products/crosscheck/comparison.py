"""Comparing the levels of one case, and what each comparison is evidence for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from anychip.errors import AnychipError
from anychip.products.crosscheck.cases import Case
from anychip.products.crosscheck.levels import (
    Sums,
    Values,
    Work,
    by_hardware,
    by_instructions,
    by_operators,
    ideals_of,
    lowered,
    ticks_of,
    tiles_of,
)
from anychip.rtl.board import Board, HardwareStopped


@dataclass
class Outcome:
    """What the comparison of one case found.

    Args:
        case: which.
        differences: one line each; empty if everything is equal.
        kernels: compared.
        instructions: expanded.
        cycles: simulated, all kernels.
        stored: stored elements compared.
        sums: fp32 sums compared.
    """

    case: Case
    differences: list[str] = field(default_factory=list)
    kernels: int = 0
    instructions: int = 0
    cycles: int = 0
    stored: int = 0
    sums: int = 0


def compare(case: Case, board: Board | None) -> Outcome:
    """Everything that must be equal, compared.

    Args:
        case: what to run.
        board: its hardware; None compares operators and instructions only.
    """
    outcome = Outcome(case)
    chip = case.chip
    work = lowered(case.script, chip)
    skipped, stepped = ticks_of(work, chip, skipping=True), ticks_of(work, chip, skipping=False)
    outcome.kernels, outcome.cycles = len(work.kernels), sum(stepped)
    outcome.instructions = sum(kernel.nest.instruction_count for kernel in work.kernels)
    _cycles(outcome, work, "operator", skipped, "instruction", stepped)
    for number, (ideal, ticks) in enumerate(zip(ideals_of(work, chip), stepped, strict=True)):
        if ideal > ticks:
            outcome.differences.append(f"ideal: kernel {number} simulated {ticks} cycles, ideal is {ideal}")
    whole = by_operators(work, chip.numerics)
    tiled = by_instructions(work, chip)
    outcome.stored = sum(len(each) for each in whole.storages)
    outcome.sums = sum(each.size for kernel in tiled.sums for each in kernel)
    outcome.differences += stored_differences("operator", whole, "instruction", tiled)
    outcome.differences += finished_differences(work, whole, tiled)
    if board is not None:
        _hardware(outcome, work, board, stepped, tiled)
    return outcome


def _hardware(outcome: Outcome, work: Work, board: Board, ticks: tuple[int, ...], tiled: Values) -> None:
    try:
        hardware = by_hardware(work, board, hang_limits(ticks))
    except HardwareStopped as stopped:
        outcome.differences.append(f"stopped: {stopped}")
        return
    _cycles(outcome, work, "instruction", ticks, "RTL", hardware.cycles)
    outcome.differences += stored_differences("instruction", tiled, "RTL", hardware.values)
    outcome.differences += running_differences(tiled, hardware.values)


def hang_limits(ticks: tuple[int, ...]) -> tuple[int, ...]:
    """Cycles after which hardware counts as hung."""
    return tuple(3 * each + 1000 for each in ticks)


def _cycles(
    outcome: Outcome, work: Work, left: str, first: tuple[int, ...], right: str, second: tuple[int, ...]
) -> None:
    for number, (kernel, one, other) in enumerate(zip(work.kernels, first, second, strict=True)):
        if one != other:
            outcome.differences.append(
                f"cycles: kernel {number} ({kernel.nest.name}): {left} level {one}, {right} {other}"
            )


def stored_differences(left: str, first: Values, right: str, second: Values) -> list[str]:
    """Storages whose codes differ."""
    found: list[str] = []
    for number, (one, other) in enumerate(zip(first.storages, second.storages, strict=True)):
        wrong = np.flatnonzero(one != other)
        if len(wrong):
            at = wrong[0]
            found.append(
                f"stored: {len(wrong)} of {len(one)} elements of storage {number}, first element {at}: "
                f"{left} level {int(one[at]):#x}, {right} {int(other[at]):#x}"
            )
    return found


def finished_differences(work: Work, whole: Values, tiled: Values) -> list[str]:
    """Finished sums that differ between whole operators and tiles."""
    found: list[str] = []
    for number, kernel in enumerate(work.kernels):
        if whole.sums[number]:
            parts = tiles_of(kernel, whole.sums[number][0])
            found += _sum_differences(number, "operator", parts, "instruction", tiled.finals[number])
    return found


def running_differences(tiled: Values, hardware: Values) -> list[str]:
    """Running sums that differ between instructions and hardware."""
    found: list[str] = []
    for number, (one, other) in enumerate(zip(tiled.sums, hardware.sums, strict=True)):
        found += _sum_differences(number, "instruction", one, "RTL", other)
    return found


def _sum_differences(number: int, left: str, first: Sums, right: str, second: Sums) -> list[str]:
    if len(first) != len(second):
        return [f"sums: kernel {number}: {left} level has {len(first)} tiles, {right} {len(second)}"]
    for tile, (one, other) in enumerate(zip(first, second, strict=True)):
        if one.shape != other.shape:
            return [f"sums: kernel {number}, tile {tile}: {left} level {one.shape}, {right} {other.shape}"]
        wrong = np.argwhere(one != other)
        if len(wrong):
            at = tuple(int(each) for each in wrong[0])
            return [
                f"sums: kernel {number}, tile {tile}, {len(wrong)} of {one.size} fp32 sums, first {at}: "
                f"{left} level {int(one[at]):#x}, {right} {int(other[at]):#x}"
            ]
    return []


def refused(error: AnychipError) -> str:
    """An error as a difference: a case that cannot run has not been compared."""
    return f"refused: {' '.join(str(error).split())}"
