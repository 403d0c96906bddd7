"""Exchanges between the members of a group, over the chip's own links to its neighbours.

Bytes cross the link at its published rate. What else an exchange takes is the policy's: compiled graphs send
rows straight to every member, or round rings of neighbouring chips, once in each dimension of the torus that
the links form, whichever is sooner.
"""

from __future__ import annotations

from math import ceil, prod
from typing import NamedTuple

from anychip.chips import Chip
from anychip.chips.policy import ExchangePolicy
from anychip.compile.demand import demand_of
from anychip.compile.layout import local_memory
from anychip.operators import Collective
from anychip.programs.program import Nest

#: How often the larger of contribution and result crosses a member's links, at the limit of many members.
_CROSSINGS = {"all_reduce": 2.0, "barrier": 0.0}
#: Chips in one ring of the links between chips, among a chip's facts.
RING = "chip_ring"


def crossing_ticks(chip: Chip, form: Collective) -> int:
    """Ticks of an exchange: its bytes on the chip's links to others, and the policy's latencies.

    A chip that states no such link exchanges through main memory.
    """
    fact = chip.facts.get("chip_link_bytes_per_second")
    rate = fact.value if fact is not None else chip.links[chip.load.links[0]].bytes_per_second
    crossings = _CROSSINGS.get(form.kind, 1.0)
    if form.members:
        crossings *= (form.members - 1) / form.members
    if chips_of(chip, form.members) == 1:
        # Cores of one chip meet in its main memory.
        rate = chip.links[chip.load.links[0]].bytes_per_second
    seconds = form.bytes * crossings / rate
    if form.kind != "barrier" and chip.policy.exchange is not None:
        seconds += overhead_parts(chip, form).seconds(chip.policy.exchange)
    return ceil(seconds * chip.clock_hz)


def chips_of(chip: Chip, members: int) -> int:
    """Chips that hold a group with a member on every core; 0 if the group is not known."""
    return -(-members // max(1, chip.cores))


def ring_steps(chip: Chip, members: int) -> int:
    """Steps from chip to chip until everything went round every dimension of the torus, there and back."""
    fact = chip.facts.get(RING)
    chips = chips_of(chip, members)
    steps = 0
    while chips > 1:
        side = chips if fact is None else min(chips, round(fact.value))
        steps += 2 * (side - 1)
        chips = -(-chips // side)
    return steps


class OverheadParts(NamedTuple):
    """What decides the overhead of an exchange.

    Args:
        rows: of what a member contributes.
        sequences: that they belong to.
        steps: from chip to chip round the rings.
        fits: whether they fit the local memory together.
    """

    rows: int
    sequences: int
    steps: int
    fits: bool

    def seconds(self, policy: ExchangePolicy) -> float:
        """Latency, and the shorter of both ways."""
        straight = (self.rows - 1) * policy.row_s
        row_s = policy.ring_row_s if self.fits else policy.ring_spilled_row_s
        rings = (
            self.steps * policy.ring_step_s
            + self.rows * row_s
            + (self.sequences - 1) * policy.ring_sequence_s
        )
        return policy.latency_s + min(straight, rings)


def overhead_parts(chip: Chip, form: Collective) -> OverheadParts:
    """The overhead of an exchange on a chip, before any policy."""
    return OverheadParts(
        rows=prod(form.extents[:-1]),
        sequences=prod(form.extents[:-2]),
        steps=ring_steps(chip, form.members),
        fits=form.bytes <= chip.memories[local_memory(chip)].capacity_bytes,
    )


def collective(chip: Chip, form: Collective) -> Nest:
    """A collective by itself: a time that no engine explains."""
    fixed = (("collective", crossing_ticks(chip, form)),)
    return Nest("collective", (), (), (), demand_of(chip, (form,), ()), fixed_ticks=fixed)
