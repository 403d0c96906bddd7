"""How this command writes: at most 100 columns, one accent colour, plain when piped or with NO_COLOR."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Generator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.table import Table

from anychip.facts import Fact
from anychip.units import binary, decimal, scale

WIDTH = 100
ACCENT = "cyan"
NOTHING = "-"


@contextmanager
def paper(stream: TextIO) -> Generator[Console]:
    """A console of 100 columns on any terminal; written to `stream` at once, without trailing blanks."""
    text = io.StringIO()
    yield Console(
        file=text,
        width=WIDTH,
        highlight=False,
        emoji=False,
        markup=False,
        force_terminal=stream.isatty(),
        legacy_windows=False,
    )
    stream.write("".join(line.rstrip() + "\n" for line in text.getvalue().splitlines()))


def grid(*, header: bool = True) -> Table:
    """A table without lines."""
    return Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="dim",
        show_edge=False,
        show_header=header,
    )


def wrapped(text: str, *, indent: str = "", first: str | None = None) -> str:
    """A paragraph of at most 100 columns."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def tera(value: float | None) -> str:
    """Operations a second in units of 1e12."""
    if value is None:
        return NOTHING
    return f"{value / 1e12:.3g}" if value < 1e15 else f"{value / 1e12:.0f}"


def quantity(value: float, unit: str) -> str:
    """A number with its unit as a person would write it."""
    if unit == "byte":
        return binary(value)
    if unit in _DECIMAL:
        return decimal(value, _DECIMAL[unit])
    number = f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return number if unit in ("1", "year") else f"{number} {unit}"


#: Units that take prefixes of a thousand, as they are written.
_DECIMAL = {"byte/s": "B/s", **{unit: unit for unit in ("Hz", "W", "J", "s", "flop/s", "op/s")}}


def ranged(fact: Fact) -> str:
    """``2.9 TB/s  (2.9 to 3)``: the value, and the range in its unit where there is one."""
    text = quantity(fact.value, fact.unit)
    if fact.low is None and fact.high is None:
        return text
    if fact.value == 0 and fact.unit in _DECIMAL:
        return f"{text}  ({' to '.join(quantity(end, fact.unit) for end in fact.range)})"
    factor = 1.0
    if fact.unit in _DECIMAL and fact.value:
        factor = scale(fact.value)[0]
    elif fact.unit == "byte":
        factor = next((2.0**power for power in (40, 30, 20, 10) if fact.value >= 2.0**power), 1.0)
    low, high = (
        f"{end / factor:,.4g}" if end / factor < 1e4 else f"{end / factor:,.0f}" for end in fact.range
    )
    return f"{text}  ({low} to {high})"
