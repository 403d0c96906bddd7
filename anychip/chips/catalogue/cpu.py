"""Server CPUs: Graviton, Xeon with AMX, EPYC. A chip is one socket.

Sources: AWS's Graviton technical guide, Intel ARK and AMD's product page, as collected in a table of chips on
2026-11-22. Vendors state no peak rates of arithmetic: these follow from cores, clock and vector width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from anychip.arithmetic import cpu as cpu_numerics
from anychip.blocks import DmaEngine, DotUnit, Link, Memory, VectorUnit
from anychip.chips.catalogue.cpu_software import cpu_policy, lane_costs
from anychip.chips.catalogue.parts import GIBI, GIGA, MEBI, aliases, sequencer
from anychip.chips.chip import Chip, Engine, Route
from anychip.chips.energy import cpu_power
from anychip.chips.power import Power
from anychip.chips.sources import assumed, derived, published, recalled
from anychip.facts import Fact


def _socket(
    name: str,
    title: str,
    vendor: str,
    *,
    where: str,
    year: int,
    process_nm: int,
    cores: int,
    clock_hz: Fact,
    lanes: int,
    rates: Mapping[str, float],
    matrix_where: str,
    private_bytes: float,
    last_level_bytes: float,
    memory_bytes: Fact,
    bandwidth: Fact,
    power: Power,
    tdp_w: Fact | None,
    note: str,
    converted: frozenset[str] = frozenset(),
) -> Chip:
    """One socket: cores of `lanes` fp32 multiply-adds a cycle over private caches, a shared one and DRAM.

    Formats that are `converted` to fp32 before they are multiplied run at its rate and have no peak.
    """
    facts = {
        "cores": published(cores, "core", where),
        "clock_hz": clock_hz,
        "year": published(year, "year", where),
        "process_nm": published(process_nm, "nm", where),
        "memory_bytes": memory_bytes,
    }
    facts |= {
        f"peak.{fmt}": derived(
            2 * cores * lanes * rate * clock_hz.value,
            "op/s" if fmt == "int8" else "flop/s",
            f"{where}: cores x clock x vector width; no peak is published",
            low=2 * cores * lanes * rate * clock_hz.range[0],
            high=2 * cores * lanes * rate * clock_hz.range[1],
        )
        for fmt, rate in rates.items()
        if fmt not in converted
    }
    if tdp_w is not None:
        facts["tdp_w"] = tdp_w
    fma = DotUnit.of(
        clock_hz=clock_hz,
        native=published(lanes, "mac/cycle", f"{where}: {matrix_where}"),
        rates={fmt: derived(rate, "1", f"{where}: {matrix_where}") for fmt, rate in rates.items()},
        latency_cycles=assumed(4, "cycle", "latency of a fused multiply-add", low=3, high=6),
        efficiency=assumed(0.8, "1", "share of peak that vendor libraries reach, judged", low=0.5, high=0.95),
    )
    unit = VectorUnit.of(
        clock_hz=clock_hz,
        lanes=published(lanes, "lane", f"{where}: {matrix_where}"),
        latency_cycles=assumed(8, "cycle", "one operation and the store of its result", low=4, high=20),
        cost=lane_costs(),
    )
    latency = assumed(
        round(90e-9 * clock_hz.value),
        "cycle",
        "about 90 ns to DRAM, mostly hidden by prefetch",
        low=0,
        high=round(140e-9 * clock_hz.value),
    )
    none = assumed(0, "cycle", "stores are not waited for")
    ahead = assumed(0, "cycle", "fetched ahead")
    return Chip(
        name=name,
        title=title,
        vendor=vendor,
        kind="cpu",
        clock_hz=clock_hz.value,
        cores=cores,
        engines={
            "fma": Engine(block=fma),
            "simd": Engine(block=unit),
            "load": Engine(block=DmaEngine.of(startup_cycles=latency)),
            "store": Engine(block=DmaEngine.of(startup_cycles=none)),
            "stage": Engine(block=DmaEngine.of(startup_cycles=ahead)),
        },
        memories={
            "l2": Memory.of(capacity_bytes=published(private_bytes, "byte", f"{where}: private cache")),
            "l3": Memory.of(
                capacity_bytes=published(last_level_bytes, "byte", f"{where}: last-level cache"),
                level="shared",
            ),
            "dram": Memory.of(capacity_bytes=memory_bytes, level="main"),
        },
        links={
            "dram": Link.of(
                bytes_per_second=bandwidth,
                efficiency=assumed(
                    0.8, "1", "share of DRAM bandwidth that streams reach, judged", low=0.6, high=0.9
                ),
                shared=True,
            ),
            "l3": Link.of(
                bytes_per_second=assumed(
                    cores * clock_hz.value * 32,
                    "byte/s",
                    "32 bytes a cycle and core from the mesh, judged",
                    low=cores * clock_hz.value * 8,
                    high=cores * clock_hz.value * 64,
                ),
                efficiency=assumed(0.6, "1", "share of that under load, judged", low=0.3, high=0.9),
                shared=True,
            ),
        },
        load=Route(engine="load", links=("dram", "l3")),
        store=Route(engine="store", links=("dram", "l3")),
        sequencer=sequencer(queue_depth=32),
        policy=cpu_policy(cores),
        numerics=cpu_numerics(name),
        power=power,
        facts=facts,
        aliases=aliases(name),
        note=note,
    )


_ARM_RATES = {"fp32": 1.0, "fp16": 2.0, "fp64": 0.5}
_GRAVITON_POWER = "socket power unpublished; two unofficial values near 100 W for Graviton2 and 3"


def _graviton_power(base_w: tuple[float, float, float], rates: Mapping[str, float]) -> Power:
    return cpu_power(
        base_w=base_w,
        flop_j=(13e-12, 6e-12, 20e-12),
        relative=dict(rates),
        link="dram",
        cache_link="l3",
        where=_GRAVITON_POWER,
    )


def _instance_memory(largest: str, gib: float, low: float, high: float, sockets: int = 1) -> Fact:
    return published(
        gib / sockets * GIBI,
        "byte",
        f"memory of {largest}, for {sockets} socket(s); other families differ",
        low=low / sockets * GIBI,
        high=high / sockets * GIBI,
    )


def graviton2() -> Chip:
    """AWS Graviton2: 64 Neoverse N1."""
    rates = _ARM_RATES | {"bf16": 1.0, "int8": 4.0}
    where = "AWS Graviton technical guide (aws-graviton-getting-started)"
    return _socket(
        "graviton2",
        "AWS Graviton2",
        "AWS",
        where=where,
        year=2019,
        process_nm=7,
        cores=64,
        clock_hz=published(2.5 * GIGA, "Hz", where),
        lanes=8,
        rates=rates,
        matrix_where="two 128-bit units; bf16 computes as fp32, int8 by SDOT",
        private_bytes=1 * MEBI,
        last_level_bytes=32 * MEBI,
        memory_bytes=_instance_memory("m6g.16xlarge", 256, 128, 512),
        bandwidth=published(204.8 * GIGA, "byte/s", f"{where}: eight channels of DDR4-3200"),
        power=_graviton_power((40.0, 30.0, 50.0), rates),
        tdp_w=None,
        note="thermal design power unpublished: energy is an estimate",
        converted=frozenset({"bf16"}),
    )


def graviton3() -> Chip:
    """AWS Graviton3: 64 Neoverse V1."""
    rates = _ARM_RATES | {"bf16": 4.0, "int8": 4.0}
    where = "AWS Graviton technical guide (aws-graviton-getting-started)"
    return _socket(
        "graviton3",
        "AWS Graviton3",
        "AWS",
        where=where,
        year=2022,
        process_nm=5,
        cores=64,
        clock_hz=published(2.6 * GIGA, "Hz", where),
        lanes=16,
        rates=rates,
        matrix_where="two 256-bit SVE units; bf16 and int8 by matrix instructions",
        private_bytes=1 * MEBI,
        last_level_bytes=32 * MEBI,
        memory_bytes=_instance_memory("m7g.16xlarge", 256, 128, 512),
        bandwidth=published(307.2 * GIGA, "byte/s", f"{where}: eight channels of DDR5-4800"),
        power=_graviton_power((40.0, 30.0, 50.0), rates),
        tdp_w=None,
        note="thermal design power unpublished: energy is an estimate",
    )


def graviton4() -> Chip:
    """AWS Graviton4: 96 Neoverse V2."""
    rates = _ARM_RATES | {"bf16": 4.0, "int8": 4.0}
    where = "AWS Graviton technical guide (aws-graviton-getting-started)"
    return _socket(
        "graviton4",
        "AWS Graviton4",
        "AWS",
        where=where,
        year=2024,
        process_nm=4,
        cores=96,
        clock_hz=published(2.8 * GIGA, "Hz", where),
        lanes=16,
        rates=rates,
        matrix_where="four 128-bit SVE2 units; bf16 and int8 by matrix instructions",
        private_bytes=2 * MEBI,
        last_level_bytes=36 * MEBI,
        memory_bytes=_instance_memory("m8g.24xlarge", 384, 192, 768),
        bandwidth=published(537.6 * GIGA, "byte/s", f"{where}: twelve channels of DDR5-5600"),
        power=_graviton_power((70.0, 50.0, 90.0), rates),
        tdp_w=None,
        note="thermal design power unpublished: energy is an estimate",
    )


def graviton5() -> Chip:
    """AWS Graviton5: 192 Neoverse V3."""
    rates = _ARM_RATES | {"bf16": 4.0, "int8": 4.0}
    where = "AWS Graviton technical guide (aws-graviton-getting-started)"
    return _socket(
        "graviton5",
        "AWS Graviton5",
        "AWS",
        where=where,
        year=2025,
        process_nm=3,
        cores=192,
        clock_hz=published(3.3 * GIGA, "Hz", where),
        lanes=16,
        rates=rates,
        matrix_where="four 128-bit SVE2 units; bf16 and int8 by matrix instructions",
        private_bytes=2 * MEBI,
        last_level_bytes=96 * MEBI,
        memory_bytes=_instance_memory("c9g.48xlarge", 384, 384, 1536),
        bandwidth=assumed(
            690 * GIGA,
            "byte/s",
            "twelve channels of DDR5 at an unpublished speed between 5600 and 8800",
            low=537.6 * GIGA,
            high=844.8 * GIGA,
        ),
        power=_graviton_power((120.0, 80.0, 180.0), rates),
        tdp_w=None,
        note="memory speed and thermal design power unpublished: streams and energy are estimates",
    )


def _xeon(
    name: str,
    title: str,
    *,
    model: str,
    year: int,
    process_nm: int,
    cores: int,
    clock_ghz: tuple[float, float],
    last_level_mib: float,
    memory_bytes: Fact,
    bandwidth: Fact,
    tdp_w: float,
    base_w: tuple[float, float, float],
    note: str,
) -> Chip:
    """A Xeon with AMX: two 512-bit units and a tile unit a core.

    Args:
        clock_ghz: base, and turbo with all cores.
    """
    rates = {"fp32": 1.0, "fp64": 0.5, "bf16": 32.0, "fp16": 2.0, "int8": 64.0}
    where = f"Intel ARK, {model}"
    tdp = published(tdp_w, "W", where)
    base, turbo = clock_ghz
    return _socket(
        name,
        title,
        "Intel",
        where=where,
        year=year,
        process_nm=process_nm,
        cores=cores,
        clock_hz=published(
            base * GIGA,
            "Hz",
            f"{where}: {base} GHz base, {turbo} GHz with all cores at turbo; lower under AMX",
            low=base * GIGA,
            high=turbo * GIGA,
        ),
        lanes=32,
        rates=rates,
        matrix_where="two 512-bit units; AMX tiles make 1024 bf16 and 2048 int8 multiply-adds a cycle",
        private_bytes=2 * MEBI,
        last_level_bytes=last_level_mib * MEBI,
        memory_bytes=memory_bytes,
        bandwidth=bandwidth,
        power=cpu_power(
            base_w=base_w,
            flop_j=(20e-12, 8e-12, 30e-12),
            relative={name: rate if rate <= 2 else rate / 3 for name, rate in rates.items()},
            link="dram",
            cache_link="l3",
            where=f"{tdp_w:g} W at full vector load, a third of it idle, judged",
            limit_w=tdp,
        ),
        tdp_w=tdp,
        note=note,
    )


def sapphire_rapids() -> Chip:
    """Intel Xeon Platinum 8480+: 56 cores with AMX."""
    model = "Xeon Platinum 8480+"
    return _xeon(
        "sapphire-rapids",
        "Intel Xeon 8480+ (Sapphire Rapids)",
        model=model,
        year=2023,
        process_nm=7,
        cores=56,
        clock_ghz=(2.0, 3.0),
        last_level_mib=105,
        memory_bytes=_instance_memory("m7i.48xlarge", 768, 384, 1536, sockets=2),
        bandwidth=published(307.2 * GIGA, "byte/s", f"Intel ARK, {model}: eight channels of DDR5-4800"),
        tdp_w=350,
        base_w=(100.0, 70.0, 150.0),
        note="rented by the vCPU (half a core); AWS's part has 48 cores a socket",
    )


def emerald_rapids() -> Chip:
    """Intel Xeon Platinum 8592+: 64 cores with AMX."""
    model = "Xeon Platinum 8592+"
    return _xeon(
        "emerald-rapids",
        "Intel Xeon 8592+ (Emerald Rapids)",
        model=model,
        year=2023,
        process_nm=7,
        cores=64,
        clock_ghz=(1.9, 2.9),
        last_level_mib=320,
        memory_bytes=assumed(
            512 * GIBI, "byte", "eight channels of one 64 GiB module", low=128 * GIBI, high=2048 * GIBI
        ),
        bandwidth=published(358.4 * GIGA, "byte/s", f"Intel ARK, {model}: eight channels of DDR5-5600"),
        tdp_w=350,
        base_w=(100.0, 70.0, 150.0),
        note="not among the instances of the price snapshot",
    )


def granite_rapids() -> Chip:
    """Intel Xeon 6980P: 128 cores with AMX."""
    model = "Xeon 6980P"
    return _xeon(
        "granite-rapids",
        "Intel Xeon 6980P (Granite Rapids)",
        model=model,
        year=2024,
        process_nm=3,
        cores=128,
        clock_ghz=(2.0, 3.2),
        last_level_mib=504,
        memory_bytes=_instance_memory("c8i.96xlarge", 768, 768, 3072, sockets=2),
        bandwidth=published(
            614.4 * GIGA,
            "byte/s",
            f"Intel ARK, {model}: twelve channels of DDR5-6400, or of MRDIMM-8800",
            low=614.4 * GIGA,
            high=844.8 * GIGA,
        ),
        tdp_w=500,
        base_w=(150.0, 100.0, 220.0),
        note="rented by the vCPU (half a core); AWS's part has 96 cores a socket",
    )


def _epyc(
    name: str,
    title: str,
    *,
    where: str,
    year: int,
    process_nm: int,
    cores: int,
    clock_ghz: tuple[float, float],
    lanes: int,
    rates: Mapping[str, float],
    matrix_where: str,
    last_level_mib: float,
    largest: str,
    bandwidth: Fact,
    tdp_w: Fact,
) -> Chip:
    """An EPYC.

    Args:
        clock_ghz: base, and the highest that is stated.
        largest: instance whose memory two sockets share.
    """
    base, boost = clock_ghz
    return _socket(
        name,
        title,
        "AMD",
        where=where,
        year=year,
        process_nm=process_nm,
        cores=cores,
        clock_hz=published(
            base * GIGA,
            "Hz",
            f"{where}: {base} GHz base, boost to {boost} GHz",
            low=base * GIGA,
            high=boost * GIGA,
        ),
        lanes=lanes,
        rates=rates,
        matrix_where=matrix_where,
        private_bytes=1 * MEBI,
        last_level_bytes=last_level_mib * MEBI,
        memory_bytes=_instance_memory(largest, 768, 384, 1536, sockets=2),
        bandwidth=bandwidth,
        power=cpu_power(
            base_w=(110.0, 80.0, 160.0),
            flop_j=(18e-12, 8e-12, 30e-12),
            relative=dict(rates),
            link="dram",
            cache_link="l3",
            where=f"{tdp_w.value:g} W at full vector load, a third of it idle, judged",
            limit_w=tdp_w,
        ),
        tdp_w=tdp_w,
        note="rented by the vCPU (a core on AWS, half a core elsewhere)",
        converted=frozenset({"fp16"}),
    )


def genoa() -> Chip:
    """AMD EPYC 9654: 96 Zen 4 cores."""
    where = "AMD product page, EPYC 9654"
    return _epyc(
        "genoa",
        "AMD EPYC 9654 (Genoa)",
        where=where,
        year=2022,
        process_nm=5,
        cores=96,
        clock_ghz=(2.4, 3.55),
        lanes=16,
        rates={"fp32": 1.0, "fp64": 0.5, "bf16": 2.0, "fp16": 1.0, "int8": 4.0},
        matrix_where="two 256-bit units; AVX-512 bf16 and int8 dot products over them",
        last_level_mib=384,
        largest="m7a.48xlarge",
        bandwidth=published(460.8 * GIGA, "byte/s", f"{where}: twelve channels of DDR5-4800"),
        tdp_w=published(360.0, "W", where),
    )


def turin() -> Chip:
    """AMD EPYC 9755: 128 Zen 5 cores."""
    return _epyc(
        "turin",
        "AMD EPYC 9755 (Turin)",
        where="tomshardware.com on the EPYC 9755; chipsandcheese.com on the EPYC 9355P",
        year=2024,
        process_nm=4,
        cores=128,
        clock_ghz=(2.7, 4.1),
        lanes=32,
        rates={"fp32": 1.0, "fp64": 0.5, "bf16": 2.0, "fp16": 1.0, "int8": 4.0},
        matrix_where="two 512-bit units; AVX-512 bf16 and int8 dot products over them",
        last_level_mib=512,
        largest="m8a.48xlarge",
        bandwidth=assumed(
            576 * GIGA,
            "byte/s",
            "twelve channels of DDR5-6000; chipsandcheese.com measured a server with DDR5-5200",
            low=499.2 * GIGA,
            high=614.4 * GIGA,
        ),
        tdp_w=recalled(500.0, "W", "AMD product page, EPYC 9755"),
    )


CHIPS: dict[str, Callable[[], Chip]] = {
    "graviton2": graviton2,
    "graviton3": graviton3,
    "graviton4": graviton4,
    "graviton5": graviton5,
    "sapphire-rapids": sapphire_rapids,
    "emerald-rapids": emerald_rapids,
    "granite-rapids": granite_rapids,
    "genoa": genoa,
    "turin": turin,
}
