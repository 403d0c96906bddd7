"""Exchanges between shards: steps round the links, and the shorter of both ways."""

from __future__ import annotations

import pytest

from anychip import chips
from anychip.compile.collective import OverheadParts, crossing, overhead_parts, ring_steps
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
    small, large = (crossing(chip, all_reduce(rows, 4096, 24)).ticks for rows in (2048, 8192))
    assert large > 4 * small


def test_a_faster_link_is_never_slower_and_bytes_count() -> None:
    form = all_reduce(4096, 8192, 32)
    trn1 = chips.by_name("trn1")
    link = trn1.facts["chip_link_bytes_per_second"]
    faster = trn1.altered(facts=dict(trn1.facts) | {"chip_link_bytes_per_second": link.scaled(4.0)})
    assert crossing(faster, form).ticks < crossing(trn1, form).ticks
    moved = 2 * 31 / 32 * form.bytes / link.value * trn1.clock_hz
    assert crossing(trn1, form).ticks > moved


def one_way(kind: str, rows: int, width: int, members: int) -> Collective:
    whole, part = (Operand("in0", "bf16", (1,), count * width) for count in (rows, rows // members))
    first, last = (whole, part) if kind == "reduce_scatter" else (part, whole)
    return Collective(kind, (first,), (last,), (first.distinct // width, 1, width), members)


def test_gathering_and_scattering_together_are_a_sum_for_all() -> None:
    chip = chips.by_name("trn1")
    policy = chip.policy.exchange
    assert policy is not None
    halves = [
        overhead_parts(chip, one_way(kind, 4096, 4096, 32)) for kind in ("all_gather", "reduce_scatter")
    ]
    whole = overhead_parts(chip, all_reduce(4096, 4096, 32))
    assert halves[0] == halves[1]
    both = sum(each.seconds(policy) for each in halves)
    assert both == pytest.approx(whole.seconds(policy) + policy.latency_s)


def test_rows_of_other_sequences_cost_more_but_single_tokens_lie_together() -> None:
    chip = chips.by_name("inf2")
    policy = chip.policy.exchange
    assert policy is not None
    one, four = (overhead_parts(chip, all_reduce(1024, 4096, 24, sequences=n)) for n in (1, 4))
    assert four.seconds(policy) - one.seconds(policy) == pytest.approx(768 * policy.ring_apart_row_s)
    assert overhead_parts(chip, all_reduce(256, 4096, 24, sequences=256)).sequences == 1


@pytest.mark.parametrize(
    ("name", "backward", "hidden"), [("trn1", False, False), ("trn1", True, True), ("trn2", False, True)]
)
def test_rows_pass_beside_the_engines_where_something_else_is_to_do(
    name: str, backward: bool, hidden: bool
) -> None:
    chip = chips.by_name(name)
    form = all_reduce(4096, 8192, 32)
    ticks = crossing(chip, form, backward=backward)
    assert (ticks.beside > 0) == hidden
    assert ticks.ticks == pytest.approx(crossing(chip, form).ticks, abs=1)
    few = crossing(chip, all_reduce(1, 8192, 32), backward=True)
    assert few.beside == 0, "one row goes straight; nothing of it can be cut into tiles"


def test_rows_go_round_as_fast_as_transfer_engines_carry_them() -> None:
    old, new = (chips.by_name(name).policy.exchange for name in ("trn1", "trn2"))
    assert old is not None and new is not None
    assert new.ring_row_s == pytest.approx(old.ring_row_s * 17 * 16 / (23 * 32))
    assert new.latency_s == old.latency_s
