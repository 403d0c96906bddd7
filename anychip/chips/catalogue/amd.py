"""AMD Instinct GPUs.

Sources: AMD's product pages, as collected in a table of chips on 2026-11-22. A compute unit is the
multiprocessor; matrix cores multiply fp32 as well as narrower formats.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

from anychip.arithmetic import Contraction
from anychip.arithmetic import gpu as gpu_numerics
from anychip.chips.catalogue.gpu import Board, Generation, build
from anychip.chips.chip import Chip
from anychip.chips.kernel_table import Rocblas
from anychip.chips.sources import published, recalled
from anychip.formats import fp8_e4m3fnuz, fp8_e5m2fnuz

_SIMT = {"fp32": 1.0, "fp64": 0.5}

CDNA1 = Generation(
    title="CDNA whitepaper",
    process_nm=7,
    lanes=64,
    tensor=512,
    tensor_rates={"fp16": 1.0, "bf16": 0.5, "int8": 1.0, "fp32": 0.25},
    simt_rates=_SIMT,
    local_kib=64,
    matrix_cores="amd",
    l1_kib=16,
    threads=2560,
    die_mm2=750,
    kernel_tables=Rocblas("gfx908"),
    cache_bytes=published(2048, "byte/cycle", "Wikipedia, CDNA: its L2 cache puts out 2 KB per clock"),
)
CDNA2 = Generation(
    title="CDNA 2 whitepaper",
    process_nm=6,
    lanes=64,
    tensor=512,
    tensor_rates={"fp16": 1.0, "bf16": 1.0, "int8": 1.0, "fp32": 0.25, "fp64": 0.25},
    simt_rates=_SIMT | {"fp64": 1.0},
    local_kib=64,
    matrix_cores="amd",
    l1_kib=16,
    die_mm2=724,
    kernel_tables=Rocblas("gfx90a"),
    cache_bytes=recalled(
        4096,
        "byte/cycle",
        "CDNA 2 whitepaper: twice CDNA's, 128 bytes in each of 32 channels (ROCm Compute Profiler: 32)",
        low=2048,
        high=4096,
    ),
)
CDNA3 = Generation(
    title="CDNA 3 whitepaper",
    process_nm=5,
    lanes=128,
    tensor=1024,
    tensor_rates={
        "fp16": 1.0, "bf16": 1.0, "tf32": 0.5, "int8": 2.0, "fp8_e4m3fnuz": 2.0, "fp8_e5m2fnuz": 2.0,
        "fp32": 0.125, "fp64": 0.125,
    },
    simt_rates=_SIMT,
    local_kib=64,
    matrix_cores="amd",
    l1_kib=32,
    die_mm2=920,
    largest_tiles=True,
)  # fmt: skip
CDNA4 = Generation(
    title="CDNA 4, as listed in stas00/ml-engineering",
    process_nm=3,
    lanes=128,
    tensor=2048,
    tensor_rates={
        "fp16": 1.0, "bf16": 1.0, "int8": 2.0, "fp8_e4m3fn": 2.0, "fp8_e5m2": 2.0, "mxfp8_e4m3": 2.0,
        "mxfp4": 4.0, "fp32": 0.0625, "fp64": 0.03125,
    },
    simt_rates=_SIMT,
    local_kib=160,
    matrix_cores="amd",
    l1_kib=32,
    die_mm2=880,
    # Taken as doubled with the matrix cores, as the read rate of local memory was; chosen, as the tiles of
    # CDNA 3 and later were, with the best products of MI300X and MI355X in view.
    cache_port_bytes=128,
    largest_tiles=True,
)  # fmt: skip

_BOARDS: tuple[tuple[Board, Generation], ...] = (
    (Board(name="mi100", title="AMD Instinct MI100", where="AMD Instinct MI100 product page", year=2020,
           units=120, clock_mhz=1502, tera={"fp16": 184.6, "bf16": 92.3, "int8": 184.6, "fp32": 46.1},
           memory="HBM2", memory_gib=32, bandwidth_gb=1229, l2_mib=8, tdp_w=300, pcie=4), CDNA1),
    (Board(name="mi210", title="AMD Instinct MI210", where="AMD Instinct MI210 product page", year=2021,
           units=104, clock_mhz=1700, tera={"fp16": 181, "bf16": 181, "int8": 181, "fp32": 45.3},
           memory="HBM2e", memory_gib=64, bandwidth_gb=1638, l2_mib=8, tdp_w=300, pcie=4), CDNA2),
    (Board(name="mi250", title="AMD Instinct MI250 (one of its two dies)",
           where="AMD Instinct MI250 product page, halved", year=2021, units=104, clock_mhz=1700,
           tera={"fp16": 181, "bf16": 181, "int8": 181, "fp32": 45.3}, memory="HBM2e", memory_gib=64,
           bandwidth_gb=1638.5, l2_mib=8, tdp_w=280, pcie=4, server="board",
           note="software sees each of the module's two dies as a device of its own; this is one die"),
           CDNA2),
    (Board(name="mi250x", title="AMD Instinct MI250X (one of its two dies)",
           where="AMD Instinct MI250X product page, halved", year=2021, units=110, clock_mhz=1700,
           tera={"fp16": 191.5, "bf16": 191.5, "int8": 191.5, "fp32": 47.85}, memory="HBM2e", memory_gib=64,
           bandwidth_gb=1638.5, l2_mib=8, tdp_w=280, pcie=4, server="board",
           note="software sees each of the module's two dies as a device of its own; this is one die"),
           CDNA2),
    (Board(name="mi300x", title="AMD Instinct MI300X", where="AMD Instinct MI300X product page", year=2023,
           units=304, clock_mhz=2100,
           tera={"fp16": 1307, "bf16": 1307, "tf32": 653.7, "int8": 2615, "fp8_e4m3fnuz": 2615,
                 "fp8_e5m2fnuz": 2615, "fp32": 163.4},
           memory="HBM3", memory_gib=192, bandwidth_gb=5300, l2_mib=256, tdp_w=750, pcie=5, link_gb=896,
           best_tera=668.4, server="board",
           note="shared cache: the 256 MB Infinity Cache; best matmul measured: 51 % of peak"),
     CDNA3),
    (Board(name="mi325x", title="AMD Instinct MI325X", where="AMD Instinct MI325X product page", year=2024,
           units=304, clock_mhz=2100,
           tera={"fp16": 1307, "bf16": 1307, "tf32": 653.7, "int8": 2615, "fp8_e4m3fnuz": 2615,
                 "fp8_e5m2fnuz": 2615, "fp32": 163.4},
           memory="HBM3e", memory_gib=256, bandwidth_gb=6000, l2_mib=256, tdp_w=1000, pcie=5, link_gb=896,
           best_tera=784.9, server="board", note="shared cache: the 256 MB Infinity Cache"), CDNA3),
    (Board(name="mi350x", title="AMD Instinct MI350X", where="AMD Instinct MI350X product page", year=2025,
           units=256, clock_mhz=2200,
           tera={"fp16": 2300, "bf16": 2300, "int8": 4600, "fp8_e4m3fn": 4600, "fp8_e5m2": 4600,
                 "mxfp8_e4m3": 4600, "mxfp4": 9200, "fp32": 144.2},
           memory="HBM3e", memory_gib=288, bandwidth_gb=8000, l2_mib=256, tdp_w=1000, pcie=5, link_gb=1075,
           server="board", note="shared cache: the 256 MB Infinity Cache"), CDNA4),
    (Board(name="mi355x", title="AMD Instinct MI355X", where="stas00/ml-engineering, accelerators", year=2025,
           units=256, clock_mhz=2400,
           tera={"fp16": 2500, "bf16": 2500, "int8": 5000, "fp8_e4m3fn": 5000, "fp8_e5m2": 5000,
                 "mxfp8_e4m3": 5000, "mxfp4": 10100, "fp32": 157.3},
           memory="HBM3e", memory_gib=288, bandwidth_gb=8000, l2_mib=256, tdp_w=1400, pcie=5, link_gb=1075,
           best_tera=1565.0, server="board", note="shared cache: the 256 MB Infinity Cache"), CDNA4),
)  # fmt: skip


def _chip(board: Board, generation: Generation) -> Chip:
    numerics = gpu_numerics("amd-gpu")
    if "fp8_e4m3fnuz" in generation.tensor_rates:
        rules = (*numerics.contractions, Contraction(fp8_e4m3fnuz), Contraction(fp8_e5m2fnuz))
        numerics = dataclasses.replace(numerics, contractions=rules)
    elif "fp8_e4m3fn" in generation.tensor_rates:
        numerics = gpu_numerics("amd-gpu-fp8", fp8=True)
    return build(board, generation, vendor="AMD", numerics=numerics)


CHIPS: dict[str, Callable[[], Chip]] = {
    board.name: functools.partial(_chip, board, generation) for board, generation in _BOARDS
}
