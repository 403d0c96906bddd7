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


class Crossing(NamedTuple):
    """Ticks of an exchange.

    Args:
        alone: in which the engines wait.
        beside: that may pass while they work.
    """

    alone: int
    beside: int = 0

    @property
    def ticks(self) -> int:
        """Both."""
        return self.alone + self.beside


def crossing(chip: Chip, form: Collective, *, backward: bool = False) -> Crossing:
    """An exchange: its bytes on the chip's links to others, and what the policy says it takes besides.

    Args:
        chip: of this member; one that states no link to others exchanges through main memory.
        form: the exchange.
        backward: whether gradients of weights, which need nothing of it, can be formed meanwhile.
    """
    fact = chip.facts.get("chip_link_bytes_per_second")
    rate = fact.value if fact is not None else chip.links[chip.load.links[0]].bytes_per_second
    crossings = _CROSSINGS.get(form.kind, 1.0)
    if form.members:
        crossings *= (form.members - 1) / form.members
    if chips_of(chip, form.members) == 1:
        # Cores of one chip meet in its main memory.
        rate = chip.links[chip.load.links[0]].bytes_per_second
    moved = form.bytes * crossings / rate
    policy = chip.policy.exchange
    if form.kind == "barrier" or policy is None:
        return Crossing(ceil(moved * chip.clock_hz))
    parts = overhead_parts(chip, form)
    rows = parts.rows_seconds(policy)
    whole = ceil((moved + parts.seconds(policy)) * chip.clock_hz)
    hidden = ceil((moved + rows) * chip.clock_hz) if (policy.hides_rows or backward) and rows else 0
    return Crossing(whole - hidden, hidden)


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
        rows: of a member's contribution or result, whichever has more.
        sequences: that they belong to.
        steps: from chip to chip round the rings, there and back.
        fits: whether they fit the local memory together.
        passes: how often rows go round: a sum for all goes there and back, gathering or scattering once.
    """

    rows: int
    sequences: int
    steps: int
    fits: bool
    passes: float = _CROSSINGS["all_reduce"]

    @property
    def share(self) -> float:
        """Of a sum for all, which the policy's constants are of."""
        return self.passes / _CROSSINGS["all_reduce"]

    def seconds(self, policy: ExchangePolicy) -> float:
        """Latency, and the shorter of both ways."""
        return policy.latency_s + self.share * min(self._straight(policy), sum(self._rings(policy)))

    def rows_seconds(self, policy: ExchangePolicy) -> float:
        """What rows take of it that go round; 0 where they go straight."""
        steps, rows = self._rings(policy)
        return 0.0 if self._straight(policy) <= steps + rows else self.share * rows

    @property
    def rows_apart(self) -> float:
        """Rows of other sequences than the first."""
        return self.rows * (1 - 1 / max(1, self.sequences))

    def _straight(self, policy: ExchangePolicy) -> float:
        return (self.rows - 1) * policy.row_s

    def _rings(self, policy: ExchangePolicy) -> tuple[float, float]:
        """Steps and rows round the rings."""
        row_s = policy.ring_row_s if self.fits else policy.ring_spilled_row_s
        rows = self.rows * row_s + self.rows_apart * policy.ring_apart_row_s
        return self.steps * policy.ring_step_s, rows


def overhead_parts(chip: Chip, form: Collective) -> OverheadParts:
    """The overhead of an exchange on a chip, before any policy."""
    extents = form.extents
    divided = form.kind in ("all_gather", "reduce_scatter")
    gathered = form.members if form.kind == "all_gather" else 1
    # What is divided between members leads; single tokens of many sequences lie together.
    sequences = prod(extents[1:-1] if divided else extents[:-2])
    return OverheadParts(
        rows=prod(extents[:-1]) * max(1, gathered),
        sequences=sequences if sequences < prod(extents[:-1]) or divided else 1,
        steps=ring_steps(chip, form.members),
        fits=form.bytes <= chip.memories[local_memory(chip)].capacity_bytes,
        passes=_CROSSINGS.get(form.kind, 1.0),
    )


def collective(chip: Chip, form: Collective) -> Nest:
    """A collective by itself: a time that no engine explains."""
    fixed = (("collective", crossing(chip, form).ticks),)
    return Nest("collective", (), (), (), demand_of(chip, (form,), ()), fixed_ticks=fixed)
