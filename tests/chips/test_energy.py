"""Power from node, memory and thermal design power, against measured and published watts."""

from __future__ import annotations

import pytest

from anychip import chips
from anychip.chips.energy import gpu_power, scaled_between_nodes
from anychip.chips.names import NAMES
from anychip.chips.sources import published
from anychip.errors import InvalidDescription, UnknownName

REAL = [name for name in NAMES if name != "basecamp"]


def watts(name: str, *, operations: float, byte_rate: float, operand: str = "bf16") -> float:
    """The formula of the profile: base, arithmetic, memory, capped at the limit."""
    chip = chips.by_name(name)
    power = chip.power
    assert power is not None
    assert power.base_w is not None
    link = chip.load.links[0]
    drawn = (
        power.base_w.value
        + power.mac_j[operand].value * operations / 2
        + power.byte_j[link].value * byte_rate
    )
    return drawn if power.limit_w is None else min(drawn, power.limit_w.value)


def test_a100_by_hand() -> None:
    """0.207 x 400 W + 216 pJ/byte x 1 TB/s + 1.67 pJ/flop x 10 Tflop/s: the formula that was fitted."""
    by_hand = 0.207 * 400 + 216 + 16.7
    assert watts("a100-40", operations=10e12, byte_rate=1e12) == pytest.approx(by_hand, abs=0.5)


def test_saturated_a100_is_within_the_measured_band() -> None:
    """Saturated image generation was measured at 350 to 390 W of 400."""
    assert 330 <= watts("a100-40", operations=150e12, byte_rate=0.3e12) <= 400


def test_decoding_h100_is_within_the_measured_band() -> None:
    """Decoding was measured at 211 to 694 W, median 526."""
    drawn = watts("h100", operations=100e12, byte_rate=1.5e12)
    assert 400 <= drawn <= 650


def test_busy_tpu_v4_is_within_its_published_band() -> None:
    """90, 170 and 192 W minimum, mean and maximum."""
    assert 90 <= watts("tpu-v4", operations=0, byte_rate=0) <= 95
    assert 140 <= watts("tpu-v4", operations=100e12, byte_rate=0.8e12) <= 192
    assert 150 <= watts("tpu-v4", operations=240e12, byte_rate=0.2e12) <= 192


@pytest.mark.parametrize("name", REAL)
def test_unpublished_limits_are_none_and_estimates_have_ranges(name: str) -> None:
    power = chips.by_name(name).power
    assert power is not None
    if chips.by_name(name).vendor in ("AWS", "Google") and name not in ("tpu-v2", "tpu-v3"):
        assert power.limit_w is None, "AWS and Google publish none, but of two early TPUs"
    for path, fact in power.all_facts():
        if path != "limit_w":
            assert fact.source.kind in ("fitted", "assumed"), path
            low, high = fact.range
            assert low < high, f"{name}: {path} is an estimate without a range"


@pytest.mark.parametrize("name", REAL)
def test_narrower_operands_never_cost_more(name: str) -> None:
    energy = chips.by_name(name).power
    assert energy is not None
    price = {key: fact.value for key, fact in energy.mac_j.items()}
    for wide, narrow in (("fp64", "fp32"), ("fp32", "bf16"), ("fp32", "fp16"), ("bf16", "int8")):
        if wide in price and narrow in price:
            assert price[narrow] <= price[wide], f"{name}: {narrow} costs more than {wide}"


def test_unknown_node_and_memory() -> None:
    tdp = published(300.0, "W", "a datasheet")
    arguments = {"tdp_w": tdp, "link": "dram", "cache_link": "l2", "tensor_formats": ("bf16",)}
    with pytest.raises(UnknownName, match='unknown memory type "HBM9"'):
        gpu_power(node_nm=7, memory="HBM9", **arguments)  # type: ignore[arg-type]
    with pytest.raises(InvalidDescription, match="node 28 nm has no energy factor; choose one of 3, 4, 5"):
        gpu_power(node_nm=28, memory="HBM2", **arguments)  # type: ignore[arg-type]


def test_node_scaling_by_the_published_polynomials() -> None:
    """Stillmaker and Baas at 0.8 V: (0.1776 x 0.64 - 0.09097 x 0.8 + 0.02447) over the same at 45 nm."""
    at_45 = published(1.1e-12, "J", "fp16 multiplication")
    moved = scaled_between_nodes(at_45, from_nm=45, to_nm=7)
    seven = 0.1776 * 0.64 - 0.09097 * 0.8 + 0.02447
    fortyfive = 1.103 * 0.64 - 0.362 * 0.8 + 0.2767
    assert moved.value == pytest.approx(1.1e-12 * seven / fortyfive)
    assert moved.source.kind == "derived"
    with pytest.raises(InvalidDescription, match="node 5 nm has no scaling coefficients"):
        scaled_between_nodes(at_45, from_nm=45, to_nm=5)
