"""How libraries of GPUs walk rows: blocks of threads, what stays near, and accesses that wait for each other.

These are the kernels of PyTorch as they are (aten/src/ATen/native/cuda: SoftMax.cu, PersistentSoftmax.cuh,
layer_norm_kernel.cu): a warp keeps a short softmax row in registers; a block walks a longer one three times,
or once where the library copies it to the local memory; a normalisation walks every row twice with blocks of
one size.
"""

from __future__ import annotations

from math import ceil, floor, log2
from typing import NamedTuple

from anychip.blocks import VectorUnit
from anychip.chips import Chip
from anychip.compile.layout import shared_cache_bytes
from anychip.operators import Rows

#: Longest row, in elements and bytes, that a warp of softmax keeps in its registers.
_REGISTER_ROW, _REGISTER_ROW_BYTES = 1024, 4096
#: Bytes of one access of a thread, and elements of one of a normalisation, whatever their format.
_VECTOR_BYTES, _VECTOR_ELEMENTS = 16, 4
#: Threads of the largest block, and blocks that a core holds at most.
_LARGEST_BLOCK, _MOST_BLOCKS = 1024, 32
_WARP = 32


class RowKernel(NamedTuple):
    """A kernel over rows.

    Args:
        in_flight: rows that one core works on at a time.
        kept: whether later walks find the row in registers or in the local memory.
        in_registers: whether they also find what the last pass made of it.
        ticks: for how long one row holds its core.
        missed: part of a row that a later walk does not find in caches.
        launches: kernels that the library makes of it.
        copied: whether an elementwise product is written first and read by the walks.
        fetched: how often a walk fetches what it reads.
    """

    in_flight: int
    kept: bool
    ticks: float
    missed: float
    launches: int = 1
    copied: bool = False
    fetched: float = 1.0
    in_registers: bool = False


def row_kernel(chip: Chip, form: Rows, length: int, size: float, row_bytes: float) -> RowKernel:
    """The kernel that a GPU's library has for some rows.

    Args:
        chip: whose policy says which library.
        form: the rows.
        length: elements of one.
        size: bytes of an element.
        row_bytes: that one walk over a row reads.
    """
    policy = chip.policy
    walks = 1 + any(not form.per_row(result) for result in form.results)
    # Reductions alone (Reduce.cuh) and scans give a short row no more threads than it has vectors; the rest
    # of the block has other rows. A normalisation gives every row a block of its own.
    shared = walks == 1 or scans(form)
    if not shared and form.passes and form.passes[0].join == "maximum":
        return _softmax(chip, form, length, size, row_bytes, walks + 1)
    whole = [operand for operand in form.operands if not form.per_row(operand)]
    product = len(form.passes) == 1 and form.passes[0].recipe.operations == ("mul",) and len(whole) == 2
    vectors = length % _VECTOR_ELEMENTS == 0
    threads = min(policy.row_block, power_of_two(length / _VECTOR_ELEMENTS)) if shared else policy.row_block
    accesses = ceil(length / (threads * (_VECTOR_ELEMENTS if vectors else 1)))
    in_flight = _in_flight(chip, policy.row_block) * (policy.row_block // threads)
    missed = _missed(chip, form, in_flight * row_bytes, row_bytes)
    kept = product and length <= _REGISTER_ROW and length * size <= _REGISTER_ROW_BYTES
    ticks = _ticks(chip, threads, walks * accesses)
    tables = [operand for operand in whole if operand.distinct >= form.count * length]
    columns = len(tables) == 2 and walks == 1 and all(operand.strides[-1] != 1 for operand in tables)
    fetched = policy.column_fetches if columns else 1.0
    launches = 1 + (product or not (shared or vectors))
    return RowKernel(in_flight, kept, ticks, missed, launches, product, fetched)


def scans(form: Rows) -> bool:
    """Whether rows leave a running value at every position."""
    return any(each.join.startswith("running") for each in form.passes)


def power_of_two(least: float) -> int:
    """The next power of two, 1 for anything smaller."""
    return 2 ** ceil(log2(max(1.0, least)))


def _softmax(chip: Chip, form: Rows, length: int, size: float, row_bytes: float, walks: int) -> RowKernel:
    """Softmax: rows in registers of a warp, in the local memory, or walked again."""
    policy = chip.policy
    if length <= _REGISTER_ROW and length * size <= _REGISTER_ROW_BYTES:
        threads = min(_LARGEST_BLOCK, max(64.0, length * size / _VECTOR_BYTES))
        # Rows shorter than a warp share it.
        shared = _WARP // min(_WARP, power_of_two(length))
        in_flight = min(16, max(1, floor(2048 / threads))) * shared
        return RowKernel(in_flight, True, 0.0, 0.0, in_registers=True)
    vector = _VECTOR_BYTES / size
    if length % vector == 0 and length * size < policy.row_kept_bytes:
        ticks = _ticks(chip, _LARGEST_BLOCK, ceil(length / (_LARGEST_BLOCK * vector)))
        return RowKernel(1, True, ticks, 0.0)
    threads = _LARGEST_BLOCK if policy.row_kept_bytes else _halved_block(length, size)
    whole = floor(length / (threads * vector))
    rest = ceil((length - whole * threads * vector) / threads)
    in_flight = _in_flight(chip, threads)
    missed = _missed(chip, form, in_flight * row_bytes, row_bytes)
    ticks = _ticks(chip, threads, walks * (whole + policy.row_rest * rest))
    return RowKernel(in_flight, False, ticks, missed)


def _halved_block(length: int, size: float) -> int:
    """Threads of a block of which every one has two vectors or more: doubled while below that."""
    most, threads = min(length * size / _VECTOR_BYTES, _LARGEST_BLOCK), 1
    while threads < most / 2:
        threads *= 2
    return max(32, threads)


def _in_flight(chip: Chip, threads: int) -> int:
    """Blocks of so many threads that one core holds."""
    return min(_MOST_BLOCKS, max(1, chip.policy.core_threads // threads))


def _ticks(chip: Chip, threads: int, accesses: float) -> float:
    """Time of a row: each of its threads starts, meets the others, and goes round once an access."""
    policy = chip.policy
    unit = chip.engines[chip.vector_names[0]].block
    lanes = unit.lanes if isinstance(unit, VectorUnit) else 1
    return policy.row_access * threads / lanes * (policy.row_start + accesses)


def _missed(chip: Chip, form: Rows, flying: float, row_bytes: float) -> float:
    """Part of a row that was pushed out of the core's own cache and its part of the shared one meanwhile."""
    policy = chip.policy
    flying = min(flying, ceil(form.count / chip.cores) * row_bytes)
    held = chip.memories["l1"].capacity_bytes if "l1" in chip.memories else 0
    held += shared_cache_bytes(chip) * policy.row_cache_share / chip.cores
    used = flying / held
    return min(1.0, max(0.0, (used - policy.row_hit_all) / (policy.row_hit_none - policy.row_hit_all)))
