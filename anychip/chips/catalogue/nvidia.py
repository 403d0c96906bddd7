"""NVIDIA GPUs: generations, and a datasheet row a product.

Sources: NVIDIA's public datasheets and architecture whitepapers, as collected in a table of chips on
2026-11-22 and cross-checked there against the device configurations of two public projects. Peaks are dense.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

from anychip.arithmetic import gpu as gpu_numerics
from anychip.chips.catalogue.gpu import Board, Generation, Tera, build
from anychip.chips.chip import Chip
from anychip.chips.fitted import GP100_BIAS, PAIRED_LANES, PASCAL_LANES, SINGLE_ISSUE_LANES
from anychip.chips.power_limit import NM_OF_NVIDIA_4N, NM_OF_TSMC_16, SIMT_J_OF, TENSOR_J_OF

_OLD_SIMT = {"fp32": 1.0, "bf16": 1.0}
_TENSOR = {"fp16": 1.0, "bf16": 1.0, "tf32": 0.5, "int8": 2.0}
_FP8 = {"fp8_e4m3fn": 2.0, "fp8_e5m2": 2.0}

PASCAL_HPC = Generation(
    title="Pascal GP100 whitepaper",
    compute_capability=6.0,
    process_nm=16,
    power_nm=NM_OF_TSMC_16,
    lanes=64,
    tensor=None,
    simt_rates=_OLD_SIMT | {"fp16": 2.0, "fp64": 0.5},
    local_kib=64,
    l1_kib=24,
    die_mm2=610,
    batched_menu="flat",
    lane_reach=PASCAL_LANES,
    long_rows="pascal",
    biased_reach=GP100_BIAS,
)
PASCAL = Generation(
    title="Pascal GP104 whitepaper",
    compute_capability=6.1,
    process_nm=16,
    power_nm=NM_OF_TSMC_16,
    lane_joules=SIMT_J_OF["gp104"],
    lanes=128,
    special=32,
    tensor=None,
    simt_rates=_OLD_SIMT | {"fp16": 1.0, "int8": 4.0, "fp64": 1 / 32},
    local_kib=96,
    l1_kib=48,
    die_mm2=314,
    batched_menu="flat",
    lane_reach=PASCAL_LANES,
    long_rows="pascal",
)
VOLTA = Generation(
    title="Volta GV100 whitepaper",
    compute_capability=7.0,
    process_nm=12,
    tensor_joules=TENSOR_J_OF["volta"],
    lanes=64,
    tensor=512,
    tensor_rates={"fp16": 1.0},
    simt_rates=_OLD_SIMT | {"fp64": 0.5},
    local_kib=128,
    l1_kib=128,
    die_mm2=815,
    batched_menu="all",
)
TURING = Generation(
    title="Turing TU104 whitepaper",
    compute_capability=7.5,
    process_nm=12,
    tensor_joules=TENSOR_J_OF["turing"],
    lanes=64,
    tensor=512,
    tensor_rates={"fp16": 1.0, "int8": 2.0},
    simt_rates=_OLD_SIMT | {"fp64": 1 / 32},
    local_kib=96,
    l1_kib=64,
    threads=1024,
    die_mm2=545,
    batched_menu="all",
)
AMPERE_HPC = Generation(
    title="Ampere GA100 whitepaper",
    compute_capability=8.0,
    process_nm=7,
    tensor_joules=TENSOR_J_OF["ga100"],
    lane_joules=SIMT_J_OF["ga100"],
    lanes=64,
    tensor=1024,
    tensor_rates=_TENSOR | {"fp64": 1 / 16},
    simt_rates={"fp32": 1.0, "fp64": 0.5},
    local_kib=192,
    l1_kib=192,
    l2_parts=2,
    die_mm2=826,
)
AMPERE = Generation(
    title="Ampere GA102 whitepaper",
    compute_capability=8.6,
    process_nm=8,
    tensor_joules=TENSOR_J_OF["ga102"],
    lanes=128,
    tensor=512,
    tensor_rates=_TENSOR,
    simt_rates={"fp32": 1.0, "fp64": 1 / 64},
    local_kib=128,
    l1_kib=128,
    threads=1536,
    die_mm2=628,
    lane_reach=PAIRED_LANES,
)
AMPERE_HALF = dataclasses.replace(
    AMPERE, title="Ampere GA102 with tensor cores at half rate", tensor=256, half_rate=True
)
AMPERE_CONSUMER = dataclasses.replace(
    AMPERE_HALF,
    title="Ampere GA102 whitepaper, GeForce: half rate where sums are fp32",
    tensor_rates=_TENSOR | {"int8": 4.0},
)
ADA = Generation(
    title="Ada AD102 whitepaper",
    compute_capability=8.9,
    process_nm=4,
    power_nm=NM_OF_NVIDIA_4N,
    tensor_joules=TENSOR_J_OF["ad102"],
    lanes=128,
    tensor=512,
    tensor_rates=_TENSOR | _FP8,
    simt_rates={"fp32": 1.0, "fp64": 1 / 64},
    local_kib=128,
    l1_kib=128,
    threads=1536,
    die_mm2=609,
    lane_joules=SIMT_J_OF["ad102"],
    lane_reach=PAIRED_LANES,
)
ADA_SMALL = dataclasses.replace(
    ADA,
    title="Ada AD104, as the AD102 whitepaper",
    tensor_joules=TENSOR_J_OF["ad104"],
    lane_joules=None,
    die_mm2=294,
)
ADA_HALF = dataclasses.replace(
    ADA, title="Ada AD102 with tensor cores at half rate", tensor=256, half_rate=True
)
ADA_CONSUMER = dataclasses.replace(
    ADA_HALF,
    title="Ada AD102 whitepaper, GeForce: half rate where sums are fp32",
    tensor_rates=_TENSOR | _FP8 | {"int8": 4.0},
)
HOPPER = Generation(
    title="Hopper GH100 whitepaper",
    compute_capability=9.0,
    process_nm=4,
    power_nm=NM_OF_NVIDIA_4N,
    tensor_joules=TENSOR_J_OF["gh100 sxm"],
    lane_joules=SIMT_J_OF["gh100"],
    lanes=128,
    tensor=2048,
    tensor_rates=_TENSOR | _FP8 | {"fp64": 1 / 16},
    simt_rates={"fp32": 1.0, "fp64": 0.5},
    local_kib=256,
    l1_kib=256,
    l2_parts=2,
    cluster=2,
    die_mm2=814,
    lane_reach=SINGLE_ISSUE_LANES,
)
HOPPER_CARD = dataclasses.replace(HOPPER, tensor_joules=TENSOR_J_OF["gh100 card"])
BLACKWELL = Generation(
    title="Blackwell architecture brief",
    compute_capability=10.0,
    process_nm=4,
    tensor_joules=TENSOR_J_OF["blackwell"],
    lanes=128,
    tensor=4096,
    tensor_rates=_TENSOR | _FP8 | {"nvfp4": 4.0, "mxfp4": 4.0, "mxfp8_e4m3": 2.0, "fp64": 1 / 64},
    simt_rates={"fp32": 1.0, "fp64": 0.5},
    local_kib=256,
    l1_kib=256,
    l2_parts=2,
    cluster=2,
    die_mm2=1600,
    lane_reach=SINGLE_ISSUE_LANES,
)
BLACKWELL_ULTRA = dataclasses.replace(
    BLACKWELL,
    title="Blackwell Ultra, as listed in stas00/ml-engineering",
    compute_capability=10.3,
    tensor_rates={name: rate for name, rate in BLACKWELL.tensor_rates.items() if name != "int8"}
    | {"nvfp4": 5.6},
)
BLACKWELL_CARD = dataclasses.replace(
    BLACKWELL,
    title="Blackwell GB202 whitepaper",
    power_nm=NM_OF_NVIDIA_4N,
    tensor_joules=TENSOR_J_OF["gb202"],
    compute_capability=12.0,
    tensor=512,
    simt_rates={"fp32": 1.0, "fp64": 1 / 64},
    local_kib=128,
    lane_reach=PAIRED_LANES,
)
BLACKWELL_CONSUMER = dataclasses.replace(
    BLACKWELL_CARD,
    title="Blackwell GB202 whitepaper, GeForce: half rate where sums are fp32",
    tensor=256,
    half_rate=True,
    tensor_rates={**BLACKWELL.tensor_rates, "int8": 4.0, "nvfp4": 8.0, "mxfp4": 8.0},
    die_mm2=750,
)


def _tensor_peaks(sixteen_bit: Tera, **others: Tera) -> dict[str, Tera]:
    """Peaks of a chip whose tensor cores take fp16 and bf16 at one rate."""
    return {"fp16": sixteen_bit, "bf16": sixteen_bit, **others}


_A100 = _tensor_peaks(312, tf32=156, fp32=19.5, int8=624)
_H100 = _tensor_peaks(989, tf32=494.5, int8=1979, fp8_e4m3fn=1979, fp8_e5m2=1979, fp32=67)
_H100_PCIE = _tensor_peaks(756, tf32=378, int8=1513, fp8_e4m3fn=1513, fp8_e5m2=1513, fp32=51)
_H100_NVL = _tensor_peaks(835, tf32=417.5, int8=1671, fp8_e4m3fn=1671, fp8_e5m2=1671, fp32=60)

_BOARDS: tuple[tuple[Board, Generation], ...] = (
    (Board(name="p100", title="NVIDIA P100 PCIe 16 GB",
           where="NVIDIA P100 PCIe datasheet; clock as its driver names it (NVIDIA/nvidia-docker#1316)",
           year=2016, units=56, clock_mhz=1328, tera={"fp32": (9.3, 9.3, 9.5), "fp16": (18.7, 18.7, 19.0)},
           memory="HBM2", memory_gib=16, bandwidth_gb=732, l2_mib=4, tdp_w=250, pcie=3,
           note="the datasheet's 9.3 Tflop/s are those at 1303 MHz"), PASCAL_HPC),
    (Board(name="p4", title="NVIDIA P4", where="NVIDIA P4 datasheet", year=2016, units=20, clock_mhz=1063,
           tera={"fp32": (5.5, 5.44, 5.5), "int8": (22, 21.7, 22)}, memory="GDDR5", memory_gib=8,
           bandwidth_gb=192, l2_mib=2, tdp_w=75,
           pcie=3, note="75 W: sustains a fraction of its peak"), PASCAL),
    (Board(name="v100", title="NVIDIA V100 SXM2 16 GB", where="NVIDIA V100 datasheet", year=2017, units=80,
           clock_mhz=1530, tera={"fp32": 15.7, "fp16": 125}, memory="HBM2", memory_gib=16, bandwidth_gb=900,
           l2_mib=6, tdp_w=300, pcie=3, link_gb=300, server="board"), VOLTA),
    (Board(name="v100-32", title="NVIDIA V100 SXM2 32 GB", where="NVIDIA V100 datasheet", year=2018, units=80,
           clock_mhz=1530, tera={"fp32": 15.7, "fp16": 125}, memory="HBM2", memory_gib=32, bandwidth_gb=900,
           l2_mib=6, tdp_w=300, tdp_range_w=(300, 350), pcie=3, link_gb=300, server="board",
           note="the SXM3 part of DGX-2 runs at 1597 MHz and 350 W"), VOLTA),
    (Board(name="v100-pcie", title="NVIDIA V100 PCIe 32 GB", where="NVIDIA V100 datasheet", year=2018,
           units=80,
           clock_mhz=1380, tera={"fp32": 14.0, "fp16": 112}, memory="HBM2", memory_gib=32, bandwidth_gb=900,
           l2_mib=6, tdp_w=250, pcie=3), VOLTA),
    (Board(name="t4", title="NVIDIA T4", where="NVIDIA T4 datasheet", year=2018, units=40, clock_mhz=1590,
           tera={"fp32": 8.1, "fp16": 65, "int8": 130}, memory="GDDR6", memory_gib=16, bandwidth_gb=320,
           l2_mib=4, tdp_w=70, pcie=3, note="70 W: sustained clocks are often 600 to 1000 MHz"), TURING),
    (Board(name="a2", title="NVIDIA A2", where="NVIDIA A2 datasheet", year=2021, units=10, clock_mhz=1770,
           tera=_tensor_peaks(18, tf32=9, fp32=4.5, int8=36), memory="GDDR6", memory_gib=16, bandwidth_gb=200,
           l2_mib=2, tdp_w=60, pcie=4, pcie_lanes=8, die_mm2=200), AMPERE),
    (Board(name="a10", title="NVIDIA A10", where="NVIDIA A10 datasheet", year=2021, units=72, clock_mhz=1695,
           tera=_tensor_peaks(125, tf32=62.5, fp32=31.2, int8=250), memory="GDDR6", memory_gib=24,
           bandwidth_gb=600, l2_mib=6, tdp_w=150, pcie=4), AMPERE),
    (Board(name="a10g", title="NVIDIA A10G (EC2 G5)", where="NVIDIA A10G datasheet and the EC2 G5 page",
           year=2021, units=80, clock_mhz=1710, tera=_tensor_peaks(70, tf32=35, fp32=35, int8=140),
           memory="GDDR6", memory_gib=24, bandwidth_gb=600, l2_mib=6, tdp_w=300, pcie=4,
           note="tensor cores run at half the rate of an A10's; EC2's default power limit is 300 W"),
           AMPERE_HALF),
    (Board(name="a30", title="NVIDIA A30", where="NVIDIA A30 datasheet", year=2021, units=56, clock_mhz=1440,
           tera=_tensor_peaks(165, tf32=82, fp32=10.3, int8=330), memory="HBM2", memory_gib=24,
           bandwidth_gb=933,
           l2_mib=24, tdp_w=165, pcie=4, link_gb=200), AMPERE_HPC),
    (Board(name="a40", title="NVIDIA A40", where="NVIDIA A40 datasheet", year=2020, units=84, clock_mhz=1740,
           tera=_tensor_peaks(149.7, tf32=74.8, fp32=37.4, int8=299.3), memory="GDDR6", memory_gib=48,
           bandwidth_gb=696, l2_mib=6, tdp_w=300, pcie=4, link_gb=112.5), AMPERE),
    (Board(name="a100-40", title="NVIDIA A100 SXM4 40 GB", where="NVIDIA A100 datasheet", year=2020,
           units=108,
           clock_mhz=1410, tera=_A100, memory="HBM2", memory_gib=40, bandwidth_gb=1555, l2_mib=40, tdp_w=400,
           pcie=4, link_gb=600, server="board"), AMPERE_HPC),
    (Board(name="a100-80", title="NVIDIA A100 SXM4 80 GB", where="NVIDIA A100 datasheet", year=2020,
           units=108,
           clock_mhz=1410, tera=_A100, memory="HBM2e", memory_gib=80, bandwidth_gb=2039, l2_mib=40, tdp_w=400,
           pcie=4, link_gb=600, best_tera=271.2, server="board"), AMPERE_HPC),
    (Board(name="a100-pcie-40", title="NVIDIA A100 PCIe 40 GB", where="NVIDIA A100 datasheet", year=2020,
           units=108, clock_mhz=1410, tera=_A100, memory="HBM2", memory_gib=40, bandwidth_gb=1555, l2_mib=40,
           tdp_w=250, pcie=4, link_gb=600, note="250 W: sustains less than the SXM4 part"), AMPERE_HPC),
    (Board(name="a100-pcie-80", title="NVIDIA A100 PCIe 80 GB", where="NVIDIA A100 datasheet", year=2021,
           units=108, clock_mhz=1410, tera=_A100, memory="HBM2e", memory_gib=80, bandwidth_gb=1935, l2_mib=40,
           tdp_w=300, pcie=4, link_gb=600), AMPERE_HPC),
    (Board(name="l4", title="NVIDIA L4", where="NVIDIA L4 datasheet", year=2023, units=58, units_range=(58,
           60),
           clock_mhz=2040, tera=_tensor_peaks(121, tf32=60, fp32=(30.3, 30.3, 31.3), int8=242,
                                              fp8_e4m3fn=242, fp8_e5m2=242),
           memory="GDDR6", memory_gib=24, bandwidth_gb=300, l2_mib=48, tdp_w=72, pcie=4,
           note="72 W decides what it sustains"), ADA_SMALL),
    (Board(name="l40", title="NVIDIA L40", where="NVIDIA L40 datasheet, as listed by mullet.se",
           year=2022, units=142, clock_mhz=2490,
           tera=_tensor_peaks(181.05, tf32=90.5, fp32=90.5, int8=362, fp8_e4m3fn=362, fp8_e5m2=362),
           memory="GDDR6", memory_gib=48, bandwidth_gb=864, l2_mib=96, tdp_w=300, pcie=4,
           note="tensor cores run at half the rate of an L40S's"), ADA_HALF),
    (Board(name="l40s", title="NVIDIA L40S", where="NVIDIA L40S datasheet", year=2023, units=142,
           clock_mhz=2520,
           tensor_mhz=2490, tera=_tensor_peaks(362, tf32=(183, 181, 183), fp32=91.6, int8=(733, 724, 733),
                                               fp8_e4m3fn=(733, 724, 733), fp8_e5m2=(733, 724, 733)),
           memory="GDDR6", memory_gib=48, bandwidth_gb=864, l2_mib=96, tdp_w=350, pcie=4), ADA),
    (Board(name="h100", title="NVIDIA H100 SXM5 80 GB", where="NVIDIA H100 datasheet", year=2022, units=132,
           clock_mhz=1980, tensor_mhz=1830, tera=_H100, memory="HBM3", memory_gib=80, bandwidth_gb=3350,
           l2_mib=50, tdp_w=700, pcie=5, link_gb=900, server="board",
           note="the tensor peak is quoted at 1830 MHz, the fp32 peak at 1980"), HOPPER),
    (Board(name="h100-pcie", title="NVIDIA H100 PCIe 80 GB", where="NVIDIA H100 datasheet", year=2022,
           units=114,
           clock_mhz=1755, tensor_mhz=1619, tera=_H100_PCIE, memory="HBM2e", memory_gib=80, bandwidth_gb=2000,
           l2_mib=50, tdp_w=350, pcie=5, link_gb=600), HOPPER_CARD),
    (Board(name="h100-nvl", title="NVIDIA H100 NVL 94 GB", where="NVIDIA H100 NVL product page", year=2023,
           units=132, clock_mhz=1785, tensor_mhz=1544, tera=_H100_NVL, memory="HBM3", memory_gib=94,
           bandwidth_gb=3900, l2_mib=50, tdp_w=400, pcie=5, link_gb=600), HOPPER_CARD),
    (Board(name="h200", title="NVIDIA H200 SXM 141 GB", where="NVIDIA H200 datasheet", year=2024, units=132,
           clock_mhz=1980, tensor_mhz=1830, tera=_H100, memory="HBM3e", memory_gib=141, bandwidth_gb=4800,
           l2_mib=50, tdp_w=700, pcie=5, link_gb=900, server="board"), HOPPER),
    (Board(name="h200-nvl", title="NVIDIA H200 NVL 141 GB", where="NVIDIA H200 product page", year=2024,
           units=132, clock_mhz=1785, tensor_mhz=1544, tera=_H100_NVL, memory="HBM3e", memory_gib=141,
           bandwidth_gb=4800, l2_mib=50, tdp_w=600, pcie=5, link_gb=900), HOPPER_CARD),
    (Board(name="gh200", title="NVIDIA GH200 (its GPU)", where="NVIDIA GH200 datasheet", year=2023, units=132,
           clock_mhz=1980, tensor_mhz=1830, tera=_H100, memory="HBM3", memory_gib=96, bandwidth_gb=4000,
           l2_mib=50, tdp_w=1000, tdp_range_w=(450, 1000), pcie=5, link_gb=900, server="board",
           best_tera=828.6,
           note="the HBM3e part has 144 GB at 4.9 TB/s; 450 to 1000 W are for the module "
                "with its CPU"), HOPPER),
    (Board(name="b200", title="NVIDIA B200 SXM 180 GB",
           where="NVIDIA DGX B200 datasheet, as listed in stas00/ml-engineering", year=2024, units=148,
           clock_mhz=1965, tensor_mhz=1856,
           tera=_tensor_peaks(2250, tf32=1125, fp32=(80, 74.4, 80), int8=4500, fp8_e4m3fn=4500, fp8_e5m2=4500,
                              mxfp8_e4m3=4500, nvfp4=9000, mxfp4=9000),
           memory="HBM3e", memory_gib=180, bandwidth_gb=8000, l2_mib=126, tdp_w=1000, pcie=5, link_gb=1800,
           server="board", note="80 TFLOPS of fp32 would need 2.11 GHz on 148 multiprocessors"), BLACKWELL),
    (Board(name="rtx-pro-6000", title="NVIDIA RTX PRO 6000 Blackwell",
           where="NVIDIA's announcement, as reported by gpu.name and topcpu.net",
           year=2025, units=188, clock_mhz=2597,
           tera=_tensor_peaks(500, tf32=250, fp32=125, int8=1000, fp8_e4m3fn=1000, fp8_e5m2=1000,
                              mxfp8_e4m3=1000, nvfp4=2000, mxfp4=2000),
           memory="GDDR7", memory_gib=96, bandwidth_gb=1792, l2_mib=128, tdp_w=600, pcie=5,
           note="tensor peaks follow from 4,000 sparse TOPS of fp4"),
     BLACKWELL_CARD),
    (Board(name="gb200", title="NVIDIA GB200 (one of its GPUs)",
           where="stas00/ml-engineering, accelerators", year=2024, units=152, clock_mhz=2062, tensor_mhz=2007,
           tera=_tensor_peaks(2500, tf32=1250, fp32=80, int8=5000, fp8_e4m3fn=5000, fp8_e5m2=5000,
                              mxfp8_e4m3=5000, nvfp4=10000, mxfp4=10000),
           memory="HBM3e", memory_gib=186, bandwidth_gb=8000, l2_mib=126, tdp_w=1200, pcie=5, link_gb=1800,
           server="board", note="one GPU of the module"), BLACKWELL),
    (Board(name="b300", title="NVIDIA B300 SXM 288 GB",
           where="stas00/ml-engineering, accelerators", year=2025, units=148, clock_mhz=1965, tensor_mhz=1856,
           tera=_tensor_peaks(2250, tf32=1125, fp32=(80, 74.4, 80), fp8_e4m3fn=4500, fp8_e5m2=4500,
                              mxfp8_e4m3=4500, nvfp4=12600, mxfp4=9000),
           memory="HBM3e", memory_gib=288, bandwidth_gb=8000, l2_mib=126, tdp_w=1000,
           tdp_range_w=(1000, 1400), pcie=5, link_gb=1800, server="board",
           note="multiprocessors and clocks taken as the B200's; int8 is much reduced and left out"),
           BLACKWELL_ULTRA),
    (Board(name="rtx-3090", title="NVIDIA GeForce RTX 3090",
           where="NVIDIA GA102 whitepaper, GeForce RTX 3090", year=2020, units=82, clock_mhz=1695,
           tera=_tensor_peaks(71, tf32=35.6, fp32=35.6, int8=284),
           memory="GDDR6X", memory_gib=24, bandwidth_gb=936, l2_mib=6, tdp_w=350, pcie=4, link_gb=112.5,
           ecc=False, note="tensor peaks are those with fp32 sums"), AMPERE_CONSUMER),
    (Board(name="rtx-a6000", title="NVIDIA RTX A6000", where="NVIDIA GA102 whitepaper, RTX A6000", year=2020,
           units=84, clock_mhz=1800, tera=_tensor_peaks(154.8, tf32=77.4, fp32=38.7, int8=309.7),
           memory="GDDR6", memory_gib=48, bandwidth_gb=768, l2_mib=6, tdp_w=300, pcie=4, link_gb=112.5),
     AMPERE),
    (Board(name="rtx-4090", title="NVIDIA GeForce RTX 4090", where="NVIDIA Ada whitepaper, GeForce RTX 4090",
           year=2022, units=128, clock_mhz=2520,
           tera=_tensor_peaks(165.2, tf32=82.6, fp32=82.6, int8=660.6, fp8_e4m3fn=330.3, fp8_e5m2=330.3),
           memory="GDDR6X", memory_gib=24, bandwidth_gb=1008, l2_mib=72, tdp_w=450, pcie=4,
           ecc=False, note="tensor peaks are those with fp32 sums"), ADA_CONSUMER),
    (Board(name="rtx-5090", title="NVIDIA GeForce RTX 5090",
           where="NVIDIA RTX Blackwell whitepaper, GeForce RTX 5090", year=2025, units=170, clock_mhz=2407,
           tera=_tensor_peaks(209.5, tf32=104.8, fp32=104.8, int8=838, fp8_e4m3fn=419, fp8_e5m2=419,
                              mxfp8_e4m3=419, nvfp4=1676, mxfp4=1676),
           memory="GDDR7", memory_gib=32, bandwidth_gb=1792, l2_mib=96, tdp_w=575, pcie=5,
           ecc=False, note="tensor peaks are those with fp32 sums"), BLACKWELL_CONSUMER),
)  # fmt: skip


def _chip(board: Board, generation: Generation) -> Chip:
    numerics = gpu_numerics(fp8="fp8_e4m3fn" in generation.tensor_rates)
    return build(board, generation, vendor="NVIDIA", numerics=numerics)


CHIPS: dict[str, Callable[[], Chip]] = {
    board.name: functools.partial(_chip, board, generation) for board, generation in _BOARDS
}
