"""A CUDA GPU measured with an invented timer: its constants reach the chip, and its absence is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from anychip.chips import find
from anychip.errors import InvalidInput
from anychip.frontends.torch.calibration import gpu
from anychip.products.calibrate.cuda import calibrate_cuda, catalogue_chip, text_of


def _measured(monkeypatch: pytest.MonkeyPatch) -> gpu.MeasuredGpu:
    monkeypatch.setattr(gpu, "_SIDE", 64)
    monkeypatch.setattr(gpu, "_COPY_BYTES", 1 << 12)
    order: list[int] = []

    def seconds(call: Callable[[], object], count: int) -> float:
        call()
        order.append(count)
        turn = (len(order) - 1) // 4
        each = (4e-6, 2 * 4096 / 2.5e11, 64**3 / 3.5e12, 64**3 / 2e13)[(len(order) - 1) % 4]
        return count * each * (1 + 0.5 * (turn % 2))

    found = gpu.measured_gpu("Tesla T4", device="cpu", seconds=seconds)
    assert len(order) == 4 * 11
    return found


def test_the_fastest_repetition_reaches_the_chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = catalogue_chip("Tesla T4")
    path = tmp_path / "gpu.py"
    path.write_text(text_of(_measured(monkeypatch), base, "2026-11-28"))
    chip = find(str(path))
    assert (chip.name, chip.title) == ("this-machine", base.title)
    assert chip.policy.dispatch_s == pytest.approx(4e-6)
    assert chip.links["dram"].sustained_bytes_per_second == pytest.approx(2.5e11, rel=1e-5)
    unit = chip.engines[chip.multiplier("fp32")].block
    assert unit.efficiency == pytest.approx(min(1.0, 3.5e12 / base.macs_per_second("fp32")), rel=1e-5)
    kinds = {name: fact.source.kind for name, fact in chip.all_facts()}
    assert kinds["policy.dispatch_s"] == kinds["dram.efficiency"] == "measured"


@pytest.mark.parametrize(
    ("name", "chip"), [("NVIDIA A100-SXM4-40GB", "a100-40"), ("Tesla T4", "t4"), ("NVIDIA L4", "l4")]
)
def test_names_of_the_driver(name: str, chip: str) -> None:
    assert catalogue_chip(name).name == chip


def test_an_unknown_or_absent_gpu_is_told() -> None:
    with pytest.raises(InvalidInput) as caught:
        catalogue_chip("GeForce 256")
    assert str(caught.value) == (
        '--device cuda: no chip of the catalogue is called "GeForce 256"; `anychip chips` lists all'
    )
    if not torch.cuda.is_available():
        with pytest.raises(InvalidInput) as caught:
            calibrate_cuda(None)
        assert str(caught.value).endswith("sees no CUDA GPU here; leave the option out")
