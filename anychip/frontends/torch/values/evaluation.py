"""Forms evaluated on tensors: the operator's meaning, read by the values room.

An operand of a form is a strided view of a tensor, so that evaluating needs nothing but the form and the
tensors of the call. The same walk serves both engines; rows are independent, so that long ones go in blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any

import torch

from anychip.arithmetic import Contraction, Numerics
from anychip.errors import NotModelled
from anychip.formats import Float, by_name
from anychip.frontends.torch.values.compiled import READ
from anychip.frontends.torch.values.engine import Engine
from anychip.frontends.torch.values.operands import (
    Ports,
    backwards_view,
    carried_in_place,
    cut,
    on_loops,
    windowed,
)
from anychip.frontends.torch.values.stored import Store, carrier
from anychip.operators import Attention, Contract, Form, Lanes, Operand, Pass, Rows
from anychip.operators.attention import decomposed
from anychip.operators.contractions import scaled_sum
from anychip.operators.forms import Move

Tensor = torch.Tensor
_BIASED = scaled_sum(1, 1)
#: Elements worked on at once where the rest of the form does not depend on them.
_BLOCK = 1 << 17
#: Elements from which a table of all 16-bit arguments is worth making.
_TABLE_PAYS = 1 << 15
_SIXTEEN = frozenset((torch.bfloat16, torch.float16))
#: Elements of the largest operand that is laid out anew for a convolution.
_UNFOLDED = 1 << 24


class Evaluator:
    """Evaluates forms in a chip's arithmetic.

    Args:
        numerics: the chip's.
        engine: how.
        store: rounds results.
    """

    def __init__(self, numerics: Numerics, engine: Engine, store: Store) -> None:
        self.numerics = numerics
        self.engine = engine
        self.store = store
        self._tables: dict[Any, Tensor] = {}
        self._rules: dict[tuple[str, str], Contraction] = {}
        self._read_as: dict[str, str] = {}

    def run(self, forms: Sequence[Form], ports: Ports) -> None:
        """Evaluates the forms of a call in order; results are in `ports` beforehand."""
        for form in forms:
            match form:
                case Lanes():
                    self.lanes(form, ports)
                case Rows():
                    self.rows(form, ports)
                case Contract():
                    self.contract(form, ports)
                case Attention():
                    self.attention(form, ports)
                case Move():
                    self.move(form, ports)
                case _:
                    raise NotModelled(f"values: a {type(form).__name__} form has no evaluation of its own")

    # --- reading and writing

    def read(self, operand: Operand, extents: Sequence[int], ports: Ports) -> Tensor:
        """An operand over the loops, in its carrier."""
        tensor = ports[operand.port]
        if operand.windows:
            return windowed(carried_in_place(tensor), operand, extents)
        first = tensor.storage_offset() + operand.offset
        if any(stride < 0 for stride in operand.strides):
            return backwards_view(tensor, operand, extents)
        return carrier(tensor.as_strided(extents, operand.strides, first))

    def write(self, operand: Operand, extents: Sequence[int], values: Tensor, ports: Ports) -> None:
        """Rounds values once into the stored format of the operand."""
        tensor = ports.target(operand, extents)
        view = tensor.as_strided(extents, operand.strides, tensor.storage_offset() + operand.offset)
        view.copy_(self.store.stored(values, tensor.dtype))

    def at_once(self, form: Form, ports: Ports) -> bool:
        """Whether the compiled core evaluated the form in one pass."""
        program = self.engine.fused(form, self.store)
        if program is None or not program.fits(ports):
            return False
        program.run(ports, self.store)
        return True

    # --- lanes

    def lanes(self, form: Lanes, ports: Ports) -> None:
        """The recipe on every element; large grids in blocks of the outermost loop."""
        if form.random:
            raise NotModelled("values: random numbers are drawn by the generator, not by a form")
        if self.at_once(form, ports):
            return
        operands = [self.view(each, form.extents, ports) for each in form.operands]
        results = [
            ports.target(each, form.extents).as_strided(
                form.extents, each.strides, ports[each.port].storage_offset() + each.offset
            )
            for each in form.results
        ]
        if self.looked_up(form, operands, results):
            return
        for chosen in _blocks(form.extents):
            part = [carrier(each if chosen is None else each[chosen]) for each in operands]
            values = self.engine.lanes(form.recipe, part)
            for result, value in zip(results, values, strict=True):
                target = result if chosen is None else result[chosen]
                target.copy_(self.store.stored(value, target.dtype))

    def looked_up(self, form: Lanes, operands: list[Tensor], results: list[Tensor]) -> bool:
        """Whether a function of one 16-bit operand was read from the table of all its 65536 values."""
        if len(operands) != 1 or len(results) != 1 or form.recipe.is_copy or form.elements < _TABLE_PAYS:
            return False
        source, result = operands[0], results[0]
        if source.dtype not in _SIXTEEN or self.store.rule(result.dtype) is not None:
            return False
        key = (form.recipe, source.dtype, result.dtype)
        table = self._tables.get(key)
        if table is None:
            codes = torch.arange(-32768, 32768, dtype=torch.int32).to(torch.int16).roll(32768)
            (values,) = self.engine.lanes(form.recipe, [carrier(codes.view(source.dtype))])
            table = self._tables[key] = self.store.stored(values, result.dtype).contiguous()
        index = source.reshape(-1).view(torch.int16).to(torch.int32).bitwise_and_(0xFFFF)
        result.copy_(table.index_select(0, index).reshape(result.shape))
        return True

    def view(self, operand: Operand, extents: Sequence[int], ports: Ports) -> Tensor:
        """An operand over the loops, as it is stored."""
        tensor = ports[operand.port]
        return tensor.as_strided(extents, operand.strides, tensor.storage_offset() + operand.offset)

    def move(self, form: Move, ports: Ports) -> None:
        """A copy or a fill."""
        target = ports.target(form.result, form.extents)
        view = target.as_strided(
            form.extents, form.result.strides, target.storage_offset() + form.result.offset
        )
        if form.source is not None:
            view.copy_(self.read(form.source, form.extents, ports))
        elif form.fill is not None:
            view.fill_(form.fill)

    # --- rows

    def rows(self, form: Rows, ports: Ports) -> None:
        """All passes over a block of rows, then the next block."""
        if self.at_once(form, ports):
            return
        extents = form.rows + form.length
        operands = [self.read(each, extents, ports) for each in form.operands]
        spread = len(form.length)
        step = len(form.rows) and max(1, _BLOCK // max(prod(extents[1:]), 1))
        first = 0
        count = form.rows[0] if form.rows else 1
        whole: dict[str, Tensor] = {}
        while first < count:
            last = min(first + step, count) if step else 1
            chosen = slice(first, last) if step else None
            part = [each if chosen is None else each[chosen] for each in operands]
            shape = (last - first, *extents[1:]) if step else extents
            values = self.passes(form, part, shape, spread)
            for operand, value in zip(form.results, values, strict=True):
                target = ports.target(operand, extents)
                if not target.numel():
                    continue
                if self.store.is_stochastic(target.dtype):
                    # One store of the whole result, whatever the blocks: random numbers go by its elements.
                    target = whole.setdefault(operand.port, torch.empty_like(target, dtype=torch.float32))
                own = form.rows + (1,) * spread if form.per_row(operand) else extents
                view = target.as_strided(own, operand.strides, target.storage_offset() + operand.offset)
                view = view if chosen is None else view[chosen]
                value = value[(..., *(slice(0, 1) for _ in form.length))] if own is not extents else value
                view.copy_(self.store.stored(value, view.dtype))
            first = last
        for port, wide in whole.items():
            ports[port].copy_(self.store.stored(wide, ports[port].dtype))

    def passes(self, form: Rows, operands: list[Tensor], shape: tuple[int, ...], spread: int) -> list[Tensor]:
        """What leaves the write recipe, for one block of rows."""
        registers = list(operands)
        for each in form.passes:
            registers.append(self.one_pass(each, registers, shape, spread))
        return self.engine.lanes(form.write, registers)

    def one_pass(self, each: Pass, registers: list[Tensor], shape: tuple[int, ...], spread: int) -> Tensor:
        """The joined value of a pass, extent 1 over the row (or the row's extent where it runs along)."""
        (values,) = self.engine.lanes(each.recipe, registers)
        outer = shape[: len(shape) - spread]
        flat = values.expand(shape).reshape(*outer, -1) if spread else values.expand(shape).unsqueeze(-1)
        joined = self.join(each.join, flat)
        if joined.shape == flat.shape and (each.join.startswith("running") or each.join == "order"):
            return joined.reshape(shape)
        joined = joined.reshape(outer + (1,) * spread)
        if each.finish is None:
            return joined
        (finished,) = self.engine.lanes(each.finish, [joined, *(_first(r, spread) for r in registers)])
        return finished

    def join(self, kind: str, values: Tensor) -> Tensor:
        """Joins the last dimension."""
        floating = values.dtype.is_floating_point
        match kind:
            case "sum":
                return self.engine.sum(values) if floating else values.sum(-1)
            case "product":
                return _chained(values, torch.mul) if floating else values.prod(-1)
            case "maximum":
                return values.amax(-1)
            case "minimum":
                return values.amin(-1)
            case "any":
                return (values != 0).any(-1)
            case "all":
                return (values != 0).all(-1)
            case "argmaximum":
                return values.to(torch.uint8 if values.dtype is torch.bool else values.dtype).max(-1).indices
            case "argminimum":
                return values.to(torch.uint8 if values.dtype is torch.bool else values.dtype).min(-1).indices
            case "running_sum":
                return _running(values, torch.add) if floating else values.cumsum(-1)
            case "running_product":
                return _running(values, torch.mul) if floating else values.cumprod(-1)
            case "running_maximum":
                return values.cummax(-1).values
            case "running_minimum":
                return values.cummin(-1).values
            case _:
                raise NotModelled(f"values: a pass that joins by {kind} has no evaluation of its own")

    # --- contractions

    def contract(self, form: Contract, ports: Ports) -> None:
        """The product, its epilogue, one rounding; a convolution's windows laid out in blocks of rows."""
        rule = self.rule(form.left, form.right)
        right, narrow_right = self.matrix(form, form.right, "batch depth columns", rule, ports)
        blocks: Sequence[slice | None] = [None]
        if form.left.windows and form.rows:
            per_row = form.problems * (form.m // max(form.rows[0], 1)) * form.k
            step = max(1, _UNFOLDED // max(per_row, 1))
            blocks = [slice(i, min(i + step, form.rows[0])) for i in range(0, form.rows[0], step)]
        for chosen in blocks:
            left, narrow_left = self.matrix(form, form.left, "batch rows depth", rule, ports, chosen)
            narrow = narrow_left or narrow_right
            if chosen is None and self.written_at_once(form, left, right, rule, ports, narrow=narrow):
                return
            rows = form.rows if chosen is None else (chosen.stop - chosen.start, *form.rows[1:])
            accumulators = self.engine.contract(left, right, rule, narrow=narrow)
            self.finish(form, accumulators.reshape(form.batch + rows + form.columns), chosen, ports)

    def written_at_once(
        self, form: Contract, left: Tensor, right: Tensor, rule: Contraction, ports: Ports, *, narrow: bool
    ) -> bool:
        """Whether the product, with at most a bias per column, went straight into the result."""
        if max(len(form.batch), len(form.rows), len(form.columns)) > 1 or not form.m * form.n * form.k:
            return False
        if not form.epilogue.is_copy and form.epilogue != _BIASED:
            return False
        result = _without_depth(form.result, form)
        target = ports.target(result, form.batch + form.rows + form.columns)
        if self.store.rule(target.dtype) is not None:
            return False
        bias = None
        if form.extras:
            extra = _without_depth(form.extras[0], form)
            if any(extra.strides[: len(form.batch) + len(form.rows)]):
                return False
            stride = extra.strides[-1] if form.columns else 0
            tensor = ports[extra.port]
            bias = tensor.as_strided((form.n,), (stride,), tensor.storage_offset() + extra.offset)
        strides = _three(form.batch, form.rows, form.columns, result.strides)
        shape = (form.problems, form.m, form.n)
        view = target.as_strided(shape, strides, target.storage_offset() + result.offset)
        return self.engine.contract_into(left, right, rule, view, narrow=narrow, bias=bias)

    def finish(self, form: Contract, accumulators: Tensor, chosen: slice | None, ports: Ports) -> None:
        """Epilogue and store of one block of rows."""
        extents = form.batch + form.rows + form.columns
        place = (*(slice(None) for _ in form.batch), chosen) if chosen is not None else None
        extras: list[Tensor] = []
        for each in form.extras:
            extra = self.read(_without_depth(each, form), extents, ports)
            extras.append(extra if place is None else extra[place])
        values = accumulators
        if not form.epilogue.is_copy:
            (values,) = self.engine.lanes(form.epilogue, [accumulators, *extras])
        result = _without_depth(form.result, form)
        target = ports.target(result, extents)
        view = target.as_strided(extents, result.strides, target.storage_offset() + result.offset)
        view = view if place is None else view[place]
        view.copy_(self.store.stored(values, view.dtype))

    def matrix(
        self,
        form: Contract,
        operand: Operand,
        groups: str,
        rule: Contraction,
        ports: Ports,
        chosen: slice | None = None,
    ) -> tuple[Tensor, bool]:
        """An operand as batch, rows and columns of one product, in the format that the chip reads it.

        Returns:
            The operand, and whether the engine is to round it to bf16 as it reads.
        """
        first: dict[str, int] = {}
        count = 0
        for name in ("batch", "rows", "columns", "depth"):
            first[name] = count
            count += len(getattr(form, name))
        names = groups.split()
        own: list[tuple[int, ...]] = [getattr(form, name) for name in names]
        loops = [first[n] + i for n, extents in zip(names, own, strict=True) for i in range(len(extents))]
        narrowed, extents = on_loops(operand, tuple(loops)), own[0] + own[1] + own[2]
        if chosen is not None:
            narrowed, extents = cut(narrowed, extents, len(form.batch), chosen)
            own[1] = (chosen.stop - chosen.start, *own[1][1:])
        shape = (prod(own[0]), prod(own[1]), prod(own[2]))
        tensor = ports[operand.port]
        if tensor.dtype in READ and self.engine.reads_stored(rule):
            needs = self._read_as.get(operand.format)
            if needs is None:
                needs = self._read_as[operand.format] = self.numerics.operand(by_name(operand.format)).name
            if needs == operand.format or (needs == "bf16" and self.store.rule(torch.bfloat16) is None):
                return self.laid(narrowed, own, extents, shape, tensor), needs != operand.format
        values = self.read(narrowed, extents, ports).reshape(shape)
        axis = 1 + names[1:].index("depth")
        return self.as_read(values, operand.format, axis, tensor), False

    def laid(
        self,
        operand: Operand,
        groups: list[tuple[int, ...]],
        extents: tuple[int, ...],
        shape: tuple[int, int, int],
        tensor: Tensor,
    ) -> Tensor:
        """An operand as it is stored, without a copy where its loops allow."""
        if operand.windows:
            return windowed(tensor, operand, extents).reshape(shape)
        first = tensor.storage_offset() + operand.offset
        if max(map(len, groups)) <= 1:
            strides = _three(groups[0], groups[1], groups[2], operand.strides)
            return tensor.as_strided(shape, strides, first)
        return tensor.as_strided(extents, operand.strides, first).reshape(shape)

    def as_read(self, values: Tensor, stored: str, axis: int, whole: Tensor) -> Tensor:
        """Values of a tensor as a contraction over `axis` reads them: cast to its operand format."""
        format = self.numerics.operand(by_name(stored))
        if format.name == stored or not isinstance(format, Float) or not values.dtype.is_floating_point:
            return values
        if self.numerics.scaling is not None:
            return self.store.scaled(values, format, axis, whole)
        return self.store.cast(values, format)

    def rule(self, left: Operand, right: Operand) -> Contraction:
        """The rule of a contraction; of two formats the one with more bits decides."""
        key = (left.format, right.format)
        known = self._rules.get(key)
        if known is None:
            stored = max(key, key=lambda name: by_name(name).bits)
            known = self._rules[key] = self.numerics.contraction(by_name(stored))
        return known

    # --- attention

    def attention(self, form: Attention, ports: Ports) -> None:
        """The contractions and rows that it means; a causal mask is an operand."""
        if form.causal:
            ports.tensors["causal"] = torch.ones(form.queries, form.keys, dtype=torch.bool).tril_()
        if form.key_heads != form.heads:
            self.shared_heads(form, ports)
            return
        self.run(_decomposed(form), ports)

    def shared_heads(self, form: Attention, ports: Ports) -> None:
        """Key heads that several query heads share: each gets a copy; gradients are sums over the copies."""
        group = form.heads // form.key_heads
        operands, results, sums = list(form.operands), list(form.results), list[tuple[Operand, str]]()
        for index, (operand, role) in enumerate(zip(operands, form.roles, strict=False)):
            if role in ("key", "value"):
                width = form.width if role == "key" else form.value_width
                view = self.view(operand, (form.batch, form.key_heads, form.keys, width), ports)
                copies = view.repeat_interleave(group, 1).contiguous()
                ports.tensors[f"copies of {role}"] = copies
                operands[index] = replace(
                    operand, port=f"copies of {role}", strides=copies.stride(), offset=0
                )
        for index, (operand, role) in enumerate(zip(results, form.roles[len(operands) :], strict=True)):
            if role in ("grad_key", "grad_value"):
                width = form.width if role == "grad_key" else form.value_width
                wide = torch.empty(form.batch, form.heads, form.keys, width)
                ports.tensors[f"parts of {role}"] = wide
                results[index] = replace(
                    operand, port=f"parts of {role}", format="fp32", strides=wide.stride(), offset=0
                )
                sums.append((operand, role))
        whole = replace(form, key_heads=form.heads, operands=tuple(operands), results=tuple(results))
        self.run(_decomposed(whole), ports)
        for operand, role in sums:
            wide = ports[f"parts of {role}"]
            parts = wide.unflatten(1, (form.key_heads, group)).permute(0, 1, 3, 4, 2)
            total = self.engine.sum(parts.reshape(-1, group)).reshape(parts.shape[:-1])
            self.write(operand, total.shape, total, ports)


#: Attention taken apart, once for each shape.
_decomposed = lru_cache(maxsize=1024)(decomposed)


def _three(
    first: tuple[int, ...], second: tuple[int, ...], third: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[int, int, int]:
    """Strides of three dimensions, each of at most one loop."""
    left = iter(strides)
    one, two, three = (next(left) if group else 0 for group in (first, second, third))
    return one, two, three


def _first(register: Tensor, spread: int) -> Tensor:
    """A register's value for a row as a whole."""
    if register.dim() < spread or not spread:
        return register
    return register[(..., *(slice(0, 1) for _ in range(spread)))]


def _blocks(extents: tuple[int, ...]) -> Sequence[slice | None]:
    """Blocks of the outermost loop, so that registers stay in the cache."""
    elements = prod(extents)
    if elements <= _BLOCK or not extents:
        return (None,)
    step = max(1, (_BLOCK // 4) // max(elements // extents[0], 1))
    return [slice(first, min(first + step, extents[0])) for first in range(0, extents[0], step)]


def _chained(values: Tensor, combine: Any) -> Tensor:
    """Joins the last dimension one element after the other."""
    if values.shape[-1] == 0:
        return torch.ones(values.shape[:-1], dtype=values.dtype)
    joined = values[..., 0].clone()
    for k in range(1, values.shape[-1]):
        joined = combine(joined, values[..., k])
    return joined


def _running(values: Tensor, combine: Any) -> Tensor:
    """A value at every position, one element after the other."""
    result = torch.empty(values.shape, dtype=values.dtype)
    if values.shape[-1]:
        result[..., 0] = values[..., 0]
    for k in range(1, values.shape[-1]):
        result[..., k] = combine(result[..., k - 1], values[..., k])
    return result


def _without_depth(operand: Operand, form: Contract) -> Operand:
    return on_loops(operand, tuple(range(len(form.batch) + len(form.rows) + len(form.columns))))
