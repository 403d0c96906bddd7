"""Google TPUs.

Sources: the table of chips of 2026-11-22 (Jouppi et al., ISCA 2021 and 2023; jax-ml/scaling-book;
stas00/ml-engineering), Google Cloud's TPU pages, and jax-ml/scaling-book, "How to think about TPUs", for the
vector unit. Thermal design powers are unpublished; of TPU v4 the ISCA 2023 paper gives measured watts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from anychip.arithmetic import Reduction, Sequential, Tiles
from anychip.arithmetic import reference as reference_numerics
from anychip.arithmetic.numerics import Numerics
from anychip.blocks import DmaEngine, Link, Memory, SystolicArray, VectorUnit
from anychip.chips.catalogue.parts import GIBI, GIGA, MEBI, MEGA, aliases, curve_costs, peaks, sequencer
from anychip.chips.chip import Chip, Engine, Route
from anychip.chips.energy import npu_power
from anychip.chips.policies import xla_policy
from anychip.chips.power import Power
from anychip.chips.sources import assumed, derived, published, recalled
from anychip.facts import Fact

_BOOK = "jax-ml/scaling-book, How to think about TPUs"
_RATES_WHERE = "XLA: fp32 products at default precision are one bf16 pass, at highest six"


def _numerics() -> Numerics:
    base = reference_numerics("tpu")
    rules = tuple(
        dataclasses.replace(rule, order=Tiles(128)) if rule.operand.name in ("fp32", "bf16", "fp16") else rule
        for rule in base.contractions
    )
    return dataclasses.replace(
        base,
        operands=(("fp32", "bf16"),),
        contractions=rules,
        reduction=Reduction(order=Sequential()),
        assumed=("order of additions inside a tile of the array", "order of reductions"),
    )


def _tpu(
    name: str,
    title: str,
    *,
    where: str,
    year: int,
    process_nm: Fact | None,
    tensor_cores: int,
    clock: Fact,
    side: Fact,
    arrays: Fact,
    rates: Mapping[str, float],
    lanes: Fact,
    vmem_bytes: Fact,
    memory: str,
    memory_gib: float,
    bandwidth: Fact,
    tera: Mapping[str, float | tuple[float, float, float]],
    chip_link: Fact,
    power: Power,
    note: str,
    extra: Mapping[str, Fact] | None = None,
) -> Chip:
    array = SystolicArray.of(
        clock_hz=clock,
        rows=side.scaled(1, "row"),
        columns=side.scaled(1, "column"),
        arrays=arrays,
        rates={
            "bf16": published(1.0, "1", where),
            "fp16": assumed(1.0, "1", "converted to bf16", low=0.5, high=1.0),
            "fp32": published(1 / 6, "1", _RATES_WHERE),
            **{name: published(rate, "1", where) for name, rate in rates.items()},
        },
        minimum_cycles=published(8, "cycle", f"{_BOOK}: eight rows past a stationary tile take 8 cycles"),
        load_rows_per_cycle=assumed(
            2,
            "row/cycle",
            "stationary tiles are loaded behind the previous ones; rate unpublished",
            low=1,
            high=8,
        ),
        efficiency=assumed(0.9, "1", "share of cycles in which the arrays stream, judged", low=0.6, high=1.0),
    )
    unit = VectorUnit.of(
        clock_hz=clock,
        lanes=lanes,
        latency_cycles=published(2, "cycle", f"{_BOOK}: latency of a vector operation"),
        cost=curve_costs(
            simple=assumed(
                8.0, "cycle", "one transcendental unit beside several adders, judged", low=4.0, high=20.0
            ),
            other=assumed(16.0, "cycle", "a longer polynomial, judged", low=6.0, high=40.0),
            division=assumed(10.0, "cycle", "a reciprocal and its correction, judged", low=4.0, high=30.0),
        ),
    )
    dma = DmaEngine.of(
        startup_cycles=assumed(
            round(500e-9 * clock.value),
            "cycle",
            "about 500 ns to start a transfer, judged",
            low=100,
            high=3000,
        )
    )
    facts = {
        "cores": derived(
            1, "core", f"{_BOOK}: the chip's TensorCores share memory and run one program as one"
        ),
        "tensor_cores": published(tensor_cores, "core", where),
        "clock_hz": clock,
        "year": published(year, "year", where),
        "memory_bytes": published(memory_gib * GIBI, "byte", where),
        "chip_link_bytes_per_second": chip_link,
        "host_link_bytes_per_second": published(
            15e9, "byte/s", f"{_BOOK}: PCIe, about 15 GB/s a chip", low=10e9, high=16e9
        ),
    }
    if process_nm is not None:
        facts["process_nm"] = process_nm
    return Chip(
        name=name,
        title=title,
        vendor="Google",
        kind="npu",
        clock_hz=clock.value,
        cores=1,
        engines={
            "mxu": Engine(block=array),
            "vpu": Engine(block=unit),
            "load": Engine(block=dma),
            "store": Engine(block=dma),
        },
        memories={
            "vmem": Memory.of(capacity_bytes=vmem_bytes),
            "hbm": Memory.of(capacity_bytes=facts["memory_bytes"], level="main"),
        },
        links={
            "hbm": Link.of(
                bytes_per_second=bandwidth,
                efficiency=assumed(
                    0.9, "1", f"share that streams reach on {memory}, judged", low=0.75, high=0.97
                ),
                shared=True,
            )
        },
        load=Route(engine="load", links=("hbm",)),
        store=Route(engine="store", links=("hbm",)),
        sequencer=sequencer(queue_depth=8),
        policy=xla_policy(),
        numerics=_numerics(),
        power=power,
        facts=facts | peaks(where, tera) | dict(extra or {}),
        aliases=aliases(name),
        note=note,
    )


_FORMATS = ("bf16", "fp16", "int8", "fp32")
_EARLY_FORMATS = ("bf16", "fp16", "fp32")
_EARLY_LANES = published(
    4096, "lane", "Jouppi et al., CACM 2020: 8 x 128 positions of two units, two TensorCores"
)
_SIDE = published(128, "row", "Jouppi et al., ISCA 2021 and 2023: 128 x 128 a matrix unit")
_WIDE_SIDE = published(256, "row", f"{_BOOK}: 256 x 256 a matrix unit from v6e on")
_UNPRICED = "power and process unpublished: energy is an estimate; no price in the snapshot"


def _four_units(tensor_cores: int, where: str) -> Fact:
    return published(4 * tensor_cores, "array", f"{where}: four matrix units a TensorCore")


def tpu_v2() -> Chip:
    """TPU v2: two cores of one 128 x 128 array."""
    where = "Jouppi et al., CACM 2020 and ISCA 2021"
    return _tpu(
        "tpu-v2",
        "Google TPU v2",
        where=where,
        year=2017,
        process_nm=published(16, "nm", where),
        tensor_cores=2,
        clock=published(700 * MEGA, "Hz", where),
        side=_SIDE,
        arrays=published(2, "array", f"{where}: one matrix unit a TensorCore"),
        rates={},
        lanes=_EARLY_LANES,
        vmem_bytes=published(32 * MEBI, "byte", f"{where}: 16 MiB a TensorCore"),
        memory="HBM2",
        memory_gib=16,
        bandwidth=published(700 * GIGA, "byte/s", where),
        tera={"bf16": 46},
        chip_link=recalled(4 * 62 * GIGA, "byte/s", f"{where}: four links of 496 Gbit/s"),
        power=npu_power(
            base_w=(130.0, 80.0, 180.0),
            base_where="280 W thermal design power, just under half of it loaded, judged",
            node_nm=16,
            memory="HBM2",
            link="hbm",
            formats=_EARLY_FORMATS,
            host_w=(80.0, 40.0, 200.0),
            limit_w=published(280.0, "W", where),
        ),
        note="no price in the snapshot",
        extra={"tdp_w": published(280.0, "W", where)},
    )


def tpu_v3() -> Chip:
    """TPU v3: two cores of two 128 x 128 arrays."""
    where = "Jouppi et al., ISCA 2021"
    return _tpu(
        "tpu-v3",
        "Google TPU v3",
        where=where,
        year=2018,
        process_nm=published(16, "nm", where),
        tensor_cores=2,
        clock=published(940 * MEGA, "Hz", where),
        side=_SIDE,
        arrays=published(4, "array", f"{where}: two matrix units a TensorCore"),
        rates={},
        lanes=_EARLY_LANES,
        vmem_bytes=published(32 * MEBI, "byte", f"{where}: 16 MiB a TensorCore"),
        memory="HBM2",
        memory_gib=32,
        bandwidth=published(900 * GIGA, "byte/s", where),
        tera={"bf16": (123, 123, 140)},
        chip_link=published(4 * 82 * GIGA, "byte/s", f"{where}: four links of 656 Gbit/s"),
        power=npu_power(
            base_w=(200.0, 120.0, 280.0),
            base_where="450 W thermal design power, just under half of it loaded, judged",
            node_nm=16,
            memory="HBM2",
            link="hbm",
            formats=_EARLY_FORMATS,
            host_w=(80.0, 40.0, 200.0),
            limit_w=published(450.0, "W", where),
        ),
        note="jax-ml/scaling-book lists 140 TFLOPS; no price in the snapshot",
        extra={"tdp_w": published(450.0, "W", where)},
    )


def tpu_v4() -> Chip:
    """TPU v4: two cores of four 128 x 128 arrays."""
    where = "Jouppi et al., ISCA 2023; jax-ml/scaling-book"
    return _tpu(
        "tpu-v4",
        "Google TPU v4",
        where=where,
        year=2020,
        process_nm=published(7, "nm", where),
        tensor_cores=2,
        clock=published(1050 * MEGA, "Hz", where),
        side=_SIDE,
        arrays=_four_units(2, where),
        rates={"int8": 1.0},
        lanes=published(4096, "lane", f"{_BOOK}: 8 x 128 positions of two units, two TensorCores"),
        vmem_bytes=published(32 * MEBI, "byte", f"{where}: 32 MiB, beside 128 MiB of CMEM", high=160 * MEBI),
        memory="HBM2",
        memory_gib=32,
        bandwidth=published(1228 * GIGA, "byte/s", where),
        tera={"bf16": 275, "int8": 275},
        chip_link=published(
            6 * 50 * GIGA, "byte/s", f"{where}: six links of 45 to 50 GB/s", low=6 * 45 * GIGA
        ),
        power=npu_power(
            base_w=(90.0, 80.0, 100.0),
            base_where="Jouppi et al., ISCA 2023: 90 W minimum, 170 mean, 192 maximum measured",
            node_nm=7,
            memory="HBM2",
            link="hbm",
            formats=_FORMATS,
            host_w=(80.0, 40.0, 200.0),
            flop_j=(0.28e-12, 0.15e-12, 0.37e-12),
            byte_j=(45e-12, 20e-12, 83e-12),
        ),
        note="no thermal design power; measured 90/170/192 W minimum, mean, maximum",
        extra={"measured_w": published(170.0, "W", "Jouppi et al., ISCA 2023", low=90.0, high=192.0)},
    )


def tpu_v5e() -> Chip:
    """TPU v5e: one core of four 128 x 128 arrays."""
    where = "Google Cloud TPU v5e page; jax-ml/scaling-book"
    return _tpu(
        "tpu-v5e",
        "Google TPU v5e",
        where=where,
        year=2023,
        process_nm=None,
        tensor_cores=1,
        clock=published(1500 * MEGA, "Hz", where),
        side=_SIDE,
        arrays=_four_units(1, where),
        rates={"int8": 2.0},
        lanes=published(4096, "lane", f"{_BOOK}: 8 x 128 positions of four units"),
        vmem_bytes=published(128 * MEBI, "byte", _BOOK),
        memory="HBM2",
        memory_gib=16,
        bandwidth=published(819 * GIGA, "byte/s", where, low=810 * GIGA, high=819 * GIGA),
        tera={"bf16": 197, "int8": 394},
        chip_link=published(
            4 * 45 * GIGA, "byte/s", f"{where}: four links of 45 to 50 GB/s one way", high=4 * 50 * GIGA
        ),
        power=npu_power(
            base_w=(70.0, 50.0, 100.0),
            base_where="unpublished; TPU v4's 90 W scaled by peak and memory",
            node_nm=None,
            memory="HBM2",
            link="hbm",
            formats=_FORMATS,
            host_w=(60.0, 30.0, 150.0),
        ),
        note=_UNPRICED,
    )


def tpu_v5p() -> Chip:
    """TPU v5p: two cores of four 128 x 128 arrays."""
    where = "Google Cloud TPU v5p page; jax-ml/scaling-book"
    return _tpu(
        "tpu-v5p",
        "Google TPU v5p",
        where=where,
        year=2023,
        process_nm=None,
        tensor_cores=2,
        clock=published(1750 * MEGA, "Hz", where),
        side=_SIDE,
        arrays=_four_units(2, where),
        rates={"int8": 2.0},
        lanes=published(8192, "lane", f"{_BOOK}: 8 x 128 positions of four units, two TensorCores"),
        vmem_bytes=assumed(
            64 * MEBI, "byte", "vector memory unpublished for v5p", low=16 * MEBI, high=128 * MEBI
        ),
        memory="HBM2e",
        memory_gib=95,
        bandwidth=published(2765 * GIGA, "byte/s", where),
        tera={"bf16": 459, "int8": 918},
        chip_link=published(
            6 * 90 * GIGA, "byte/s", f"{where}: six links of 90 to 100 GB/s one way", high=6 * 100 * GIGA
        ),
        power=npu_power(
            base_w=(155.0, 110.0, 220.0),
            base_where="unpublished; TPU v4's 90 W scaled by peak and memory",
            node_nm=None,
            memory="HBM2e",
            link="hbm",
            formats=_FORMATS,
            host_w=(80.0, 40.0, 200.0),
        ),
        note=_UNPRICED,
    )


def tpu_v6e() -> Chip:
    """TPU v6e: one core of 256 x 256 arrays."""
    where = "jax-ml/scaling-book; stas00/ml-engineering"
    return _tpu(
        "tpu-v6e",
        "Google TPU v6e (Trillium)",
        where=where,
        year=2024,
        process_nm=None,
        tensor_cores=1,
        clock=published(1750 * MEGA, "Hz", where),
        side=_WIDE_SIDE,
        arrays=derived(
            4, "array", f"{where}: peak over clock and 256 x 256 positions; documents name two", low=2, high=4
        ),
        rates={"int8": 2.0},
        lanes=assumed(4096, "lane", "as v5e's TensorCore", low=4096, high=8192),
        vmem_bytes=assumed(128 * MEBI, "byte", "as v5e's", low=64 * MEBI, high=256 * MEBI),
        memory="HBM3",
        memory_gib=32,
        bandwidth=published(1640 * GIGA, "byte/s", where),
        tera={"bf16": 918, "int8": 1836},
        chip_link=published(
            4 * 90 * GIGA, "byte/s", f"{where}: four links of 90 to 100 GB/s one way", high=4 * 100 * GIGA
        ),
        power=npu_power(
            base_w=(130.0, 90.0, 190.0),
            base_where="unpublished; TPU v4's 90 W scaled by peak and memory",
            node_nm=None,
            memory="HBM3",
            link="hbm",
            formats=_FORMATS,
            host_w=(60.0, 30.0, 150.0),
        ),
        note=_UNPRICED,
    )


def tpu_v7x() -> Chip:
    """TPU v7x: two chiplets, of which little but peaks and memory is published."""
    where = "stas00/ml-engineering; Google Cloud TPU pages"
    return _tpu(
        "tpu-v7x",
        "Google TPU v7x (Ironwood)",
        where=where,
        year=2025,
        process_nm=None,
        tensor_cores=2,
        clock=assumed(2200 * MEGA, "Hz", "unpublished; peak over eight arrays", low=1750e6, high=2600e6),
        side=_WIDE_SIDE,
        arrays=assumed(8, "array", "unpublished: twice v6e's", low=4, high=8),
        rates={"fp8_e4m3fn": 2.0, "fp8_e5m2": 2.0},
        lanes=assumed(8192, "lane", "as two of v5e's TensorCores", low=8192, high=16384),
        vmem_bytes=assumed(256 * MEBI, "byte", "unpublished: twice v5e's", low=64 * MEBI, high=512 * MEBI),
        memory="HBM3e",
        memory_gib=192,
        bandwidth=published(7370 * GIGA, "byte/s", where),
        tera={"bf16": 2307, "fp8_e4m3fn": 4614, "fp8_e5m2": 4614},
        chip_link=recalled(1200 * GIGA, "byte/s", f"{where}: 1.2 TB/s between chips"),
        power=npu_power(
            base_w=(300.0, 180.0, 450.0),
            base_where="unpublished; TPU v4's 90 W scaled by peak and memory",
            node_nm=None,
            memory="HBM3e",
            link="hbm",
            formats=("bf16", "fp16", "fp8_e4m3fn", "fp8_e5m2", "fp32"),
            host_w=(80.0, 40.0, 200.0),
        ),
        note=f"clock, arrays and buffers unpublished; {_UNPRICED}",
    )


CHIPS: dict[str, Callable[[], Chip]] = {
    "tpu-v2": tpu_v2,
    "tpu-v3": tpu_v3,
    "tpu-v4": tpu_v4,
    "tpu-v5e": tpu_v5e,
    "tpu-v5p": tpu_v5p,
    "tpu-v6e": tpu_v6e,
    "tpu-v7x": tpu_v7x,
}
