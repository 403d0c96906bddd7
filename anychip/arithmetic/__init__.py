"""Sums, curves, lane recipes and a chip's Numerics as data, and their evaluation to the last bit.

Imports `formats` and below. Read `contraction.py` first, then `recipe.py` and `numerics.py`.
"""

from __future__ import annotations

from anychip.arithmetic.contraction import Contraction
from anychip.arithmetic.curves import CORRECT, Curves
from anychip.arithmetic.evaluation import evaluate
from anychip.arithmetic.numerics import Numerics, cpu, gpu, neuron, reference
from anychip.arithmetic.order import Lanes, Order, Pairwise, Sequential, Tiles, Tree
from anychip.arithmetic.piecewise import Domain, Piecewise, neuron_scalar_engine
from anychip.arithmetic.recipe import Number, Recipe, Step, traced
from anychip.arithmetic.reduction import Reduction
from anychip.arithmetic.scaling import Scaling
from anychip.arithmetic.sums import contract, reduce_sum

__all__ = [
    "CORRECT",
    "Contraction",
    "Curves",
    "Domain",
    "Lanes",
    "Number",
    "Numerics",
    "Order",
    "Pairwise",
    "Piecewise",
    "Recipe",
    "Reduction",
    "Scaling",
    "Sequential",
    "Step",
    "Tiles",
    "Tree",
    "contract",
    "cpu",
    "evaluate",
    "gpu",
    "neuron",
    "neuron_scalar_engine",
    "reduce_sum",
    "reference",
    "traced",
]
