"""A captured workload priced on candidates: chips, numbers of them, instances, formats."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from anychip.chips import Chip
from anychip.chips.grid import intensity
from anychip.chips.instances import Instance, Market
from anychip.compile.lower import Lowering
from anychip.errors import AnychipError
from anychip.operators import Form
from anychip.products.choose.candidate import Candidate
from anychip.products.choose.copies import (
    CHIP_LINK,
    Exchange,
    copies_of,
    exchange_of,
    exchange_seconds,
    joined,
)
from anychip.products.choose.question import Question
from anychip.products.choose.uncertainty import ranged, time_factor
from anychip.profile import Profile, summarize
from anychip.profile.profile import Range
from anychip.programs.graph import Graph
from anychip.programs.retype import retyped
from anychip.simulate import simulate
from anychip.units import binary


@dataclass(frozen=True, slots=True)
class Variant:
    """The workload in one set of formats.

    Args:
        label: for the table.
        graph: retyped where needed.
        numerics: to ask each chip for; None takes the chip's own.
        exchange: what several chips would send each other.
        known_forms: meanings of its calls, shared by all chips.
    """

    label: str
    graph: Graph
    numerics: str | None
    exchange: Exchange
    known_forms: dict[Any, tuple[Form, ...]] = field(default_factory=dict[Any, "tuple[Form, ...]"])


def variants(graph: Graph, question: Question) -> tuple[Variant, ...]:
    """The workload in every format that the question names."""
    made: list[Variant] = []
    for stored in question.stored:
        if stored == "captured":
            retyped_graph, numerics = graph, None
        elif stored == "fp8":
            retyped_graph, numerics = retyped(graph, "bf16"), "fp8"
        else:
            retyped_graph, numerics = retyped(graph, stored), "fp32" if stored == "fp32" else None
        label = stored_label(graph) if stored == "captured" else stored
        made.append(Variant(label, retyped_graph, numerics, exchange_of(retyped_graph)))
    return tuple(made)


def trains(graph: Graph) -> bool:
    """Whether the workload has backward passes or optimizer steps."""
    phases = ("backward", "optimizer")
    played = (graph.segments[index] for index in set(graph.path))
    return any(node.place.phase in phases for segment in played for node in segment.nodes)


def stored_label(graph: Graph) -> str:
    """The format that most of the workload's matrix operands are stored in."""
    bytes_by_format: dict[str, int] = {}
    for segment in graph.segments:
        for node in segment.nodes:
            for view in node.inputs:
                if view.format in ("fp32", "bf16", "fp16", "fp64") and len(view.shape) > 1:
                    bytes_by_format[view.format] = bytes_by_format.get(view.format, 0) + view.elements
    return max(bytes_by_format, key=lambda name: bytes_by_format[name]) if bytes_by_format else "captured"


@dataclass(frozen=True, slots=True)
class Priced:
    """One chip's share of the work, before instances and prices.

    Args:
        profile: of the chip, or of several as one.
        time_s: of one piece, exchanges included.
        energy_j: of one piece, all chips; None if unknown.
        notes: what would differ there.
    """

    profile: Profile
    time_s: Range
    energy_j: Range | None
    notes: tuple[str, ...]


def candidates(
    graph: Graph,
    question: Question,
    chips: Iterable[Chip],
    market: Market,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Candidate]:
    """Every candidate of the catalogue, those that cannot run included, with the reason.

    Args:
        graph: the captured workload.
        question: counts and formats to try.
        chips: of the catalogue.
        market: instances and their prices.
        progress: told each chip's name.
    """
    tried = variants(graph, question)
    for chip in chips:
        progress(chip.name)
        for variant in tried:
            for count in question.counts:
                instance = market.cheapest(chip.name, count=count, region=question.region)
                instance = instance or market.smallest(chip.name, count=count, region=question.region)
                yield _with_carbon(_candidate(chip, variant, count, instance), question.region)


def _candidate(chip: Chip, variant: Variant, count: int, instance: Instance | None) -> Candidate:
    base = Candidate(
        chip=chip.name, title=chip.title, vendor=chip.vendor, count=count, numerics=variant.label
    )
    hourly = None
    if instance is not None:
        price_of_all = instance.price()
        used = min(Fraction(1), count / instance.chips)
        hourly = None if price_of_all is None else price_of_all.value * float(used)
        base = dataclasses.replace(
            base,
            instance=instance.name,
            cloud=instance.cloud,
            chips_of_instance=max(1, instance.whole_chips),
            hourly_usd=hourly,
            price_source=None
            if price_of_all is None
            else f"{instance.cloud} {instance.region} {price_of_all.source.read_on}",
        )
    side_by_side = copies_of(chip, variant.graph.memory.peak_bytes) if count == 1 else 0
    if chip.inference_only and trains(variant.graph):
        return dataclasses.replace(base, reason="made for inference, not for training")
    try:
        priced = price(chip, variant, count, one_core=side_by_side > 0)
    except AnychipError as error:
        return dataclasses.replace(base, reason=_short(str(error)))
    memory = priced.profile.memory
    base = dataclasses.replace(base, peak_bytes=memory.peak_bytes, capacity_bytes=memory.capacity_bytes)
    if not memory.fits:
        needed = -(-memory.peak_bytes // (memory.capacity_bytes // count))
        each = binary(memory.capacity_bytes / count)
        reason = f"needs {binary(memory.peak_bytes)}: {needed} chips of {each} hold it"
        return dataclasses.replace(base, reason=reason)
    copies = max(1, side_by_side)
    cost = None if hourly is None else priced.time_s.times(hourly / 3600 / copies)
    return dataclasses.replace(
        base,
        side_by_side=copies,
        time_s=priced.time_s,
        energy_j=priced.energy_j,
        cost_usd=cost,
        bound_by=priced.profile.bound_by,
        rests_on=priced.profile.rests_on,
        notes=priced.notes,
    )


def _with_carbon(candidate: Candidate, region: str | None) -> Candidate:
    """The candidate with grams of CO2 where the region's grid is known."""
    if candidate.energy_j is None or region is None:
        return candidate
    try:
        grams_per_joule = intensity(region).value * 1000
    except AnychipError:
        return candidate
    return dataclasses.replace(candidate, carbon_g=candidate.energy_j.times(grams_per_joule))


def price(chip: Chip, variant: Variant, count: int = 1, *, one_core: bool = True) -> Priced:
    """The workload on `count` chips that share one copy of it.

    Args:
        chip: of the catalogue.
        variant: the workload.
        count: chips that work on one call.
        one_core: leave the call on one core where the family compiles for one.

    Raises:
        AnychipError: the chip cannot run it in these formats.
    """
    if variant.numerics is not None:
        chip = chip.altered(numerics=chip.numerics_named(variant.numerics))
    many = chip if one_core and count == 1 else joined(chip, count)
    program = Lowering(many, variant.known_forms).program(variant.graph)
    profile = summarize(variant.graph, program, simulate(program, many), many)
    pieces = profile.unit.count
    exchange = exchange_seconds(chip, count, variant.exchange)
    notes: list[str] = []
    if exchange is None:
        exchange = 0.0
        notes.append("link between chips unknown: exchanges not counted")
    elif count > 1:
        notes.append(f"tensor parallel over {count} chips: division and ring assumed, {CHIP_LINK} published")
    runs = max(1, sum(portion.count for portion in (profile.unit, profile.first) if portion is not None))
    seconds = profile.seconds(profile.unit.division.total) / pieces + exchange / runs
    training = trains(variant.graph)
    energy = profile.unit.energy.total_j
    per_piece = None if energy is None else Range(energy.low, energy.value, energy.high).times(1 / pieces)
    return Priced(profile, ranged(seconds, time_factor(chip, training=training)), per_piece, tuple(notes))


def _short(text: str) -> str:
    return text.split("; ")[0].split("\n")[0]
