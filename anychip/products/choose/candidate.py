"""One way to run the workload, and what it would take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from anychip.facts import Kind
from anychip.products.choose.accuracy import Accuracy
from anychip.products.choose.migration import Difference
from anychip.profile.profile import Range

#: Why a candidate is excluded: what it lacks, or the limit that it breaks.
Exclusion = Literal["memory", "format", "training", "latency", "budget", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RooflinePoint:
    """The workload under one chip's roof.

    Args:
        flops_per_byte: two a multiply-add, over bytes of main memory.
        flops_per_second: reached.
        peak_flops_per_second: of the format that most multiply-adds have.
        peak_bytes_per_second: of main memory.
    """

    flops_per_byte: float
    flops_per_second: float
    peak_flops_per_second: float
    peak_bytes_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A chip, a number of it, an instance that holds them, and the formats in which the workload runs.

    Args:
        chip: name in the catalogue.
        title: as people write it.
        vendor: who makes it.
        count: chips that share one copy of the model.
        batch: sequences, images or sounds of one call; None where the script decides.
        pieces: for how many pieces one call counts: the batch where pieces are tokens, prompts or inferences.
        instance: what is rented; None if no instance carries the chip in the snapshot.
        cloud: who rents it out.
        region: of the price.
        cores: of the socket that the instance has; None where it carries whole chips.
        chips_of_instance: accelerators that the instance has.
        instance_usd: price of an hour of the whole instance; None if unknown.
        hourly_usd: price of an hour of the chips used; None if unknown.
        price_source: snapshot and date of the price.
        numerics: label of the formats.
        asked: the formats that were asked for, of `question.STORED`.
        time_s: of one call; None if it cannot run.
        energy_j: of one piece, chips only; None if unknown.
        carbon_g: of one piece; None if unknown.
        cost_usd: of one piece; None without a price.
        bound_by: what takes most of the time.
        launch_share: part of the time that launches take, whatever the batch.
        peak_bytes: memory that the workload needs on each chip.
        capacity_bytes: memory of one chip.
        side_by_side: calls that one chip serves at once, one a core; they share its price.
        instances: instances needed to serve the asked rate.
        rests_on: share of the time by kind of source.
        notes: what the numbers rest on besides.
        migration: what the script would meet there.
        roofline: where the workload stands under the chip's roof; None if it multiplies nothing.
        accuracy: how far its results are from fp32's; None unless asked for.
        excluded_by: what excludes it; None if it is ranked.
        reason: the same as a sentence.
    """

    chip: str
    title: str
    vendor: str
    count: int = 1
    batch: int | None = None
    pieces: int = 1
    instance: str | None = None
    cloud: str | None = None
    region: str | None = None
    cores: int | None = None
    chips_of_instance: int | None = None
    instance_usd: float | None = None
    hourly_usd: float | None = None
    price_source: str | None = None
    numerics: str = ""
    asked: str = "captured"
    time_s: Range | None = None
    energy_j: Range | None = None
    carbon_g: Range | None = None
    cost_usd: Range | None = None
    bound_by: str = ""
    launch_share: float = 0.0
    peak_bytes: int | None = None
    capacity_bytes: int | None = None
    side_by_side: int = 1
    instances: int = 1
    rests_on: tuple[tuple[Kind | str, float], ...] = ()
    notes: tuple[str, ...] = field(default=())
    migration: tuple[Difference, ...] = field(default=())
    roofline: RooflinePoint | None = None
    accuracy: Accuracy | None = None
    excluded_by: Exclusion | None = None
    reason: str | None = None

    @property
    def key(self) -> tuple[str, int, int, str, str, str]:
        """What tells candidates apart."""
        return (self.chip, self.count, self.batch or 0, self.numerics, self.asked, self.instance or "")

    def objective(self, name: str) -> Range | None:
        """The quantity that `name` minimises."""
        return {"time": self.time_s, "cost": self.cost_usd, "energy": self.energy_j, "carbon": self.carbon_g}[
            name
        ]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate in its place.

    Args:
        candidate: what.
        place: 1 is best; None where the objective is unknown for it.
        tied: its range overlaps the first's: they cannot be told apart.
        pareto: no other candidate is at least as good in time, energy and cost and better in one.
    """

    candidate: Candidate
    place: int | None
    tied: bool
    pareto: bool
