"""Everything that walks its operands once or a few times: lanes, rows, gathers, moves, host work.

A grid of pieces over the cores; each piece is loaded, worked on in the vector unit, and stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, log2
from typing import NamedTuple

from anychip.arithmetic.recipe import IDENTITY, Recipe, Step
from anychip.chips import Chip
from anychip.chips.inline import Inline
from anychip.compile.demand import demand_of, multiplies, operand_format
from anychip.compile.fuse import Crossing
from anychip.compile.layout import load, local_memory, shared_cache_bytes, store, write_cost
from anychip.compile.requests import requested_bytes
from anychip.compile.rows import RowKernel, power_of_two, row_kernel, scans
from anychip.operators import (
    Attention,
    Contract,
    Form,
    Gather,
    Host,
    Lanes,
    Move,
    Operand,
    Pass,
    Rows,
    work,
)
from anychip.programs.program import Access, Affine, Buffer, Grid, Instruction, Item, Nest, Slot, Tile

#: Elements of one piece: at least so many, at most so many; between them a core gets `_PIECES` pieces.
_SMALLEST, _LARGEST, _PIECES = 256, 8192, 8
#: Longest row that a kernel keeps in registers between its passes.
_REGISTER_ROW = 1024
#: Rows in flight, read and written, over the capacity of the shared cache: up to which all of them and beyond
#: which none is still there when it is walked again, where no kernels are known. Judged.
_ALL_HIT, _NONE_HIT = 0.45, 1.61
#: What one launch over lists takes: tensors, by the number of lists, and blocks of so many elements.
#: Source: PyTorch, aten/src/ATen/native/cuda/MultiTensorApply.cuh, depth_to_max_tensors and its neighbours.
_LIST_TENSORS = (110, 64, 48, 36, 30)
_LIST_BLOCKS, _LIST_BLOCK_ELEMENTS = 320, 65536


class Walk(NamedTuple):
    """One reading of all operands.

    Args:
        far_bytes: over the link of main memory, all pieces together.
        near_bytes: over nearer links.
        steps: names of the lane operations that follow, once an element.
        held_ticks: for which accesses that wait for each other hold a core, one piece.
    """

    far_bytes: float
    near_bytes: float
    steps: tuple[str, ...]
    held_ticks: float = 0.0


class Stream(NamedTuple):
    """A kernel of walks over pieces.

    Args:
        name: for reports.
        pieces: how many.
        elements: of one piece.
        walks: each waits for the one before.
        stored_bytes: of all pieces.
        far_stored: those of them that cross to main memory; None: all.
        launches: kernels that the library makes of it.
    """

    name: str
    pieces: int
    elements: int
    walks: tuple[Walk, ...]
    stored_bytes: float
    far_stored: float | None = None
    launches: int = 1


def streamed(
    chip: Chip, forms: Sequence[Form], *, kept_bytes: int = 0, crossing: Crossing | None = None
) -> Nest:
    """The nest of one form, or of several fused into one walk.

    Args:
        chip: what it runs on.
        forms: in order; the longest rows among them shape the pieces.
        kept_bytes: read and written bytes that fusion keeps inside the kernel.
        crossing: shares of its traffic that the shared cache does not answer; None: all of it.
    """
    if len(forms) == 1:
        stream = _stream_of(chip, forms[0])
        return _nest(chip, stream if crossing is None else _cached(chip, stream, forms[0], crossing), forms)
    streams = [_stream_of(chip, form) for form in forms]
    shape = max(streams, key=lambda stream: (len(stream.walks), stream.elements * stream.pieces))
    moved = [work(form) for form in forms]
    read, written = sum(each.read_bytes for each in moved), sum(each.written_bytes for each in moved)
    stored = max(0.0, written - kept_bytes / 2)
    first = max(0.0, read - kept_bytes / 2)
    steps = tuple(step for stream in streams for walk in stream.walks for step in walk.steps)
    again = shape.walks[1:]
    walks = (Walk(first, first, steps), *(walk._replace(steps=("copy",)) for walk in again))
    return _nest(chip, Stream("fused", shape.pieces, shape.elements, walks, stored), forms)


def _cached(chip: Chip, stream: Stream, form: Form, crossing: Crossing) -> Stream:
    """The stream of software that runs on the cores: values in caches, narrow formats converted in lanes."""
    software = chip.policy.inline
    assert software is not None  # noqa: S101 - only such chips keep values between kernels
    first, *again = stream.walks
    steps = first.steps
    if isinstance(form, Lanes | Rows):
        whole = max((operand.distinct for operand in (*form.reads, *form.writes)), default=0)
        steps += ("widen",) * _narrow(form.reads, whole, software)
        steps += ("narrow",) * _narrow(form.writes, whole, software)
    if isinstance(form, Lanes) and form.random:
        steps += ("random",) * form.random
    walks = (
        Walk(first.far_bytes * crossing.reads, first.near_bytes, steps),
        *(walk._replace(far_bytes=walk.far_bytes * crossing.reads) for walk in again),
    )
    return stream._replace(walks=walks, far_stored=stream.stored_bytes * crossing.writes * write_cost(chip))


def _narrow(operands: Sequence[Operand], whole: int, software: Inline) -> int:
    """Operands of full size in a format that lanes do not compute in."""
    return sum(each.format in software.narrow_formats and 2 * each.distinct > whole for each in operands)


def listed(chip: Chip, forms: Sequence[Form]) -> Nest:
    """The nest of one operator on all tensors of its lists: the cores share all their elements.

    Args:
        chip: what it runs on.
        forms: lanes or rows, one a tensor; none reads what another writes.
    """
    streams = [_stream_of(chip, form) for form in forms]
    moved = [work(form) for form in forms]
    counts = [
        form.count * form.elements if isinstance(form, Rows) else form.elements
        for form in forms
        if isinstance(form, Rows | Lanes)
    ]
    read, written = sum(each.read_bytes for each in moved), sum(each.written_bytes for each in moved)
    walk = Walk(read, read, max((stream.walks[0].steps for stream in streams), key=len))
    pieces, elements = _pieces(chip, sum(counts))
    nest = _nest(chip, Stream(f"{streams[0].name} of a list", pieces, elements, (walk,), written), forms)
    lists = len({operand.port for operand in (*forms[0].reads, *forms[0].writes)})
    tensors = _LIST_TENSORS[min(max(lists, 1), len(_LIST_TENSORS)) - 1]
    blocks = sum(-(-count // _LIST_BLOCK_ELEMENTS) for count in counts)
    launches = max(-(-len(forms) // tensors), -(-blocks // _LIST_BLOCKS))
    sums_blocks = isinstance(forms[0], Rows)
    return replace(nest, launches=launches + sums_blocks)


def _nest(chip: Chip, stream: Stream, forms: Sequence[Form]) -> Nest:
    body = (Grid((("i", stream.pieces),), _piece(chip, stream, forms)),)
    local = local_memory(chip)
    slot = stream.elements * 4
    buffers = tuple(Buffer(f"in{i}", local, 2, slot) for i in range(len(stream.walks)))
    buffers += (Buffer("work", "registers", 2, slot), Buffer("out", local, 2, slot))
    return Nest(
        stream.name, _accesses(forms), buffers, body, demand_of(chip, forms, body), launches=stream.launches
    )


def _accesses(forms: Sequence[Form]) -> tuple[Access, ...]:
    """Operands of a single form over lanes; fused kernels and others name none."""
    if len(forms) == 1 and isinstance(forms[0], Lanes):
        form = forms[0]
        return tuple(Access(operand, (form.extents,)) for operand in (*form.operands, *form.results))
    return ()


def _piece(chip: Chip, stream: Stream, forms: Sequence[Form]) -> tuple[Item, ...]:
    """One iteration."""
    plain = len(forms) == 1 and isinstance(forms[0], Lanes)
    inputs = len(forms[0].reads) if plain else 0
    axis = (Affine(0, (("i", stream.elements),)),)
    items: list[Instruction] = []
    pieces, elements = stream.pieces, stream.elements
    for index, walk in enumerate(stream.walks):
        reads: tuple[Slot, ...] = (Slot("work"),) if index else ()
        if walk.near_bytes > 0:
            far, near = walk.far_bytes / pieces, walk.near_bytes / pieces
            read = load(chip, f"in{index}", elements, far, near, held_ticks=walk.held_ticks)
            if plain and not index:
                tiles = tuple(Tile(i, axis, (elements,)) for i in range(inputs))
                read = _with_reads(read, tiles)
            items.append(read)
            reads = (Slot(f"in{index}"), *reads)
        last = index == len(stream.walks) - 1
        target = "out" if last else "work"
        items.append(
            Instruction(
                chip.vector_names[0], "lanes", reads, (Slot(target, fresh=True),), (elements,), "fp32",
                _recipe(walk.steps),
            )
        )  # fmt: skip
    if stream.stored_bytes > 0:
        far = stream.stored_bytes if stream.far_stored is None else stream.far_stored
        written = store(chip, "out", elements, far / pieces, stream.stored_bytes / pieces)
        items.append(written)
    return tuple(items)


def _with_reads(instruction: Instruction, tiles: tuple[Tile, ...]) -> Instruction:
    return Instruction(
        instruction.engine, instruction.operation, tiles, instruction.writes, instruction.extents,
        instruction.format, None, instruction.traffic,
    )  # fmt: skip


def _recipe(steps: tuple[str, ...]) -> Recipe:
    """A recipe of these steps, for its time only."""
    if not steps:
        return IDENTITY
    return Recipe(1, tuple(Step(name, (0,)) for name in steps), (0,))


def _pieces(chip: Chip, elements: int) -> tuple[int, int]:
    """Pieces and elements of one: enough for every core and for overlap, none too small."""
    size = ceil(elements / (chip.cores * _PIECES)) if elements else 1
    size = min(_LARGEST, max(_SMALLEST, size))
    return max(1, -(-elements // size)), size


def _stream_of(chip: Chip, form: Form) -> Stream:
    """How one form walks its operands."""
    match form:
        case Rows():
            return _rows(chip, form)
        case Lanes():
            stream = _simple(chip, "lanes", form, form.elements, form.recipe.operations)
            return _walked(chip, stream, form)
        case Gather():
            name = "gather" if form.mode == "read" else "scatter"
            steps = ("add",) if form.mode in ("add", "reduce") else ("copy",)
            return _simple(chip, name, form, form.rows * form.width, steps)
        case Move():
            count = max(1, max((operand.distinct for operand in (*form.reads, *form.writes)), default=1))
            return _walked(chip, _simple(chip, "move", form, count, ("copy",)), form)
        case Contract():
            beside = chip.policy.inline is None and multiplies(chip, operand_format(chip, form))
            # What comes here on a GPU is multiplied by vector lanes.
            steps = ("copy",) if beside and not chip.policy.knows_row_kernels else ("mul", "add")
            return _simple(chip, "products", form, form.problems * form.m * form.n * form.k, steps)
        case Host():
            return _simple(chip, "host", form, form.operations, ("copy",))
        case Attention():
            return _simple(
                chip, "attention", form, form.batch * form.heads * form.pairs, ("mul", "add", "exp")
            )
        case _:
            return _simple(
                chip, "move", form, max((operand.distinct for operand in form.writes), default=1), ()
            )


def _walked(chip: Chip, stream: Stream, form: Lanes | Move) -> Stream:
    """Near the cores, what lies around elements that are far apart moves with them."""
    if not chip.policy.request_bytes:
        return stream
    read, written = requested_bytes(form, chip.policy.request_bytes)
    walk = stream.walks[0]._replace(near_bytes=read)
    return stream._replace(walks=(walk,), stored_bytes=written, far_stored=stream.stored_bytes)


def _simple(chip: Chip, name: str, form: Form, elements: int, steps: tuple[str, ...]) -> Stream:
    moved = work(form)
    pieces, size = _pieces(chip, elements)
    return Stream(name, pieces, size, (Walk(moved.read_bytes, moved.read_bytes, steps),), moved.written_bytes)


def _rows(chip: Chip, form: Rows) -> Stream:
    """Rows that stay near are read once; others once a pass, from the caches where they fit."""
    moved = work(form)
    count, length = max(1, form.count), max(1, form.elements)
    groups = _pass_groups(form)
    writes_elements = any(not form.per_row(result) for result in form.results)
    steps = [_pass_steps(group, length) for group in groups]
    if writes_elements:
        steps.append(form.write.operations)
    size = max((operand.bytes / max(1, operand.distinct) for operand in form.operands), default=4.0)
    walks = len(groups) - 1 + writes_elements
    if chip.policy.knows_row_kernels:
        kernel = row_kernel(chip, form, length, size, moved.read_bytes / count)
    else:
        kernel = _plain_rows(chip, form, length, moved.read_bytes / count)
    again = 0 if kernel.kept else walks
    if kernel.in_registers and len(steps) > 1:
        made = form.passes[-1].recipe.operations
        same = len(made) if steps[-1][: len(made)] == made else 0
        steps[-1] = steps[-1][same:] or ("copy",)
    # Two pieces are in flight: each is half of the rows that a core holds.
    per_piece = max(1, min(kernel.in_flight // 2 or 1, ceil(count / (chip.cores * 2))))
    pieces = -(-count // per_piece)
    elements, held = per_piece * length, kernel.ticks * per_piece
    # A reduction or scan of few long rows divides each between blocks; a normalisation, whose block walks its
    # row again, does not. Software with unknown kernels divides rows where a piece would be very long.
    divided = (
        (not writes_elements or scans(form)) and pieces < chip.cores and length > _LARGEST
        if chip.policy.knows_row_kernels
        else length > pieces * 65536
    )
    if divided:
        pieces, elements = _pieces(chip, count * length)
        held = kernel.ticks * count / pieces
    times = 2 if kernel.copied else 1
    read, stored = times * kernel.fetched * moved.read_bytes, times * moved.written_bytes
    streams = [Walk(read, read, steps[0], held)]
    for index, operations in enumerate(steps[1:], start=1):
        reads = moved.read_bytes if index <= again else 0.0
        streams.append(Walk(reads * kernel.missed, reads * kernel.missed, operations))
    return Stream("rows", pieces, elements, tuple(streams), stored, launches=kernel.launches)


def _plain_rows(chip: Chip, form: Rows, length: int, row_bytes: float) -> RowKernel:
    """Software of unknown kernels: short rows of maxima stay in registers, caches hold what fits."""
    maxima = any(each.join == "maximum" for each in form.passes)
    threads = min(1024, max(64, power_of_two(length / 4)))
    in_flight = min(16, 2048 // threads) if form.passes and form.passes[0].join == "maximum" else 16
    cache = shared_cache_bytes(chip)
    if not cache:
        local = chip.memories[local_memory(chip)].capacity_bytes
        missed = 0.0 if 2 * row_bytes <= local else 1.0
    else:
        used = 2 * min(form.count, chip.cores * in_flight) * row_bytes / cache
        missed = min(1.0, max(0.0, (used - _ALL_HIT) / (_NONE_HIT - _ALL_HIT)))
    return RowKernel(in_flight, length <= _REGISTER_ROW and maxima, 0.0, missed)


def _pass_groups(form: Rows) -> list[list[Pass]]:
    """Passes that one walk can do together: sums of powers keep running moments."""
    groups: list[list[Pass]] = []
    for each in form.passes:
        if groups and each.join == "sum" and groups[-1][-1].join == "sum":
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups or [[]]


def _pass_steps(group: list[Pass], length: int) -> tuple[str, ...]:
    steps: list[str] = []
    for each in group:
        steps += each.recipe.operations
        again = max(1, ceil(log2(length))) if each.join == "order" and length > 1 else 1
        steps += ["add"] * again
    return tuple(steps)
