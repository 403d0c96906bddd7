"""Physical numbers with their provenance.

Every number that describes silicon or money is a `Fact`: it carries its unit, where it was read, and,
where documents contradict each other or we are unsure, the range. Reports sum up what they rest on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from anychip.errors import InvalidDescription

Kind = Literal["measured", "published", "derived", "fitted", "assumed"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a number comes from.

    Args:
        kind: how much it can be trusted, from `measured` down to `assumed`.
        where: title and section of the document, file of truth, or how it was derived.
        read_on: ISO date on which the source was read or the derivation made.
    """

    kind: Kind
    where: str
    read_on: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidDescription(f'source kind "{self.kind}": must be one of {", ".join(KINDS)}')
        if not self.where.strip():
            raise InvalidDescription(
                f"source of kind {self.kind}: `where` is empty; name the document or derivation"
            )


@dataclass(frozen=True, slots=True)
class Fact:
    """A value with unit, source and, where known, range.

    Raises:
        InvalidDescription: the value is not finite, or lies outside its own range.
    """

    value: float
    unit: str
    source: Source
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise InvalidDescription(
                f"fact in {self.unit}: value {self.value} is not finite; leave it out if unknown"
            )
        low, high = self.range
        if not low <= self.value <= high:
            raise InvalidDescription(
                f"fact in {self.unit}: value {self.value:g} outside its range {low:g} to {high:g}"
            )

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest credible value; both the value itself where no range is known."""
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        return low, high

    def scaled(self, factor: float, unit: str | None = None) -> Fact:
        """The same fact in another unit, or shared between `1 / factor` parts."""
        low, high = self.range
        has_range = self.low is not None or self.high is not None
        ends = sorted((low * factor, high * factor))
        return dataclasses.replace(
            self,
            value=self.value * factor,
            unit=unit or self.unit,
            low=ends[0] if has_range else None,
            high=ends[1] if has_range else None,
        )


def share_by_kind(weighted: Iterable[tuple[Fact, float]]) -> dict[Kind, float]:
    """How much of an answer rests on which kind of source; the shares add to 1.

    Args:
        weighted: facts with the part of the answer (time, energy, money) that each determined.
    """
    totals: dict[Kind, float] = dict.fromkeys(KINDS, 0.0)
    for fact, weight in weighted:
        totals[fact.source.kind] += weight
    whole = sum(totals.values())
    return {kind: total / whole for kind, total in totals.items() if total > 0} if whole > 0 else {}
