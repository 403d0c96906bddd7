"""Rows picked or written by an index that is data: embeddings, gather, scatter, advanced indexing."""

from __future__ import annotations

from math import prod
from typing import Literal

from anychip.operators.arguments import Arguments, Tensor, merged, operand, plain
from anychip.operators.forms import Form, Gather, Move
from anychip.operators.table import Rule, register

Mode = Literal["read", "write", "add", "reduce"]


def picked(
    mode: Mode, table: Tensor, index: tuple[Tensor, ...], source: Tensor, result: Tensor, rows: int
) -> Gather:
    """Picks `rows` rows; a row is what one position of the index names."""
    data = result if mode == "read" else source
    width = data.elements // rows if rows else 0
    table_rows = table.elements // width if width else 0
    return Gather(mode, rows, width, table_rows, tuple(map(plain, index)), plain(source), plain(result))


def fill(result: Tensor, value: float | None = 0.0) -> Move:
    """A constant everywhere."""
    extents, (strides,) = merged(result.shape, [result.strides], may_reorder=True)
    return Move(extents, None, operand(result, strides), value)


def embedding(a: Arguments) -> tuple[Form, ...]:
    table, index = a.tensor("weight"), a.tensor("indices")
    return (picked("read", table, (index,), table, a.results[0], index.elements),)


def embedding_backward(a: Arguments) -> tuple[Form, ...]:
    grad, index = a.tensor("grad_output"), a.tensor("indices")
    result = a.results[0]
    return (fill(result), picked("add", result, (index,), grad, result, index.elements))


def index_tensor(a: Arguments) -> tuple[Form, ...]:
    table = a.tensor("self")
    index = a.inputs[1:]
    if any(each.format in ("bool", "uint8") for each in index):
        count = a.results[0].shape[0] if a.results[0].shape else 1
        return (picked("read", table, index, table, a.results[0], count),)
    rows = 1
    for extent in _broadcast([each.shape for each in index]):
        rows *= extent
    return (picked("read", table, index, table, a.results[0], rows),)


def _broadcast(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    rank = max((len(s) for s in shapes), default=0)
    padded = [(1,) * (rank - len(s)) + s for s in shapes]
    return tuple(max(column, key=lambda e: (e != 1, e)) for column in zip(*padded, strict=True))


def index_put(a: Arguments) -> tuple[Form, ...]:
    """The table copied (unless written in place), then rows written or added."""
    result = a.results[0]
    index, values = a.inputs[1:-1], a.inputs[-1]
    rows = prod(_broadcast([each.shape for each in index])) if index else 1
    rows = min(rows, max(result.elements, 1))
    mode: Mode = "add" if a.flag("accumulate") else "write"
    return (picked(mode, result, index, values, result, max(rows, 1)),)


def along(mode: Mode, source_name: str | None) -> Rule:
    """gather, scatter and their kin: one element per position of the index."""

    def rule(a: Arguments) -> tuple[Form, ...]:
        index = a.tensor("index")
        result = a.results[0]
        source = a.optional(source_name) if source_name else a.tensor("self")
        rows = index.elements
        if source is None:
            return (Gather(mode, rows, 1, result.elements, (plain(index),), plain(index), plain(result)),)
        table = source if mode == "read" else result
        return (Gather(mode, rows, 1, table.elements, (plain(index),), plain(source), plain(result)),)

    return rule


def rows_along(mode: Mode, source_name: str | None) -> Rule:
    """index_select, index_add, index_copy: whole slices."""

    def rule(a: Arguments) -> tuple[Form, ...]:
        index, result = a.tensor("index"), a.results[0]
        source = a.tensor(source_name) if source_name else a.tensor("self")
        table = source if mode == "read" else result
        return (picked(mode, table, (index,), source, result, max(index.elements, 1)),)

    return rule


def masked_select(a: Arguments) -> tuple[Form, ...]:
    table = a.tensor("self")
    return (picked("read", table, (a.tensor("mask"),), table, a.results[0], a.results[0].elements),)


def masked_scatter(a: Arguments) -> tuple[Form, ...]:
    result, source = a.results[0], a.tensor("source")
    rows = min(source.elements, result.elements)
    return (picked("write", result, (a.tensor("mask"),), source, result, rows),)


def relocated(a: Arguments) -> tuple[Form, ...]:
    """Elements that change places in a fixed pattern, or are picked by comparison: none is computed."""
    source = max(a.inputs, key=lambda each: each.elements)
    return tuple(
        Gather("read", each.elements, 1, max(source.distinct, 1), (), plain(source), plain(each))
        for each in a.results
        if each.elements
    )


register(
    "diag_embed diagonal_backward diagonal_scatter diagonal_copy rot90 split_with_sizes_copy "
    "split_copy.Tensor unbind_copy.int squeeze_copy.dim squeeze_copy.dims as_strided_copy as_strided_scatter "
    "unfold_copy unfold_backward channel_shuffle pixel_shuffle pixel_unshuffle im2col replication_pad1d "
    "replication_pad2d replication_pad3d reflection_pad1d reflection_pad2d reflection_pad3d max_unpool2d "
    "max_unpool3d put block_diag trace_backward _chunk_cat nonzero nonzero_static isin.Tensor_Tensor "
    "isin.Tensor_Scalar isin.Scalar_Tensor masked_scatter_backward unique_consecutive _unique2 "
    "bucketize.Tensor searchsorted.Tensor searchsorted.Scalar resize_as allclose tril_indices "
    "triu_indices one_hot",
    "move",
    "self",
    relocated,
)
register(
    "aminmax median median.dim nanmedian nanmedian.dim kthvalue mode cummax "
    "cummin adaptive_max_pool2d adaptive_max_pool3d",
    "move",
    "self",
    relocated,
)
register("embedding", "gather", "weight indices", embedding)
register("embedding_dense_backward embedding_backward", "gather", "grad_output indices", embedding_backward)
register("index.Tensor _unsafe_index.Tensor", "gather", "self indices[]", index_tensor)
register("index_put _index_put_impl _unsafe_index_put", "gather", "self indices[] values", index_put)
register("gather", "gather", "self index", along("read", None))
register("take", "gather", "self index", along("read", None))
register("scatter.src scatter.value", "gather", "self index src", along("write", "src"))
register("scatter_add", "gather", "self index src", along("add", "src"))
register(
    "scatter.reduce scatter.value_reduce scatter_reduce.two",
    "gather",
    "self index src",
    along("reduce", "src"),
)
register("index_select", "gather", "self index", rows_along("read", None))
register("index_add", "gather", "self index source", rows_along("add", "source"))
register("index_copy", "gather", "self index source", rows_along("write", "source"))
register("masked_select", "gather", "self mask", masked_select)
register("masked_scatter", "gather", "self mask source", masked_scatter)
