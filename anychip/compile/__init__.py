"""Graph to Program: fuse, tile, place, order.

May import programs and everything below. Read `lower.py` first, then `fuse.py`.
"""

from anychip.compile.lower import Lowering, lower

__all__ = ["Lowering", "lower"]
