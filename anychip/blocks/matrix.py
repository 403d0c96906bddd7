"""Matrix engines: the blocks that multiply and accumulate.

Three organisations cover the chips of the catalogue; all answer the operation ``multiply`` on a tile of
m x n results and k products each, and ``drain``, which reads accumulators out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import ClassVar, NamedTuple

from anychip.blocks.block import Block, Timing, ceil_div, require_share
from anychip.errors import InvalidDescription, NotModelled


class Crowd(NamedTuple):
    """How full a core is while a tile of a grid runs on it.

    Args:
        resident: tiles in flight there.
        usual: tiles that the grid keeps in flight while enough are left.
        filled: share of the places of this wave, over all cores, that hold a tile.
        first: whether no full wave went before.
    """

    resident: int
    usual: int
    filled: float = 1.0
    first: bool = True


@dataclass(frozen=True, kw_only=True)
class MatrixEngine(Block):
    """What matrix engines share.

    Args:
        rates: multiply-adds per cycle relative to the native rate, by operand format; a format that is
            not named cannot be an operand.
    """

    rates: Mapping[str, float]

    operations: ClassVar[tuple[str, ...]] = ("multiply", "drain")

    @property
    def native_macs_per_cycle(self) -> float:
        """Multiply-adds a cycle at rate 1."""
        raise NotImplementedError

    def timing(self, operation: str, extents: tuple[int, ...], format_name: str) -> Timing:
        """Uncontended cycles of an operation on (m, n, k) with operands in a format."""
        raise NotImplementedError

    def rate(self, format_name: str) -> float:
        """Relative rate of an operand format.

        Raises:
            NotModelled: the engine does not take that format.
        """
        rate = self.rates.get(format_name)
        if rate is None:
            takes = ", ".join(sorted(self.rates))
            raise NotModelled(
                f"{type(self).__name__}: no rate for operands in {format_name}; it takes {takes}"
            )
        return rate

    def macs_per_cycle(self, format_name: str) -> float:
        """Peak multiply-adds per cycle with operands in this format."""
        return self.native_macs_per_cycle * self.rate(format_name)

    def slowdown(self, operation: str, extents: tuple[int, ...], crowd: Crowd) -> float:
        """Factor on the busy time of a tile in such a crowd; never so small that a grid beats the peak."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class OuterProductArray(MatrixEngine):
    """Rows x columns multiply-accumulators, each of which keeps one running sum.

    Every cycle takes one column of the left tile and one row of the right tile and adds their outer
    product. k products of a tile take k cycles; sums stay in place until drained.

    Args:
        rows: of results held at once.
        columns: of results held at once.
        fill_cycles: pipeline latency from operand to accumulator.
    """

    rows: int
    columns: int
    fill_cycles: int = 1

    def __post_init__(self) -> None:
        self.require(rows=self.rows, columns=self.columns, fill_cycles=self.fill_cycles)

    @property
    def native_macs_per_cycle(self) -> float:
        return self.rows * self.columns

    def timing(self, operation: str, extents: tuple[int, ...], format_name: str) -> Timing:
        """Cycles of ``multiply`` on (m, n, k) with m <= rows and n <= columns.

        Raises:
            InvalidDescription: the tile is larger than the array.
        """
        m, n, k = extents
        if m > self.rows or n > self.columns:
            raise InvalidDescription(
                f"OuterProductArray: tile of {m} x {n} results on an array of {self.rows} x {self.columns}"
            )
        return Timing(max(1, ceil(k / self.rate(format_name))), self.fill_cycles)


@dataclass(frozen=True, kw_only=True)
class SystolicArray(MatrixEngine):
    """A weight-stationary systolic array: rows hold the contracted dimension, columns the results.

    A tile of the right operand (k x n, k <= rows, n <= columns) is loaded and stays; m rows of the left
    operand stream past it, one a cycle. Loading the next stationary tile hides behind streaming except
    where m is shorter than the load.

    Args:
        rows: contracted extent of the stationary tile.
        columns: results per streamed row.
        minimum_cycles: shortest issue interval of a streamed tile.
        load_rows_per_cycle: rows of the stationary tile loaded per cycle.
        arrays: equal arrays side by side in one core, each with a stationary tile of its own.
        efficiency: share of its cycles in which the array streams, inside one operation.
    """

    rows: int
    columns: int
    minimum_cycles: int = 1
    load_rows_per_cycle: int = 1
    arrays: int = 1
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        self.require(rows=self.rows, columns=self.columns, arrays=self.arrays)
        self.require(load_rows_per_cycle=self.load_rows_per_cycle)
        require_share("SystolicArray", self.efficiency)

    @property
    def native_macs_per_cycle(self) -> float:
        return self.arrays * self.rows * self.columns

    @property
    def shortest_pass(self) -> int:
        """Streamed rows below which a pass takes no less time."""
        return max(self.minimum_cycles, ceil_div(self.rows, self.load_rows_per_cycle))

    def timing(self, operation: str, extents: tuple[int, ...], format_name: str) -> Timing:
        """Cycles of ``multiply`` on (m, n, k): one pass per stationary tile, each at least the shortest."""
        m, n, k = extents
        passes = ceil_div(ceil_div(k, self.rows) * ceil_div(n, self.columns), self.arrays)
        busy = passes * max(m, self.shortest_pass)
        cycles = busy / (self.efficiency * self.rate(format_name))
        return Timing(max(1, ceil(cycles)), self.rows + self.columns)


@dataclass(frozen=True, kw_only=True)
class DotUnit(MatrixEngine):
    """A unit that does a fixed number of multiply-adds per cycle: tensor cores, SIMD pipes.

    Args:
        native: multiply-adds per cycle at rate 1.
        tile: (m, n, k) granule to which tiles are padded.
        latency_cycles: from last operand to result.
        efficiency: fraction of the peak that an endless tile reaches.
        operand_cost: multiply-adds for which fetching one operand element from local storage holds the unit;
            it is why small tiles are slow.
        operand_weights: the same relative to that, by operand format, where formats differ in their bytes for
            a multiply-add; others 1.
        drain_depth: products per result for which starting and draining a tile holds the unit.
        full_results: results that tiles resident on one core must hold together to hide their latencies.
        occupancy_exponent: of the rate when they hold fewer.
        wave_weight: how much of a last wave's lack of tiles costs time: 1 if cores run in lockstep, 0 if they
            drift apart so far that the tail of one fills the gaps of others.
        sustained: multiply-adds per cycle that the chip's power budget sustains, by operand format; formats
            not named are never throttled.
        chain_results: results of a tile up to which every thread group's share is one block, so that each
            multiplication waits for the one before.
        chain_rate: of the unit's rate that such tiles reach.
    """

    native: float
    tile: tuple[int, int, int] = (1, 1, 1)
    latency_cycles: int = 0
    efficiency: float = 1.0
    operand_cost: float = 0.0
    operand_weights: Mapping[str, float] = field(default_factory=dict)
    drain_depth: int = 0
    full_results: int = 1
    occupancy_exponent: float = 0.0
    wave_weight: float = 1.0
    sustained: Mapping[str, float] = field(default_factory=dict)
    chain_results: int = 0
    chain_rate: float = 1.0

    def __post_init__(self) -> None:
        self.require(native=self.native, full_results=self.full_results)
        require_share("DotUnit", self.efficiency)
        require_share("DotUnit", self.chain_rate)

    @property
    def native_macs_per_cycle(self) -> float:
        return self.native

    def timing(self, operation: str, extents: tuple[int, ...], format_name: str) -> Timing:
        """Cycles of ``multiply`` on (m, n, k), padded to the unit's granule, or of ``drain`` on (m, n)."""
        m, n, k = extents if operation == "multiply" else (*extents, self.drain_depth)
        cycles = self.tile_cycles(m, n, k, format_name)
        return Timing(max(1, ceil(cycles)), self.latency_cycles)

    def tile_cycles(self, m: int, n: int, k: int, format_name: str) -> float:
        """Cycles of the products of one tile, not yet rounded to whole cycles."""
        if self.tile != (1, 1, 1):
            m, n, k = (
                ceil_div(extent, granule) * granule
                for extent, granule in zip((m, n, k), self.tile, strict=True)
            )
        fetched = self.operand_cost * self.operand_weights.get(format_name, 1.0)
        issued = m * n * k * (1 + fetched * (1 / m + 1 / n)) / self.efficiency
        if m * n <= self.chain_results:
            issued /= self.chain_rate
        cycles = issued / (self.native * self.rate(format_name))
        limit = self.sustained.get(format_name)
        return cycles if limit is None else max(cycles, m * n * k / limit)

    def slowdown(self, operation: str, extents: tuple[int, ...], crowd: Crowd) -> float:
        """Few results in flight wait for latencies that others would hide; a wave that is not full costs less
        than a full one as far as cores drift apart."""
        lockstep = self._waiting(extents, crowd.resident)
        if crowd.filled >= 1 or self.wave_weight >= 1:
            return lockstep
        flowing = crowd.filled * self._waiting(extents, crowd.usual)
        if crowd.first:
            flowing = max(flowing, self._waiting(extents, 1) / crowd.resident)
        return self.wave_weight * lockstep + (1 - self.wave_weight) * min(flowing, lockstep)

    def _waiting(self, extents: tuple[int, ...], resident: int) -> float:
        """Factor of at least 1 on the time of a tile among `resident` on its core."""
        held = resident * extents[0] * extents[1]
        return max(1.0, (self.full_results / held) ** self.occupancy_exponent) if held else 1.0
