"""What the NeuronCores of Inferentia and Trainium have in common: engines, buffers, transfers.

Sources: the architecture pages of the AWS Neuron documentation up to SDK 2.33 (read 2026-11-22) and the
instruction costs that its NKI reference published until SDK 2.26.1.
"""

from __future__ import annotations

from collections.abc import Mapping

from anychip.arithmetic import neuron as neuron_numerics
from anychip.blocks import DmaEngine, Link, Memory, Sequencer, SystolicArray, VectorUnit
from anychip.chips.catalogue.parts import GIGA, aliases
from anychip.chips.chip import Chip, Engine, Route
from anychip.chips.fitted import FIRST_VECTOR_ENGINE, TENSOR_ENGINE, VECTOR_ENGINE
from anychip.chips.policies import neuron_policy
from anychip.chips.power import Power
from anychip.chips.sources import assumed, derived, published
from anychip.facts import Fact

ARCHITECTURE = "AWS Neuron documentation, NeuronCore and device architecture pages (SDK 2.32)"
NKI = "AWS Neuron documentation, NKI architecture guide and instruction costs (SDK 2.26.1, 2.32)"
AS_V2 = "unpublished for this generation; as NeuronCore-v2"

#: Cycles per element and lane that differ from 1 on the vector engine.
_VECTOR_COST = {"reciprocal": published(8.0, "cycle", f"{NKI}: reciprocal takes 8 N on the vector engine")}


def front_end() -> Sequencer:
    """The issue of instructions, about which nothing is published."""
    return Sequencer.of(
        issue_cycles=assumed(
            1, "cycle", "five instruction streams run side by side; issue is not published", low=1, high=64
        ),
        queue_depth=assumed(
            16, "instruction", "depth of the engines' instruction queues is not published", low=4, high=64
        ),
        launch_cycles=assumed(0, "cycle", "time per call and per fused block is charged by the policy"),
    )


def engines_of(
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
    minimum = published(64, "cycle", f"{NKI}: shortest instruction about 64 cycles", low=60, high=164)
    latency = published(60, "cycle", f"{NKI}: about 60 cycles to start an access of the on-chip buffers")

    def unit(clock_hz: Fact, **fields: object) -> Engine:
        return Engine(
            block=VectorUnit.of(
                clock_hz=clock_hz,
                lanes=lanes,
                minimum_cycles=minimum,
                latency_cycles=latency,
                **(FIRST_VECTOR_ENGINE if pool_clock_hz is None else VECTOR_ENGINE),
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


def array_of(
    *,
    rows: Fact,
    columns: Fact,
    clock_hz: Fact,
    rates: Mapping[str, Fact],
    arrays: Fact,
    fitted: Mapping[str, Fact] = TENSOR_ENGINE,
) -> SystolicArray:
    """A weight-stationary array with the published instruction costs."""
    return SystolicArray.of(
        clock_hz=clock_hz,
        rows=rows,
        columns=columns,
        arrays=arrays,
        rates=rates,
        minimum_cycles=published(
            64, "cycle", f"{NKI}: a matrix instruction takes max(min(64, stationary), moving)"
        ),
        load_rows_per_cycle=published(
            4,
            "row/cycle",
            f"{NKI}: the stationary tile loads up to 4 times faster, 128 columns in 32 cycles",
            low=1,
            high=4,
        ),
        **fitted,
    )


def rates_of(where: str, **relative: float) -> dict[str, Fact]:
    """Published rates relative to bf16."""
    return {name: published(rate, "1", where) for name, rate in relative.items()}


ONE_ARRAY = published(1, "array", f"{ARCHITECTURE}: one tensor engine a core")
LOGICAL = "two physical cores are one logical core by default, and one program uses both"
RATES_V2 = rates_of(
    f"{NKI}: 8- and 16-bit formats and tf32 at one row a cycle, fp32 at a quarter",
    bf16=1.0,
    fp16=1.0,
    tf32=1.0,
    fp8_e4m3=1.0,
    fp8_e5m2=1.0,
    fp8_e3m4=1.0,
    fp32=0.25,
) | {"int8": published(2.0, "1", f"{ARCHITECTURE}: 380 INT8 TOPS against 190 TFLOPS of bf16")}
RATES_V3 = rates_of(
    f"{NKI}: fp8 e4m3 and e5m2 at double rate, e3m4 at the rate of bf16, fp32 at a quarter",
    bf16=1.0,
    fp16=1.0,
    tf32=1.0,
    fp8_e4m3=2.0,
    fp8_e5m2=2.0,
    fp8_e3m4=1.0,
    fp32=0.25,
)
RATES_V4 = (
    RATES_V3
    | rates_of(
        f"{ARCHITECTURE}: block-scaled operands at four times bf16",
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


def v2_array() -> SystolicArray:
    """The array of NeuronCore-v2."""
    return array_of(
        rows=published(128, "row", f"{ARCHITECTURE}: 128 x 128"),
        columns=published(128, "column", f"{ARCHITECTURE}: 128 x 128"),
        clock_hz=published(
            2.8 * GIGA,
            "Hz",
            f"{NKI}: 2.8 GHz, which over 128 x 128 x 2 gives the published 92 TFLOPS a core; half of the "
            "published 190 a chip would need 2.9",
            low=2.8 * GIGA,
            high=2.9 * GIGA,
        ),
        rates=RATES_V2,
        arrays=ONE_ARRAY,
    )


def wide_array(rates: Mapping[str, Fact]) -> SystolicArray:
    """The two arrays of a logical core of NeuronCore-v3 or v4."""
    return array_of(
        rows=published(128, "row", f"{ARCHITECTURE}: 128 x 128"),
        columns=published(128, "column", f"{ARCHITECTURE}: 128 x 128"),
        clock_hz=published(
            2.4 * GIGA,
            "Hz",
            f"{NKI}: 2.4 GHz, 79 TFLOPS a core; the chip's published peak over eight cores would need 2.55",
            low=2.4 * GIGA,
            high=2.56 * GIGA,
        ),
        rates=rates,
        arrays=published(2, "array", f"{ARCHITECTURE}: one tensor engine a core; {LOGICAL}"),
    )


def buffers(sbuf: Fact, psum: Fact, main_bytes: Fact) -> dict[str, Memory]:
    """State buffer, accumulators and device memory."""
    return {
        "sbuf": Memory.of(capacity_bytes=sbuf),
        "psum": Memory.of(capacity_bytes=psum),
        "hbm": Memory.of(capacity_bytes=main_bytes, level="main"),
    }


def neuron_chip(
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
    chip_ring: Fact,
    host_vcpus: Fact,
    note: str,
) -> Chip:
    """A chip of NeuronCores over one device memory."""
    array, transfers = engines["tensor"].block, engines["load"].block
    assert isinstance(transfers, DmaEngine)  # noqa: S101 - `engines_of` makes it
    clock = array.facts["clock_hz"]
    common = {
        "cores": published(cores, "core", ARCHITECTURE),
        "clock_hz": clock,
        "year": published(year, "year", "AWS announcement of the instances"),
        "chip_link_bytes_per_second": chip_link,
        "chip_ring": chip_ring,
        "host_vcpus_per_core": host_vcpus,
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
        sequencer=front_end(),
        policy=neuron_policy(host_vcpus.value, transfers.bytes_per_second, generation=generation),
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
PHYSICAL = {"physical_cores": published(8, "core", f"{ARCHITECTURE}: eight cores; {LOGICAL}")}
TRANSFER_START_S = 1300e-9


def transfer_start(clock_hz: float) -> Fact:
    """Cycles from asking for a transfer to its first byte."""
    return derived(
        round(TRANSFER_START_S * clock_hz),
        "cycle",
        f"{NKI}: about 1,300 ns from semaphore to start of a transfer, in cycles of the tensor clock",
        low=round(600e-9 * clock_hz),
        high=round(1416e-9 * clock_hz),
    )


def sustained(per_engine_gb: float, peak_gb: float, *, engines: int = 16) -> Fact:
    """What the transfer engines of a core sustain together."""
    return published(
        per_engine_gb * engines * GIGA,
        "byte/s",
        f"{NKI}: {engines} engines a core, {per_engine_gb:g} GB/s sustained each, {peak_gb:g} GB/s at peak",
        low=0.9 * per_engine_gb * engines * GIGA,
        high=peak_gb * engines * GIGA,
    )
