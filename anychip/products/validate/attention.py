"""Published timings of fused attention with a cache of keys and values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from anychip.products.validate.mapping import settled
from anychip.products.validate.operators import Replay, chip_named, format_named, format_on, view
from anychip.products.validate.question import (
    BrokenRow,
    ChipOf,
    Excluded,
    Measured,
    Out,
    Question,
    Row,
    answered,
    catalogue_chip,
    extent,
    number,
)
from anychip.programs.graph import Node

#: Of a file of this kind.
COLUMNS = (
    "chip",
    "op",
    "batch",
    "q_tokens",
    "kv_cache_tokens",
    "q_heads_local",
    "kv_heads_local",
    "head_dim",
    "dtype",
    "median_ms",
)


@dataclass(frozen=True, kw_only=True)
class Attended(Question):
    """A timed call of fused attention.

    Args:
        format: of operands and result, by the catalogue's name.
        queries: new tokens of a sequence.
        cached: tokens that were there before.
        batch: sequences.
        heads: of queries.
        key_heads: of keys and values.
        width: of a head.
    """

    format: str
    queries: int
    cached: int
    batch: int
    heads: int
    key_heads: int
    width: int


def read(file: str, row: Row, shortest_s: float) -> Attended:
    """The call of a row."""
    said = settled("attention", row)
    kind = said.get("class", "attention")
    if "phase" not in said:
        raise Out("workload", f"operator {row['op']}: no rule names its phase", kind)
    chip = chip_named(said.get("chip", row["chip"]), kind)
    measured_s = 1e-3 * number(row, "median_ms")
    # Nothing may be cached, where all else is 1 or more.
    empty = row["kv_cache_tokens"] in ("0", "0.0")
    one = Attended(
        file=file, line=int(row["line"]), kind=kind, chip=chip, dtype=format_named(row["dtype"], kind),
        format=format_on(chip, row["dtype"], kind), subject="", metric="latency", unit="s",
        measured=measured_s, short=measured_s < shortest_s, queries=extent(row, "q_tokens"),
        cached=0 if empty else extent(row, "kv_cache_tokens"), batch=extent(row, "batch"),
        heads=extent(row, "q_heads_local"), key_heads=extent(row, "kv_heads_local"),
        width=extent(row, "head_dim"),
    )  # fmt: skip
    if one.heads % one.key_heads:
        raise BrokenRow("kv_heads_local", f"{one.heads} heads of queries are no multiple of {one.key_heads}")
    subject = (
        f"{said['phase']} {one.batch}x{one.queries}, {one.cached} cached, {one.heads}/{one.key_heads} heads"
    )
    return dataclasses.replace(one, subject=subject, workload=(subject, one.width, one.dtype))


def node_of(call: Attended) -> Node:
    """The call: a causal prompt behind what is cached, or one token that sees all of it."""
    # A prompt sees half of itself on average: as many pairs, and rows of equal length.
    name, whole = call.format, call.cached + (call.queries + 1) // 2
    query = view(0, name, call.batch, call.heads, call.queries, call.width)
    keys, values = (view(i, name, call.batch, call.key_heads, whole, call.width) for i in (1, 2))
    results = (view(3, name, *query.shape), view(4, "fp32", *query.shape[:3]))
    return Node("aten._scaled_dot_product_efficient_attention.default", (), (query, keys, values), results)


def predict(
    questions: Sequence[Question], chip_of: ChipOf = catalogue_chip
) -> tuple[list[Measured], list[Excluded]]:
    """Calls with their predictions."""
    replay = Replay(chip_of)
    calls = [each for each in questions if isinstance(each, Attended)]
    return [answered(call, _seconds(replay, call)) for call in calls], []


def _seconds(replay: Replay, call: Attended) -> float:
    """Time of the kernel, and what the serving library that was timed does round it."""
    library = replay.pricer(call.chip)[0].policy.idle_dispatch_s
    tokens = call.batch * call.queries if call.queries > 1 else 0
    around = library.get("attention", 0.0) + tokens * library.get("attention token", 0.0)
    return replay.seconds(call.chip, (node_of(call),)) + around
