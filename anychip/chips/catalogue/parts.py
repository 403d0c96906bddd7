"""Pieces that the families share."""

from __future__ import annotations

from collections.abc import Mapping

from anychip.arithmetic.recipe import CURVES
from anychip.blocks import Sequencer
from anychip.chips.names import NAMES
from anychip.chips.sources import assumed, derived, measured, published
from anychip.facts import Fact

TERA = 1e12
GIGA = 1e9
MEGA = 1e6
KIBI = 2**10
MEBI = 2**20
GIBI = 2**30


def aliases(name: str) -> tuple[str, ...]:
    """The other names of a chip of the catalogue."""
    return NAMES[name].aliases


def sequencer(
    *, issue_cycles: int = 1, queue_depth: int = 8, launch_s: Fact | None = None, clock_hz: float = 0.0
) -> Sequencer:
    """The front end of a core, about which no maker publishes numbers.

    Args:
        issue_cycles: between two instructions.
        queue_depth: instructions waiting in or occupying one engine.
        launch_s: before the first instruction of a kernel; None where the policy charges it.
        clock_hz: of the chip, for `launch_s`.
    """
    if launch_s is None:
        launch = assumed(0, "cycle", "kernel launches are charged by the policy, not by the front end")
    else:
        cycles = launch_s.scaled(clock_hz, "cycle")
        launch = Fact(round(cycles.value), "cycle", cycles.source, *map(round, cycles.range))
    return Sequencer.of(
        issue_cycles=assumed(
            issue_cycles, "cycle", "front end unpublished: one instruction a cycle", low=1, high=4
        ),
        queue_depth=assumed(queue_depth, "instruction", "front end unpublished", low=2, high=64),
        launch_cycles=launch,
    )


#: Curves that hardware tables or a handful of instructions give.
_SIMPLE = frozenset("exp exp2 log log2 sqrt rsqrt reciprocal sin cos tanh sigmoid".split())


def curve_costs(*, simple: Fact, other: Fact, division: Fact, power: Fact | None = None) -> dict[str, Fact]:
    """Cycles per element and lane of every function that lanes evaluate.

    Args:
        simple: of exponential, logarithm, roots and the like.
        other: of those that take a longer polynomial or several of the simple ones.
        division: of divisions and remainders.
        power: of powers with a variable exponent; None: like the others.
    """
    costs = {name: simple if name in _SIMPLE else other for name in sorted(CURVES)}
    if power is not None:
        costs["pow"] = power
    return costs | dict.fromkeys(("div", "floor_divide", "remainder", "fmod"), division)


def peaks(where: str, tera: Mapping[str, float | tuple[float, float, float]]) -> dict[str, Fact]:
    """Published peak rates as facts of a chip.

    Args:
        where: document.
        tera: by operand format, 1e12 operations a second (two per multiply-add), dense; a triple is
            (value, low, high) where documents disagree.
    """
    facts: dict[str, Fact] = {}
    for name, rate in tera.items():
        value, low, high = rate if isinstance(rate, tuple) else (rate, None, None)
        unit = "op/s" if name.startswith("int") else "flop/s"
        facts[f"peak.{name}"] = published(
            value * TERA,
            unit,
            where,
            low=None if low is None else low * TERA,
            high=None if high is None else high * TERA,
        )
    return facts


def best(format_name: str, tera: float) -> dict[str, Fact]:
    """The best matrix product that was measured on a chip, as a fact."""
    return {
        f"best.{format_name}": measured(
            tera * TERA, "flop/s", "stas00/ml-engineering, maximum achievable matmul, best shape found"
        )
    }


#: Bytes a second in one direction of a 16-lane PCIe slot, by generation.
_PCIE = {3: 15.75e9, 4: 31.5e9, 5: 63.0e9}


def pcie(generation: int, *, lanes: int = 16) -> Fact:
    """Bandwidth of the link to the host, one direction."""
    return derived(
        _PCIE[generation] * lanes / 16,
        "byte/s",
        f"PCI Express {generation}.0 base specification, {lanes} lanes, after 128b/130b coding",
        low=0.6 * _PCIE[generation] * lanes / 16,
        high=_PCIE[generation] * lanes / 16,
    )
