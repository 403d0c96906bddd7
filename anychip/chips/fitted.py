"""Constants that no data sheet gives, fitted once per family.

Every number is a Fact of kind ``fitted`` that names the rows it was fitted to, or says what it follows from
where a derivation or somebody else's table decides it, or is ``assumed``. They carry over to a chip that was
never measured through its data-sheet numbers.
"""

from __future__ import annotations

from anychip.chips.power_limit import PRODUCTS
from anychip.facts import Fact, Source

_READ_ON = "2026-11-22"
_SIMT = Source(
    "fitted",
    "gpu_ops.csv: fp32 linear and bmm of P100, P4, V100, T4, A100 (1,756 rows, 20 us and more)",
    _READ_ON,
)
_TENSOR = Source("fitted", "gpu_ops.csv: fp16 linear of A100-80 and A40 (324 rows, 20 us and more)", _READ_ON)
_MFMA = Source("fitted", "gpu_ops.csv: fp32 linear and bmm of MI100 and MI210 (531 rows)", _READ_ON)
_BLOCKS = Source(
    "derived",
    "a block of 16 x 16 results and 4 products takes the matrix cores of a compute unit 8 cycles, and its "
    "operands, on their way in and out, local memory with 128 bytes a cycle 6: one after the other, 8 of 14",
    "2026-11-28",
)
_WARPS = Source(
    "derived",
    "an element of a tile of 128 x 128 is read three times by eight warps of 64 x 32, on average: 12 of the "
    "128 bytes of a cycle of shared memory, in which 64 lanes do 6 multiply-adds; 128 lanes would do 12, and "
    "what they reach holds the difference",
    "2026-11-28",
)
_HIDDEN = Source(
    "derived",
    f"{PRODUCTS}: fp32 products of A100 and A800 SXM4 reach 19.2 and 19.1 of 19.5 Tflop/s: of the 6 "
    "multiply-adds that an element would cost in tiles of 128 x 128 if nothing hid it, at most 1.3 show, and "
    "1.7 in tiles of 256 x 128",
    "2026-11-28",
)
_ROWS = Source("fitted", "gpu_ops.csv: fp32 elementwise, softmax, layernorm (3,099 rows)", _READ_ON)
_ENCODERS = Source(
    "fitted",
    "neuron_published.csv: encoders, GPT-2, CNN and U-Net rows of inf2 and trn1 (236 rows)",
    _READ_ON,
)


def _fact(
    value: float, unit: str, source: Source, low: float | None = None, high: float | None = None
) -> Fact:
    return Fact(value, unit, source, low, high)


#: Parameters of the DotUnit of CUDA cores.
SIMT = {
    "efficiency": _fact(0.98, "1", _SIMT, 0.85, 1.0),
    "operand_cost": _fact(1.5, "MAC/element", _HIDDEN, 0.5, 6.0),
    "drain_depth": _fact(13, "products", _SIMT, 2, 20),
    "full_results": _fact(32768, "result", _SIMT),
    "occupancy_exponent": _fact(0.31, "1", _SIMT, 0.2, 0.75),
    "wave_weight": _fact(0.52, "1", _SIMT, 0.18, 0.75),
}
#: What SMs reach of their fp32 peak where half of the lanes also do integers, relative to the others.
PAIRED_LANES = _fact(
    0.70,
    "1",
    Source(
        "published",
        f"{PRODUCTS}: fp32 products of RTX 3090 24.8, A40 23.7 (#185), 4070 Super 25, 4090 55, 5090 69 "
        "Tflop/s, 0.63 to 0.71 of their peaks; chsasank/device-benchmarks@02b8262: 27, 23 and 58 on 3090, "
        "4070 Super and 4090, 0.65 to 0.76; beside 0.93 to 0.98 on A100 and V100",
        "2026-11-28",
    ),
    0.63,
    0.78,
)
#: The same where 32 lanes of a scheduler take each of its issue slots and do integers, too: for every 64
#: multiply-adds a thread loads operands four times and steps an address.
PASCAL_LANES = _fact(
    0.93,
    "1",
    Source(
        "derived",
        "64 of 69 issue slots; loads that issue beside multiply-adds are not counted. Published products of "
        "P100 reach 0.91 of its peak, its rows without a bias 0.9",
        "2026-11-28",
    ),
    0.88,
    1.0,
)
#: The same where 32 lanes of a scheduler take each of its issue slots for multiply-adds, so that loads and
#: addresses cost some, but integers have lanes of their own.
SINGLE_ISSUE_LANES = _fact(
    0.80,
    "1",
    Source(
        "published",
        f"{PRODUCTS}: fp32 products of two H100 SXM5 51.9 and 52.1, H200 51.3 of 67, B200 66 of 74 to 80 "
        "Tflop/s: 0.77 to 0.89; waynehacking8/blackwell-tensorcore-kernels@c289bde, results/bench.csv: 48 "
        "and 54 on H100",
        "2026-11-28",
    ),
    0.75,
    0.9,
)
#: Of their rate without a bias, what fp32 products with one reach on GP100.
GP100_BIAS = _fact(
    0.87,
    "1",
    Source("fitted", "gpu_ops.csv: fp32 linear layers of P100, with a bias and without one", "2026-11-28"),
    0.84,
    1.0,
)
#: Parameters of the DotUnit of tensor cores.
TENSOR_CORE = {
    "efficiency": _fact(0.935, "1", _TENSOR, 0.82, 0.97),
    "operand_cost": _fact(7.1, "MAC/element", _TENSOR, 3.8, 8.5),
    "drain_depth": _fact(16.3, "products", _TENSOR, 16, 66),
    "full_results": _fact(32768, "result", _TENSOR),
    "occupancy_exponent": _fact(0.41, "1", _TENSOR, 0.2, 0.55),
    "wave_weight": _fact(0.85, "1", _TENSOR, 0.6, 1.0),
}
_HALF = Source(
    "published",
    "chsasank/device-benchmarks@02b8262, README: 16-bit products of RTX 3060 26, 4060 Ti 46, 4070 Ti Super "
    "91, 4090 168 Tflop/s, 1.02 to 1.05 of their peaks: fetching operands hides behind cores at half rate",
    "2026-11-28",
)
#: What differs where tensor cores multiply at half the rate of others of their generation.
HALF_RATE_CORE = {
    "efficiency": _fact(1.0, "1", _HALF, 0.95, 1.0),
    "operand_cost": TENSOR_CORE["operand_cost"].scaled(0.5),
}
#: Parameters of the DotUnit of AMD's matrix cores.
MATRIX_CORE = {
    "efficiency": _fact(0.78, "1", _MFMA, 0.7, 1.0),
    "operand_cost": _fact(7.9, "MAC/element", _MFMA, 5.0, 38.0),
    "drain_depth": _fact(23, "products", _MFMA, 20, 50),
    "full_results": _fact(32768, "result", _MFMA),
    "occupancy_exponent": _fact(0.045, "1", _MFMA, 0.01, 0.1),
    "wave_weight": _fact(0.72, "1", _MFMA, 0.5, 0.9),
    # Blocks are 16 x 16 results, and rocBLAS' groups of threads are four wavefronts.
    "chain_results": _fact(1024, "result", _BLOCKS),
    "chain_rate": _fact(0.57, "1", _BLOCKS, 0.5, 0.75),
}
_AS_CUDA = Source("assumed", "about what CUDA cores were fitted with", _READ_ON)
#: And of the other lanes of AMD's chips, which few measured products run on.
AMD_LANES = {
    "efficiency": Fact(
        0.97,
        "1",
        Source("assumed", "as published products of V100 and A100: 0.93 to 0.98", _READ_ON),
        0.9,
        1.0,
    ),
    "operand_cost": _fact(6.0, "MAC/element", _WARPS, 2.8, 12.0),
    "drain_depth": Fact(
        8.0, "products", Source("assumed", "the first step of a kernel, which nothing hides", _READ_ON), 4, 16
    ),
    "full_results": SIMT["full_results"],
    "occupancy_exponent": Fact(0.22, "1", _AS_CUDA, 0.01, 0.5),
    "wave_weight": Fact(0.52, "1", _AS_CUDA, 0.2, 0.9),
}
#: What requests for operand tiles reach of the peak of the links of memory and shared cache, by matrix engine
#: and maker.
_TENSOR_PORTS = Source(
    "fitted",
    "gpu_ops.csv: fp16 linear of A100-80 and A40 leave it open; by hand, best product of B200 in view",
    _READ_ON,
)
_TENSOR_DRAM = _fact(0.77, "1", _TENSOR, 0.7, 0.85)
_BEST_OF_CDNA_3 = Source(
    "fitted", "gpu_ops.csv: best bf16 products of MI300X, MI325X and MI355X (3 rows), by hand", _READ_ON
)
OPERAND_SHARES = {
    "fma": {"dram": _fact(0.54, "1", _SIMT, 0.39, 0.7)},
    "tensor": {"dram": _TENSOR_DRAM, "l2": _fact(0.9, "1", _TENSOR_PORTS, 0.38, 1.0)},
    # Of main memory as tensor cores: few rows of MI100 and MI210 are decided by it.
    "amd": {"dram": _TENSOR_DRAM, "l2": _fact(0.61, "1", _MFMA, 0.55, 0.7)},
    "amd chiplets": {"dram": _TENSOR_DRAM, "l2": _fact(0.156, "1", _BEST_OF_CDNA_3, 0.145, 0.2)},
}
#: Part of the shared cache in which operands of tiles stay.
CACHE_SHARE = Fact(
    0.5, "1", Source("assumed", "half, beside results; measured products leave it open", _READ_ON), 0.05, 0.6
)
#: What long sums cost where both operands lie along them: products beyond which, doublings until every
#: access misses the translation of addresses, and what one adds for each multiply-add. Chips of 16 nm and
#: AMD's have one translation for all cores (seconds), NVIDIA's later ones theirs beside each core (cycles).
LONG_ROWS = {
    "pascal": (4096, 3, _fact(1.07e-13, "s", _SIMT, 0.4e-13, 1.6e-13)),
    "later": (16384, 1, _fact(2.6e-3, "cycle", _SIMT, 1.2e-3, 3.5e-3)),
}
#: Share of the peak that streams sustain, by memory; the first product with HBM2 is like GDDR. Boards for
#: servers keep the check bits of GDDR in the memory itself.
STREAM_EFFICIENCY = {
    "hbm": _fact(0.893, "1", _ROWS, 0.88, 0.95),
    "gddr": _fact(0.75, "1", _ROWS, 0.70, 0.78),
    "gddr without ecc": _fact(
        0.89,
        "1",
        Source(
            "published",
            "chsasank/device-benchmarks@02b8262, README: copies on RTX 3090 831, 4060 Ti 234, 4070 Ti Super "
            "602, 4090 912, 5070 Ti 762 GB/s, 0.81 to 0.91 of their peaks",
            "2026-11-28",
        ),
        0.81,
        0.92,
    ),
    "amd-hbm": _fact(0.834, "1", _ROWS, 0.83, 0.89),
}
#: Bytes per second and hertz of one SM's port to the shared cache, and the share that contractions sustain.
CACHE_PORT_BYTES_PER_CYCLE = 64
CACHE_EFFICIENCY = _fact(
    1.0, "1", Source("assumed", "requests for operand tiles and streams have shares of their own", _READ_ON)
)
#: Between two kernels of a stream, in seconds.
LAUNCH_S = _fact(2.1e-6, "s", _TENSOR, 2.0e-6, 4.0e-6)
#: Of one access to main memory from an SM, in seconds; it shows in short kernels.
ACCESS_LATENCY_S = Fact(
    1.0e-6, "s", Source("assumed", "an access under load, about twice that of an idle memory", _READ_ON),
    0.5e-6, 1.25e-6,
)  # fmt: skip
#: The same on AMD's chips, with what starts and ends a kernel.
AMD_ACCESS_LATENCY_S = _fact(0.52e-6, "s", _ROWS, 0.5e-6, 3.7e-6)
#: Rows that do not fit registers: instructions of one access, accesses that starting on a row stands for,
#: what an access of single elements costs beside one of 16 bytes, and which rows in flight caches still hold
#: (`Policy.row_hit_all`).
ROW_WAITS = {
    "nvidia": {
        "row_access": _fact(18.8, "instruction", _ROWS, 15.0, 25.0),
        "row_start": _fact(14.9, "access", _ROWS, 9.0, 19.0),
        "row_rest": _fact(1.09, "1", _ROWS, 0.7, 1.5),
        "row_hit_all": _fact(0.17, "1", _ROWS, 0.14, 0.28),
        "row_hit_none": _fact(0.87, "1", _ROWS, 0.77, 0.87),
    },
    "amd": {
        "row_access": _fact(19.0, "instruction", _ROWS, 17.0, 21.0),
        "row_start": _fact(14.5, "access", _ROWS, 13.0, 15.5),
        "row_rest": _fact(0.87, "1", _ROWS, 0.6, 1.0),
        "row_hit_all": _fact(0.10, "1", _ROWS, 0.10, 0.17),
        "row_hit_none": _fact(0.99, "1", _ROWS, 0.8, 1.4),
    },
}
#: Cycles of a lane for one power with a variable exponent.
POWER_CYCLES = {
    "nvidia": Fact(
        50.0, "cycle", Source("assumed", "instructions of powf; no row is bound by it", _READ_ON),
        20.0, 60.0,
    ),
    "amd": _fact(
        170.0, "cycle", Source("fitted", "gpu_ops.csv: fp32 powers of MI100 and MI210 (32 rows)", _READ_ON),
        165.0, 190.0,
    ),
}  # fmt: skip
#: On ROCm a thread of the kernel for gradients of gain and shift reads neighbouring columns one after the
#: other, and its cache loses them in between.
COLUMN_FETCHES = _fact(
    3.0,
    "1",
    Source("fitted", "gpu_ops.csv: fp32 layernorm backward of MI100 and MI210 (9 rows), by hand", _READ_ON),
    2.2,
    4.0,
)
#: Of main memory's peak, what operands reach whose rows share few channels, where kernels of rocBLAS do not
#: stagger their starts; times the square root of the parts that sums are cut into.
CONFLICT_SHARE = _fact(
    0.27,
    "1",
    Source(
        "fitted",
        "gpu_ops.csv: fp32 linear layers of MI210 over 32,768 and 65,536 (12 rows), by hand",
        "2026-11-28",
    ),
    0.23,
    0.34,
)
#: What kernels of rocBLAS, which fetch one or two steps ahead, do not hide of the shorter of multiplying and
#: fetching.
UNHIDDEN_SHARE = _fact(0.133, "1", _MFMA, 0.05, 0.3)
#: Bytes a cycle that one SM loads into registers: loads in flight over their latency, not the port, limit it.
REGISTER_LOAD_BYTES_PER_CYCLE = {
    "nvidia": _fact(13.0, "byte/cycle", _ROWS, 6.0, 64.0),
    "amd": _fact(12.4, "byte/cycle", _ROWS, 4.5, 24.0),
}
_EVENTS = Source("fitted", "gpu_ops.csv: event-timed eager calls, by operator class", _READ_ON)
_PAGED = Source(
    "fitted",
    "attention_a100.csv: decode with 32 cached tokens (6 rows), and prompts (14 rows): calls of a "
    "serving library, with their bookkeeping of pages",
    _READ_ON,
)
#: Host time of one eager call on a stream that was idle, by operator class: events round one call contain it.
#: Of paged attention also what every new token of a prompt takes besides arithmetic.
IDLE_DISPATCH_S = {
    "nvidia": {
        "linear": _fact(51.2e-6, "s", _EVENTS, 42e-6, 53e-6),
        "bmm": _fact(31.3e-6, "s", _EVENTS, 29e-6, 32e-6),
        "matmul": _fact(28e-6, "s", _EVENTS),
        "softmax": _fact(28e-6, "s", _EVENTS),
        "layernorm": _fact(50e-6, "s", _EVENTS),
        "elementwise": _fact(13e-6, "s", _EVENTS),
        "attention": _fact(10e-6, "s", _PAGED, 5e-6, 14e-6),
        "attention token": _fact(0.25e-6, "s", _PAGED, 0.2e-6, 0.36e-6),
    },
    "amd": {
        "linear": _fact(39.4e-6, "s", _EVENTS),
        "bmm": _fact(23.7e-6, "s", _EVENTS),
        "matmul": _fact(28e-6, "s", _EVENTS),
        "softmax": _fact(20e-6, "s", _EVENTS),
        "layernorm": _fact(23.2e-6, "s", _EVENTS),
        "elementwise": _fact(10.9e-6, "s", _EVENTS),
    },
}

#: Host time to launch one kernel, and bytes a second between host and device.
DISPATCH_S = _fact(
    5e-6,
    "s",
    Source("assumed", "host time of one eager PyTorch operator on a current server CPU", _READ_ON),
    3e-6,
    12e-6,
)
HOST_BYTES_PER_SECOND = _fact(
    12e9, "byte/s", Source("assumed", "PCIe 3/4 x16, pageable to pinned", _READ_ON), 6e9, 25e9
)

_TRACED = Source("fitted", "gpu_ops.csv: rows and lanes traced inside models (130 rows)", _READ_ON)
#: Part of it that events inside a running model still contain: the host is ahead, but not always.
TRACED_DISPATCH = {
    "nvidia": _fact(0.6, "1", _TRACED, 0.45, 0.85),
    "amd": _fact(1.0, "1", _TRACED, 0.8, 1.0),
}

#: Fitted parameters of the SystolicArray of a NeuronCore.
TENSOR_ENGINE = {"efficiency": _fact(1.0, "1", _ENCODERS, 0.8, 1.0)}
#: Fitted parameters of the vector and scalar engines of a NeuronCore.
VECTOR_ENGINE = {"efficiency": _fact(0.90, "1", _ENCODERS, 0.9, 1.0)}
_FIRST = Source("fitted", "neuron_published.csv: BERT rows of inf1 (14 rows), one factor", _READ_ON)
#: The same of a NeuronCore-v1, whose array and clocks are unpublished: one factor on both.
FIRST_TENSOR_ENGINE = {"efficiency": _fact(0.52, "1", _FIRST, 0.25, 0.86)}
FIRST_VECTOR_ENGINE = {"efficiency": _fact(0.545, "1", _FIRST, 0.26, 0.9)}
#: Bytes a second that one core of NeuronCore-v1 streams weights at: what single sequences take.
FIRST_TRANSFERS_BYTES_PER_SECOND = _fact(
    21.5e9,
    "byte/s",
    Source("fitted", "neuron_published.csv: BERT-base of one sequence on inf1 (8 rows)", _READ_ON),
    20e9,
    53.7e9,
)
#: Latency of one fused block on Neuron that no engine explains, and of one call.
NEURON_BLOCK_S = _fact(5.05e-6, "s", _ENCODERS, 4.0e-6, 6.9e-6)
NEURON_CALL_S = _fact(178e-6, "s", _ENCODERS, 140e-6, 194e-6)
#: Bytes a second that one virtual processor of the host copies to or from a core.
NEURON_HOST_BYTES_PER_VCPU = _fact(3.11e9, "byte/s", _ENCODERS, 1.6e9, 4.2e9)
#: By how much a call takes longer for every minor release of the compiler before `NEURON_SETTLED_RELEASE`.
NEURON_RELEASE_GROWTH = _fact(0.014, "1", _ENCODERS, 0.010, 0.018)
NEURON_SETTLED_RELEASE = 22
_STRATEGY = Source(
    "published",
    "neuronx-distributed-inference, get_flash_attention_strategy: below, the compiler's own code is faster",
    _READ_ON,
)
#: Queries from which on Neuron's libraries call their attention kernel: on a core by itself, and on two that
#: are one logical core.
NEURON_KERNEL_QUERIES = _fact(4096, "query", _STRATEGY)
NEURON_PAIRED_KERNEL_QUERIES = _fact(1024, "query", _STRATEGY)
#: What the transfer engines of a core sustain in the chips that exchanges were fitted on; rows that go round
#: rings are carried by these engines.
NEURON_FITTED_TRANSFERS_BYTES_PER_SECOND = 272e9
_TRAINING = Source("fitted", "neuron_published.csv: BERT-Large pre-training rows of trn1, by hand", _READ_ON)
#: Bytes a second at which one core of trn1 sums gradients with its copies, in one instance or several.
NEURON_GRADIENT_BYTES_PER_SECOND = _fact(3.0e9, "byte/s", _TRAINING, 2.0e9, 7.0e9)
_DECODE = Source(
    "fitted", "neuron_published.csv: LLM time per output token, inf2 and trn1 (78 rows)", _READ_ON
)
_PREFILL = Source(
    "fitted",
    "neuron_published.csv: LLM time to first token, inf2 and trn1 (76 rows)",
    _READ_ON,
)
#: Exchanges between the shards of a model on Neuron, besides their bytes: see `ExchangePolicy`.
NEURON_EXCHANGE = {
    "latency_s": _fact(32.3e-6, "s", _DECODE, 32.0e-6, 34.3e-6),
    "row_s": _fact(3.18e-6, "s", _DECODE, 2.9e-6, 3.2e-6),
    "ring_step_s": _fact(8.58e-6, "s", _PREFILL, 8.5e-6, 11.5e-6),
    "ring_row_s": _fact(0.206e-6, "s", _PREFILL, 0.13e-6, 0.23e-6),
    "ring_apart_row_s": _fact(0.300e-6, "s", _PREFILL, 0.29e-6, 0.36e-6),
    "ring_spilled_row_s": _fact(0.836e-6, "s", _PREFILL, 0.82e-6, 0.87e-6),
}

_JUDGED = Source("assumed", "as the Neuron compiler's fused blocks; no rows to fit", _READ_ON)
#: The same where XLA compiles for TPUs and Intel's compiler for Gaudi.
XLA_BLOCK_S = _fact(3e-6, "s", _JUDGED, 1e-6, 9e-6)
GAUDI_BLOCK_S = _fact(5e-6, "s", _JUDGED, 2e-6, 12e-6)
GRAPH_CALL_S = _fact(60e-6, "s", _JUDGED, 20e-6, 200e-6)
GRAPH_HOST_BYTES_PER_SECOND = _fact(
    10e9, "byte/s", Source("assumed", "PCIe of the host, pageable to pinned", _READ_ON), 5e9, 16e9
)
