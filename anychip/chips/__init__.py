"""Blocks wired together: chips, their catalogue, instances and prices.

May import blocks, operators, arithmetic, formats and the ground floor. Read `chip.py` first, then
`catalogue/neuron.py`; `by_name("trn1")` looks a chip up, `load("mychip.py")` takes one of your own.
"""

from anychip.chips.chip import Chip, Engine, Route
from anychip.chips.lookup import by_name, every_chip, find, load, names
from anychip.chips.numerics import cast_format, choices
from anychip.chips.policy import Policy
from anychip.chips.power import Power

__all__ = [
    "Chip",
    "Engine",
    "Policy",
    "Power",
    "Route",
    "by_name",
    "cast_format",
    "choices",
    "every_chip",
    "find",
    "load",
    "names",
]
