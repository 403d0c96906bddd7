"""``anychip prices``: what the packaged snapshot covers; other people's price files as a price table."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from anychip.chips import names
from anychip.chips.instances import Market, snapshot
from anychip.chips.prices import read, table_of
from anychip.errors import InvalidInput, unknown_name
from anychip.products.arguments import Parser
from anychip.products.chips.screen import grid, paper, wrapped
from anychip.profile.writing import write_text

_EPILOG = """\
anychip prices                                       what the packaged snapshot covers, and how old it is
anychip prices import vms.csv --to my.csv            SkyPilot's catalogue as a price table
anychip prices import instances.json --to my.csv     Vantage's list of instances
anychip choose serve.py --prices my.csv              rank with it
"""


def main(argv: Sequence[str]) -> int:
    """Runs ``anychip prices`` with these arguments; returns the exit code.

    Raises:
        AnychipError: a file that cannot be read or written, an unknown action.
    """
    parser = Parser("prices", "Prices of instances: where they come from, and your own.", _EPILOG)
    parser.add_argument("words", nargs="*", metavar="[import FILE]")
    parser.add_argument(
        "--to", type=Path, metavar="CSV", help="where to write the table; default standard output"
    )
    options = parser.parse(argv)
    words: list[str] = options.words
    if not words:
        _cover(snapshot())
        return 0
    if words[0] != "import":
        raise unknown_name("action", words[0], ("import",), "`anychip prices --help` shows examples")
    if len(words) != 2:
        raise InvalidInput(
            "anychip prices import: give one file, for example `anychip prices import vms.csv`"
        )
    table = table_of(read(words[1]))
    if options.to is None:
        sys.stdout.write(table)
    else:
        write_text(options.to, [table])
        print(f"{options.to}: {table.count(chr(10)) - 1} instances; use it with --prices {options.to}")
    return 0


def _cover(market: Market) -> None:
    places = Counter((instance.cloud, instance.region) for instance in market.instances)
    table = grid()
    for title in ("cloud", "region", "instances", "on demand", "spot", "reserved", "read on"):
        table.add_column(title, justify="left" if title in ("cloud", "region", "read on") else "right")
    for cloud, region in sorted(places):
        here = [each for each in market.instances if (each.cloud, each.region) == (cloud, region)]
        counts = [
            sum(each.price(term) is not None for each in here) for term in ("on-demand", "spot", "reserved")
        ]
        dates = {fact.source.read_on for each in here for fact in each.usd_per_hour.values()}
        table.add_row(cloud, region, str(len(here)), *map(str, counts), ", ".join(sorted(dates)))
    unpriced = [name for name in names() if market.cheapest(name) is None and name != "basecamp"]
    with paper(sys.stdout) as out:
        out.print(table)
        out.print()
        out.print(wrapped(f"No price of a whole chip: {', '.join(unpriced)}."))
