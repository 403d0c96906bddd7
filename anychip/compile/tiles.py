"""Which result tile a vendor's library would take, and what reuse between tiles leaves of the traffic.

Choosing uses a quick estimate; the price is always the simulator's.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from anychip.blocks import Crowd, MatrixEngine, ceil_div
from anychip.chips import Chip
from anychip.compile.layout import local_memory, shared_cache_bytes

#: Most tiles that a core keeps in flight.
_MOST_RESIDENT = 8
#: Waves of tiles beyond which no library cuts sums into parts.
_FULL_WAVES = 2


class Problem(NamedTuple):
    """A contraction as far as tiling sees it.

    Args:
        copies: independent problems.
        m: rows.
        n: columns.
        k: products in a sum.
        left_bytes: distinct bytes of the left operand, all problems.
        right_bytes: of the right operand.
        result_bytes: of the result.
        element: bytes of one operand element as it is loaded.
        format: in which products are formed.
        layout: along which index the left and the right operand lie, such as ``kn``; empty where the library
            that multiplies has no tables of kernels.
        pitches: bytes between neighbouring rows of the left and the right operand in memory, across the index
            along which they lie; 0 where it does not matter.
    """

    copies: int
    m: int
    n: int
    k: int
    left_bytes: int
    right_bytes: int
    result_bytes: int
    element: float
    format: str
    layout: str = ""
    pitches: tuple[int, int] = (0, 0)

    def alone(self) -> Problem:
        """One problem of the batch."""
        left, right, result = (
            size // self.copies for size in (self.left_bytes, self.right_bytes, self.result_bytes)
        )
        return self._replace(copies=1, left_bytes=left, right_bytes=right, result_bytes=result)


class Tiling(NamedTuple):
    """Result tiles of m x n, k products a step, every sum cut into `splits`.

    `engine` is the matrix engine that multiplies; empty: the chip's first that takes the format. `aligned`:
    all tiles start at the first product of their sums.
    """

    m: int
    n: int
    k: int
    splits: int
    engine: str = ""
    aligned: bool = False

    def tiles(self, problem: Problem) -> int:
        """Iterations of the grid."""
        return problem.copies * ceil_div(problem.m, self.m) * ceil_div(problem.n, self.n) * self.splits

    def depth(self, problem: Problem) -> int:
        """Products of one sum that one iteration forms, padded to whole steps."""
        return ceil_div(ceil_div(problem.k, self.splits), self.k) * self.k


def resident_tiles(unit: MatrixEngine, tiling: Tiling) -> int:
    """Tiles in flight on one core: as many as fill its accumulators."""
    full = getattr(unit, "full_results", 1)
    return min(_MOST_RESIDENT, max(1, full // (tiling.m * tiling.n)))


class Rates(NamedTuple):
    """What estimates need of a chip, for products in one format.

    Args:
        cores: of the chip.
        unit: that multiplies.
        clock_ratio: chip ticks in a cycle of it.
        far_ticks: of a byte of operands over the link of main memory.
        stored_ticks: of a byte of results there.
        near_ticks: of a byte of operands over the link nearest the cores, one core's if it is not shared; 0
            without one.
        kept_ticks: of a byte of results there.
        shared: whether all cores share that link.
        joined_ticks: that a second launch takes at least.
    """

    cores: int
    unit: MatrixEngine
    clock_ratio: float
    far_ticks: float
    stored_ticks: float
    near_ticks: float
    kept_ticks: float
    shared: bool
    joined_ticks: float

    @classmethod
    def of(cls, chip: Chip, format_name: str, engine: str = "") -> Rates:
        """Of a chip and an engine; empty: the one that it multiplies a format in."""
        name = engine or chip.multiplier(format_name)
        unit = chip.engines[name].block
        assert isinstance(unit, MatrixEngine)  # noqa: S101 - `multiplier` names a matrix engine
        stage, far = chip.operand_engine(name), chip.load.links[0]
        near = chip.load.links[-1] if len(chip.load.links) > 1 else ""
        return cls(
            cores=chip.cores,
            unit=unit,
            clock_ratio=chip.clock_hz / chip.clock_of(unit),
            far_ticks=chip.clock_hz / chip.link_rate(stage, far),
            stored_ticks=chip.clock_hz / chip.links[far].sustained_bytes_per_second,
            near_ticks=chip.clock_hz / chip.link_rate(stage, near) if near else 0.0,
            kept_ticks=chip.clock_hz / chip.links[near].sustained_bytes_per_second if near else 0.0,
            shared=chip.links[near].shared if near else True,
            joined_ticks=chip.sequencer.launch_cycles + chip.clock_hz * 1e-6,
        )


def choose(chip: Chip, problem: Problem) -> Tiling:
    """The tiling of the library's tables, or with the shortest estimate among the policy's menu.

    A tile whose double-buffered operands do not fit the local memory takes shorter steps, down to the
    policy's granule, or drops out.
    """
    if chip.policy.inline is not None:
        return even(chip, problem)
    listed = _listed(chip, problem)
    if listed is not None:
        return listed
    rates = Rates.of(chip, problem.format)
    menu = chip.policy.tiles or (chip.policy.tile[:2],)
    if problem.copies > 1:
        menu = chip.policy.batched_tiles.get(chip.multiplier(problem.format), menu)
        if chip.policy.batch_blind:
            problem = problem.alone()
    usual = chip.policy.steps.get(chip.multiplier(problem.format), chip.policy.tile[2])
    best: tuple[float, Tiling] | None = None
    for m, n in menu:
        step = _step(chip, m, n, usual, problem)
        if step is None:
            continue
        whole = Tiling(m, n, step, 1)
        tiles = whole.tiles(problem)
        enough = _FULL_WAVES * chip.cores * resident_tiles(rates.unit, whole)
        parted = 1
        for splits in chip.policy.splits:
            if splits > 1 and (tiles * parted >= enough or problem.k < splits * 2 * step):
                break
            parted = splits
            tiling = Tiling(m, n, step, splits)
            ticks = estimate(chip, rates, problem, tiling)
            if best is None or ticks < best[0]:
                best = ticks, tiling
    if best is not None:
        return best[1]
    return Tiling(*min(menu, key=lambda tile: tile[0] * tile[1]), 1, 1)


def _listed(chip: Chip, problem: Problem) -> Tiling | None:
    """What the library's table says, if it has one for such operands."""
    tables = chip.policy.kernel_tables
    table = None if tables is None else tables.table(problem.format, problem.layout)
    if table is None:
        return None
    kernel = table.nearest(problem.m, problem.n, problem.k)
    step = _step(chip, kernel.m, kernel.n, kernel.k, problem)
    if step is None or problem.format not in getattr(chip.engines[kernel.engine].block, "rates", ()):
        return None
    splits = min(kernel.splits, ceil_div(problem.k, step))
    return Tiling(kernel.m, kernel.n, step, splits, kernel.engine, not kernel.staggered)


def even(chip: Chip, problem: Problem) -> Tiling:
    """The result cut into as many equal parts as there are cores; blocking inside a part is the library's.

    Copies are shared out first; the longer side of the result is cut for the cores that are left over.
    """
    parts = max(1, chip.cores // problem.copies)
    rows = min(problem.m, parts) if problem.m >= problem.n else 1
    columns = 1 if rows > 1 else min(problem.n, parts)
    steps = ceil_div(problem.k, chip.policy.tile[2])
    return Tiling(ceil_div(problem.m, rows), ceil_div(problem.n, columns), ceil_div(problem.k, steps), 1)


def _step(chip: Chip, m: int, n: int, usual: int, problem: Problem) -> int | None:
    """Products per step that fit the local memory: the usual ones, or fewer."""
    step = min(usual, max(1, problem.k))
    capacity = chip.memories[local_memory(chip)].capacity_bytes
    per_product = chip.policy.depth * (m + n) * problem.element + 0.0
    while step > 1 and step * per_product > capacity:
        step //= 2
    return step if step * per_product <= capacity else None


def far_reads(chip: Chip, problem: Problem, tiling: Tiling, resident: int) -> tuple[float, float]:
    """How often the left and the right operand cross the link of main memory.

    Once if both stay in their share of the shared cache; otherwise as often as a near-square patch of the
    tiles in flight needs them again. Without a shared cache nothing is shared between cores.
    """
    rows, columns = ceil_div(problem.m, tiling.m), ceil_div(problem.n, tiling.n)
    cache = shared_cache_bytes(chip)
    if chip.policy.inline is not None:
        return 1.0, 1.0
    if not cache:
        return float(columns), float(rows)
    reads = _patch_reads(chip, problem, tiling, resident, cache)
    lost = _lost(chip, problem, tiling, resident, cache)
    left, right = (1.0 if _conflicts(chip, pitch) else lost for pitch in problem.pitches)
    return reads[0] + (columns - reads[0]) * left, reads[1] + (rows - reads[1]) * right


def _patch_reads(
    chip: Chip, problem: Problem, tiling: Tiling, resident: int, cache: int
) -> tuple[float, float]:
    """How often operands cross the link where tiles in flight walk along their sums together."""
    rows, columns = ceil_div(problem.m, tiling.m), ceil_div(problem.n, tiling.n)
    if problem.left_bytes + problem.right_bytes < chip.policy.cache_share * cache:
        return 1.0, 1.0
    flying = chip.cores * resident
    side = sqrt(flying * tiling.m * tiling.n)
    patch_rows = min(rows, max(1.0, side / tiling.m))
    patch_columns = min(columns, max(1.0, flying / patch_rows))
    patch_rows = min(rows, max(1.0, flying / patch_columns))
    return max(1.0, columns / patch_columns), max(1.0, rows / patch_rows)


def _lost(chip: Chip, problem: Problem, tiling: Tiling, resident: int, cache: int) -> float:
    """Part of what tiles share that the cache has dropped before the next tile asks for it.

    Where tiles get apart along their sums, after many waves one after the other, all others fetch as much as
    one tile does in all between two that share an operand.
    """
    if not chip.policy.tiles_drift:
        return 0.0
    waves = tiling.tiles(problem) / (chip.cores * resident)
    fetched = (tiling.m + tiling.n) * problem.k * problem.element
    if waves <= _FULL_WAVES or fetched <= cache:
        return 0.0
    return (1.0 - _FULL_WAVES / waves) * min(1.0, fetched / cache - 1.0)


def _conflicts(chip: Chip, pitch: int) -> bool:
    """Whether rows so far apart want the same few places of the shared cache and push each other out."""
    limit = chip.policy.conflict_pitch_bytes
    return limit > 0 and pitch > 0 and pitch % limit == 0


def channel_ticks(
    chip: Chip, problem: Problem, tiling: Tiling, reads: tuple[float, float], engine: str
) -> float:
    """Time that operands take longer whose rows lie in the same few channels of main memory.

    Tiles that all start at the first product ask the same channels at the same time; parts of sums start at
    different ones.

    Args:
        reads: how often the left and the right operand cross the link of main memory.
        engine: that fetches them.
    """
    if not tiling.aligned or not chip.policy.conflict_share:
        return 0.0
    sides = zip(problem.pitches, reads, (problem.left_bytes, problem.right_bytes), strict=True)
    moved = sum(times * size for pitch, times, size in sides if _conflicts(chip, pitch))
    link = chip.load.links[0]
    usual = chip.link_rate(engine, link)
    crowded = chip.links[link].bytes_per_second * chip.policy.conflict_share * sqrt(tiling.splits)
    return max(0.0, moved / min(usual, crowded) - moved / usual) * chip.clock_hz


def partial_bytes(problem: Problem, tiling: Tiling) -> int:
    """Bytes of the parts of split sums, 0 without splitting; they are fp32."""
    if tiling.splits == 1:
        return 0
    return tiling.splits * problem.copies * problem.m * problem.n * 4


def spilled_share(chip: Chip, size_bytes: float) -> float:
    """Part of an intermediate that the shared cache cannot hold, so that it crosses to main memory."""
    room = chip.policy.cache_share * shared_cache_bytes(chip)
    return 0.0 if size_bytes <= room else 1.0 - room / size_bytes


def unhidden_ticks(
    chip: Chip, problem: Problem, tiling: Tiling, reads: tuple[float, float], engine: str
) -> float:
    """What tiles wait for fetches that come late: a share of the shorter of multiplying and fetching.

    Args:
        reads: how often the left and the right operand cross the link of main memory.
        engine: that multiplies.
    """
    share = chip.policy.unhidden_share
    if not share:
        return 0.0
    rates = Rates.of(chip, problem.format, engine)
    return share * min(sum(_multiplied(rates, problem, tiling)), _fetched(rates, problem, reads))


def biased_ticks(chip: Chip, problem: Problem, tiling: Tiling, engine: str) -> float:
    """What multiplying takes longer in a kernel that adds a bias."""
    reach = chip.policy.biased_reach
    if reach == 1.0 or engine != "fma":
        return 0.0
    return (1 / reach - 1) * sum(_multiplied(Rates.of(chip, problem.format, engine), problem, tiling))


def _fetched(rates: Rates, problem: Problem, reads: tuple[float, float]) -> float:
    """Ticks in which operands cross the link of main memory."""
    return (reads[0] * problem.left_bytes + reads[1] * problem.right_bytes) * rates.far_ticks


def _multiplied(rates: Rates, problem: Problem, tiling: Tiling) -> tuple[float, float]:
    """Ticks of arithmetic in full waves of tiles, and in the last one."""
    unit, cores = rates.unit, rates.cores
    resident = resident_tiles(unit, tiling)
    tiles, depth = tiling.tiles(problem), tiling.depth(problem)
    extents = (tiling.m, tiling.n, depth)
    busy = float(unit.timing("multiply", extents, problem.format).busy)
    if getattr(unit, "drain_depth", 0):
        busy += unit.timing("drain", extents[:2], problem.format).busy
    busy *= rates.clock_ratio
    full, rest = divmod(tiles, cores * resident)
    companions = ceil_div(rest, cores)
    waves = tail = 0.0
    if full:
        waves = full * resident * busy * unit.slowdown("multiply", extents, Crowd(resident, resident))
    if companions:
        crowd = Crowd(companions, resident, rest / (cores * companions), first=not full)
        tail = companions * busy * unit.slowdown("multiply", extents, crowd)
    return waves, tail


def estimate(chip: Chip, rates: Rates, problem: Problem, tiling: Tiling) -> float:
    """Ticks that the tiling might take: the slowest of arithmetic, main memory and cache port."""
    cores, tiles = rates.cores, tiling.tiles(problem)
    resident = resident_tiles(rates.unit, tiling)
    waves, tail = _multiplied(rates, problem, tiling)
    fetched = _fetched(rates, problem, far_reads(chip, problem, tiling, resident))
    partial = partial_bytes(problem, tiling)
    written = partial or problem.result_bytes
    spilled = written * spilled_share(chip, written)
    stored = spilled * rates.stored_ticks
    ports = 1 if rates.shared else min(cores, tiles)
    rows, columns = ceil_div(problem.m, tiling.m), ceil_div(problem.n, tiling.n)
    shared = min(chip.policy.cluster, rows)
    moved = problem.copies * problem.k * problem.element * (problem.m * columns + problem.n * rows / shared)
    near = moved * rates.near_ticks / ports
    # What the last wave stores nothing hides.
    kept = written * rates.kept_ticks / ports
    shown = max(stored, kept) / max(1.0, tiles / (cores * resident))
    joined = 0.0
    if partial:
        again = (spilled + problem.result_bytes) * rates.stored_ticks
        joined = max(partial * rates.kept_ticks / ports, again) + rates.joined_ticks
    # Full waves and the last one follow each other; each takes as long as its slowest resource.
    links, last = max(fetched, near), tiles % (cores * resident) / tiles
    walked = max(waves, links * (1 - last)) + max(tail, links * last)
    return max(walked + shown, fetched + stored) + joined + 1e-3 * near
