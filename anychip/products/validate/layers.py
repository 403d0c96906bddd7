"""Published timings of the operators of one layer of a language model, split over several chips."""

from __future__ import annotations

from anychip.products.validate.mapping import settled
from anychip.products.validate.operators import Call, chip_named, format_named, format_on
from anychip.products.validate.question import BrokenRow, Out, Row, extent, number

#: Of a file of this kind.
COLUMNS = ("chip", "model", "phase", "batch", "input_len", "context_len", "op", "dtype", "measured_ms")


def read(file: str, row: Row, shortest_s: float) -> Call:
    """The call that one chip of the group makes."""
    said = settled("layers", row)
    kind = said.get("class", "layer")
    for needed in ("call", "hidden", "heads", "class"):
        if needed not in said:
            raise Out("workload", f"{row['model']}, {row['op']}: no rule gives {needed}", kind)
    chip = chip_named(said.get("chip", row["chip"]), kind)
    hidden, heads, shards = int(said["hidden"]), int(said["heads"]), int(said.get("shards", "1"))
    if not shards or heads % shards:
        raise BrokenRow("chip", f"{heads} heads cannot be divided over {shards} chips")
    batch, decode = extent(row, "batch"), row["phase"] == "decode"
    op, shape = _shape(
        said["call"], hidden, heads, shards, batch, 1 if decode else extent(row, "input_len"),
        extent(row, "context_len"),
    )  # fmt: skip
    # Collectives never come here: a whole is what the chips compute, on both sides.
    tokens = f"{batch}x{row['input_len']}, {row['context_len']} context"
    whole = f"{row['model']} {row['phase']} {tokens}, on {shards}, without collectives"
    host = {"bmm": "matmul", "linear": "matmul", "gelu": "elementwise"}.get(op, op)
    dtype = format_named(row["dtype"], kind)
    measured_s = 1e-3 * number(row, "measured_ms")
    return Call(
        file=file, line=int(row["line"]), kind=kind, chip=chip, dtype=dtype,
        format=format_on(chip, row["dtype"], kind),
        subject=f"{row['op']} {op} {'x'.join(map(str, shape))}", metric="latency", unit="s",
        measured=measured_s, short=measured_s < shortest_s, family=row["model"],
        workload=(op, dtype, shape), op=op, shape=shape, host=host,
        whole=whole,
    )  # fmt: skip


def _shape(
    call: str, hidden: int, heads: int, shards: int, batch: int, queries: int, context: int
) -> tuple[str, tuple[int, int, int, int]]:
    """Operator and (batch, m, n, k) on one of the chips, heads and inner width divided."""
    rows, own, width = batch * queries, hidden // shards, hidden // heads
    copies = batch * heads // shards
    known = {
        "query-key-value": ("linear", (1, rows, 3 * own, hidden)),
        "scores": ("bmm", (copies, queries, context, width)),
        "context": ("bmm", (copies, queries, width, context)),
        "output": ("linear", (1, rows, hidden, own)),
        "up": ("linear", (1, rows, 4 * own, hidden)),
        "down": ("linear", (1, rows, hidden, 4 * own)),
        "softmax": ("softmax", (copies, queries, context, 1)),
        "layernorm": ("layernorm", (1, rows, hidden, 1)),
        "gelu": ("gelu", (1, rows, 4 * own, 1)),
    }
    return known[call]
