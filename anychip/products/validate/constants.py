"""Every fitted constant of the catalogue: value, unit, meaning, rows, and the chips that have it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from inspect import getdoc

from anychip.chips import Chip
from anychip.chips.lookup import every_chip
from anychip.chips.policy import ExchangePolicy, Policy
from anychip.chips.power import Power
from anychip.facts import Fact

#: Constants behind derived parameters, which no parameter documents.
_POWER = {
    "static_w_per_mm2": "power of a square millimetre without arithmetic; decides `fma.sustained`",
}


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that no datasheet gives.

    Args:
        place: where it stands in a chip, such as ``fma.operand_cost``.
        fact: with its range and source.
        meaning: of the parameter, in a sentence.
        chips: that have it with this value.
    """

    place: str
    fact: Fact
    meaning: str
    chips: tuple[str, ...]


def constants(chips: Iterable[Chip] | None = None, kind: str = "fitted") -> list[Constant]:
    """Distinct constants of one kind of source, by place.

    Values that are scaled with a chip's clock are listed once, as of the first chip that has them.

    Args:
        chips: to look through; None: the whole catalogue.
        kind: of source.
    """
    found: dict[tuple[str, str], tuple[Fact, list[str], str]] = {}
    for chip in every_chip() if chips is None else chips:
        for path, fact in chip.all_facts():
            if fact.source.kind != kind:
                continue
            key = (path, fact.source.where + _scale_free(fact))
            known = found.setdefault(key, (fact, [], _meaning(chip, path)))
            known[1].append(chip.name)
    return [
        Constant(path, fact, meaning, tuple(names))
        for (path, _), (fact, names, meaning) in sorted(found.items(), key=lambda item: item[0])
    ]


def _scale_free(fact: Fact) -> str:
    """Tells values apart, but not those that follow from a chip's clock, cores or power."""
    derived = fact.unit in ("cycle", "byte/s", "mac/cycle", "W")
    return "" if derived else f"{fact.value!r}"


def _meaning(chip: Chip, path: str) -> str:
    """From the documentation of the parameter."""
    part, _, rest = path.partition(".")
    name = rest.split(".")[0]
    if part == "policy":
        exchange = name.removeprefix("exchange_")
        return (
            _POWER.get(name)
            or _documented(Policy, name)
            or f"exchanges between shards: {_documented(ExchangePolicy, exchange)}"
        )
    if part == "power":
        return _documented(Power, name)
    blocks = dict(chip.blocks())
    return _documented(type(blocks[part]), name) if part in blocks else ""


def _documented(kind: type, name: str) -> str:
    for each in kind.__mro__:
        text = getdoc(each) or ""
        match = re.search(rf"^ +{re.escape(name)}: (.*?)(?=^ +\w+: |\n\n|\Z)", text, re.S | re.M)
        if match:
            return " ".join(match.group(1).split()).rstrip(".")
    return ""


def markdown(listed: Iterable[Constant]) -> Iterator[str]:
    """A table of them."""
    yield "| constant | value | range | meaning | fitted to | chips |\n"
    yield "|---|---|---|---|---|---|\n"
    for each in listed:
        fact = each.fact
        low, high = fact.range
        span = f"{low:.3g} to {high:.3g}" if (low, high) != (fact.value, fact.value) else ""
        chips = ", ".join(each.chips[:4]) + (
            f" and {len(each.chips) - 4} more" if len(each.chips) > 4 else ""
        )
        cells = (
            f"`{each.place}`",
            f"{fact.value:.4g} {fact.unit}",
            span,
            each.meaning,
            fact.source.where,
            chips,
        )
        yield "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |\n"
