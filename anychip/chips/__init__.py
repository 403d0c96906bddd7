"""Blocks wired together: chips, their catalogue, instances and prices.

May import blocks, operators, arithmetic, formats and the ground floor. Read `chip.py` first.
"""

from anychip.chips.chip import Chip, Engine, Route
from anychip.chips.policy import Policy
from anychip.chips.power import Power

__all__ = ["Chip", "Engine", "Policy", "Power", "Route"]
