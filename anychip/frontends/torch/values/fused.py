"""Forms of lanes and rows as programs of the compiled core: one pass over the tensors of a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from anychip.arithmetic import Numerics
from anychip.arithmetic.access import Access
from anychip.arithmetic.fused import Fused, Joined, fused
from anychip.arithmetic.recipe import CURVES, Recipe
from anychip.formats import CastRule, Float, by_name, fp32
from anychip.frontends.torch.values.stored import Store
from anychip.operators import Form, Lanes, Operand, Rows


class Tensors(Protocol):
    """The tensors of a call by port."""

    tensors: dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class FusedForm:
    """A form that the core evaluates at once.

    Args:
        program: of the core.
        ports: names of the tensors whose addresses it takes, in order.
        types: the element type that each must have.
        spans: elements of a temporary that it makes, by port; 0 for tensors of the call.
        stochastic: ports of the results that are rounded stochastically.
    """

    program: Fused
    ports: tuple[str, ...]
    types: tuple[torch.dtype, ...]
    spans: tuple[int, ...]
    stochastic: tuple[str, ...]

    def fits(self, ports: Tensors) -> bool:
        """Whether the tensors are stored as the program expects."""
        for port, kind, span in zip(self.ports, self.types, self.spans, strict=True):
            tensor = ports.tensors.get(port)
            if not span if tensor is None else tensor.dtype is not kind:
                return False
        known = [ports.tensors.get(port) for port in self.stochastic]
        return all(tensor is None or tensor.is_contiguous() for tensor in known)

    def run(self, ports: Tensors, store: Store) -> None:
        """Evaluates the form on tensors that fit."""
        tensors = ports.tensors
        addresses: list[int] = []
        for port, kind, span in zip(self.ports, self.types, self.spans, strict=True):
            tensor = tensors.get(port)
            if tensor is None:
                tensor = tensors[port] = torch.empty(span, dtype=kind)
            addresses.append(tensor.data_ptr())
        places = [store.next_tensor() for _ in self.stochastic]
        self.program(addresses, places, store.step)


def are_independent(forms: Sequence[Form]) -> bool:
    """Whether no form reads what an earlier one wrote, so that each may round at once."""
    written: set[str] = set()
    for form in forms:
        if any(operand.port in written for operand in form.reads):
            return False
        written.update(operand.port for operand in form.writes)
    return True


def fused_form(form: Form, numerics: Numerics, store: Store) -> FusedForm | None:
    """Prepares a form; None where it is evaluated step by step."""
    if numerics.lane != fp32 or not all(numerics.curves.is_exact(name) for name in _curves_of(form)):
        return None
    if isinstance(form, Lanes):
        if form.random:
            return None
        outer, inner, passes, write = (), form.extents, (), form.recipe
    elif isinstance(form, Rows):
        outer, inner, write = form.rows, form.length, form.write
        passes = tuple(Joined(each.recipe, each.join, each.finish) for each in form.passes)
    else:
        return None
    operands = (*form.operands, *form.results)
    types: list[torch.dtype] = []
    accesses: list[Access] = []
    for number, each in enumerate(operands):
        made = _access(each, store, is_result=number >= len(form.operands))
        if made is None:
            return None
        accesses.append(made)
        types.append(_TYPES[each.format])
    count = len(form.operands)
    program = fused(outer, inner, accesses[:count], passes, write, accesses[count:], numerics.reduction)
    if program is None:
        return None
    ports = tuple(each.port for each in operands)
    spans = [
        0 if number < count or not each.port.startswith("temporary") else _span(each, (*outer, *inner))
        for number, each in enumerate(operands)
    ]
    stochastic = tuple(ports[number] for number in program.places)
    return FusedForm(program, ports, tuple(types), tuple(spans), stochastic)


def _span(operand: Operand, grid: tuple[int, ...]) -> int:
    """Elements from the first of the port to the last that the operand touches."""
    return operand.offset + 1 + sum((e - 1) * s for e, s in zip(grid, operand.strides, strict=True))


def _curves_of(form: Form) -> set[str]:
    """The curves that a form evaluates."""
    recipes: list[Recipe | None] = []
    if isinstance(form, Lanes):
        recipes = [form.recipe]
    elif isinstance(form, Rows):
        recipes = [form.write, *(each for one in form.passes for each in (one.recipe, one.finish))]
    return {name for recipe in recipes if recipe for name in recipe.operations if name in CURVES}


def _access(operand: Operand, store: Store, *, is_result: bool) -> Access | None:
    if operand.windows:
        return None
    if operand.format == "bool":
        return Access(None, operand.strides, operand.offset)
    format = by_name(operand.format)
    dtype = _TYPES.get(operand.format)
    if dtype is None or not isinstance(format, Float):
        return None
    rule: CastRule | None = None
    if is_result and format != fp32:
        rule = store.numerics.store(format)
        if rule.rounding.direction == "stochastic" and operand.offset and operand.port.startswith("temp"):
            return None
    elif is_result and store.rule(dtype) is not None:
        return None
    return Access(format, operand.strides, operand.offset, rule)


_TYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "bool": torch.bool,
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
    "fp8_e4m3fnuz": torch.float8_e4m3fnuz,
    "fp8_e5m2fnuz": torch.float8_e5m2fnuz,
}
