"""The catalogue against its published tables, and contradictions carried as ranges."""

from __future__ import annotations

from typing import Any

import pytest

from anychip import chips
from anychip.blocks import DotUnit, SystolicArray
from anychip.chips import Chip
from anychip.chips.catalogue.gpu import Board, Generation
from anychip.chips.names import NAMES

#: Published: (chip, format, 1e12 operations a second), from datasheets.
PEAKS = [
    ("trn1", "bf16", 190), ("trn1", "fp32", 47.5), ("inf2", "int8", 380), ("trn2", "bf16", 667),
    ("trn2", "fp8_e4m3", 1299), ("trn3", "mxfp8_e4m3", 2517), ("inf1", "bf16", 64), ("inf1", "int8", 128),
    ("a100-40", "bf16", 312), ("a100-80", "tf32", 156), ("a100-pcie-40", "fp32", 19.5), ("t4", "fp16", 65),
    ("t4", "int8", 130), ("a10g", "bf16", 70), ("h100", "bf16", 989), ("h100", "fp8_e4m3fn", 1979),
    ("h100", "fp32", 67), ("h100-pcie", "bf16", 756), ("h200", "bf16", 989), ("b200", "bf16", 2250),
    ("v100", "fp16", 125), ("p100", "fp16", 18.7), ("p4", "int8", 22), ("l4", "bf16", 121), ("l40s",
    "bf16", 362),
    ("mi100", "fp16", 184.6), ("mi100", "bf16", 92.3), ("mi210", "fp32", 45.3), ("mi300x", "bf16", 1307),
    ("gaudi2", "bf16", 432), ("gaudi3", "bf16", 1677), ("tpu-v4", "bf16", 275), ("tpu-v5e", "int8", 394),
    ("tpu-v5p", "bf16", 459), ("graviton3", "bf16", 21.3), ("graviton2", "fp32", 2.56), ("graviton4",
    "fp32", 8.6),
    ("sapphire-rapids", "bf16", 229.4), ("genoa", "fp32", 7.4), ("graviton5", "fp32", 20.3),
    ("granite-rapids", "bf16", 524), ("emerald-rapids", "bf16", 249), ("h200-nvl", "bf16", 835),
    ("gb200", "bf16", 2500), ("b300", "nvfp4", 12600), ("l40", "bf16", 181.05), ("mi250", "fp16", 181),
    ("mi325x", "bf16", 1307), ("mi355x", "mxfp4", 10100), ("tpu-v3", "bf16", 123), ("tpu-v6e", "bf16", 918),
    ("tpu-v7x", "fp8_e4m3fn", 4614), ("rtx-3090", "bf16", 71), ("rtx-a6000", "fp16", 154.8),
    ("rtx-4090", "int8", 660.6), ("rtx-5090", "nvfp4", 1676), ("mi350x", "bf16", 2300),
]  # fmt: skip
#: Published: (chip, 1e9 byte/s, GiB).
MEMORY = [
    ("inf2", 820, 32), ("trn1", 820, 32), ("trn2", 2900, 96), ("trn3", 4900, 144), ("t4", 320, 16),
    ("a100-40", 1555, 40), ("a100-80", 2039, 80), ("h100", 3350, 80), ("h200", 4800, 141), ("mi210", 1638,
    64),
    ("mi300x", 5300, 192), ("gaudi2", 2460, 96), ("tpu-v5e", 819, 16), ("tpu-v5p", 2765, 95), ("l4", 300, 24),
    ("graviton3", 307.2, 256), ("graviton4", 537.6, 384), ("genoa", 460.8, 384),
]  # fmt: skip


@pytest.mark.parametrize(("name", "format_name", "tera"), PEAKS)
def test_published_peaks(name: str, format_name: str, tera: float) -> None:
    """The fact is what the maker prints; the contract test compares the blocks with it."""
    assert chips.by_name(name).facts[f"peak.{format_name}"].value == pytest.approx(tera * 1e12, rel=0.01)


@pytest.mark.parametrize(("name", "giga", "gib"), MEMORY)
def test_published_memory(name: str, giga: float, gib: float) -> None:
    chip = chips.by_name(name)
    assert chip.links[chip.load.links[0]].bytes_per_second == pytest.approx(giga * 1e9)
    assert chip.main_memory.capacity_bytes == gib * 2**30


def test_contradictions_are_ranges() -> None:
    """Documents disagree about these, and neither side was chosen by taste."""
    trn1, trn2 = chips.by_name("trn1"), chips.by_name("trn2")
    assert trn1.facts["documented_clock_hz"].range == (1.4e9, 2.8e9)
    low, high = trn2.facts["peak.bf16"].range
    assert low < 8 * 79e12 < high
    assert trn2.links["hbm"].facts["bytes_per_second"].range == (2.9e12, 3.0e12)
    assert trn2.facts["collective_cores"].range == (16, 20)
    low, high = trn1.links["hbm"].facts["bytes_per_second"].range
    assert (low, high) == (820e9, 820 * 2**30)
    assert chips.by_name("l4").facts["cores"].range == (58, 60)


def test_unpublished_is_assumed_with_a_range_or_absent() -> None:
    inf1 = chips.by_name("inf1")
    rows = inf1.matrix.facts["rows"]
    assert rows.source.kind == "assumed"
    assert rows.range[0] < rows.range[1]
    assert "process_nm" not in chips.by_name("trn1").facts
    assert chips.by_name("trn1").power.limit_w is None  # type: ignore[union-attr]


def test_neuron_rates() -> None:
    """From the published cost of a matrix instruction: 16-bit 1, fp32 1/4, fp8 doubled from v3 on."""
    v2, v3 = chips.by_name("trn1").matrix, chips.by_name("trn2").matrix
    assert isinstance(v2, SystolicArray)
    assert (v2.rate("bf16"), v2.rate("fp32"), v2.rate("fp8_e4m3")) == (1, 0.25, 1)
    assert (v3.rate("fp8_e4m3"), v3.rate("fp8_e5m2"), v3.rate("fp8_e3m4")) == (2, 2, 1)
    # max(min(64, N_stationary), N_moving) cycles for a 128 x 128 tile
    assert v2.timing("multiply", (512, 128, 128), "bf16").busy == pytest.approx(512 / v2.efficiency, abs=1)
    assert v2.timing("multiply", (1, 128, 128), "bf16").busy == pytest.approx(64 / v2.efficiency, abs=1)


def test_gpus_have_tensor_cores_and_vector_pipes() -> None:
    t4 = chips.by_name("t4")
    assert (t4.multiplier("fp16"), t4.multiplier("fp32")) == ("tensor", "fma")
    assert chips.by_name("p100").multiplier("fp16") == "fma"
    assert isinstance(t4.matrix, DotUnit)


def test_ranges_reach_the_blocks() -> None:
    array = chips.by_name("trn2").matrix
    low, high = array.with_fact_at("low"), array.with_fact_at("high")
    assert low.clock_hz < high.clock_hz  # type: ignore[operator]
    load = chips.by_name("tpu-v4").matrix.with_fact_at("low")
    assert load.rates["fp16"] == 0.5
    assert load.rates["bf16"] == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_chips_are_values(name: str) -> None:
    chip = chips.by_name(name)
    assert chip.digest == chip.altered().digest
    assert len({chips.by_name(other).digest for other in NAMES}) == len(NAMES)


def test_looking_a_chip_up_builds_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a command that names one does not wait for sixty."""
    from anychip.chips import lookup
    from anychip.chips.catalogue import nvidia

    built: list[str] = []
    build = nvidia.build

    def counted(board: Board, generation: Generation, **rest: Any) -> Chip:
        built.append(board.name)
        return build(board, generation, **rest)

    monkeypatch.setattr(nvidia, "build", counted)
    made = lookup._built.__wrapped__("h100")  # pyright: ignore[reportPrivateUsage]
    assert made.name == "h100" and built == ["h100"]
