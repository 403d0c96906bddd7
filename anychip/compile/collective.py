"""Exchanges between the members of a group, over the chip's own links to its neighbours."""

from __future__ import annotations

from math import ceil

from anychip.chips import Chip
from anychip.compile.demand import demand_of
from anychip.operators import Collective
from anychip.programs.program import Nest

#: How often the larger of contribution and result crosses a member's links, at the limit of many members.
_CROSSINGS = {"all_reduce": 2.0, "barrier": 0.0}


def crossing_ticks(chip: Chip, form: Collective) -> int:
    """Ticks in which a collective's bytes cross the chip's links to others.

    A chip that states no such link exchanges through main memory.
    """
    fact = chip.facts.get("chip_link_bytes_per_second")
    rate = fact.value if fact is not None else chip.links[chip.load.links[0]].bytes_per_second
    return ceil(form.bytes * _CROSSINGS.get(form.kind, 1.0) / rate * chip.clock_hz)


def collective(chip: Chip, form: Collective) -> Nest:
    """A collective by itself: a time that no engine explains."""
    fixed = (("collective", crossing_ticks(chip, form)),)
    return Nest("collective", (), (), (), demand_of(chip, (form,), ()), fixed_ticks=fixed)
