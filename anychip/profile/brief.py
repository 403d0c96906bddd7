"""What a workload costs on a chip in a few figures: those of a Profile, without its parts.

Ranking many chips needs time, energy and what bounds them, not layers and timelines. Distinct kernels are
simulated once and counted; the figures are exactly those that `summarize` gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from anychip.chips import Chip
from anychip.compile.fuse import Group
from anychip.compile.lower import nest_of
from anychip.profile.division import Division, call_ticks, divide, occupied
from anychip.profile.energy import energy_of
from anychip.profile.pieces import Piece, Pieces, add, cut, usual
from anychip.profile.profile import Energy
from anychip.profile.provenance import Provenance
from anychip.programs.graph import Graph, Region
from anychip.programs.program import Demand
from anychip.simulate import Span, simulate_nest
from anychip.simulate.machine import rate_ticks
from anychip.simulate.play import host_launches


@dataclass(frozen=True, slots=True)
class Brief:
    """The figures of the pieces that a run repeats; of the whole run if it repeats nothing.

    Args:
        pieces: how many pieces are added up here.
        runs: pieces of the whole run, the first one included.
        seconds: of them all.
        launch_s: the part of it that launching kernels and calling graphs takes, whatever their size.
        bound_by: what the time was spent on most.
        macs: (operand format, useful multiply-adds).
        moved_bytes: over the link to main memory.
        energy: joules.
        rests_on: (kind of source, share of the time of the whole run).
    """

    pieces: int
    runs: int
    seconds: float
    launch_s: float
    bound_by: str
    macs: tuple[tuple[str, int], ...]
    moved_bytes: int
    energy: Energy
    rests_on: tuple[tuple[str, float], ...]


@dataclass(slots=True)
class _Played:
    """One distinct kernel: its figures by itself."""

    span: Span
    division: Division
    bound: str
    call: int
    launches: int


@dataclass(slots=True)
class _Segment:
    """One play of a segment."""

    kernels: Counter[int]
    bounds: Counter[str]
    waited: Counter[int]


def brief_of(graph: Graph, kernels: Sequence[Sequence[Group]], chip: Chip) -> Brief:
    """What a workload costs on a chip.

    Args:
        graph: what was captured.
        kernels: of every segment, as `Grouping.on` gives them for the chip: equal kernels are one object.
        chip: what they run on.
    """
    return _Tally(graph, kernels, chip).brief()


class _Tally:
    def __init__(self, graph: Graph, kernels: Sequence[Sequence[Group]], chip: Chip) -> None:
        self.graph, self.chip = graph, chip
        self._played: dict[int, _Played] = {}
        played = set(graph.path)
        self._segments = {index: self._segment(kernels[index]) for index in played}

    def brief(self) -> Brief:
        chip = self.chip
        pieces = cut(self.graph)
        steady = usual(pieces.repeated)
        whole = add((pieces.setup, *pieces.repeated, pieces.rest))
        unit = add(steady) if steady else whole
        ticks, launch, demand, bounds = self._sums(unit)
        transfer = self._transfer_ticks(unit)
        bounds["transfer"] += transfer
        seconds = (ticks + transfer) / chip.clock_hz
        main = chip.load.links[0] if chip.load.links else ""
        return Brief(
            pieces=len(steady) or 1,
            runs=max(1, _runs(pieces)),
            seconds=seconds,
            launch_s=launch / chip.clock_hz,
            bound_by=max(bounds, key=lambda name: bounds[name]),
            macs=demand.macs,
            moved_bytes=dict(demand.traffic_bytes).get(main, 0),
            energy=energy_of(chip, demand, seconds),
            rests_on=self._rests_on(whole),
        )

    def _sums(self, piece: Piece) -> tuple[int, int, Demand, Counter[str]]:
        """Ticks, those of launches, demand, and ticks by what bounds them."""
        times, waited, bounds = self._counted(piece)
        ticks = sum(waited.values())
        launch = ticks
        demand = Demand()
        for key, count in times.items():
            played = self._played[key]
            ticks += played.span.ticks * count
            launch += played.division.launch * count
            demand = demand + played.span.demand.times(count)
        return ticks, launch, demand, bounds

    def _counted(self, piece: Piece) -> tuple[Counter[int], Counter[int], Counter[str]]:
        """How often a piece plays each kernel, how long it waits for their launches, and bounds."""
        times: Counter[int] = Counter()
        waited: Counter[int] = Counter()
        bounds: Counter[str] = Counter()
        for index, plays in piece.plays.items():
            segment = self._segments[index]
            for mine, theirs in (
                (times, segment.kernels), (waited, segment.waited), (bounds, segment.bounds),
            ):  # fmt: skip
                for key, count in theirs.items():
                    mine[key] += plays * count  # pyright: ignore
        return times, waited, bounds

    def _rests_on(self, whole: Piece) -> tuple[tuple[str, float], ...]:
        times, waited, _ = self._counted(whole)
        provenance = Provenance(self.chip)
        for key, count in times.items():
            played = self._played[key]
            division = played.division.times(count) + Division(launch=waited[key])
            provenance.add(played.span, division, 1)
        host = self.chip.policy.facts.get("host_bytes_per_second")
        provenance.add_transfer([] if host is None else [host], self._transfer_ticks(whole))
        return provenance.shares()

    def _segment(self, kernels: Sequence[Group]) -> _Segment:
        """Kernels counted, and launches that the device waits for, as `simulate.Player` plays them."""
        dispatch = round(self.chip.policy.dispatch_s * self.chip.clock_hz)
        counted: Counter[int] = Counter()
        waited: Counter[int] = Counter()
        bounds: Counter[str] = Counter()
        host = device = 0
        before: Region | None = None
        for kernel in kernels:
            key = id(kernel)
            played = self._played.get(key) or self._simulated(kernel)
            counted[key] += 1
            wait = 0
            if dispatch:
                host += dispatch * host_launches(played.launches, kernel.replayed, before)
                before = kernel.replayed
                wait = max(0, host - device)
                device = max(device, host) + played.span.ticks
            bound = played.bound
            if wait:
                waited[key] += wait
                bound = self._bound(played, wait)
            bounds[bound] += played.span.ticks + wait - played.call
            if played.call:
                bounds["launch"] += played.call
        return _Segment(counted, bounds, waited)

    def _simulated(self, kernel: Group) -> _Played:
        chip = self.chip
        nest = nest_of(chip, kernel)
        span = simulate_nest(chip, nest)
        division = divide(chip, span)
        call = call_ticks(span)
        played = _Played(span, division, "", call, nest.launches)
        played.bound = self._bound(played, 0)
        self._played[id(kernel)] = played
        return played

    def _bound(self, played: _Played, wait: int) -> str:
        division = played.division + Division(launch=wait - played.call)
        return occupied(self.chip, played.span, division, played.span.ticks + wait)

    def _transfer_ticks(self, piece: Piece) -> int:
        rate = self.chip.policy.host_bytes_per_second
        if rate is None:
            return 0
        sizes = (size for t in piece.transfers for size in (t.to_device_bytes, t.to_host_bytes))
        return sum(rate_ticks(self.chip.clock_hz, rate, size) for size in sizes)


def _runs(pieces: Pieces) -> int:
    """Pieces that a path counts: those that stand for all, and the first where it is another."""
    steady = len(usual(pieces.repeated))
    return steady + (len(pieces.repeated) > 1)
