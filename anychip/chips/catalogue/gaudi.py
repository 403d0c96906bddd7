"""Intel Gaudi 2 and 3.

Sources: Intel's Gaudi whitepapers as listed in stas00/ml-engineering (table of chips of 2026-11-22), and
the Gaudi documentation's TPC user guide for the vector processors (2048-bit, 64 fp32 operations a cycle).
All matrix engines and vector processors work on one program, so the chip is one core here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from anychip.arithmetic import Tiles
from anychip.arithmetic import gpu as gpu_numerics
from anychip.arithmetic.numerics import Numerics
from anychip.blocks import DmaEngine, Link, Memory, SystolicArray, VectorUnit
from anychip.chips.catalogue.parts import (
    GIBI,
    GIGA,
    MEBI,
    MEGA,
    aliases,
    best,
    curve_costs,
    pcie,
    peaks,
    sequencer,
)
from anychip.chips.chip import Chip, Engine, Route
from anychip.chips.energy import npu_power
from anychip.chips.policies import graph_policy
from anychip.chips.sources import assumed, derived, fitted, published
from anychip.facts import Fact

_WHITEPAPER = "Intel Gaudi whitepaper, as listed in stas00/ml-engineering"
_GUIDE = "Intel Gaudi documentation, TPC user guide"
_PROCESSOR_LANES = 64


def _numerics() -> Numerics:
    base = gpu_numerics("gaudi", fp8=True)
    rules = tuple(
        dataclasses.replace(rule, order=Tiles(256))
        if rule.operand.name in ("fp32", "tf32", "bf16", "fp16", "fp8_e4m3fn", "fp8_e5m2")
        else rule
        for rule in base.contractions
    )
    return dataclasses.replace(
        base,
        contractions=rules,
        assumed=("order of additions inside a tile of the array", "order of reductions"),
    )


def _gaudi(
    name: str,
    title: str,
    *,
    year: int,
    process_nm: int,
    matrix_engines: int,
    processors: int,
    clock: Fact,
    fp8_rate: float,
    tera: dict[str, float],
    best_tera: float,
    sram_mib: float,
    memory_gib: float,
    bandwidth_gb: float,
    tdp_w: float,
    network_gbit: int,
    base_w: tuple[float, float, float],
    note: str,
) -> Chip:
    tdp = published(tdp_w, "W", _WHITEPAPER)
    rates = {
        "bf16": published(1.0, "1", _WHITEPAPER),
        "fp16": assumed(1.0, "1", "as bf16", low=0.5, high=1.0),
        "tf32": assumed(0.5, "1", "half of bf16, judged", low=0.25, high=0.5),
        "fp32": assumed(0.125, "1", "an eighth of bf16, judged", low=0.0625, high=0.25),
        "fp8_e4m3fn": published(fp8_rate, "1", _WHITEPAPER),
        "fp8_e5m2": published(fp8_rate, "1", _WHITEPAPER),
    }
    array = SystolicArray.of(
        clock_hz=clock,
        rows=published(256, "row", f"{_WHITEPAPER}: 256 x 256 a matrix engine"),
        columns=published(256, "column", f"{_WHITEPAPER}: 256 x 256 a matrix engine"),
        arrays=published(matrix_engines, "array", f"{_WHITEPAPER}: matrix engines"),
        rates=rates,
        minimum_cycles=assumed(1, "cycle", "shortest pass unpublished", low=1, high=256),
        load_rows_per_cycle=assumed(
            256,
            "row/cycle",
            "sums stay in place and operands stream: nothing stationary to load",
            low=4,
            high=256,
        ),
        efficiency=fitted(
            best_tera / tera["bf16"],
            "1",
            f"best bf16 matmul measured: {best_tera:g} TFLOPS",
            low=0.9 * best_tera / tera["bf16"],
            high=1.0,
        ),
    )
    unit = VectorUnit.of(
        clock_hz=clock,
        lanes=derived(
            _PROCESSOR_LANES * processors,
            "lane",
            f"{_GUIDE}: 64 fp32 operations a cycle in each of {processors} processors",
        ),
        latency_cycles=assumed(4, "cycle", "latency of a vector operation, judged", low=2, high=10),
        cost=curve_costs(
            simple=assumed(8.0, "cycle", "table look-up and polynomial, judged", low=4.0, high=20.0),
            other=assumed(16.0, "cycle", "a longer polynomial, judged", low=6.0, high=40.0),
            division=assumed(10.0, "cycle", "a reciprocal and its correction, judged", low=4.0, high=30.0),
        ),
    )
    dma = DmaEngine.of(
        startup_cycles=assumed(
            round(500e-9 * clock.value), "cycle", "about 500 ns, judged", low=100, high=3000
        )
    )
    facts = {
        "cores": derived(1, "core", f"{_WHITEPAPER}: all engines work on one program"),
        "clock_hz": clock,
        "year": published(year, "year", _WHITEPAPER),
        "process_nm": published(process_nm, "nm", _WHITEPAPER),
        "tdp_w": tdp,
        "memory_bytes": published(memory_gib * GIBI, "byte", _WHITEPAPER),
        "chip_link_bytes_per_second": published(
            2 * network_gbit / 8 * GIGA,
            "byte/s",
            f"{_WHITEPAPER}: {network_gbit} Gbit/s of Ethernet each way",
        ),
        "host_link_bytes_per_second": pcie(5 if year >= 2024 else 4),
    }
    return Chip(
        name=name,
        title=title,
        vendor="Intel",
        kind="npu",
        clock_hz=clock.value,
        cores=1,
        engines={
            "mme": Engine(block=array),
            "tpc": Engine(block=unit),
            "load": Engine(block=dma),
            "store": Engine(block=dma),
        },
        memories={
            "sram": Memory.of(capacity_bytes=published(sram_mib * MEBI, "byte", _WHITEPAPER)),
            "hbm": Memory.of(capacity_bytes=facts["memory_bytes"], level="main"),
        },
        links={
            "hbm": Link.of(
                bytes_per_second=published(bandwidth_gb * GIGA, "byte/s", _WHITEPAPER),
                efficiency=assumed(0.9, "1", "share that streams reach, judged", low=0.75, high=0.97),
                shared=True,
            )
        },
        load=Route(engine="load", links=("hbm",)),
        store=Route(engine="store", links=("hbm",)),
        sequencer=sequencer(queue_depth=8),
        policy=graph_policy(),
        numerics=_numerics(),
        power=npu_power(
            base_w=base_w,
            base_where="0.207 of the thermal design power as on GPUs, to 0.45 as on TPU v4",
            node_nm=process_nm,
            memory="HBM2e",
            link="hbm",
            formats=tuple(rates),
            host_w=(250.0, 100.0, 500.0),
            limit_w=tdp,
        ),
        facts=facts | peaks(_WHITEPAPER, tera) | best("bf16", best_tera),
        aliases=aliases(name),
        note=note,
    )


def gaudi2() -> Chip:
    """Gaudi 2: two 256 x 256 matrix engines, 24 vector processors."""
    return _gaudi(
        "gaudi2",
        "Intel Gaudi 2",
        year=2022,
        process_nm=7,
        matrix_engines=2,
        processors=24,
        clock=published(1650 * MEGA, "Hz", f"{_WHITEPAPER}: matrix engine"),
        fp8_rate=2.0,
        tera={"bf16": 432.0, "fp8_e4m3fn": 865.0, "fp8_e5m2": 865.0},
        best_tera=418.7,
        sram_mib=48,
        memory_gib=96,
        bandwidth_gb=2460,
        tdp_w=600,
        network_gbit=24 * 100,
        base_w=(180.0, 135.0, 270.0),
        note="rates of fp32 and tf32 are judged; no price in the snapshot",
    )


def gaudi3() -> Chip:
    """Gaudi 3: eight 256 x 256 matrix engines, 64 vector processors."""
    return _gaudi(
        "gaudi3",
        "Intel Gaudi 3",
        year=2024,
        process_nm=5,
        matrix_engines=8,
        processors=64,
        clock=published(
            1600 * MEGA,
            "Hz",
            f"{_WHITEPAPER}: 1750 MHz in the whitepaper, shipped at 1600",
            low=1600 * MEGA,
            high=1750 * MEGA,
        ),
        fp8_rate=1.0,
        tera=dict.fromkeys(("bf16", "fp8_e4m3fn", "fp8_e5m2"), 1677.0),
        best_tera=1243,
        sram_mib=96,
        memory_gib=128,
        bandwidth_gb=3700,
        tdp_w=900,
        network_gbit=24 * 200,
        base_w=(270.0, 200.0, 405.0),
        note="rates of fp32 and tf32 are judged; no price in the snapshot",
    )


CHIPS: dict[str, Callable[[], Chip]] = {"gaudi2": gaudi2, "gaudi3": gaudi3}
