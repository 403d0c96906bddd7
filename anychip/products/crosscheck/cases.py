"""Random chips and random cases, every one named by the seed and its number."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from anychip.chips import Chip, find
from anychip.chips.basecamp import basecamp
from anychip.products.crosscheck.workloads import DATA, WORKLOADS, Script

#: Streams of random numbers, so that none depends on how much another has drawn.
_BUILDS, _CASES, _DATA = 1, 2, 3
_FIRST_MUTANT_CASE = 1_000_000

#: Hardware of the mutants' chip: small, so that each builds quickly, and tight, so that a mistake in
#: waiting shows.
MUTANT_BUILD: dict[str, Any] = {
    "rows": 3,
    "columns": 2,
    "lanes": 2,
    "queue_depth": 2,
    "link_bytes_per_cycle": 6,
    "link_latency_cycles": 2,
    "dma_startup_cycles": 1,
    "fill_cycles": 2,
    "vector_latency_cycles": 1,
    "launch_cycles": 3,
    "issue_cycles": 1,
}


@dataclass(frozen=True)
class Case:
    """One workload on one chip.

    Args:
        seed: of the whole run.
        number: within it.
        build: parameters of the hardware.
        program: parameters that only change the program.
        workload: name in `WORKLOADS`.
        data: name in `DATA`.
        format: of all tensors.
        given: name or file of a chip that takes the place of a random one; empty if none does.
    """

    seed: int
    number: int
    build: dict[str, Any]
    program: dict[str, Any]
    workload: str
    data: str
    format: str
    given: str = ""

    @property
    def chip(self) -> Chip:
        """The chip."""
        return find(self.given) if self.given else chip_of(self.build, self.program)

    @property
    def script(self) -> Script:
        """The calls and the data, the same whenever asked for."""
        random = np.random.default_rng([self.seed, _DATA, self.number])
        return WORKLOADS[self.workload](random, DATA[self.data], self.format)

    @property
    def text(self) -> str:
        """For people: what it is."""
        parameters = ", ".join(f"{name} {value}" for name, value in (self.build | self.program).items())
        return (
            f"case {self.number} of seed {self.seed}: {self.workload}, {self.data} data in {self.format}; "
            f"{self.given or parameters}"
        )


def chip_of(build: dict[str, Any], program: dict[str, Any]) -> Chip:
    """A basecamp; `issue_cycles` is the sequencer's."""
    parameters = build | program
    issue_cycles = parameters.pop("issue_cycles", 1)
    chip = basecamp(**parameters)
    return chip.altered(sequencer=dataclasses.replace(chip.sequencer, issue_cycles=issue_cycles))


def build_count(runs: int) -> int:
    """How many different chips so many runs share."""
    return min(10, max(2, runs // 12))


def build_of(seed: int, index: int) -> dict[str, Any]:
    """Parameters of a random chip's hardware."""
    random = np.random.default_rng([seed, _BUILDS, index])

    def between(low: int, high: int) -> int:
        return int(random.integers(low, high + 1))

    return {
        "rows": between(1, 6),
        "columns": between(1, 6),
        "lanes": between(1, 4),
        "queue_depth": between(1, 6),
        "link_bytes_per_cycle": int(random.choice([1, 2, 3, 4, 6, 8, 12, 16])),
        "link_latency_cycles": between(0, 12),
        "dma_startup_cycles": between(0, 5),
        "fill_cycles": between(1, 4),
        "vector_latency_cycles": between(0, 4),
        "launch_cycles": int(random.choice([0, 0, 5, 17])),
        "issue_cycles": int(random.choice([1, 1, 1, 2, 3])),
    }


def case_of(seed: int, number: int, runs: int, build: dict[str, Any] | None = None, given: str = "") -> Case:
    """Case `number` of a run of `runs`.

    Args:
        seed: of the run.
        number: of the case.
        runs: how many there are; it decides how many chips they share.
        build: hardware to use instead of a random one.
        given: name or file of a chip to use as it is.
    """
    random = np.random.default_rng([seed, _CASES, number])
    program = {
        "depth_tile": int(random.integers(1, 21)),
        "vector_tile": int(random.integers(1, 25)),
        "buffer_depth": int(random.integers(1, 5)),
    }
    workload = str(random.choice(list(WORKLOADS)))
    data = str(random.choice(list(DATA)))
    # sums of fp32 along an axis would lose bits in a bf16 array, so basecamp has no instructions for them
    format_name = "bf16" if workload == "training step" or random.random() < 0.8 else "fp32"
    chosen = build_of(seed, number % build_count(runs)) if build is None else build
    return Case(seed, number, chosen, program, workload, data, format_name, given)


def mutant_case(seed: int, number: int) -> Case:
    """A case on the chip on which mutants are judged."""
    return case_of(seed, _FIRST_MUTANT_CASE + number, 1, MUTANT_BUILD)
