"""Calls of published models on Neuron cores: recorded once, priced with any constants.

A recording becomes groups of forms, and equal groups are simulated once. What the fitted constants of the
policy add is linear in them and is kept apart, so that a search for constants simulates a call only where
it changes an engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from anychip.chips import Chip
from anychip.compile import Lowering
from anychip.compile.fuse import Group, grouped
from anychip.frontends.torch.models import Phase
from anychip.frontends.torch.published import Workload, generates, graph_of, layers_of
from anychip.programs.graph import Graph, Segment
from anychip.simulate import Player


@dataclass(frozen=True, slots=True)
class Work:
    """One call of a published model.

    Args:
        architecture: name among `anychip.frontends.torch.published.ARCHITECTURES`.
        phase: as of `Workload`.
        batch: sequences or images.
        tokens: of the sequence, prompt or cache.
        shards: tensor-parallel degree.
        layers: of one stage of a pipeline; 0: all.
        divides_sequence: shards keep their part of the sequence outside the divided products.
        written: tokens that the decoder of an encoder-decoder has written.
        image: height and width in pixels; zeros: those of the architecture.
    """

    architecture: str
    phase: Phase
    batch: int
    tokens: int
    shards: int = 1
    layers: int = 0
    divides_sequence: bool = False
    written: int = 0
    image: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A call.

    Args:
        groups: of forms that run as one kernel, and how often each does.
        host_bytes: that cross to the host and back.
        parameter_bytes: of this shard's weights.
    """

    groups: tuple[tuple[Group, int], ...]
    host_bytes: int
    parameter_bytes: int


@dataclass(slots=True)
class Calls:
    """Recordings, and times by chip.

    Args:
        recorded: by call and by what decides fusion.
        few: layers of a language model that are recorded; the others are equal.
    """

    recorded: dict[tuple[Work, str], Recorded] = field(default_factory=dict[tuple[Work, str], Recorded])
    few: int = 3
    # By identity; the chip is kept so that its identity is not reused.
    _pricers: dict[int, tuple[Chip, Lowering, Player]] = field(
        default_factory=dict[int, "tuple[Chip, Lowering, Player]"]
    )

    def seconds(self, chip: Chip, work: Work) -> float:
        """Seconds of one call on one core of a chip, inputs and results carried from and to the host."""
        layers = self._equal_layers(work)
        if layers and work.phase == "train":
            # An optimizer works on all layers' weights at once: its time is linear, its kernels are others.
            few, more = (self.seconds(chip, replace(work, layers=self.few + i)) for i in (0, 1))
            return few + (layers - self.few) * (more - few)
        done = self.recording(chip, work)
        _, lowering, player = self.pricer(chip)
        ticks = sum(count * player.span(lowering.group_nest(group)).ticks for group, count in done.groups)
        rate = chip.policy.host_bytes_per_second
        return ticks / chip.clock_hz + (done.host_bytes / rate if rate and done.host_bytes > 1 else 0.0)

    def recording(self, chip: Chip, work: Work) -> Recorded:
        """The call in groups, as the chip's memories make them."""
        key = (work, chip.name)
        known = self.recorded.get(key)
        if known is None:
            layers = self._equal_layers(work)
            if layers:
                few, more = (self.recording(chip, replace(work, layers=self.few + i)) for i in (0, 1))
                known = _extended(few, more, layers - self.few)
            else:
                known = self._recorded(chip, _graph(work))
            self.recorded[key] = known
        return known

    def _equal_layers(self, work: Work) -> int:
        """Layers of a model of which a few are recorded for all; 0 where all are recorded."""
        if not generates(work.architecture):
            return 0
        layers = work.layers or layers_of(work.architecture)
        return layers if layers > self.few + 1 else 0

    def _recorded(self, chip: Chip, graph: Graph) -> Recorded:
        lowering = self.pricer(chip)[1]
        groups: dict[Any, tuple[Group, int]] = {}
        per_segment = [
            grouped(chip, segment, [lowering.forms(node) for node in segment.nodes])
            for segment in graph.segments
        ]
        for index in graph.path:
            for group in per_segment[index]:
                groups[group.work] = (group, groups.get(group.work, (group, 0))[1] + 1)
        moved = sum(each.to_host_bytes + each.to_device_bytes for each in graph.transfers)
        weights = max(map(_parameter_bytes, graph.segments), default=0)
        return Recorded(tuple(groups.values()), moved, weights)

    def pricer(self, chip: Chip) -> tuple[Chip, Lowering, Player]:
        """What lowers and simulates for a chip."""
        known = self._pricers.get(id(chip))
        if known is None:
            known = self._pricers[id(chip)] = (chip, Lowering(chip), Player(chip))
        return known


def _extended(few: Recorded, more: Recorded, times: int) -> Recorded:
    """The recording of a model in which what `more` has beyond `few` is repeated: equal layers."""

    def repeated(first: int, second: int) -> int:
        return first + times * (second - first)

    counts = {group.work: (group, 0, count) for group, count in more.groups}
    for group, count in few.groups:
        counts[group.work] = (group, count, counts.get(group.work, (group, 0, 0))[2])
    groups = tuple((group, repeated(first, second)) for group, first, second in counts.values())
    return Recorded(
        tuple(each for each in groups if each[1] > 0),
        repeated(few.host_bytes, more.host_bytes),
        repeated(few.parameter_bytes, more.parameter_bytes),
    )


@lru_cache(maxsize=2)
def _graph(work: Work) -> Graph:
    """The recording; neighbours in order of work differ in the chip alone."""
    return graph_of(
        Workload(
            work.architecture,
            work.phase,
            work.batch,
            work.tokens,
            work.shards,
            work.layers,
            work.divides_sequence,
            work.written,
            work.image,
        )
    )


def _parameter_bytes(segment: Segment) -> int:
    """Bytes of the weights that a segment reads, each counted once."""
    sizes = {each.storage: each.size_bytes for each in segment.values if each.kind == "parameter"}
    return sum(sizes.values())
