"""``anychip run``: a user's script on a chip, then the report.

What the script prints stays what it would be: the report goes to standard error, after it.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from anychip.chips import Chip, find
from anychip.chips.instances import TERMS, snapshot, term_named
from anychip.errors import InvalidInput
from anychip.products.arguments import Parser
from anychip.profile import Profile
from anychip.profile.money import Rent
from anychip.profile.words import PLURAL
from anychip.profile.writing import check_writable, write_text

_EPILOG = """\
The script runs unedited: .cuda(), autocast("cuda"), torch.compile and the like mean the chip. Its own output
stays on standard output; the report follows on standard error. Options of the script come after its name.

examples:
  anychip run --chip trn1 train.py --epochs 1
  anychip run --chip h100 --no-values --max-steps 2 --json profile.json train.py
"""


def main(argv: Sequence[str]) -> int:
    """Runs ``anychip run``."""
    options = _parser().parse(argv)
    reports = _reports(options)
    for path, _ in reports:
        if path != _STDOUT:
            check_writable(path)
    chip = find(options.chip)
    rent = _rent(chip, options.instance, options.terms)
    from anychip.run import Settings, run_script

    settings = Settings(
        chip=chip,
        numerics=options.numerics,
        rounding=options.rounding,
        seed=options.seed,
        with_values=not options.no_values,
        stop_after=options.max_steps or (STEPS_WITHOUT_VALUES if options.no_values else None),
        rent=rent,
        redact=options.redact,
    )
    settings.arithmetic()
    if options.threads is not None:
        _use_threads(options.threads)
    ended = run_script(options.script, options.arguments, settings)
    sys.stdout.flush()
    if ended.error is not None:
        traceback.print_exception(ended.error)
    if ended.run.graph().is_idle:
        if ended.exit_code:
            return ended.exit_code
        raise InvalidInput(
            f"{options.script}: came to its end without running or copying anything on the device; "
            'move model and inputs there, for instance with .cuda() or .to("anychip")'
        )
    profile = ended.run.profile()
    if not options.quiet:
        if ended.stopped:
            print(f"\nstopped after {_seen(profile)}; --max-steps sets another number", file=sys.stderr)
        _print(profile)
    for path, chunks in reports:
        _write(path, chunks(profile))
    return ended.exit_code


_STDOUT = Path("-")
#: Without values a script's own loops may never end, and more steps would tell nothing more.
STEPS_WITHOUT_VALUES = 4


def _seen(profile: Profile) -> str:
    count = sum(group.count for group in profile.passes)
    kind = profile.passes[0].kind if profile.passes else "run"
    return f"{count} {kind if count == 1 else PLURAL[kind]}"


def _reports(options: argparse.Namespace) -> list[tuple[Path, Callable[[Profile], Iterable[str]]]]:
    """The files asked for, with what makes their text."""
    from anychip.profile.document import json_of
    from anychip.profile.page import page_of
    from anychip.profile.perfetto import trace_chunks

    asked: list[tuple[str | None, Callable[[Profile], Iterable[str]]]] = [
        (options.json, lambda profile: [json_of(profile)]),
        (options.trace, trace_chunks),
        (options.html, lambda profile: [page_of(profile)]),
    ]
    return [(Path(path), make) for path, make in asked if path is not None]


def _write(path: Path, chunks: Iterable[str]) -> None:
    if path == _STDOUT:
        sys.stdout.writelines(chunks)
        sys.stdout.flush()
    else:
        write_text(path, chunks)


def _print(profile: Profile) -> None:
    from anychip.profile.terminal import print_to

    sys.stderr.write("\n")
    print_to(profile, sys.stderr)
    sys.stderr.flush()


def _rent(chip: Chip, instance: str | None, terms: str | None) -> Rent | None:
    """What is paid for: the instance asked for, or the cheapest one with the chip.

    Raises:
        UnknownName: no such instance or terms.
        InvalidInput: terms were asked for under which nothing with the chip has a known price.
    """
    market, term = snapshot(), term_named(terms or "on-demand")
    chosen = market.cheapest(chip.name, term=term) if instance is None else market.named(instance)
    if chosen is not None and chosen.chip != chip.name:
        known = ", ".join(dict.fromkeys(each.name for each in market.of_chip(chip.name)))
        carrying = f"instances with it: {known}" if known else "no instance with it is known"
        raise InvalidInput(f"instance {chosen.name}: carries {chosen.chip}, not {chip.name}; {carrying}")
    price = None if chosen is None else chosen.price(term)
    if chosen is not None and price is not None:
        return Rent(chosen.name, chosen.chip_share, price)
    if terms is None:
        return None
    offers = [chosen] if instance is not None and chosen is not None else market.of_chip(chip.name)
    others = [each for each in TERMS if any(offer.price(each) is not None for offer in offers)]
    nearest = f"known: {', '.join(others)}" if others else "no price of it is known; leave --terms out"
    raise InvalidInput(f"--terms {terms}: no such price of {instance or chip.name} is known; {nearest}")


def _use_threads(threads: int) -> None:
    """Limits this machine's threads; PyTorch is not loaded yet and reads them from the environment."""
    from anychip.formats import compiled

    os.environ["OMP_NUM_THREADS"] = str(threads)
    compiled.set_threads(threads)


def _count(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a count; give a whole number of at least 1')
    return value


def _parser() -> Parser:
    parser = Parser("run", "Run a PyTorch script on a chip.", _EPILOG)
    add = parser.add_argument
    add("--chip", required=True, help="name (see `anychip chips`) or the path of a chip file")
    add("--no-values", action="store_true", help="time only: compute nothing, for models of any size")
    add("--numerics", default="default", metavar="NAME", help="fp32, bf16, fp8 ...: formats of contractions")
    add("--rounding", default="nearest-even", metavar="MODE", help="nearest-even or stochastic")
    add("--seed", type=int, help="of stochastic rounding")
    add("--threads", type=_count, metavar="N", help="of this machine; results do not depend on it")
    add(
        "--max-steps",
        type=_count,
        metavar="N",
        help="stop after N steps or forward passes; without values: 4",
    )
    add(
        "--instance", metavar="NAME", help="what is rented, for the cost; default: the cheapest with the chip"
    )
    add("--terms", metavar="|".join(TERMS), help="of the price; default on-demand")
    add("--json", metavar="FILE", help="write the profile as JSON (docs/json.md); - for standard output")
    add("--trace", metavar="FILE", help="write a timeline for ui.perfetto.dev")
    add("--html", metavar="FILE", help="write a page with pictures")
    add("--redact", action="store_true", help="leave names of source files out of all reports")
    add("--quiet", action="store_true", help="print no report")
    add("script", help="the Python file to run")
    add("arguments", nargs=argparse.REMAINDER, metavar="...", help="arguments of the script")
    return parser
