"""Fused attention as one kernel: a grid of query tiles, keys and values streaming past.

Scores never leave the core. Queries of the heads that share a key head form one tile; few tiles cut the keys
into parts, as serving kernels do, until every core has one.
"""

from __future__ import annotations

from math import ceil

from anychip.arithmetic.recipe import Recipe, Step
from anychip.blocks import OuterProductArray
from anychip.chips import Chip
from anychip.compile.demand import demand_of, element_bytes
from anychip.compile.layout import library_engine, load, local_memory, store
from anychip.formats import by_name
from anychip.operators import Attention
from anychip.operators.forms import element_bits
from anychip.programs.program import Buffer, Grid, Instruction, Item, Loop, Nest, Slot

_QUERY_TILE, _KEY_TILE = 128, 128
#: Products of a forward pass, and of a backward pass, which forms the scores again.
_FORWARD, _BACKWARD = 2, 5
#: Lane operations on one score: scale and mask, maximum, exponential, sum.
_SOFTMAX = Recipe(1, tuple(Step(name, (0,)) for name in ("mul", "maximum", "exp", "add")), (0,))
_RESCALE = Recipe(1, (Step("mul", (0,)),), (0,))
#: Below this share of the cores, keys are cut into parts.
_ENOUGH = 0.8


def product_format(chip: Chip, form: Attention) -> str:
    """The format in which scores are formed."""
    read = [chip.numerics.operand(by_name(each.format)).name for each in form.operands[:2]]
    return max(read, key=element_bits)


def attention(chip: Chip, form: Attention) -> Nest:
    """The nest of a fused attention operator, forward or backward."""
    group = form.heads // max(1, form.key_heads)
    rows = form.queries * (group if form.queries * group <= _QUERY_TILE else 1)
    heads = form.batch * (form.key_heads if rows > form.queries else form.heads)
    tile = min(_QUERY_TILE, max(16, rows))
    blocks = heads * -(-rows // tile)
    keys = max(1, ceil(form.pairs / max(1, form.queries)))
    step = min(_KEY_TILE, keys)
    if chip.policy.inline is not None:
        tile, step = -(-rows // -(-rows // tile)), -(-keys // -(-keys // step))
    parts = 1
    if blocks < _ENOUGH * chip.cores:
        parts = max(1, min(chip.cores // max(1, blocks), -(-keys // step)))
    steps = -(-keys // (step * parts))
    body = (_grid(chip, form, blocks * parts, tile, step, steps),)
    local, element = local_memory(chip), element_bytes(form.operands[0].format)
    width = max(form.width, form.value_width)
    buffers = (
        Buffer("queries", local, 1, ceil(tile * width * element)),
        Buffer("keys", local, 2, ceil(step * width * element)),
        Buffer("values", local, 2, ceil(step * width * element)),
        Buffer("scores", "registers", 2, tile * step * 4),
        Buffer("weights", "registers", 2, tile * step * 4),
        Buffer("sums", "registers", 1, tile * width * 4),
        Buffer("out", "registers", 2, tile * width * 4),
    )
    return Nest("attention", (), buffers, body, demand_of(chip, (form,), body), launches=1 + (parts > 1))


def _grid(chip: Chip, form: Attention, blocks: int, tile: int, step: int, steps: int) -> Grid:
    """Iterations over query tiles."""
    name = product_format(chip, form)
    read = {role: operand.bytes for role, operand in zip(form.roles, form.operands, strict=False)}
    streamed = {"key", "value"}
    keys = sum(size for role, size in read.items() if role in streamed)
    others = sum(size for role, size in read.items() if role not in streamed)
    element = element_bytes(form.operands[1].format)
    near = blocks * steps * step * (form.width + form.value_width) * element
    far_each, near_each = keys / (2 * blocks * steps), near / (2 * blocks * steps)
    width = max(form.width, form.value_width)
    kind = "attention" if form.direction == "forward" else "attention backward"
    matrix = library_engine(chip, kind, name)

    def pair(*, fresh: bool) -> tuple[Item, ...]:
        items: list[Item] = [
            load(chip, "keys", step * form.width, far_each, max(far_each, near_each)),
            _product(chip, matrix, name, ("queries", "keys"), "scores", (tile, step, form.width), fresh=True),
            _lanes(chip, "scores", "weights", tile * step, _SOFTMAX),
            load(chip, "values", step * form.value_width, far_each, max(far_each, near_each)),
            _product(
                chip, matrix, name, ("weights", "values"), "sums", (tile, form.value_width, step), fresh=fresh
            ),
        ]
        if form.direction == "backward":
            items += [
                _product(chip, matrix, name, ("weights", "values"), "sums", (tile, width, step), fresh=False)
                for _ in range(_BACKWARD - _FORWARD)
            ]
        return tuple(items)

    stored = sum(operand.bytes for operand in form.results) / blocks
    body: list[Item] = [load(chip, "queries", tile * form.width, others / blocks), *pair(fresh=True)]
    if steps > 1:
        body.append(Loop("k", steps - 1, pair(fresh=False)))
    body.append(_lanes(chip, "sums", "out", tile * form.value_width, _RESCALE))
    body.append(store(chip, "out", tile * form.value_width, stored))
    # Sums of a small tile leave room for another block of threads.
    return Grid((("b", blocks),), tuple(body), resident=1 if tile >= _QUERY_TILE else 2)


def _product(
    chip: Chip,
    matrix: str,
    name: str,
    reads: tuple[str, str],
    target: str,
    extents: tuple[int, int, int],
    *,
    fresh: bool,
) -> Instruction:
    """A product in the matrix engine, or in the vector unit if no array takes such tiles."""
    slots, written = tuple(Slot(each) for each in reads), (Slot(target, fresh=fresh),)
    takes = not isinstance(chip.engines[matrix].block, OuterProductArray)
    if takes and chip.macs_per_second(name) > 0:
        return Instruction(matrix, "multiply", slots, written, extents, name)
    elements = (extents[0] * extents[1] * extents[2],)
    recipe = Recipe(1, (Step("mul", (0,)), Step("add", (0,))), (0,))
    return Instruction(chip.vector_names[0], "lanes", slots, written, elements, name, recipe)


def _lanes(chip: Chip, source: str, target: str, elements: int, recipe: Recipe) -> Instruction:
    written = (Slot(target, fresh=True),)
    return Instruction(chip.vector_names[0], "lanes", (Slot(source),), written, (elements,), "fp32", recipe)
