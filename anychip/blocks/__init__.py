"""IP building blocks: each answers timing and demand, and where its parameters come from.

May import formats, arithmetic and the ground floor. Read `block.py` first.
"""

from anychip.blocks.block import Block, Timing, ceil_div
from anychip.blocks.matrix import Crowd, DotUnit, MatrixEngine, OuterProductArray, SystolicArray
from anychip.blocks.memory import DmaEngine, Link, Memory, Sequencer
from anychip.blocks.vector import VectorUnit

__all__ = [
    "Block",
    "Crowd",
    "DmaEngine",
    "DotUnit",
    "Link",
    "MatrixEngine",
    "Memory",
    "OuterProductArray",
    "Sequencer",
    "SystolicArray",
    "Timing",
    "VectorUnit",
    "ceil_div",
]
