"""The report in a terminal: at most 100 columns, answer first, one accent colour."""

from __future__ import annotations

import io
from typing import TextIO

from rich.console import Console
from rich.text import Text

from anychip.profile import words
from anychip.profile.layers import top
from anychip.profile.profile import PassGroup, Profile
from anychip.units import binary, seconds

WIDTH = 100
_LABEL, _VALUE = 16, 24
_ACCENT = "cyan"
_LAYER_ROWS = 9


def text_of(profile: Profile) -> str:
    """The report as plain text."""
    stream = io.StringIO()
    _console(stream, color=False).print(_report(profile), end="")
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def print_to(profile: Profile, stream: TextIO) -> None:
    """Prints the report, coloured if `stream` is a terminal and NO_COLOR is not set."""
    _console(stream, color=True).print(_report(profile), end="")


def _console(stream: TextIO, *, color: bool) -> Console:
    return Console(
        file=stream,
        width=WIDTH,
        highlight=False,
        emoji=False,
        markup=False,
        soft_wrap=True,
        color_system="auto" if color else None,
    )


def _report(profile: Profile) -> Text:
    text = Text()
    _headline(text, words.headline(profile))
    unit = profile.unit
    time = seconds(words.unit_seconds(profile)) + (
        f" {words.per_unit(profile)}" if unit.name != "run" else ""
    )
    _row(text, "time", time, words.division_items(profile, unit))
    if unit.division.total:
        bound = words.bound_name(profile, profile.bound_by)
        _row(text, "bound by", bound, words.use_items(profile, unit))
    rates = words.rate_items(profile)
    if rates:
        _row(text, "rate", rates[0], rates[1:])
    for line in _passes(profile):
        _row(text, *line)
    memory = profile.memory
    _row(
        text,
        "memory",
        f"{binary(memory.peak_bytes)} of {binary(memory.capacity_bytes)}",
        [*_verdict(profile), *words.memory_items(profile)],
    )
    _row(text, "energy", *words.energy_text(profile))
    if unit.energy.total_j is not None:
        _row(text, "power", *words.power_text(profile))
    _row(text, "cost", *words.cost_text(profile))
    if unit.division.total:
        _layers(text, profile)
    text.append("\n")
    for line in words.flowed(words.closing_items(profile), WIDTH - 2):
        text.append(f"  {line}\n", style="dim")
    return text


def _headline(text: Text, headline: str) -> None:
    for line in words.flowed(headline.split(" · "), WIDTH):
        text.append(line + "\n", style="bold")


def _row(text: Text, label: str, value: str, details: list[str]) -> None:
    start = 2 + _LABEL + max(_VALUE, len(value) + 2)
    lines = words.flowed(details, WIDTH - start)
    text.append(f"  {label:<{_LABEL}}")
    text.append(f"{value:<{_VALUE if lines else 0}}", style=_ACCENT)
    if lines and len(value) + 2 > _VALUE:
        text.append("  ")
    for number, line in enumerate(lines):
        text.append((" " * start if number else "") + line + "\n")
    if not lines:
        text.append("\n")


def _verdict(profile: Profile) -> list[str]:
    memory = profile.memory
    if memory.fits:
        return []
    return [f"does not fit by {binary(memory.over_bytes)}: {memory.chips_needed} chips would hold it"]


def _passes(profile: Profile) -> list[tuple[str, str, list[str]]]:
    """Rows of pieces of other sizes, of the first piece and of set-up, where they tell anything."""
    lines: list[tuple[str, str, list[str]]] = []
    if len(profile.passes) > 1:
        lines += [_pass_row(profile, group) for group in profile.passes[:4]]
        rest = profile.passes[4:]
        if rest:
            count = sum(group.count for group in rest)
            each = profile.seconds(sum(group.ticks for group in rest) / count)
            lines.append((f"{count:,} more", f"{seconds(each)} each", ["other sizes"]))
    unit_s = words.unit_seconds(profile)
    first, setup = profile.first, profile.setup
    if first is not None and len(profile.passes) == 1:
        first_s = profile.seconds(first.division.total)
        if abs(first_s - unit_s) > 0.05 * unit_s:
            lines.append((f"first {first.name}", seconds(first_s), []))
    if setup is not None and setup.division.total:
        moved = [f"{binary(setup.to_device_bytes)} to the device"] if setup.to_device_bytes else []
        lines.append(("set-up", seconds(profile.seconds(setup.division.total)), moved))
    if profile.unit is not profile.whole and profile.unit.count > 1:
        lines.append(("whole run", seconds(profile.seconds(profile.whole.division.total)), _whole(profile)))
    return lines


def _whole(profile: Profile) -> list[str]:
    energy, cost = profile.whole.energy.total_j, profile.whole.cost
    items = [] if energy is None else [words.range_text(energy, "J")]
    return items if cost is None else [*items, f"{cost.usd:.3g} USD"]


def _pass_row(profile: Profile, group: PassGroup) -> tuple[str, str, list[str]]:
    each = profile.seconds(group.ticks / group.count)
    details: list[str] = []
    if group.tokens is not None:
        details.append(f"{group.tokens:,} tokens" if group.tokens != 1 else "1 token")
        if each:
            details.append(f"{words.number(group.tokens / each)} tokens/s")
    if group.energy.average_w is not None:
        details.append(words.range_text(group.energy.average_w, "W"))
    elif group.items is not None:
        details.append(f"{group.items:,} samples" if group.items != 1 else "1 sample")
    name = group.kind if group.count == 1 else words.PLURAL[group.kind]
    return f"{group.count:,} {name}", f"{seconds(each)} each" if group.count > 1 else seconds(each), details


def _layers(text: Text, profile: Profile) -> None:
    unit = profile.unit
    rows, hidden = top(unit.layers, _LAYER_ROWS)
    name_width = max([28, *(len(words.layer_name(layer)) for layer in rows)])
    name_width = min(name_width, 42)
    text.append(f"\n  {'where the time goes':<{name_width}}  {words.per_unit(profile):>13}  share   ")
    text.append(f"{'bound by':<16}source\n")
    total = unit.division.total
    for layer in rows:
        ticks = layer.division.total
        _layer_line(
            text,
            name_width,
            words.layer_name(layer),
            seconds(profile.seconds(ticks / unit.count)),
            words.percent(ticks / total),
            words.bound_name(profile, layer.bound_by),
            layer.source,
        )
    for name, ticks in (("everything else", hidden), ("copies from and to the host", unit.copy_ticks)):
        if ticks:
            time = seconds(profile.seconds(ticks / unit.count))
            _layer_line(text, name_width, name, time, words.percent(ticks / total), "", "")


def _layer_line(
    text: Text, name_width: int, name: str, time: str, share: str, bound: str, source: str
) -> None:
    if len(name) > name_width:
        name = "…" + name[-(name_width - 1) :]
    room = WIDTH - 2 - name_width - 2 - 13 - 2 - 7 - 3 - 16 + 2
    source = source if len(source) <= room else "…" + source[-(room - 1) :]
    text.append(f"  {name:<{name_width}}  ")
    text.append(f"{time:>13}", style=_ACCENT)
    text.append(f"  {share:>6}  {bound:<16}{source}".rstrip() + "\n")
