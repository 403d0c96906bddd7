"""Which forms run as one kernel, and which of their operands never leave the chip.

Eager software runs one kernel per form, or per list of tensors where the operator takes lists (``_foreach_``
and ``_fused_`` optimizer steps), and fuses only inside `torch.compile` regions. Compiled graphs fuse
whole blocks: everything between two boundaries of the modules that the user repeats (a transformer layer, a
residual block). Fusion never changes a value: it saves traffic and launches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from anychip.chips import Chip
from anychip.compile.layout import local_memory
from anychip.operators import Attention, Contract, Form, Lanes, Move, Operand, Rows
from anychip.programs.graph import Node, Region, Segment

#: Share of the local memory in which a compiled graph keeps values between operators.
_RESIDENT_SHARE = 0.5
#: A value whose last reader follows within so many operators flows to it tile by tile, whatever its size.
_FLOWS = 12
#: Operators that do the same to every tensor of a list.
_TAKES_LISTS = ("aten._foreach_", "aten._fused_ada", "aten._fused_sgd", "aten._amp_foreach_")


class Residency(NamedTuple):
    """Which operands of a form cross the link of main memory.

    Args:
        reads: for each operand read, whether it must be loaded.
        writes: for each operand written, whether it must be stored.
    """

    reads: tuple[bool, ...]
    writes: tuple[bool, ...]


class Crossing(NamedTuple):
    """Shares of a kernel's bytes that cross to main memory; the rest is found in the shared cache.

    Args:
        reads: of the bytes read.
        writes: of the bytes written.
    """

    reads: float = 1.0
    writes: float = 1.0


@dataclass(frozen=True, slots=True)
class Group:
    """Forms that run as one kernel.

    Args:
        nodes: of the segment, in order.
        forms: in order.
        residency: one per form; empty where everything is loaded and stored.
        sources: for each form and each operand it reads, the form of the group that wrote it, -1 outside.
        kept_bytes: read and written bytes that fusion keeps inside an eager kernel.
        epilogue_bytes: bytes that an eager contraction's fused lanes move besides its result.
        first: whether it opens a call of a compiled graph.
        is_list: the forms are one operator's on the tensors of a list; none waits for another.
        crossing: None where caches keep nothing between kernels.
        called_in: phase of the step in which software on the cores themselves calls the operator; empty where
            a host launches it, and for what belongs to the call of the group before.
        mapped_bytes: of its results that lie on pages which must be mapped first.
        replayed: the region that it lies in, if one launch starts all of that.
        backward: whether it forms gradients: those of weights keep the engines busy while others cross.
        work: what the nest depends on; equal work shares a nest.
    """

    nodes: tuple[int, ...]
    forms: tuple[Form, ...]
    residency: tuple[Residency, ...] = ()
    sources: tuple[tuple[int, ...], ...] = ()
    kept_bytes: int = 0
    epilogue_bytes: int = 0
    first: bool = False
    is_list: bool = False
    crossing: Crossing | None = None
    mapped_bytes: int = 0
    called_in: str = ""
    replayed: Region | None = None
    backward: bool = False
    work: tuple[object, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        work = (
            self.forms, self.residency, self.sources, self.kept_bytes, self.epilogue_bytes, self.first,
            self.is_list, self.crossing, self.mapped_bytes, self.called_in, self.backward,
        )  # fmt: skip
        object.__setattr__(self, "work", work)

    @classmethod
    def single(cls, form: Form) -> Group:
        """One form by itself, everything loaded and stored."""
        return cls((0,), (form,))


def grouped(chip: Chip, segment: Segment, forms: Sequence[tuple[Form, ...]]) -> list[Group]:
    """The kernels of a segment.

    Args:
        chip: whose policy decides.
        segment: the operators.
        forms: what each of its nodes means.
    """
    if chip.policy.style == "compiled":
        return _blocks(chip, segment, forms)
    return [_in_replay(segment, group) for group in _kernels(segment, forms)]


# --- eager -------------------------------------------------------------------------------------------


def _in_replay(segment: Segment, group: Group) -> Group:
    """The group with the replayed region that it lies in, if it does."""
    region = segment.nodes[group.nodes[0]].place.region
    return replace(group, replayed=region) if region is not None and region.replayed else group


def _kernels(segment: Segment, forms: Sequence[tuple[Form, ...]]) -> list[Group]:
    """One kernel per form or list of tensors; chains inside a compiled region become one."""
    groups: list[Group] = []
    index, count = 0, len(forms)
    last_read = _last_reads(segment.nodes)
    while index < count:
        region = segment.nodes[index].place.region
        if region is None or not region.fuses:
            groups += _of_one_node(segment, index, forms[index])
            index += 1
            continue
        stop = index
        while stop < count and segment.nodes[stop].place.region == region:
            stop += 1
        groups += _chains(segment, forms, range(index, stop), last_read)
        index = stop
    return groups


def _of_one_node(segment: Segment, index: int, forms: Sequence[Form]) -> list[Group]:
    """The kernels of an operator by itself."""
    takes_lists = len(forms) > 1 and segment.nodes[index].operator.startswith(_TAKES_LISTS)
    if takes_lists and any(all(isinstance(form, kind) for form in forms) for kind in (Lanes, Rows)):
        return [Group((index,), tuple(forms), is_list=True)]
    return [Group((index,), (form,)) for form in forms]


def _last_reads(nodes: Sequence[Node]) -> dict[int, int]:
    """Index of the last node that reads each value."""
    last: dict[int, int] = {}
    for index, node in enumerate(nodes):
        for view in node.inputs:
            last[view.value] = index
    return last


@dataclass(slots=True)
class _Chain:
    """A kernel being collected inside a region."""

    nodes: list[int] = field(default_factory=list[int])
    forms: list[Form] = field(default_factory=list[Form])
    written: dict[int, int] = field(default_factory=dict[int, int])

    def takes(self, node: Node, forms: tuple[Form, ...]) -> bool:
        """Whether the node's forms may join: lanes and moves after anything, rows of the same elements."""
        if not self.forms:
            return True
        if not all(isinstance(form, Lanes | Move | Rows) for form in forms):
            return False
        if not any(view.value in self.written for view in node.inputs):
            return False
        if isinstance(self.forms[0], Contract):
            return all(isinstance(form, Lanes) for form in forms)
        return True


def _chains(
    segment: Segment, forms: Sequence[tuple[Form, ...]], span: range, last_read: dict[int, int]
) -> list[Group]:
    groups: list[Group] = []
    chain = _Chain()
    for index in span:
        node = segment.nodes[index]
        if not forms[index]:
            for view in node.outputs:
                if any(source.value in chain.written for source in node.inputs):
                    chain.written.setdefault(view.value, index)
            continue
        if not chain.takes(node, forms[index]):
            groups += _closed(segment, chain, last_read)
            chain = _Chain()
        chain.nodes.append(index)
        chain.forms += forms[index]
        chain.written |= {view.value: index for view in node.outputs}
        if any(not isinstance(form, Contract | Lanes | Move | Rows) for form in forms[index]):
            groups += _closed(segment, chain, last_read)
            chain = _Chain()
    return groups + _closed(segment, chain, last_read)


def _closed(segment: Segment, chain: _Chain, last_read: dict[int, int]) -> list[Group]:
    """The chain as a group, with the bytes that stay inside."""
    if not chain.forms:
        return []
    if len(chain.nodes) == 1:
        return _of_one_node(segment, chain.nodes[0], chain.forms)
    inside = set(chain.nodes)
    end = max(inside)
    kept = read = 0
    produced = {view.value for index in inside for view in segment.nodes[index].outputs}
    for index in sorted(inside):
        node = segment.nodes[index]
        for view in node.inputs:
            if view.value in produced:
                read += _view_bytes(segment, view.value)
        for view in node.outputs:
            if last_read.get(view.value, end + 1) <= end:
                kept += _view_bytes(segment, view.value)
    forms = tuple(chain.forms)
    moved = sum(operand.bytes for form in forms[1:] for operand in (*form.reads, *form.writes))
    extra = max(0, moved - read - kept) if isinstance(forms[0], Contract) else 0
    return [Group(tuple(chain.nodes), forms, kept_bytes=read + kept, epilogue_bytes=extra)]


def _view_bytes(segment: Segment, value: int) -> int:
    return segment.values[value].size_bytes


# --- compiled ----------------------------------------------------------------------------------------


def numbered(module: str) -> list[str]:
    """The repeated modules that a module lies in, outermost first: its path up to every number."""
    parts = module.split(".")
    return [".".join(parts[: depth + 1]) for depth, part in enumerate(parts) if part.isdigit()]


def block_keys(segment: Segment, forms: Sequence[tuple[Form, ...]]) -> list[tuple[str, str]]:
    """For every node the fused block that it belongs to, and its phase.

    A block is the innermost repeated module that multiplies at least twice and adds a residual; without one
    the outermost repeated module; without that the outermost module.
    """
    products: dict[str, int] = {}
    residuals: set[str] = set()
    for node, meant in zip(segment.nodes, forms, strict=True):
        for prefix in numbered(node.place.module):
            products[prefix] = products.get(prefix, 0) + _multiplies(meant)
            if _is_residual(node):
                residuals.add(prefix)
    keys: list[tuple[str, str]] = []
    for node in segment.nodes:
        place = node.place
        inside = [] if place.phase == "optimizer" else numbered(place.module)
        whole = [prefix for prefix in inside if products[prefix] >= 2 and prefix in residuals]
        outer = "" if place.phase == "optimizer" else place.module.split(".")[0]
        keys.append(((whole[-1:] or inside[:1] or [outer])[0], place.phase))
    return keys


def _starts_again(segment: Segment, forms: Sequence[tuple[Form, ...]], run: list[int], index: int) -> bool:
    """Whether a node repeats the first of its run: the same module called anew, as with shared layers."""
    first, node = segment.nodes[run[0]], segment.nodes[index]
    if node.place.module != first.place.module or not numbered(node.place.module):
        return False
    if node.operator != first.operator or forms[index] != forms[run[0]]:
        return False
    return sum(_multiplies(forms[earlier]) for earlier in run) >= 2


def _is_residual(node: Node) -> bool:
    return (
        node.operator.startswith("aten.add")
        and len(node.inputs) == 2
        and node.inputs[0].shape == node.inputs[1].shape
    )


def _blocks(chip: Chip, segment: Segment, forms: Sequence[tuple[Form, ...]]) -> list[Group]:
    """Runs of nodes of the same block; runs that multiply nothing join the one before."""
    runs: list[tuple[tuple[str, str], list[int]]] = []
    keys = block_keys(segment, forms)
    for index, key in enumerate(keys):
        if not forms[index]:
            continue
        if runs and runs[-1][0] == key and not _starts_again(segment, forms, runs[-1][1], index):
            runs[-1][1].append(index)
        else:
            runs.append((key, [index]))
    joined: list[list[int]] = []
    for _, nodes in runs:
        if joined and not any(_multiplies(forms[index]) for index in nodes):
            joined[-1] += nodes
        else:
            joined.append(nodes)
    residency = _resident(chip, segment, forms)
    groups: list[Group] = []
    for nodes in joined:
        inside = tuple(form for index in nodes for form in forms[index])
        states = tuple(state for index in nodes for state in residency[index])
        multiplied = any(_multiplies(forms[index]) for index in nodes)
        groups.append(
            Group(
                tuple(nodes),
                inside,
                states,
                _sources(segment, forms, nodes),
                first=multiplied,
                backward=keys[nodes[0]][1] == "backward",
            )
        )
    opened = False
    for position, group in enumerate(groups):
        groups[position] = replace(group, first=group.first and not opened)
        opened = opened or group.first
    return groups


def _sources(
    segment: Segment, forms: Sequence[tuple[Form, ...]], nodes: list[int]
) -> tuple[tuple[int, ...], ...]:
    """Which form of the group wrote each operand that its forms read."""
    writer: dict[int, int] = {}
    found: list[tuple[int, ...]] = []
    for index in nodes:
        node = segment.nodes[index]
        inner: dict[str, int] = {}
        for form in forms[index]:
            ports = [_value_of(node, operand.port) for operand in form.reads]
            found.append(
                tuple(
                    inner.get(operand.port, -1) if value is None else writer.get(value, -1)
                    for operand, value in zip(form.reads, ports, strict=True)
                )
            )
            inner |= {operand.port: len(found) - 1 for operand in form.writes}
        writer |= {
            view.value: inner.get(f"out{port}", len(found) - 1) for port, view in enumerate(node.outputs)
        }
    return tuple(found)


def _value_of(node: Node, port: str) -> int | None:
    """The value behind a port of a node's input, None for what its own forms pass on."""
    if not port.startswith("in"):
        return None
    return node.inputs[int(port[2:])].value


def _multiplies(forms: tuple[Form, ...]) -> bool:
    return any(isinstance(form, Contract | Attention) for form in forms)


def _resident(
    chip: Chip, segment: Segment, forms: Sequence[tuple[Form, ...]]
) -> dict[int, tuple[Residency, ...]]:
    """Residency of every form: values produced on the chip stay until newer ones push them out.

    A value that is pushed out and read again is stored when it is produced and loaded when it is read; so is
    one that nobody reads, since it is a result. Parameters are streamed for every use.
    """
    capacity = _RESIDENT_SHARE * chip.memories[local_memory(chip)].capacity_bytes
    held: dict[int, int] = {}
    used = 0
    loads: dict[tuple[int, int], bool] = {}
    stored: set[int] = set()
    produced: dict[int, int] = {}
    read: set[int] = set()
    last = _last_reads(segment.nodes)
    for index, node in enumerate(segment.nodes):
        for port, view in enumerate(node.inputs):
            read.add(view.value)
            made = produced.get(view.value)
            flows = made is not None and last[view.value] - made <= _FLOWS
            loads[index, port] = view.value not in held and not flows
            if flows:
                continue
            if view.value in held:
                held[view.value] = held.pop(view.value)
                continue
            if view.value in produced:
                stored.add(view.value)
            if segment.values[view.value].kind != "parameter":
                used = _held(held, view.value, segment.values[view.value].size_bytes, used, capacity)
        elsewhere = {
            segment.values[view.value].storage for port, view in enumerate(node.inputs) if loads[index, port]
        }
        for view in node.outputs:
            if segment.values[view.value].storage in elsewhere:
                continue
            produced[view.value] = index
            if last.get(view.value, index) - index <= _FLOWS:
                continue
            used = _held(held, view.value, segment.values[view.value].size_bytes, used, capacity)
    states: dict[int, tuple[Residency, ...]] = {}
    for index, node in enumerate(segment.nodes):
        kept = {
            f"out{port}": view.value in stored or view.value not in read or _persists(segment, view.value)
            for port, view in enumerate(node.outputs)
        }
        kept |= {f"in{port}": loads[index, port] for port in range(len(node.inputs))}
        states[index] = tuple(
            Residency(_flags(form.reads, kept), _flags(form.writes, kept)) for form in forms[index]
        )
    return states


def _held(held: dict[int, int], value: int, size: int, used: int, capacity: float) -> int:
    """Puts a value into the local memory, pushing out the least recently used; returns the bytes held."""
    used -= held.pop(value, 0)
    if size > capacity:
        return used
    held[value] = size
    used += size
    while used > capacity:
        oldest = next(iter(held))
        used -= held.pop(oldest)
    return used


def _persists(segment: Segment, value: int) -> bool:
    return segment.values[value].kind in ("parameter", "optimizer")


def _flags(operands: tuple[Operand, ...], crossing: dict[str, bool]) -> tuple[bool, ...]:
    """Whether each operand crosses; what an earlier form of the same node wrote does not."""
    return tuple(crossing.get(operand.port, False) for operand in operands)
