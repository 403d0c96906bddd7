"""Exchanges between shards: steps round the links, and the shorter of both ways."""

from __future__ import annotations

import pytest

from anychip import chips
from anychip.compile.collective import OverheadParts, crossing_ticks, overhead_parts, ring_steps
from anychip.operators import Collective
from anychip.operators.forms import Operand


def all_reduce(rows: int, width: int, members: int, sequences: int = 1) -> Collective:
    operand = Operand("in0", "bf16", (1,), rows * width)
    result = Operand("out0", "bf16", (1,), rows * width)
    return Collective("all_reduce", (operand,), (result,), (sequences, rows // sequences, width), members)


@pytest.mark.parametrize(
    ("name", "members", "steps"),
    [
        ("inf2", 2, 0),  # both cores of one chip
        ("inf2", 24, 22),  # a ring of twelve, there and back
        ("trn1", 32, 12),  # 4 x 4: three steps there and back in each dimension
        ("trn1", 8, 6),  # one row of the torus
        ("trn1", 16, 8),  # two rows
    ],
)
def test_steps_round_the_links(name: str, members: int, steps: int) -> None:
    assert ring_steps(chips.by_name(name), members) == steps


def test_the_shorter_way_is_taken() -> None:
    policy = chips.by_name("inf2").policy.exchange
    assert policy is not None
    one = OverheadParts(rows=1, sequences=1, steps=22, fits=True).seconds(policy)
    assert one == pytest.approx(policy.latency_s)
    many = OverheadParts(rows=4096, sequences=1, steps=22, fits=True).seconds(policy)
    assert many == pytest.approx(policy.latency_s + 22 * policy.ring_step_s + 4096 * policy.ring_row_s)
    times = [OverheadParts(n, 1, 22, True).seconds(policy) for n in range(1, 600, 7)]
    assert times == sorted(times)


def test_what_does_not_fit_costs_more() -> None:
    chip = chips.by_name("inf2")
    assert overhead_parts(chip, all_reduce(2048, 4096, 24)).fits
    assert not overhead_parts(chip, all_reduce(8192, 4096, 24)).fits
    small, large = (crossing_ticks(chip, all_reduce(rows, 4096, 24)) for rows in (2048, 8192))
    assert large > 4 * small


def test_a_faster_link_is_never_slower_and_bytes_count() -> None:
    form = all_reduce(4096, 8192, 32)
    trn1 = chips.by_name("trn1")
    link = trn1.facts["chip_link_bytes_per_second"]
    faster = trn1.altered(facts=dict(trn1.facts) | {"chip_link_bytes_per_second": link.scaled(4.0)})
    assert crossing_ticks(faster, form) < crossing_ticks(trn1, form)
    moved = 2 * 31 / 32 * form.bytes / link.value * trn1.clock_hz
    assert crossing_ticks(trn1, form) > moved
