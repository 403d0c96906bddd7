"""What a user asks, and what counts as a candidate."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal, get_args

from anychip.chips.instances import TERMS, Term
from anychip.errors import InvalidInput, unknown_name
from anychip.programs.weights import WEIGHTS

Objective = Literal["time", "cost", "energy", "carbon"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

#: More chips than this never share one copy of a model unless asked for.
MOST_CHIPS = 32
#: ``captured`` keeps the formats that the script uses, or the nearest ones that the chip computes with.
STORED = ("captured", "fp32", "bf16", "fp16", "fp8")


@dataclass(frozen=True, kw_only=True)
class Question:
    """Constraints and the objective.

    Args:
        minimise: what ranks the candidates.
        latency_below_s: longest acceptable time of one piece (step, inference, token).
        budget_usd: most that the whole job may cost; needs `pieces_total`.
        pieces_total: how many pieces the job has.
        requests_per_second: pieces that must be served each second; more instances are counted where one
            does not suffice.
        chips: names or vendors to which the catalogue is narrowed; empty for all.
        region: of the prices, e.g. ``"us-east-1"``; None takes every region's snapshot.
        counts: numbers of chips to try for one copy of the model; empty: one, or as many as hold it.
        stored: formats to try, of `STORED`.
        terms: of the prices.
        weights: format in which multiplied weights are stored, of `programs.weights.WEIGHTS`; None: like the
            rest.

    Raises:
        InvalidInput: limits that contradict each other or are not positive.
    """

    minimise: Objective = "cost"
    latency_below_s: float | None = None
    budget_usd: float | None = None
    pieces_total: int | None = None
    requests_per_second: float | None = None
    chips: tuple[str, ...] = ()
    region: str | None = None
    counts: tuple[int, ...] = ()
    stored: tuple[str, ...] = ("captured",)
    terms: Term = "on-demand"
    weights: str | None = None

    def __post_init__(self) -> None:
        if self.minimise not in OBJECTIVES:
            raise unknown_name("objective", self.minimise, OBJECTIVES)
        for name in self.stored:
            if name not in STORED:
                raise unknown_name("numerics", name, STORED)
        if self.terms not in TERMS:
            raise unknown_name("price term", self.terms, TERMS)
        if self.weights is not None and self.weights not in WEIGHTS:
            raise unknown_name("weight format", self.weights, WEIGHTS)
        positive = {
            "--latency-below": self.latency_below_s,
            "--budget": self.budget_usd,
            "--steps-total": self.pieces_total,
            "--requests-per-second": self.requests_per_second,
        }
        for option, value in positive.items():
            if value is not None and not 0 < value < inf:
                raise InvalidInput(f"{option}: {value:g} is not a limit; give a number greater than 0")
        if self.budget_usd is not None and self.pieces_total is None:
            raise InvalidInput(
                f"--budget {self.budget_usd:g} USD: a budget for how much work? add --steps-total"
            )
        wrong = [count for count in self.counts if count < 1]
        if wrong:
            raise InvalidInput(f"--count {wrong[0]}: a model runs on 1 chip or more")


_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


def duration_s(text: str) -> float:
    """``"20ms"`` as seconds.

    Raises:
        InvalidInput: no number, or no unit of time.
    """
    stripped = text.strip()
    number = stripped.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = stripped[len(number) :].strip()
    try:
        value = float(number)
    except ValueError:
        raise InvalidInput(f'duration "{text}": no number; write for example 20ms or 1.5s') from None
    if unit not in _UNITS_S:
        raise InvalidInput(f'duration "{text}": unit "{unit}"; write {", ".join(_UNITS_S)}, for example 20ms')
    return value * _UNITS_S[unit]
