"""Numerics: everything about a chip's arithmetic that changes a bit, as data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic.contraction import Contraction
from anychip.arithmetic.curves import CORRECT, Curves
from anychip.arithmetic.order import Lanes, Order, Sequential, Tiles
from anychip.arithmetic.reduction import Reduction
from anychip.arithmetic.scaling import Scaling
from anychip.errors import InvalidDescription, NotModelled
from anychip.formats import CastRule, Float, Format, Integer, Rounding, Stochastic, by_name, fp32


@dataclass(frozen=True, kw_only=True, slots=True)
class Numerics:
    """Which formats a chip casts to, how it sums, rounds and evaluates curves.

    Args:
        name: label that a Graph carries.
        operands: (storage format, operand format): what contractions read tensors stored in a format as.
            Formats not listed are read as they are.
        contractions: one rule per operand format.
        reduction: rule of sums along an axis.
        lane: format inside lane operations and reductions.
        stores: (format, rule) of casts into a storage format; formats not listed are cast to nearest-even
            with their own specials.
        curves: the unit that evaluates functions.
        scaling: of operands before they are cast; None: they are cast as they are.
        rounds_inside_fusion: False if a fused region keeps lane precision between its operators.
        assumed: what is not published about the chip and was assumed here, for people.

    Raises:
        InvalidDescription: an operand format without a contraction, or a rule its format cannot follow.
    """

    name: str
    operands: tuple[tuple[str, str], ...] = ()
    contractions: tuple[Contraction, ...]
    reduction: Reduction = field(default_factory=Reduction)
    lane: Float = fp32
    stores: tuple[tuple[str, CastRule], ...] = ()
    curves: Curves = CORRECT
    scaling: Scaling | None = None
    rounds_inside_fusion: bool = True
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = [rule.operand.name for rule in self.contractions]
        complaints = [
            f"{stored} is read as {read}, but there is no contraction of {read}"
            for stored, read in self.operands
            if read not in known
        ]
        complaints += [f"two contractions of {name}" for name in set(known) if known.count(name) > 1]
        for name, rule in self.stores:
            format = by_name(name)
            if isinstance(format, Float):
                try:
                    format.rule(rule)
                except InvalidDescription as error:
                    complaints.append(str(error))
        if complaints:
            raise InvalidDescription(f"numerics {self.name}: {'; '.join(complaints)}")

    def operand(self, stored: Format) -> Format:
        """The format as which a contraction reads a tensor stored in `stored`."""
        return by_name(dict(self.operands).get(stored.name, stored.name))

    def contraction(self, stored: Format) -> Contraction:
        """The rule of contractions of tensors stored in `stored`.

        Raises:
            NotModelled: the chip has no rule for that operand format.
        """
        operand = self.operand(stored)
        for rule in self.contractions:
            if rule.operand.name == operand.name:
                return rule
        known = ", ".join(rule.operand.name for rule in self.contractions)
        raise NotModelled(
            f"numerics {self.name}: no contraction of {operand.name} (stored as {stored.name});"
            f" it has {known}; cast the tensors to one of them"
        )

    def store(self, format: Float) -> CastRule:
        """The rule of casts into `format`."""
        return dict(self.stores).get(format.name, _NEAREST)

    def read(self, values: NDArray[Any], stored: Format, *, axis: int = -1) -> NDArray[Any]:
        """`values` of a tensor stored in `stored` as a contraction reads them: rounded to its operand.

        Args:
            values: of the whole tensor, where operands are scaled.
            stored: its format.
            axis: the summed dimension, along which blocks share a scale.
        """
        operand = self.operand(stored)
        if operand == stored or isinstance(operand, Integer):
            return np.asarray(values)
        if isinstance(operand, Float) and self.scaling is not None:
            largest = float(np.abs(values).max(initial=0.0))
            return self.scaling.read(values, operand, self.store(operand), axis=axis, largest=largest)
        if isinstance(operand, Float):
            return operand.round(values, rule=self.store(operand))
        return operand.round(values)

    def with_rounding(self, rounding: Rounding, *formats: str) -> Numerics:
        """The same with casts into `formats` (by default all floats narrower than fp32) by `rounding`."""
        narrow = formats or ("tf32", "bf16", "fp16", *_FP8)
        rules = dict(self.stores)
        for name in narrow:
            rules[name] = replace(rules.get(name, _NEAREST), rounding=rounding)
        label = f"{self.name}+{rounding.direction}"
        if isinstance(rounding, Stochastic):
            label += f"-{rounding.generator}-{rounding.bits or 'all'}-seed{rounding.seed}"
        return replace(self, name=label, stores=tuple(rules.items()))

    def at(self, *, step: int, tensor: int) -> Numerics:
        """The same with stochastic rounding placed at a training step and tensor; else unchanged."""
        placed = tuple(
            (name, replace(rule, rounding=rule.rounding.at(step=step, tensor=tensor)))
            if isinstance(rule.rounding, Stochastic)
            else (name, rule)
            for name, rule in self.stores
        )
        return replace(self, stores=placed)


_NEAREST = CastRule()
_FP8 = ("fp8_e4m3fn", "fp8_e5m2", "fp8_e3m4", "fp8_e4m3")
_INTEGERS = tuple(
    Contraction(by_name(name), by_name("int32" if name in ("int4", "int8", "uint8") else "int64"))  # type: ignore[arg-type]
    for name in ("int4", "int8", "uint8", "int16", "int32", "int64", "bool")
)


def _rules(names: tuple[str, ...], order: Order, **fields: Any) -> tuple[Contraction, ...]:
    return tuple(Contraction(by_name(name), order=order, **fields) for name in names)  # type: ignore[arg-type]


_DOUBLE = Contraction(by_name("fp64"), by_name("fp64"))  # type: ignore[arg-type]


def reference(name: str = "fp32") -> Numerics:
    """fp32 everywhere it is stored: sequential fused multiply-add chains, nearest-even, correct curves."""
    return Numerics(
        name=name,
        contractions=(
            *_rules(("fp32", "tf32", "bf16", "fp16", *_FP8), Sequential()),
            _DOUBLE,
            *_INTEGERS,
        ),
        reduction=Reduction(order=Lanes(16)),
    )


def neuron(generation: int, *, autocast: str | None = "bf16", rounded_products: bool = False) -> Numerics:
    """Trainium and Inferentia from NeuronCore `generation` 1 (Inf1) to 4 (Trn3).

    The array sums its 128 rows in order and adds the tile to PSUM in fp32. AWS documents fp32
    accumulation; the order inside a tile is assumed.

    Args:
        generation: of the NeuronCore.
        autocast: format to which matmul operands stored in fp32 are cast (neuronx-cc
            ``--auto-cast matmult --auto-cast-type``); None: not at all.
        rounded_products: the disputed reading that products of bf16 are rounded to bf16 before PSUM.

    Raises:
        InvalidDescription: no such generation.
    """
    if generation not in (1, 2, 3, 4):
        raise InvalidDescription(f"numerics neuron: generation {generation}; choose 1 to 4")
    floats = ("fp32", "bf16", "fp16") if generation == 1 else ("fp32", "tf32", "bf16", "fp16", *_FP8)
    if generation < 4:
        floats = tuple(name for name in floats if name != "fp8_e4m3fn")
    order = Tiles(64 if generation == 1 else 128)
    rules = [
        Contraction(rule.operand, rule.accumulator, order=order, product=by_name("bf16"))  # type: ignore[arg-type]
        if rounded_products and rule.operand.name == "bf16"
        else rule
        for rule in _rules(floats, order)
    ]
    saturating = CastRule(overflow="saturate")
    return Numerics(
        name=f"neuron{generation}"
        + (f"-{autocast}" if autocast else "")
        + ("-rounded-products" if rounded_products else ""),
        operands=(("fp32", autocast),) if autocast else (),
        contractions=(*rules, _DOUBLE, *_INTEGERS),
        reduction=Reduction(order=Sequential()),
        stores=tuple((name, saturating) for name in _FP8 if name in floats and name != "fp8_e3m4"),
        assumed=("order of additions inside a tile of the array", "fp8 stores saturate"),
    )


def gpu(name: str = "gpu", *, tf32: bool = False, fp8: bool = False) -> Numerics:
    """An NVIDIA GPU: fp32 accumulation in sequential order (assumed).

    What tensor cores do inside one instruction (Fasi et al., PeerJ CS 7, 2021, measured truncation and
    extra bits) is not modelled.

    Args:
        name: label.
        tf32: matmuls of fp32 tensors run on tensor cores (``torch.backends.cuda.matmul.allow_tf32``).
        fp8: whether tensor cores take e4m3 and e5m2.
    """
    narrow = ("tf32", "bf16", "fp16", *(("fp8_e4m3fn", "fp8_e5m2") if fp8 else ()))
    saturating = CastRule(overflow="saturate")
    return Numerics(
        name=name + ("-tf32" if tf32 else ""),
        operands=(("fp32", "tf32"),) if tf32 else (),
        contractions=(*_rules(("fp32",), Sequential()), *_rules(narrow, Sequential()), _DOUBLE, *_INTEGERS),
        reduction=Reduction(order=Lanes(32)),
        stores=(("fp8_e4m3fn", saturating), ("fp8_e5m2", saturating)) if fp8 else (),
        assumed=(
            "order of additions in tensor cores: sequential",
            "order of reductions: 32 lanes, then a tree",
        ),
    )


def cpu(name: str = "cpu", *, lanes: int = 16) -> Numerics:
    """A CPU with fused multiply-add: sequential chains in matmuls, `lanes` running sums in reductions."""
    return replace(
        reference(name),
        reduction=Reduction(order=Lanes(lanes)),
        assumed=("order of additions of the vendor's matrix library: sequential",),
    )
