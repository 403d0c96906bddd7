"""A captured workload priced on candidates: chips, numbers of them, instances, formats."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from anychip.chips import Chip
from anychip.chips.grid import intensity
from anychip.chips.instances import Instance, Market, Term
from anychip.compile.lower import Lowering
from anychip.errors import AnychipError
from anychip.products.choose.candidate import Candidate, RooflinePoint
from anychip.products.choose.copies import (
    CHIP_LINK,
    copies_of,
    exchange_seconds,
    joined,
)
from anychip.products.choose.migration import differences
from anychip.products.choose.question import Question
from anychip.products.choose.uncertainty import ranged, time_span
from anychip.products.choose.variants import Variant, Variants
from anychip.profile import Profile, summarize
from anychip.profile.profile import Range
from anychip.programs.graph import Graph
from anychip.simulate import simulate
from anychip.units import binary


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
    chips: Sequence[Chip],
    market: Market,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Candidate]:
    """Every candidate of the catalogue, those that cannot run included, with the reason.

    Chips are priced independently, side by side where the system can fork; the order is that of `chips`.

    Args:
        graph: the captured workload.
        question: counts and formats to try.
        chips: of the catalogue.
        market: instances and their prices.
        progress: told each chip's name.
    """
    on_one = partial(_on_one_chip, Variants(graph), question, market)
    workers = min(os.cpu_count() or 1, len(chips) // _CHIPS_A_WORKER)
    if workers < 2 or sys.platform != "linux":
        priced = map(on_one, chips)
        yield from _told(chips, priced, progress)
        return
    global _on_chip_number
    _on_chip_number = lambda number: on_one(chips[number])  # noqa: E731
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        yield from _told(chips, pool.imap(_numbered, range(len(chips))), progress)


#: What a forked worker calls: it inherits the recording instead of receiving a copy of it.
_on_chip_number: Callable[[int], list[Candidate]]
_CHIPS_A_WORKER = 8


def _numbered(number: int) -> list[Candidate]:
    return _on_chip_number(number)


def _told(
    chips: Sequence[Chip], priced: Iterable[list[Candidate]], progress: Callable[[str], None]
) -> Iterator[Candidate]:
    for chip, found in zip(chips, priced, strict=True):
        progress(chip.name)
        yield from found


def _on_one_chip(made: Variants, question: Question, market: Market, chip: Chip) -> list[Candidate]:
    found: list[Candidate] = []
    for stored in question.stored:
        for count in question.counts:
            instance = market.cheapest(
                chip.name, count=count, region=question.region, term=question.terms
            ) or market.smallest(chip.name, count=count, region=question.region)
            base = _offered(chip, count, stored, instance, question.terms)
            try:
                candidate = _candidate(base, chip, made.on(chip, stored), count)
            except AnychipError as error:
                candidate = dataclasses.replace(base, reason=_short(str(error)))
            found.append(_with_carbon(candidate, question.region))
    return found


def _offered(chip: Chip, count: int, stored: str, instance: Instance | None, terms: Term) -> Candidate:
    """The candidate before it is priced: what is rented, and for how much."""
    base = Candidate(
        chip=chip.name, title=chip.title, vendor=chip.vendor, count=count, numerics=stored, asked=stored
    )
    if instance is None:
        return base
    price_of_all = instance.price(terms)
    used = min(Fraction(1), count / instance.chips)
    return dataclasses.replace(
        base,
        instance=instance.name,
        cloud=instance.cloud,
        chips_of_instance=max(1, instance.whole_chips),
        hourly_usd=None if price_of_all is None else price_of_all.value * float(used),
        price_source=None
        if price_of_all is None
        else f"{instance.cloud} {instance.region} {price_of_all.source.read_on}",
    )


def _candidate(base: Candidate, chip: Chip, variant: Variant, count: int) -> Candidate:
    base = dataclasses.replace(base, numerics=variant.label)
    side_by_side = copies_of(chip, variant.graph.memory.peak_bytes) if count == 1 else 0
    if chip.inference_only and variant.recording.trains:
        return dataclasses.replace(base, reason="made for inference, not for training")
    peak_bytes, each_bytes = variant.graph.memory.peak_bytes, chip.main_memory.capacity_bytes
    base = dataclasses.replace(base, peak_bytes=peak_bytes, capacity_bytes=count * each_bytes)
    if peak_bytes > count * each_bytes:
        needed = -(-peak_bytes // each_bytes)
        reason = f"needs {binary(peak_bytes)}: {needed} chips of {binary(each_bytes)} hold it"
        return dataclasses.replace(base, reason=reason)
    priced = price(chip, variant, count, one_core=side_by_side > 0)
    copies = max(1, side_by_side)
    hourly = base.hourly_usd
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
        migration=differences(variant.recording, variant.replaced, chip, priced.profile.memory),
        roofline=_roofline(priced.profile, copies),
    )


def _roofline(profile: Profile, copies: int) -> RooflinePoint | None:
    """Where `copies` side by side stand under the chip's roof; None if they multiply or move nothing."""
    unit, roof = profile.unit, profile.roof
    macs = sum(count for _, count in unit.macs)
    moved = max((use.moved_bytes for use in unit.links if use.role == "memory"), default=0)
    seconds = profile.seconds(unit.division.total)
    if not (macs and moved and seconds):
        return None
    mostly = max(unit.macs, key=lambda pair: pair[1])[0]
    peak = dict(roof.macs_per_second).get(mostly)
    if peak is None:
        return None
    return RooflinePoint(
        flops_per_byte=2 * macs / moved,
        flops_per_second=2 * copies * macs / seconds,
        peak_flops_per_second=2 * peak,
        peak_bytes_per_second=roof.bytes_per_second,
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
    profile = summarize(variant.graph, program, simulate(program, many), many, module_depth=1)
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
    span = time_span(chip, training=variant.recording.trains, format_name=variant.label)
    energy = profile.unit.energy.total_j
    per_piece = None if energy is None else Range(energy.low, energy.value, energy.high).times(1 / pieces)
    return Priced(profile, ranged(seconds, span), per_piece, tuple(notes))


def _short(text: str) -> str:
    return text.split("; ")[0].split("\n")[0]
