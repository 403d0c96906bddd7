"""The question put to the catalogue: from a script, a model or a recording to an Answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress

from anychip import chips as catalogue
from anychip.arithmetic import Numerics
from anychip.chips import Chip, choices
from anychip.chips.instances import Market, snapshot
from anychip.errors import unknown_name
from anychip.products.choose.accuracy import Accuracy, compared, measured
from anychip.products.choose.answer import Answer, Ranked, answered
from anychip.products.choose.candidate import Candidate
from anychip.products.choose.pricing import candidates
from anychip.products.choose.question import Question
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

    Raises:
        AnychipError: limits contradict each other, or the script never used the device.
    """
    from anychip.run import captured_script

    asked = Question(**question)  # pyright: ignore
    chosen, offers = offered(asked.chips, market or snapshot())
    graph = (
        captured_script(workload, arguments, with_values=with_values, max_steps=max_steps)
        if isinstance(workload, str)
        else workload
    )
    return ask(graph, asked, chosen, offers, name=graph.name)


def ask(
    graph: Graph,
    question: Question,
    chosen: Sequence[Chip],
    market: Market,
    *,
    name: str,
    unit: str | None = None,
) -> Answer:
    """The answer for one captured workload.

    Args:
        graph: captured.
        question: limits and objective.
        chosen: chips to price it on.
        market: instances and prices.
        name: of the workload, for people.
        unit: what one piece is, for people; None reads it off the recording.
    """
    kinds = {mark.kind for mark in graph.marks}
    unit = unit or ("step" if "step" in kinds else "inference" if kinds else "run")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("pricing", total=len(chosen))

        def advance(chip: str) -> None:
            progress.update(task, advance=1, description=f"pricing {chip}")

        priced = list(candidates(graph, question, chosen, market, advance))
    return answered(name, unit, question, priced)


def with_accuracy(answer: Answer, script: str, arguments: Sequence[str], most: int = 6) -> Answer:
    """The answer with what each arithmetic of its best candidates does to the script's results.

    Args:
        answer: ranked.
        script: path of the script, run whole once for every distinct arithmetic and once as reference.
        arguments: its own.
        most: best candidates whose arithmetic is looked at, those of the Pareto set among them.

    Raises:
        InvalidInput: the script fails.
    """
    best = sorted(answer.ranked, key=lambda ranked: not ranked.pareto)[:most] + list(answer.ranked[:1])
    asked = {_arithmetic_of(ranked.candidate): ranked.candidate for ranked in reversed(best)}
    found: dict[Numerics, Accuracy] = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reference", total=len(asked) + 1)
        reference = measured(script, arguments, None, "")
        for numerics, candidate in asked.items():
            progress.update(task, advance=1, description=f"arithmetic {numerics.name}")
            run = measured(script, arguments, candidate.chip, _choice_of(candidate))
            found[numerics] = compared(reference, run)

    def told(ranked: Ranked) -> Ranked:
        accuracy = found.get(_arithmetic_of(ranked.candidate))
        return dataclasses.replace(ranked, candidate=dataclasses.replace(ranked.candidate, accuracy=accuracy))

    return dataclasses.replace(answer, ranked=tuple(told(ranked) for ranked in answer.ranked))


def _choice_of(candidate: Candidate) -> str:
    """The chip's numerics for a candidate's formats: operands in them, storage as the script has it."""
    return candidate.asked if candidate.asked in choices(catalogue.by_name(candidate.chip)) else "default"


def _arithmetic_of(candidate: Candidate) -> Numerics:
    return catalogue.by_name(candidate.chip).numerics_named(_choice_of(candidate))


def offered(words: Sequence[str], market: Market) -> tuple[tuple[Chip, ...], Market]:
    """The chips that words name, and the offers of the clouds among the words."""
    return chips_named(words, market), market.of_clouds(clouds_named(words, market))


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
