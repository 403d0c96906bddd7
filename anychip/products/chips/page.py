"""One chip: what it is built of, where every number comes from, what nobody publishes, what it rents for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TextIO

from rich.console import Console

from anychip.arithmetic import Lanes, Order, Tiles, Tree
from anychip.blocks import Block
from anychip.chips import Chip, choices
from anychip.chips.instances import Market
from anychip.facts import Fact, Source
from anychip.products.chips.quantities import formats, unknown
from anychip.products.chips.screen import ACCENT, NOTHING, grid, paper, quantity, ranged, tera, wrapped

#: Instances that a page lists at most; the rest are counted.
_INSTANCES = 12


class _Notes:
    """Numbers the sources in order of first use."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str, str], int] = {}

    def mark(self, source: Source) -> str:
        """``published [3]``."""
        key = (source.kind, source.where, source.read_on)
        return f"{source.kind} [{self._numbers.setdefault(key, len(self._numbers) + 1)}]"

    def lines(self) -> Iterator[str]:
        """The list of sources."""
        for (_, where, read_on), number in self._numbers.items():
            yield wrapped(f"{where} ({read_on})", indent=" " * 8, first=f"  {f'[{number}]':<6}")


def print_page(chip: Chip, market: Market, stream: TextIO) -> None:
    """Prints everything known about a chip."""
    with paper(stream) as out:
        _print(out, chip, market)


def _print(out: Console, chip: Chip, market: Market) -> None:
    notes = _Notes()
    names = f" ({', '.join(chip.aliases)})" if chip.aliases else ""
    out.print(f"{chip.title} · {chip.name}{names}", style="bold")
    out.print(wrapped(f"{chip.vendor} · {chip.kind}" + (f" · {chip.note}" if chip.note else "")), style="dim")
    _peaks(out, chip, notes)
    _arithmetic(out, chip)
    _facts(out, "chip", _chip_facts(chip), notes)
    out.print("\nblocks", style="bold")
    for name, block in chip.blocks():
        _block(out, name, block, notes)
    _facts(out, "software", [(name, fact) for name, fact in chip.policy.facts.items()], notes)
    if chip.power is not None:
        _facts(out, "energy", list(chip.power.all_facts()), notes)
    _rent(out, chip, market)
    out.print("\nunknown or assumed", style="bold")
    for line in unknown(chip, market):
        out.print(wrapped(line, indent="    ", first="  "))
    out.print("\nsources", style="bold")
    for line in notes.lines():
        out.print(line, style="dim")


def _peaks(out: Console, chip: Chip, notes: _Notes) -> None:
    out.print("\npeak, dense, 1e12 operations a second", style="bold")
    table = grid()
    for title, justify in (
        ("  format", "left"),
        ("stated", "right"),
        ("range", "left"),
        ("blocks make", "right"),
        ("", "left"),
    ):
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for name in formats(chip):
        fact = chip.facts.get(f"peak.{name}")
        low, high = (None, None) if fact is None or fact.low is None else fact.range
        table.add_row(
            f"  {name}",
            tera(None if fact is None else fact.value),
            "" if low is None else f"{tera(low)} to {tera(high)}",
            tera(2 * chip.macs_per_second(name)),
            "" if fact is None else notes.mark(fact.source),
        )
    out.print(table)


def _arithmetic(out: Console, chip: Chip) -> None:
    numerics = chip.numerics
    casts = ", ".join(f"{stored} as {read}" for stored, read in numerics.operands) or "nothing is cast"
    rule = numerics.contractions[0]
    accumulator = rule.accumulator.name
    out.print("\narithmetic", style="bold")
    order = _order(rule.order)
    lines = (
        f"{numerics.name}: in matrix products {casts}; sums in {accumulator}, {order}, "
        f"rounded per {rule.rounded}",
        f"rounding of stores: {', '.join(chip.roundings)}",
        f"--numerics: {', '.join(choices(chip))}",
    )
    for line in lines:
        out.print(wrapped(line, indent="    ", first="  "))


def _order(order: Order) -> str:
    match order:
        case Tiles(length=length):
            return f"in tiles of {length}"
        case Tree(width=width) | Lanes(width=width):
            return f"in {type(order).__name__.lower()} of {width}"
        case _:
            return type(order).__name__.lower()


def _chip_facts(chip: Chip) -> list[tuple[str, Fact]]:
    return [(name, fact) for name, fact in chip.facts.items() if not name.startswith("peak.")]


def _facts(out: Console, title: str, facts: list[tuple[str, Fact]], notes: _Notes) -> None:
    if not facts:
        return
    out.print(f"\n{title}", style="bold")
    table = grid(header=False)
    table.add_column(width=32, no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="dim")
    for name, fact in facts:
        table.add_row(f"  {name}", ranged(fact), notes.mark(fact.source))
    out.print(table)


def _block(out: Console, name: str, block: Block, notes: _Notes) -> None:
    out.print(f"  {name:<12}{type(block).__name__}", style=ACCENT)
    table = grid(header=False)
    table.add_column(width=32, no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="dim")
    for path, text, mark in _parameters(block, notes):
        table.add_row(f"    {path}", text, mark)
    out.print(table)


def _parameters(block: Block, notes: _Notes) -> Iterator[tuple[str, str, str]]:
    shown = {path.partition(".")[0] for path in block.facts}
    costs = [path for path in block.facts if path.startswith("cost.")]
    alike: dict[Fact, list[str]] = {}
    for path in costs:
        alike.setdefault(block.facts[path], []).append(path)
    for path, fact in block.facts.items():
        group = alike[fact] if path in costs else [path]
        if path == group[0]:
            label = path if len(group) == 1 else f"{path} (and {len(group) - 1} more)"
            yield label, ranged(fact), notes.mark(fact.source)
    for each in fields(block):
        value = getattr(block, each.name)
        if (
            each.name == "facts"
            or each.name in shown
            or value is None
            or value == each.default
            or value == {}
        ):
            continue
        if isinstance(value, bool | str):
            yield each.name, str(value).lower(), ""
        elif isinstance(value, int | float):
            yield each.name, quantity(value, _UNITS.get(each.name.rpartition("_")[2], "1")), "chosen"
        else:
            yield each.name, ", ".join(f"{key} {number:g}" for key, number in dict(value).items()), "chosen"


#: Units by the last word of a parameter's name.
_UNITS = {"hz": "Hz", "bytes": "byte", "second": "byte/s", "cycles": "cycle"}


def _rent(out: Console, chip: Chip, market: Market) -> None:
    instances = market.of_chip(chip.name)
    if not instances:
        return
    out.print("\nrent, USD per hour", style="bold")
    table = grid()
    columns = ("  instance", "region", "chips", "on demand", "a chip", "spot", "reserved", "snapshot")
    for index, title in enumerate(columns):
        table.add_column(title, justify="left" if index < 2 or index == 7 else "right", no_wrap=True)
    whole = [instance for instance in instances if instance.whole_chips >= 1]
    listed = (whole or list(instances))[:_INSTANCES]
    for instance in listed:
        prices = [
            instance.price(),
            instance.usd_per_chip_hour(),
            instance.price("spot"),
            instance.price("reserved"),
        ]
        dates = sorted({fact.source.read_on for fact in prices if fact is not None})
        table.add_row(
            f"  {instance.name}",
            f"{instance.cloud} {instance.region}",
            str(instance.chips) if instance.chips.denominator == 1 else f"{float(instance.chips):.3g}",
            *(NOTHING if fact is None else f"{fact.value:,.4g}" for fact in prices),
            dates[0] if dates else NOTHING,
        )
    out.print(table)
    rest = len(instances) - len(listed)
    if rest:
        out.print(f"  and {rest} more", style="dim")
