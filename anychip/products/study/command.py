"""``anychip study rounding``: trains and prices one model in several arithmetics, and writes it down."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from anychip.chips import find
from anychip.errors import InvalidInput, unknown_name
from anychip.products.arguments import Parser
from anychip.products.study.page import page
from anychip.products.study.pictures import lines, smoothed
from anychip.products.study.pricing import price_products, price_steps
from anychip.products.study.training import FULL, SHORT, VARIANTS, Trained, mean_validation, train
from anychip.profile.writing import write_text

_EPILOG = """\
Writes study.md, study.json and two plots into a folder.

example:
  anychip study rounding --short --out rounding
"""


def main(argv: Sequence[str]) -> int:
    """Runs ``anychip study``."""
    options = _parser().parse(argv)
    if options.subject != "rounding":
        raise unknown_name("study", options.subject, ("rounding",))
    chip = find(options.chip)
    chip.numerics_named(rounding="stochastic", seed=0)  # complains before the work begins
    folder = Path(options.out)
    if not folder.is_dir():
        if folder.exists() or not folder.parent.is_dir():
            raise InvalidInput(f"{folder}: cannot be made a folder; choose another --out")
        folder.mkdir()
    plan = SHORT if options.short else FULL
    prices = price_steps(options.chip, (1, 8), VARIANTS)
    formats = price_products(options.chip)
    trained = train(plan, options.chip, VARIANTS, lambda line: print(line, file=sys.stderr, flush=True))
    text = page(plan, chip.title, trained, prices, formats)
    document = {
        "plan": asdict(plan),
        "chip": chip.name,
        "trained": [asdict(each) for each in trained],
        "steps": [asdict(each) for each in prices],
        "products": [asdict(each) for each in formats],
    }
    write_text(folder / "study.json", [json.dumps(document, indent=1), "\n"])
    write_text(folder / "rates.svg", [rates_picture(trained)])
    write_text(folder / "steps.svg", [steps_picture(trained)])
    write_text(folder / "study.md", [f"# Rounding, {chip.title}\n\n", text])
    print(text)
    return 0


def rates_picture(trained: Sequence[Trained]) -> str:
    """How much validation loss ends above that of fp32, against learning rate."""
    rates = sorted({each.rate for each in trained})
    series = {
        variant: [
            (rate, mean_validation(trained, variant, rate) - mean_validation(trained, "fp32", rate))
            for rate in rates
        ]
        for variant in dict.fromkeys(each.variant for each in trained)
    }
    return lines(
        "Validation loss above that of fp32", "highest learning rate", "nats", series, logarithmic=True
    )


def steps_picture(trained: Sequence[Trained]) -> str:
    """Training loss against steps, at the lowest rate, where rounding hurts most."""
    rate = min(each.rate for each in trained)
    seed = min(each.seed for each in trained)
    series = {
        each.variant: smoothed(each.losses, max(1, len(each.losses) // 20))
        for each in trained
        if (each.rate, each.seed) == (rate, seed)
    }
    return lines(f"Training loss at rate {rate:g}, seed {seed}", "step", "nats", series)


def _parser() -> Parser:
    parser = Parser("study", "What a number format does to training, and what it costs.", _EPILOG)
    add = parser.add_argument
    add("subject", help="rounding")
    add("--short", action="store_true", help="one seed, two rates, 60 steps: much shorter")
    add("--chip", default="trn1", help="one that rounds stochastically")
    add("--out", default="rounding", metavar="FOLDER", help="where the results go; made if it is not there")
    return parser
