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


class Tiling(NamedTuple):
    """Result tiles of m x n, k products a step, every sum cut into `splits`."""

    m: int
    n: int
    k: int
    splits: int

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


def choose(chip: Chip, problem: Problem) -> Tiling:
    """The tiling with the shortest estimate among the policy's menu.

    A tile whose double-buffered operands do not fit the local memory takes shorter steps, down to the
    policy's granule, or drops out.
    """
    name = chip.multiplier(problem.format)
    unit = chip.engines[name].block
    assert isinstance(unit, MatrixEngine)  # noqa: S101 - `multiplier` names a matrix engine
    menu = chip.policy.tiles or (chip.policy.tile[:2],)
    if problem.copies > 1:
        menu = chip.policy.batched_tiles.get(name, menu)
    best: tuple[float, Tiling] | None = None
    for m, n in menu:
        step = _step(chip, m, n, problem)
        if step is None:
            continue
        whole = Tiling(m, n, step, 1)
        enough = whole.tiles(problem) >= _FULL_WAVES * chip.cores * resident_tiles(unit, whole)
        for splits in chip.policy.splits:
            if splits > 1 and (enough or problem.k < splits * 2 * step):
                continue
            tiling = Tiling(m, n, step, splits)
            ticks = estimate(chip, unit, problem, tiling)
            if best is None or ticks < best[0]:
                best = ticks, tiling
    if best is not None:
        return best[1]
    return Tiling(*min(menu, key=lambda tile: tile[0] * tile[1]), 1, 1)


def _step(chip: Chip, m: int, n: int, problem: Problem) -> int | None:
    """Products per step that fit the local memory: the policy's, or fewer."""
    step = min(chip.policy.tile[2], max(1, problem.k))
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
    if not cache:
        return float(columns), float(rows)
    if problem.left_bytes + problem.right_bytes < cache_share(chip, problem) * cache:
        return 1.0, 1.0
    flying = chip.cores * resident
    side = sqrt(flying * tiling.m * tiling.n)
    patch_rows = min(rows, max(1.0, side / tiling.m))
    patch_columns = min(columns, max(1.0, flying / patch_rows))
    patch_rows = min(rows, max(1.0, flying / patch_columns))
    return max(1.0, columns / patch_columns), max(1.0, rows / patch_rows)


def partial_bytes(problem: Problem, tiling: Tiling) -> int:
    """Bytes of the parts of split sums, 0 without splitting; they are fp32."""
    if tiling.splits == 1:
        return 0
    return tiling.splits * problem.copies * problem.m * problem.n * 4


def cache_share(chip: Chip, problem: Problem) -> float:
    """Part of the shared cache in which operands of the problem stay."""
    return chip.policy.cache_shares.get(chip.multiplier(problem.format), chip.policy.cache_share)


def spilled_share(chip: Chip, size_bytes: float) -> float:
    """Part of an intermediate that the shared cache cannot hold, so that it crosses to main memory."""
    room = chip.policy.cache_share * shared_cache_bytes(chip)
    return 0.0 if size_bytes <= room else 1.0 - room / size_bytes


def estimate(chip: Chip, unit: MatrixEngine, problem: Problem, tiling: Tiling) -> float:
    """Ticks that the tiling might take: the slowest of arithmetic, main memory and cache port."""
    resident = resident_tiles(unit, tiling)
    tiles, depth = tiling.tiles(problem), tiling.depth(problem)
    extents = (tiling.m, tiling.n, depth)
    busy = float(unit.timing("multiply", extents, problem.format).busy)
    if getattr(unit, "drain_depth", 0):
        busy += unit.timing("drain", extents[:2], problem.format).busy
    busy *= chip.clock_hz / chip.clock_of(unit)
    full, rest = divmod(tiles, chip.cores * resident)
    companions = ceil_div(rest, chip.cores)
    compute = full * resident * busy * unit.slowdown("multiply", extents, Crowd(resident, resident))
    if companions:
        tail = Crowd(companions, resident, rest / (chip.cores * companions), first=not full)
        compute += companions * busy * unit.slowdown("multiply", extents, tail)
    left, right = far_reads(chip, problem, tiling, resident)
    far = left * problem.left_bytes + right * problem.right_bytes + problem.result_bytes
    partial = partial_bytes(problem, tiling)
    spilled = partial * spilled_share(chip, partial)
    stage, far_link = chip.operand_engine(chip.multiplier(problem.format)), chip.load.links[0]
    far_ticks = chip.clock_hz / chip.link_rate(stage, far_link)
    stored = (spilled if partial else problem.result_bytes) * far_ticks
    fetched = (far - problem.result_bytes) * far_ticks
    near = joined = shown = 0.0
    if len(chip.load.links) > 1:
        link = chip.links[chip.load.links[-1]]
        ports = 1 if link.shared else min(chip.cores, tiles)
        near_ticks = chip.clock_hz / (chip.link_rate(stage, chip.load.links[-1]) * ports)
        store_ticks = chip.clock_hz / (link.sustained_bytes_per_second * ports)
        moved = tiles * (min(tiling.m, problem.m) + min(tiling.n, problem.n)) * depth * problem.element
        near, joined = moved * near_ticks, partial * store_ticks
        shown = (partial or problem.result_bytes) * store_ticks
    # What the last wave stores nothing hides.
    waves = max(1.0, tiles / (chip.cores * resident))
    shown = max(stored, shown) / waves
    if partial:
        joined = max(joined, (spilled + problem.result_bytes) * far_ticks)
        joined += chip.sequencer.launch_cycles + chip.clock_hz * 1e-6
    return max(max(compute, fetched, near) + shown, fetched + stored) + joined + 1e-3 * near
