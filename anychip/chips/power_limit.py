"""What a board's power limit leaves of the rates of its engines.

Joules of a flop say how many fit into the limit, less what the silicon leaks and the memory takes. None of
these constants is searched: they follow from datasheets and from best products that others published.
"""

from __future__ import annotations

from anychip.facts import Fact, Source

_READ_ON = "2026-11-22"


#: Joules of one fp32 flop outside tensor cores that is executed, padding included, at 12 nm; they go with
#: the node. No search could find them: T4 is the only measured board whose limit decides such products.
SIMT_J_PER_FLOP = Fact(
    12.9e-12,
    "J/flop at 12 nm",
    Source(
        "derived",
        "NVIDIA V100 PCIe datasheet: 250 W and 14.1 Tflop/s of fp32, less static power and 40 W of HBM2 at "
        "its bandwidth (O'Connor et al., MICRO 2017: 29 W of devices; the rest for controllers, judged)",
        _READ_ON,
    ),
    9.0e-12,
    16.0e-12,
)
#: Nanometres that joules go with where the maker's name of a process says something else.
NM_OF_TSMC_16 = Fact(
    12.0,
    "nm",
    Source(
        "derived",
        "TSMC's 12 nm is its 16 nm process: GP100 and GV100 hold 25 million transistors a square millimetre",
        _READ_ON,
    ),
)
NM_OF_NVIDIA_4N = Fact(
    4.6,
    "nm",
    Source(
        "derived",
        "RTX PRO 6000 Max-Q in 4N, of the 5 nm family: 750 mm2 make 55 Tflop/s of fp32 products with 300 W "
        "(waynehacking8/blackwell-tensorcore-kernels@c289bde, results/bench.csv)",
        "2026-11-28",
    ),
    4.0,
    5.0,
)
#: Joules of one flop of 16-bit products where no limit shows them; they go with the node.
TENSOR_J_PER_FLOP = Fact(
    1.6e-12,
    "J/flop at 12 nm",
    Source(
        "assumed",
        "of AMD's matrix cores: as much as best products of NVIDIA's boards say of theirs, 1.4 to 1.9",
        _READ_ON,
    ),
    1.2e-12,
    3.2e-12,
)
#: Watts of a square millimetre that flow at full clock without work.
STATIC_W_PER_MM2 = Fact(
    0.035,
    "W/mm2",
    Source(
        "assumed",
        "20 to 50 W that boards with dies of 550 to 830 mm2 draw at full clock without work",
        _READ_ON,
    ),
    0.02,
    0.07,
)

_DEVICE_BENCHMARKS = "chsasank/device-benchmarks@02b8262, README"


def dynamic_w(limit_w: float, die_mm2: float) -> float:
    """Watts that a board's limit leaves to arithmetic and traffic; at least a tenth of it."""
    return max(0.1 * limit_w, limit_w - STATIC_W_PER_MM2.value * die_mm2)


def _of_limit(
    tera: float, limit_w: float, die_mm2: float, memory_w: float, board: str, products: str = "16-bit"
) -> Fact:
    """Joules of one flop of products on a board that its power limit holds at a published rate."""
    joules = (dynamic_w(limit_w, die_mm2) - memory_w) / (tera * 1e12)
    said = (
        f"{board}: {tera:g} Tflop/s of {products} products within {limit_w:g} W, less static power and "
        f"{memory_w:g} W of memory (judged)"
    )
    return Fact(joules, "J/flop", Source("derived", said, "2026-11-28"), 0.85 * joules, 1.15 * joules)


#: A table of the best products of 1,024 to 10,240 that owners of boards measured.
PRODUCTS = "zzc0721/torch-performance-test-data@9d82827, database.md"
_TURING_TENSOR_J = _of_limit(25, 70, 545, 3, f"{_DEVICE_BENCHMARKS}: T4")
#: Joules of one flop of 16-bit products by chip, where a board's power limit shows them. They are no matter
#: of the node alone: cores that multiply larger blocks fetch their operands less often, and boards with less
#: power run at a lower voltage.
TENSOR_J_OF = {
    # As many joules leave 84 Tflop/s to the card of 250 W, which is what the other table gives for it.
    "volta": _of_limit(97.4, 300, 815, 15, f"{PRODUCTS}: V100 SXM2"),
    "turing": _TURING_TENSOR_J,
    # The first table gives 237 Tflop/s for an A100 with 80 GB, which is what this leaves the card of 300 W.
    "ga100": _TURING_TENSOR_J.scaled(7 / 12),
    "ga102": _of_limit(55, 150, 628, 3, f"{_DEVICE_BENCHMARKS}: A10"),
    "ad102": _of_limit(267, 350, 609, 3, f"{PRODUCTS}: L40S"),
    "ad104": _of_limit(65.5, 72, 294, 3, f"{_DEVICE_BENCHMARKS}: L4"),
    # Two H100 and an H200: 784 to 798 of bf16, 758 to 760 of fp16.
    "gh100 sxm": _of_limit(790, 700, 814, 15, f"{PRODUCTS}: H100 SXM5 and H200"),
    "gh100 card": _of_limit(442, 350, 814, 8, f"{_DEVICE_BENCHMARKS}: H100 PCIe"),
    "blackwell": _of_limit(1745, 1000, 1600, 20, "stas00/ml-engineering, accelerators: B200"),
    "gb202": _of_limit(
        230, 300, 750, 5,
        "waynehacking8/blackwell-tensorcore-kernels@c289bde, results/bench.csv: RTX PRO 6000 Max-Q",
    ),
}  # fmt: skip
#: The same of one fp32 flop outside tensor cores.
SIMT_J_OF = {
    "gp104": _of_limit(
        4.1, 75, 314, 5, "zzc0721/torch-performance-test-data#9: P4, 8,192 and 10,240", "fp32"
    ),
    # 17.6 and 16.7 of 8,192 and 10,240, which last long enough. The board of 400 W reaches 19.2.
    "ga100": _of_limit(17.1, 250, 826, 2, f"{PRODUCTS} and #108: A100 PCIe 40 GB", "fp32"),
    # And 37.8 Tflop/s for the H800 of that power.
    "gh100": _of_limit(37.0, 350, 814, 8, f"{PRODUCTS}: H100 PCIe", "fp32"),
    # And 37.3 Tflop/s for an L20 of 275 W, which are as many joules. L4 and its smaller chip take fewer.
    "ad102": _of_limit(46.9, 350, 609, 3, f"{PRODUCTS}: L40S", "fp32"),
}
_BENCH = Source(
    "published",
    "waynehacking8/blackwell-tensorcore-kernels@c289bde, results/bench.csv: within 300 W, products of 4,096 "
    "and 8,192 reach 226 to 235 Tflop/s of fp16, 144 to 151 of tf32, 517 to 552 of fp8",
    "2026-11-28",
)
_EIGHT_BITS = Fact(0.44, "1", _BENCH, 0.4, 0.5)
#: Joules of one flop in other formats, relative to 16-bit products.
TENSOR_JOULES = {
    "fp16": Fact(1.0, "1", _BENCH), "bf16": Fact(1.0, "1", _BENCH),
    "tf32": Fact(1.56, "1", _BENCH, 1.4, 1.7), "fp8_e4m3fn": _EIGHT_BITS, "fp8_e5m2": _EIGHT_BITS,
    "int8": Fact(0.44, "1", Source("assumed", "as products of 8-bit floating point", _READ_ON), 0.3, 0.5),
}  # fmt: skip

_DEVICES = Source(
    "derived",
    "energy of memory devices a bit: HBM2 3.97 pJ, GDDR5 14 pJ (O'Connor et al., MICRO 2017), GDDR6 5.5 to "
    "7.5 pJ (Jouppi et al., ISCA 2021); for HBM a third more for controllers, judged; newer ones taken alike",
    _READ_ON,
)
_HBM_J = Fact(44e-12, "J/byte", _DEVICES, 31e-12, 56e-12)
_GDDR6_J = Fact(52e-12, "J/byte", _DEVICES, 44e-12, 75e-12)
#: What a byte of main memory takes from a board's power limit, by memory.
MEMORY_J_PER_BYTE = {
    "HBM2": _HBM_J, "HBM2e": _HBM_J, "HBM3": _HBM_J, "HBM3e": _HBM_J,
    "GDDR5": Fact(112e-12, "J/byte", _DEVICES, 80e-12, 140e-12),
    "GDDR6": _GDDR6_J, "GDDR6X": _GDDR6_J, "GDDR7": _GDDR6_J,
}  # fmt: skip


def throttled_byte_s(*, limit_w: float, die_mm2: float, memory: str) -> Fact:
    """By how many seconds a byte of main memory lengthens a kernel that the power limit of a board decides.

    Args:
        limit_w: thermal design power of the board.
        die_mm2: silicon that leaks.
        memory: a key of `MEMORY_J_PER_BYTE`.
    """
    joules, watts = MEMORY_J_PER_BYTE[memory], dynamic_w(limit_w, die_mm2)
    low, high = joules.range
    return Fact(joules.value / watts, "s/byte", joules.source, low / watts, high / watts)


def sustained_macs(
    *,
    limit_w: float,
    die_mm2: float,
    cores: int,
    clock_hz: float,
    joules: Fact,
) -> Fact:
    """Multiply-adds per cycle and core that the power limit of a board sustains.

    Args:
        limit_w: thermal design power of the board.
        die_mm2: silicon that leaks.
        cores: multiprocessors.
        clock_hz: of the unit.
        joules: of one flop.
    """
    macs = dynamic_w(limit_w, die_mm2) / 2 / (cores * clock_hz)
    low, high = joules.range
    return Fact(macs / joules.value, "mac/cycle", joules.source, macs / high, macs / low)
