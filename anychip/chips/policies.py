"""Policies of the families' software: the menus of libraries, and fitted constants put in their places."""

from __future__ import annotations

from collections.abc import Mapping

from anychip.chips.fitted import (
    CACHE_SHARE,
    COLUMN_FETCHES,
    CONFLICT_SHARE,
    DISPATCH_S,
    GAUDI_BLOCK_S,
    GRAPH_CALL_S,
    GRAPH_HOST_BYTES_PER_SECOND,
    HOST_BYTES_PER_SECOND,
    IDLE_DISPATCH_S,
    LONG_ROWS,
    NEURON_BLOCK_S,
    NEURON_CALL_S,
    NEURON_EXCHANGE,
    NEURON_FITTED_TRANSFERS_BYTES_PER_SECOND,
    NEURON_HOST_BYTES_PER_VCPU,
    NEURON_KERNEL_QUERIES,
    NEURON_PAIRED_KERNEL_QUERIES,
    NEURON_RELEASE_GROWTH,
    NEURON_SETTLED_RELEASE,
    ROW_WAITS,
    TRACED_DISPATCH,
    UNHIDDEN_SHARE,
    XLA_BLOCK_S,
)
from anychip.chips.kernel_table import Rocblas
from anychip.chips.policy import ExchangePolicy, Policy
from anychip.chips.power_limit import STATIC_W_PER_MM2
from anychip.chips.sources import recalled
from anychip.facts import Fact

#: Of one row of a normalisation, four wavefronts: PyTorch, aten/src/ATen/native/cuda/thread_constants.h.
_NORMALISING_THREADS = {"nvidia": 128, "amd": 256}
#: A sector of NVIDIA's caches, and a line of the first-level cache of CDNA 1 and 2.
_REQUEST_BYTES = {
    "nvidia": recalled(
        32, "byte", "CUDA C++ Best Practices Guide, Coalesced Access to Global Memory: sectors"
    ),
    "amd": recalled(64, "byte", "CDNA 1 and 2 whitepapers: lines of the first-level cache"),
}
#: Softmax as in the PyTorch that was measured: 2.4 on AMD's chips copies rows to local memory, 2.1 on
#: NVIDIA's does not yet.
_KEPT_ROW_BYTES = {"nvidia": 0, "amd": 65536}
_TILES = ((128, 128), (128, 64), (64, 128), (64, 64), (128, 32), (32, 128), (64, 32), (32, 64), (32, 32))
_LARGE_TILES = ((256, 128), (128, 256))
#: Of hipBLASLt on CDNA 3 and later: AMD's tuning guides for MI300X name its kernels MT256x256x64.
_LARGEST_TILES = ((256, 256),)
_WIDE_TILES = ((256, 64), (64, 256))
_THIN_TILES = ((64, 16), (16, 64), (128, 16), (16, 128))
#: What libraries have for batches on CUDA cores, by `Generation.batched_menu`.
_BATCHED_TILES = {"square": ((128, 128),), "flat": ((128, 128), (64, 128)), "all": ()}
_SPLITS = (1, 2, 4, 8, 16)
#: Rows of operands so far apart, or a multiple of it, share few places of the L2 cache of MI100 and MI210:
#: linear layers over 32,768 and 65,536 inputs take as long as if main memory gave every tile its operands,
#: those over 50,272 do not (gpu_ops.csv).
_CONFLICT_PITCH_BYTES = 131072
#: Products of a sum that a kernel on CUDA cores takes at a time: the last number in the names of cuBLAS' and
#: CUTLASS' kernels for them, such as cutlass_80_simt_sgemm_128x128_8x4.
_SIMT_STEP = 8


def gpu_policy(
    *,
    tensor_cores: bool,
    maker: str,
    batched_menu: str = "square",
    long_rows: str | None = None,
    core_threads: int = 2048,
    cache_parts: int = 1,
    cluster: int = 1,
    largest_tiles: bool = False,
    throttled_byte: Fact | None = None,
    kernel_tables: Rocblas | None = None,
    biased_reach: Fact | None = None,
) -> Policy:
    """Eager PyTorch on a GPU: one kernel per operator, libraries that choose among tiles and depth splits.

    Args:
        tensor_cores: whether the chip has them; their libraries have larger tiles.
        maker: ``"nvidia"`` or ``"amd"``.
        batched_menu: which tiles batches on CUDA cores have.
        long_rows: key of `LONG_ROWS`, None where long sums cost nothing extra.
        core_threads: that a multiprocessor holds.
        cache_parts: parts of the shared cache, each of which serves its own multiprocessors.
        cluster: multiprocessors that fetch shared operands together.
        largest_tiles: whether tiles of 256 x 256 results are on the menu.
        throttled_byte: of `throttled_byte_s`; None: memory takes nothing from the power limit.
        kernel_tables: of the library; None: it chooses from menus.
        biased_reach: see `Policy`; None: as much as without a bias.
    """
    menu = _BATCHED_TILES[batched_menu]
    limit, doublings, cost = LONG_ROWS[long_rows] if long_rows else (0, 1, None)
    facts = {
        "dispatch_s": DISPATCH_S,
        "host_bytes_per_second": HOST_BYTES_PER_SECOND,
        "cache_share": CACHE_SHARE,
        "static_w_per_mm2": STATIC_W_PER_MM2,
        "request_bytes": _REQUEST_BYTES[maker],
    }
    idle = IDLE_DISPATCH_S["amd" if maker == "amd" else "nvidia"]
    waits = ROW_WAITS["amd" if maker == "amd" else "nvidia"]
    if maker == "amd":
        facts["column_fetches"] = COLUMN_FETCHES
    if kernel_tables is not None:
        facts |= {"conflict_share": CONFLICT_SHARE, "unhidden_share": UNHIDDEN_SHARE}
    facts |= waits | {"traced_dispatch": TRACED_DISPATCH[maker]}
    facts |= {f"idle_dispatch_s.{name}": fact for name, fact in idle.items()}
    if biased_reach is not None:
        facts["biased_reach"] = biased_reach
    if cost is not None:
        facts["long_row_s" if cost.unit == "s" else "long_row_cycles"] = cost
    if throttled_byte is not None:
        facts["throttled_byte_s"] = throttled_byte
    return Policy(
        style="eager",
        tile=(128, 128, 32),
        depth=3,
        tiles=_TILES
        + (_LARGE_TILES + _WIDE_TILES + _THIN_TILES if tensor_cores else _WIDE_TILES)
        + (_LARGEST_TILES if largest_tiles else ()),
        batched_tiles={"fma": menu} if menu else {},
        steps={"fma": _SIMT_STEP},
        splits=_SPLITS,
        operand_engine="stage",
        core_threads=core_threads,
        request_bytes=int(_REQUEST_BYTES[maker].value),
        row_cache_share=1 / cache_parts,
        row_access=waits["row_access"].value,
        row_start=waits["row_start"].value,
        row_rest=waits["row_rest"].value,
        row_hit_all=waits["row_hit_all"].value,
        row_hit_none=waits["row_hit_none"].value,
        row_block=_NORMALISING_THREADS[maker],
        row_kept_bytes=_KEPT_ROW_BYTES[maker],
        column_fetches=COLUMN_FETCHES.value if maker == "amd" else 1.0,
        cache_share=CACHE_SHARE.value,
        cluster=cluster,
        long_row=limit,
        long_row_s=cost.value if cost and cost.unit == "s" else 0.0,
        long_row_cycles=cost.value if cost and cost.unit == "cycle" else 0.0,
        long_row_doublings=doublings,
        tiles_drift=kernel_tables is not None,
        conflict_pitch_bytes=_CONFLICT_PITCH_BYTES if kernel_tables else 0,
        conflict_share=CONFLICT_SHARE.value if kernel_tables else 0.0,
        unhidden_share=UNHIDDEN_SHARE.value if kernel_tables else 0.0,
        throttled_byte_s=throttled_byte.value if throttled_byte else 0.0,
        batch_blind=maker == "amd",
        kernel_tables=kernel_tables,
        bias_copied=maker == "amd" and not largest_tiles,
        biased_reach=biased_reach.value if biased_reach else 1.0,
        dispatch_s=DISPATCH_S.value,
        idle_dispatch_s={name: fact.value for name, fact in idle.items()},
        traced_dispatch=TRACED_DISPATCH[maker].value,
        host_bytes_per_second=HOST_BYTES_PER_SECOND.value,
        facts=facts,
    )


def neuron_exchange(
    constants: Mapping[str, float], transfers_bytes_per_second: float | None, *, paired: bool
) -> ExchangePolicy:
    """What exchanges take on a Neuron chip.

    Args:
        constants: of `NEURON_EXCHANGE`, fitted where a core's transfer engines sustain 272 GB/s.
        transfers_bytes_per_second: what those of a core of this chip sustain; None: as much.
        paired: whether two physical cores are one logical core, which NxD Inference serves: it cuts products
            and exchanges into tiles that overlap.
    """
    fitted = NEURON_FITTED_TRANSFERS_BYTES_PER_SECOND
    slower = fitted / (transfers_bytes_per_second or fitted)
    carried = ("ring_row_s", "ring_apart_row_s", "ring_spilled_row_s")
    return ExchangePolicy(
        **{name: constants[name] * (slower if name in carried else 1.0) for name in NEURON_EXCHANGE},
        hides_rows=paired,
    )


def neuron_policy(
    host_vcpus: float, transfers_bytes_per_second: float | None, *, generation: int = 2
) -> Policy:
    """A graph compiled by neuronx-cc for one core: fused blocks, tensor and vector engines taking turns.

    Args:
        host_vcpus: virtual processors of the smallest instance for each core; they copy results.
        transfers_bytes_per_second: that the transfer engines of a core sustain; None: as v2's.
        generation: of the cores. From the third on, two physical cores are one logical core; the first has a
            compiler of its own, whose programs did not change (rows of releases 2.5 and 2.20 are equal).
    """
    paired = generation >= 3
    host = NEURON_HOST_BYTES_PER_VCPU.scaled(host_vcpus)
    constants = {name: fact.value for name, fact in NEURON_EXCHANGE.items()}
    queries = NEURON_PAIRED_KERNEL_QUERIES if paired else NEURON_KERNEL_QUERIES
    return Policy(
        style="compiled",
        tile=(512, 128, 128),
        depth=2,
        graph_cores=1,
        kernel_queries=round(queries.value),
        casts_ahead=True,
        accumulators=1,
        block_s=NEURON_BLOCK_S.value,
        call_s=NEURON_CALL_S.value,
        host_bytes_per_second=host.value,
        release_growth=NEURON_RELEASE_GROWTH.value if generation > 1 else 0.0,
        settled_release=NEURON_SETTLED_RELEASE,
        exchange=neuron_exchange(constants, transfers_bytes_per_second, paired=paired),
        facts={
            "kernel_queries": queries,
            "block_s": NEURON_BLOCK_S,
            "call_s": NEURON_CALL_S,
            "host_bytes_per_second": host,
            "release_growth": NEURON_RELEASE_GROWTH,
        }
        | {f"exchange_{name}": fact for name, fact in NEURON_EXCHANGE.items()},
    )


def xla_policy() -> Policy:
    """A graph compiled by XLA for TPUs: fused blocks, arrays and vector unit overlapping."""
    return _graph_policy(tile=(512, 128, 128), block_s=XLA_BLOCK_S)


def graph_policy() -> Policy:
    """A graph compiled by Intel's compiler for Gaudi: fused blocks, engines overlapping."""
    return _graph_policy(tile=(256, 256, 256), block_s=GAUDI_BLOCK_S)


def _graph_policy(*, tile: tuple[int, int, int], block_s: Fact) -> Policy:
    call, host = GRAPH_CALL_S, GRAPH_HOST_BYTES_PER_SECOND
    return Policy(
        style="compiled",
        tile=tile,
        depth=2,
        accumulators=2,
        block_s=block_s.value,
        call_s=call.value,
        host_bytes_per_second=host.value,
        facts={"block_s": block_s, "call_s": call, "host_bytes_per_second": host},
    )
