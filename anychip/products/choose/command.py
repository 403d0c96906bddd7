"""``anychip choose``: the right chip for the workload, over every chip one can rent."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from anychip.chips.instances import TERMS, snapshot
from anychip.chips.prices import with_prices
from anychip.errors import InvalidInput, unknown_name
from anychip.products.arguments import Parser
from anychip.products.choose.answer import Answer
from anychip.products.choose.asking import ask, offered, with_accuracy
from anychip.products.choose.export import as_json, regressions, sky_estimates
from anychip.products.choose.question import OBJECTIVES, STORED, Question, duration_s
from anychip.products.choose.table import show
from anychip.profile.writing import check_writable, write_text
from anychip.programs.graph import Graph

_EPILOG = """\
examples:
  anychip choose train.py
  anychip choose serve_bert.py --latency-below 20ms --minimise energy
  anychip choose --model config.json --phase decode --batch 1,8 --context 4096 --count 1,8

The script runs once, unedited. Options that choose knows are its own wherever they stand; all others after
the script's name, and everything after `--`, go to the script.
"""

#: Options that go with --model; after a script's name they are the script's.
_OF_MODELS = ("--phase", "--batch", "--context")
#: What one piece of a model's phase is called.
_UNIT_OF_PHASE = {"prefill": "prompt", "decode": "token", "train": "step"}


def parser() -> Parser:
    """Options of the command."""
    made = Parser("choose", "Rank every chip one can rent for a workload.", _EPILOG)
    made.add_argument("script", nargs="?", help="a script written for CUDA, and its arguments")
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
    made.add_argument("--chips", default="", help="chips, makers or clouds, e.g. aws or nvidia,trn1")
    made.add_argument("--terms", default="on-demand", metavar="|".join(TERMS), help="of the prices")
    made.add_argument("--region", help="of the prices, e.g. us-east-1")
    made.add_argument("--count", default="1", help="chips per copy of the model to try, e.g. 1,2,8")
    made.add_argument("--numerics", default="captured", help=f"formats to try: {', '.join(STORED)}")
    made.add_argument("--prices", metavar="CSV", help="your own prices")
    made.add_argument(
        "--max-steps", type=int, default=3, help="stop the script after so many steps or passes"
    )
    made.add_argument("--no-values", action="store_true", help="capture on meta tensors")
    made.add_argument(
        "--check-accuracy",
        action="store_true",
        help="run the script in each arithmetic of the best chips too",
    )
    made.add_argument("--migration", action="store_true", help="what the script meets on each ranked chip")
    made.add_argument("--json", metavar="FILE")
    made.add_argument("--html", metavar="FILE")
    made.add_argument("--sky", metavar="FILE", help="a SkyPilot time estimator")
    made.add_argument("--all", action="store_true", help="show every row")
    return made


def main(argv: Sequence[str]) -> int:
    """Runs the command; its exit code."""
    made = parser()
    mine, theirs = made.divided(argv, scripts=_OF_MODELS)
    options = made.parse(mine)
    options.arguments = theirs
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
        terms=options.terms,
    )
    market = snapshot() if options.prices is None else with_prices(options.prices)
    chosen, market = offered(question.chips, market)
    if question.region is not None and question.region not in market.regions:
        raise unknown_name("region", question.region, market.regions)
    for path in filter(None, (options.json, options.html, options.sky)):
        check_writable(Path(path))
    if options.check_accuracy and options.script is None:
        raise InvalidInput("--check-accuracy: a configuration has no weights and no results; give a script")
    for name, graph in _workloads(options):
        unit = _UNIT_OF_PHASE.get(options.phase) if options.script is None else None
        answer = ask(graph, question, chosen, market, name=name, unit=unit)
        if options.check_accuracy and options.script is not None:
            answer = with_accuracy(answer, options.script, options.arguments)
        _report(answer, options)
    return 0


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
    show(answer, console, most=None if options.all else 30, migration=options.migration)
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
