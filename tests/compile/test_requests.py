"""What threads fetch around elements that lie apart."""

from __future__ import annotations

from math import prod

import pytest

from anychip.compile.requests import requested_bytes
from anychip.operators import Move, Operand
from anychip.products.validate.operators import Replay
from anychip.programs.graph import Node, View


def _move(extents: tuple[int, ...], source: tuple[int, ...], result: tuple[int, ...]) -> Move:
    count = prod(extents)
    return Move(
        extents,
        Operand("in0", "fp32", source, count if all(source) else 1),
        Operand("out0", "fp32", result, count),
    )


@pytest.mark.parametrize(
    ("extents", "source", "request_bytes", "times"),
    [
        ((64, 512), (512, 1), 32, 1),  # as it lies
        ((64, 512), (1, 64), 32, 8),  # every element has a request of its own
        ((64, 512), (1, 64), 64, 16),
        ((64, 512), (1024, 2), 32, 2),  # every other element
        ((3, 1024), (1, 3), 32, 3),  # channels last to channels first
        ((1024, 2), (1, 1024), 32, 1),  # 16 neighbours in either of two rows
        ((1024, 16), (1, 1024), 32, 4),  # two neighbours in each of sixteen
        ((64, 512), (0, 0), 32, 1),  # one element for all
        ((64, 0, 512), (512, 512, 1), 32, 1),  # none at all
    ],
)
def test_requests_carry_what_lies_around(
    extents: tuple[int, ...], source: tuple[int, ...], request_bytes: int, times: int
) -> None:
    move = _move(extents, source, (512, 512, 1) if len(extents) == 3 else (extents[1], 1))
    read, written = requested_bytes(move, request_bytes)
    assert read == times * move.reads[0].bytes
    assert written == move.result.bytes


def test_who_writes_apart_fetches_what_it_writes_into_as_it_reads() -> None:
    """Threads follow the result: a result in the other order makes both sides neighbours."""
    move = _move((64, 512), (1, 64), (1, 64))
    assert requested_bytes(move, 32) == (move.reads[0].bytes, move.result.bytes)


@pytest.mark.parametrize(("chip", "least", "most"), [("v100-pcie", 1.8, 8.0), ("mi210", 3.0, 16.0)])
def test_a_transposed_copy_takes_longer_but_no_more_of_main_memory(
    chip: str, least: float, most: float
) -> None:
    rows, columns = 4096, 8192
    target = View(1, "fp32", (rows, columns), (columns, 1))
    plain = Node("aten.clone.default", (), (View(0, "fp32", (rows, columns), (columns, 1)),), (target,))
    turned = Node("aten.clone.default", (), (View(0, "fp32", (rows, columns), (1, rows)),), (target,))
    replay = Replay()
    assert least < replay.seconds(chip, [turned]) / replay.seconds(chip, [plain]) < most
    _, lowering, _ = replay.pricer(chip)
    (form,) = lowering.forms(turned)
    moved = dict(lowering.nest(form).demand.traffic_bytes)["dram"]
    assert moved == pytest.approx(2 * 4 * rows * columns, rel=0.01)
