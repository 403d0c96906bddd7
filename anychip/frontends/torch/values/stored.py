"""Tensors as a chip stores them: carriers to compute on, and one rounding back into the stored format.

A carrier holds every value of a narrower format exactly: float32 for floats up to fp32, float64 for fp64,
the tensor itself for integers and booleans.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch

from anychip.arithmetic.numerics import Numerics
from anychip.arithmetic.scaling import Amaxes
from anychip.formats import CastRule, Float, Stochastic, by_name
from anychip.frontends.torch.plan import format_name

#: Formats whose nearest-even cast PyTorch performs with the same bits (tests compare every case).
_TORCH_ROUNDS = {torch.float32, torch.bfloat16, torch.float16, torch.float64}
_NARROW = {torch.bfloat16, torch.float16}


@cache
def float_format(dtype: torch.dtype) -> Float | None:
    """The format of an element type that holds real numbers, None for others."""
    if not dtype.is_floating_point:
        return None
    format = by_name(format_name(dtype))
    return format if isinstance(format, Float) else None


def carrier(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor's values in the type that lanes compute on."""
    dtype = tensor.dtype
    if dtype is torch.float32 or dtype is torch.float64 or not dtype.is_floating_point:
        return tensor
    return tensor.to(torch.float32)


class Store:
    """Rounds results into their stored format, by the chip's rules.

    Stochastic rounding is placed by (step, tensor, element): `tensor` counts the stores of a step, in the
    order of the program, so that the same program gives the same bits.

    Args:
        numerics: the chip's.
    """

    def __init__(self, numerics: Numerics) -> None:
        self.numerics = numerics
        self.step = 0
        self.count = 0
        self.amaxes = Amaxes()
        self.stochastic = any(isinstance(rule.rounding, Stochastic) for _, rule in numerics.stores)
        self._rules: dict[torch.dtype, CastRule | None] = {}

    def begin_step(self, step: int) -> None:
        """Places the stores that follow in training step `step`."""
        self.step, self.count = step, 0
        self.amaxes.begin_step(step)

    def rule(self, dtype: torch.dtype) -> CastRule | None:
        """The cast rule of an element type; None where PyTorch's own cast has the same bits."""
        known = self._rules.get(dtype, _MISSING)
        if known is _MISSING:
            format = float_format(dtype)
            chosen = None if format is None else self.numerics.store(format)
            if chosen is not None and dtype in _TORCH_ROUNDS and chosen == _NEAREST:
                chosen = None
            known = self._rules[dtype] = chosen
        return known  # pyright: ignore[reportReturnType]

    def is_stochastic(self, dtype: torch.dtype) -> bool:
        """Whether stores into an element type draw random numbers."""
        rule = self.rule(dtype) if self.stochastic else None
        return rule is not None and isinstance(rule.rounding, Stochastic)

    def stored(self, values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """`values` in the stored format, each rounded once."""
        if values.dtype is dtype:
            return values
        rule = self.rule(dtype)
        if rule is None:
            if not dtype.is_floating_point and dtype is not torch.bool and values.dtype.is_floating_point:
                return values.to(dtype)
            return values.to(torch.float32).to(dtype) if _widens(values, dtype) else values.to(dtype)
        if isinstance(rule.rounding, Stochastic):
            rule = self._placed(rule)
        format = float_format(dtype)
        if format is None:
            return values.to(dtype)
        source = values.contiguous()
        return cast_array(source, format, rule, dtype)

    def cast(self, values: torch.Tensor, format: Float) -> torch.Tensor:
        """fp32 `values` cast to a format, kept in fp32: how a contraction reads them."""
        dtype = _BY_NAME.get(format.name)
        if dtype is not None and self.rule(dtype) is None:
            return values.to(dtype).to(values.dtype)
        rule = self._placed(self.numerics.store(format))
        rounded: Any = format.round(numpy_of(values.contiguous()), rule=rule)
        return torch.from_numpy(np.ascontiguousarray(rounded)).reshape(values.shape)

    def scaled(self, values: torch.Tensor, format: Float, axis: int, whole: torch.Tensor) -> torch.Tensor:
        """fp32 `values` of the tensor `whole` scaled and cast, as the chip's recipe says; kept in fp32."""
        scaling = self.numerics.scaling
        if scaling is None:
            return self.cast(values, format)
        largest = float(whole.abs().max()) if whole.numel() and scaling.per != "block" else 0.0
        decided = self.amaxes.decide(largest, scaling)
        rule = self._placed(self.numerics.store(format))
        read = scaling.read(numpy_of(values), format, rule, axis=axis, largest=decided)
        return torch.from_numpy(np.ascontiguousarray(read))

    def _placed(self, rule: CastRule) -> CastRule:
        rounding = rule.rounding
        if not isinstance(rounding, Stochastic):
            return rule
        return replace(rule, rounding=rounding.at(step=self.step, tensor=self.next_tensor()))

    def next_tensor(self) -> int:
        """The number of the next store that is rounded stochastically."""
        self.count += 1
        return self.count & 0xFFFFFFFF


def _widens(values: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether an integer goes into a narrow float: through fp32, as lanes hold it."""
    return not values.dtype.is_floating_point and dtype in _NARROW


def cast_array(source: torch.Tensor, format: Float, rule: CastRule, dtype: torch.dtype) -> torch.Tensor:
    """`source` cast to a format by the formats room, as a tensor of `dtype`."""
    array = numpy_of(source)
    if dtype in _TORCH_ROUNDS:
        rounded: Any = format.round(array, rule=rule)
        return torch.from_numpy(np.ascontiguousarray(rounded)).reshape(source.shape).to(dtype)
    codes: Any = format.encode(array, rule=rule)
    return torch.from_numpy(np.ascontiguousarray(codes)).reshape(source.shape).view(dtype)


def numpy_of(tensor: torch.Tensor) -> Any:
    """A carrier as a NumPy array on the same memory."""
    return tensor.detach().numpy()


_MISSING = object()
_BY_NAME = {"bf16": torch.bfloat16, "fp16": torch.float16}
_NEAREST = CastRule()
