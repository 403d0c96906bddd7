"""The three things that a form asks of arithmetic, in two ways with the same bits.

`Reference` goes through the arithmetic room's NumPy evaluation, step by step. `Fast` uses torch kernels that
round once per step, and the compiled core's sums and products. Tests compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch

from anychip.arithmetic import Contraction, Numerics, Recipe, contract, evaluate, reduce_sum
from anychip.frontends.torch.values import compiled
from anychip.frontends.torch.values.fused import FusedForm, fused_form
from anychip.frontends.torch.values.lanes import Lanes
from anychip.frontends.torch.values.stored import Store, numpy_of
from anychip.operators import Form

Tensor = torch.Tensor


class Engine(Protocol):
    """What evaluates recipes, sums and contractions on carriers."""

    def lanes(self, recipe: Recipe, operands: Sequence[Tensor]) -> list[Tensor]:
        """What leaves a recipe, in lane precision."""
        ...

    def fused(self, form: Form, store: Store) -> FusedForm | None:
        """The form as one program of the compiled core; None: step by step."""
        ...

    def sum(self, values: Tensor) -> Tensor:
        """Sums along the last dimension, in the chip's order."""
        ...

    def reads_stored(self, rule: Contraction) -> bool:
        """Whether contractions under this rule take fp32 and bf16 operands as they are stored."""
        ...

    def contract(self, left: Tensor, right: Tensor, rule: Contraction, *, narrow: bool = False) -> Tensor:
        """Accumulators of ``left @ right``; `narrow` rounds fp32 operands to bf16 as they are read."""
        ...

    def contract_into(
        self,
        left: Tensor,
        right: Tensor,
        rule: Contraction,
        result: Tensor,
        *,
        narrow: bool = False,
        bias: Tensor | None = None,
    ) -> bool:
        """The same written at once, plus a bias per column; False (and nothing done) if it cannot be."""
        ...


class Reference:
    """The slow path: the specification, evaluated literally."""

    def __init__(self, numerics: Numerics) -> None:
        self.numerics = numerics

    def lanes(self, recipe: Recipe, operands: Sequence[Tensor]) -> list[Tensor]:
        """What leaves a recipe, in lane precision."""
        arrays = tuple(numpy_of(each) for each in operands)
        values = evaluate(recipe, arrays, self.numerics.curves, self.numerics.lane)
        return [torch.from_numpy(np.array(value)) for value in values]

    def fused(self, form: Form, store: Store) -> FusedForm | None:
        """Never: every step is evaluated by itself."""
        return None

    def sum(self, values: Tensor) -> Tensor:
        """Sums along the last dimension, in the chip's order."""
        return torch.from_numpy(np.array(reduce_sum(numpy_of(values), -1, self.numerics.reduction)))

    def reads_stored(self, rule: Contraction) -> bool:
        """Never: NumPy has no bf16."""
        del rule
        return False

    def contract_into(self, *_: Any, **__: Any) -> bool:
        """Never: the epilogue is a recipe of its own."""
        return False

    def contract(self, left: Tensor, right: Tensor, rule: Contraction, *, narrow: bool = False) -> Tensor:
        """Accumulators of ``left @ right``, one addition at a time."""
        if narrow:
            left, right = left.bfloat16().float(), right.bfloat16().float()
        return torch.from_numpy(np.array(contract(numpy_of(left), numpy_of(right), rule)))


class Fast:
    """The path of every day."""

    def __init__(self, numerics: Numerics) -> None:
        self.numerics = numerics
        self.reference = Reference(numerics)
        self._fused: dict[int, tuple[Form, FusedForm | None]] = {}
        self._compiled = lru_cache(maxsize=4096)(lambda recipe: Lanes(recipe, numerics.curves))

    def lanes(self, recipe: Recipe, operands: Sequence[Tensor]) -> list[Tensor]:
        """What leaves a recipe, in lane precision."""
        return self._compiled(recipe)(operands)

    def fused(self, form: Form, store: Store) -> FusedForm | None:
        """The form as one program of the compiled core; None: step by step."""
        known = self._fused.get(id(form))
        if known is None:
            # The form is kept, so that its identity is not used again.
            known = self._fused[id(form)] = (form, fused_form(form, self.numerics, store))
        return known[1]

    def sum(self, values: Tensor) -> Tensor:
        """Sums along the last dimension, in the chip's order."""
        rule = self.numerics.reduction
        if values.dtype is not torch.float32 or not compiled.adds(rule) or not values.numel():
            return self.reference.sum(values)
        flat = values.reshape(-1, values.shape[-1])
        return compiled.sums(flat, rule).reshape(values.shape[:-1])

    def reads_stored(self, rule: Contraction) -> bool:
        """Whether contractions under this rule take operands as they are stored."""
        return compiled.multiplies(rule)

    def contract(self, left: Tensor, right: Tensor, rule: Contraction, *, narrow: bool = False) -> Tensor:
        """Accumulators of ``left @ right`` by the compiled core, where it has the rule."""
        if not compiled.multiplies(rule):
            return self.reference.contract(left, right, rule)
        result = torch.empty(left.shape[0], left.shape[1], right.shape[2])
        compiled.product(left, right, result, rule, narrow=narrow)
        return result

    def contract_into(
        self,
        left: Tensor,
        right: Tensor,
        rule: Contraction,
        result: Tensor,
        *,
        narrow: bool = False,
        bias: Tensor | None = None,
    ) -> bool:
        """The same written at once, plus a bias per column; False (and nothing done) if it cannot be."""
        if result.dtype not in compiled.WRITTEN or not compiled.multiplies(rule):
            return False
        vector = None if bias is None else bias.to(torch.float32).contiguous()
        compiled.product(left, right, result, rule, narrow=narrow, bias=vector)
        return True
