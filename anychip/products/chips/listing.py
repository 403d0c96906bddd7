"""The catalogue as a table."""

from __future__ import annotations

from typing import TextIO

from anychip.chips import Chip
from anychip.chips.instances import Market
from anychip.products.chips.quantities import EIGHT_BIT, SIXTEEN_BIT, bandwidth, peak, rent
from anychip.products.chips.screen import ACCENT, NOTHING, grid, paper, tera, wrapped


def print_listing(chips: list[Chip], market: Market, stream: TextIO) -> None:
    """One line a chip, a blank line between vendors."""
    table = grid()
    table.add_column("chip", style=ACCENT, no_wrap=True)
    table.add_column("", width=34, no_wrap=True, overflow="ellipsis")
    for title in _NUMBERS:
        table.add_column(title, justify="right", no_wrap=True)
    vendor = chips[0].vendor if chips else ""
    for chip in chips:
        if chip.vendor != vendor:
            table.add_row()
            vendor = chip.vendor
        table.add_row(*_row(chip, market))
    with paper(stream) as out:
        out.print(table)
        out.print()
        out.print(wrapped(_legend(market)), style="dim")


_NUMBERS = ("16-bit", "8-bit", "fp32", "GiB", "TB/s", "W", "USD/h")


def _row(chip: Chip, market: Market) -> tuple[str, ...]:
    sixteen, eight, full = peak(chip, *SIXTEEN_BIT), peak(chip, *EIGHT_BIT), peak(chip, "fp32")
    limit = None if chip.power is None else chip.power.limit_w
    rented = rent(chip, market)
    return (
        chip.name,
        chip.title,
        tera(sixteen[1] if sixteen else None),
        NOTHING if eight is None else tera(eight[1]) + ("i" if eight[0] == "int8" else ""),
        tera(full[1] if full else None),
        f"{chip.main_memory.capacity_bytes / 2**30:.3g}",
        f"{bandwidth(chip) / 1e12:.3g}",
        NOTHING if limit is None else f"{limit.value:.0f}",
        NOTHING if rented is None else f"{rented[1].value:.2f}",
    )


def _legend(market: Market) -> str:
    dates = sorted(
        {fact.source.read_on for instance in market.instances for fact in instance.usd_per_hour.values()}
    )
    when = f" (snapshots of {dates[0]} to {dates[-1]})" if dates else ""
    return (
        "Dense peaks in 1e12 operations a second; i: int8. W: thermal design power. "
        f"USD/h: a chip, on demand, cheapest instance with a whole one{when}. -: not published or not sold. "
        "`anychip chips show NAME` gives blocks, facts and sources."
    )
