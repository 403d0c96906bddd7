"""The Program: a Graph lowered for one chip.

A kernel is a loop nest of instructions whose operands are affine in the loop variables. Sequential order
is its meaning: a value is whatever a plain interpreter of the loops computes. On-chip buffers have a depth
and are renamed like registers: a `fresh` write takes the next slot, so that double buffering is
``depth=2`` and nothing else. When an instruction may start is the simulator's business; races cannot be
written down.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from anychip.arithmetic import Recipe
from anychip.operators import Operand
from anychip.programs.graph import Place, View


@dataclass(frozen=True, slots=True)
class Affine:
    """``constant + sum(coefficient * variable)``, in elements."""

    constant: int = 0
    terms: tuple[tuple[str, int], ...] = ()

    def at(self, environment: Mapping[str, int]) -> int:
        """Its value for given loop variables."""
        return self.constant + sum(coefficient * environment[name] for name, coefficient in self.terms)

    def __str__(self) -> str:
        parts = [f"{c}*{v}" if c != 1 else v for v, c in self.terms]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return "+".join(parts)


@dataclass(frozen=True, slots=True)
class Access:
    """How a kernel walks one operand: a form's operand, with the form's loops gathered into groups.

    A contraction has the groups batch, rows, columns, depth; rows have rows, length; lanes have one. An index
    within a group is linear, its last loop fastest.

    Args:
        operand: strides and windows over all loops, in order of the groups.
        groups: extents of the loops of each group.
    """

    operand: Operand
    groups: tuple[tuple[int, ...], ...]

    @property
    def extents(self) -> tuple[int, ...]:
        """Length of each group."""
        return tuple(prod(group) for group in self.groups)


@dataclass(frozen=True, slots=True)
class Tile:
    """A window of an operand in main memory, clipped at the edges of the operand's groups.

    Args:
        access: index into the nest's accesses.
        origin: first position, one Affine per group.
        shape: extents, one per group.
    """

    access: int
    origin: tuple[Affine, ...]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        inside = ", ".join(f"{o}:+{s}" for o, s in zip(self.origin, self.shape, strict=True))
        return f"${self.access}[{inside}]"


@dataclass(frozen=True, slots=True)
class Slot:
    """The current slot of an on-chip buffer, or with `fresh` the next one, empty."""

    buffer: str
    fresh: bool = False

    def __str__(self) -> str:
        return f"{self.buffer}{'*' if self.fresh else ''}"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One operation of one engine.

    Args:
        engine: name of the engine in the chip.
        operation: one of the engine's block: ``load``, ``store``, ``multiply``, ``lanes``, ``reduce``,
            ``drain``, ``host`` ...
        reads: tiles and slots, in the operation's order.
        writes: where the results go; a slot that is not fresh is accumulated into.
        extents: of the operation, in elements, as the block's timing takes them.
        format: operand format of a multiplication, format of the moved elements otherwise.
        recipe: lane operations of a vector operation.
        traffic: bytes over each link, clipped at edges and shared as the reuse allows.
    """

    engine: str
    operation: str
    reads: tuple[Tile | Slot, ...] = ()
    writes: tuple[Tile | Slot, ...] = ()
    extents: tuple[int, ...] = ()
    format: str = ""
    recipe: Recipe | None = None
    traffic: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        reads = ", ".join(map(str, self.reads))
        extents = "x".join(map(str, self.extents))
        traffic = "".join(f" {link}:{size}B" for link, size in self.traffic)
        recipe = f" {self.recipe.text}" if self.recipe is not None else ""
        what = f"{self.engine}.{self.operation}({reads}) -> {', '.join(map(str, self.writes))}"
        return f"{what} [{extents}] {self.format}{recipe}{traffic}"


@dataclass(frozen=True, slots=True)
class Loop:
    """`body`, `count` times, with `variable` from 0 to count - 1."""

    variable: str
    count: int
    body: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Independent iterations over all variables, spread over the cores in waves.

    Args:
        variables: (name, count), slowest first.
        body: one iteration.
        overlap: whether a core's next iteration may start while the last one drains.
        resident: how many iterations a core keeps in flight to hide latencies; the last ones may have fewer
            companions, and then run slower (`MatrixEngine.slowdown`).
        interleaved: whether iterations of the last wave share links while they are in flight together;
            otherwise those that only some cores have come after the others.
    """

    variables: tuple[tuple[str, int], ...]
    body: tuple[Item, ...]
    overlap: bool = True
    resident: int = 1
    interleaved: bool = False

    @property
    def count(self) -> int:
        """Iterations in all."""
        count = 1
        for _, extent in self.variables:
            count *= extent
        return count


Item = Instruction | Loop | Grid


@dataclass(frozen=True, slots=True)
class Buffer:
    """An on-chip buffer of `depth` slots of `slot_bytes` each in one of the chip's memories."""

    name: str
    memory: str
    depth: int
    slot_bytes: int


@dataclass(frozen=True, slots=True)
class Demand:
    """What a kernel needs whatever the schedule: additive, never simulated.

    Args:
        macs: useful multiply-adds by operand format.
        lane_operations: by operation name (``add``, ``exp`` ...).
        traffic_bytes: by link.
        host_operations: done by the host's library.
    """

    macs: tuple[tuple[str, int], ...] = ()
    lane_operations: tuple[tuple[str, int], ...] = ()
    traffic_bytes: tuple[tuple[str, int], ...] = ()
    host_operations: int = 0

    def __add__(self, other: Demand) -> Demand:
        return Demand(
            _sum(self.macs, other.macs),
            _sum(self.lane_operations, other.lane_operations),
            _sum(self.traffic_bytes, other.traffic_bytes),
            self.host_operations + other.host_operations,
        )

    def times(self, count: int) -> Demand:
        """The demand of `count` repetitions."""
        return Demand(
            tuple((name, count * n) for name, n in self.macs),
            tuple((name, count * n) for name, n in self.lane_operations),
            tuple((name, count * n) for name, n in self.traffic_bytes),
            count * self.host_operations,
        )


def _sum(
    left: tuple[tuple[str, int], ...], right: tuple[tuple[str, int], ...]
) -> tuple[tuple[str, int], ...]:
    totals = dict(left)
    for name, count in right:
        totals[name] = totals.get(name, 0) + count
    return tuple(sorted(totals.items()))


@dataclass(frozen=True)
class Nest:
    """What is simulated: buffers and a body. Equal work on equal shapes shares one Nest.

    Args:
        name: of the kernel, for reports.
        accesses: the operands in main memory; tiles refer to them by index.
        buffers: on-chip storage.
        body: items in order.
        demand: useful work: edges clipped, padding not counted.
        launches: how many kernel launches it stands for.
        fixed_ticks: time that no engine explains (a fitted per-kernel latency, host work), as
            (cause, ticks).
        beside_ticks: time that passes beside the engines (exchanges that run while they work), as
            (cause, ticks): the nest takes at least that long, and its fixed time after it.
    """

    name: str
    accesses: tuple[Access, ...]
    buffers: tuple[Buffer, ...]
    body: tuple[Item, ...]
    demand: Demand = field(default_factory=Demand)
    launches: int = 1
    fixed_ticks: tuple[tuple[str, int], ...] = ()
    beside_ticks: tuple[tuple[str, int], ...] = ()

    @property
    def text(self) -> str:
        """Canonical text: buffers, then the nest with two spaces a level."""
        lines = [f"nest {self.name} launches={self.launches}"]
        lines += [f"  ${i} {access.operand.text} {access.groups}" for i, access in enumerate(self.accesses)]
        lines += [f"  buffer {b.name} {b.memory} {b.depth} x {b.slot_bytes} B" for b in self.buffers]
        lines += [f"  fixed {cause} {ticks}" for cause, ticks in self.fixed_ticks]
        lines += [f"  beside {cause} {ticks}" for cause, ticks in self.beside_ticks]
        lines += list(_lines(self.body, 1))
        return "\n".join(lines)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def instruction_count(self) -> int:
        """Instructions with every loop expanded, over all cores."""
        return _count(self.body)


def _lines(body: tuple[Item, ...], level: int) -> Iterator[str]:
    indent = "  " * level
    for item in body:
        if isinstance(item, Instruction):
            yield f"{indent}{item}"
        elif isinstance(item, Loop):
            yield f"{indent}loop {item.variable} {item.count}"
            yield from _lines(item.body, level + 1)
        else:
            variables = " ".join(f"{name} {count}" for name, count in item.variables)
            resident = f" resident={item.resident}" if item.resident > 1 else ""
            yield f"{indent}grid {variables}{'' if item.overlap else ' no overlap'}{resident}"
            yield from _lines(item.body, level + 1)


def _count(body: tuple[Item, ...]) -> int:
    return sum(1 if isinstance(item, Instruction) else item.count * _count(item.body) for item in body)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A nest bound to the operands of a segment.

    Args:
        nest: the loops.
        operands: the view into the segment's values behind each of the nest's accesses.
        nodes: indices of the segment's nodes that it performs.
        place: of the first of them.
    """

    nest: Nest
    operands: tuple[View, ...]
    nodes: tuple[int, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Program:
    """A Graph for one chip.

    Args:
        chip: name of the chip.
        segments: kernels of each of the Graph's segments, in order.
        path: which segments are played, in order.
    """

    chip: str
    segments: tuple[tuple[Kernel, ...], ...]
    path: tuple[int, ...]

    @property
    def text(self) -> str:
        """Canonical text of all kernels."""
        return "\n".join(
            f"segment {index}\n" + "\n".join(kernel.nest.text for kernel in kernels)
            for index, kernels in enumerate(self.segments)
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical text and the path."""
        return hashlib.sha256((self.text + repr(self.path)).encode()).hexdigest()
