"""AWS Inferentia and Trainium.

Sources: the architecture pages of the AWS Neuron documentation up to SDK 2.33 (read 2026-11-22) and the
instruction costs that its NKI reference published until SDK 2.26.1. AWS publishes no thermal design power of
any of these chips, and of Inferentia1 neither array nor clocks nor buffer sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from anychip.arithmetic import neuron as neuron_numerics
from anychip.blocks import DmaEngine, Link, Memory, Sequencer, SystolicArray, VectorUnit
from anychip.chips.catalogue.parts import GIBI, GIGA, MEBI, TERA, aliases, peaks
from anychip.chips.chip import Chip, Engine, Route
from anychip.chips.energy import npu_power
from anychip.chips.fitted import TENSOR_ENGINE, VECTOR_ENGINE, neuron_policy
from anychip.chips.power import Power
from anychip.chips.sources import assumed, derived, published
from anychip.facts import Fact

_ARCHITECTURE = "AWS Neuron documentation, NeuronCore and device architecture pages (SDK 2.32)"
_NKI = "AWS Neuron documentation, NKI architecture guide and instruction costs (SDK 2.26.1, 2.32)"
_ASSUMED_GUIDE = "unpublished for this generation; as NeuronCore-v2"

#: Cycles per element and lane that differ from 1 on the vector engine.
_VECTOR_COST = {"reciprocal": published(8.0, "cycle", f"{_NKI}: reciprocal takes 8 N on the vector engine")}


def _front_end() -> Sequencer:
    return Sequencer.of(
        issue_cycles=assumed(
            1, "cycle", "five instruction streams run side by side; issue is not published", low=1, high=64
        ),
        queue_depth=assumed(
            16, "instruction", "depth of the engines' instruction queues is not published", low=4, high=64
        ),
        launch_cycles=assumed(0, "cycle", "time per call and per fused block is charged by the policy"),
    )


def _engines(
    array: SystolicArray,
    *,
    vector_clock_hz: Fact,
    scalar_clock_hz: Fact,
    pool_clock_hz: Fact | None,
    lanes: Fact,
    dma_startup_cycles: Fact,
    dma_bytes_per_second: Fact,
) -> dict[str, Engine]:
    """Tensor, vector, scalar and (from v2 on) general-purpose engine, and the core's DMA rings."""
    minimum = published(64, "cycle", f"{_NKI}: shortest instruction about 64 cycles", low=60, high=164)
    latency = published(60, "cycle", f"{_NKI}: about 60 cycles to start an access of the on-chip buffers")

    def unit(clock_hz: Fact, **fields: object) -> Engine:
        return Engine(
            block=VectorUnit.of(
                clock_hz=clock_hz,
                lanes=lanes,
                minimum_cycles=minimum,
                latency_cycles=latency,
                **VECTOR_ENGINE,
                **fields,
            )
        )

    engines = {
        "tensor": Engine(block=array),
        "vector": unit(vector_clock_hz, cost=_VECTOR_COST),
        "scalar": unit(scalar_clock_hz),
    }
    if pool_clock_hz is not None:
        engines["gpsimd"] = unit(pool_clock_hz)
    dma = DmaEngine.of(startup_cycles=dma_startup_cycles, bytes_per_second=dma_bytes_per_second)
    return engines | {"load": Engine(block=dma), "store": Engine(block=dma)}


def _array(
    *, rows: Fact, columns: Fact, clock_hz: Fact, rates: Mapping[str, Fact], arrays: Fact
) -> SystolicArray:
    return SystolicArray.of(
        clock_hz=clock_hz,
        rows=rows,
        columns=columns,
        arrays=arrays,
        rates=rates,
        minimum_cycles=published(
            64, "cycle", f"{_NKI}: a matrix instruction takes max(min(64, stationary), moving)"
        ),
        load_rows_per_cycle=published(
            4,
            "row/cycle",
            f"{_NKI}: the stationary tile loads up to 4 times faster, 128 columns in 32 cycles",
            low=1,
            high=4,
        ),
        **TENSOR_ENGINE,
    )


def _rates(where: str, **relative: float) -> dict[str, Fact]:
    return {name: published(rate, "1", where) for name, rate in relative.items()}


_ONE = published(1, "array", f"{_ARCHITECTURE}: one tensor engine a core")
_LOGICAL = "two physical cores are one logical core by default, and one program uses both"
_RATES_V2 = _rates(
    f"{_NKI}: 8- and 16-bit formats and tf32 at one row a cycle, fp32 at a quarter",
    bf16=1.0,
    fp16=1.0,
    tf32=1.0,
    fp8_e4m3=1.0,
    fp8_e5m2=1.0,
    fp8_e3m4=1.0,
    fp32=0.25,
) | {"int8": published(2.0, "1", f"{_ARCHITECTURE}: 380 INT8 TOPS against 190 TFLOPS of bf16")}
_RATES_V3 = _rates(
    f"{_NKI}: fp8 e4m3 and e5m2 at double rate, e3m4 at the rate of bf16, fp32 at a quarter",
    bf16=1.0,
    fp16=1.0,
    tf32=1.0,
    fp8_e4m3=2.0,
    fp8_e5m2=2.0,
    fp8_e3m4=1.0,
    fp32=0.25,
)
_RATES_V4 = (
    _RATES_V3
    | _rates(
        f"{_ARCHITECTURE}: block-scaled operands at four times bf16",
        mxfp8_e4m3=4.0,
        mxfp8_e5m2=4.0,
        mxfp4=4.0,
    )
    | {
        "fp8_e4m3fn": assumed(
            2.0, "1", "the OCP format at the rate of the other fp8 formats", low=1.0, high=2.0
        )
    }
)


def _v2_array() -> SystolicArray:
    return _array(
        rows=published(128, "row", f"{_ARCHITECTURE}: 128 x 128"),
        columns=published(128, "column", f"{_ARCHITECTURE}: 128 x 128"),
        clock_hz=published(
            2.8 * GIGA,
            "Hz",
            f"{_NKI}: 2.8 GHz, which over 128 x 128 x 2 gives the published 92 TFLOPS a core; half of the "
            "published 190 a chip would need 2.9",
            low=2.8 * GIGA,
            high=2.9 * GIGA,
        ),
        rates=_RATES_V2,
        arrays=_ONE,
    )


def _wide_array(rates: Mapping[str, Fact]) -> SystolicArray:
    return _array(
        rows=published(128, "row", f"{_ARCHITECTURE}: 128 x 128"),
        columns=published(128, "column", f"{_ARCHITECTURE}: 128 x 128"),
        clock_hz=published(
            2.4 * GIGA,
            "Hz",
            f"{_NKI}: 2.4 GHz, 79 TFLOPS a core; the chip's published peak over eight cores would need 2.55",
            low=2.4 * GIGA,
            high=2.56 * GIGA,
        ),
        rates=rates,
        arrays=published(2, "array", f"{_ARCHITECTURE}: one tensor engine a core; {_LOGICAL}"),
    )


def _buffers(sbuf: Fact, psum: Fact, main_bytes: Fact) -> dict[str, Memory]:
    return {
        "sbuf": Memory.of(capacity_bytes=sbuf),
        "psum": Memory.of(capacity_bytes=psum),
        "hbm": Memory.of(capacity_bytes=main_bytes, level="main"),
    }


def _neuron_chip(
    name: str,
    title: str,
    *,
    generation: int,
    cores: int,
    engines: Mapping[str, Engine],
    memories: Mapping[str, Memory],
    bandwidth: Fact,
    facts: Mapping[str, Fact],
    power: Power,
    year: int,
    chip_link: Fact,
    note: str,
) -> Chip:
    array = engines["tensor"].block
    clock = array.facts["clock_hz"]
    common = {
        "cores": published(cores, "core", _ARCHITECTURE),
        "clock_hz": clock,
        "year": published(year, "year", "AWS announcement of the instances"),
        "chip_link_bytes_per_second": chip_link,
        "host_link_bytes_per_second": _HOST_LINK.scaled(cores),
    }
    return Chip(
        name=name,
        title=title,
        vendor="AWS",
        kind="npu",
        clock_hz=clock.value,
        cores=cores,
        engines=engines,
        memories=memories,
        links={
            "hbm": Link.of(
                bytes_per_second=bandwidth,
                latency_cycles=assumed(0, "cycle", "contained in the start of a transfer"),
                shared=True,
                duplex=False,
            )
        },
        load=Route(engine="load", links=("hbm",)),
        store=Route(engine="store", links=("hbm",)),
        sequencer=_front_end(),
        policy=neuron_policy(),
        numerics=neuron_numerics(generation),
        roundings=("nearest-even",) if generation == 1 else ("nearest-even", "stochastic"),
        power=power,
        facts=common | dict(facts),
        aliases=aliases(name),
        inference_only=name.startswith("inf"),
        note=note,
    )


_HOST_LINK = Fact(
    8.0 * GIGA,
    "byte/s",
    derived(
        1, "1", "fit of published BERT and ResNet throughput on Inf2 and Trn1: 8 GB/s a core to the host"
    ).source,
    3.3 * GIGA,
    10.0 * GIGA,
)
_PHYSICAL = {"physical_cores": published(8, "core", f"{_ARCHITECTURE}: eight cores; {_LOGICAL}")}
_TRANSFER_START_S = 1300e-9


def _transfer_start(clock_hz: float) -> Fact:
    return derived(
        round(_TRANSFER_START_S * clock_hz),
        "cycle",
        f"{_NKI}: about 1,300 ns from semaphore to start of a transfer, in cycles of the tensor clock",
        low=round(600e-9 * clock_hz),
        high=round(1416e-9 * clock_hz),
    )


def _sustained(per_engine_gb: float, peak_gb: float, *, engines: int = 16) -> Fact:
    return published(
        per_engine_gb * engines * GIGA,
        "byte/s",
        f"{_NKI}: {engines} engines a core, {per_engine_gb:g} GB/s sustained each, {peak_gb:g} GB/s at peak",
        low=0.9 * per_engine_gb * engines * GIGA,
        high=peak_gb * engines * GIGA,
    )


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
    array = _array(
        rows=assumed(64, "row", f"{unknown}: 64 x 64 to 128 x 64 judged from 16 TFLOPS", low=64, high=128),
        columns=assumed(64, "column", f"{unknown}: 64 x 64 judged from 16 TFLOPS", low=64, high=64),
        clock_hz=clock,
        rates=_rates(
            f"{_ARCHITECTURE}: 64 TFLOPS of bf16 and fp16, 128 INT8 TOPS", bf16=1.0, fp16=1.0, int8=2.0
        )
        | {"fp32": assumed(0.25, "1", _ASSUMED_GUIDE, low=0.125, high=0.25)},
        arrays=_ONE,
    )
    engine_clock = assumed(1.0 * GIGA, "Hz", unknown, low=0.7 * GIGA, high=1.4 * GIGA)
    return _neuron_chip(
        "inf1",
        "AWS Inferentia1",
        generation=1,
        cores=4,
        engines=_engines(
            array,
            vector_clock_hz=engine_clock,
            scalar_clock_hz=engine_clock,
            pool_clock_hz=None,
            lanes=derived(
                128, "lane", "published 256 vector operations a cycle at two a lane", low=128, high=256
            ),
            dma_startup_cycles=derived(
                round(_TRANSFER_START_S * clock.value),
                "cycle",
                f"{_ASSUMED_GUIDE}: 1,300 ns",
                low=round(600e-9 * clock.value),
                high=round(2600e-9 * clock.value),
            ),
            dma_bytes_per_second=assumed(
                40 * GIGA,
                "byte/s",
                "no figure published: below the chip's DRAM bandwidth",
                low=20 * GIGA,
                high=53.7 * GIGA,
            ),
        ),
        memories=_buffers(
            assumed(8 * MEBI, "byte", f"on-chip buffer {unknown}", low=4 * MEBI, high=24 * MEBI),
            assumed(1 * MEBI, "byte", f"accumulation buffer {unknown}", low=0.5 * MEBI, high=2 * MEBI),
            published(8 * GIBI, "byte", f"{_ARCHITECTURE}: 8 GiB of DRAM"),
        ),
        bandwidth=published(50 * GIBI, "byte/s", f"{_ARCHITECTURE}: 50 GiB/s", low=50 * GIGA, high=50 * GIBI),
        facts=peaks(_ARCHITECTURE, {"bf16": 64, "fp16": 64, "int8": 128})
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
        chip_link=published(32 * GIBI, "byte/s", f"{_ARCHITECTURE}: NeuronLink-v1, 32 GiB/s a chip"),
        note="array, clocks and buffers are unpublished: expect a factor of two; no stochastic rounding",
    )


def _second_generation(name: str, title: str, *, year: int, chip_link: Fact, note: str) -> Chip:
    return _neuron_chip(
        name,
        title,
        generation=2,
        cores=2,
        engines=_engines(
            _v2_array(),
            vector_clock_hz=published(1.12 * GIGA, "Hz", _NKI),
            scalar_clock_hz=published(1.4 * GIGA, "Hz", _NKI),
            pool_clock_hz=published(1.4 * GIGA, "Hz", _NKI),
            lanes=published(128, "lane", f"{_NKI}: 128 partitions side by side"),
            dma_startup_cycles=_transfer_start(2.8 * GIGA),
            dma_bytes_per_second=_sustained(17, 27.2),
        ),
        memories=_buffers(
            published(24 * MEBI, "byte", f"{_ARCHITECTURE}: 128 partitions of 192 KiB"),
            published(2 * MEBI, "byte", f"{_ARCHITECTURE}: 128 partitions of 16 KiB"),
            published(32 * GIBI, "byte", f"{_ARCHITECTURE}: 32 GiB of HBM"),
        ),
        bandwidth=published(
            820 * GIGA,
            "byte/s",
            f"{_ARCHITECTURE}: 820, as GB/s and as GiB/s",
            low=820 * GIGA,
            high=820 * GIBI,
        ),
        facts=peaks(
            _ARCHITECTURE,
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
        note=note,
    )


def inf2() -> Chip:
    """Inferentia2: two NeuronCore-v2 with HBM."""
    return _second_generation(
        "inf2",
        "AWS Inferentia2",
        year=2023,
        chip_link=published(192 * GIBI, "byte/s", f"{_ARCHITECTURE}: NeuronLink-v2, 192 GiB/s a chip"),
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
            f"{_ARCHITECTURE}: NeuronLink-v2, 384 GB/s a chip (768 on trn1n)",
            low=384 * GIGA,
            high=768 * GIGA,
        ),
        note="power unpublished: energy is an estimate",
    )


def trn2() -> Chip:
    """Trainium2: eight NeuronCore-v3, two to a logical core."""
    return _neuron_chip(
        "trn2",
        "AWS Trainium2",
        generation=3,
        cores=4,
        engines=_engines(
            _wide_array(_RATES_V3),
            vector_clock_hz=published(0.96 * GIGA, "Hz", _NKI),
            scalar_clock_hz=published(1.2 * GIGA, "Hz", _NKI),
            pool_clock_hz=published(1.2 * GIGA, "Hz", _NKI),
            lanes=published(256, "lane", f"{_NKI}: 128 partitions a core; {_LOGICAL}"),
            dma_startup_cycles=_transfer_start(2.4 * GIGA),
            dma_bytes_per_second=_sustained(23, 27.2, engines=32),
        ),
        memories=_buffers(
            published(56 * MEBI, "byte", f"{_ARCHITECTURE}: 128 partitions of 224 KiB a core, two cores"),
            published(4 * MEBI, "byte", f"{_ARCHITECTURE}: 128 partitions of 16 KiB a core, two cores"),
            published(96 * GIBI, "byte", f"{_ARCHITECTURE}: 96 GiB of HBM"),
        ),
        bandwidth=published(
            2.9 * TERA,
            "byte/s",
            f"{_ARCHITECTURE}: 2.9 TB/s; the NKI guide says 3",
            low=2.9 * TERA,
            high=3.0 * TERA,
        ),
        facts=_PHYSICAL
        | peaks(
            f"{_ARCHITECTURE}; eight cores of 79 TFLOPS make 632",
            {
                **dict.fromkeys(("bf16", "fp16", "tf32"), (667.0, 629.0, 667.0)),
                **dict.fromkeys(("fp8_e4m3", "fp8_e5m2"), (1299.0, 1258.0, 1299.0)),
                "fp32": (181.0, 157.0, 181.0),
            },
        )
        | {
            "collective_cores": published(
                16, "core", f"{_ARCHITECTURE}: 16; the NKI guide says 20", low=16, high=20
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
        chip_link=published(1.28 * TERA, "byte/s", f"{_ARCHITECTURE}: NeuronLink-v3, 1.28 TB/s a chip"),
        note="power unpublished; no on-demand price in the snapshot; structured sparsity is not modelled",
    )


def trn3() -> Chip:
    """Trainium3: eight NeuronCore-v4 with block-scaled operands, two to a logical core."""
    return _neuron_chip(
        "trn3",
        "AWS Trainium3",
        generation=4,
        cores=4,
        engines=_engines(
            _wide_array(_RATES_V4),
            vector_clock_hz=published(1.2 * GIGA, "Hz", _NKI),
            scalar_clock_hz=published(1.2 * GIGA, "Hz", _NKI),
            pool_clock_hz=published(1.2 * GIGA, "Hz", _NKI),
            lanes=published(256, "lane", f"{_NKI}: 128 partitions a core; {_LOGICAL}"),
            dma_startup_cycles=_transfer_start(2.4 * GIGA),
            dma_bytes_per_second=_sustained(33, 38.4, engines=32),
        ),
        memories=_buffers(
            published(64 * MEBI, "byte", f"{_ARCHITECTURE}: 128 partitions of 256 KiB a core, two cores"),
            published(4 * MEBI, "byte", f"{_ARCHITECTURE}: 128 partitions of 16 KiB a core, two cores"),
            published(144 * GIBI, "byte", f"{_ARCHITECTURE}: 144 GiB of HBM"),
        ),
        bandwidth=published(
            4.9 * TERA,
            "byte/s",
            f"{_ARCHITECTURE}: 4.9 TB/s; the NKI guide says 4.7",
            low=4.7 * TERA,
            high=4.9 * TERA,
        ),
        facts=_PHYSICAL
        | peaks(
            f"{_ARCHITECTURE}; eight cores of 79 TFLOPS make 632",
            {
                **dict.fromkeys(("bf16", "fp16", "tf32"), (671.0, 629.0, 671.0)),
                **dict.fromkeys(("mxfp8_e4m3", "mxfp8_e5m2", "mxfp4"), 2517.0),
                "fp32": (183.0, 157.0, 183.0),
            },
        )
        | {
            "collective_cores": published(
                16, "core", f"{_ARCHITECTURE}: 16; the NKI guide says 20", low=16, high=20
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
        chip_link=published(2.56 * TERA, "byte/s", f"{_ARCHITECTURE}: NeuronLink-v4, 2.56 TB/s a chip"),
        note="power unpublished; no instance row in the snapshot; no benchmark published",
    )


CHIPS: dict[str, Callable[[], Chip]] = {"inf1": inf1, "inf2": inf2, "trn1": trn1, "trn2": trn2, "trn3": trn3}
