"""basecamp: a tiny chip of our own that goes the whole way down to RTL.

An outer-product array with bf16 operands and fp32 accumulators, one vector unit with a ROM for curves, an
SRAM, a DMA engine for each direction over a duplex link, and a sequencer. Every parameter is a design
choice, so random variants are an endless supply of chips nobody tuned for.
"""

from __future__ import annotations

from anychip.arithmetic import Contraction, Curves, Numerics, Reduction, Sequential
from anychip.blocks import DmaEngine, Link, Memory, OuterProductArray, Sequencer, VectorUnit
from anychip.chips.chip import Chip, Engine, Route
from anychip.chips.policy import Policy
from anychip.errors import InvalidDescription
from anychip.formats import bf16, fp32


def basecamp_numerics() -> Numerics:
    """bf16 operands whatever the tensors are stored in, sums in order of k, one rounding per multiply-add.

    Sums along an axis are contractions with ones in the same array, so they have the same rule. Curves are
    tables of bf16.
    """
    return Numerics(
        name="basecamp",
        operands=tuple((stored, "bf16") for stored in ("fp32", "tf32", "fp16", "fp8_e4m3fn", "fp8_e5m2")),
        contractions=(Contraction(bf16, fp32, order=Sequential()),),
        reduction=Reduction(accumulator=fp32, order=Sequential()),
        curves=Curves(format=bf16),
    )


def basecamp(
    *,
    rows: int = 4,
    columns: int = 4,
    lanes: int = 1,
    depth_tile: int = 16,
    vector_tile: int = 16,
    buffer_depth: int = 2,
    queue_depth: int = 4,
    link_bytes_per_cycle: int = 8,
    link_latency_cycles: int = 4,
    dma_startup_cycles: int = 2,
    fill_cycles: int = 1,
    vector_latency_cycles: int = 1,
    launch_cycles: int = 0,
    sram_bytes: int = 64 * 1024,
    clock_hz: float = 1e9,
) -> Chip:
    """A basecamp with the given parameters.

    Args:
        rows: of the array: results held at once in one direction.
        columns: in the other.
        lanes: of the vector unit.
        depth_tile: products per multiply instruction.
        vector_tile: elements per vector instruction outside contractions.
        buffer_depth: slots of every operand buffer; 2 is double buffering.
        queue_depth: instructions waiting in or occupying one engine.
        link_bytes_per_cycle: in each direction.
        link_latency_cycles: from the last byte to the landing.
        dma_startup_cycles: added to that, per transfer.
        fill_cycles: from the array's last operand to the accumulator.
        vector_latency_cycles: from the last lane operation to the SRAM.
        launch_cycles: before a kernel's first instruction.
        sram_bytes: capacity of the SRAM.
        clock_hz: of everything.

    Raises:
        InvalidDescription: parameters that contradict each other, all named at once.
    """
    if vector_tile < 1 or depth_tile < 1 or buffer_depth < 1:
        raise InvalidDescription(
            f'chip "basecamp": vector_tile {vector_tile}, depth_tile {depth_tile} and '
            f"buffer_depth {buffer_depth} must all be at least 1"
        )
    numerics = basecamp_numerics()
    return Chip(
        name="basecamp",
        title="basecamp (anychip's own)",
        vendor="anychip",
        kind="npu",
        clock_hz=clock_hz,
        cores=1,
        engines={
            "matrix": Engine(
                block=OuterProductArray(
                    rows=rows,
                    columns=columns,
                    fill_cycles=fill_cycles,
                    rates={"bf16": 1.0},
                )
            ),
            "vector": Engine(block=VectorUnit(lanes=lanes, latency_cycles=vector_latency_cycles)),
            "load": Engine(block=DmaEngine(startup_cycles=dma_startup_cycles)),
            "store": Engine(block=DmaEngine(startup_cycles=dma_startup_cycles)),
        },
        memories={
            "sram": Memory(capacity_bytes=sram_bytes),
            "dram": Memory(capacity_bytes=2**32, level="main"),
        },
        links={
            "bus": Link(
                bytes_per_second=link_bytes_per_cycle * clock_hz,
                latency_cycles=link_latency_cycles,
                shared=True,
                duplex=True,
            )
        },
        load=Route(engine="load", links=("bus",)),
        store=Route(engine="store", links=("bus",)),
        sequencer=Sequencer(queue_depth=queue_depth, launch_cycles=launch_cycles),
        policy=Policy(
            style="basecamp", tile=(rows, columns, depth_tile), depth=buffer_depth, vector_tile=vector_tile
        ),
        numerics=numerics,
        aliases=("base",),
        note="bf16 operands, fp32 accumulators; the same program runs on its RTL",
    )
