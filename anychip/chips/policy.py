"""How a family's compiler and runtime turn graphs into programs, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from anychip.chips.inline import Inline
from anychip.chips.kernel_table import Rocblas
from anychip.facts import Fact


@dataclass(frozen=True, kw_only=True)
class ExchangePolicy:
    """What an exchange between the shards of a compiled graph takes besides its bytes.

    Rows go straight to every member, or round rings of neighbours, step by step: whichever is sooner.

    Args:
        latency_s: of any exchange.
        row_s: of every row that goes straight.
        ring_step_s: of one step from chip to chip.
        ring_row_s: of every row that goes round.
        ring_apart_row_s: besides, of every row of another sequence than the first.
        ring_spilled_row_s: in place of `ring_row_s` where the rows together do not fit the local memory.
        hides_rows: whether rows go round while the engines work, as in libraries that cut products and
            exchanges into tiles; otherwise both take turns.
    """

    latency_s: float
    row_s: float
    ring_step_s: float
    ring_row_s: float
    ring_apart_row_s: float
    ring_spilled_row_s: float
    hides_rows: bool = False


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Choices that belong to software, not silicon.

    Args:
        style: ``compiled`` fuses whatever the graph allows (Neuron, XLA); ``eager`` launches operator by
            operator and fuses only inside `torch.compile` regions; ``basecamp`` lowers one operator to one
            nest on a single core, edges exact.
        tile: (m, n, k) of one contraction tile.
        depth: slots of double-buffered operands.
        vector_tile: elements of one vector instruction where nothing else sets it.
        tiles: (m, n) of the result tiles that the vendor's library chooses from; empty: only `tile`.
        splits: into how many parts the library may cut the depth of one sum.
        batched_tiles: the menu for products of batches, by matrix engine; the others take `tiles`.
        kernel_tables: from which the library takes the kernel of the nearest problem; None: it chooses from
            the menus.
        steps: products of one sum that kernels of a matrix engine take at a time, so that sums are padded to
            whole steps; the others take as many as `tile` says.
        cluster: neighbouring cores that fetch an operand which their tiles share once, together.
        long_row: products of one 32-bit sum beyond which operands that both lie along it are fetched more
            slowly; 0 if never.
        long_row_s: time that every doubling beyond adds for each multiply-add of the chip: rows far apart
            miss the translation of addresses, which serves all cores.
        long_row_cycles: cycles of a core that every doubling beyond adds for each of its multiply-adds, where
            each core has a translation of its own.
        long_row_doublings: after which every access misses, so that nothing more is added.
        tiles_drift: whether tiles that share operands get apart along their sums, wave by wave.
        conflict_pitch_bytes: an operand's rows that are a multiple of it apart push each other out of the
            shared cache, so that every tile fetches them from main memory; 0: none do.
        conflict_share: of main memory's peak that such an operand reaches where all tiles start at the first
            product of a sum, so that they want the same channels at the same time; 0: as any other.
        unhidden_share: of the shorter of multiplying and fetching from main memory, what still shows beside
            the longer, because tiles wait for fetches that come late.
        throttled_byte_s: time by which a byte of main memory lengthens a product that the power limit
            decides: both draw from it.
        batch_blind: whether the library chooses the tiles of a batch as if it was one problem.
        bias_copied: whether a bias is first copied over the whole result, by a kernel of its own, and read
            from there by the product, as PyTorch does where its library has no product with a bias.
        biased_reach: of their rate without one, what products with a bias reach outside tensor cores.
        core_threads: threads that a core keeps in flight in row-wise kernels.
        request_bytes: with which a cache answers threads that walk operands element by element; 0: elements
            far apart cost what neighbours do.
        row_access: instructions of a thread for one access and what is done with it, in row-wise kernels; 0
            if nothing is known of them.
        row_start: accesses that starting a thread on a row and joining it with the others stand for.
        row_rest: what an access of single elements costs, beside one of 16 bytes.
        row_block: threads that normalise one row.
        column_fetches: how often sums of two operands over their columns, as of gain and shift of a
            normalisation, fetch them.
        row_kept_bytes: rows of softmax shorter than that are copied to the local memory, and blocks are as
            large as they can be; 0: they are walked again, by blocks of which every thread has two accesses.
        row_cache_share: part of the shared cache in which one core finds its rows again.
        row_hit_all: rows in flight, over a core's own cache and its part of the shared one, up to which all
            of them are still there when they are walked again.
        row_hit_none: the same, beyond which none is.
        operand_engine: transfer engine that feeds contractions, or the first word of its name where every
            matrix engine has its own; None takes the load route's.
        cache_share: part of the shared cache in which operands stay for the next tile.
        graph_cores: cores that one compiled graph runs on; 0: all of them.
        kernel_queries: queries of a sequence from which on attention is a kernel written by hand, which skips
            what a causal mask leaves out and overlaps all engines; 0: never.
        casts_ahead: whether a compiled graph keeps its operands in memory in the format in which they are
            multiplied.
        accumulators: result tiles that may wait for the vector unit; 1 makes both engines take turns.
        block_s: latency of one fused block that no engine explains.
        call_s: latency of one call of a compiled graph.
        dispatch_s: host time to launch one kernel; a kernel waits for it while the device is not behind.
        idle_dispatch_s: host time of one eager call on a stream that was idle, by class of operators; what a
            measurement by events round one call contains.
        traced_dispatch: part of that which a measurement by events inside a running model contains.
        host_bytes_per_second: sustained between host and device.
        release_growth: by how much a call takes longer for every minor release of the compiler before the
            settled one; programs are those of a settled compiler.
        settled_release: minor release from which on programs hardly get faster.
        exchange: cost of exchanges between shards of one call; None: their bytes alone.
        inline: software that runs on the chip's own cores, operator by operator; None: a host launches
            kernels.
        facts: sources of the numbers above and of the family's fitted constants.
    """

    style: Literal["compiled", "eager", "basecamp"]
    tile: tuple[int, int, int]
    depth: int = 2
    vector_tile: int = 4096
    tiles: tuple[tuple[int, int], ...] = ()
    splits: tuple[int, ...] = (1,)
    core_threads: int = 2048
    request_bytes: int = 0
    row_access: float = 0.0
    row_start: float = 0.0
    row_rest: float = 1.0
    row_block: int = 128
    column_fetches: float = 1.0
    row_kept_bytes: int = 0
    row_cache_share: float = 1.0
    row_hit_all: float = 0.45
    row_hit_none: float = 1.61
    operand_engine: str | None = None
    batched_tiles: Mapping[str, tuple[tuple[int, int], ...]] = field(
        default_factory=dict[str, tuple[tuple[int, int], ...]]
    )
    kernel_tables: Rocblas | None = None
    steps: Mapping[str, int] = field(default_factory=dict[str, int])
    cluster: int = 1
    long_row: int = 0
    long_row_s: float = 0.0
    long_row_cycles: float = 0.0
    long_row_doublings: int = 1
    tiles_drift: bool = False
    conflict_pitch_bytes: int = 0
    conflict_share: float = 0.0
    unhidden_share: float = 0.0
    throttled_byte_s: float = 0.0
    batch_blind: bool = False
    bias_copied: bool = False
    biased_reach: float = 1.0
    cache_share: float = 0.5
    graph_cores: int = 0
    kernel_queries: int = 0
    casts_ahead: bool = False
    accumulators: int = 2
    block_s: float = 0.0
    call_s: float = 0.0
    dispatch_s: float = 0.0
    idle_dispatch_s: Mapping[str, float] = field(default_factory=dict[str, float])
    traced_dispatch: float = 1.0
    host_bytes_per_second: float | None = None
    release_growth: float = 0.0
    settled_release: int = 0
    exchange: ExchangePolicy | None = None
    inline: Inline | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict, repr=False, compare=False)

    @property
    def knows_row_kernels(self) -> bool:
        """Whether it is known how the library's kernels walk rows."""
        return self.row_access > 0
