"""Jobs of a crosscheck, as processes run them: hardware is loaded once per process and kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from anychip.chips.basecamp import basecamp_numerics
from anychip.errors import AnychipError
from anychip.products.crosscheck.cases import MUTANT_BUILD, case_of, chip_of, mutant_case
from anychip.products.crosscheck.comparison import Outcome, compare, refused
from anychip.products.crosscheck.mutants import Mutant, Verdict, judge
from anychip.rtl.board import Board
from anychip.rtl.hardware import Hardware, hardware_of


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Args:
        seed: of everything random.
        runs: cases.
        numbers: which of them.
        hardware: whether RTL takes part.
    """

    seed: int
    runs: int
    numbers: tuple[int, ...]
    hardware: bool


@dataclass
class Results:
    """What was found.

    Args:
        outcomes: of cases.
        verdicts: on mutants.
        unchecked: mutants that need hardware, where there is none.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    unchecked: list[Mutant] = field(default_factory=list)

    @property
    def failures(self) -> list[Outcome]:
        """Cases with differences."""
        return [outcome for outcome in self.outcomes if outcome.differences]

    @property
    def survivors(self) -> list[Verdict]:
        """Mutants that nothing saw."""
        return [verdict for verdict in self.verdicts if verdict.seen is None]

    @property
    def passed(self) -> bool:
        """Everything equal, every mutant seen."""
        return not self.failures and not self.survivors


def hardware_for(build: dict[str, Any], mutant: str = "") -> Hardware:
    """Hardware of a chip's build parameters."""
    return hardware_of(chip_of(build, {}), mutant=mutant)


def hardware_of_mutant(mutant: Mutant) -> Hardware | None:
    """What a mutant is judged on; None where it needs no hardware."""
    if not mutant.needs_hardware:
        return None
    return hardware_for(MUTANT_BUILD, mutant.name if mutant.level == "RTL" else "")


@cache
def board_of(hardware: Hardware) -> Board:
    """The board, built or loaded now, and kept while the process lives."""
    return Board(hardware, basecamp_numerics().curves)


def build(hardware: Hardware) -> None:
    """Fill the cache of built libraries."""
    board_of(hardware)


def run_cases(plan: Plan, numbers: tuple[int, ...]) -> list[Outcome]:
    """Compare some cases; an error that a user could see counts as a difference of its case."""
    outcomes: list[Outcome] = []
    for number in numbers:
        case = case_of(plan.seed, number, plan.runs)
        try:
            board = board_of(hardware_for(case.build)) if plan.hardware else None
            outcomes.append(compare(case, board))
        except AnychipError as error:
            outcomes.append(Outcome(case, [refused(error)]))
    return outcomes


def run_control(plan: Plan, number: int) -> list[Outcome]:
    """A case of the mutants without any mistake, which must show no difference."""
    case = mutant_case(plan.seed, number)
    try:
        return [compare(case, board_of(hardware_for(MUTANT_BUILD)) if plan.hardware else None)]
    except AnychipError as error:
        return [Outcome(case, [refused(error)])]


def run_mutant(plan: Plan, mutant: Mutant) -> Verdict:
    """Judge one mutant."""
    hardware = hardware_of_mutant(mutant)
    return judge(mutant, plan.seed, None if hardware is None else board_of(hardware))


def builds_of(plan: Plan) -> list[dict[str, Any]]:
    """Parameters of every chip that the plan's cases use."""
    used: list[dict[str, Any]] = []
    for number in plan.numbers:
        parameters = case_of(plan.seed, number, plan.runs).build
        if parameters not in used:
            used.append(parameters)
    return used


def batches(plan: Plan, size: int = 5) -> list[tuple[int, ...]]:
    """Case numbers, those of one chip together."""
    grouped: dict[str, list[int]] = {}
    for number in plan.numbers:
        grouped.setdefault(repr(case_of(plan.seed, number, plan.runs).build), []).append(number)
    return [
        tuple(numbers[at : at + size]) for numbers in grouped.values() for at in range(0, len(numbers), size)
    ]
