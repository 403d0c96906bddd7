"""Kernels of one arithmetic: for an overload, a callable on plain CPU tensors with the chip's bits.

A call is planned once per (shapes, strides, element types, attributes): which forms it means and what it
returns. Where PyTorch's own kernel is known to give the same bits it runs instead (`exact`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch

from anychip.arithmetic import Numerics
from anychip.errors import NotModelled
from anychip.formats import by_name
from anychip.frontends.torch.values.calls import Call, Geometry, Schema, geometry, results_of, shape_of
from anychip.frontends.torch.values.engine import Engine, Fast
from anychip.frontends.torch.values.evaluation import Evaluator
from anychip.frontends.torch.values.exact import is_exact
from anychip.frontends.torch.values.fused import are_independent
from anychip.frontends.torch.values.operands import Ports
from anychip.frontends.torch.values.stored import Store
from anychip.operators import Attention, Contract, Form, find, meaning
from anychip.operators.forms import Collective, Gather, Host
from anychip.operators.table import Call as OperatorCall

Tensor = torch.Tensor
#: Whose arithmetic a call has: the chip's, or that of the host's library.
Order = Literal["chip", "host order"]
#: Kinds that compute; the others move data, which PyTorch does exactly.
_COMPUTING = frozenset(("contraction", "attention", "lanes", "rows"))
#: Formats whose arithmetic the forms specify.
_SPECIFIED = frozenset(
    "fp32 tf32 bf16 fp16 fp8_e4m3fn fp8_e5m2 fp8_e4m3fnuz fp8_e5m2fnuz bool int64 int32 int16 int8 "
    "uint8".split()
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How one sort of call is evaluated.

    Args:
        forms: what it means; None if PyTorch's kernel runs.
        results: geometry of each fresh result, None where the call returns None there.
        is_list: whether the results come as a list or tuple.
    """

    forms: tuple[Form, ...] | None
    results: tuple[Geometry | None, ...] = ()
    is_list: bool = False


_HOST_PLAN = Plan(None)


class Handler:
    """The kernel of one overload in one arithmetic.

    Args:
        operator: the overload.
        values: the arithmetic.
    """

    def __init__(self, operator: Any, values: Values) -> None:
        self.operator = operator
        self.values = values
        self.schema = Schema(operator)
        self.exact = is_exact(self.schema.name)
        self.plans: dict[Any, Plan] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluates a call; results and aliasing are those of the operator."""
        if self.exact is not None and self.exact(_tensors(args), kwargs, self.values.store):
            return self.operator(*args, **kwargs)
        tensors, attributes = self.schema.flattened(args, kwargs)
        key = (tuple([(t.dtype, t.shape, t.stride()) for t in tensors]), attributes)
        plan = self.plans.get(key)
        if plan is None:
            plan = self.plans[key] = self.plan(args, kwargs, tensors, attributes)
        if plan.forms is None:
            return self.operator(*args, **kwargs)
        return self.evaluate(plan, args, kwargs, tensors)

    def plan(
        self, args: Sequence[Any], kwargs: dict[str, Any], tensors: list[Tensor], attributes: Any
    ) -> Plan:
        """Decides how calls of this sort are evaluated."""
        if any(t.layout is not torch.strided or t.is_quantized or t.dtype.is_complex for t in tensors):
            return _HOST_PLAN
        try:
            returned = results_of(self.operator, args, kwargs)
        except (NotImplementedError, RuntimeError):
            return _HOST_PLAN
        listed = list(returned) if isinstance(returned, (tuple, list)) else [returned]
        if any(each is not None and not isinstance(each, Tensor) for each in listed):
            return _HOST_PLAN
        written = self.schema.written_tensors(args, kwargs)
        aliased = self.schema.aliased
        fresh = [each for i, each in enumerate(listed) if not (i < len(aliased) and aliased[i])]
        fresh = fresh if self.schema.returns else []
        outputs = [*written, *(each for each in fresh if each is not None)]
        if self.schema.is_out and any(w.shape != r.shape for w, r in zip(written, listed, strict=False)):
            return _HOST_PLAN
        call = Call(
            self.schema.name,
            attributes,
            tuple(shape_of(geometry(t)) for t in tensors),
            tuple(shape_of(geometry(t)) for t in outputs),
        )
        forms = forms_with_chip_semantics(call, self.values.numerics)
        if forms is None:
            return _HOST_PLAN
        results = tuple(None if each is None else geometry(each) for each in fresh)
        return Plan(forms, results, isinstance(returned, (tuple, list)))

    def evaluate(self, plan: Plan, args: Sequence[Any], kwargs: dict[str, Any], tensors: list[Tensor]) -> Any:
        """Runs the forms into fresh results, or into the arguments that the call writes."""
        made: list[Tensor | None] = [
            None if each is None else torch.empty_strided(each[1], each[2], dtype=each[0])
            for each in plan.results
        ]
        written = self.schema.written_tensors(args, kwargs)
        outputs = [*written, *(each for each in made if each is not None)]
        ports = Ports({f"in{i}": t for i, t in enumerate(tensors)})
        ports.tensors.update({f"out{i}": t for i, t in enumerate(outputs)})
        with torch.no_grad():
            self.values.run(plan.forms or (), ports)
        if made:
            return tuple(made) if plan.is_list else made[0]
        return self.returned(args, kwargs, written)

    def returned(self, args: Sequence[Any], kwargs: dict[str, Any], written: list[Tensor]) -> Any:
        """What an in-place or ``out=`` call returns: its arguments, or nothing."""
        if not self.schema.returns:
            return None
        if self.schema.returns > 1:
            return tuple(written)
        first = self.schema.written[0]
        position = self.schema.names.index(first)
        return args[position] if position < len(args) else kwargs[first]


def _tensors(args: Sequence[Any]) -> list[Tensor]:
    """Tensors among positional arguments, lists taken apart."""
    found: list[Tensor] = []
    for argument in args:
        if isinstance(argument, Tensor):
            found.append(argument)
        elif isinstance(argument, list) and argument and isinstance(argument[0], Tensor):
            found += argument
    return found


class Grouped(Handler):
    """The product whose groups end where data says: one product per group."""

    def __call__(
        self,
        left: Tensor,
        right: Tensor,
        offs: Tensor | None = None,
        bias: Tensor | None = None,
        out_dtype: torch.dtype | None = None,
    ) -> Any:
        """Evaluates a call; rows or columns that belong to no group are zero."""
        del out_dtype
        if offs is None or bias is not None or not left.is_floating_point():
            return self.operator(left, right, offs, bias)
        product = self.values(torch.ops.aten.mm.default) or torch.ops.aten.mm.default
        shape = (left.shape[-2], right.shape[-1])
        if left.dim() == right.dim() == 2:
            shape = (offs.numel(), *shape)
        result = torch.zeros(shape, dtype=left.dtype)
        first = 0
        for group, last in enumerate(offs.tolist()):
            if left.dim() == 2 and right.dim() == 3:
                result[first:last] = product(left[first:last], right[group])
            elif left.dim() == 3:
                result[:, first:last] = product(left[group], right[:, first:last])
            else:
                result[group] = product(left[:, first:last], right[first:last])
            first = last
        return result


class Values:
    """Every kernel of one arithmetic; give an instance to a capture as its handlers.

    Args:
        numerics: the chip's.
        engine: how forms are evaluated; None for the fast one.
    """

    def __init__(self, numerics: Numerics, engine: Engine | None = None) -> None:
        self.numerics = numerics
        self.store = Store(numerics)
        self.engine = engine or Fast(numerics)
        self.evaluator = Evaluator(numerics, self.engine, self.store)
        self._handlers: dict[Any, Callable[..., Any] | None] = {}

    def __call__(self, operator: Any) -> Callable[..., Any] | None:
        """The kernel of an overload; None where PyTorch's own is meant."""
        if operator not in self._handlers:
            self._handlers[operator] = self._made(operator)
        return self._handlers[operator]

    def _made(self, operator: Any) -> Callable[..., Any] | None:
        name = Schema(operator).name
        entry = find(name)
        if entry is None or entry.kind not in _COMPUTING:
            return None
        if name == "aten._grouped_mm.default":
            return Grouped(operator, self)
        return Handler(operator, self)

    def begin_step(self, step: int) -> None:
        """Places stochastic rounding in training step `step`."""
        self.store.begin_step(step)

    def begin_pass(self, model: int) -> None:
        """A forward pass of a model begins: delayed scales look back to the same place of its last passes."""
        self.store.amaxes.begin_pass(model)

    def run(self, forms: Sequence[Form], ports: Ports) -> None:
        """Evaluates forms; narrow results that the chip rounds in its own way are cast once, as wholes."""
        written = dict.fromkeys(operand.port for form in forms for operand in form.writes)
        changed = {id(ports.tensors[port]) for port in written if port in ports.tensors}
        shadows = {
            port: tensor
            for port, tensor in ports.tensors.items()
            if id(tensor) in changed and self.store.rule(tensor.dtype) is not None
        }
        if not shadows or (are_independent(forms) and self.at_once(forms, ports)):
            if not shadows:
                self.evaluator.run(forms, ports)
            return
        lanes: dict[int, Tensor] = {}
        for port, tensor in shadows.items():
            if id(tensor) not in lanes:
                lanes[id(tensor)] = _widened(tensor)
            ports.tensors[port] = lanes[id(tensor)]
        self.evaluator.run(forms, ports)
        done: set[int] = set()
        for port in written:
            tensor = shadows.get(port)
            if tensor is not None and id(tensor) not in done:
                done.add(id(tensor))
                tensor.copy_(self.store.stored(ports[port], tensor.dtype))

    def at_once(self, forms: Sequence[Form], ports: Ports) -> bool:
        """Whether the compiled core evaluated all the forms, each rounding its results as it stored them."""
        programs = [self.engine.fused(form, self.store) for form in forms]
        if not all(each is not None and each.fits(ports) for each in programs):
            return False
        for each in programs:
            if each is not None:
                each.run(ports, self.store)
        return True


def _widened(tensor: Tensor) -> Tensor:
    """The same elements in fp32 with the same strides, overlapping where the tensor's own overlap."""
    if tensor.numel() == 0:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=torch.float32)
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    span = 1 + sum((extent - 1) * stride for extent, stride in steps)
    covered = torch.as_strided(tensor, (span,), (1,)).to(torch.float32)
    return torch.as_strided(covered, tensor.shape, tensor.stride())


def forms_with_chip_semantics(
    call: OperatorCall, numerics: Numerics | None = None
) -> tuple[Form, ...] | None:
    """The forms of a call whose values they specify in full; None where the host's library decides.

    With `numerics` that is also so where the chip has no arithmetic for the formats of a product.
    """
    entry = find(call.operator)
    if entry is None or entry.kind not in _COMPUTING:
        return None
    tensors = (*call.inputs, *call.outputs)
    if any(each.format not in _SPECIFIED for each in tensors):
        return None
    if not any(each.format.startswith(("fp", "bf", "tf")) for each in tensors):
        return None
    forms = meaning(call)
    for form in forms:
        if isinstance(form, (Host, Gather, Collective)) or not _evaluates(form):
            return None
        if numerics is not None and not _multiplies(form, numerics):
            return None
    return forms


def _multiplies(form: Form, numerics: Numerics) -> bool:
    """Whether the chip has a contraction for what the form multiplies."""
    if isinstance(form, Contract):
        pair = (form.left.format, form.right.format)
    elif isinstance(form, Attention):
        pair = (form.operands[0].format, form.operands[2].format)
    else:
        return True
    try:
        numerics.contraction(by_name(max(pair, key=lambda name: by_name(name).bits)))
    except NotModelled:
        return False
    return True


def _evaluates(form: Form) -> bool:
    """Whether the evaluator has every join that the form asks for."""
    passes = getattr(form, "passes", ())
    random = getattr(form, "random", 0)
    return not random and not any(each.join in ("order", "running_logsumexp") for each in passes)


def order_of(call: OperatorCall, numerics: Numerics | None = None) -> Order:
    """Whose arithmetic a recorded call had; moves, gathers and selections of elements round nothing.

    Args:
        call: as recorded.
        numerics: the chip's; without it a chip that multiplies every format.
    """
    entry = find(call.operator)
    if entry is None:
        return "host order"
    formats = {each.format for each in (*call.inputs, *call.outputs)}
    if entry.kind in ("view", "move", "random", "collective"):
        return "chip"
    if not any(name.startswith(("fp", "bf", "tf", "complex")) for name in formats):
        return "chip"
    if formats - _SPECIFIED:
        return "host order"
    if any(isinstance(form, Host) for form in meaning(call)):
        return "host order"
    if entry.kind == "gather":
        adds = any(isinstance(f, Gather) and f.mode in ("add", "reduce") for f in meaning(call))
        # PyTorch adds narrow rows in their own format, which no declared sum says.
        return "host order" if adds and formats & {"bf16", "fp16"} else "chip"
    if forms_with_chip_semantics(call, numerics) is not None:
        return "chip"
    joins = {each.join for form in meaning(call) for each in getattr(form, "passes", ())}
    return "chip" if joins and joins <= {"order"} else "host order"


@lru_cache(maxsize=32)
def values_of(numerics: Numerics) -> Values:
    """The one set of kernels of an arithmetic."""
    return Values(numerics)


def handler(operator: Any, numerics: Numerics) -> Callable[..., Any] | None:
    """The kernel of an overload on plain CPU tensors in a chip's arithmetic.

    Args:
        operator: the overload, ``torch.ops.aten.mm.default``.
        numerics: the chip's.

    Returns:
        A callable with the overload's signature, None where PyTorch's own kernel is meant (moves, integer
        work, and what runs in host order; `order_of` tells which).
    """
    return values_of(numerics)(operator)
