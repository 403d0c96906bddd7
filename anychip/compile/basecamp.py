"""Forms to nests for a single core with exact edges: basecamp and chips like it.

Every operator becomes one nest. Edges are loops of their own with smaller tiles, never padding, so that
the RTL moves and computes exactly what the program says.
"""

from __future__ import annotations

from typing import NamedTuple

from anychip.arithmetic import Recipe
from anychip.arithmetic.recipe import IDENTITY, Number, Step
from anychip.chips import Chip
from anychip.compile.demand import multiplies
from anychip.errors import CapacityExceeded, NotModelled, UnknownName
from anychip.formats import by_name
from anychip.operators import Contract, Form, Lanes, Move, Rows
from anychip.programs.program import Access, Affine, Buffer, Demand, Instruction, Item, Loop, Nest, Slot, Tile


class Piece(NamedTuple):
    """A run of equal tiles along one extent: `tiles` of them, of `size`, from `start`."""

    start: int
    tiles: int
    size: int


def pieces(extent: int, tile: int) -> tuple[Piece, ...]:
    """Full tiles, then the remainder."""
    full, rest = divmod(extent, tile)
    runs = (Piece(0, full, tile), Piece(full * tile, 1, rest))
    return tuple(run for run in runs if run.tiles and run.size)


def element_bytes(format_name: str) -> int:
    """Whole bytes of one element in main memory.

    Raises:
        NotModelled: pairs of numbers, as complex ones are, have no instructions.
    """
    try:
        return -(-by_name(format_name).bits // 8)
    except UnknownName:
        raise NotModelled(f"no instructions for operands in {format_name}") from None


def nest_of(form: Form, chip: Chip) -> Nest:
    """The nest of a form.

    Raises:
        NotModelled: the form has no instructions on this chip.
        CapacityExceeded: its buffers do not fit the local memory.
    """
    match form:
        case Contract():
            nest = contraction(form, chip)
        case Lanes():
            nest = lanes(form, chip)
        case Move():
            operands = () if form.source is None else (form.source,)
            fill = Recipe(0, (), (Number(form.fill or 0.0),))
            recipe = IDENTITY if form.source is not None else fill
            nest = lanes(Lanes(form.extents, operands, (form.result,), recipe), chip)
        case Rows():
            nest = column_sums(form, chip)
        case _:
            raise NotModelled(f'chip "{chip.name}": no instructions for {form.text}')
    _check_capacity(nest, chip)
    return nest


def _check_capacity(nest: Nest, chip: Chip) -> None:
    for name, memory in chip.memories.items():
        used = sum(buffer.depth * buffer.slot_bytes for buffer in nest.buffers if buffer.memory == name)
        if used > memory.capacity_bytes:
            raise CapacityExceeded(
                f'chip "{chip.name}", memory {name}: nest {nest.name} needs {used} bytes of buffers, '
                f"{memory.capacity_bytes} are there; use smaller tiles or fewer slots"
            )


class _Axis(NamedTuple):
    """Position along one group: the loop variable of a piece, or a constant."""

    variable: str
    piece: Piece

    @property
    def origin(self) -> Affine:
        start, count, size = self.piece
        return Affine(start, ((self.variable, size),) if count > 1 else ())


def contraction(form: Contract, chip: Chip) -> Nest:
    """Tiles of results stay in the array while operands stream past, k tile by k tile.

    The first k tile starts a fresh accumulator; a drain applies the epilogue in the vector unit and rounds
    once into the stored format.
    """
    tile_m, tile_n, tile_k = chip.policy.tile
    groups = (form.batch, form.rows, form.columns, form.depth)
    accesses = tuple(
        Access(operand, groups) for operand in (form.left, form.right, form.result, *form.extras)
    )
    size = [element_bytes(access.operand.format) for access in accesses]
    depth, local = chip.policy.depth, _local_memory(chip)
    buffers = [
        Buffer("a", local, depth, tile_m * tile_k * size[0]),
        Buffer("b", local, depth, tile_n * tile_k * size[1]),
        Buffer("accumulators", "array", 1, tile_m * tile_n * 4),
        Buffer("out", local, depth, tile_m * tile_n * size[2]),
    ]
    buffers += [Buffer(f"extra{i}", local, depth, tile_m * tile_n * each) for i, each in enumerate(size[3:])]
    operand_format = chip.numerics.operand(by_name(form.left.format)).name
    body: list[Item] = []
    for n in pieces(form.n, tile_n):
        for m in pieces(form.m, tile_m):
            axes = (_Axis("b", Piece(0, form.problems, 1)), _Axis("m", m), _Axis("n", n))
            inner = _result_tile(form, chip, axes, size, tile_k, operand_format)
            body.append(_nested(inner, axes))
    bytes_moved = _loaded_bytes(form, chip, size)
    demand = Demand(
        macs=((operand_format, form.problems * form.m * form.n * form.k),),
        lane_operations=_lane_operations(form.epilogue, form.problems * form.m * form.n),
        traffic_bytes=tuple((link, bytes_moved) for link in chip.load.links),
    )
    return Nest("contract", accesses, tuple(buffers), tuple(body), demand)


def _result_tile(
    form: Contract, chip: Chip, axes: tuple[_Axis, ...], size: list[int], tile_k: int, operand_format: str
) -> tuple[Item, ...]:
    """Everything for one tile of results: k loop, drain, store."""
    batch, m, n = axes
    shape_m, shape_n = m.piece.size, n.piece.size
    matrix, vector = chip.matrix_name, chip.vector_names[0]
    zero = Affine()

    def products(start: int, count: int, k: int, *, fresh: bool) -> tuple[Instruction, ...]:
        along = Affine(start, (("k", k),) if count > 1 else ())
        left = Tile(0, (batch.origin, m.origin, zero, along), (1, shape_m, 1, k))
        right = Tile(1, (batch.origin, zero, n.origin, along), (1, 1, shape_n, k))
        return (
            _load(chip, left, "a", shape_m * k, size[0], form.left.format),
            _load(chip, right, "b", shape_n * k, size[1], form.right.format),
            Instruction(
                matrix,
                "multiply",
                (Slot("a"), Slot("b")),
                (Slot("accumulators", fresh=fresh),),
                (shape_m, shape_n, k),
                operand_format,
            ),
        )

    items: list[Item] = []
    for run in pieces(form.k, tile_k):
        start, count, k = run
        if not items:
            items += products(start, 1, k, fresh=True)
            start, count = start + k, count - 1
        if count > 1:
            items.append(Loop("k", count, products(start, count, k, fresh=False)))
        elif count == 1:
            items += products(start, 1, k, fresh=False)
    extras: list[Slot] = []
    for i, operand in enumerate(form.extras):
        tile = Tile(3 + i, (batch.origin, m.origin, n.origin, zero), (1, shape_m, shape_n, 1))
        items.append(_load(chip, tile, f"extra{i}", shape_m * shape_n, size[3 + i], operand.format))
        extras.append(Slot(f"extra{i}"))
    items.append(
        Instruction(
            vector,
            "drain",
            (Slot("accumulators"), *extras),
            (Slot("out", fresh=True),),
            (shape_m, shape_n),
            form.result.format,
            form.epilogue,
        )
    )
    result = Tile(2, (batch.origin, m.origin, n.origin, zero), (1, shape_m, shape_n, 1))
    items.append(_store(chip, "out", result, shape_m * shape_n, size[2], form.result.format))
    return tuple(items)


def _nested(inner: tuple[Item, ...], axes: tuple[_Axis, ...]) -> Item:
    """The loops of the axes around a tile, fastest last; an axis of one tile is no loop."""
    body = inner
    for axis in (axes[1], axes[2], axes[0]):
        if axis.piece.tiles > 1:
            body = (Loop(axis.variable, axis.piece.tiles, body),)
    return body[0] if len(body) == 1 else Loop("once", 1, body)


def _loaded_bytes(form: Contract, chip: Chip, size: list[int]) -> int:
    """Bytes that the nest moves: operands are read again for every tile of the other side."""
    tile_m, tile_n, _ = chip.policy.tile
    across_n, across_m = -(-form.n // tile_n), -(-form.m // tile_m)
    results = form.m * form.n * (size[2] + sum(size[3:]))
    return form.problems * (
        form.m * form.k * size[0] * across_n + form.n * form.k * size[1] * across_m + results
    )


def lanes(form: Lanes, chip: Chip) -> Nest:
    """Runs of elements through the vector unit, one recipe each."""
    accesses = tuple(Access(operand, (form.extents,)) for operand in (*form.operands, *form.results))
    size = [element_bytes(access.operand.format) for access in accesses]
    local, tile = _local_memory(chip), chip.policy.vector_tile
    names = [f"in{i}" for i in range(len(form.operands))] + [f"out{i}" for i in range(len(form.results))]
    buffers = tuple(
        Buffer(name, local, chip.policy.depth, tile * each) for name, each in zip(names, size, strict=True)
    )
    inputs = len(form.operands)
    body: list[Item] = []
    for run in pieces(form.elements, tile):
        axis = _Axis("i", run)
        tiles = [Tile(i, (axis.origin,), (run.size,)) for i in range(len(accesses))]
        items: list[Item] = [
            _load(chip, tiles[i], names[i], run.size, size[i], form.operands[i].format) for i in range(inputs)
        ]
        items.append(
            Instruction(
                chip.vector_names[0],
                "lanes",
                tuple(Slot(name) for name in names[:inputs]),
                tuple(Slot(name, fresh=True) for name in names[inputs:]),
                (run.size,),
                form.results[0].format,
                form.recipe,
            )
        )
        items += [
            _store(chip, names[i], tiles[i], run.size, size[i], accesses[i].operand.format)
            for i in range(inputs, len(accesses))
        ]
        body.append(Loop("i", run.tiles, tuple(items)))
    moved = form.elements * sum(size)
    demand = Demand(
        lane_operations=_lane_operations(form.recipe, form.elements),
        traffic_bytes=tuple((link, moved) for link in chip.load.links),
    )
    return Nest("lanes", accesses, buffers, tuple(body), demand)


def column_sums(form: Rows, chip: Chip) -> Nest:
    """A plain sum as a contraction with ones, in the array, so that its order is the array's.

    The ones are made by the vector unit and never leave the chip.

    Raises:
        NotModelled: the form is more than one plain sum of one operand, in a format that the array takes, or
            would lose bits in the array.
    """
    element_bytes(form.operands[0].format)
    operand_format = chip.numerics.operand(by_name(form.operands[0].format)).name
    plain = (
        len(form.operands) == 1
        and len(form.passes) == 1
        and form.passes[0].join == "sum"
        and form.passes[0].recipe.is_copy
        and form.passes[0].recipe.results == (0,)
        and operand_format == form.operands[0].format
        and multiplies(chip, operand_format)
    )
    epilogue = _after_sum(form) if plain else None
    if epilogue is None:
        raise NotModelled(f'chip "{chip.name}": no instructions for {form.text}')
    tile_m, tile_n, tile_k = chip.policy.tile
    groups = (form.rows, form.length)
    accesses = (Access(form.operands[0], groups), Access(form.results[0], groups))
    size = [element_bytes(access.operand.format) for access in accesses]
    depth, local = chip.policy.depth, _local_memory(chip)
    buffers = (
        Buffer("ones", local, 1, tile_k * size[0]),
        Buffer("b", local, depth, tile_n * tile_k * size[0]),
        Buffer("accumulators", "array", 1, tile_m * tile_n * 4),
        Buffer("out", local, depth, tile_m * tile_n * size[1]),
    )
    vector = chip.vector_names[0]
    body: list[Item] = [
        Instruction(
            vector,
            "lanes",
            (),
            (Slot("ones", fresh=True),),
            (tile_k,),
            operand_format,
            Recipe(0, (), (Number(1.0),)),
        )
    ]
    for run in pieces(form.count, tile_n):
        n = _Axis("n", run)
        items: list[Item] = []
        for start, count, k in pieces(form.elements, tile_k):
            if not items:
                items += _added(chip, form, n, Affine(start), k, size[0], fresh=True)
                start, count = start + k, count - 1
            if count > 0:
                along = Affine(start, (("k", k),) if count > 1 else ())
                items.append(Loop("k", count, _added(chip, form, n, along, k, size[0], fresh=False)))
        items.append(
            Instruction(
                vector,
                "drain",
                (Slot("accumulators"),),
                (Slot("out", fresh=True),),
                (1, run.size),
                form.results[0].format,
                epilogue,
            )
        )
        result = Tile(1, (n.origin, Affine()), (run.size, 1))
        items.append(_store(chip, "out", result, run.size, size[1], form.results[0].format))
        body.append(Loop("n", run.tiles, tuple(items)))
    moved = form.count * form.elements * size[0] + form.count * size[1]
    demand = Demand(
        macs=((operand_format, form.count * form.elements),),
        lane_operations=_lane_operations(epilogue, form.count),
        traffic_bytes=tuple((link, moved) for link in chip.load.links),
    )
    return Nest("sum", accesses, buffers, tuple(body), demand)


def _after_sum(form: Rows) -> Recipe | None:
    """What happens to the finished sum (register 0), None if it needs the row's elements again."""
    finish = form.passes[0].finish
    if form.write.results != (1,) or form.write.steps:
        return None
    if finish is None:
        return IDENTITY
    uses_row = any(argument == 1 for step in finish.steps for argument in step.arguments)
    if uses_row or finish.results == (1,):
        return None
    return Recipe(1, tuple(_renumbered(step, finish.inputs) for step in finish.steps), _results(finish))


def _renumbered(step: Step, inputs: int) -> Step:
    arguments = tuple(a - inputs + 1 if isinstance(a, int) and a >= inputs else a for a in step.arguments)
    return Step(step.operation, arguments)


def _results(recipe: Recipe) -> tuple[int | Number, ...]:
    inputs = recipe.inputs
    return tuple(r - inputs + 1 if isinstance(r, int) and r >= inputs else r for r in recipe.results)


def _added(
    chip: Chip, form: Rows, n: _Axis, along: Affine, k: int, size: int, *, fresh: bool
) -> tuple[Instruction, ...]:
    """One tile of elements into the running sums: ones times elements."""
    source = form.operands[0]
    tile = Tile(0, (n.origin, along), (n.piece.size, k))
    return (
        _load(chip, tile, "b", n.piece.size * k, size, source.format),
        Instruction(
            chip.matrix_name,
            "multiply",
            (Slot("ones"), Slot("b")),
            (Slot("accumulators", fresh=fresh),),
            (1, n.piece.size, k),
            source.format,
        ),
    )


def _load(chip: Chip, tile: Tile, buffer: str, elements: int, size: int, format_name: str) -> Instruction:
    traffic = tuple((link, elements * size) for link in chip.load.links)
    return Instruction(
        chip.load.engine,
        "load",
        (tile,),
        (Slot(buffer, fresh=True),),
        (elements,),
        format_name,
        None,
        traffic,
    )


def _store(chip: Chip, buffer: str, tile: Tile, elements: int, size: int, format_name: str) -> Instruction:
    traffic = tuple((link, elements * size) for link in chip.store.links)
    return Instruction(
        chip.store.engine, "store", (Slot(buffer),), (tile,), (elements,), format_name, None, traffic
    )


def _lane_operations(recipe: Recipe, elements: int) -> tuple[tuple[str, int], ...]:
    counts: dict[str, int] = {}
    for operation in recipe.operations:
        counts[operation] = counts.get(operation, 0) + elements
    return tuple(sorted(counts.items()))


def _local_memory(chip: Chip) -> str:
    return next(name for name, memory in chip.memories.items() if memory.level == "local")
