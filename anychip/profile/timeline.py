"""Kernels in the order of the run, for timelines: what pictures are drawn from."""

from __future__ import annotations

from anychip.chips import Chip
from anychip.profile.division import Division
from anychip.profile.energy import chip_w
from anychip.profile.profile import Slice, Timeline
from anychip.profile.sharing import Sharing
from anychip.programs.graph import Graph, Place, Segment, Transfer
from anychip.programs.program import Kernel, Program
from anychip.simulate.trace import Span, Trace


def timeline_of(
    graph: Graph,
    program: Program,
    trace: Trace,
    divisions: tuple[tuple[Division, ...], ...],
    sharing: Sharing,
    chip: Chip,
    transfers: tuple[tuple[Transfer, int], ...],
) -> Timeline:
    """Slices of every segment, and where in the path transfers and marks lie.

    Args:
        graph: what was captured.
        program: its kernels.
        trace: their spans.
        divisions: of every span.
        sharing: names the place that a fused kernel mostly serves.
        chip: what its watts are those of.
        transfers: every copy between host and device with its duration.
    """
    segments = tuple(
        tuple(
            _slice(chip, kernel, span, division, live_bytes, sharing.shares(segment, kernel)[0].place)
            for kernel, span, division, live_bytes in zip(
                kernels, spans, parts, _live_bytes(segment, kernels), strict=True
            )
        )
        for segment, kernels, spans, parts in zip(
            graph.segments, program.segments, trace.segments, divisions, strict=True
        )
    )
    copies = tuple(sorted((t.position, ticks, t.to_device_bytes, t.to_host_bytes) for t, ticks in transfers))
    counts = {"step": 0, "forward": 0}
    marks: list[tuple[int, str]] = []
    for mark in graph.marks:
        counts[mark.kind] += 1
        marks.append((mark.position, f"{mark.kind} {counts[mark.kind]}"))
    return Timeline(segments, graph.path, copies, tuple(marks))


def _slice(
    chip: Chip, kernel: Kernel, span: Span, division: Division, live_bytes: int, place: Place
) -> Slice:
    return Slice(
        name=kernel.nest.name,
        module=place.module,
        source=place.source,
        phase=place.phase,
        ticks=span.ticks,
        division=division,
        busy=tuple((name, time.busy) for name, time in span.engines if time.busy),
        moved_bytes=span.demand.traffic_bytes,
        live_bytes=live_bytes,
        chip_w=chip_w(chip, span.demand, span.ticks / chip.clock_hz),
    )


def _live_bytes(segment: Segment, kernels: tuple[Kernel, ...]) -> list[int]:
    """Bytes of the storages that a segment still needs at each of its kernels.

    A storage that is read before it is written has lived since the segment began; one is needed until its
    last use.
    """
    nodes = segment.nodes
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    size = {value.storage: value.size_bytes for value in segment.values}
    for at, kernel in enumerate(kernels):
        for number in kernel.nodes:
            node = nodes[number]
            for view in node.inputs:
                storage = segment.values[view.value].storage
                first.setdefault(storage, 0)
                last[storage] = at
            for view in node.outputs:
                storage = segment.values[view.value].storage
                first.setdefault(storage, at)
                last[storage] = at
    change = [0] * (len(kernels) + 1)
    for storage, start in first.items():
        change[start] += size[storage]
        change[last[storage] + 1] -= size[storage]
    live: list[int] = []
    total = 0
    for at in range(len(kernels)):
        total += change[at]
        live.append(total)
    return live
