"""What a workload does, operator by operator, and the Graph made of it.

On the hot path one tuple is appended per operator. Everything else happens at a *cut* (the host looks at
a value, a step ends): storages are numbered in order of first appearance, and if the same list of calls was
seen before, the path gets that segment's number and the tuples are dropped; a long training run costs
no memory.

Python floats among the arguments (learning rates, bias corrections, loss weights) do not tell segments
apart: they change from step to step without changing the work. A segment keeps those of its first
occurrence.

A training step ends with a step of PyTorch's optimizers. Where none is taken, it ends with what the script
itself writes into parameters after a backward pass, or, in a script without modules, with the backward pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, Any

from anychip.frontends.torch import places
from anychip.frontends.torch.memory import LEDGER, Allocation
from anychip.frontends.torch.native import SEAM
from anychip.frontends.torch.places import PLACES
from anychip.frontends.torch.plan import TENSOR, Keyword, Plan, canonical, format_name
from anychip.frontends.torch.tensor import Geometry
from anychip.programs.graph import Attribute, Graph, Mark, Node, Segment, Transfer, Value, View

#: One operand in a record.
Operand = tuple[Allocation, Geometry]
#: (plan, skeleton of the arguments, floats among them, tensors read, tensors written, place).
Record = tuple[Plan, tuple[Any, ...], Sequence[Any], Sequence[Operand], Sequence[Operand], int]

_CUT_AFTER_RECORDS = 1 << 20


class Recorder:
    """Collects a workload.

    Args:
        name: of the workload.
        numerics: label of the arithmetic in force.
        with_values: False on meta tensors.
    """

    def __init__(self, name: str, numerics: str, *, with_values: bool = True) -> None:
        self.name = name
        self.numerics = numerics
        self.with_values = with_values
        self.records: list[Record] = []
        self.append = self.records.append
        self.segments: list[Segment] = []
        self.path: list[int] = []
        self.marks: list[Mark] = []
        self.transfers: list[Transfer] = []
        self.steps = 0
        self._optimizer_steps = False
        self._gradients_wait = False
        self.forwards = 0
        self.operators = 0
        self.stand_ins: dict[tuple[str, str], None] = {}
        self._forward_ends: list[tuple[int, Mark]] = []
        self._to_device_bytes = 0
        self._to_host_bytes = 0
        self._known: dict[Any, int] = {}
        self._lock = RLock()

    # --- what the device tells -----------------------------------------------------------------------------

    def to_device(self, size_bytes: int) -> None:
        """Bytes were copied from host to device."""
        self._to_device_bytes += size_bytes

    def to_host(self, size_bytes: int, ended_by: str) -> None:
        """Bytes were copied to the host, which waited for them."""
        self._to_host_bytes += size_bytes
        if ended_by == "extent" and not self.with_values:
            self.note_stand_in("the largest possible extent", places.current_place())
        self.cut(ended_by)

    def note_stand_in(self, what: str, place: int) -> None:
        """Something stood in for a value that was not computed; said once per source line."""
        source = PLACES[place].source
        if (what, source) not in self.stand_ins:
            self.stand_ins[(what, source)] = None

    def step(self) -> None:
        """An optimizer has stepped."""
        self.cut("step")
        if not self._optimizer_steps:  # what looked like steps by hand before was something else
            self._optimizer_steps, self.steps = True, 0
            self.marks = [mark for mark in self.marks if mark.kind != "step"]
        self._mark_step(len(self.path))

    def backward(self) -> None:
        """A backward pass has filled gradients in a script without modules and optimizers: a step."""
        if not self._optimizer_steps:
            self.cut("step")
            self._mark_step(len(self.path))

    def _mark_step(self, position: int) -> None:
        self.steps += 1
        self.marks.append(Mark("step", position, *self._last_batch()))

    def forward(self, items: int | None, tokens: int | None) -> None:
        """A top-level module has returned."""
        self.forwards += 1
        self._forward_ends.append((len(self.records), Mark("forward", 0, items, tokens)))

    def _last_batch(self) -> tuple[int | None, int | None]:
        for mark in reversed(self.marks):
            if mark.kind == "step":
                break
            if mark.items is not None:
                return mark.items, mark.tokens
        return None, None

    # --- cuts ----------------------------------------------------------------------------------------------

    def cut(self, ended_by: str) -> None:
        """The host looked: what was recorded since the last cut becomes a segment of the path."""
        with self._lock:
            count = len(self.records)
            records = self.records[:count]
            del self.records[:count]
            ends, self._forward_ends = self._forward_ends, []
            self.operators += count
            trains = any(PLACES[place].phase == "backward" for place in {record[5] for record in records})
            start = 0
            for position, mark in self._with_steps_by_hand(records, ends, trains=trains):
                if mark.kind == "step" or (not trains and ended_by != "step"):
                    self._close(records[start:position], mark.kind)
                    start = position
                at = len(self.path) + (1 if start < position else 0)
                if mark.kind == "step":
                    self._mark_step(at)
                else:
                    self.marks.append(Mark(mark.kind, at, mark.items, mark.tokens))
            if start < count or (self._to_device_bytes or self._to_host_bytes):
                self._close(records[start:], ended_by)
            places.forget_old_sequences()

    def _with_steps_by_hand(
        self, records: list[Record], ends: list[tuple[int, Mark]], *, trains: bool
    ) -> list[tuple[int, Mark]]:
        """The ends of forward passes, and those of steps that the script takes itself.

        Such a step ends with the last write into parameters, outside modules, between two backward passes.
        """
        if self._optimizer_steps or not (trains or self._gradients_wait):
            return ends
        updated: list[int] = []
        last = 0
        for position, (_, _, _, _, writes, number) in enumerate(records, 1):
            place = PLACES[number]
            if place.phase == "backward":
                if last:
                    updated.append(last)
                    last = 0
                self._gradients_wait = True
                continue
            by_hand = self._gradients_wait and place.phase == "forward" and not place.module
            if by_hand and any(allocation.kind == "parameter" for allocation, _ in writes):
                last = position
        if last:
            updated.append(last)
            self._gradients_wait = False
        steps = [(position, Mark("step", 0)) for position in updated]
        return sorted((*ends, *steps), key=lambda end: end[0])

    def _close(self, records: list[Record], ended_by: str) -> None:
        if self._to_device_bytes or self._to_host_bytes:
            self.transfers.append(Transfer(len(self.path), self._to_device_bytes, self._to_host_bytes))
            self._to_device_bytes = self._to_host_bytes = 0
        if not records:
            return
        signature = _signature(records, ended_by)
        index = self._known.get(signature)
        if index is None:
            index = self._known[signature] = len(self.segments)
            self.segments.append(_segment(records, ended_by))
        self.path.append(index)

    def graph(self) -> Graph:
        """The workload so far."""
        self.cut("end")
        return Graph(
            name=self.name,
            numerics=self.numerics,
            segments=tuple(self.segments),
            path=tuple(self.path),
            marks=tuple(self.marks),
            memory=LEDGER.report(lambda place: PLACES[place].module),
            transfers=tuple(self.transfers),
            with_values=self.with_values,
            stand_ins=tuple(self.stand_ins),
        )


def _signature(records: list[Record], ended_by: str) -> tuple[Any, ...]:
    """What two lists of records share if they are the same segment; this is the hot part of a cut.

    A plan stands before each call's entries, and its skeleton says how many tensors it reads, so the flat
    list is unambiguous.
    """
    numbers: defaultdict[Allocation, int] = defaultdict(count().__next__)
    key: list[Any] = [ended_by]
    for plan, skeleton, _, reads, writes, place in records:
        key += (plan, skeleton, place)
        for allocation, geometry in reads:
            key += (numbers[allocation], geometry)
        for allocation, geometry in writes:
            key += (numbers[allocation], geometry)
    return tuple(key)


if not TYPE_CHECKING and SEAM is not None:
    _signature = SEAM.signature


def _segment(records: list[Record], ended_by: str) -> Segment:
    """Values, versions and nodes from one list of records."""
    values: list[Value] = []
    current: dict[Allocation, int] = {}
    storages: dict[Allocation, int] = {}

    def read(operand: Operand) -> View:
        allocation, geometry = operand
        index = current.get(allocation)
        if index is None:
            storages[allocation] = len(storages)
            index = current[allocation] = len(values)
            values.append(Value(storages[allocation], 0, allocation.size_bytes, allocation.kind))
        return _view(index, geometry)

    nodes: list[Node] = []
    for plan, skeleton, floats, reads, writes, place in records:
        inputs = tuple(read(operand) for operand in reads)
        for allocation in dict.fromkeys(allocation for allocation, _ in writes):
            index = current.get(allocation)
            if index is not None:
                current[allocation] = len(values)
                values.append(replace(values[index], version=values[index].version + 1))
        outputs = tuple(read(operand) for operand in writes)
        nodes.append(Node(plan.name, _attributes(plan, skeleton, floats), inputs, outputs, PLACES[place]))
    return Segment(tuple(values), tuple(nodes), ended_by)


def _view(value: int, geometry: Geometry) -> View:
    dtype, shape, strides, offset = geometry
    return View(value, format_name(dtype), tuple(shape), tuple(strides), offset)


def _attributes(
    plan: Plan, skeleton: tuple[Any, ...], floats: Sequence[Any]
) -> tuple[tuple[str, Attribute], ...]:
    """(name, value) of the arguments that are no tensors and differ from their defaults."""
    remaining = iter(floats)
    attributes: list[tuple[str, Attribute]] = []
    for position, entry in enumerate(skeleton):
        if type(entry) is Keyword:
            name, entry = entry
        else:
            name = plan.arguments[position]
        if entry is TENSOR:
            continue
        value = canonical(_with_floats(entry, remaining))
        if name not in plan.defaults or plan.defaults[name] != value:
            attributes.append((name, value))
    return tuple(attributes)


def _with_floats(entry: Any, remaining: Iterator[Any]) -> Any:
    if entry is float:
        return next(remaining)
    if type(entry) is tuple and entry[:1] == (float,):
        return next(remaining)
    return entry
