"""Figures of a Profile in words: what the terminal and the page both say."""

from __future__ import annotations

from collections.abc import Iterable

from anychip.facts import Fact
from anychip.profile.profile import Layer, Portion, Profile, Range, is_above
from anychip.units import binary, decimal, scale

_PART_WORDS = {
    "ideal": "ideal",
    "fill_and_drain": "fill/drain",
    "memory_wait": "memory",
    "launch": "launch",
    "host": "host",
    "transfer": "transfer",
}
_KIND_WORDS = {
    "parameter": "weights",
    "gradient": "gradients",
    "optimizer": "optimizer",
    "activation": "activations",
    "input": "inputs",
    "other": "other",
}
_BOUND_WORDS = {
    "launch": "kernel launch",
    "host": "host",
    "latency": "latency",
    "transfer": "transfers",
    "": "",
}
PLURAL = {"step": "steps", "inference": "inferences", "run": "runs"}


def part_name(part: str) -> str:
    """A part of a Division as reports call it."""
    return _PART_WORDS[part]


def kind_name(kind: str) -> str:
    """A kind of memory as reports call it."""
    return _KIND_WORDS.get(kind, kind)


def bound_name(profile: Profile, bound: str) -> str:
    """An engine, link or cause as reports call it."""
    for engine in profile.whole.engines:
        if engine.name == bound:
            return bound if bound.endswith("engine") else f"{bound} engine"
    for link in profile.whole.links:
        if link.name == bound:
            return "device memory" if link.role == "memory" else f"link {bound}"
    return _BOUND_WORDS.get(bound, bound)


def percent(share: float) -> str:
    """``0.4567`` as ``46 %``; digits where 0 or 100 % would be untrue."""
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    if share < 0.0005:
        return "<0.1 %"
    if 0.9995 <= share < 1:
        return ">99.9 %"
    return f"{100 * share:.1f} %" if share < 0.0995 or 0.9 < share < 1 else f"{100 * share:.0f} %"


def number(value: float) -> str:
    """Three digits, thousands separated, never an exponent below a trillion."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def headline(profile: Profile) -> str:
    """What ran on what."""
    cores = f"{profile.cores} cores" if profile.cores > 1 else ""
    if profile.cores_used < profile.cores:
        cores = f"{profile.cores_used} of {cores}"
    title = "" if profile.chip_title.casefold().startswith(profile.chip.casefold()) else profile.chip_title
    chip = ", ".join(part for part in (title, cores) if part)
    parts = [f"{profile.workload} on {profile.chip}" + (f" ({chip})" if chip else "")]
    pieces = sum(group.count for group in profile.passes)
    if pieces:
        kind = profile.passes[0].kind
        parts.append(f"{pieces:,} {kind if pieces == 1 else PLURAL[kind]}")
    parts.append(profile.numerics)
    parts.append("values: yes" if profile.with_values else "values: no, time only")
    return " · ".join(part for part in parts if part)


def per_unit(profile: Profile) -> str:
    """``per step``."""
    return "whole run" if profile.unit.name == "run" else f"per {profile.unit.name}"


def unit_seconds(profile: Profile) -> float:
    """Duration of one unit."""
    return profile.seconds(profile.unit.division.total / profile.unit.count)


def division_items(profile: Profile, portion: Portion) -> list[str]:
    """The six parts, in the unit of their sum, with shares."""
    division = portion.division
    total_s = profile.seconds(division.total / portion.count)
    factor, _ = scale(total_s)
    items: list[str] = []
    for part, word in _PART_WORDS.items():
        ticks = getattr(division, part)
        if not ticks:
            items.append(f"{word} 0")
            continue
        value = profile.seconds(ticks / portion.count) / factor
        items.append(f"{word} {value:.3g} ({percent(ticks / division.total)})")
    return items


def use_items(profile: Profile, portion: Portion) -> list[str]:
    """How busy engines and links were."""
    total = portion.division.total
    if not total:
        return []
    seconds = profile.seconds(total)
    items: list[str] = []
    for engine in portion.engines:
        if engine.role != "transfer":
            items.append(f"{engine.name} busy {percent(engine.busy_ticks / total)}")
    reached = peak_share(profile, portion)
    if reached is not None:
        items.append(f"{percent(reached)} of peak arithmetic")
    for link in portion.links:
        if link.moved_bytes:
            share = link.moved_bytes / (link.peak_bytes_per_second * seconds)
            items.append(f"{link.name} {percent(share)} of {decimal(link.peak_bytes_per_second, 'B/s')}")
    return items


def peak_share(profile: Profile, portion: Portion) -> float | None:
    """Useful multiply-adds against what the matrix engines could do; None without any."""
    peaks = dict(profile.roof.macs_per_second)
    seconds = profile.seconds(portion.division.total)
    if not portion.macs or not seconds:
        return None
    return sum(count / peaks[name] for name, count in portion.macs) / seconds


def memory_items(profile: Profile) -> list[str]:
    """What filled memory at its peak."""
    return [f"{kind_name(kind)} {binary(size)}" for kind, size in profile.memory.by_kind if size]


def memory_owners(profile: Profile) -> list[tuple[str, int]]:
    """(modules, bytes that they allocated), numbered modules of one pattern together, largest first."""
    sums: dict[str, list[int]] = {}
    for name, size in profile.memory.by_module:
        pattern = ".".join("*" if part.isdigit() else part for part in name.split("."))
        sums.setdefault(pattern, []).append(size)
    named = [
        (f"{name} ({len(sizes)}x)" if len(sizes) > 1 else name, sum(sizes)) for name, sizes in sums.items()
    ]
    return sorted(named, key=lambda item: (-item[1], item[0]))


def range_text(value: Range, unit: str) -> str:
    """``1.2-2.4 mJ``, or one number where there is no range."""
    factor, prefix = scale(value.high)
    low, high = _two_digits(value.low / factor), _two_digits(value.high / factor)
    return f"{low} {prefix}{unit}" if low == high else f"{low}-{high} {prefix}{unit}"


def _two_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.2g}"


def energy_text(profile: Profile) -> tuple[str, list[str]]:
    """Joules of one unit, and what they consist of."""
    energy, count = profile.unit.energy, profile.unit.count
    if energy.total_j is None:
        return "unknown", ["no energies of this chip are known"]
    value = range_text(energy.total_j.times(1 / count), "J")
    items = [
        f"{part.name} {range_text(part.energy_j.times(1 / count), 'J')}"
        for part in energy.parts
        if part.energy_j is not None and part.energy_j.high > 0
    ]
    if energy.unknown:
        items.append(f"not known and not in it: {', '.join(energy.unknown)}")
        value = f"over {value}"
    return value, items


def power_text(profile: Profile) -> tuple[str, list[str]]:
    """Average watts of the chip, of its phases and at the wall, beside the design power."""
    energy = profile.unit.energy
    limit = energy.limit_w
    items = [
        f"{phase.name} {range_text(phase.chip_w, 'W')}{_above(phase.chip_w, limit)}"
        for phase in energy.phases
        if phase.chip_w is not None and len(energy.phases) > 1
    ]
    if energy.wall_w is not None:
        items.append(f"{range_text(energy.wall_w, 'W')} with the host")
    elif energy.total_j is not None:
        items.append("the host's watts are not known")
    idle, host = energy.share_of("idle"), energy.share_of("host")
    if idle is not None:
        items.append(f"idle {percent(idle)} of the joules")
    if host is not None:
        items.append(f"host {percent(host)} of the joules")
    if limit is None:
        items.append("its design power is unpublished")
    else:
        items.append(f"design power {limit.value:g} W")
    if energy.average_w is None:
        return "unknown", items
    return f"{range_text(energy.average_w, 'W')}{_above(energy.average_w, limit)}", items


def _above(drawn_w: Range | None, limit_w: Fact | None) -> str:
    return " (above design power)" if is_above(drawn_w, limit_w) else ""


def cost_text(profile: Profile) -> tuple[str, list[str]]:
    """Dollars of one unit, and what is rented."""
    cost, portion = profile.unit.cost, profile.unit
    if cost is None:
        return "unknown", ["no price of this chip is known"]
    usd = cost.usd / portion.count
    if usd >= 0.01:
        value = f"{usd:.3g} USD"
    else:
        value = f"{usd * 1e6:.3g} USD per million {PLURAL[portion.name]}"
    share = "" if cost.chip_share == 1 else f", 1 of its {1 / cost.chip_share} chips"
    items = [
        f"{cost.instance} at {cost.hourly_usd.value:g} USD/h{share}",
        cost.hourly_usd.source.where.rpartition(": ")[2],
    ]
    memory = profile.memory
    copies = min(profile.cores // profile.cores_used, memory.capacity_bytes // max(1, memory.peak_bytes))
    if copies > 1:
        items.append(f"1/{copies} of it each with {copies} copies side by side")
    return value, items


def rate_items(profile: Profile) -> list[str]:
    """Pieces, samples and tokens per second."""
    portion = profile.unit
    seconds = profile.seconds(portion.division.total)
    if portion.name == "run" or not seconds:
        return []
    items = [f"{number(portion.count / seconds)} {PLURAL[portion.name]}/s"]
    if portion.items is not None:
        items.append(f"{number(portion.items / seconds)} samples/s")
    if portion.tokens is not None:
        items.append(f"{number(portion.tokens / seconds)} tokens/s")
        energy, cost = portion.energy.total_j, portion.cost
        if energy is not None and portion.tokens:
            items.append(f"{range_text(energy.times(1 / portion.tokens), 'J')} per token")
        if cost is not None and portion.tokens:
            items.append(f"{cost.usd / portion.tokens * 1e6:.3g} USD per million tokens")
    return items


def rests_on_text(profile: Profile) -> str:
    """``61 % published, 22 % derived facts``."""
    words = {"design": "the chip author's choices"}
    shares = ", ".join(f"{percent(share)} {words.get(kind, kind)}" for kind, share in profile.rests_on)
    return f"rests on: {shares}" if shares else ""


def closing_items(profile: Profile) -> list[str]:
    """What a reader must know about how far to trust the answer."""
    items: list[str] = []
    if profile.chip_semantics is not None:
        items.append(f"chip arithmetic in {percent(profile.chip_semantics)} of operations")
    if profile.host_order:
        names = ", ".join(
            f"{name.removesuffix('.default')} ({calls}x)" for name, calls in profile.host_order[:6]
        )
        more = len(profile.host_order) - 6
        items.append(f"host order: {names}" + (f" and {more} more" if more > 0 else ""))
    if profile.rests_on:
        items.append(rests_on_text(profile))
    items += profile.notes
    items.append("wall clocks in the script show this machine; CUDA events show the chip")
    return items


def layer_name(layer: Layer) -> str:
    """With how often it repeats."""
    return f"{layer.name} ({layer.count}x)" if layer.count > 1 else layer.name


def flowed(items: Iterable[str], width: int) -> list[str]:
    """Items joined by ``·`` into lines of at most `width`; a longer item is broken at spaces."""
    lines: list[str] = []
    for item in items:
        joined = f"{lines[-1]} · {item}" if lines else item
        if lines and len(joined) <= width:
            lines[-1] = joined
            continue
        words = item.split(" ")
        lines.append(words[0])
        for word in words[1:]:
            if len(lines[-1]) + 1 + len(word) <= width:
                lines[-1] += " " + word
            else:
                lines.append(word)
    return lines
