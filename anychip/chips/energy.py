"""A chip's Power from its node, memory type and thermal design power, where no maker publishes joules.

Watts are ``base + joules per byte * bytes/s + joules per multiply-add * multiply-adds/s``, never above the
limit. On GPUs three constants were fitted to 372 measured rows (whole chips left out: 7.7 % mean error);
bare arithmetic and DRAM energies taken from tables are four to seven times too low, because caches, register
files and instruction issue move with the same rates. NPUs and CPUs have no measured power at all: theirs are
judgements with ranges of a factor of two either way, good for ranking only where chips differ by more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from anychip.chips.power import Power
from anychip.chips.sources import assumed, derived, fitted
from anychip.errors import InvalidDescription, unknown_name
from anychip.facts import Fact

#: Energy per byte of memory types relative to HBM2, with ranges: device energies per bit are 3.97 pJ (HBM2)
#: and 14 pJ (GDDR5; O'Connor et al., MICRO 2017), 5.5 to 7.5 pJ (GDDR6; GDDR6X is taken alike); no saving of
#: HBM3 is published.
MEMORY_FACTOR: dict[str, tuple[float, float, float]] = {
    "HBM2": (1.0, 0.95, 1.25),
    "HBM2e": (1.0, 0.95, 1.25),
    "HBM3": (1.0, 0.7, 1.0),
    "HBM3e": (1.0, 0.6, 1.0),
    "GDDR5": (2.5, 1.5, 3.5),
    "GDDR6": (1.9, 1.4, 2.5),
    "GDDR6X": (1.9, 1.4, 2.5),
    "GDDR7": (1.6, 1.2, 2.5),
}
#: Energy of a 16-bit tensor flop by process node in nm, relative to 7 nm, with ranges.
NODE_FACTOR: dict[int, tuple[float, float, float]] = {
    16: (2.2, 1.6, 3.0),
    12: (1.6, 1.4, 1.9),
    8: (1.15, 1.0, 1.4),
    7: (1.0, 0.95, 1.1),
    6: (0.9, 0.8, 1.1),
    5: (0.7, 0.6, 1.0),
    4: (0.7, 0.6, 1.0),
    3: (0.55, 0.4, 1.0),
}
#: Energy of a multiply-add by operand format relative to bf16 with fp32 accumulation, with ranges.
FORMAT_FACTOR: dict[str, tuple[float, float, float]] = {
    "bf16": (1.0, 1.0, 1.0),
    "fp16": (1.0, 1.0, 1.1),
    "tf32": (2.0, 1.3, 2.5),
    "fp32": (3.5, 2.3, 4.0),
    "fp64": (9.0, 5.0, 16.0),
    **dict.fromkeys(("fp8_e4m3", "fp8_e4m3fn", "fp8_e5m2", "fp8_e3m4"), (0.5, 0.35, 1.0)),
    **dict.fromkeys(("fp8_e4m3fnuz", "fp8_e5m2fnuz", "mxfp8_e4m3", "mxfp8_e5m2"), (0.5, 0.35, 1.0)),
    "int8": (0.5, 0.2, 1.0),
    **dict.fromkeys(("mxfp4", "nvfp4"), (0.25, 0.15, 0.5)),
}

_GPU_FIT = "fit of measured GPU watts (ML.ENERGY: A100, H100, V100, A40; 372 rows; range over chips left out)"
_BASE_SHARE = 0.207
_BASE_SHARE_RANGE = (0.20, 0.212)
_TENSOR_FLOP_J = 1.67e-12
_TENSOR_FLOP_RANGE_J = (1.59e-12, 1.74e-12)
_SIMT_FLOP_12NM_J = 14.3e-12
_SIMT_FLOP_RANGE_12NM_J = (9.0e-12, 14.3e-12)
_HBM2_BYTE_J = 216e-12
_HBM2_BYTE_RANGE_J = (207e-12, 228e-12)


def gpu_power(
    *,
    node_nm: int,
    memory: str,
    tdp_w: Fact,
    link: str,
    cache_link: str,
    tensor_formats: Iterable[str],
    simt_formats: Iterable[str] = ("fp32",),
    server: Literal["card", "board"] = "card",
) -> Power:
    """Power of a GPU.

    Args:
        node_nm: process node as its maker names it.
        memory: type of its main memory.
        tdp_w: its limit.
        link: name of the chip's link to main memory.
        cache_link: name of its link to the shared cache.
        tensor_formats: operand formats that its tensor cores multiply.
        simt_formats: operand formats that its vector pipes multiply.
        server: ``card`` in a slot of a server, ``board`` of eight in a machine built for them.

    Raises:
        UnknownName: no factor for that memory.
        InvalidDescription: no factor for that node.
    """
    if memory not in MEMORY_FACTOR:
        raise unknown_name("memory type", memory, MEMORY_FACTOR)
    factor, factor_low, factor_high = MEMORY_FACTOR[memory]
    mac_j = {name: _tensor_mac_j(name, node_nm) for name in tensor_formats}
    simt = _simt_mac_j(node_nm)
    mac_j |= {name: _relative(simt, name, _SIMT_FACTOR[name]) for name in simt_formats}
    return Power(
        base_w=fitted(
            _BASE_SHARE * tdp_w.value,
            "W",
            f"{_GPU_FIT}: {_BASE_SHARE:g} of the thermal design power while loaded",
            low=_BASE_SHARE_RANGE[0] * tdp_w.range[0],
            high=_BASE_SHARE_RANGE[1] * tdp_w.range[1],
        ),
        limit_w=tdp_w,
        mac_j=mac_j,
        lane_operation_j=simt.scaled(1.0),
        byte_j={
            link: fitted(
                _HBM2_BYTE_J * factor,
                "J",
                f"{_GPU_FIT}: 216 pJ per byte of HBM2, times {factor:g} for {memory}",
                low=_HBM2_BYTE_RANGE_J[0] * factor_low,
                high=_HBM2_BYTE_RANGE_J[1] * factor_high,
            ),
            cache_link: _inside("the constants per flop and per byte of memory", high=20e-12),
        },
        host_w=_gpu_host_w(server),
    )


def _tensor_mac_j(name: str, node_nm: int) -> Fact:
    """Joules of a multiply-add in a tensor core: fitted for 16-bit operands, judged from there for others."""
    node, node_low, node_high = _node_factor(node_nm)
    relative, low, high = FORMAT_FACTOR[name]
    kind = fitted if name in ("bf16", "fp16") else assumed
    judged = "" if kind is fitted else f" and, judged, {relative:g} for {name}"
    return kind(
        2 * _TENSOR_FLOP_J * node * relative,
        "J",
        f"{_GPU_FIT}: 1.67 pJ per 16-bit flop at 7 nm, times {node:g} for {node_nm} nm{judged}",
        low=2 * _TENSOR_FLOP_RANGE_J[0] * node_low * low,
        high=2 * _TENSOR_FLOP_RANGE_J[1] * node_high * high,
    )


#: Energy of a multiply-add of the vector pipes relative to fp32.
_SIMT_FACTOR = {"fp32": 1.0, "bf16": 1.0, "fp16": 0.5, "int8": 0.25, "fp64": 2.0}


def _simt_mac_j(node_nm: int) -> Fact:
    scale = node_nm / 12
    return fitted(
        2 * _SIMT_FLOP_12NM_J * scale,
        "J",
        "power cap of fp32 matrix products on seven GPUs: 14.3 pJ per flop at 12 nm (T4 alone decides), "
        f"times {node_nm}/12",
        low=2 * _SIMT_FLOP_RANGE_12NM_J[0] * scale,
        high=2 * _SIMT_FLOP_RANGE_12NM_J[1] * scale,
    )


def _relative(base: Fact, name: str, factor: float) -> Fact:
    """An energy judged from that of fp32."""
    if factor == 1.0:
        return base
    low, high = base.range
    where = f"{base.source.where}; judged: {name} at {factor:g} of fp32"
    return assumed(factor * base.value, base.unit, where, low=0.5 * factor * low, high=2 * factor * high)


def _inside(what: str, *, high: float) -> Fact:
    """Joules per byte of a cache, which a constant fitted or judged elsewhere already holds."""
    return assumed(0.0, "J", f"caches are contained in {what}", low=0.0, high=high)


def _gpu_host_w(server: Literal["card", "board"]) -> Fact:
    if server == "board":
        return assumed(
            300.0,
            "W",
            "share of an eight-GPU machine: published wall power of such machines less eight thermal "
            "design powers leaves 100 to 575 W each",
            low=100.0,
            high=575.0,
        )
    return assumed(
        150.0,
        "W",
        "share of a server: MLPerf wall power of one to four cards leaves 110 to 570 W for the host",
        low=50.0,
        high=570.0,
    )


def npu_power(
    *,
    base_w: tuple[float, float, float],
    base_where: str,
    node_nm: int | None,
    memory: str,
    link: str,
    formats: Iterable[str],
    host_w: tuple[float, float, float],
    limit_w: Fact | None = None,
    flop_j: tuple[float, float, float] = (0.45e-12, 0.25e-12, 0.8e-12),
    byte_j: tuple[float, float, float] | None = None,
) -> Power:
    """Power of a chip of systolic arrays, none of which has published measurements but TPU v4.

    Args:
        base_w: (middle, low, high) watts while loaded.
        base_where: what that judgement rests on.
        node_nm: None where unpublished: 5 to 7 nm is assumed.
        memory: type of its main memory.
        link: name of the chip's link to main memory.
        formats: operand formats of its array.
        host_w: (middle, low, high) share of its server.
        limit_w: thermal design power if published.
        flop_j: (middle, low, high) joules per bf16 flop at 7 nm.
        byte_j: (middle, low, high) joules per byte of main memory; None judges them from its type.
    """
    anchor = "TPU v4's published 90/170/192 W bound systolic arrays at 7 nm to 0.25-0.8 pJ per bf16 flop"
    shrink, shrink_low, shrink_high = (1.0, 0.7, 1.0)
    if node_nm is not None and node_nm > 7:
        shrink, shrink_low, shrink_high = _node_factor(node_nm)
    elif node_nm is not None and node_nm <= 5:
        shrink, shrink_low, shrink_high = (0.78, 0.7, 0.85)
    node = "node unpublished, 5 to 7 nm assumed" if node_nm is None else f"{node_nm} nm"
    mac_j = {}
    for name in formats:
        relative, low, high = FORMAT_FACTOR[name]
        mac_j[name] = assumed(
            2 * flop_j[0] * shrink * relative,
            "J",
            f"{anchor}; here {1e12 * flop_j[0]:g} pJ, {node}, times {relative:g} for {name}",
            low=2 * flop_j[1] * shrink_low * low,
            high=2 * flop_j[2] * shrink_high * high,
        )
    if byte_j is None:
        byte_j = (200e-12, 100e-12, 350e-12) if memory.startswith("DDR") else (90e-12, 50e-12, 200e-12)
    return Power(
        base_w=assumed(base_w[0], "W", base_where, low=base_w[1], high=base_w[2]),
        limit_w=limit_w,
        mac_j=mac_j,
        lane_operation_j=assumed(
            2e-12,
            "J",
            "an fp32 lane operation with its operands' on-chip reads: between a bare adder (1 pJ at 45 nm) "
            "and a GPU's instruction (17 pJ at 7 nm)",
            low=0.7e-12,
            high=8e-12,
        ),
        byte_j={
            link: assumed(
                byte_j[0],
                "J",
                f"{memory}: TPU v4's power bounds HBM2 to 83 pJ per byte, GPUs fit 216; DDR is judged higher",
                low=byte_j[1],
                high=byte_j[2],
            )
        },
        host_w=assumed(
            host_w[0],
            "W",
            "share of its server, judged from the instance's CPUs",
            low=host_w[1],
            high=host_w[2],
        ),
    )


def cpu_power(
    *,
    base_w: tuple[float, float, float],
    flop_j: tuple[float, float, float],
    relative: dict[str, float],
    link: str,
    cache_link: str,
    where: str,
    limit_w: Fact | None = None,
) -> Power:
    """Power of a server CPU socket.

    Args:
        base_w: (middle, low, high) watts while loaded.
        flop_j: (middle, low, high) joules per fp32 vector flop, caches and issue included.
        relative: speed of each operand format relative to fp32; energy per multiply-add is its inverse.
        link: name of the chip's link to main memory.
        cache_link: name of its link to the last-level cache.
        where: what the judgement rests on.
        limit_w: thermal design power if published.
    """
    middle, low, high = flop_j
    mac_j = {
        name: assumed(
            2 * middle / speed,
            "J",
            f"{where}; {name} at {speed:g} times the rate of fp32",
            low=2 * low / speed,
            high=2 * high / speed,
        )
        for name, speed in relative.items()
    }
    return Power(
        base_w=assumed(base_w[0], "W", where, low=base_w[1], high=base_w[2]),
        limit_w=limit_w,
        mac_j=mac_j,
        lane_operation_j=assumed(
            2 * middle, "J", f"{where}; as one fp32 multiply-add", low=low, high=2 * high
        ),
        byte_j={
            link: assumed(200e-12, "J", f"{where}; DDR5 with controller", low=100e-12, high=350e-12),
            cache_link: _inside("the joules per flop", high=50e-12),
        },
        host_w=assumed(
            60.0,
            "W",
            "memory modules, board, fans and network card beside the socket, judged",
            low=25.0,
            high=150.0,
        ),
    )


def scaled_between_nodes(energy: Fact, *, from_nm: int, to_nm: int, volt: float = 0.8) -> Fact:
    """An energy moved from one process node to another by Stillmaker and Baas' polynomials.

    Args:
        energy: at `from_nm`.
        from_nm: its node.
        to_nm: wanted; the published fit ends at 7 nm.
        volt: supply on both sides.

    Raises:
        InvalidDescription: a node outside 7 to 130 nm.

    Source: Stillmaker and Baas, Integration 58 (2017).
    """
    ratio = _polynomial(to_nm, volt) / _polynomial(from_nm, volt)
    moved = energy.scaled(ratio)
    return derived(
        moved.value,
        moved.unit,
        f"{energy.source.where}; {from_nm} to {to_nm} nm after Stillmaker and Baas (2017)",
        low=moved.low,
        high=moved.high,
    )


_STILLMAKER: dict[int, tuple[float, float, float]] = {
    130: (7.171, -6.709, 2.904),
    90: (4.762, -4.781, 2.092),
    65: (3.755, -4.398, 1.975),
    45: (1.103, -0.362, 0.2767),
    32: (0.9559, -0.7823, 0.471),
    20: (0.373, -0.1582, 0.04104),
    16: (0.2958, -0.1241, 0.03024),
    14: (0.2363, -0.09675, 0.02239),
    10: (0.2068, -0.09311, 0.02375),
    7: (0.1776, -0.09097, 0.02447),
}


def _polynomial(node_nm: int, volt: float) -> float:
    if node_nm not in _STILLMAKER:
        nodes = ", ".join(str(node) for node in sorted(_STILLMAKER))
        raise InvalidDescription(f"node {node_nm} nm has no scaling coefficients; choose one of {nodes}")
    a, b, c = _STILLMAKER[node_nm]
    return a * volt**2 + b * volt + c


def _node_factor(node_nm: int) -> tuple[float, float, float]:
    factor = NODE_FACTOR.get(node_nm)
    if factor is None:
        nodes = ", ".join(str(node) for node in sorted(NODE_FACTOR))
        raise InvalidDescription(f"node {node_nm} nm has no energy factor; choose one of {nodes}")
    return factor
