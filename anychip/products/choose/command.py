"""``anychip choose``: the right chip for the workload, over every chip one can rent."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path

from rich.console import Console

from anychip.chips.instances import TERMS, snapshot
from anychip.chips.prices import with_prices
from anychip.errors import InvalidInput
from anychip.products.arguments import Parser
from anychip.products.choose.answer import Answer
from anychip.products.choose.asking import ask, offered, with_accuracy
from anychip.products.choose.export import as_json, regressions, sky_estimates
from anychip.products.choose.nearest import nothing_left
from anychip.products.choose.pricing import Work
from anychip.products.choose.question import OBJECTIVES, STORED, Question, duration_s
from anychip.products.choose.table import show
from anychip.profile.writing import check_writable, write_text
from anychip.programs.weights import WEIGHTS

_EPILOG = """\
examples:
  anychip choose train.py
  anychip choose serve_bert.py --latency-below 20ms --minimise energy
  anychip choose --model config.json --phase decode --batch 1,8 --context 4096 --count 1,8
  anychip choose --model config.json --phase decode --weights int4

The script runs once, unedited. Options that choose knows are its own wherever they stand; all others after
the script's name, and everything after `--`, go to the script.
"""

#: Options that go with --model; after a script's name they are the script's.
_OF_MODELS = ("--phase", "--batch", "--context")
#: What one piece of a model's phase is called.
_UNIT_OF_PHASE = {"forward": "inference", "prefill": "prompt", "decode": "token", "train": "step"}


def parser() -> Parser:
    """Options of the command."""
    made = Parser("choose", "Rank every chip one can rent for a workload.", _EPILOG)
    made.add_argument("script", nargs="?", help="a script written for CUDA, and its arguments")
    made.add_argument(
        "--model", metavar="CONFIG", help="a Hugging Face config.json instead of a script: no weights"
    )
    made.add_argument("--phase", choices=("prefill", "decode", "forward", "train"), default="forward")
    made.add_argument("--batch", default="1", help="batch sizes for --model, e.g. 1,8,64")
    made.add_argument(
        "--context", type=int, metavar="N", help="tokens for --model; default 2048, or what the model takes"
    )
    made.add_argument("--minimise", default="cost", metavar="|".join(OBJECTIVES))
    made.add_argument("--latency-below", metavar="20ms", help="longest time of one piece")
    made.add_argument("--budget", type=float, metavar="USD")
    made.add_argument("--steps-total", type=int, metavar="N", help="steps or requests of the whole job")
    made.add_argument("--requests-per-second", type=float, metavar="R")
    made.add_argument("--chips", default="", help="chips, makers or clouds, e.g. aws or nvidia,trn1")
    made.add_argument("--terms", default="on-demand", metavar="|".join(TERMS), help="of the prices")
    made.add_argument("--region", help="of the prices, e.g. us-east-1")
    made.add_argument(
        "--count", metavar="N,N", help="chips per copy of the model, e.g. 1,2,8; default: as few as hold it"
    )
    made.add_argument("--numerics", default="captured", help=f"formats to try: {', '.join(STORED)}")
    made.add_argument(
        "--weights", metavar="|".join(WEIGHTS), help="format in which weights are stored, for inference"
    )
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
    made.add_argument(
        "--accuracy-limit", default="10min", metavar="10min", help="longest time of one such run"
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
        counts=() if options.count is None else _counts("--count", options.count),
        stored=_words(options.numerics),
        terms=options.terms,
        weights=options.weights,
    )
    batches = _checked(options, question)
    market = snapshot() if options.prices is None else with_prices(options.prices)
    chosen, market = offered(question, market)
    for path in filter(None, (options.json, options.html, options.sky)):
        check_writable(Path(path))
    name, works, unit = _script(options) if options.model is None else _model(options, batches)
    answer = ask(works, question, chosen, market, name=name, unit=unit)
    if not answer.ranked:
        raise InvalidInput(nothing_left(answer))
    if options.check_accuracy:
        limit_s = duration_s(options.accuracy_limit)
        answer = with_accuracy(answer, options.script, options.arguments, chosen, limit_s=limit_s)
    _report(answer, options)
    return 0


def _checked(options: argparse.Namespace, question: Question) -> tuple[int, ...]:
    """The batches; what only makes sense for scripts or for models, or contradicts something, is refused."""
    if options.max_steps < 1:
        raise InvalidInput(f"--max-steps {options.max_steps}: a script is watched for 1 step or more")
    if options.context is not None and options.context < 1:
        raise InvalidInput(f"--context {options.context}: give 1 token or more")
    batches = _counts("--batch", options.batch)
    if options.check_accuracy and options.model is not None:
        raise InvalidInput("--check-accuracy: a configuration has no weights and no results; give a script")
    if options.check_accuracy and options.weights is not None:
        raise InvalidInput(
            f"--weights {options.weights}: what it does to results depends on how the checkpoint was made; "
            "leave out --check-accuracy"
        )
    if options.weights is not None and options.model is not None and options.phase == "train":
        raise InvalidInput(
            f"--weights {options.weights}: for inference only, not for --phase train; leave one of them out"
        )
    if options.phase == "train" and len(batches) > 1 and question.pieces_total is not None:
        raise InvalidInput(
            "--steps-total: steps of several batch sizes are not the same work; give one --batch"
        )
    return batches


def _script(options: argparse.Namespace) -> tuple[str, list[Work], str | None]:
    from anychip.run import captured_script

    graph = captured_script(
        options.script, options.arguments, with_values=not options.no_values, max_steps=options.max_steps
    )
    return Path(options.script).name, [Work.of(graph, weights=options.weights)], None


def _model(options: argparse.Namespace, batches: tuple[int, ...]) -> tuple[str, list[Work], str]:
    """The model of a configuration in every batch; pieces are tokens, prompts or inferences, not calls."""
    from anychip.frontends.torch.models import ConfiguredModel

    phase = options.phase
    model = ConfiguredModel(options.model, phase=phase)
    works: list[Work] = []
    for batch in batches:
        steps = phase == "train" and len(batches) == 1
        graph = model.graph(batch, options.context)
        works.append(Work.of(graph, batch, 1 if steps else batch, options.weights))
    unit = "sample" if phase == "train" and len(batches) > 1 else _UNIT_OF_PHASE[phase]
    context = "" if options.context is None else f" context {options.context}"
    context += "" if options.weights is None else f" weights {options.weights}"
    return f"{options.model} {phase} batch {','.join(map(str, batches))}{context}", works, unit


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
        share = float(text.rstrip("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share < inf:
        raise InvalidInput(f'--fail-above "{text}": no percentage of at least 0; write for example 5%')
    return share


def _write(path: str, text: str) -> None:
    write_text(Path(path), (text,))
    print(f"wrote {path}", file=sys.stderr)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _counts(option: str, text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(dict.fromkeys(int(word) for word in _words(text)))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise InvalidInput(f'{option} "{text}": whole numbers of at least 1, comma separated, e.g. 1,8,64')
    return numbers
