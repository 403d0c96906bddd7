"""The question put to the catalogue: from a script, a model or a recording to an Answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress

from anychip import chips as catalogue
from anychip.arithmetic import Numerics
from anychip.chips import Chip, choices, this_machine
from anychip.chips.instances import Market, snapshot
from anychip.errors import InvalidInput, unknown_name
from anychip.products.choose.accuracy import Accuracy, TooLong, compared, measured
from anychip.products.choose.answer import Answer, Ranked, answered
from anychip.products.choose.candidate import Candidate
from anychip.products.choose.pricing import Work, candidates
from anychip.products.choose.question import STORED, Question
from anychip.programs.graph import Graph

#: Chips that are not for rent and stand in the catalogue for other reasons.
NOT_FOR_RENT = ("basecamp",)


def choose(
    workload: str | Graph,
    arguments: Sequence[str] = (),
    *,
    with_values: bool = True,
    max_steps: int | None = 3,
    market: Market | None = None,
    **question: object,
) -> Answer:
    """Ranks chips for a workload, as ``anychip choose`` does.

    Args:
        workload: path of a script written for CUDA, or a recording of your own.
        arguments: the script's.
        with_values: False captures on shapes alone.
        max_steps: stop the script after so many steps or passes.
        market: instances and prices; None for the packaged snapshot.
        question: fields of `Question`, e.g. ``minimise="energy"``, ``chips=("aws",)``.

    Returns:
        the answer; ``ranked`` is empty where every candidate is excluded.

    Raises:
        AnychipError: limits contradict each other, or the script never used the device.
    """
    from anychip.run import captured_script

    asked = _question(question)
    chosen, offers = offered(asked, market or snapshot())
    graph = (
        captured_script(workload, arguments, with_values=with_values, max_steps=max_steps)
        if isinstance(workload, str)
        else workload
    )
    return ask([Work.of(graph, weights=asked.weights)], asked, chosen, offers, name=graph.name)


def _question(fields: dict[str, object]) -> Question:
    known = [each.name for each in dataclasses.fields(Question)]
    for name in fields:
        if name not in known:
            raise unknown_name("field of the question", name, known)
    return Question(**fields)  # pyright: ignore


def ask(
    works: Sequence[Work],
    question: Question,
    chosen: Sequence[Chip],
    market: Market,
    *,
    name: str,
    unit: str | None = None,
) -> Answer:
    """The answer for one captured workload.

    Args:
        works: captured, in every batch size that is asked for.
        question: limits and objective.
        chosen: chips to price it on.
        market: instances and prices.
        name: of the workload, for people.
        unit: what one piece is, for people; None reads it off the recording.
    """
    kinds = {mark.kind for work in works for mark in work.variants.graph.marks}
    unit = unit or ("step" if "step" in kinds else "inference" if kinds else "run")
    with _progress() as progress:
        task = progress.add_task("pricing", total=len(chosen))

        def advance(chip: str) -> None:
            progress.update(task, advance=1, description=f"pricing {chip}")

        priced = list(candidates(works, question, chosen, market, advance))
    answer = answered(name, unit, question, priced)
    others = _in_other_formats(answer, works, chosen, market)
    return answered(name, unit, question, priced, others) if others else answer


def _progress() -> Progress:
    """A bar on standard error that disappears; none where nobody looks at it."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


#: First chips of the ranking that are also priced in formats that were not asked for.
_TRIED = 4


def _in_other_formats(
    answer: Answer, works: Sequence[Work], chosen: Sequence[Chip], market: Market
) -> list[Candidate]:
    """The first chips of the ranking in the formats that were not asked for, on the same instances."""
    first = [r.candidate for r in answer.ranked if r.place is not None]
    names = list(dict.fromkeys(each.chip for each in first))[:_TRIED]
    labels = {(each.chip, each.numerics) for each in first}
    work = next((w for w in works if first and w.batch == first[0].batch), None)
    if work is None:
        return []
    counts = {each.chip: each.count for each in reversed(first)}
    found: list[Candidate] = []
    for chip in (each for name in names for each in chosen if each.name == name):
        name = chip.name
        question = dataclasses.replace(
            answer.question,
            stored=tuple(s for s in STORED if s != "captured" and (name, s) not in labels),
            counts=(counts[name],),
        )
        if question.stored:
            found += [c for c in candidates([work], question, [chip], market) if c.reason is None]
    return found


def with_accuracy(
    answer: Answer,
    script: str,
    arguments: Sequence[str],
    chosen: Sequence[Chip],
    most: int = 6,
    limit_s: float | None = None,
) -> Answer:
    """The answer with what each arithmetic of its best candidates does to the script's results.

    Args:
        answer: ranked.
        script: path of the script, run whole once for every distinct arithmetic and once as reference.
        arguments: its own.
        chosen: the chips among which it was ranked.
        most: best candidates whose arithmetic is looked at, those of the Pareto set among them.
        limit_s: longest time of one run; an arithmetic that takes longer is said to.

    Raises:
        InvalidInput: the script fails.
        TooLong: it does not end in time in PyTorch's own arithmetic.
    """
    best = sorted(answer.ranked, key=lambda ranked: not ranked.pareto)[:most] + list(answer.ranked[:1])
    chips = {chip.name: chip for chip in chosen}
    words = {catalogue.find(word).name: word for word in answer.question.chips if _is_file(word)}

    def choice_of(candidate: Candidate) -> str:
        """The chip's numerics for a candidate's formats: operands in them, storage as the script has it."""
        return candidate.asked if candidate.asked in choices(chips[candidate.chip]) else "default"

    def arithmetic_of(candidate: Candidate) -> Numerics:
        return chips[candidate.chip].numerics_named(choice_of(candidate))

    asked = {arithmetic_of(ranked.candidate): ranked.candidate for ranked in reversed(best)}
    found: dict[Numerics, Accuracy] = {}
    with _progress() as progress:
        task = progress.add_task("reference", total=len(asked) + 1)
        reference = measured(script, arguments, None, "", limit_s)
        for numerics, candidate in asked.items():
            progress.update(task, advance=1, description=f"arithmetic {numerics.name}")
            try:
                chip = words.get(candidate.chip, candidate.chip)
                run = measured(script, arguments, chip, choice_of(candidate), limit_s)
            except TooLong:
                found[numerics] = Accuracy(None, None, None, None, stopped_after_s=limit_s)
            else:
                found[numerics] = compared(reference, run)

    def told(ranked: Ranked) -> Ranked:
        accuracy = found.get(arithmetic_of(ranked.candidate))
        return dataclasses.replace(ranked, candidate=dataclasses.replace(ranked.candidate, accuracy=accuracy))

    return dataclasses.replace(answer, ranked=tuple(told(ranked) for ranked in answer.ranked))


def _is_file(word: str) -> bool:
    """Whether a word of ``--chips`` names a chip that is no entry of the catalogue."""
    return word.endswith(".py") or "/" in word or word.strip().casefold() in this_machine.NAMES


def offered(question: Question, market: Market) -> tuple[tuple[Chip, ...], Market]:
    """The chips that a question names, and the offers of the clouds among its words.

    Raises:
        UnknownName: neither a chip, a maker nor a cloud; no such region.
    """
    words = question.chips
    if question.region is not None and question.region not in market.regions:
        raise unknown_name("region", question.region, market.regions)
    chosen, offers = chips_named(words, market), market.of_clouds(clouds_named(words, market))
    if question.region is not None and question.region not in offers.regions:
        clouds = ", ".join(sorted({each.cloud for each in offers.instances}))
        raise InvalidInput(
            f"--region {question.region}: not a region of {clouds}, which --chips names; "
            f"write --region {offers.regions[0]}"
        )
    return chosen, offers


def chips_named(words: Sequence[str], market: Market) -> tuple[Chip, ...]:
    """Chips by name, by who makes them or by the cloud that rents them out; all if none is named.

    Raises:
        UnknownName: neither a chip, a maker nor a cloud.
    """
    every = [chip for chip in catalogue.every_chip() if chip.name not in NOT_FOR_RENT]
    if not words:
        return tuple(every)
    groups: dict[str, set[str]] = {}
    for chip in every:
        groups.setdefault(chip.vendor.casefold(), set()).add(chip.name)
    for instance in market.instances:
        groups.setdefault(instance.cloud.casefold(), set()).add(instance.chip)
    found: dict[str, Chip] = {}
    for word in words:
        if word.casefold() in groups:
            found |= {chip.name: chip for chip in every if chip.name in groups[word.casefold()]}
        else:
            try:
                chip = catalogue.find(word)
            except KeyError:
                names = [*groups, *(chip.name for chip in every)]
                raise unknown_name(
                    "chip, maker or cloud", word, names, "`anychip chips` lists all."
                ) from None
            found[chip.name] = chip
    return tuple(found.values())


def clouds_named(words: Sequence[str], market: Market) -> frozenset[str]:
    """Clouds among the words; all if there is none."""
    clouds = {instance.cloud for instance in market.instances}
    named = {cloud for cloud in clouds if cloud.casefold() in {word.casefold() for word in words}}
    return frozenset(named or clouds)
