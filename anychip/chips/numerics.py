"""Which arithmetic a chip can be asked for: operand formats of its engines, roundings of its hardware."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from anychip.arithmetic import Curves, Numerics, Scaling, neuron_scalar_engine
from anychip.blocks import MatrixEngine
from anychip.errors import InvalidDescription, NotModelled, unknown_name
from anychip.formats import Rounding, bf16, by_name

if TYPE_CHECKING:
    from anychip.chips.chip import Chip

#: Formats to which the operands of contractions can be cast, and the stored formats that then are.
_CASTS: Mapping[str, tuple[str, ...]] = {
    "tf32": ("fp32",),
    "bf16": ("fp32",),
    "fp16": ("fp32",),
    **dict.fromkeys(("fp8_e4m3fn", "fp8_e4m3", "fp8_e4m3fnuz"), ("fp32", "bf16", "fp16")),
    **dict.fromkeys(("fp8_e5m2", "fp8_e5m2fnuz", "fp8_e3m4"), ("fp32", "bf16", "fp16")),
}
#: Recipes of fp8 training, by the name that follows the format.
_SCALINGS: Mapping[str, Scaling] = {
    "tensor-scaled": Scaling("tensor"),
    "delayed-scaled": Scaling("delayed"),
    "block-scaled": Scaling("block"),
}
#: What plain ``fp8`` means, first one that the chip has.
_FP8 = ("fp8_e4m3fn", "fp8_e4m3", "fp8_e4m3fnuz")


def choices(chip: Chip) -> dict[str, Numerics]:
    """Every numerics that a chip can be asked for, by name; the chip's own is ``default``."""
    rates = {
        name
        for engine in chip.engines.values()
        if isinstance(engine.block, MatrixEngine)
        for name in engine.block.rates
    }
    ruled = {rule.operand.name for rule in chip.numerics.contractions}
    found = {"default": chip.numerics}
    if "fp32" in rates & ruled:
        found["fp32"] = _casting(chip.numerics, None)
    for name in _CASTS:
        if name in rates & ruled:
            found[name] = _casting(chip.numerics, name)
    for name in _FP8:
        if name in found:
            found["fp8"] = found[name]
            break
    if "fp8" in found:
        found |= {f"fp8+{name}": _scaling(found["fp8"], name) for name in _SCALINGS}
    return found | {name: alter(chip.numerics) for name, alter in alterations(chip).items()}


def cast_format(chip: Chip, name: str) -> str | None:
    """The format to which a choice of a chip casts operands, as which ``fp8`` it has; None without one."""
    found = choices(chip).get(name)
    return found.operands[0][1] if found is not None and found.operands else None


def alterations(chip: Chip) -> dict[str, Callable[[Numerics], Numerics]]:
    """Other readings of how the chip's hardware computes, which alter any of its numerics, by name."""
    if chip.vendor != "AWS" or chip.kind != "npu":
        return {}
    found = {"rounded-products": _rounding_products}
    if not chip.numerics.name.startswith("neuron1"):  # the ranges of its functions are not published
        found["piecewise-curves"] = _piecewise_curves
    return found


def numerics_of(
    chip: Chip, name: str, *, rounding: str = "nearest-even", seed: int | None = None
) -> Numerics:
    """See `Chip.numerics_named`."""
    numerics = _named(chip, name)
    chosen = Rounding.by_name(rounding, seed=seed)
    if rounding not in chip.roundings:
        raise NotModelled(
            f"chip {chip.name}: no document says that its hardware rounds {rounding}; it rounds "
            f"{', '.join(chip.roundings)}{_who_rounds(rounding)}"
        )
    return numerics if rounding == "nearest-even" else numerics.with_rounding(chosen)


def _named(chip: Chip, name: str) -> Numerics:
    """A choice, or several joined by ``+``, of which all but the first alter the one before."""
    known, altering = choices(chip), alterations(chip)
    if "fp8" in known:
        altering |= {scaled: lambda base, how=scaled: _scaling(base, how) for scaled in _SCALINGS}
    first, *others = name.split("+")
    if name in known:
        return known[name]
    if name == chip.numerics.name:
        return chip.numerics
    if first not in known:
        raise unknown_name(f"numerics of {chip.name}", first, known)
    numerics = known[first]
    seen = [first]
    for other in others:
        if other in known and other not in altering:
            raise InvalidDescription(
                f"numerics of {chip.name}: {name} joins {seen[0]} and {other}, which both say what operands"
                f" are cast to; name one of them, first, then {' or '.join(altering) or 'nothing'}"
            )
        if other not in altering:
            raise unknown_name(f"numerics of {chip.name} after {first}", other, altering)
        if other in seen:
            raise InvalidDescription(f"numerics of {chip.name}: {name} names {other} twice; name it once")
        seen.append(other)
        numerics = altering[other](numerics)
    return numerics


def _who_rounds(rounding: str) -> str:
    if rounding != "stochastic":
        return ""
    return "; choose inf2, trn1, trn2 or trn3 for stochastic rounding"


def _casting(base: Numerics, to: str | None) -> Numerics:
    if to is None:
        return dataclasses.replace(base, name=f"{_stem(base)}-fp32", operands=())
    operands = tuple((stored, to) for stored in _CASTS[to])
    if operands == base.operands:
        return base
    return dataclasses.replace(base, name=f"{_stem(base)}-{to}", operands=operands)


def _rounding_products(base: Numerics) -> Numerics:
    """The disputed reading of the Neuron array: products of bf16 are rounded before they are added."""
    rules = tuple(
        dataclasses.replace(rule, product=bf16) if rule.operand.name == "bf16" else rule
        for rule in base.contractions
    )
    return dataclasses.replace(base, name=f"{base.name}-rounded-products", contractions=rules)


def _scaling(base: Numerics, name: str) -> Numerics:
    """Operands scaled before they are cast to 8 bits."""
    targets = [by_name(read) for _, read in base.operands]
    if not targets or any(target.bits > 8 for target in targets) or base.scaling is not None:
        raise InvalidDescription(
            f"numerics {base.name}: {name} scales operands once, as they are cast to 8 bits, which these are"
            f" not; say fp8+{name}"
        )
    return dataclasses.replace(
        base,
        name=f"{base.name}-{name}",
        scaling=_SCALINGS[name],
        assumed=(*base.assumed, "scaling operands takes no time of its own"),
    )


def _piecewise_curves(base: Numerics) -> Numerics:
    """Functions by piecewise polynomials in fp32, as AWS says its Scalar engine evaluates them."""
    unit = neuron_scalar_engine()
    assumed = ("number of segments, coefficients and steps of the Scalar engine's functions",)
    return dataclasses.replace(
        base,
        name=f"{base.name}-piecewise-curves",
        curves=Curves(unit=unit),
        assumed=(*base.assumed, *assumed),
    )


def _stem(base: Numerics) -> str:
    """The label without the cast that it ends in."""
    stem, _, last = base.name.rpartition("-")
    return stem if stem and last in _CASTS else base.name
