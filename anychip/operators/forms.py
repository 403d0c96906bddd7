"""Forms: the small set of meanings to which every aten operator comes down, for given shapes.

A Form is data. Three rooms read it: values evaluate it on tensors, `work` counts its arithmetic and bytes,
and compile lowers it to loop nests. It names no chip and no rounding: which format a contraction casts to
and in which order a sum runs is the chip's `Numerics`.

Every form has *loops*, and every operand is affine in them: element number = offset + sum of stride times
loop variable, with stride 0 where the operand is broadcast. Dimensions that a single loop can walk are
merged, so that equal work prints equally. Convolution and pooling add windows: positions outside read as a
constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from anychip.arithmetic.recipe import Recipe

#: Bits of one stored element of the formats that hold no fraction or are wider than a lane.
_BITS = {
    "bool": 8,
    "complex32": 32,
    "complex64": 64,
    "complex128": 128,
    "fp64": 64,
    "fp32": 32,
    "fp16": 16,
    "bf16": 16,
}


def element_bits(format_name: str) -> int:
    """Bits that one element of a format occupies in memory; tf32 is stored in 32."""
    known = _BITS.get(format_name)
    if known is not None:
        return known
    head = format_name.split("_")[0].removeprefix("mx")
    digits = head.lstrip("abcdefghijklmnopqrstuvwxyz")
    return int(digits) if digits.isdigit() and head != "tf32" else 32


@dataclass(frozen=True, slots=True)
class Window:
    """One dimension of an operand that several loops walk together, with an outside.

    The position is ``start + sum(coefficient * loop variable)``. It names element ``position / step``; where
    the position is negative, not below ``extent * step``, or no multiple of `step`, the operand reads its
    `outside` instead (padding, or the holes of a transposed convolution).

    Args:
        coefficients: one per loop of the form, 0 where the loop does not move the window.
        start: minus the padding.
        extent: of the operand's dimension, in elements.
        stride: of the operand's dimension, in elements of its storage.
        step: 1, or the stride of a transposed convolution.
    """

    coefficients: tuple[int, ...]
    start: int
    extent: int
    stride: int
    step: int = 1

    @property
    def text(self) -> str:
        """Canonical text."""
        moved = ",".join(map(str, self.coefficients))
        return f"w({moved};{self.start};{self.extent}x{self.stride}/{self.step})"


@dataclass(frozen=True, slots=True)
class Operand:
    """One tensor as the loops of a form see it.

    Args:
        port: ``"in2"`` and ``"out0"`` number the node's inputs and outputs, ``"temporary0"`` a value that an
            earlier form of the same node wrote.
        format: name of the stored format.
        strides: one per loop, in elements of the storage; 0 where the loop does not move it.
        distinct: how many different elements it reads or writes in all.
        windows: dimensions walked by several loops; they add to the strides.
        outside: what a position outside a window reads as.
        offset: of the first element, from where the port's tensor starts.
    """

    port: str
    format: str
    strides: tuple[int, ...]
    distinct: int
    windows: tuple[Window, ...] = ()
    outside: float = 0.0
    offset: int = 0

    @property
    def bytes(self) -> int:
        """Bytes that must move to have every element once."""
        return (self.distinct * element_bits(self.format) + 7) // 8

    @property
    def text(self) -> str:
        """Canonical text."""
        windows = "".join(" " + window.text for window in self.windows)
        outside = f" outside {self.outside!r}" if self.windows and self.outside else ""
        strides = ",".join(map(str, self.strides))
        offset = f"+{self.offset}" if self.offset else ""
        return f"{self.port}:{self.format}({strides}){offset}#{self.distinct}{windows}{outside}"


def _texts(operands: tuple[Operand, ...]) -> str:
    return ", ".join(operand.text for operand in operands)


@dataclass(frozen=True, slots=True)
class Contract:
    """Sums of products: ``result[b, m, n] = epilogue(sum over k of left[b, m, k] * right[b, k, n])``.

    Loops are `batch`, `rows`, `columns`, `depth`, in this order; the sum runs over `depth` with its last loop
    fastest. The sum is an accumulator of the chip's contraction; the epilogue works on it in fp32 lanes, and
    the result is rounded once.

    Args:
        batch: extents of independent problems (batches, convolution groups).
        rows: extents of m.
        columns: extents of n.
        depth: extents of k.
        left: strides 0 over `columns`.
        right: strides 0 over `rows`.
        result: strides 0 over `depth`.
        epilogue: register 0 is the accumulator, 1 and on are `extras`.
        extras: bias and the like.
    """

    batch: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    depth: tuple[int, ...]
    left: Operand
    right: Operand
    result: Operand
    epilogue: Recipe
    extras: tuple[Operand, ...] = ()

    @property
    def problems(self) -> int:
        """How many independent products of matrices."""
        return prod(self.batch)

    @property
    def m(self) -> int:
        """Rows of one result."""
        return prod(self.rows)

    @property
    def n(self) -> int:
        """Columns of one result."""
        return prod(self.columns)

    @property
    def k(self) -> int:
        """Products in one sum."""
        return prod(self.depth)

    @property
    def reads(self) -> tuple[Operand, ...]:
        """Operands that are read."""
        return (self.left, self.right, *self.extras)

    @property
    def writes(self) -> tuple[Operand, ...]:
        """Operands that are written."""
        return (self.result,)

    @property
    def text(self) -> str:
        """Canonical text: equal work prints equally."""
        return (
            f"contract batch={self.batch} rows={self.rows} columns={self.columns} depth={self.depth} "
            f"{_texts(self.reads)} -> {self.result.text} {self.epilogue.text}"
        )


@dataclass(frozen=True, slots=True)
class Attention:
    """Scaled dot product attention, left whole so that a chip may fuse or decompose it.

    ``softmax(scale * query @ key^T + mask + bias) @ value`` for every batch and head; `decomposed` in
    `anychip.operators.attention` gives the same meaning as contractions and rows.

    Args:
        direction: ``"forward"`` or ``"backward"``.
        batch: sequences.
        heads: query heads.
        key_heads: key and value heads; queries share them in equal runs.
        queries: length of the query sequence.
        keys: length of the key sequence.
        width: of one query and key.
        value_width: of one value.
        causal: query i sees keys up to i (both counted from the start).
        scale: factor on the products.
        dropout: probability of dropping a weight.
        operands: what is read: query, key, value, and by `roles` more. Loops are batch, heads, sequence,
            width; a bias has batch, heads, queries, keys.
        results: what is written.
        roles: a word for each of `operands`, then for each of `results`.
    """

    direction: Literal["forward", "backward"]
    batch: int
    heads: int
    key_heads: int
    queries: int
    keys: int
    width: int
    value_width: int
    causal: bool
    scale: float
    dropout: float
    operands: tuple[Operand, ...]
    results: tuple[Operand, ...]
    roles: tuple[str, ...]

    @property
    def pairs(self) -> int:
        """Query and key pairs of one head that take part; a causal mask leaves out the rest."""
        if not self.causal:
            return self.queries * self.keys
        full = min(self.queries, self.keys)
        return full * (full + 1) // 2 + (self.queries - full) * self.keys

    @property
    def reads(self) -> tuple[Operand, ...]:
        """Operands that are read."""
        return self.operands

    @property
    def writes(self) -> tuple[Operand, ...]:
        """Operands that are written."""
        return self.results

    @property
    def text(self) -> str:
        """Canonical text: equal work prints equally."""
        return (
            f"attention {self.direction} batch={self.batch} heads={self.heads}/{self.key_heads} "
            f"queries={self.queries} keys={self.keys} width={self.width}/{self.value_width} "
            f"causal={self.causal} scale={self.scale!r} dropout={self.dropout!r} {' '.join(self.roles)}: "
            f"{_texts(self.operands)} -> {_texts(self.results)}"
        )


@dataclass(frozen=True, slots=True)
class Lanes:
    """The same recipe on every element of a grid.

    Args:
        extents: loops.
        operands: recipe registers 0 and on.
        results: one for each result of the recipe; each is rounded once into its stored format.
        recipe: what one element undergoes.
        random: how many uniform random numbers an element draws; they follow the operands as registers.
    """

    extents: tuple[int, ...]
    operands: tuple[Operand, ...]
    results: tuple[Operand, ...]
    recipe: Recipe
    random: int = 0

    @property
    def elements(self) -> int:
        """How often the recipe runs."""
        return prod(self.extents)

    @property
    def reads(self) -> tuple[Operand, ...]:
        """Operands that are read."""
        return self.operands

    @property
    def writes(self) -> tuple[Operand, ...]:
        """Operands that are written."""
        return self.results

    @property
    def text(self) -> str:
        """Canonical text: equal work prints equally."""
        random = f" random={self.random}" if self.random else ""
        return (
            f"lanes {self.extents} {_texts(self.operands)} -> {_texts(self.results)} "
            f"{self.recipe.text}{random}"
        )


#: How a pass joins the elements of a row. A ``running`` kind leaves a value at every position;
#: ``order`` sorts them.
Join = Literal[
    "sum",
    "product",
    "maximum",
    "minimum",
    "any",
    "all",
    "argmaximum",
    "argminimum",
    "running_sum",
    "running_product",
    "running_maximum",
    "running_minimum",
    "running_logsumexp",
    "order",
]


@dataclass(frozen=True, slots=True)
class Pass:
    """One walk over the elements of a row.

    Args:
        recipe: registers are the operands, then what earlier passes left; its one result is joined.
        join: how.
        finish: applied once to the joined value (register 0); register 1 and on are the row's operands and
            what earlier passes left, as in `recipe`.
    """

    recipe: Recipe
    join: Join
    finish: Recipe | None = None

    @property
    def text(self) -> str:
        """Canonical text."""
        finish = "" if self.finish is None else f" then {self.finish.text}"
        return f"{self.join} of {self.recipe.text}{finish}"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of elements, each walked once or several times, then written.

    Loops are `rows`, then `length`. Sums run over `length` with its last loop fastest, in the order that the
    chip declares; a row never depends on another.

    Args:
        rows: extents of independent rows.
        length: extents of one row.
        operands: recipe registers 0 and on; strides are 0 over `length` for a value per row.
        passes: what each leaves becomes a register after the operands.
        write: gives the results, from operands and passes; None if the last pass is the result.
        results: strides are 0 over `length` for a value per row.
    """

    rows: tuple[int, ...]
    length: tuple[int, ...]
    operands: tuple[Operand, ...]
    passes: tuple[Pass, ...]
    write: Recipe
    results: tuple[Operand, ...]

    @property
    def count(self) -> int:
        """How many rows."""
        return prod(self.rows)

    @property
    def elements(self) -> int:
        """Elements of one row."""
        return prod(self.length)

    def per_row(self, operand: Operand) -> bool:
        """Whether the operand has one value for a whole row."""
        first = len(self.rows)
        moved = any(
            stride and extent > 1 for stride, extent in zip(operand.strides[first:], self.length, strict=True)
        )
        return not moved and not any(any(window.coefficients[first:]) for window in operand.windows)

    @property
    def reads(self) -> tuple[Operand, ...]:
        """Operands that are read."""
        return self.operands

    @property
    def writes(self) -> tuple[Operand, ...]:
        """Operands that are written."""
        return self.results

    @property
    def text(self) -> str:
        """Canonical text: equal work prints equally."""
        passes = "; ".join(each.text for each in self.passes)
        return (
            f"rows {self.rows} length {self.length} {_texts(self.operands)} [{passes}] "
            f"-> {_texts(self.results)} {self.write.text}"
        )


@dataclass(frozen=True, slots=True)
class Gather:
    """Rows picked, or written, by an index that is data.

    Args:
        mode: ``"read"`` table rows into the result, ``"write"`` values into table rows, ``"add"`` values to
            them in order of the index (later ones last), ``"reduce"`` with another join.
        rows: how many rows are picked.
        width: elements of a row.
        table_rows: rows of the table.
        index: the operands that hold positions.
        source: what is read besides the index.
        result: what is written.
    """

    mode: Literal["read", "write", "add", "reduce"]
    rows: int
    width: int
    table_rows: int
    index: tuple[Operand, ...]
    source: Operand
    result: Operand

    @property
    def reads(self) -> tuple[Operand, ...]:
        """Operands that are read."""
        return (*self.index, self.source)

    @property
    def writes(self) -> tuple[Operand, ...]:
        """Operands that are written."""
        return (self.result,)

    @property
    def text(self) -> str:
        """Canonical text: equal work prints equally."""
        return (
            f"gather {self.mode} rows={self.rows} width={self.width} of {self.table_rows} "
            f"[{_texts(self.index)}] {self.source.text} -> {self.result.text}"
        )


@dataclass(frozen=True, slots=True)
class Move:
    """Elements copied unchanged, or filled with a constant.

    Args:
        extents: loops.
        source: None for a fill.
        result: where to.
        fill: the constant of a fill; None where it is drawn from a generator or left unwritten.
    """

    extents: tuple[int, ...]
    source: Operand | None
    result: Operand
    fill: float | None = None

    @property
    def reads(self) -> tuple[Operand, ...]:
        """Operands that are read."""
        return () if self.source is None else (self.source,)

    @property
    def writes(self) -> tuple[Operand, ...]:
        """Operands that are written."""
        return (self.result,)

    @property
    def text(self) -> str:
        """Canonical text: equal work prints equally."""
        source = f"fill {self.fill!r}" if self.source is None else self.source.text
        return f"move {self.extents} {source} -> {self.result.text}"


@dataclass(frozen=True, slots=True)
class Collective:
    """Data exchanged between the members of a group.

    Args:
        kind: ``"all_reduce"``, ``"all_gather"``, ``"reduce_scatter"``, ``"broadcast"``, ``"all_to_all"``,
            ``"send"``, ``"receive"``, ``"barrier"``.
        operands: what this member contributes.
        results: what it ends up with.
        extents: of what this member contributes first.
        members: of the group; 0 if unknown.
    """

    kind: str
    operands: tuple[Operand, ...]
    results: tuple[Operand, ...]
    extents: tuple[int, ...] = ()
    members: int = 0

    @property
    def bytes(self) -> int:
        """The larger of what this member contributes and what it ends up with."""
        return max(sum(each.bytes for each in self.operands), sum(each.bytes for each in self.results))

    @property
    def reads(self) -> tuple[Operand, ...]:
        """Operands that are read."""
        return self.operands

    @property
    def writes(self) -> tuple[Operand, ...]:
        """Operands that are written."""
        return self.results

    @property
    def text(self) -> str:
        """Canonical text: equal work prints equally."""
        group = f" of {self.members}" if self.members else ""
        return f"collective {self.kind}{group} {_texts(self.operands)} -> {_texts(self.results)}"


@dataclass(frozen=True, slots=True)
class Host:
    """An operator without a rule: priced by its bytes and one lane operation an element, and listed.

    Args:
        operator: its name.
        operands: what it reads.
        results: what it writes.
        operations: lane operations assumed.
    """

    operator: str
    operands: tuple[Operand, ...]
    results: tuple[Operand, ...]
    operations: int

    @property
    def reads(self) -> tuple[Operand, ...]:
        """Operands that are read."""
        return self.operands

    @property
    def writes(self) -> tuple[Operand, ...]:
        """Operands that are written."""
        return self.results

    @property
    def text(self) -> str:
        """Canonical text: equal work prints equally."""
        return f"host {self.operator} {_texts(self.operands)} -> {_texts(self.results)} #{self.operations}"


Form = Contract | Attention | Lanes | Rows | Gather | Move | Collective | Host
