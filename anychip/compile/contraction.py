"""Contractions on chips whose cores share one kernel: a grid of result tiles, operands streaming past.

Edges are padded in time and clipped in bytes. Traffic over the link of main memory is what reuse in the
shared cache leaves; over nearer links it is what every tile fetches.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log2

from anychip.arithmetic.recipe import IDENTITY, Recipe, Step, traced
from anychip.blocks import DotUnit, MatrixEngine
from anychip.chips import Chip
from anychip.compile.demand import demand_of, element_bytes, operand_format
from anychip.compile.fuse import Crossing
from anychip.compile.layout import bytes_of, library_engine, load, local_memory, store, write_cost
from anychip.compile.tiles import (
    Problem,
    Tiling,
    biased_ticks,
    channel_ticks,
    choose,
    far_reads,
    partial_bytes,
    resident_tiles,
    spilled_share,
    unhidden_ticks,
)
from anychip.operators import Contract, Form
from anychip.operators.forms import element_bits
from anychip.programs.program import Access, Affine, Buffer, Grid, Instruction, Item, Loop, Nest, Slot, Tile

#: Results that one piece of the second launch of a split sum adds up at least, and pieces a core.
_LEAST_JOINED, _JOINED_PIECES = 256, 4
#: Lane operations that make a stored weight one that is multiplied.
_CONVERTED = Recipe(1, (Step("mul", (0,)),), (0,))
_UNPACKED = Recipe(1, (Step("mul", (0,)), Step("add", (1,))), (0,))


def problem_of(chip: Chip, form: Contract) -> Problem:
    """The contraction as tiling sees it."""
    name = operand_format(chip, form)
    element = max(element_bytes(form.left.format), element_bytes(form.right.format))
    return Problem(
        max(1, form.problems),
        max(1, form.m),
        max(1, form.n),
        max(1, form.k),
        form.left.bytes,
        form.right.bytes,
        form.result.bytes,
        element,
        name,
        *_lying(form),
    )


def _lying(form: Contract) -> tuple[str, tuple[int, int]]:
    """Along which index each operand lies, as tables of kernels name it, and bytes between its rows.

    Convolutions have neither.
    """
    if form.left.windows or form.right.windows:
        return "", (0, 0)
    rows = len(form.batch)
    columns = rows + len(form.rows)
    layout, pitches = "", [0, 0]
    sides = ((form.left, rows, columns, "km"), (form.right, columns, columns + len(form.columns), "kn"))
    for side, (operand, first, end, indices) in enumerate(sides):
        along = not form.depth or operand.strides[-1] == 1
        across = operand.strides[first:end] if along else operand.strides[-1:]
        layout += indices[0] if along else indices[1]
        pitches[side] = max(across, default=0) * element_bits(operand.format) // 8
    return layout, (pitches[0], pitches[1])


def contraction(
    chip: Chip,
    form: Contract,
    *,
    epilogue: tuple[Form, ...] = (),
    saved_bytes: int = 0,
    crossing: Crossing | None = None,
) -> Nest:
    """The nest of a contraction.

    Args:
        chip: what it runs on.
        form: what to compute.
        epilogue: forms fused behind it, applied to every result tile before it is stored.
        saved_bytes: bytes of the epilogue's operands and results, less what fusion keeps on the chip.
        crossing: shares of its traffic that the shared cache does not answer; None: all that reuse leaves.
    """
    problem = problem_of(chip, form)
    tiling = choose(chip, problem)
    unit_name = tiling.engine or _engine_of(chip, form, problem.format)
    unit = chip.engines[unit_name].block
    assert isinstance(unit, MatrixEngine)  # noqa: S101 - `multiplier` names a matrix engine
    resident = resident_tiles(unit, tiling)
    reads = far_reads(chip, problem, tiling, resident)
    body = _tile_body(
        chip, form, problem, tiling, unit_name, reads, epilogue, saved_bytes, crossing or Crossing()
    )
    across = (problem.copies, -(-problem.m // tiling.m), -(-problem.n // tiling.n), tiling.splits)
    names = ("b", "m", "n", "s")
    grid = Grid(tuple(zip(names, across, strict=True)), body, resident=resident, interleaved=True)
    copied = _copied_bias(chip, form)
    items: list[Item] = [*copied, grid]
    if tiling.splits > 1:
        items.append(_joined_parts(chip, problem, tiling))
    local, element = local_memory(chip), problem.element
    results = tiling.m * tiling.n
    buffers = (
        Buffer("a", local, chip.policy.depth, ceil(tiling.m * tiling.k * element)),
        Buffer("b", local, chip.policy.depth, ceil(tiling.n * tiling.k * element)),
        Buffer("accumulators", "registers", min(resident, chip.policy.accumulators), results * 4),
        Buffer("extras", "registers", 1, results * 4),
        Buffer("results", "registers", 2, results * 4),
        Buffer("out", "registers", 2, results * 4),
        *(
            (Buffer("wide", "registers", 2, ceil(tiling.n * tiling.k * 2)),)
            if widened(form, problem.format)
            else ()
        ),
        *((Buffer("parts", "registers", 2, results * 4),) if tiling.splits > 1 else ()),
    )
    groups = (form.batch, form.rows, form.columns, form.depth)
    accesses = tuple(
        Access(operand, groups) for operand in (form.left, form.right, form.result, *form.extras)
    )
    demand = demand_of(chip, (form, *epilogue), tuple(items))
    waits = {
        "memory channels": channel_ticks(chip, problem, tiling, reads, chip.operand_engine(unit_name)),
        "late fetches": unhidden_ticks(chip, problem, tiling, reads, unit_name),
        "bias": biased_ticks(chip, problem, tiling, unit_name) if form.extras else 0.0,
    }
    fixed = _long_row_ticks(chip, form, problem) + tuple(
        (cause, ceil(ticks)) for cause, ticks in waits.items() if ticks
    )
    launches = 1 + len(copied) + (tiling.splits > 1)
    beside = _power_ticks(chip, unit, problem, tiling, dict(demand.traffic_bytes))
    return Nest(
        "contract",
        accesses,
        buffers,
        tuple(items),
        demand,
        launches=launches,
        fixed_ticks=fixed,
        beside_ticks=beside,
    )


def _power_ticks(
    chip: Chip, unit: MatrixEngine, problem: Problem, tiling: Tiling, traffic: Mapping[str, int]
) -> tuple[tuple[str, int], ...]:
    """Time that the joules of a product take at the power limit: those of its multiply-adds, padding
    included, and those of main memory."""
    limit = unit.sustained.get(problem.format) if isinstance(unit, DotUnit) else None
    if limit is None or not chip.policy.throttled_byte_s:
        return ()
    macs = tiling.tiles(problem) * tiling.m * tiling.n * tiling.depth(problem)
    products = macs / (limit * chip.cores) * chip.clock_hz / chip.clock_of(unit)
    moved = traffic.get(chip.load.links[0], 0) * chip.policy.throttled_byte_s * chip.clock_hz
    return (("power limit", ceil(products + moved)),)


def _long_row_ticks(chip: Chip, form: Contract, problem: Problem) -> tuple[tuple[str, int], ...]:
    """Time that long sums add where both operands lie along them, as far as the policy knows of it.

    Tiles of 32-bit operands are fetched in pieces of 32 bytes, each from another row; pieces of narrower
    operands are as long, but hold more products.
    """
    limit = chip.policy.long_row
    if not limit or problem.k <= limit or problem.copies > 1 or problem.element < 4:
        return ()
    along = (each.strides[-1] if each.strides else 0 for each in (form.left, form.right))
    if any(stride != 1 for stride in along):
        return ()
    doublings = min(float(chip.policy.long_row_doublings), log2(problem.k / limit))
    each = chip.policy.long_row_s * chip.clock_hz + chip.policy.long_row_cycles / chip.cores
    return (("long rows", ceil(problem.m * problem.n * problem.k * each * doublings)),)


def _engine_of(chip: Chip, form: Contract, format_name: str) -> str:
    """The engine that multiplies; on a CPU convolutions go to a library of their own."""
    convolves = bool(form.left.windows or form.right.windows)
    return library_engine(chip, "convolutions", format_name) if convolves else chip.multiplier(format_name)


def _tile_body(
    chip: Chip,
    form: Contract,
    problem: Problem,
    tiling: Tiling,
    unit_name: str,
    reads: tuple[float, float],
    epilogue: tuple[Form, ...],
    saved_bytes: int,
    crossing: Crossing,
) -> tuple[Item, ...]:
    """One iteration of the grid."""
    tiles, depth = tiling.tiles(problem), tiling.depth(problem)
    steps = depth // tiling.k
    share = tiles * steps
    rows, columns = -(-problem.m // tiling.m), -(-problem.n // tiling.n)
    whole = problem.copies * problem.k
    left, right = (min(problem.element, element_bytes(each.format)) for each in (form.left, form.right))
    shared = min(chip.policy.cluster, rows)
    near = (whole * problem.m * columns * left / share, whole * problem.n * rows * right / shared / share)
    far = (reads[0] * problem.left_bytes / share, reads[1] * problem.right_bytes / share)
    far = (far[0] * crossing.reads, far[1] * crossing.reads)
    if len(chip.load.links) == 1:
        near = far
    elif chip.policy.inline is None:
        # Requests for both operands are in flight together, so that one waits for main memory while the other
        # comes from the cache: each transfer carries half of what both move over every link.
        near, far = (sum(near) / 2,) * 2, (sum(far) / 2,) * 2
    m_axis, n_axis = Affine(0, (("m", tiling.m),)), Affine(0, (("n", tiling.n),))
    k_axis = Affine(0, (("s", depth), ("k", tiling.k)))
    batch, zero = Affine(0, (("b", 1),)), Affine()
    engine = chip.operand_engine(unit_name)
    loads = (
        load(chip, "a", tiling.m * tiling.k, far[0], near[0], engine=engine, format_name=form.left.format,
             tile=Tile(0, (batch, m_axis, zero, k_axis), (1, tiling.m, 1, tiling.k))),
        load(chip, "b", tiling.n * tiling.k, far[1], near[1], engine=engine, format_name=form.right.format,
             tile=Tile(1, (batch, zero, n_axis, k_axis), (1, 1, tiling.n, tiling.k))),
    )  # fmt: skip

    widening = widened(form, problem.format)

    def products(fresh: bool) -> tuple[Instruction, ...]:
        extents = (tiling.m, tiling.n, tiling.k)
        target = (Slot("accumulators", fresh=fresh),)
        if widening is None:
            return (
                *loads,
                Instruction(unit_name, "multiply", (Slot("a"), Slot("b")), target, extents, problem.format),
            )
        return (
            *loads,
            _lanes(chip, (Slot("b"),), "wide", tiling.n * tiling.k, widening),
            Instruction(unit_name, "multiply", (Slot("a"), Slot("wide")), target, extents, problem.format),
        )

    items: list[Item] = list(products(fresh=True))
    if steps > 1:
        items.append(Loop("k", steps - 1, products(fresh=False)))
    sums = Slot("accumulators")
    block = chip.engines[unit_name].block
    if getattr(block, "drain_depth", 0):
        drained = (Slot("results", fresh=True),)
        items.append(Instruction(unit_name, "drain", (sums,), drained, (tiling.m, tiling.n), problem.format))
        sums = Slot("results")
    items += _finished(chip, form, problem, tiling, sums, epilogue, saved_bytes, crossing)
    return tuple(items)


def _finished(
    chip: Chip,
    form: Contract,
    problem: Problem,
    tiling: Tiling,
    sums: Slot,
    epilogue: tuple[Form, ...],
    saved_bytes: int,
    crossing: Crossing,
) -> list[Item]:
    """Epilogue and store of a result tile; parts of a split sum are stored as they are."""
    tiles, results = tiling.tiles(problem), tiling.m * tiling.n
    if tiling.splits > 1:
        parts = partial_bytes(problem, tiling)
        far = parts * spilled_share(chip, parts)
        return [
            _lanes(chip, (sums,), "out", results, IDENTITY),
            store(chip, "out", results, far / tiles, parts / tiles, format_name="fp32"),
        ]
    items: list[Item] = []
    reads = [sums]
    extra = _extra_bytes(chip, form) + saved_bytes
    if extra:
        far = extra * crossing.reads
        if _bias_is_copied(chip, form):
            far *= spilled_share(chip, problem.result_bytes)
        items.append(load(chip, "extras", results, far / tiles, extra / tiles))
        reads.append(Slot("extras"))
    recipe = joined_recipe(form, epilogue)
    items.append(_lanes(chip, tuple(reads), "out", results, recipe))
    size = problem.result_bytes / tiles
    groups = (Affine(0, (("b", 1),)), Affine(0, (("m", tiling.m),)), Affine(0, (("n", tiling.n),)), Affine())
    tile = Tile(2, groups, (1, tiling.m, tiling.n, 1))
    far = size * crossing.writes * write_cost(chip)
    if chip.policy.inline is None:
        # Results that the shared cache has room for go to main memory after the kernel, if ever.
        far *= spilled_share(chip, problem.result_bytes)
    items.append(store(chip, "out", results, far, size, tile=tile, format_name=form.result.format))
    return items


def _bias_is_copied(chip: Chip, form: Contract) -> bool:
    """Whether the product finds its bias where its results will be."""
    return chip.policy.bias_copied and any(each.bytes < form.result.bytes for each in form.extras)


def _extra_bytes(chip: Chip, form: Contract) -> int:
    """What is read to finish results."""
    return form.result.bytes if _bias_is_copied(chip, form) else bytes_of(form.extras)


def _copied_bias(chip: Chip, form: Contract) -> tuple[Grid, ...]:
    """The launch before a product that copies its bias over the results."""
    if not _bias_is_copied(chip, form):
        return ()
    size = form.result.bytes
    elements = max(1, form.problems * form.m * form.n)
    piece = min(elements, max(_LEAST_JOINED, -(-elements // (_JOINED_PIECES * chip.cores))))
    count = -(-elements // piece)
    read, far = bytes_of(form.extras) / count, spilled_share(chip, size) * size / count
    body: list[Item] = [
        load(chip, "extras", piece, read, read),
        _lanes(chip, (Slot("extras"),), "out", piece, IDENTITY),
        store(chip, "out", piece, far, size / count, format_name=form.result.format),
    ]
    return (Grid((("c", count),), tuple(body)),)


def widened(form: Contract, format_name: str) -> Recipe | None:
    """What lanes do with an element of weights that are stored in fewer bits than they are multiplied in.

    None where they are not. Two elements of 8 bits are converted and scaled by two instructions; those of 4
    bits are taken apart first.
    """
    stored, taken = element_bits(form.right.format), element_bits(format_name)
    if stored >= taken or stored > 8:
        return None
    return _UNPACKED if stored < 8 else _CONVERTED


def joined_recipe(form: Contract, epilogue: tuple[Form, ...]) -> Recipe:
    """Steps of the contraction's own epilogue and of lanes fused behind it, for their time."""
    recipe = form.epilogue
    steps = [*recipe.steps]
    for each in epilogue:
        steps += getattr(getattr(each, "recipe", None), "steps", ())
    return Recipe(recipe.inputs, tuple(steps), recipe.results) if len(steps) > len(recipe.steps) else recipe


def _lanes(chip: Chip, reads: tuple[Slot, ...], target: str, elements: int, recipe: Recipe) -> Instruction:
    written = (Slot(target, fresh=True),)
    return Instruction(chip.vector_names[0], "lanes", reads, written, (elements,), "fp32", recipe)


def _joined_parts(chip: Chip, problem: Problem, tiling: Tiling) -> Grid:
    """The second launch of a split sum: parts are read back, added, and stored."""
    results = problem.copies * problem.m * problem.n
    tile = min(tiling.m * tiling.n, max(_LEAST_JOINED, -(-results // (_JOINED_PIECES * chip.cores))))
    count = -(-results // tile)
    whole = partial_bytes(problem, tiling)
    parts, far = whole / count, whole * spilled_share(chip, whole) / count
    stored = problem.result_bytes / count
    sums = traced(2, lambda total, part: total + part)
    body: list[Item] = [
        load(chip, "parts", tile, far, parts, format_name="fp32"),
        Instruction(
            chip.vector_names[0], "lanes", (Slot("parts"),), (Slot("out", fresh=True),),
            (tile * tiling.splits,), "fp32", sums,
        ),
        store(chip, "out", tile, stored, stored),
    ]  # fmt: skip
    return Grid((("j", count),), tuple(body))
