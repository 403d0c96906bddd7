"""``anychip choose``: the right chip for the workload, over every chip one can rent."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from anychip import chips as catalogue
from anychip.chips import Chip
from anychip.chips.instances import Market, snapshot
from anychip.chips.prices import with_prices
from anychip.errors import InvalidInput, unknown_name
from anychip.products.arguments import Parser
from anychip.products.choose.answer import Answer, answered
from anychip.products.choose.export import as_json, regressions, sky_estimates
from anychip.products.choose.pricing import candidates
from anychip.products.choose.question import OBJECTIVES, STORED, Question, duration_s
from anychip.products.choose.table import show
from anychip.profile.writing import check_writable, write_text
from anychip.programs.graph import Graph

_EPILOG = """\
examples:
  anychip choose train.py
  anychip choose serve_bert.py --latency-below 20ms --minimise energy
  anychip choose --model config.json --phase decode --batch 1,8 --context 4096 --count 1,8

The script runs once, unedited; its options come after its name, those of choose before it.
"""

#: Chips that are not for rent and stand in the catalogue for other reasons.
NOT_FOR_RENT = ("basecamp",)


def parser() -> Parser:
    """Options of the command."""
    made = Parser("choose", "Rank every chip one can rent for a workload.", _EPILOG)
    made.add_argument("script", nargs="?", help="a script written for CUDA, and its arguments")
    made.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    made.add_argument(
        "--model", metavar="CONFIG", help="a Hugging Face config.json instead of a script: no weights"
    )
    made.add_argument("--phase", choices=("prefill", "decode", "forward", "train"), default="forward")
    made.add_argument("--batch", default="1", help="batch sizes for --model, e.g. 1,8,64")
    made.add_argument("--context", type=int, default=2048, help="tokens of context for --model")
    made.add_argument("--minimise", default="cost", metavar="|".join(OBJECTIVES))
    made.add_argument("--latency-below", metavar="20ms", help="longest time of one piece")
    made.add_argument("--budget", type=float, metavar="USD")
    made.add_argument("--steps-total", type=int, metavar="N", help="steps or requests of the whole job")
    made.add_argument("--requests-per-second", type=float, metavar="R")
    made.add_argument("--chips", default="", help="names or vendors, comma separated, e.g. aws,h100")
    made.add_argument("--region", help="of the prices, e.g. us-east-1")
    made.add_argument("--count", default="1", help="chips per copy of the model to try, e.g. 1,2,8")
    made.add_argument("--numerics", default="captured", help=f"formats to try: {', '.join(STORED)}")
    made.add_argument("--prices", metavar="CSV", help="your own prices")
    made.add_argument(
        "--max-steps", type=int, default=3, help="stop the script after so many steps or passes"
    )
    made.add_argument("--no-values", action="store_true", help="capture on meta tensors")
    made.add_argument("--json", metavar="FILE")
    made.add_argument("--html", metavar="FILE")
    made.add_argument("--sky", metavar="FILE", help="a SkyPilot time estimator")
    made.add_argument("--all", action="store_true", help="show every row")
    return made


def main(argv: Sequence[str]) -> int:
    """Runs the command; its exit code."""
    options = parser().parse(argv)
    if (options.script is None) == (options.model is None):
        raise InvalidInput("choose: give a script or --model CONFIG, one of the two")
    question = Question(
        minimise=options.minimise,
        latency_below_s=None if options.latency_below is None else duration_s(options.latency_below),
        budget_usd=options.budget,
        pieces_total=options.steps_total,
        requests_per_second=options.requests_per_second,
        chips=_words(options.chips),
        region=options.region,
        counts=_numbers("--count", options.count),
        stored=_words(options.numerics),
    )
    chosen = chips_named(question.chips)
    market = snapshot() if options.prices is None else with_prices(options.prices)
    if question.region is not None and question.region not in market.regions:
        raise unknown_name("region", question.region, market.regions)
    for path in filter(None, (options.json, options.html, options.sky)):
        check_writable(Path(path))
    for name, graph in _workloads(options):
        answer = ask(graph, question, chosen, market, name=name)
        _report(answer, options)
    return 0


def ask(
    graph: Graph,
    question: Question,
    chosen: Sequence[Chip],
    market: Market,
    *,
    name: str,
) -> Answer:
    """The answer for one captured workload.

    Args:
        graph: captured.
        question: limits and objective.
        chosen: chips to price it on.
        market: instances and prices.
        name: of the workload, for people.
    """
    kinds = {mark.kind for mark in graph.marks}
    unit = "step" if "step" in kinds else "inference" if kinds else "run"
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("pricing", total=len(chosen))

        def advance(chip: str) -> None:
            progress.update(task, advance=1, description=f"pricing {chip}")

        priced = list(candidates(graph, question, chosen, market, advance))
    return answered(name, unit, question, priced)


def chips_named(words: Sequence[str]) -> tuple[Chip, ...]:
    """Chips of the catalogue by name or vendor; all that are for rent if nothing is named.

    Raises:
        UnknownName: neither a chip nor a vendor.
    """
    every = [chip for chip in catalogue.every_chip() if chip.name not in NOT_FOR_RENT]
    if not words:
        return tuple(every)
    vendors = {chip.vendor.casefold() for chip in every}
    found: dict[str, Chip] = {}
    for word in words:
        if word.casefold() in vendors:
            found |= {chip.name: chip for chip in every if chip.vendor.casefold() == word.casefold()}
        else:
            try:
                chip = catalogue.find(word)
            except KeyError:
                names = [*vendors, *(chip.name for chip in every)]
                raise unknown_name("chip or vendor", word, names, "`anychip chips` lists all.") from None
            found[chip.name] = chip
    return tuple(found.values())


def _workloads(options: argparse.Namespace) -> list[tuple[str, Graph]]:
    from anychip.run import captured_script

    if options.script is not None:
        graph = captured_script(
            options.script, options.arguments, with_values=not options.no_values, max_steps=options.max_steps
        )
        return [(Path(options.script).name, graph)]
    from anychip.frontends.torch.models import capture_config

    return [
        (
            f"{options.model} {options.phase} batch {batch} context {options.context}",
            capture_config(options.model, phase=options.phase, batch=batch, context=options.context),
        )
        for batch in _numbers("--batch", options.batch)
    ]


def _report(answer: Answer, options: argparse.Namespace) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    console.print(f"{answer.workload}", style="bold")
    show(answer, console, most=None if options.all else 30)
    if options.json:
        _write(options.json, as_json(answer))
    if options.html:
        from anychip.products.choose.page import page_of

        _write(options.html, page_of(answer))
    if options.sky:
        _write(options.sky, sky_estimates(answer, options.steps_total or 1))


def compare(argv: Sequence[str]) -> int:
    """``anychip compare old.json new.json``: 1 if something grew by more than allowed."""
    made = Parser("compare", "Two answers of choose: 1 if time, energy or cost grew too much, for CI.")
    made.add_argument("old")
    made.add_argument("new")
    made.add_argument("--fail-above", default="5%", help="growth of time, energy or cost that fails")
    options = made.parse(argv)
    grown = regressions(_answer(options.old), _answer(options.new), _percentage(options.fail_above))
    for sentence in grown:
        print(sentence)
    return 1 if grown else 0


def _answer(path: str) -> dict[str, object]:
    try:
        data = json.loads(Path(path).read_text())
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidInput(f"{path}: not JSON: {error}; export it with `anychip choose --json`") from error
    if not isinstance(data, dict):
        raise InvalidInput(f"{path}: a list, not an answer of choose; export it with `anychip choose --json`")
    return data


def _percentage(text: str) -> float:
    try:
        return float(text.rstrip("%")) / 100
    except ValueError:
        raise InvalidInput(f'--fail-above "{text}": no percentage; write for example 5%') from None


def _write(path: str, text: str) -> None:
    write_text(Path(path), (text,))
    print(f"wrote {path}", file=sys.stderr)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in _words(text))
    except ValueError:
        raise InvalidInput(f'{option} "{text}": whole numbers, comma separated, e.g. 1,8,64') from None
