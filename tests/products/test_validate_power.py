"""Published watts: rates from rows, what rows leave open, constants found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from anychip.products.validate.kinds import KINDS, reading
from anychip.products.validate.power import Drawn, Model, parts_of, searched, watts_of
from anychip.products.validate.question import Reading, catalogue_chip

HEADER = "chip,n_chips,scope,model,scenario,batch,throughput,avg_watts,config\n"
CONFIG = "Avg Output Tokens=400; Avg BS (reqs)=50"


def row(chip: str = "H100-SXM5-80GB", **changed: str) -> str:
    cells = {
        "chip": chip, "n_chips": "2", "scope": "GPU only", "model": "x/Mixtral-8x7B-v0.1",
        "scenario": "llm_text_generation/chat", "batch": "64", "throughput": "2000", "avg_watts": "800",
        "config": CONFIG,
    }  # fmt: skip
    return ",".join((cells | changed).values())


def read(folder: Path, *rows: str) -> Reading:
    path = folder / "power.csv"
    path.write_text(HEADER + "".join(each + "\n" for each in rows))
    (kind,) = (kind for kind in KINDS if kind.name == "power")
    return reading(path, kind, 20e-6)


def test_rates_by_hand(tmp_path: Path) -> None:
    (asked,) = read(tmp_path, row()).questions
    assert isinstance(asked, Drawn)
    assert asked.measured == 400, "watts of one of two chips"
    # 46.7e9 parameters, 12.9e9 of them active with 2 of 8 experts: 45.07e9 lie in experts.
    routed = (46.7e9 - 12.9e9) / 0.75
    parameters = 46.7e9 - routed * 0.75**50
    cached = 50 * (200 + 200) * 2 * 32 * 1024 * 2
    assert asked.bytes_per_second == pytest.approx(2000 / 50 * (2 * parameters + cached) / 2)
    assert asked.macs_per_second == pytest.approx(12.9e9 * 2000 * 1.5 / 2)


def test_one_token_reads_what_it_uses_and_many_read_everything() -> None:
    model = Model(parameters=100e9, active=20e9, cached_elements=1, experts=8, chosen=2)
    assert model.read_parameters(1) == pytest.approx(20e9)
    assert model.read_parameters(1000) == pytest.approx(100e9)
    reads = [model.read_parameters(tokens) for tokens in range(1, 50)]
    assert reads == sorted(reads)


def test_watts_are_the_sum_of_their_parts_below_the_limit(tmp_path: Path) -> None:
    low, high = read(tmp_path, row(), row(throughput="900000")).questions
    assert isinstance(low, Drawn) and isinstance(high, Drawn)
    chip = catalogue_chip("h100")
    assert watts_of(chip, low) == pytest.approx(sum(parts_of(chip, low)))
    assert watts_of(chip, high) == 700, "its thermal design power"


def test_rows_that_ask_nothing_say_why(tmp_path: Path) -> None:
    done = read(
        tmp_path,
        row(scope="full system wall"),
        row(scenario="diffusion/text-to-image"),
        row(model="a/model of no size"),
        row("no-such-gpu"),
        row(throughput="fast"),
    )
    assert [each.reason for each in done.excluded] == ["measurement", "workload", "workload", "chip"]
    assert [str(each) for each in done.broken] == [
        'power.csv: line 6, column throughput: "fast" is not a number'
    ]


def test_experts_of_unknown_shape_are_not_taken_as_dense(tmp_path: Path) -> None:
    found = read(
        tmp_path, *(row(model=name) for name in ("lab/New-8x22B", "lab/New-100B-A10B", "lab/New-3b"))
    )
    assert [out.because for out in found.excluded] == ["the size of the model is not known"] * 2
    assert len(found.questions) == 1


def test_an_unknown_model_that_states_its_size_is_replayed(tmp_path: Path) -> None:
    (asked,) = read(tmp_path, row(model="someone/NewModel-8B-Instruct")).questions
    assert isinstance(asked, Drawn)
    assert asked.macs_per_second == pytest.approx(8e9 * 2000 * 1.5 / 2)


def test_the_search_finds_constants_that_made_the_rows(tmp_path: Path) -> None:
    """Rows of a made-up world: twice the base, half the joules per byte; nothing else moves."""
    chips = ("H100-SXM5-80GB", "A100-SXM4-40GB", "V100")
    rows = [
        row(name, throughput=str(rate), config=f"Avg Output Tokens=400; Avg BS (reqs)={size}")
        for name in chips
        for rate in (100, 400, 900)
        for size in (2, 8, 50)
    ]
    asked = [each for each in read(tmp_path, *rows).questions if isinstance(each, Drawn)]
    factors = (2.0, 0.5, 1.0)
    world = [
        Drawn(**{**vars(each), "measured": sum(f * part for f, part in zip(factors, parts, strict=True))})
        for each in asked
        for parts in [parts_of(catalogue_chip(each.chip), each)]
    ]
    found_anew = searched(world, world, lambda _: None)
    assert all(map(found_anew.decides, world))
    for each in world:
        found = parts_of(found_anew.change(catalogue_chip(each.chip)), each)
        assert sum(found) == pytest.approx(each.measured, rel=0.02)
    cpu = catalogue_chip("graviton3")
    assert found_anew.change(cpu) is cpu
