"""``anychip chips``: the catalogue as a table, one chip with its sources, several side by side.

May import everything below products. Read `command.py` first.
"""

from anychip.products.chips.command import main

__all__ = ["main"]
