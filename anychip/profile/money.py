"""Dollars: the hourly price of what is rented, for the time that it is used."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from anychip.errors import InvalidInput
from anychip.facts import Fact
from anychip.profile.profile import Cost


@dataclass(frozen=True, slots=True)
class Rent:
    """An instance and the part of it that a run uses.

    Args:
        instance: its name, e.g. ``"trn1.2xlarge"``.
        chip_share: one divided by the chips of the instance.
        hourly_usd: price of the whole instance.
    """

    instance: str
    chip_share: Fraction
    hourly_usd: Fact

    def __post_init__(self) -> None:
        if not 0 < self.chip_share <= 1:
            raise InvalidInput(
                f"instance {self.instance}: chip share is {self.chip_share}; must be above 0 and at most 1"
            )


def cost_of(rent: Rent | None, seconds: float) -> Cost | None:
    """What the time costs; None where no price is known."""
    if rent is None:
        return None
    usd = rent.hourly_usd.value * float(rent.chip_share) * seconds / 3600
    return Cost(rent.instance, rent.chip_share, rent.hourly_usd, usd)
