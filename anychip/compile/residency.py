"""What operators that share the cores' caches leave for each other, and which results need fresh pages.

Only for software that runs on the chip's own cores (`Policy.inline`): between two operators nothing else
runs, so that values stay in the last-level cache until newer ones push them out. Memory that is handed out
again is in the cache if what lay there before still is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from anychip.chips import Chip
from anychip.chips.inline import Inline
from anychip.compile.fuse import Crossing, Group, grouped
from anychip.compile.layout import shared_cache_bytes
from anychip.compile.lives import Lives, lives_of
from anychip.operators import Form, Operand
from anychip.programs.graph import Node, Segment, View

#: Shares of traffic are rounded to so many parts, so that equal work stays equal.
_PARTS = 16
#: Operators on lists of tensors, which are loops over tensors on a CPU.
_LISTS = ("aten._foreach_", "aten._fused_ada", "aten._fused_sgd", "aten._amp_foreach_")


class Cache:
    """Bytes of storages in a cache, least recently used first.

    Args:
        capacity_bytes: that values may take.
    """

    def __init__(self, capacity_bytes: float) -> None:
        self._capacity = capacity_bytes
        self._held: dict[int, float] = {}
        self._total = 0.0
        self._dead: list[int] = []

    def touch(self, storage: int, size: float) -> float:
        """Uses `size` bytes of a storage; returns how many of them were not there."""
        found = self._held.pop(storage, 0.0)
        self._total -= found
        self._put(storage, max(found, size))
        return max(0.0, size - found)

    def renew(self, storage: int, size: float) -> float:
        """Writes a storage where dead ones lay, the latest first; returns how many bytes were not there."""
        found = 0.0
        while self._dead and found < size:
            other = self._dead[-1]
            held = self._held.get(other, 0.0)
            taken = min(held, size - found)
            found += taken
            if held > taken:
                self._held[other] = held - taken
            else:
                self._held.pop(other, None)
                self._dead.pop()
            self._total -= taken
        self._put(storage, size)
        return max(0.0, size - found)

    def bury(self, storage: int) -> None:
        """Nobody reads the storage again."""
        if storage in self._held:
            self._dead.append(storage)

    def _put(self, storage: int, size: float) -> None:
        size = min(size, self._capacity)
        self._held[storage] = size
        self._total += size
        while self._total > self._capacity:
            oldest = next(iter(self._held))
            leaves = min(self._held[oldest], self._total - self._capacity)
            self._total -= leaves
            if leaves < self._held[oldest]:
                self._held[oldest] -= leaves
            else:
                del self._held[oldest]


def kernels_of(chip: Chip, segment: Segment, forms: Sequence[tuple[Form, ...]]) -> list[Group]:
    """The kernels of a segment, whoever runs them: a host's, a compiled graph's, or the cores' own.

    Args:
        chip: whose policy decides.
        segment: the operators.
        forms: what each of its nodes means.
    """
    if chip.policy.inline is None:
        return grouped(chip, segment, forms)
    return placed(chip, segment, one_by_one(segment, forms))


def placed(chip: Chip, segment: Segment, groups: Sequence[Group]) -> list[Group]:
    """The groups with the traffic that crosses to main memory and the bytes on fresh pages.

    The segment is walked twice: what counts is a step that follows an equal one.

    Args:
        chip: with software that runs on its own cores.
        segment: the operators.
        groups: its kernels in order.
    """
    software = chip.policy.inline
    assert software is not None  # noqa: S101 - asked for by the caller
    lives = lives_of(segment, [_views(segment, group) for group in groups])
    cache = Cache(chip.policy.cache_share * shared_cache_bytes(chip))
    found: list[Group] = []
    for _ in range(2):
        found = [
            _placed_group(segment, group, lives, index, cache, software) for index, group in enumerate(groups)
        ]
    return found


def _placed_group(
    segment: Segment, group: Group, lives: Lives, index: int, cache: Cache, software: Inline
) -> Group:
    node = segment.nodes[group.nodes[0]]
    new = dict(lives.born.get(index, ()))
    for storage in new:
        cache.bury(storage)  # the one of the step before
    if _renews(node):
        written = (_storage(segment, node, operand) for form in group.forms for operand in form.writes)
        new |= {storage: lives.sizes[storage] for storage in written if storage is not None}
    mapped = {storage: size for storage, size in new.items() if size >= software.map_threshold_bytes}
    moved = [0.0, 0.0]
    missed = [0.0, 0.0]
    for form in group.forms:
        for side, operands in enumerate((form.reads, form.writes)):
            for operand in operands:
                storage = _storage(segment, node, operand)
                moved[side] += operand.bytes
                if storage is None:
                    continue
                if side and storage in new:
                    del new[storage]
                    missing = cache.renew(storage, operand.bytes)
                    missed[side] += 0.0 if storage in mapped else missing
                else:
                    missed[side] += cache.touch(storage, operand.bytes)
    for storage in lives.dies.get(index, ()):
        cache.bury(storage)
    crossing = Crossing(*(_share(miss, all_) for miss, all_ in zip(missed, moved, strict=True)))
    return replace(group, crossing=crossing, mapped_bytes=sum(mapped.values()))


def _renews(node: Node) -> bool:
    """Whether the loop over tensors makes a new tensor where the operator on lists works in place.

    Source: torch/optim/adam.py, `_single_tensor_adam` divides ``exp_avg_sq.sqrt()`` out of place,
    `_multi_tensor_adam` in place.
    """
    return node.operator.startswith("aten._foreach_div_.")


def _views(segment: Segment, group: Group) -> tuple[Sequence[View], Sequence[View]]:
    """What a kernel reads and writes: all of its node's, of a list only its own tensors."""
    node = segment.nodes[group.nodes[0]]
    if not node.operator.startswith(_LISTS):
        return node.inputs, node.outputs
    reads = [_view(node, operand) for form in group.forms for operand in form.reads]
    writes = [_view(node, operand) for form in group.forms for operand in form.writes]
    return [view for view in reads if view], [view for view in writes if view]


def _share(part: float, whole: float) -> float:
    return round(_PARTS * min(1.0, part / whole)) / _PARTS if whole else 0.0


def _storage(segment: Segment, node: Node, operand: Operand) -> int | None:
    """The storage behind a port, None for what the node's own forms pass on."""
    view = _view(node, operand)
    return None if view is None else segment.values[view.value].storage


def _view(node: Node, operand: Operand) -> View | None:
    for prefix, views in (("in", node.inputs), ("out", node.outputs)):
        number = operand.port.removeprefix(prefix)
        if number != operand.port and number.isdigit() and int(number) < len(views):
            return views[int(number)]
    return None


def one_by_one(segment: Segment, forms: Sequence[tuple[Form, ...]]) -> list[Group]:
    """One kernel per form, in the order in which software without kernels for lists runs them.

    Consecutive operators on lists of the same length go tensor by tensor, as PyTorch's optimizers do there.

    Args:
        segment: the operators.
        forms: what each of its nodes means.
    """
    groups: list[Group] = []
    index, count = 0, len(forms)
    while index < count:
        length = len(forms[index])
        phase = segment.nodes[index].place.phase
        if not _takes_list(segment.nodes[index], forms[index]):
            groups += [
                Group((index,), (form,), called_in="" if position else phase)
                for position, form in enumerate(forms[index])
            ]
            index += 1
            continue
        stop = index
        while stop < count and len(forms[stop]) == length and _takes_list(segment.nodes[stop], forms[stop]):
            stop += 1
        for position in range(length):
            groups += [
                Group((node,), (forms[node][position],), called_in=phase) for node in range(index, stop)
            ]
        index = stop
    return groups


def _takes_list(node: Node, forms: Sequence[Form]) -> bool:
    return len(forms) > 1 and node.operator.startswith(_LISTS)
