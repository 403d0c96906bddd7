"""AWS Inferentia and Trainium.

AWS publishes no thermal design power of any of these chips, and of Inferentia1 neither array nor clocks nor
buffer sizes. `neuron_core.py` holds what the generations share, and names the documents.
"""

from __future__ import annotations

from collections.abc import Callable

from anychip.chips.catalogue.neuron_core import (
    ARCHITECTURE,
    AS_V2,
    LOGICAL,
    NKI,
    ONE_ARRAY,
    PHYSICAL,
    RATES_V3,
    RATES_V4,
    TRANSFER_START_S,
    array_of,
    buffers,
    engines_of,
    neuron_chip,
    rates_of,
    sustained,
    transfer_start,
    v2_array,
    wide_array,
)
from anychip.chips.catalogue.parts import GIBI, GIGA, MEBI, TERA, peaks
from anychip.chips.chip import Chip
from anychip.chips.energy import npu_power
from anychip.chips.fitted import FIRST_TENSOR_ENGINE, FIRST_TRANSFERS_BYTES_PER_SECOND
from anychip.chips.sources import assumed, derived, published
from anychip.facts import Fact

_POWER_FORMATS_V2 = ("bf16", "fp16", "tf32", "fp8_e4m3", "fp8_e5m2", "fp8_e3m4", "int8", "fp32")
_UNPUBLISHED_BASE = "AWS publishes no power; TPU v4's idle 90 W scaled by peak and memory, node unpublished"


def inf1() -> Chip:
    """Inferentia1: four NeuronCore-v1 with DRAM."""
    unknown = "not published for Inferentia1"
    clock = derived(
        16 * TERA / (2 * 64 * 64),
        "Hz",
        "published 16 TFLOPS a core over an assumed 64 x 64 array",
        low=16 * TERA / (2 * 128 * 64),
        high=16 * TERA / (2 * 64 * 64),
    )
    array = array_of(
        fitted=FIRST_TENSOR_ENGINE,
        rows=assumed(64, "row", f"{unknown}: 64 x 64 to 128 x 64 judged from 16 TFLOPS", low=64, high=128),
        columns=assumed(64, "column", f"{unknown}: 64 x 64 judged from 16 TFLOPS", low=64, high=64),
        clock_hz=clock,
        rates=rates_of(
            f"{ARCHITECTURE}: 64 TFLOPS of bf16 and fp16, 128 INT8 TOPS", bf16=1.0, fp16=1.0, int8=2.0
        )
        | {"fp32": assumed(0.25, "1", AS_V2, low=0.125, high=0.25)},
        arrays=ONE_ARRAY,
    )
    engine_clock = assumed(1.0 * GIGA, "Hz", unknown, low=0.7 * GIGA, high=1.4 * GIGA)
    return neuron_chip(
        "inf1",
        "AWS Inferentia1",
        generation=1,
        cores=4,
        engines=engines_of(
            array,
            vector_clock_hz=engine_clock,
            scalar_clock_hz=engine_clock,
            pool_clock_hz=None,
            lanes=derived(
                128, "lane", "published 256 vector operations a cycle at two a lane", low=128, high=256
            ),
            dma_startup_cycles=derived(
                round(TRANSFER_START_S * clock.value),
                "cycle",
                f"{AS_V2}: 1,300 ns",
                low=round(600e-9 * clock.value),
                high=round(2600e-9 * clock.value),
            ),
            dma_bytes_per_second=FIRST_TRANSFERS_BYTES_PER_SECOND,
        ),
        memories=buffers(
            assumed(8 * MEBI, "byte", f"on-chip buffer {unknown}", low=4 * MEBI, high=24 * MEBI),
            assumed(1 * MEBI, "byte", f"accumulation buffer {unknown}", low=0.5 * MEBI, high=2 * MEBI),
            published(8 * GIBI, "byte", f"{ARCHITECTURE}: 8 GiB of DRAM"),
        ),
        bandwidth=published(50 * GIBI, "byte/s", f"{ARCHITECTURE}: 50 GiB/s", low=50 * GIGA, high=50 * GIBI),
        facts=peaks(ARCHITECTURE, {"bf16": 64, "fp16": 64, "int8": 128})
        | {"process_nm": published(16, "nm", "table of public datasheets; AWS re:Invent 2018")},
        power=npu_power(
            base_w=(20.0, 10.0, 30.0),
            base_where=_UNPUBLISHED_BASE,
            node_nm=16,
            memory="DDR4",
            link="hbm",
            formats=("bf16", "fp16", "int8", "fp32"),
            host_w=(40.0, 20.0, 100.0),
        ),
        year=2019,
        chip_link=published(32 * GIBI, "byte/s", f"{ARCHITECTURE}: NeuronLink-v1, 32 GiB/s a chip"),
        chip_ring=published(16, "chip", f"{ARCHITECTURE}: the 16 chips of inf1.24xlarge form a ring"),
        host_vcpus=published(1, "vCPU", "AWS EC2 instance pages, inf1.xlarge: 4 vCPUs, four cores"),
        note="array, clocks and buffers are unpublished: expect a factor of two; no stochastic rounding",
    )


def _second_generation(
    name: str,
    title: str,
    *,
    year: int,
    chip_link: Fact,
    chip_ring: Fact,
    host_vcpus: Fact,
    note: str,
) -> Chip:
    return neuron_chip(
        name,
        title,
        generation=2,
        cores=2,
        engines=engines_of(
            v2_array(),
            vector_clock_hz=published(1.12 * GIGA, "Hz", NKI),
            scalar_clock_hz=published(1.4 * GIGA, "Hz", NKI),
            pool_clock_hz=published(1.4 * GIGA, "Hz", NKI),
            lanes=published(128, "lane", f"{NKI}: 128 partitions side by side"),
            dma_startup_cycles=transfer_start(2.8 * GIGA),
            dma_bytes_per_second=sustained(17, 27.2),
        ),
        memories=buffers(
            published(24 * MEBI, "byte", f"{ARCHITECTURE}: 128 partitions of 192 KiB"),
            published(2 * MEBI, "byte", f"{ARCHITECTURE}: 128 partitions of 16 KiB"),
            published(32 * GIBI, "byte", f"{ARCHITECTURE}: 32 GiB of HBM"),
        ),
        bandwidth=published(
            820 * GIGA,
            "byte/s",
            f"{ARCHITECTURE}: 820, as GB/s and as GiB/s",
            low=820 * GIGA,
            high=820 * GIBI,
        ),
        facts=peaks(
            ARCHITECTURE,
            {
                **dict.fromkeys(("bf16", "fp16", "tf32"), (190.0, 183.5, 190.0)),
                **dict.fromkeys(("fp8_e4m3", "fp8_e5m2", "fp8_e3m4"), (190.0, 183.5, 190.0)),
                "fp32": (47.5, 45.9, 47.5),
                "int8": (380.0, 367.0, 380.0),
            },
        )
        | {
            "documented_clock_hz": published(
                2.8 * GIGA,
                "Hz",
                "one document gives 1.4 GHz, the NKI guide 2.8 GHz for the tensor engine",
                low=1.4 * GIGA,
                high=2.8 * GIGA,
            )
        },
        power=npu_power(
            base_w=(60.0, 40.0, 90.0),
            base_where=_UNPUBLISHED_BASE,
            node_nm=None,
            memory="HBM2e",
            link="hbm",
            formats=_POWER_FORMATS_V2,
            host_w=(55.0, 25.0, 150.0),
        ),
        year=year,
        chip_link=chip_link,
        chip_ring=chip_ring,
        host_vcpus=host_vcpus,
        note=note,
    )


def inf2() -> Chip:
    """Inferentia2: two NeuronCore-v2 with HBM."""
    return _second_generation(
        "inf2",
        "AWS Inferentia2",
        year=2023,
        chip_link=published(192 * GIBI, "byte/s", f"{ARCHITECTURE}: NeuronLink-v2, 192 GiB/s a chip"),
        chip_ring=published(12, "chip", f"{ARCHITECTURE}: the twelve chips of inf2.48xlarge form a ring"),
        host_vcpus=published(2, "vCPU", "AWS EC2 instance pages, inf2.xlarge: 4 vCPUs, two cores"),
        note="power unpublished: energy is an estimate",
    )


def trn1() -> Chip:
    """Trainium1: the same cores as Inferentia2 with faster links between chips."""
    return _second_generation(
        "trn1",
        "AWS Trainium1",
        year=2022,
        chip_link=published(
            384 * GIGA,
            "byte/s",
            f"{ARCHITECTURE}: NeuronLink-v2, 384 GB/s a chip (768 on trn1n)",
            low=384 * GIGA,
            high=768 * GIGA,
        ),
        chip_ring=published(4, "chip", f"{ARCHITECTURE}: the 16 chips of trn1.32xlarge form a 4 x 4 torus"),
        host_vcpus=published(4, "vCPU", "AWS EC2 instance pages, trn1.2xlarge: 8 vCPUs, two cores"),
        note="power unpublished: energy is an estimate",
    )


def trn2() -> Chip:
    """Trainium2: eight NeuronCore-v3, two to a logical core."""
    return neuron_chip(
        "trn2",
        "AWS Trainium2",
        generation=3,
        cores=4,
        engines=engines_of(
            wide_array(RATES_V3),
            vector_clock_hz=published(0.96 * GIGA, "Hz", NKI),
            scalar_clock_hz=published(1.2 * GIGA, "Hz", NKI),
            pool_clock_hz=published(1.2 * GIGA, "Hz", NKI),
            lanes=published(256, "lane", f"{NKI}: 128 partitions a core; {LOGICAL}"),
            dma_startup_cycles=transfer_start(2.4 * GIGA),
            dma_bytes_per_second=sustained(23, 27.2, engines=32),
        ),
        memories=buffers(
            published(56 * MEBI, "byte", f"{ARCHITECTURE}: 128 partitions of 224 KiB a core, two cores"),
            published(4 * MEBI, "byte", f"{ARCHITECTURE}: 128 partitions of 16 KiB a core, two cores"),
            published(96 * GIBI, "byte", f"{ARCHITECTURE}: 96 GiB of HBM"),
        ),
        bandwidth=published(
            2.9 * TERA,
            "byte/s",
            f"{ARCHITECTURE}: 2.9 TB/s; the NKI guide says 3",
            low=2.9 * TERA,
            high=3.0 * TERA,
        ),
        facts=PHYSICAL
        | peaks(
            f"{ARCHITECTURE}; eight cores of 79 TFLOPS make 632",
            {
                **dict.fromkeys(("bf16", "fp16", "tf32"), (667.0, 629.0, 667.0)),
                **dict.fromkeys(("fp8_e4m3", "fp8_e5m2"), (1299.0, 1258.0, 1299.0)),
                "fp32": (181.0, 157.0, 181.0),
            },
        )
        | {
            "collective_cores": published(
                16, "core", f"{ARCHITECTURE}: 16; the NKI guide says 20", low=16, high=20
            )
        },
        power=npu_power(
            base_w=(150.0, 100.0, 220.0),
            base_where=_UNPUBLISHED_BASE,
            node_nm=None,
            memory="HBM3",
            link="hbm",
            formats=tuple(name for name in _POWER_FORMATS_V2 if name != "int8"),
            host_w=(100.0, 40.0, 250.0),
        ),
        year=2024,
        chip_link=published(1.28 * TERA, "byte/s", f"{ARCHITECTURE}: NeuronLink-v3, 1.28 TB/s a chip"),
        chip_ring=published(4, "chip", f"{ARCHITECTURE}: the 16 chips of trn2.48xlarge form a 4 x 4 torus"),
        host_vcpus=published(3, "vCPU", "AWS EC2 instance pages, trn2.48xlarge: 192 vCPUs, 64 logical cores"),
        note="power unpublished; no on-demand price in the snapshot; structured sparsity is not modelled",
    )


def trn3() -> Chip:
    """Trainium3: eight NeuronCore-v4 with block-scaled operands, two to a logical core."""
    return neuron_chip(
        "trn3",
        "AWS Trainium3",
        generation=4,
        cores=4,
        engines=engines_of(
            wide_array(RATES_V4),
            vector_clock_hz=published(1.2 * GIGA, "Hz", NKI),
            scalar_clock_hz=published(1.2 * GIGA, "Hz", NKI),
            pool_clock_hz=published(1.2 * GIGA, "Hz", NKI),
            lanes=published(256, "lane", f"{NKI}: 128 partitions a core; {LOGICAL}"),
            dma_startup_cycles=transfer_start(2.4 * GIGA),
            dma_bytes_per_second=sustained(33, 38.4, engines=32),
        ),
        memories=buffers(
            published(64 * MEBI, "byte", f"{ARCHITECTURE}: 128 partitions of 256 KiB a core, two cores"),
            published(4 * MEBI, "byte", f"{ARCHITECTURE}: 128 partitions of 16 KiB a core, two cores"),
            published(144 * GIBI, "byte", f"{ARCHITECTURE}: 144 GiB of HBM"),
        ),
        bandwidth=published(
            4.9 * TERA,
            "byte/s",
            f"{ARCHITECTURE}: 4.9 TB/s; the NKI guide says 4.7",
            low=4.7 * TERA,
            high=4.9 * TERA,
        ),
        facts=PHYSICAL
        | peaks(
            f"{ARCHITECTURE}; eight cores of 79 TFLOPS make 632",
            {
                **dict.fromkeys(("bf16", "fp16", "tf32"), (671.0, 629.0, 671.0)),
                **dict.fromkeys(("mxfp8_e4m3", "mxfp8_e5m2", "mxfp4"), 2517.0),
                "fp32": (183.0, 157.0, 183.0),
            },
        )
        | {
            "collective_cores": published(
                16, "core", f"{ARCHITECTURE}: 16; the NKI guide says 20", low=16, high=20
            ),
            "process_nm": published(3, "nm", "AWS announcement of Trainium3"),
        },
        power=npu_power(
            base_w=(200.0, 120.0, 300.0),
            base_where=_UNPUBLISHED_BASE,
            node_nm=3,
            memory="HBM3e",
            link="hbm",
            formats=(
                *(name for name in _POWER_FORMATS_V2 if name != "int8"),
                *("fp8_e4m3fn", "mxfp8_e4m3", "mxfp8_e5m2", "mxfp4"),
            ),
            host_w=(100.0, 40.0, 250.0),
        ),
        year=2025,
        chip_link=published(2.56 * TERA, "byte/s", f"{ARCHITECTURE}: NeuronLink-v4, 2.56 TB/s a chip"),
        chip_ring=assumed(
            2, "chip", "chips of trn3 meet in a switch: every other is one step away", low=2, high=4
        ),
        host_vcpus=assumed(3, "vCPU", "as trn2; no instance of trn3 is in the snapshot", low=2, high=6),
        note="power unpublished; no instance row in the snapshot; no benchmark published",
    )


CHIPS: dict[str, Callable[[], Chip]] = {"inf1": inf1, "inf2": inf2, "trn1": trn1, "trn2": trn2, "trn3": trn3}
