"""Jobs of a crosscheck, as processes run them: hardware is loaded once per process and kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from anychip.arithmetic import Curves
from anychip.errors import AnychipError
from anychip.products.crosscheck.cases import MUTANT_BUILD, Case, case_of, chip_of, mutant_case
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
        chip: name or file of the one chip to check; empty for random basecamps.
    """

    seed: int
    runs: int
    numbers: tuple[int, ...]
    hardware: bool
    chip: str = ""

    def case(self, number: int) -> Case:
        """One of the cases."""
        return case_of(self.seed, number, self.runs, given=self.chip)


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


#: The chip on which mutants are judged.
MUTANT_CHIP = chip_of(MUTANT_BUILD, {})


def hardware_of_mutant(mutant: Mutant) -> Hardware | None:
    """What a mutant is judged on; None where it needs no hardware."""
    if not mutant.needs_hardware:
        return None
    return hardware_of(MUTANT_CHIP, mutant=mutant.name if mutant.level == "RTL" else "")


@cache
def board_of(hardware: Hardware, curves: Curves = MUTANT_CHIP.numerics.curves) -> Board:
    """The board, built or loaded now, and kept while the process lives."""
    return Board(hardware, curves)


def build(hardware: Hardware) -> None:
    """Fill the cache of built libraries."""
    board_of(hardware)


def _compared(case: Case, plan: Plan) -> Outcome:
    """An error that a user could see counts as a difference of its case."""
    try:
        chip = case.chip
        board = board_of(hardware_of(chip), chip.numerics.curves) if plan.hardware else None
        return compare(case, board)
    except AnychipError as error:
        return Outcome(case, [refused(error)])


def run_cases(plan: Plan, numbers: tuple[int, ...]) -> list[Outcome]:
    """Compare some cases."""
    return [_compared(plan.case(number), plan) for number in numbers]


def run_control(plan: Plan, number: int) -> list[Outcome]:
    """A case of the mutants without any mistake, which must show no difference."""
    return [_compared(mutant_case(plan.seed, number), plan)]


def run_mutant(plan: Plan, mutant: Mutant) -> Verdict:
    """Judge one mutant."""
    hardware = hardware_of_mutant(mutant)
    return judge(mutant, plan.seed, None if hardware is None else board_of(hardware))


def hardware_used(plan: Plan) -> list[Hardware]:
    """Hardware of every chip that the plan's cases use."""
    return list(dict.fromkeys(hardware_of(plan.case(number).chip) for number in plan.numbers))


def batches(plan: Plan, size: int = 5) -> list[tuple[int, ...]]:
    """Case numbers, those of one chip together."""
    grouped: dict[str, list[int]] = {}
    for number in plan.numbers:
        grouped.setdefault(repr(plan.case(number).build), []).append(number)
    return [
        tuple(numbers[at : at + size]) for numbers in grouped.values() for at in range(0, len(numbers), size)
    ]
