"""Several chips side by side: rates, watts, joules by operation, dollars; and the same as bars."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TextIO

from rich.console import Console

from anychip.chips import Chip
from anychip.chips.instances import Market
from anychip.facts import Fact
from anychip.products.chips.quantities import (
    EIGHT_BIT,
    SIXTEEN_BIT,
    bandwidth,
    joules_per_byte,
    joules_per_operation,
    peak,
    rent,
    square_product,
)
from anychip.products.chips.screen import ACCENT, NOTHING, grid, paper, tera, wrapped

#: Chips next to each other; more go into further tables.
_ABREAST = 5
_BAR = 44


class Compared(NamedTuple):
    """What is compared of one chip; None is unknown.

    Args:
        chip: which.
        peaks: operations a second, by class of operands.
        formats: the format behind each class.
        achieved: operations a second of a simulated square product of 16-bit tensors.
        byte_per_s: of main memory.
        memory_bytes: capacity.
        limit_w: thermal design power.
        base_w: while loaded.
        busy_w: (low, value, high) while multiplying at the achieved rate.
        operation_j: by format.
        byte_j: of main memory.
        instance: cheapest with a whole chip.
        usd_per_hour: of a chip.
    """

    chip: Chip
    peaks: dict[str, float]
    formats: dict[str, str]
    achieved: float | None
    byte_per_s: float
    memory_bytes: float
    limit_w: float | None
    base_w: Fact | None
    busy_w: tuple[float, float, float] | None
    operation_j: dict[str, Fact]
    byte_j: Fact | None
    instance: str | None
    usd_per_hour: float | None

    @property
    def usd_per_petaflop_hour(self) -> float | None:
        """Dollars of 1e15 achieved 16-bit operations a second for an hour."""
        if self.usd_per_hour is None or not self.achieved:
            return None
        return self.usd_per_hour / (self.achieved / 1e15)

    @property
    def busy_j(self) -> float | None:
        """Joules of one 16-bit operation, the chip's base included."""
        return None if self.busy_w is None or not self.achieved else self.busy_w[1] / self.achieved


_CLASSES = {"16-bit": SIXTEEN_BIT, "8-bit": EIGHT_BIT, "tf32": ("tf32",), "fp32": ("fp32",)}


def compared(chip: Chip, market: Market) -> Compared:
    """Gathers what is compared."""
    found = {label: peak(chip, *names) for label, names in _CLASSES.items()}
    peaks = {label: each[1] for label, each in found.items() if each is not None}
    names = {label: each[0] for label, each in found.items() if each is not None}
    sixteen = names.get("16-bit")
    product = None if sixteen is None else square_product(chip, sixteen)
    rented = rent(chip, market)
    power = chip.power
    energies = {label: joules_per_operation(chip, name) for label, name in names.items()}
    return Compared(
        chip=chip,
        peaks=peaks,
        formats=names,
        achieved=None if product is None else product.operations_per_second,
        byte_per_s=bandwidth(chip),
        memory_bytes=chip.main_memory.capacity_bytes,
        limit_w=None if power is None or power.limit_w is None else power.limit_w.value,
        base_w=None if power is None else power.base_w,
        busy_w=None if product is None else product.watts,
        operation_j={label: fact for label, fact in energies.items() if fact is not None},
        byte_j=joules_per_byte(chip),
        instance=None if rented is None else rented[0].name,
        usd_per_hour=None if rented is None else rented[1].value,
    )


def print_comparison(entries: list[Compared], stream: TextIO) -> None:
    """Tables of at most five chips, then bars of all."""
    with paper(stream) as out:
        _print(out, entries)


def _print(out: Console, entries: list[Compared]) -> None:
    for start in range(0, len(entries), _ABREAST):
        abreast = entries[start : start + _ABREAST]
        table = grid()
        table.add_column("", width=25, no_wrap=True)
        for entry in abreast:
            table.add_column(entry.chip.name, justify="right", no_wrap=True, header_style=f"bold {ACCENT}")
        for label, text in ROWS:
            if text is None:
                table.add_row(label, style="dim")
            else:
                table.add_row(f"  {label}", *(text(entry) for entry in abreast))
        out.print(table)
        out.print()
    for title, value, write in _BARS:
        _bars(out.print, title, entries, value, write)
    out.print(wrapped(LEGEND), style="dim")


def _peak(label: str) -> Callable[[Compared], str]:
    def text(entry: Compared) -> str:
        name = entry.formats.get(label)
        if name is None:
            return NOTHING
        return tera(entry.peaks[label]) + (f" {name}" if label == "8-bit" and name == "int8" else "")

    return text


def _energy(label: str) -> Callable[[Compared], str]:
    def text(entry: Compared) -> str:
        fact = entry.operation_j.get(label)
        return NOTHING if fact is None else _span(fact.range[0] * 1e12, fact.range[1] * 1e12)

    return text


def _span(low: float, high: float) -> str:
    ends = [f"{end:.2g}" if end < 100 else f"{end:.0f}" for end in (low, high)]
    return "-".join(dict.fromkeys(ends))


def _number(value: float | None, digits: int = 3) -> str:
    return NOTHING if value is None else f"{value:.{digits}g}"


def _base(entry: Compared) -> str:
    return NOTHING if entry.base_w is None else _span(*entry.base_w.range)


def _busy(entry: Compared) -> str:
    return NOTHING if entry.busy_w is None else _span(entry.busy_w[0], entry.busy_w[2])


def _share(entry: Compared) -> str:
    best = entry.peaks.get("16-bit")
    return NOTHING if not best or entry.achieved is None else f"{100 * entry.achieved / best:.0f} %"


def _per_byte(entry: Compared) -> str:
    fact = entry.byte_j
    return NOTHING if fact is None else _span(fact.range[0] * 1e12, fact.range[1] * 1e12)


ROWS: tuple[tuple[str, Callable[[Compared], str] | None], ...] = (
    ("peak, 1e12 op/s", None),
    ("16-bit", _peak("16-bit")),
    ("8-bit", _peak("8-bit")),
    ("tf32", _peak("tf32")),
    ("fp32", _peak("fp32")),
    ("achieved, 16-bit", lambda entry: tera(entry.achieved)),
    ("achieved of peak", _share),
    ("memory", None),
    ("GiB", lambda entry: f"{entry.memory_bytes / 2**30:.3g}"),
    ("TB/s", lambda entry: f"{entry.byte_per_s / 1e12:.3g}"),
    ("16-bit op a byte", lambda entry: _number(entry.peaks.get("16-bit", 0.0) / entry.byte_per_s)),
    ("watts", None),
    ("thermal design power", lambda entry: _number(entry.limit_w, 4)),
    ("loaded, doing nothing", _base),
    ("multiplying", _busy),
    ("picojoules", None),
    ("a 16-bit operation", _energy("16-bit")),
    ("an 8-bit operation", _energy("8-bit")),
    ("an fp32 operation", _energy("fp32")),
    ("a byte of memory", _per_byte),
    ("dollars", None),
    ("cheapest instance", lambda entry: entry.instance or NOTHING),
    ("a chip-hour, on demand", lambda entry: _number(entry.usd_per_hour)),
    ("a petaflop-hour", lambda entry: _number(entry.usd_per_petaflop_hour)),
)

_BARS: tuple[tuple[str, Callable[[Compared], float | None], Callable[[float], str]], ...] = (
    ("achieved 16-bit rate, 1e12 operations a second", lambda entry: entry.achieved, tera),
    ("main memory, TB/s", lambda entry: entry.byte_per_s, lambda value: f"{value / 1e12:.3g}"),
    (
        "picojoules a 16-bit operation, chip's base included",
        lambda entry: entry.busy_j,
        lambda value: f"{value * 1e12:.2g}",
    ),
    (
        "dollars an achieved 16-bit petaflop-hour",
        lambda entry: entry.usd_per_petaflop_hour,
        lambda value: f"{value:.3g}",
    ),
)

LEGEND = (
    "Achieved: a simulated 4096 x 4096 x 4096 product on all cores, launch and call latency left out; "
    "petaflop-hours and watts are at that rate. Ranges are those of the facts; watts never exceed a "
    "published limit. "
    "`anychip chips show NAME` says what each number rests on."
)


def _bars(
    write: Callable[..., None],
    title: str,
    entries: list[Compared],
    value: Callable[[Compared], float | None],
    text: Callable[[float], str],
) -> None:
    values = [value(entry) for entry in entries]
    longest = max((each for each in values if each is not None), default=None)
    write(title, style="bold")
    for entry, each in zip(entries, values, strict=True):
        if each is None or not longest:
            write(f"  {entry.chip.name:<18}{NOTHING}")
        else:
            bar = "█" * max(1, round(_BAR * each / longest))
            write(f"  {entry.chip.name:<18}{bar} {text(each)}")
    write("")
