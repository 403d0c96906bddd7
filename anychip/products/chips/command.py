"""The command ``anychip chips`` and its arguments."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anychip import chips
from anychip.chips.instances import Market, snapshot
from anychip.chips.names import SPELLINGS, meant
from anychip.chips.prices import with_prices
from anychip.errors import InvalidInput, unknown_name
from anychip.products.arguments import Parser
from anychip.products.chips import document
from anychip.products.chips.comparison import compared, print_comparison
from anychip.products.chips.listing import print_listing
from anychip.products.chips.page import print_page
from anychip.products.chips.web import page_of
from anychip.profile.writing import check_writable, write_text

_ACTIONS = ("list", "show", "compare")
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
        "words", nargs="*", metavar="[show|compare] CHIP", help="names, or Python files that define a chip"
    )
    parser.add_argument("--json", action="store_true", help="as JSON on standard output")
    parser.add_argument(
        "--prices", type=Path, metavar="FILE", help="a price table put over the packaged snapshot"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="compare: also as a page with pictures")
    options = parser.parse(argv)
    market = snapshot() if options.prices is None else with_prices(options.prices)
    action, names = _asked(options.words)
    if options.html is not None:
        if action != "compare":
            raise InvalidInput("anychip chips --html: pictures need a comparison; say compare and two chips")
        check_writable(options.html)
    found = [chips.find(name) for name in names]
    if action == "list":
        return _list(found, market, as_json=options.json)
    if not found:
        raise InvalidInput(f"anychip chips {action}: which chip? for example `anychip chips show trn1`")
    if action == "show":
        return _show(found, market, as_json=options.json)
    return _compare(found, market, as_json=options.json, page=options.html)


def _asked(words: list[str]) -> tuple[str, list[str]]:
    """Action and chips; a chip without an action is shown.

    Raises:
        UnknownName: the first word is neither an action nor a chip.
    """
    if not words:
        return "list", []
    if words[0] in _ACTIONS:
        return words[0], words[1:]
    if meant(words[0]) or words[0].endswith(".py"):
        return "show", words
    known = {*_ACTIONS, *SPELLINGS}
    raise unknown_name("action or chip", words[0], known, "`anychip chips --help` shows examples")


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


def _compare(found: list[chips.Chip], market: Market, *, as_json: bool, page: Path | None) -> int:
    if len(found) < 2:
        raise InvalidInput(f"anychip chips compare: {found[0].name} with what? name at least two chips")
    entries = [compared(chip, market) for chip in found]
    if page is not None:
        write_text(page, [page_of(entries)])
    if as_json:
        return _write("compare", [document.comparison(entry) for entry in entries])
    print_comparison(entries, sys.stdout)
    return 0


def _write(view: str, entries: list[dict[str, Any]]) -> int:
    json.dump(document.wrapped_document(view, entries), sys.stdout, indent=2)
    print()
    return 0
