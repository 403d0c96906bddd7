"""A captured workload priced on candidates: chips, numbers of them, instances, batches, formats."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from anychip.chips import Chip
from anychip.chips.grid import intensity
from anychip.chips.instances import Instance, Market
from anychip.errors import AnychipError
from anychip.products.choose.candidate import Candidate, Exclusion, RooflinePoint
from anychip.products.choose.copies import (
    CHIP_LINK,
    copies_of,
    exchange_seconds,
    joined,
)
from anychip.products.choose.migration import differences
from anychip.products.choose.parts import part_of, sizes_of
from anychip.products.choose.question import MOST_CHIPS, Question
from anychip.products.choose.uncertainty import ranged, time_span
from anychip.products.choose.variants import Variant, Variants
from anychip.profile.brief import Brief, brief_of
from anychip.profile.profile import Range
from anychip.programs.graph import Graph
from anychip.simulate.machine import link_peaks
from anychip.units import binary


@dataclass(frozen=True, slots=True)
class Work:
    """One captured call.

    Args:
        variants: the recording, in every format.
        batch: sequences, images or sounds of the call; None where the script decides.
        pieces: for how many pieces (tokens, prompts, inferences) one call counts.
    """

    variants: Variants
    batch: int | None = None
    pieces: int = 1

    @classmethod
    def of(cls, graph: Graph, batch: int | None = None, pieces: int = 1, weights: str | None = None) -> Work:
        """A recorded call, with weights stored in a format of their own if one is named."""
        return cls(Variants(graph, weights), batch, pieces)


@dataclass(frozen=True, slots=True)
class Priced:
    """One chip's share of the work, before instances and prices.

    Args:
        brief: of the chip, or of several as one.
        time_s: of one call, exchanges included.
        energy_j: of one call, all chips; None if unknown.
        notes: what would differ there.
    """

    brief: Brief
    time_s: Range
    energy_j: Range | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Offer:
    """Something to rent, and the chips of it that one copy of the model gets.

    Args:
        chip: as the instance has it: a part of a socket, where cores are rented.
        instance: None where none is known.
        count: chips.
        carried: the most chips that an instance carries, where that is too few; else None.
    """

    chip: Chip
    instance: Instance | None
    count: int
    carried: int | None = None


def candidates(
    works: Sequence[Work],
    question: Question,
    chips: Sequence[Chip],
    market: Market,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Candidate]:
    """Every candidate of the catalogue, those that cannot run included, with the reason.

    Chips are priced independently, side by side where the system can fork; the order is that of `chips`.

    Args:
        works: the captured workload, in every batch size that is asked for.
        question: counts and formats to try.
        chips: of the catalogue.
        market: instances and their prices.
        progress: told each chip's name.
    """
    on_one = partial(_on_one_chip, works, question, market)
    workers = min(os.cpu_count() or 1, len(chips) // _CHIPS_A_WORKER)
    if workers < 2 or sys.platform != "linux":
        yield from _told(chips, map(on_one, chips), progress)
        return
    for work in works:
        _prepared(work.variants, question, chips)
    global _on_chip_number
    _on_chip_number = lambda number: on_one(chips[number])  # noqa: E731
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        yield from _told(chips, pool.imap(_numbered, range(len(chips))), progress)


#: What a forked worker calls: it inherits the recording instead of receiving a copy of it.
_on_chip_number: Callable[[int], list[Candidate]]
_CHIPS_A_WORKER = 4


def _numbered(number: int) -> list[Candidate]:
    return _on_chip_number(number)


def _prepared(made: Variants, question: Question, chips: Sequence[Chip]) -> None:
    """Makes what several chips share before workers are forked, so that none makes it again."""
    for chip in chips:
        for stored in question.stored:
            try:
                made.on(chip, stored).kernels.on(chip)
            except AnychipError:
                continue


def _told(
    chips: Sequence[Chip], priced: Iterable[list[Candidate]], progress: Callable[[str], None]
) -> Iterator[Candidate]:
    for chip, found in zip(chips, priced, strict=True):
        progress(chip.name)
        yield from found


def _on_one_chip(works: Sequence[Work], question: Question, market: Market, chip: Chip) -> list[Candidate]:
    found: list[Candidate] = []
    for work in works:
        seen: list[Variant] = []
        for stored in question.stored:
            base = Candidate(
                chip=chip.name,
                title=chip.title,
                vendor=chip.vendor,
                batch=work.batch,
                pieces=work.pieces,
                numerics=stored,
                asked=stored,
            )
            try:
                variant = work.variants.on(chip, stored)
            except AnychipError as error:
                found.append(excluded(base, "format", _short(str(error))))
                continue
            if any(variant is other for other in seen):
                continue
            seen.append(variant)
            base = dataclasses.replace(base, numerics=variant.label)
            peak_bytes = variant.graph.memory.peak_bytes
            found += [
                _with_carbon(_priced(_offered(base, offer, question), offer, variant), question.region)
                for offer in _offers(chip, question, market, peak_bytes)
            ]
    return found


def _offers(chip: Chip, question: Question, market: Market, peak_bytes: int) -> Iterator[_Offer]:
    """What could be rented to hold a workload on a chip."""
    region, term = question.region, question.terms
    for count in question.counts or (1,):
        if count == 1 and chip.kind == "cpu":
            sizes = sizes_of(market.of_chip(chip.name), peak_bytes, term, region)
            if sizes:
                yield from (_Offer(part_of(chip, each), each, 1) for each in sizes)
                continue
        if not question.counts:
            count = _least(peak_bytes, chip.main_memory.capacity_bytes)
        instance = market.cheapest(chip.name, count=count, region=region, term=term) or market.smallest(
            chip.name, count=count, region=region
        )
        if instance is None and not question.counts:
            known = [each.whole_chips for each in market.of_chip(chip.name, region=region)]
            if max(known, default=0) > 0:
                yield _Offer(chip, None, count, max(known))
                continue
        chip_there = part_of(chip, instance) if instance is not None and chip.kind == "cpu" else chip
        yield _Offer(chip_there, instance, count)


def _least(peak_bytes: int, each_bytes: int) -> int:
    """The smallest power of two of chips that hold a workload; one where more than `MOST_CHIPS` would."""
    count = 1
    while count * each_bytes < peak_bytes and count <= MOST_CHIPS:
        count *= 2
    return count if count <= MOST_CHIPS else 1


def _offered(base: Candidate, offer: _Offer, question: Question) -> Candidate:
    """The candidate before it is priced: what is rented, and for how much."""
    instance, count = offer.instance, offer.count
    base = dataclasses.replace(base, count=count)
    if instance is None:
        return base
    price = instance.price(question.terms)
    used = min(1.0, count / float(instance.chips))
    cores = offer.chip.cores if instance.chips < 1 else None
    return dataclasses.replace(
        base,
        instance=instance.name,
        cloud=instance.cloud,
        region=instance.region,
        cores=cores,
        chips_of_instance=max(1, instance.whole_chips),
        instance_usd=None if price is None else price.value,
        hourly_usd=None if price is None else price.value * used,
        price_source=None if price is None else f"{instance.cloud} {instance.region} {price.source.read_on}",
    )


def _priced(base: Candidate, offer: _Offer, variant: Variant) -> Candidate:
    """The candidate with its time, energy and cost, or with the reason why it has none."""
    chip, count = offer.chip, offer.count
    peak_bytes, each_bytes = variant.graph.memory.peak_bytes, chip.main_memory.capacity_bytes
    if chip.inference_only and variant.recording.trains:
        return excluded(base, "training", "made for inference, not for training")
    base = dataclasses.replace(base, peak_bytes=peak_bytes, capacity_bytes=count * each_bytes)
    if peak_bytes > count * each_bytes:
        needed = -(-peak_bytes // each_bytes)
        return excluded(
            base, "memory", f"needs {binary(peak_bytes)}: {needed} chips of {binary(each_bytes)} hold it"
        )
    if offer.carried is not None:
        reason = f"needs {count} chips to hold {binary(peak_bytes)}; instances carry {offer.carried} at most"
        return excluded(base, "memory", reason)
    side_by_side = copies_of(chip, peak_bytes) if count == 1 else 0
    try:
        priced = price(chip, variant, count, one_core=side_by_side > 0)
    except AnychipError as error:
        return excluded(base, "other", _short(str(error)))
    copies = max(1, side_by_side)
    share = 1 / base.pieces
    cost = None
    if base.hourly_usd is not None:
        cost = priced.time_s.times(base.hourly_usd / 3600 / copies * share)
    brief, notes = priced.brief, list(priced.notes)
    if base.cores is not None:
        cores = "1 core" if base.cores == 1 else f"{base.cores} cores"
        notes.append(f"{cores} of the socket, with a share of its memory bandwidth and cache (assumed)")
    if base.instance is None and count > 1:
        notes.append("no instance carries so many: what joins several instances is not modelled")
    return dataclasses.replace(
        base,
        side_by_side=copies,
        time_s=priced.time_s,
        energy_j=None if priced.energy_j is None else priced.energy_j.times(share),
        cost_usd=cost,
        bound_by=brief.bound_by,
        launch_share=brief.launch_s / brief.seconds if brief.seconds else 0.0,
        rests_on=brief.rests_on,
        notes=tuple(notes),
        migration=differences(variant.recording, variant.replaced, chip, peak_bytes, each_bytes * count),
        roofline=_roofline(brief, chip, copies, count),
    )


def excluded(candidate: Candidate, by: Exclusion, reason: str) -> Candidate:
    """The candidate with the reason why it cannot be had."""
    return dataclasses.replace(candidate, excluded_by=by, reason=reason)


def _roofline(brief: Brief, chip: Chip, copies: int, count: int) -> RooflinePoint | None:
    """Where `copies` side by side stand under the roof of `count` chips; None where nothing is multiplied."""
    macs = sum(amount for _, amount in brief.macs)
    if not (macs and brief.moved_bytes and brief.seconds):
        return None
    mostly = max(brief.macs, key=lambda pair: pair[1])[0]
    peak = chip.macs_per_second(mostly) * count
    if not peak:
        return None
    main = chip.load.links[0] if chip.load.links else next(iter(chip.links))
    return RooflinePoint(
        flops_per_byte=2 * macs / brief.moved_bytes,
        flops_per_second=2 * copies * macs / brief.seconds,
        peak_flops_per_second=2 * peak,
        peak_bytes_per_second=link_peaks(chip)[main] * count,
    )


def _with_carbon(candidate: Candidate, region: str | None) -> Candidate:
    """The candidate with grams of CO2 where the grid of the region, or of the instance, is known."""
    where = region or candidate.region
    if candidate.energy_j is None or where is None:
        return candidate
    try:
        grams_per_joule = intensity(where).value * 1000
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
    brief = brief_of(variant.graph, variant.kernels.on(many), many)
    exchange = exchange_seconds(chip, count, variant.exchange)
    notes: list[str] = []
    if exchange is None:
        exchange = 0.0
        notes.append("link between chips unknown: exchanges not counted")
    elif count > 1:
        notes.append(f"tensor parallel over {count} chips: division and ring assumed, {CHIP_LINK} published")
    if variant.weights is not None:
        notes.append(f"weights stored in {variant.weights}: what that does to answers was not computed")
    seconds = brief.seconds / brief.pieces + exchange
    span = time_span(chip, training=variant.recording.trains, format_name=variant.label)
    energy = brief.energy.total_j
    per_call = None if energy is None else energy.times(1 / brief.pieces)
    return Priced(brief, ranged(seconds, span), per_call, tuple(notes))


def _short(text: str) -> str:
    return text.split("; ")[0].split("\n")[0]
