"""One core as a vector of times, and the simulator that skips what repeats.

The state of a core is a handful of times: when the sequencer issued last, when each engine is free, when
queue entries are freed, when slots landed and were last read, how far links are booked. One iteration of a
loop maps that vector to the next. Written relative to the sequencer's time, with everything in the past
set to 0, the state of a steady loop repeats: from then on the loop is skipped by shifting all times and
adding the differences of all counters. That is exact, and it nests.

Rules, which the RTL follows:

- the sequencer issues in program order, `issue_cycles` apart, and stalls while the target queue is full; a
  queue entry is freed when its instruction finishes;
- an engine runs its queue in order; an instruction starts when its reads have landed and its write slot is
  free (readers finished; the previous writer landed unless it is the same engine);
- it finishes `busy` later and its result lands `latency` after that;
- a transfer books each of its links from the moment of issue and finishes no earlier than the booking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import ceil
from typing import NamedTuple

from anychip.blocks import Crowd, DmaEngine, MatrixEngine, Timing, VectorUnit
from anychip.chips import Chip
from anychip.errors import InvalidDescription
from anychip.programs.program import Grid, Instruction, Item, Loop, Nest, Slot
from anychip.simulate.trace import EngineTime, Span

#: How the rate of a core's requests grows with the tiles that make them: as the square root, assumed, between
#: queueing behind each other and not noticing each other.
_OVERLAP = 0.5
#: Iterations of one loop after which a state that never repeated is extrapolated.
REPEAT_LIMIT = 4096

_CAUSE_BUFFER = "buffer"


class _Step(NamedTuple):
    """An instruction with names resolved to indices and timing to ticks."""

    engine: int
    busy: int
    latency: int
    reads: tuple[int, ...]
    writes: tuple[tuple[int, bool], ...]
    links: tuple[tuple[int, int], ...]


class _Repeat(NamedTuple):
    times: int
    body: tuple[_Step | _Repeat, ...]


class _Slot:
    """Times of one slot of a buffer."""

    __slots__ = ("landed", "readers", "writer")

    def __init__(self) -> None:
        self.landed = 0
        self.writer = -1
        self.readers: dict[int, int] = {}


@dataclass(slots=True)
class Counters:
    """Everything that only adds up."""

    busy: list[int]
    waits: dict[tuple[int, int], int]
    link_ticks: list[int]
    simulated: int = 0


class Machine:
    """One core of a chip running one nest."""

    def __init__(self, chip: Chip, nest: Nest, *, skipping: bool = True) -> None:
        self.chip = chip
        self._skipping = skipping
        self.engine_names = tuple(chip.engines)
        self.link_names = link_directions(chip)
        self._engine_index = {name: i for i, name in enumerate(self.engine_names)}
        self._link_index = {name: i for i, name in enumerate(self.link_names)}
        self._buffer_index = {buffer.name: i for i, buffer in enumerate(nest.buffers)}
        self._causes = [*self.engine_names, _CAUSE_BUFFER, *self.link_names]
        self._buffer_cause = len(self.engine_names)
        depth = chip.sequencer.queue_depth
        self.time = 0
        self.engine_free = [0] * len(self.engine_names)
        self.queues = [[0] * (engine.queue_depth or depth) for engine in chip.engines.values()]
        self.link_booked = [0] * len(self.link_names)
        self.slots = [[_Slot() for _ in range(buffer.depth)] for buffer in nest.buffers]
        self.counters = Counters([0] * len(self.engine_names), {}, [0] * len(self.link_names))
        self.end = 0
        self.extrapolated = False

    # --- resolving -----------------------------------------------------------------------------------

    def resolve(
        self, body: tuple[Item, ...], sharers: Fraction, crowd: Crowd | None = None
    ) -> tuple[_Step | _Repeat, ...]:
        """Names to indices, extents to ticks; a grid is resolved by its caller.

        Args:
            body: what to run.
            sharers: cores that use shared links alike, on average.
            crowd: how full the core is, None outside grids.
        """
        resolved: list[_Step | _Repeat] = []
        for item in body:
            if isinstance(item, Instruction):
                resolved.append(self._step_of(item, sharers, crowd))
            elif isinstance(item, Loop):
                if item.count > 0:
                    resolved.append(_Repeat(item.count, self.resolve(item.body, sharers, crowd)))
            else:
                raise InvalidDescription("a grid inside a loop cannot be simulated; put it outermost")
        return tuple(resolved)

    def _step_of(self, instruction: Instruction, sharers: Fraction, crowd: Crowd | None) -> _Step:
        chip = self.chip
        if instruction.engine not in self._engine_index:
            raise InvalidDescription(
                f'instruction {instruction}: chip "{chip.name}" has no engine "{instruction.engine}"; '
                f"it has {', '.join(self.engine_names)}"
            )
        outward = instruction.engine == chip.store.engine != chip.load.engine
        links = tuple(
            (
                self._link_index[direction_of(chip, name, outward=outward)],
                link_ticks(chip, name, size, sharers, instruction.engine),
            )
            for name, size in instruction.traffic
        )
        busy, latency = uncontended_ticks(chip, instruction, crowd)
        busy = max([busy, *(ticks for _, ticks in links)])
        latency += max((chip.links[name].latency_cycles for name, _ in instruction.traffic), default=0)
        writes = tuple(
            (self._buffer_index[write.buffer], write.fresh)
            for write in instruction.writes
            if isinstance(write, Slot)
        )
        reads = tuple(self._buffer_index[read.buffer] for read in instruction.reads if isinstance(read, Slot))
        return _Step(self._engine_index[instruction.engine], busy, latency, reads, writes, links)

    # --- stepping ------------------------------------------------------------------------------------

    def run(self, body: tuple[_Step | _Repeat, ...]) -> None:
        """Steps through a body, skipping what repeats."""
        for item in body:
            if isinstance(item, _Step):
                self._step(item)
            else:
                self.repeat(item)

    def _step(self, step: _Step) -> None:
        engine, busy, latency, reads, writes, links = step
        queue = self.queues[engine]
        issued = max(self.time + self.chip.sequencer.issue_cycles, queue[0])
        self.time = issued
        asked = max(issued, self.engine_free[engine])
        start, cause = asked, -1
        sources = [self.slots[index][-1] for index in reads]
        for slot in sources:
            if slot.landed > start:
                start, cause = slot.landed, slot.writer
        targets: list[_Slot] = []
        for index, fresh in writes:
            ring = self.slots[index]
            if fresh:
                ring.append(ring.pop(0))
            slot = ring[-1]
            targets.append(slot)
            for reader, finished in slot.readers.items():
                if reader != engine and finished > start:
                    start, cause = finished, self._buffer_cause
            if slot.writer != engine and slot.landed > start:
                start, cause = slot.landed, self._buffer_cause
        counters = self.counters
        if start > asked:
            key = (engine, cause)
            counters.waits[key] = counters.waits.get(key, 0) + start - asked
        finished = start + busy
        for link, ticks in links:
            booked = max(self.link_booked[link], issued) + ticks
            self.link_booked[link] = booked
            counters.link_ticks[link] += ticks
            if booked > finished:
                key = (engine, self._buffer_cause + 1 + link)
                counters.waits[key] = counters.waits.get(key, 0) + booked - finished
                finished = booked
        landed = finished + latency
        queue.append(finished)
        del queue[0]
        self.engine_free[engine] = finished
        for slot in sources:
            slot.readers[engine] = finished
        for slot in targets:
            slot.writer, slot.landed, slot.readers = engine, landed, {}
        counters.busy[engine] += busy
        counters.simulated += 1
        if landed > self.end:
            self.end = landed

    def repeat(self, loop: _Repeat) -> None:
        """A loop: stepped until the state repeats, then skipped exactly."""
        seen: dict[tuple[int, ...], tuple[int, int, Counters]] = {}
        outlines: set[tuple[int, ...]] = set()
        done = 0
        while done < loop.times:
            self.run(loop.body)
            done += 1
            if done == loop.times:
                return
            if not self._skipping:
                continue
            # A state whose outline is new cannot repeat an earlier one; most of a transient ends here.
            now = self.time
            outline = tuple([t - now if t > now else 0 for t in self.engine_free])
            if outline not in outlines and len(outlines) < REPEAT_LIMIT:
                outlines.add(outline)
                continue
            key = self._key()
            earlier = seen.get(key)
            if earlier is None and len(seen) >= REPEAT_LIMIT:
                earlier = seen[min(seen, key=lambda k: seen[k][0])]
                self.extrapolated = True
            if earlier is None:
                seen[key] = (done, self.time, self._snapshot())
                continue
            period = done - earlier[0]
            periods = (loop.times - done) // period
            if periods:
                self._skip(earlier[1], earlier[2], periods)
                done += periods * period
                seen.clear()

    def run_separated(self, body: tuple[_Step | _Repeat, ...], waves: int) -> None:
        """Waves with a barrier between them: all alike, so the first one is multiplied."""
        stepped = 1 if self._skipping else waves
        start, before = self.time, self._snapshot()
        for _ in range(stepped):
            start = self.time = max(self.time, self.end)
            before = self._snapshot()
            self.run(body)
            self.time = self.end
        if waves > stepped:
            self._skip(start, before, waves - stepped)

    def _key(self) -> tuple[int, ...]:
        """The state relative to the sequencer's time; what lies in the past cannot matter."""
        now = self.time
        key = [t - now if t > now else 0 for t in self.engine_free]
        for queue in self.queues:
            key += [t - now if t > now else 0 for t in queue]
        key += [t - now if t > now else 0 for t in self.link_booked]
        for ring in self.slots:
            for slot in ring:
                pending = slot.landed > now
                key.append(slot.writer if pending else -1)
                key.append(slot.landed - now if pending else 0)
                for reader in sorted(slot.readers):
                    finished = slot.readers[reader]
                    if finished > now:
                        key += (reader, finished - now)
                key.append(-2)
        key.append(self.end - now if self.end > now else 0)
        return tuple(key)

    def _snapshot(self) -> Counters:
        counters = self.counters
        return Counters(
            list(counters.busy), dict(counters.waits), list(counters.link_ticks), counters.simulated
        )

    def _skip(self, earlier_time: int, earlier: Counters, periods: int) -> None:
        shift = (self.time - earlier_time) * periods
        self.time += shift
        self.end += shift
        self.engine_free = [t + shift for t in self.engine_free]
        self.queues = [[t + shift for t in queue] for queue in self.queues]
        self.link_booked = [t + shift for t in self.link_booked]
        for ring in self.slots:
            for slot in ring:
                slot.landed += shift
                slot.readers = {reader: t + shift for reader, t in slot.readers.items()}
        counters = self.counters
        counters.busy = [
            now + (now - then) * periods for now, then in zip(counters.busy, earlier.busy, strict=True)
        ]
        counters.link_ticks = [
            now + (now - then) * periods
            for now, then in zip(counters.link_ticks, earlier.link_ticks, strict=True)
        ]
        for key, now in counters.waits.items():
            counters.waits[key] = now + (now - earlier.waits.get(key, 0)) * periods

    # --- reading -------------------------------------------------------------------------------------

    def engine_times(self, total: int) -> tuple[tuple[str, EngineTime], ...]:
        """How each engine spent `total` ticks."""
        waits: dict[int, dict[str, int]] = {}
        for (engine, cause), ticks in self.counters.waits.items():
            of_engine = waits.setdefault(engine, {})
            name = self._causes[cause]
            of_engine[name] = of_engine.get(name, 0) + ticks
        result: list[tuple[str, EngineTime]] = []
        for index, name in enumerate(self.engine_names):
            busy = self.counters.busy[index]
            of_engine = waits.get(index, {})
            not_asked = total - busy - sum(of_engine.values())
            result.append((name, EngineTime(busy, tuple(sorted(of_engine.items())), not_asked)))
        return tuple(result)


def uncontended_ticks(chip: Chip, instruction: Instruction, crowd: Crowd | None = None) -> tuple[int, int]:
    """(busy, latency) of an instruction in chip ticks, links not counted.

    Args:
        chip: what it runs on.
        instruction: what to time.
        crowd: how full the core is; None hides every latency.
    """
    block = chip.engines[instruction.engine].block
    if isinstance(block, MatrixEngine):
        timing = block.timing(instruction.operation, instruction.extents, instruction.format)
        if crowd is not None:
            slow = block.slowdown(instruction.operation, instruction.extents, crowd)
            timing = Timing(ceil(timing.busy * slow), timing.latency)
    elif isinstance(block, VectorUnit):
        steps = instruction.recipe.operations if instruction.recipe is not None else ("copy",)
        timing = block.timing(instruction.operation, instruction.extents, steps)
    else:
        return _transfer_ticks(chip, block, instruction, crowd.resident if crowd is not None else 1)
    clock_hz = chip.clock_of(block)
    if clock_hz == chip.clock_hz:
        return timing.busy, timing.latency
    ratio = Fraction(chip.clock_hz) / Fraction(clock_hz)
    return max(1, -(-timing.busy * ratio.numerator // ratio.denominator)), round(timing.latency * ratio)


def _transfer_ticks(chip: Chip, block: DmaEngine, instruction: Instruction, tiles: int) -> tuple[int, int]:
    """Busy and latency of a transfer; requests of several tiles in flight on a core overlap in part."""
    size = max((size for _, size in instruction.traffic), default=0)
    rate = block.bytes_per_second
    busy = 0 if rate is None else rate_ticks(chip.clock_hz, rate * tiles**_OVERLAP, size)
    held = instruction.extents[1] if len(instruction.extents) > 1 else 0
    return max(1, busy, held), block.startup_cycles


def link_directions(chip: Chip) -> tuple[str, ...]:
    """Names of the resources that links are: one each, or one a direction where the link is duplex."""
    names: list[str] = []
    for name, link in chip.links.items():
        names += [f"{name} read", f"{name} write"] if link.duplex else [name]
    return tuple(names)


def direction_of(chip: Chip, name: str, *, outward: bool) -> str:
    """The resource of a link that a transfer books."""
    if not chip.links[name].duplex:
        return name
    return f"{name} write" if outward else f"{name} read"


def rate_ticks(clock_hz: float, bytes_per_second: float, size_bytes: int) -> int:
    """Whole ticks in which a rate moves `size_bytes`."""
    ticks, in_bytes = _ticks_in_bytes(clock_hz, bytes_per_second)
    return -(-size_bytes * ticks // in_bytes)


@cache
def _ticks_in_bytes(clock_hz: float, bytes_per_second: float) -> tuple[int, int]:
    """The exact ratio of a clock to a rate: so many ticks in so many bytes."""
    return (Fraction(clock_hz) / Fraction(bytes_per_second)).as_integer_ratio()


def link_ticks(chip: Chip, name: str, size_bytes: int, sharers: Fraction, engine: str = "") -> int:
    """Ticks for which a transfer by an engine holds a link that `sharers` cores, on average, use alike."""
    link = chip.links[name]
    moved = -(-size_bytes * sharers.numerator // sharers.denominator) if link.shared else size_bytes
    return rate_ticks(chip.clock_hz, chip.link_rate(engine, name), moved)


def simulate_nest(chip: Chip, nest: Nest, *, skipping: bool = True) -> Span:
    """Time of a nest on a chip: loops skipped where they repeat, grids in waves.

    Args:
        chip: what it runs on.
        nest: what to run.
        skipping: False steps through every instruction (instruction level); the times are the same.

    Returns:
        the span; its ticks are exactly what expanding every loop would give.
    """
    launch = chip.sequencer.launch_cycles * nest.launches
    machine = Machine(chip, nest, skipping=skipping)
    for item in nest.body:
        if isinstance(item, Grid):
            _run_grid(machine, item)
        else:
            machine.run(machine.resolve((item,), Fraction(1)))
    total = machine.end
    causes = nest.fixed_ticks + _outlasting(nest, total)
    fixed = sum(ticks for _, ticks in causes)
    ideal_ticks, bound = ideal(chip, nest)
    return Span(
        ticks=total + launch + fixed,
        engines=machine.engine_times(total + launch + fixed),
        demand=nest.demand,
        ideal_ticks=ideal_ticks,
        ideal_bound=bound,
        launch_ticks=launch,
        fixed=causes,
        instructions=nest.instruction_count,
        simulated=machine.counters.simulated,
        link_ticks=tuple(zip(machine.link_names, machine.counters.link_ticks, strict=True)),
        extrapolated=machine.extrapolated,
    )


def _outlasting(nest: Nest, ticks: int) -> tuple[tuple[str, int], ...]:
    """By how much what runs beside the engines takes longer than they do, in the order of its causes."""
    found: list[tuple[str, int]] = []
    for cause, beside in nest.beside_ticks:
        late = max(0, beside - ticks)
        if late:
            found.append((cause, late))
        ticks = max(0, ticks - beside)
    return tuple(found)


def _run_grid(machine: Machine, grid: Grid) -> None:
    """Waves of as many iterations as there are cores; one core stands for all of its wave.

    A core starts its next iteration while the last one drains unless the grid forbids overlap. The last
    wave may have fewer sharers on shared links.
    """
    cores = machine.chip.cores
    full, rest = divmod(grid.count, cores * grid.resident)
    companions = -(-rest // cores)
    whole = Crowd(grid.resident, grid.resident)
    filled = rest / (cores * companions) if companions else 1.0
    tail = Crowd(companions, grid.resident, filled, first=not full)
    waves, last = divmod(rest, cores)
    parts = [(full * grid.resident, Fraction(cores), whole)]
    if grid.interleaved and companions:
        # Links serve all tiles of the last wave at once; the core that holds most of them gives its time.
        parts.append((companions, Fraction(rest, companions), tail))
    else:
        parts += [(waves, Fraction(cores), tail), (1 if last else 0, Fraction(last), tail)]
    for count, sharers, crowd in parts:
        if not count:
            continue
        body = machine.resolve(grid.body, sharers, crowd)
        if grid.overlap:
            machine.repeat(_Repeat(count, body))
        else:
            machine.time = max(machine.time, machine.end)
            machine.run_separated(body, count)


def ideal(chip: Chip, nest: Nest) -> tuple[int, str]:
    """A lower bound that no schedule can beat: the demand at every engine's and link's peak rate."""
    clock = Fraction(chip.clock_hz)
    bounds: dict[str, Fraction] = {chip.matrix_name: Fraction(0)}
    for format_name, count in nest.demand.macs:
        name = chip.multiplier(format_name)
        peak = Fraction(chip.macs_per_second(format_name))
        if peak:
            bounds[name] = bounds.get(name, Fraction(0)) + count * clock / peak
    lanes = _lane_bound(chip, nest)
    if lanes:
        bounds[chip.vector_names[0]] = lanes
    for name, size in nest.demand.traffic_bytes:
        link = chip.links[name]
        copies = (1 if link.shared else chip.cores) * (2 if link.duplex else 1)
        bounds[name] = Fraction(size) * clock / Fraction(link.bytes_per_second) / copies
    bound = max(bounds, key=lambda name: bounds[name])
    return -(-bounds[bound].numerator // bounds[bound].denominator), bound


def _lane_bound(chip: Chip, nest: Nest) -> Fraction:
    """Ticks of the lane operations with all vector engines of all cores at work."""
    blocks = (chip.engines[name].block for name in chip.vector_names)
    vectors = [block for block in blocks if isinstance(block, VectorUnit)]
    rate = sum((Fraction(chip.clock_of(unit)) * unit.lanes for unit in vectors), Fraction(0))
    cycles = Fraction(0)
    for operation, count in nest.demand.lane_operations:
        cheapest = min(
            min([1.0, *unit.cost.values()]) if operation == "lane" else unit.cost.get(operation, 1.0)
            for unit in vectors
        )
        cycles += count * Fraction(cheapest)
    return cycles * Fraction(chip.clock_hz) / rate / chip.cores


def link_peaks(chip: Chip) -> Mapping[str, float]:
    """Bytes per second of every link, all cores together."""
    return {
        name: link.bytes_per_second * (1 if link.shared else chip.cores) for name, link in chip.links.items()
    }
