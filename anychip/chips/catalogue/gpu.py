"""What all GPUs of the catalogue share: streaming multiprocessors under one L2 and one memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from anychip.arithmetic import Numerics
from anychip.blocks import DmaEngine, DotUnit, Link, Memory, VectorUnit
from anychip.chips.catalogue.parts import (
    GIBI,
    GIGA,
    KIBI,
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
from anychip.chips.energy import gpu_power
from anychip.chips.fitted import (
    ACCESS_LATENCY_S,
    AMD_ACCESS_LATENCY_S,
    AMD_LANES,
    CACHE_EFFICIENCY,
    CACHE_PORT_BYTES_PER_CYCLE,
    HALF_RATE_CORE,
    LAUNCH_S,
    MATRIX_CORE,
    OPERAND_SHARES,
    POWER_CYCLES,
    REGISTER_LOAD_BYTES_PER_CYCLE,
    SIMT,
    STREAM_EFFICIENCY,
    TENSOR_CORE,
)
from anychip.chips.kernel_table import Rocblas
from anychip.chips.policies import gpu_policy
from anychip.chips.power_limit import (
    SIMT_J_PER_FLOP,
    TENSOR_J_PER_FLOP,
    TENSOR_JOULES,
    sustained_macs,
    throttled_byte_s,
)
from anychip.chips.sources import assumed, derived, published, recalled
from anychip.facts import Fact
from anychip.operators.forms import element_bits

#: A published peak in 1e12 operations a second, or (value, low, high) where documents disagree.
Tera = float | tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Generation:
    """What one multiprocessor of a generation does in a cycle.

    Args:
        title: of the architecture.
        compute_capability: by which CUDA libraries choose formats and kernels; None: not NVIDIA's.
        process_nm: as the maker names it.
        power_nm: what joules of arithmetic go with, where that differs.
        tensor_joules: of one flop of 16-bit products, as power limits of its boards show; None: as the node
            says.
        lane_joules: of one fp32 flop outside them, likewise.
        lanes: fp32 operations.
        tensor: dense multiply-adds of the tensor or matrix cores with 16-bit operands; None without them.
        tensor_rates: speed of other operand formats there, relative to that.
        half_rate: whether that is half of what other chips of the generation do.
        simt_rates: speed of operand formats in the vector pipes, relative to fp32.
        special: special-function results.
        local_kib: shared memory and first-level cache.
        matrix_cores: fitted behaviour of the tensor cores.
        die_mm2: silicon of the usual chip.
        l1_kib: first-level cache that kernels without shared memory see.
        threads: that a multiprocessor holds.
        l2_parts: parts of the shared cache, each near to its own multiprocessors.
        cluster: multiprocessors of a thread block cluster that fetch shared operands once.
        lane_reach: what an SM reaches of its fp32 peak, relative to those that issue multiply-adds every
            other cycle; None: as much.
        batched_menu: which result tiles libraries have for batches on the vector pipes: 128 x 128 alone,
            flat ones too, or all.
        long_rows: which cost long sums have, a key of `LONG_ROWS`.
        cache_port_bytes: of one multiprocessor from the shared cache, a cycle.
        cache_bytes: that the shared cache gives to all of them, a cycle; None: what their ports take.
        largest_tiles: whether libraries have tiles of 256 x 256 results for its matrix cores.
        kernel_tables: from which libraries take kernels; None: they choose from menus.
        biased_reach: see `Policy`; None: as much as without a bias.
    """

    title: str
    compute_capability: float | None = None
    process_nm: int
    power_nm: Fact | None = None
    tensor_joules: Fact | None = None
    lane_joules: Fact | None = None
    lanes: int
    tensor: int | None
    tensor_rates: Mapping[str, float] = field(default_factory=dict)
    half_rate: bool = False
    simt_rates: Mapping[str, float] = field(default_factory=lambda: {"fp32": 1.0})
    special: int = 16
    local_kib: float = 128
    matrix_cores: Literal["nvidia", "amd"] = "nvidia"
    die_mm2: float
    l1_kib: float
    threads: int = 2048
    l2_parts: int = 1
    cluster: int = 1
    lane_reach: Fact | None = None
    batched_menu: Literal["square", "flat", "all"] = "square"
    long_rows: str | None = None
    cache_port_bytes: int = CACHE_PORT_BYTES_PER_CYCLE
    cache_bytes: Fact | None = None
    largest_tiles: bool = False
    kernel_tables: Rocblas | None = None
    biased_reach: Fact | None = None


@dataclass(frozen=True, kw_only=True)
class Board:
    """One product: a datasheet row.

    Args:
        name: in the catalogue.
        title: as people write it.
        where: the datasheet.
        year: of launch.
        units: multiprocessors, with the range where documents disagree.
        clock_mhz: boost clock, at which the vector peak is quoted.
        tensor_mhz: clock at which the tensor peak is quoted; None: the same.
        tera: published dense peaks, 1e12 operations a second, by format.
        memory: type.
        memory_gib: capacity in the maker's GB, which are GiB of DRAM.
        bandwidth_gb: 1e9 byte/s.
        l2_mib: shared cache.
        best_tera: best bf16 matrix product measured, 1e12 flop/s; None if not in the tables.
        tdp_w: limit, with the range where documents disagree.
        link_gb: to other chips, 1e9 byte/s both directions together; 0 for none.
        pcie: generation of the slot.
        pcie_lanes: of it.
        server: whether it sits in a slot or on a board of eight.
        die_mm2: silicon; None: that of the generation.
        ecc: whether errors of its memory are corrected.
        note: what a user must know.
    """

    name: str
    title: str
    where: str
    year: int
    units: int
    clock_mhz: float
    tera: Mapping[str, Tera]
    memory: str
    memory_gib: float
    bandwidth_gb: float
    l2_mib: float
    tdp_w: float
    pcie: int
    pcie_lanes: int = 16
    link_gb: float = 0.0
    tensor_mhz: float | None = None
    server: Literal["card", "board"] = "card"
    units_range: tuple[int, int] | None = None
    tdp_range_w: tuple[float, float] | None = None
    best_tera: float | None = None
    die_mm2: float | None = None
    ecc: bool = True
    note: str = ""


def build(board: Board, generation: Generation, *, vendor: str, numerics: Numerics) -> Chip:
    """The chip that a datasheet row and a generation describe."""
    facts = _facts(board, generation)
    clock = facts["clock_hz"]
    dma = _transfer_engines(board, generation, clock.value)
    tdp = facts["tdp_w"]
    tensor_formats = () if generation.tensor is None else tuple(generation.tensor_rates)
    return Chip(
        name=board.name,
        title=board.title,
        vendor=vendor,
        kind="gpu",
        clock_hz=clock.value,
        cores=board.units,
        engines=_matrix_engines(board, generation) | {"simt": Engine(block=_lanes(generation, clock))} | dma,
        memories={
            "local": Memory.of(
                capacity_bytes=published(
                    generation.local_kib * KIBI,
                    "byte",
                    f"{board.where}: shared memory and L1 of a multiprocessor",
                )
            ),
            "l1": Memory.of(
                capacity_bytes=published(
                    generation.l1_kib * KIBI,
                    "byte",
                    f"{generation.title}: first-level cache without shared memory",
                )
            ),
            "l2": Memory.of(
                capacity_bytes=published(board.l2_mib * MEBI, "byte", board.where), level="shared"
            ),
            "dram": Memory.of(capacity_bytes=facts["memory_bytes"], level="main"),
        },
        links=_links(board, generation, clock.value),
        load=Route(engine="load", links=("dram", "l2")),
        store=Route(engine="store", links=("dram", "l2")),
        sequencer=sequencer(queue_depth=8, launch_s=LAUNCH_S, clock_hz=clock.value),
        policy=gpu_policy(
            tensor_cores=generation.tensor is not None,
            maker=generation.matrix_cores,
            batched_menu=generation.batched_menu,
            long_rows=generation.long_rows or ("later" if vendor == "NVIDIA" else None),
            core_threads=generation.threads,
            cache_parts=generation.l2_parts,
            cluster=generation.cluster,
            largest_tiles=generation.largest_tiles,
            kernel_tables=generation.kernel_tables,
            biased_reach=generation.biased_reach,
            throttled_byte=throttled_byte_s(
                limit_w=board.tdp_w, die_mm2=facts["die_mm2"].value, memory=board.memory
            ),
        ),
        numerics=numerics,
        power=gpu_power(
            node_nm=generation.process_nm,
            memory=board.memory,
            tdp_w=tdp,
            link="dram",
            cache_link="l2",
            tensor_formats=tensor_formats,
            simt_formats=tuple(name for name in generation.simt_rates if name not in tensor_formats),
            server=board.server,
        ),
        facts=facts,
        aliases=aliases(board.name),
        note=board.note,
    )


def _facts(board: Board, generation: Generation) -> dict[str, Fact]:
    units = board.units_range or (None, None)
    tdp = board.tdp_range_w or (None, None)
    facts = {
        "die_mm2": published(_die_mm2(board, generation), "mm2", f"{generation.title}: die size"),
        "cores": published(board.units, "core", board.where, low=units[0], high=units[1]),
        "clock_hz": published(board.clock_mhz * MEGA, "Hz", f"{board.where}: boost"),
        "year": published(board.year, "year", board.where),
        "process_nm": published(generation.process_nm, "nm", board.where),
        "tdp_w": published(board.tdp_w, "W", board.where, low=tdp[0], high=tdp[1]),
        "memory_bytes": published(
            board.memory_gib * GIBI,
            "byte",
            f"{board.where}; the driver keeps some of it",
            low=0.93 * board.memory_gib * GIBI,
            high=board.memory_gib * GIBI,
        ),
        "host_link_bytes_per_second": pcie(board.pcie, lanes=board.pcie_lanes),
    }
    inferred = {"power_nm": generation.power_nm, "lane_reach": generation.lane_reach}
    facts |= {name: fact for name, fact in inferred.items() if fact is not None}
    facts["simt_j_per_flop"] = _lane_joules(generation)
    if generation.compute_capability is not None:
        facts["compute_capability"] = published(
            generation.compute_capability, "1", "NVIDIA, CUDA GPU Compute Capability: table of GPUs"
        )
    if board.link_gb:
        facts["chip_link_bytes_per_second"] = published(
            board.link_gb * GIGA, "byte/s", f"{board.where}: both directions together"
        )
    if board.best_tera is not None:
        facts |= best("bf16", board.best_tera)
    return facts | peaks(board.where, board.tera)


def _matrix_engines(board: Board, generation: Generation) -> dict[str, Engine]:
    clock = published(board.clock_mhz * MEGA, "Hz", f"{board.where}: boost")
    engines: dict[str, Engine] = {}
    if generation.tensor is not None:
        clock_mhz = board.tensor_mhz or board.clock_mhz
        joules = generation.tensor_joules or TENSOR_J_PER_FLOP.scaled(_power_nm(generation) / 12)
        engines["tensor"] = Engine(
            block=DotUnit.of(
                clock_hz=clock
                if board.tensor_mhz is None
                else derived(
                    clock_mhz * MEGA,
                    "Hz",
                    f"{board.where}: clock at which the published tensor peak is reached",
                ),
                native=derived(
                    generation.tensor,
                    "mac/cycle",
                    f"{board.where}: peak over multiprocessors and clock ({generation.title})",
                ),
                rates={
                    name: _rate(name, rate, f"{board.where}: peaks relative to 16-bit operands")
                    for name, rate in generation.tensor_rates.items()
                },
                operand_weights=_operand_weights(generation.tensor_rates),
                sustained={
                    name: _sustained(board, generation, clock_mhz * MEGA, joules.scaled(relative.value))
                    for name, relative in TENSOR_JOULES.items()
                    if name in generation.tensor_rates
                },
                **_core(generation),
            )
        )
    lanes = AMD_LANES if generation.matrix_cores == "amd" else SIMT
    reached = lanes["efficiency"].scaled(generation.lane_reach.value if generation.lane_reach else 1.0)
    engines["fma"] = Engine(
        block=DotUnit.of(
            clock_hz=clock,
            native=published(
                generation.lanes, "mac/cycle", f"{generation.title}: fp32 lanes of a multiprocessor"
            ),
            rates={
                name: _rate(name, rate, f"{generation.title}: operations a cycle relative to fp32")
                for name, rate in generation.simt_rates.items()
            },
            sustained={"fp32": _sustained(board, generation, clock.value, _lane_joules(generation))},
            **lanes | {"efficiency": reached},
        )
    )
    return engines


def _power_nm(generation: Generation) -> float:
    return generation.power_nm.value if generation.power_nm else generation.process_nm


def _lane_joules(generation: Generation) -> Fact:
    """Of one executed fp32 flop outside tensor cores."""
    return generation.lane_joules or SIMT_J_PER_FLOP.scaled(_power_nm(generation) / 12)


def _core(generation: Generation) -> dict[str, Fact]:
    """Fitted parameters of the tensor cores."""
    if generation.matrix_cores == "amd":
        return MATRIX_CORE
    return TENSOR_CORE | HALF_RATE_CORE if generation.half_rate else TENSOR_CORE


def _operand_weights(rates: Mapping[str, float]) -> dict[str, Fact]:
    """Local memory gives bytes: others weigh as many times more than 16-bit operands as they are wider, and
    as they are multiplied faster."""
    weights = {name: rate * element_bits(name) / 16 for name, rate in rates.items()}
    where = "bytes of operands for a multiply-add, and its rate, beside those in 16 bits"
    return {name: derived(weight, "1", where) for name, weight in weights.items() if weight != 1}


def _sustained(board: Board, generation: Generation, clock_hz: float, joules: Fact) -> Fact:
    return sustained_macs(
        limit_w=board.tdp_w,
        die_mm2=_die_mm2(board, generation),
        cores=board.units,
        clock_hz=clock_hz,
        joules=joules,
    )


def _die_mm2(board: Board, generation: Generation) -> float:
    return board.die_mm2 or generation.die_mm2


def _rate(name: str, rate: float, where: str) -> Fact:
    """A relative rate; those of fp64 are not in the tables that were read."""
    return recalled(rate, "1", where) if name == "fp64" else derived(rate, "1", where)


def _lanes(generation: Generation, clock: Fact) -> VectorUnit:
    special = generation.lanes / generation.special
    return VectorUnit.of(
        clock_hz=clock,
        lanes=published(generation.lanes, "lane", f"{generation.title}: fp32 lanes of a multiprocessor"),
        latency_cycles=assumed(
            24, "cycle", "dependent issue of one operation and the write to local memory", low=4, high=60
        ),
        cost=curve_costs(
            simple=assumed(
                special,
                "cycle",
                f"{generation.special} special-function results a cycle",
                low=1,
                high=4 * special,
            ),
            other=assumed(special + 8, "cycle", "special functions and a polynomial, judged", low=4, high=40),
            division=assumed(special + 6, "cycle", "a reciprocal and its correction, judged", low=4, high=30),
            power=POWER_CYCLES[generation.matrix_cores],
        ),
    )


def _transfer_engines(board: Board, generation: Generation, clock_hz: float) -> dict[str, Engine]:
    """Loads and stores of row-wise kernels wait for memory; operands of tiles are fetched ahead."""
    seconds = AMD_ACCESS_LATENCY_S if board.name.startswith("mi") else ACCESS_LATENCY_S
    latency = seconds.scaled(clock_hz, "cycle")
    latency = Fact(round(latency.value), "cycle", latency.source, *map(round, latency.range))
    if generation.matrix_cores == "nvidia":
        tensor = OPERAND_SHARES["tensor"]
    else:
        tensor = OPERAND_SHARES["amd" if generation.cache_bytes else "amd chiplets"]
    none = assumed(0, "cycle", "contained in the tile's start and drain")
    return {
        "load": Engine(
            block=DmaEngine.of(
                startup_cycles=latency,
                bytes_per_second=REGISTER_LOAD_BYTES_PER_CYCLE[generation.matrix_cores].scaled(
                    clock_hz, "byte/s"
                ),
            )
        ),
        "store": Engine(block=DmaEngine.of(startup_cycles=none)),
        "stage fma": Engine(block=DmaEngine.of(startup_cycles=none, link_shares=OPERAND_SHARES["fma"])),
        "stage tensor": Engine(block=DmaEngine.of(startup_cycles=none, link_shares=tensor)),
    }


def _links(board: Board, generation: Generation, clock_hz: float) -> dict[str, Link]:
    kind = "gddr" if board.memory.startswith("GDDR") else "hbm"
    if board.name.startswith("mi"):
        kind = "amd-hbm"
    elif kind == "hbm" and board.year < 2017:
        kind = "gddr"
    elif kind == "gddr" and not board.ecc:
        kind = "gddr without ecc"
    ports = board.units * generation.cache_port_bytes
    said = f"{generation.cache_port_bytes} bytes a cycle and multiprocessor, at boost clock"
    cycle = generation.cache_bytes or derived(ports, "byte/cycle", said, low=0.5 * ports, high=ports)
    return {
        "dram": Link.of(
            bytes_per_second=published(board.bandwidth_gb * GIGA, "byte/s", board.where),
            efficiency=STREAM_EFFICIENCY[kind],
            shared=True,
        ),
        "l2": Link.of(
            bytes_per_second=cycle.scaled(clock_hz, "byte/s"),
            efficiency=CACHE_EFFICIENCY,
            shared=True,
        ),
    }
