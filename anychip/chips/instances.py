"""What can be rented: which instance carries which chips, and what an hour costs.

The packaged snapshot covers AWS us-east-1, GCP us-central1 and Azure eastus, on the dates in its rows. A
price that is not in it is None, never a guess: there is none for trn2, and no row for trn3, TPUs and Gaudi.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from importlib import resources
from typing import Literal, get_args

from anychip.chips.names import NAMES, meant
from anychip.errors import InvalidInput, unknown_name
from anychip.facts import Fact, Source

Term = Literal["on-demand", "spot", "reserved"]
TERMS: tuple[Term, ...] = get_args(Term)

_RESERVED = (
    "AWS Neuron documentation, benchmark pages: effective hourly rate of a reserved instance, term not stated"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """Something that a cloud rents by the hour.

    Args:
        name: as the cloud calls it.
        cloud: ``aws``, ``gcp``, ``azure`` or what a price file says.
        region: in which the prices hold.
        chip: name in the catalogue.
        chips: how many it carries; a fraction where it is part of one (vCPUs of a socket, a slice of a GPU).
        vcpus: of the host; None if unknown.
        memory_gib: of the host; None if unknown.
        usd_per_hour: by term; a term without a known price is absent.
    """

    name: str
    cloud: str
    region: str
    chip: str
    chips: Fraction
    vcpus: int | None = None
    memory_gib: float | None = None
    usd_per_hour: Mapping[Term, Fact] = field(default_factory=dict[Term, Fact])

    @property
    def whole_chips(self) -> int:
        """Chips that a workload can have for itself."""
        return int(self.chips)

    @property
    def chip_share(self) -> Fraction:
        """The part of the instance that one chip is: what one chip's use is charged."""
        return min(Fraction(1), 1 / self.chips)

    def price(self, term: Term = "on-demand") -> Fact | None:
        """USD per hour of the whole instance; None if unknown."""
        return self.usd_per_hour.get(term)

    def usd_per_chip_hour(self, term: Term = "on-demand") -> Fact | None:
        """USD per hour and whole chip; None if unknown."""
        price = self.price(term)
        return None if price is None else price.scaled(float(self.chip_share), "USD/chip/h")


@dataclass(frozen=True, slots=True)
class Market:
    """Instances with their prices.

    Args:
        instances: every one that is known.
    """

    instances: tuple[Instance, ...]

    @property
    def regions(self) -> tuple[str, ...]:
        """Every region that has a price or instance."""
        return tuple(sorted({instance.region for instance in self.instances}))

    def of_chip(
        self, chip: str, *, region: str | None = None, cloud: str | None = None
    ) -> tuple[Instance, ...]:
        """Instances that carry a chip, smallest first.

        Raises:
            UnknownName: no instance at all is in that region or cloud.
        """
        if region is not None and region not in self.regions:
            raise unknown_name("region", region, self.regions)
        clouds = {instance.cloud for instance in self.instances}
        if cloud is not None and cloud not in clouds:
            raise unknown_name("cloud", cloud, clouds)
        found = [
            instance
            for instance in self.instances
            if instance.chip == chip and region in (None, instance.region) and cloud in (None, instance.cloud)
        ]
        return tuple(sorted(found, key=lambda instance: (instance.chips, instance.name)))

    def cheapest(
        self,
        chip: str,
        *,
        count: int = 1,
        region: str | None = None,
        cloud: str | None = None,
        term: Term = "on-demand",
    ) -> Instance | None:
        """The instance with the lowest price per chip-hour that holds `count` whole chips.

        Of equal prices the smaller instance, then the newer price; None if no such instance has a known
        price.

        Raises:
            UnknownName: no such region, cloud or term.
        """
        if term not in TERMS:
            raise unknown_name("price term", term, TERMS)
        best: tuple[float, Fraction, int, str] | None = None
        chosen: Instance | None = None
        for instance in self.of_chip(chip, region=region, cloud=cloud):
            price = instance.usd_per_chip_hour(term)
            if price is None or instance.whole_chips < count:
                continue
            age = -date.fromisoformat(price.source.read_on).toordinal()
            key = (round(price.value, 9), instance.chips, age, instance.name)
            if best is None or key < best:
                best, chosen = key, instance
        return chosen

    def smallest(self, chip: str, *, count: int = 1, region: str | None = None) -> Instance | None:
        """The smallest instance that holds `count` whole chips, priced or not; None if there is none."""
        fitting = (each for each in self.of_chip(chip, region=region) if each.whole_chips >= count)
        return next(fitting, None)

    def named(self, name: str) -> Instance:
        """An instance by name.

        Raises:
            UnknownName: no such instance.
        """
        for instance in self.instances:
            if instance.name.casefold() == name.casefold():
                return instance
        raise unknown_name("instance", name, {instance.name for instance in self.instances})

    def of_clouds(self, clouds: Collection[str]) -> Market:
        """This market without the instances of other clouds."""
        return Market(tuple(each for each in self.instances if each.cloud in clouds))

    def with_instances(self, changed: Iterable[Instance]) -> Market:
        """This market with instances added, or replaced where name, cloud and region are the same."""
        table = {(each.name, each.cloud, each.region): each for each in self.instances}
        table |= {(each.name, each.cloud, each.region): each for each in changed}
        return Market(tuple(table.values()))


@functools.lru_cache(maxsize=1)
def snapshot() -> Market:
    """The packaged market."""
    text = resources.files("anychip.chips").joinpath("instances.csv").read_text(encoding="utf-8")
    return Market(tuple(_instance(row) for row in csv.DictReader(text.splitlines())))


def _instance(row: dict[str, str]) -> Instance:
    where = f"{row['source']}: prices of {row['snapshot']}, {row['region']}"
    listed: dict[Term, Fact] = {}
    for term in TERMS:
        price = row[f"{term.replace('-', '_')}_usd_h"]
        if price:
            said = f"{_RESERVED}; {row['region']}" if term == "reserved" else where
            listed[term] = Fact(float(price), "USD/h", Source("published", said, row["snapshot"]))
    return Instance(
        name=row["instance"],
        cloud=row["cloud"],
        region=row["region"],
        chip=row["chip"],
        chips=Fraction(row["chips"]),
        vcpus=int(float(row["vcpus"])) if row["vcpus"] else None,
        memory_gib=float(row["memory_gib"]) if row["memory_gib"] else None,
        usd_per_hour=listed,
    )


def term_named(text: str) -> Term:
    """A price term by name.

    Raises:
        UnknownName: no such term.
    """
    for term in TERMS:
        if term == text:
            return term
    raise unknown_name("price term", text, TERMS)


def catalogue_name(text: str, where: str) -> str:
    """The catalogue's name of a chip that a file names.

    Raises:
        InvalidInput: no such chip.
    """
    name = meant(text)
    if name is None:
        complaint = unknown_name("chip", text, NAMES)
        raise InvalidInput(f"{where}: {complaint} `anychip chips` lists all")
    return name
