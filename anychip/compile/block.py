"""A fused block of a compiled graph, for one core with a matrix, a vector and a scalar engine.

Forms run one after the other on values that stay on the chip; weights are streamed ahead of their use as far
as the local memory allows. With one accumulator tile the engines take turns, as compiled graphs do; casts,
layout changes and per-channel steps ride on the evacuation of the accumulators.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import NamedTuple

from anychip.arithmetic.recipe import CURVES, Recipe
from anychip.blocks import MatrixEngine, SystolicArray, ceil_div
from anychip.chips import Chip
from anychip.compile.attention import product_format
from anychip.compile.collective import crossing
from anychip.compile.demand import demand_of, element_bytes, multiplies, operand_format
from anychip.compile.fuse import Group, Residency
from anychip.compile.layout import store
from anychip.compile.writer import BlockWriter, streamed_pieces
from anychip.operators import (
    Attention,
    Collective,
    Contract,
    Form,
    Gather,
    Host,
    Lanes,
    Move,
    Operand,
    Rows,
    work,
)
from anychip.programs.program import Grid, Instruction, Item, Loop, Nest, Slot

#: Results held by one accumulator tile, and columns of one tile of weights.
_RESULTS, _COLUMNS = 512 * 512, 512
#: Buffer of finished tiles, where the vector unit and the engines that multiply work side by side.
_RESULT_TILES = "tiles"
#: Vector operations on one attention score (scale and mask, maximum, normalise, transpose) and curves.
_SCORE_OPERATIONS, _SCORE_CURVES = 4, 1
#: Keys of a piece that fill an array.
_FULL_KEYS = 128
#: Factor on the arithmetic of attention for its backward pass.
_BACKWARD = 2.5


def block(chip: Chip, group: Group) -> Nest:
    """The nest of a group of forms."""
    writer = BlockWriter(chip)
    residency = group.residency or tuple(
        Residency((True,) * len(form.reads), (True,) * len(form.writes)) for form in group.forms
    )
    skipped: set[int] = set()
    for index, _form in enumerate(group.forms):
        if index not in skipped:
            _lower(writer, group, residency, index, skipped)
    if any(isinstance(form, Contract | Attention) for form in group.forms) and chip.policy.block_s:
        writer.fixed["block latency"] = round(chip.policy.block_s * chip.clock_hz)
    if group.first and chip.policy.call_s:
        writer.fixed["call"] = round(chip.policy.call_s * chip.clock_hz)
    items = writer.items()
    if writer.spread > 1 and items:
        items = (Grid((("core", writer.spread),), items),)
    return Nest(
        _name(group),
        (),
        tuple(writer.buffers.values()),
        items,
        demand_of(chip, group.forms, items),
        fixed_ticks=tuple(sorted(writer.fixed.items())),
        beside_ticks=tuple((cause, ticks) for cause, ticks in sorted(writer.beside.items()) if ticks),
    )


def _name(group: Group) -> str:
    """Of the kernel: the form's where there is only one."""
    kinds = {type(form).__name__.lower() for form in group.forms}
    return kinds.pop() if len(group.forms) == 1 else "block"


def _lower(
    writer: BlockWriter, group: Group, residency: tuple[Residency, ...], index: int, skipped: set[int]
) -> None:
    """One form, with what rides on it."""
    form, state = group.forms[index], residency[index]
    match form:
        case Contract() if multiplies(writer.chip, operand_format(writer.chip, form)):
            _contract(writer, group, residency, index, skipped)
        case Attention():
            _attention(writer, form, state)
        case Collective():
            ticks = crossing(writer.chip, form, backward=group.backward)
            writer.fixed["collective"] = writer.fixed.get("collective", 0) + ticks.alone
            writer.beside["collective"] = writer.beside.get("collective", 0) + ticks.beside
        case _:
            _walk(writer, form, state)


# --- contractions ------------------------------------------------------------------------------------


class _Shape(NamedTuple):
    """A contraction as the array sees it: rows streamed past, columns, products."""

    m: int
    n: int
    k: int


def array_shape(unit: MatrixEngine, form: Contract) -> _Shape:
    """Streamed rows, stationary columns and products of a contraction, the better operand order chosen.

    Kernel positions of a convolution are packed into the array's rows where the channels leave room, and
    groups into its columns.
    """
    count, m, n, k = max(1, form.problems), max(1, form.m), max(1, form.n), max(1, form.k)
    minimum = getattr(unit, "minimum_cycles", 1)
    if isinstance(unit, SystolicArray):
        taps = _taps(form)
        if taps > 1:
            channels = k // taps
            if channels >= unit.rows:
                k = taps * ceil_div(channels, unit.rows) * unit.rows
            packed = max(1, min(unit.rows // k if k <= unit.rows else 1, unit.columns // n, count))
            count, n, k = ceil_div(count, packed), n * packed, k * packed
    straight = _Shape(count * max(m, minimum if count > 1 else 1), n, k)
    swapped = _Shape(count * max(n, minimum if count > 1 else 1), m, k)
    return min(
        (straight, swapped), key=lambda shape: unit.timing("multiply", shape, next(iter(unit.rates))).busy
    )


def _taps(form: Contract) -> int:
    """Kernel positions among the products of a convolution, 1 for other contractions."""
    first = len(form.batch) + len(form.rows) + len(form.columns)
    taps = 1
    for position, extent in enumerate(form.depth):
        walked = any(
            window.coefficients[first + position]
            for side in (form.left, form.right)
            for window in side.windows
        )
        if walked and any(each.strides[first + position] for each in (form.left, form.right)):
            taps *= extent
    return taps


def _contract(
    writer: BlockWriter, group: Group, residency: tuple[Residency, ...], index: int, skipped: set[int]
) -> None:
    forms = group.forms
    form, state = forms[index], residency[index]
    assert isinstance(form, Contract)  # noqa: S101 - matched by the caller
    chip = writer.chip
    name = operand_format(chip, form)
    unit_name = chip.multiplier(name)
    unit = chip.engines[unit_name].block
    assert isinstance(unit, MatrixEngine)  # noqa: S101 - `multiplier` names a matrix engine
    riders, curves = _riders(group, index)
    skipped.update(riders)
    last = residency[riders[-1]] if riders else state
    stored_bytes = sum(
        o.bytes
        for o, out in zip(forms[riders[-1] if riders else index].writes, last.writes, strict=True)
        if out
    )
    streamed = _streamed_bytes(chip, name, (form.left, form.right), state.reads)
    streamed += sum(o.bytes for o, crossing in zip(form.extras, state.reads[2:], strict=False) if crossing)
    shape = array_shape(unit, form)
    shape = shape._replace(m=ceil_div(shape.m, writer.spread))
    results = max(1, form.problems * form.m * form.n)
    if _taps(form) > 1 and isinstance(unit, SystolicArray):
        # Channels lie on the lanes: few of them leave lanes idle.
        results = results // form.n * ceil_div(form.n, unit.columns) * unit.columns
    results = ceil_div(results, writer.spread)
    stored_bytes = ceil_div(stored_bytes, writer.spread)
    engine = writer.scalar if curves else writer.vector

    def piece(share: float, read: tuple[Slot, ...]) -> tuple[Item, ...]:
        return _result_tiles(writer, unit_name, name, shape, results, share, read, engine, stored_bytes)

    streamed_pieces(writer, streamed, piece)
    if chip.policy.accumulators > 1:
        # What comes next waits for all tiles.
        writer.add(writer.lane(engine, (Slot(_RESULT_TILES),), 1, 1))


def _riders(group: Group, index: int) -> tuple[list[int], bool]:
    """Lanes that the evacuation does on its way, and whether they need a curve.

    They follow from the results alone: other operands are a value per row or column. A curve spelled out in
    several operators is one activation.
    """
    forms, sources = group.forms, group.sources
    riders: list[int] = []
    curves = False
    results = forms[index].writes[0].distinct
    chain = {index}
    for position in range(index + 1, len(forms)):
        form = forms[position]
        if _pointwise_elements(form) != results:
            break
        if sum(operand.distinct * 8 > results for operand in form.writes) != 1:
            break
        full = [at for at, operand in enumerate(form.reads) if operand.distinct * 8 > results]
        if not full or (sources and any(sources[position][at] not in chain for at in full)):
            break
        riders.append(position)
        chain.add(position)
        curves = curves or (
            isinstance(form, Lanes)
            and any(step.operation in CURVES or step.operation == "maximum" for step in form.recipe.steps)
        )
    return riders, curves


def _pointwise_elements(form: Form) -> int:
    """Elements of a form that treats each by itself: lanes, or rows without a pass (a folded batch norm)."""
    if isinstance(form, Lanes):
        return form.elements
    return form.count * form.elements if isinstance(form, Rows) and not form.passes else -1


def _streamed_bytes(chip: Chip, name: str, operands: tuple[Operand, ...], crossing: tuple[bool, ...]) -> int:
    """Bytes of operands that come from main memory, cast to the format that is multiplied if they lie so."""
    size = 0
    for operand, crosses in zip(operands, crossing, strict=False):
        if crosses:
            stored = element_bytes(operand.format)
            each = min(element_bytes(name), stored) if chip.policy.casts_ahead else stored
            size += ceil(operand.distinct * each)
    return size


def _result_tiles(
    writer: BlockWriter,
    unit_name: str,
    format_name: str,
    shape: _Shape,
    results: int,
    share: float,
    read: tuple[Slot, ...],
    engine: str,
    stored_bytes: int,
) -> tuple[Item, ...]:
    """Products and evacuation of a share of a contraction, one accumulator tile after the other.

    Where several tiles wait for the vector unit, products go on while it works.
    """
    chip = writer.chip
    unit = chip.engines[unit_name].block
    assert isinstance(unit, MatrixEngine)  # noqa: S101 - named by the caller
    total = unit.timing("multiply", shape, format_name).busy
    tiles = max(1, ceil(results * share / _RESULTS))
    busy = total * share / tiles
    extents = _extents(unit, shape, busy, total)
    sums = writer.buffer("accumulators", chip.policy.accumulators, _RESULTS * 4, "psum")
    values = Slot(writer.buffer("values", 1, 1))
    products = Instruction(
        unit_name, "multiply", (*read, values), (Slot(sums, fresh=True),), extents, format_name
    )
    target = _RESULT_TILES if chip.policy.accumulators > 1 else "values"
    evacuation = writer.lane(engine, (Slot(sums),), results * share / tiles, 1, target)
    items: list[Item] = [products, evacuation]
    if stored_bytes:
        size = stored_bytes * share / tiles
        items.append(store(chip, target, results * share / tiles, size))
    return tuple(items) if tiles == 1 else (Loop("t", tiles, tuple(items)),)


def _extents(unit: MatrixEngine, shape: _Shape, busy: float, total: int) -> tuple[int, int, int]:
    """A part of the contraction that holds the engine for about `busy` of `total` cycles.

    Fewer streamed rows, as long as a pass is no shorter than the array's shortest; then fewer stationary
    tiles, as many at once as there are arrays.
    """
    if not isinstance(unit, SystolicArray):
        return (max(1, ceil(shape.m * busy / total)), shape.n, shape.k)
    tiles = ceil_div(shape.k, unit.rows) * ceil_div(shape.n, unit.columns)
    passes = ceil_div(tiles, unit.arrays)
    cycles = max(shape.m, unit.shortest_pass) * passes * busy / total
    rows = ceil(cycles / max(1, min(passes, int(cycles / unit.shortest_pass))))
    wanted = max(1, ceil(cycles / rows))
    rows = min(shape.m, rows)
    if wanted >= passes:
        return (rows, shape.n, shape.k)
    return (rows, min(shape.n, unit.columns), min(wanted * unit.arrays, tiles) * unit.rows)


# --- attention ---------------------------------------------------------------------------------------


def _attention(writer: BlockWriter, form: Attention, state: Residency) -> None:
    """Scores, softmax and context of all heads.

    The compiler goes head after head and skips nothing of a causal mask. Long sequences have a kernel written
    by hand, which skips what the mask leaves out and keeps all engines busy at once.
    """
    chip = writer.chip
    name = product_format(chip, form)
    heads = max(1, form.batch * form.heads)
    crossing = sum(o.bytes for o, out in zip(form.operands, state.reads, strict=True) if out)
    stored = sum(o.bytes for o, out in zip(form.results, state.writes, strict=True) if out) / writer.spread
    by_hand = 0 < chip.policy.kernel_queries <= form.queries and multiplies(chip, name)
    kernel = _FusedAttention(writer, form, name) if by_hand else None
    scores = heads * form.queries * form.keys
    factor = (_BACKWARD if form.direction == "backward" else 1.0) / writer.spread
    rows = heads * form.queries
    lanes = getattr(writer.lanes, "lanes", 1)
    padded = scores * (lanes / rows if rows < lanes else 1.0)
    outputs = heads * form.queries * form.value_width / writer.spread
    unit_name = chip.multiplier(name)
    unit = chip.engines[unit_name].block
    arrays = getattr(unit, "arrays", 1)
    values = Slot(writer.buffer("values", 1, 1))
    sums = writer.buffer("accumulators", chip.policy.accumulators, _RESULTS * 4, "psum")

    def products(share: float, read: tuple[Slot, ...]) -> tuple[Item, ...]:
        items: list[Item] = []
        if kernel is not None:
            return kernel.items(scores * factor * share * form.pairs / (form.queries * form.keys), read)
        if multiplies(chip, name):
            minimum = getattr(unit, "minimum_cycles", 1)
            # Pieces are some of the keys where those still fill the array, else some of the heads.
            by_keys = form.keys * share >= _FULL_KEYS
            rows = heads * factor * (1.0 if by_keys else share)
            keys = ceil(form.keys * share) if by_keys else form.keys
            streamed = ceil(rows * max(form.queries, minimum))
            turned = ceil_div(form.queries, 128) * ceil_div(keys, 128) * min(128, form.queries)
            extents = [
                (streamed, keys, form.width),
                (ceil(rows * turned / arrays), 128 * arrays, 128),
                (streamed, form.value_width, keys),
            ]
            items += [
                Instruction(unit_name, "multiply", (*read, values), (Slot(sums, fresh=True),), each, name)
                for each in extents
            ]
        else:
            items.append(writer.lane(writer.vector, (*read, values), scores * form.width * factor * share, 4))
        reads = (Slot(sums),) if multiplies(chip, name) else (values,)
        items += [
            writer.lane(writer.vector, reads, padded * factor * share, _SCORE_OPERATIONS),
            writer.lane(writer.scalar, (values,), padded * factor * share, _SCORE_CURVES),
            writer.lane(writer.vector, (values,), outputs * share, 1),
        ]
        return tuple(items)

    cached = crossing > 0 and form.keys > form.queries
    if cached:
        # This token's key and value must be in the cache before it is read, and weights queue behind it.
        writer.fence()
    streamed_pieces(writer, crossing, products)
    if stored:
        writer.add(store(chip, "values", stored, stored))
    if cached:
        writer.fence()


class _FusedAttention:
    """A kernel that begins the next tile of scores before it ends this one.

    Args:
        writer: of the block.
        form: the attention.
        name: format that is multiplied.
    """

    def __init__(self, writer: BlockWriter, form: Attention, name: str) -> None:
        self._writer, self._form, self._name = writer, form, name
        self._unit_name = writer.chip.multiplier(name)
        self._arrays = getattr(writer.chip.engines[self._unit_name].block, "arrays", 1)
        self._slots = {
            each: writer.buffer(each, 2, _RESULTS * 4, "psum" if each in ("scores", "sums") else None)
            for each in ("scores", "weights", "turned", "sums")
        }

    def items(self, scores: float, read: tuple[Slot, ...]) -> tuple[Item, ...]:
        """Work on so many scores, given the operands' slots."""
        tiles = max(1, ceil(scores / _RESULTS))
        rows = max(1, ceil(scores / tiles / _COLUMNS))
        weighed = rows * _COLUMNS
        scored = self._multiply((rows, _COLUMNS, self._form.width), read, "scores")
        blocks = ceil(rows * (_COLUMNS // 128) / self._arrays)
        outputs = rows * self._form.value_width
        opened = (
            scored,
            self._lanes(self._writer.vector, "scores", "weights", weighed, 1),
            self._lanes(self._writer.scalar, "weights", "weights", weighed, _SCORE_CURVES),
        )
        closed = (
            self._multiply((blocks, 128 * self._arrays, 128), (Slot(self._slots["weights"]),), "turned"),
            self._lanes(self._writer.vector, "turned", "turned", weighed, 1),
            self._multiply((rows, self._form.value_width, _COLUMNS), (Slot(self._slots["turned"]),), "sums"),
            self._lanes(self._writer.vector, "sums", None, outputs, 1),
        )
        # While the weights of one tile are turned, the maximum of the next is found.
        both = (*opened[:2], closed[0], opened[2], *closed[1:])
        return (*opened, *((Loop("a", tiles - 1, both),) if tiles > 1 else ()), *closed)

    def _multiply(self, extents: tuple[int, int, int], read: tuple[Slot, ...], into: str) -> Instruction:
        written = (Slot(self._slots[into], fresh=True),)
        return Instruction(self._unit_name, "multiply", read, written, extents, self._name)

    def _lanes(self, engine: str, read: str, into: str | None, elements: int, steps: int) -> Instruction:
        made = self._writer.lane(engine, (Slot(self._slots[read]),), elements, steps)
        if into is None:
            return made
        return replace(made, writes=(Slot(self._slots[into], fresh=into != read),))


# --- everything else ---------------------------------------------------------------------------------


def _walk(writer: BlockWriter, form: Form, state: Residency) -> None:
    """Lanes, rows, gathers, moves and opaque work on the vector and scalar engines."""
    chip = writer.chip
    moved = work(form)
    reads = [o for o, out in zip(form.reads, state.reads, strict=True) if out]
    crossing = sum(operand.bytes for operand in reads)
    stored = sum(o.bytes for o, out in zip(form.writes, state.writes, strict=True) if out) / writer.spread
    if isinstance(form, Gather):
        crossing = moved.read_bytes
        stored = min(stored, moved.written_bytes / writer.spread)
    elements, plain, curves = _lane_steps(form)
    elements = ceil_div(elements, writer.spread)
    if crossing + stored == 0 and _is_layout(form):
        return

    def piece(share: float, read: tuple[Slot, ...]) -> tuple[Item, ...]:
        values = Slot(writer.buffer("values", 1, 1))
        items: list[Item] = []
        slots = (*read, values)
        if plain:
            items.append(writer.lane(writer.vector, slots, elements * share, plain))
            slots = (values,)
        if curves:
            items.append(writer.lane(writer.scalar, slots, elements * share, curves))
        if not items:
            items.append(writer.lane(writer.vector, slots, 1, 1))
        if stored:
            items.append(store(chip, "values", elements * share, stored * share))
        return tuple(items)

    streamed_pieces(writer, crossing, piece)


def _is_layout(form: Form) -> bool:
    """Whether the form only moves or casts, which rides on its neighbours' access patterns."""
    return isinstance(form, Move) or (isinstance(form, Lanes) and form.recipe.is_copy)


def _lane_steps(form: Form) -> tuple[int, int, int]:
    """Elements, vector operations and curves on each, as the engines' instructions do them.

    One vector instruction does two steps with one tensor, or one step with two; the latter takes two cycles.
    """
    match form:
        case Lanes():
            plain, curves = _plain_and_curves(form.recipe)
            full = sum(1 for operand in form.operands if operand.distinct * 8 > form.elements)
            pairs = max(0, full - 1)
            count = 2 * pairs + ceil(max(0, plain - pairs) / 2)
            return form.elements, 0 if form.recipe.is_copy else count, curves
        case Rows():
            plain = curves = 0
            for each in form.passes:
                inside = _plain_and_curves(each.recipe)[1]
                plain, curves = plain + (0 if inside else 1), curves + inside
            written, again = _plain_and_curves(form.write)
            if any(not form.per_row(result) for result in form.results):
                plain += ceil(written / 2)
                curves = curves or again
            return form.count * form.elements, plain, curves
        case Gather():
            return form.rows * form.width, 2 if form.mode in ("add", "reduce") else 0, 0
        case Host():
            return form.operations, 1, 0
        case Contract():
            return form.problems * form.m * form.n * form.k, 2, 0
        case _:
            return max((operand.distinct for operand in form.writes), default=1), 0, 0


def _plain_and_curves(recipe: Recipe) -> tuple[int, int]:
    curves = sum(step.operation in CURVES for step in recipe.steps)
    return len(recipe.steps) - curves, curves
