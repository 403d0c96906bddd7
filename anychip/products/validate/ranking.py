"""Whether predictions order chips as measurements do, in time, dollars and joules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from statistics import fmean

from anychip.chips.instances import snapshot
from anychip.products.validate.question import Measured, catalogue_chip

#: Measurements that are nearer to each other than this cannot be ranked.
_CLOSE = 1.1


@dataclass(frozen=True, slots=True)
class Ranking:
    """Agreement of orders.

    Args:
        of: what is ranked.
        pairs: of chips on the same workload, measured more than 10 % apart.
        agreed: of them that the predictions order alike.
        workloads: measured on two chips or more.
        regret: mean excess of the chip that the predictions would choose, over the best.
    """

    of: str
    pairs: int
    agreed: int
    workloads: int
    regret: float


def rankings(rows: Iterable[Measured]) -> list[Ranking]:
    """Of all workloads that several chips were measured on: by time, by price, and by energy.

    Dollars are time at the cheapest on-demand price of the chip (or of another board with it); joules are
    time at the power limit of the board where only time was measured. Chips without a price or a limit are
    not ranked in it.
    """
    counted = [row for row in rows if not row.short]
    timed = [row for row in counted if row.unit not in ("W", "J")]
    made = [
        _ranking("time", timed, lambda chip: 1.0),
        _ranking("dollars", timed, dollars_per_hour),
        _ranking("joules at the power limit", timed, _watts),
        _ranking("joules, measured", [row for row in counted if row.unit == "J"], lambda chip: 1.0),
    ]
    return [each for each in made if each.workloads]


@cache
def dollars_per_hour(chip: str) -> float | None:
    """Cheapest on-demand price of one chip for an hour; None if none is known."""
    offered = snapshot().instances
    # A card that nobody rents out is charged like the nearest sibling: same silicon, another board.
    mine = [each for each in offered if each.chip == chip] or [
        each for each in offered if each.chip.partition("-")[0] == chip.partition("-")[0]
    ]
    prices = [each.usd_per_chip_hour() for each in mine]
    return min((price.value for price in prices if price is not None), default=None)


@cache
def _watts(chip: str) -> float | None:
    limit = catalogue_chip(chip).facts.get("tdp_w")
    return None if limit is None else limit.value


def _cost(value: float, row: Measured) -> float:
    return 1 / value if row.rate else value


def _ranking(of: str, rows: Iterable[Measured], weight: Callable[[str], float | None]) -> Ranking:
    groups: dict[object, dict[str, tuple[float, float]]] = {}
    for row in rows:
        factor = weight(row.chip)
        if factor is not None and row.workload is not None:
            costs = (_cost(row.measured, row) * factor, _cost(row.predicted, row) * factor)
            groups.setdefault((row.kind, row.metric, row.workload), {})[row.chip] = costs
    pairs = agreed = 0
    regrets: list[float] = []
    for by_chip in groups.values():
        if len(by_chip) < 2:
            continue
        chosen = min(by_chip.values(), key=lambda costs: costs[1])
        regrets.append(chosen[0] / min(costs[0] for costs in by_chip.values()) - 1)
        for one, other in combinations(by_chip.values(), 2):
            slow, fast = max(one[0], other[0]), min(one[0], other[0])
            if slow > _CLOSE * fast:
                pairs += 1
                agreed += (one[0] < other[0]) == (one[1] < other[1])
    return Ranking(of, pairs, agreed, len(regrets), fmean(regrets) if regrets else 0.0)
