"""The report as one HTML page that asks nothing of the network: words, tables and inline SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from anychip.profile import pictures, words
from anychip.profile.division import PARTS
from anychip.profile.html import html_page, page_style
from anychip.profile.layers import top
from anychip.profile.profile import Layer, Profile
from anychip.units import binary, decimal, seconds

_ROWS = 8


def page_of(profile: Profile) -> str:
    """The whole page."""
    return html_page(f"{profile.workload} on {profile.chip}", fragment_of(profile))


def fragment_of(profile: Profile) -> str:
    """The report with its style, for a notebook's cell."""
    sections = [
        _head(profile),
        _time(profile),
        _layers(profile),
        _section("Timeline", _per(profile), pictures.timeline(profile), "wide"),
        _roofline(profile),
        _section("Energy", _per(profile), pictures.energy_bars(profile), "energy"),
        _section(
            "Power", "watts of each phase", pictures.power_bars(profile), "energy", _power_note(profile)
        ),
        _memory(profile),
        _trust(profile),
    ]
    body = "\n".join(section for section in sections if section)
    return f'<style>\n{page_style()}</style>\n<main class="anychip">\n{body}\n</main>'


def _per(profile: Profile) -> str:
    return words.per_unit(profile)


def _section(title: str, aside: str, picture: str, style: str, after: str = "") -> str:
    if not picture:
        return ""
    return f'<h2>{escape(title)}, {escape(aside)}</h2>\n<div class="{style}">{picture}</div>{after}'


def _power_note(profile: Profile) -> str:
    """What the picture of power leaves out."""
    return f"<p>{escape(' · '.join(words.power_text(profile)[1]))}</p>"


def _head(profile: Profile) -> str:
    first, *rest = words.headline(profile).split(" · ")
    energy, energy_items = words.energy_text(profile)
    power, power_items = words.power_text(profile)
    cost, cost_items = words.cost_text(profile)
    rates = words.rate_items(profile)
    memory = profile.memory
    cards = [
        (
            "time",
            seconds(words.unit_seconds(profile)),
            [_per(profile), *(rate for rate in rates if rate.endswith("/s"))],
        ),
        ("bound by", words.bound_name(profile, profile.bound_by), _reached(profile)),
        ("energy", energy, [_per(profile), *energy_items[-1:]]),
        ("power", power, [power_items[-1]]),
        ("cost", cost, cost_items[:1]),
        ("memory", binary(memory.peak_bytes), [f"peak, of {binary(memory.capacity_bytes)}"]),
    ]
    if not profile.unit.division.total:
        cards = cards[-1:]
    lines = [f"<h1>{escape(first)}</h1>", f"<p>{escape(' · '.join(rest))}</p>"]
    if not memory.fits:
        lines.append(
            f'<div class="warning">Does not fit by {binary(memory.over_bytes)}: '
            f"{memory.chips_needed} chips would hold it.</div>"
        )
    lines += [f'<div class="warning">{escape(note[:1].upper() + note[1:])}.</div>' for note in profile.notes]
    lines.append('<div class="cards">')
    for name, value, details in cards:
        small = "".join(f"<i>{escape(detail)}</i>" for detail in details)
        lines.append(f'<div class="card"><i>{escape(name)}</i><b>{escape(value)}</b>{small}</div>')
    lines.append("</div>")
    return "\n".join(lines)


def _reached(profile: Profile) -> list[str]:
    reached = words.peak_share(profile, profile.unit)
    return [] if reached is None else [f"{words.percent(reached)} of peak arithmetic"]


def _time(profile: Profile) -> str:
    unit = profile.unit
    total = unit.division.total
    if not total:
        return ""
    entries: list[tuple[str, str]] = []
    for index, part in enumerate(PARTS):
        ticks = getattr(unit.division, part)
        if ticks:
            time = seconds(profile.seconds(ticks / unit.count))
            entries.append(
                (f"part{index}", f"{words.part_name(part)} {time} ({words.percent(ticks / total)})")
            )
    uses = " · ".join(words.use_items(profile, unit))
    after = _legend(entries) + f"<p>{escape(uses)}</p>" + _passes(profile)
    return _section(
        "Where the time goes", _per(profile), pictures.division_bar(profile, unit), "strip", after
    )


def _passes(profile: Profile) -> str:
    if len(profile.passes) < 2:
        return ""
    rows: list[list[str]] = []
    for group in profile.passes[:12]:
        each = profile.seconds(group.ticks / group.count)
        rate = f"{words.number(group.tokens / each)}" if group.tokens and each else ""
        size = "" if group.items is None else f"{group.items:,}"
        tokens = "" if group.tokens is None else f"{group.tokens:,}"
        rows.append([f"{group.count:,} {words.PLURAL[group.kind]}", size, tokens, seconds(each), rate])
    return _table(["passes", "samples", "tokens", "time each", "tokens/s"], rows)


def _legend(entries: Iterable[tuple[str, str]]) -> str:
    items = "".join(f'<li><span class="{style}"></span>{escape(text)}</li>' for style, text in entries)
    return f'<ul class="legend">{items}</ul>'


def _layers(profile: Profile) -> str:
    unit = profile.unit
    total = unit.division.total
    if not total:
        return ""
    shown, hidden = top(unit.layers, _ROWS)
    rows = [_layer_row(profile, number, layer) for number, layer in enumerate(shown, 1)]
    for name, ticks in (("everything else", hidden), ("copies from and to the host", unit.copy_ticks)):
        if ticks:
            time = seconds(profile.seconds(ticks / unit.count))
            rows.append(["", escape(name), time, _share(ticks / total), "", "", ""])
    heads = ["", "module", "time", "share", "bound by", "energy", "source"]
    return f"<h2>Layers, {escape(_per(profile))}</h2>\n" + _table(heads, rows, is_markup=True)


def _layer_row(profile: Profile, number: int, layer: Layer) -> list[str]:
    unit = profile.unit
    ticks = layer.division.total
    energy = "" if layer.energy_j is None else words.range_text(layer.energy_j.times(1 / unit.count), "J")
    return [
        f'<span class="key layer{number - 1}"></span>{number}',
        f"<code>{escape(words.layer_name(layer))}</code>",
        seconds(profile.seconds(ticks / unit.count)),
        _share(ticks / unit.division.total),
        escape(words.bound_name(profile, layer.bound_by)),
        energy,
        f"<code>{escape(layer.source)}</code>",
    ]


def _share(share: float) -> str:
    return f"{pictures.share_bar(share)} {words.percent(share)}"


def _table(heads: list[str], rows: Iterable[list[str]], *, is_markup: bool = False) -> str:
    figures = {"time", "time each", "energy", "tokens/s", "samples", "tokens", "bytes"}

    def cells(values: list[str], tag: str) -> Iterator[str]:
        for head, value in zip(heads, values, strict=True):
            style = ' class="figure"' if head in figures else ""
            yield f"<{tag}{style}>{value if is_markup else escape(value)}</{tag}>"

    lines = ["".join(("<tr>", *cells(heads, "th"), "</tr>"))]
    lines += ["".join(("<tr>", *cells(row, "td"), "</tr>")) for row in rows]
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _roofline(profile: Profile) -> str:
    after = "<p>Numbers are those of the layers above; an area grows with the share of the time.</p>"
    return _section("Roofline", profile.chip_title, pictures.roofline(profile), "roofline", after)


def _memory(profile: Profile) -> str:
    memory = profile.memory
    if not memory.peak_bytes:
        return ""
    rows = [
        [words.kind_name(kind), binary(size), _share(size / memory.peak_bytes)]
        for kind, size in memory.by_kind
    ]
    table = _table(["at the peak", "bytes", "share"], rows, is_markup=True)
    owners = [
        [f"<code>{escape(name or 'outside modules')}</code>", binary(size), _share(size / memory.peak_bytes)]
        for name, size in words.memory_owners(profile)[:_ROWS]
    ]
    inside = _table(["allocated by", "bytes", "share"], owners, is_markup=True) if owners else ""
    return f"<h2>Memory, {binary(memory.peak_bytes)} at its fullest</h2>\n{table}\n{inside}"


def _trust(profile: Profile) -> str:
    items = [item for item in words.closing_items(profile) if item not in profile.notes]
    rate = decimal(profile.clock_hz, "Hz")
    items.append(f"one tick is one cycle of {rate}; all parts of a time add up to it exactly")
    return (
        "<h2>How far to trust this</h2>\n<ul>"
        + "".join(f"<li>{escape(item)}</li>" for item in items)
        + "</ul>"
    )
