"""Trace to Profile: the one function that turns what happened into what a person reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from anychip.blocks import DmaEngine, MatrixEngine
from anychip.chips import Chip
from anychip.profile.division import Division, call_ticks, divide, occupied_most
from anychip.profile.energy import energy_of, known_working_j, phases_of, working_j
from anychip.profile.layers import CALLS, Spent, layers_of, path_of
from anychip.profile.money import Rent, cost_of
from anychip.profile.pieces import Piece, add, cut, usual
from anychip.profile.profile import (
    EngineUse,
    LinkUse,
    MemoryUse,
    PassGroup,
    Portion,
    Profile,
    Range,
    Roof,
    Unit,
    is_above,
)
from anychip.profile.provenance import rests_on
from anychip.profile.sharing import Sharing, apportioned
from anychip.profile.timeline import timeline_of
from anychip.programs.graph import Graph, Phase, Segment, Transfer
from anychip.programs.program import Demand, Kernel, Program
from anychip.simulate.machine import link_peaks, rate_ticks
from anychip.simulate.trace import Span, Trace

#: Numbers of nodes, of every segment.
HostOrder = Sequence[frozenset[int]]
_NO_JOULES = Range(0.0, 0.0, 0.0)


def summarize(
    graph: Graph,
    program: Program,
    trace: Trace,
    chip: Chip,
    *,
    rent: Rent | None = None,
    host_order: HostOrder | None = None,
    module_depth: int | None = None,
) -> Profile:
    """What a workload costs on a chip, and why.

    Args:
        graph: what was captured.
        program: the graph lowered for `chip`.
        trace: the program simulated.
        chip: the same chip.
        rent: what is paid for; None if no price is known.
        host_order: of every segment, the numbers of the nodes whose values came from the host's library
            and not from the chip's arithmetic; None where no values were computed.
        module_depth: names of a module's path that are told apart, 1 or more; fewer names are quicker. None:
            all of them.
    """
    accounts = _Accounts(graph, program, trace, chip, rent, module_depth)
    pieces = cut(graph)
    steady = usual(pieces.repeated)
    whole = add((pieces.setup, *pieces.repeated, pieces.rest))
    everything = accounts.portion(whole, 1, "run")
    unit = accounts.portion(add(steady), len(steady)) if steady else everything
    first = accounts.portion(pieces.repeated[0], 1) if len(pieces.repeated) > 1 else None
    outside = add((pieces.setup, pieces.rest)) if pieces.repeated else None
    setup = accounts.portion(outside, 1) if outside and _is_anything(outside) else None
    provenance = rests_on(chip, accounts.played())
    host = chip.policy.facts.get("host_bytes_per_second")
    provenance.add_transfer([] if host is None else [host], everything.division.transfer)
    return Profile(
        workload=graph.name,
        chip=chip.name,
        chip_title=chip.title,
        cores=chip.cores,
        cores_used=chip.policy.graph_cores or chip.cores,
        clock_hz=chip.clock_hz,
        numerics=graph.numerics,
        with_values=graph.with_values,
        whole=everything,
        unit=unit,
        first=first,
        setup=setup,
        passes=tuple(accounts.pass_groups(pieces.repeated)),
        memory=MemoryUse(
            graph.memory.peak_bytes,
            chip.main_memory.capacity_bytes,
            graph.memory.peak_by_kind,
            graph.memory.peak_by_module,
        ),
        roof=_roof(chip),
        rests_on=provenance.shares(),
        chip_semantics=None if host_order is None else accounts.chip_semantics(host_order),
        host_order=() if host_order is None else accounts.host_calls(host_order),
        notes=tuple(_notes(graph, trace, chip, everything)),
        timeline=timeline_of(
            graph,
            program,
            trace,
            accounts.divisions,
            accounts.sharing,
            chip,
            tuple((t, accounts.transfer_ticks(t)) for t in whole.transfers),
        ),
    )


@dataclass(slots=True)
class _Segment:
    """Everything that one play of a segment adds."""

    division: Division
    engines: dict[str, Counter[str]]
    demand: Demand
    spent: dict[tuple[str, ...], Spent]
    phases: Counter[Phase]
    working_j: dict[Phase, Range]


class _Accounts:
    """The figures of every distinct segment, from which any portion of the path is added up."""

    def __init__(
        self,
        graph: Graph,
        program: Program,
        trace: Trace,
        chip: Chip,
        rent: Rent | None,
        module_depth: int | None,
    ) -> None:
        self.graph, self.program, self.trace, self.chip, self.rent = graph, program, trace, chip, rent
        self.module_depth = module_depth
        self.divisions = tuple(tuple(divide(chip, span) for span in spans) for spans in trace.segments)
        self.sharing = Sharing(chip)
        self._segments = [self._segment(index) for index in range(len(trace.segments))]
        self._plays = Counter(trace.path)

    def _segment(self, index: int) -> _Segment:
        chip, segment = self.chip, self.graph.segments[index]
        division, demand = Division(), Demand()
        engines: dict[str, Counter[str]] = {name: Counter() for name in chip.engines}
        spent: dict[tuple[str, ...], Spent] = {}
        phases: Counter[Phase] = Counter()
        working: dict[Phase, Range] = {}
        for kernel, span, parts in zip(
            self.program.segments[index], self.trace.segments[index], self.divisions[index], strict=True
        ):
            division = division + parts
            demand = demand + span.demand
            for name, time in span.engines:
                engines[name]["busy"] += time.busy
                for cause, ticks in time.waits:
                    engines[name][f"for {cause}"] += ticks
            known = known_working_j(chip, span.demand)
            for path, phase, share, amount in _spent(chip, segment, kernel, span, parts, self.sharing):
                phases[phase] += amount.division.total
                working[phase] = working.get(phase, _NO_JOULES) + known.times(share)
                spent.setdefault(path[: self.module_depth], Spent()).add(amount)
        return _Segment(division, engines, demand, spent, phases, working)

    def played(self) -> list[tuple[Span, Division, int]]:
        """Every span with its division and how often it was played."""
        return [
            (span, division, self._plays[index])
            for index, spans in enumerate(self.trace.segments)
            for span, division in zip(spans, self.divisions[index], strict=True)
            if self._plays[index]
        ]

    def transfer_ticks(self, transfer: Transfer) -> int:
        """Time of copies between host and device; 0 where the chip is the host, or its link is not known."""
        rate = self.chip.policy.host_bytes_per_second
        if rate is None:
            return 0
        sizes = (transfer.to_device_bytes, transfer.to_host_bytes)
        return sum(rate_ticks(self.chip.clock_hz, rate, size) for size in sizes)

    def _piece_transfer_ticks(self, piece: Piece) -> int:
        return sum(self.transfer_ticks(transfer) for transfer in piece.transfers)

    def portion(self, piece: Piece, count: int, name: Unit | None = None) -> Portion:
        """The sum of a piece, which is itself the sum of `count` equal ones."""
        chip = self.chip
        division = Division(transfer=self._piece_transfer_ticks(piece))
        demand = Demand()
        engines: dict[str, Counter[str]] = {name: Counter() for name in chip.engines}
        spent: dict[tuple[str, ...], Spent] = {}
        phases: Counter[Phase] = Counter()
        working: dict[Phase, Range] = {}
        for index, plays in piece.plays.items():
            segment = self._segments[index]
            division = division + segment.division.times(plays)
            demand = demand + segment.demand.times(plays)
            for engine, uses in segment.engines.items():
                for use, ticks in uses.items():
                    engines[engine][use] += plays * ticks
            for path, amount in segment.spent.items():
                spent.setdefault(path, Spent()).add(amount, plays)
            for phase, ticks in segment.phases.items():
                phases[phase] += plays * ticks
            for phase, energy_j in segment.working_j.items():
                working[phase] = working.get(phase, _NO_JOULES) + energy_j.times(plays)
        seconds = division.total / chip.clock_hz
        energy = energy_of(chip, demand, seconds)
        by_phase: dict[Phase, tuple[int, Range]] = {
            phase: (ticks, working.get(phase, _NO_JOULES)) for phase, ticks in phases.items()
        }
        energy = replace(energy, phases=phases_of(chip, energy, by_phase, division.transfer))
        return Portion(
            name=name or piece.name,
            count=count,
            division=division,
            engines=tuple(self._use(engine, uses, division.total) for engine, uses in engines.items()),
            links=self._links(demand),
            macs=demand.macs,
            lane_operations=sum(operations for _, operations in demand.lane_operations),
            host_operations=demand.host_operations,
            layers=layers_of(spent.items()),
            phases=tuple((phase, ticks) for phase, ticks in phases.most_common() if ticks),
            to_device_bytes=piece.to_device_bytes,
            to_host_bytes=piece.to_host_bytes,
            items=piece.items,
            tokens=piece.tokens,
            energy=energy,
            cost=cost_of(self.rent, seconds),
        )

    def _use(self, name: str, uses: Counter[str], total: int) -> EngineUse:
        waits = tuple(
            sorted((use.removeprefix("for "), ticks) for use, ticks in uses.items() if use != "busy")
        )
        return EngineUse(name, _role(self.chip, name), uses["busy"], waits, total - sum(uses.values()))

    def _links(self, demand: Demand) -> tuple[LinkUse, ...]:
        moved = dict(demand.traffic_bytes)
        peaks = link_peaks(self.chip)
        return tuple(
            LinkUse(
                name,
                "memory" if name in (*self.chip.load.links[:1], *self.chip.store.links[:1]) else "link",
                moved.get(name, 0),
                peaks[name] * (2 if link.duplex else 1),
            )
            for name, link in self.chip.links.items()
        )

    def pass_groups(self, pieces: tuple[Piece, ...]) -> list[PassGroup]:
        """Pieces of one size together, in order of first appearance."""
        groups: dict[tuple[int | None, int | None], PassGroup] = {}
        demands: dict[tuple[int | None, int | None], Demand] = {}
        for piece in pieces:
            ticks = self._piece_transfer_ticks(piece)
            key = (piece.items, piece.tokens)
            demand = demands.get(key, Demand())
            for index, plays in piece.plays.items():
                ticks += plays * self._segments[index].division.total
                demand = demand + self._segments[index].demand.times(plays)
            demands[key] = demand
            group = groups.get(key) or PassGroup(piece.name, 0, piece.items, piece.tokens, 0)
            groups[key] = replace(group, count=group.count + 1, ticks=group.ticks + ticks)
        return [
            replace(group, energy=energy_of(self.chip, demands[key], group.ticks / self.chip.clock_hz))
            for key, group in groups.items()
        ]

    def chip_semantics(self, host_order: HostOrder) -> float | None:
        """Share of the arithmetic that was done as the chip does it; None if there was none."""
        on_host, whole = 0, 0
        for index, plays in self._plays.items():
            for number, node in enumerate(self.graph.segments[index].nodes):
                operations = plays * self.sharing.operations(node)
                whole += operations
                if number in host_order[index]:
                    on_host += operations
        return 1 - on_host / whole if whole else None

    def host_calls(self, host_order: HostOrder) -> tuple[tuple[str, int], ...]:
        """(operator, calls) that ran in the host's order, the most frequent first."""
        calls: Counter[str] = Counter()
        for index, plays in self._plays.items():
            nodes = self.graph.segments[index].nodes
            for number in host_order[index]:
                calls[nodes[number].operator] += plays
        return tuple(sorted(calls.items(), key=lambda item: (-item[1], item[0])))


def _role(chip: Chip, engine: str) -> Literal["matrix", "vector", "transfer"]:
    block = chip.engines[engine].block
    if isinstance(block, MatrixEngine):
        return "matrix"
    return "transfer" if isinstance(block, DmaEngine) else "vector"


def _spent(
    chip: Chip, segment: Segment, kernel: Kernel, span: Span, division: Division, sharing: Sharing
) -> Iterator[tuple[tuple[str, ...], Phase, float, Spent]]:
    """What a span spent under the names of its modules, and under that of the graph's call.

    Yields (path, phase, share of the span's joules, what was spent).
    """
    main = chip.load.links[0] if chip.load.links else ""
    macs = sum(count for _, count in span.demand.macs)
    moved = dict(span.demand.traffic_bytes).get(main, 0)
    energy = working_j(chip, span.demand)
    call = Division(launch=call_ticks(span))
    bound = occupied_most(chip, span, division - call)
    for share, own in apportioned(division - call, sharing.shares(segment, kernel)):
        place, ticks = share.place, own.total
        yield (
            path_of(place),
            place.phase,
            share.time,
            Spent(
                own,
                Counter({place.phase: ticks}),
                Counter({place.source: ticks}) if place.source else Counter(),
                Counter({bound: ticks}),
                round(macs * share.macs),
                round(moved * share.moved),
                None if energy is None else energy.times(share.time),
            ),
        )
    if call.total:
        phases: Counter[Phase] = Counter({kernel.place.phase: call.total})
        yield CALLS, kernel.place.phase, 0.0, Spent(call, phases, bounds=Counter({"launch": call.total}))


def _is_anything(piece: Piece) -> bool:
    return bool(piece.plays or piece.transfers)


def _roof(chip: Chip) -> Roof:
    formats = {
        name
        for engine in chip.engines.values()
        if isinstance(engine.block, MatrixEngine)
        for name in engine.block.rates
    }
    rates = tuple((name, chip.macs_per_second(name)) for name in sorted(formats))
    peaks = link_peaks(chip)
    main = chip.load.links[0] if chip.load.links else next(iter(peaks))
    return Roof(rates, peaks[main])


#: Stand-ins that a note names.
_SHOWN = 3


def _notes(graph: Graph, trace: Trace, chip: Chip, everything: Portion) -> list[str]:
    notes: list[str] = []
    copied = everything.to_device_bytes or everything.to_host_bytes
    if copied and chip.policy.host_bytes_per_second is None and chip.kind != "cpu":
        notes.append("copies between host and device take no time here: the chip's host link is not known")
    if any(span.extrapolated for spans in trace.segments for span in spans):
        notes.append("some loops never became periodic; the rest of them was extrapolated")
    if everything.energy.is_above_limit:
        notes.append("the power drawn exceeds the published thermal design power: clocks would fall")
    elif hot := [
        phase.name for phase in everything.energy.phases if is_above(phase.chip_w, everything.energy.limit_w)
    ]:
        notes.append(f"the power drawn in {', '.join(hot)} exceeds the published thermal design power")
    if graph.stand_ins:
        places = [f"{what} at {source}" if source else what for what, source in graph.stand_ins]
        more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
        notes.append(f"without values, these stood in: {', '.join(places[:_SHOWN])}{more}")
    if not graph.path:
        notes.append(f"nothing {'but copies ' if graph.transfers else ''}ran on the device")
    return notes
