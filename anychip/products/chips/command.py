"""The command ``anychip chips`` and its arguments."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anychip import chips
from anychip.chips.instances import Market, snapshot
from anychip.chips.prices import with_prices
from anychip.errors import InvalidInput
from anychip.products.arguments import Parser
from anychip.products.chips import document
from anychip.products.chips.comparison import compared, print_comparison
from anychip.products.chips.listing import print_listing
from anychip.products.chips.page import print_page

_EPILOG = """\
anychip chips                             the catalogue
anychip chips show trn1                   one chip: blocks, facts, sources, instances, what is unknown
anychip chips show mychip.py              the same of a chip of your own
anychip chips compare trn1 inf2 a10g      side by side: rates, watts, joules, dollars
"""


def main(argv: Sequence[str]) -> int:
    """Runs ``anychip chips`` with these arguments; returns the exit code.

    Raises:
        AnychipError: an unknown chip, option or action, or a price file that cannot be used.
    """
    parser = Parser("chips", "The catalogue of chips: what they are built of, cost and draw.", _EPILOG)
    parser.add_argument(
        "action", nargs="?", choices=("list", "show", "compare"), default="list", metavar="ACTION"
    )
    parser.add_argument(
        "names", nargs="*", metavar="CHIP", help="name, or path of a Python file that defines one"
    )
    parser.add_argument("--json", action="store_true", help="as JSON on standard output")
    parser.add_argument(
        "--prices", type=Path, metavar="FILE", help="a price table put over the packaged snapshot"
    )
    options = parser.parse(argv)
    market = snapshot() if options.prices is None else with_prices(options.prices)
    found = [chips.find(name) for name in options.names]
    if options.action == "list":
        return _list(found, market, as_json=options.json)
    if not found:
        raise InvalidInput(
            f"anychip chips {options.action}: which chip? for example `anychip chips show trn1`"
        )
    if options.action == "show":
        return _show(found, market, as_json=options.json)
    return _compare(found, market, as_json=options.json)


def _list(found: list[chips.Chip], market: Market, *, as_json: bool) -> int:
    listed = found or list(chips.every_chip())
    if as_json:
        return _write("list", [document.summary(chip, market) for chip in listed])
    print_listing(listed, market, sys.stdout)
    return 0


def _show(found: list[chips.Chip], market: Market, *, as_json: bool) -> int:
    if as_json:
        return _write("show", [document.full(chip, market) for chip in found])
    for index, chip in enumerate(found):
        if index:
            print()
        print_page(chip, market, sys.stdout)
    return 0


def _compare(found: list[chips.Chip], market: Market, *, as_json: bool) -> int:
    if len(found) < 2:
        raise InvalidInput(f"anychip chips compare: {found[0].name} with what? name at least two chips")
    if as_json:
        return _write("compare", [document.comparison(compared(chip, market)) for chip in found])
    print_comparison(found, market, sys.stdout)
    return 0


def _write(view: str, entries: list[dict[str, Any]]) -> int:
    json.dump(document.wrapped_document(view, entries), sys.stdout, indent=2)
    print()
    return 0
