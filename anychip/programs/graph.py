"""The Graph: what a workload asked for, without any chip.

A capture plays a *path* of segments, cut where the host read a value. Segments number their values in
order of first appearance, so that two equal training steps are the same segment: it is kept, lowered
and priced once, however often the path plays it.

A `Value` is one version of one storage: an in-place update reads version n and writes n + 1. Views are
geometry on an operand, never nodes. Operators are aten overloads (``aten.addmm.default``); attributes
are canonical data; numbers computed by the workload never enter a Graph, so the digest of a model is the
same from capture to capture.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["forward", "backward", "optimizer", "other"]
Kind = Literal["parameter", "gradient", "optimizer", "activation", "input", "other"]
#: What a canonical attribute may be: data that prints the same in every process.
Attribute = None | bool | int | float | str | tuple["Attribute", ...]


@dataclass(frozen=True, slots=True)
class Value:
    """One version of one storage, as a segment sees it.

    Args:
        storage: number of the storage within the segment, in order of first appearance.
        version: how often the segment has written it before.
        size_bytes: bytes of the whole storage.
        kind: what the storage holds, for memory and traffic attribution.
    """

    storage: int
    version: int
    size_bytes: int
    kind: Kind = "other"


@dataclass(frozen=True, slots=True)
class View:
    """Geometry on a value: which elements of which storage an operand means.

    Args:
        value: index into ``Segment.values``.
        format: name of the element format (``"bf16"``, ``"int64"``, ``"bool"``).
        shape: extents, outermost first.
        strides: in elements; 0 where a dimension is broadcast.
        offset: in elements, from the start of the storage.
    """

    value: int
    format: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def elements(self) -> int:
        """How many elements the view shows, broadcast ones counted as often as they appear."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count

    @property
    def distinct_elements(self) -> int:
        """How many different elements it shows: what must be moved to have them all."""
        count = 1
        for extent, stride in zip(self.shape, self.strides, strict=True):
            if stride != 0 or extent == 0:
                count *= extent
        return count


@dataclass(frozen=True, slots=True)
class Region:
    """Operators that a script hands over together.

    Args:
        number: the same for the same region in every step.
        fuses: whether a compiler may join them: `torch.compile`.
        replayed: whether one launch starts all of them: a CUDA graph.
    """

    number: int
    fuses: bool = True
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the user's program an operator came from.

    Args:
        module: path by the user's names, e.g. ``"model.layers.3.mlp"``; empty outside modules.
        source: ``"train.py:88"``, the innermost line outside torch and installed packages.
        phase: part of the step.
        region: that it lies in, None outside.
    """

    module: str = ""
    source: str = ""
    phase: Phase = "forward"
    region: Region | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One operator call.

    Tensor arguments are flattened in schema order into `inputs`; an argument that is a list of tensors
    leaves ``("name", ("tensors", count))`` among the attributes, an optional tensor left out
    ``("name", None)``.

    Args:
        operator: the aten overload, ``"aten.addmm.default"``.
        attributes: (argument name, value) of every non-tensor argument that differs from its default.
        inputs: tensor operands.
        outputs: tensor results; an in-place operator's output is the next version of its input.
        place: where it came from.
    """

    operator: str
    attributes: tuple[tuple[str, Attribute], ...]
    inputs: tuple[View, ...]
    outputs: tuple[View, ...]
    place: Place = field(default_factory=Place)

    def attribute(self, name: str, default: Attribute = None) -> Attribute:
        """The attribute's value, or `default` (the schema's, as the caller knows it)."""
        for key, value in self.attributes:
            if key == name:
                return value
        return default


@dataclass(frozen=True, slots=True)
class Segment:
    """Operators between two moments at which the host looked.

    Args:
        values: every value that the nodes mention.
        nodes: in the order in which they were called.
        ended_by: what cut it: ``"item"``, ``"extent"`` (the host needs a result's shape), ``"to host"``,
            ``"synchronize"``, ``"event"``, ``"forward"``, ``"step"``, ``"end"``.
    """

    values: tuple[Value, ...]
    nodes: tuple[Node, ...]
    ended_by: str = "end"

    @property
    def text(self) -> str:
        """Canonical text, one node a line; equal segments print equally."""
        lines = [f"segment ended_by={self.ended_by}"]
        lines += [
            f"  %{i} = storage {v.storage} version {v.version} bytes {v.size_bytes} {v.kind}"
            for i, v in enumerate(self.values)
        ]
        for node in self.nodes:
            outputs = ", ".join(_view_text(view) for view in node.outputs)
            inputs = ", ".join(_view_text(view) for view in node.inputs)
            attributes = "".join(f" {key}={value!r}" for key, value in node.attributes)
            place = node.place
            at = f" @{place.module or '-'} {place.source or '-'} {place.phase}"
            region = "" if place.region is None else f" region={place.region.number}"
            lines.append(f"  {outputs} = {node.operator}({inputs}){attributes}{at}{region}")
        return "\n".join(lines)


def _view_text(view: View) -> str:
    shape = "x".join(map(str, view.shape))
    strides = ",".join(map(str, view.strides))
    return f"%{view.value}:{view.format}[{shape}]({strides})+{view.offset}"


@dataclass(frozen=True, slots=True)
class Mark:
    """A boundary that reports divide by: the end of a training step or of one forward pass.

    Args:
        kind: ``"step"`` (an optimizer, or the script itself, updated parameters) or
            ``"forward"`` (a top-level module returned).
        position: how many entries of the path lie before it.
        items: samples in the batch where known (first extent of the first input).
        tokens: extent of the second dimension times `items` for integer inputs, else None.
    """

    kind: Literal["step", "forward"]
    position: int
    items: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """Device memory as the capture saw it, exact to the byte.

    Args:
        live_bytes: still allocated at the end.
        peak_bytes: most ever allocated at once.
        peak_by_kind: bytes of each kind at the peak.
        peak_by_module: bytes by the module that allocated them, at the peak, largest first.
    """

    live_bytes: int = 0
    peak_bytes: int = 0
    peak_by_kind: tuple[tuple[Kind, int], ...] = ()
    peak_by_module: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes that crossed between host and device at a point of the path."""

    position: int
    to_device_bytes: int = 0
    to_host_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Graph:
    """A recorded workload.

    Args:
        name: of the workload, e.g. ``"train.py"``.
        numerics: label of the arithmetic in which it was captured; another arithmetic could have
            branched elsewhere.
        segments: the distinct ones.
        path: indices into `segments` in the order in which they were played.
        marks: step and forward boundaries.
        memory: allocation record.
        transfers: host and device copies.
        with_values: False if captured on meta tensors.
        stand_ins: where no values were computed: what stood in for one, and the source line that read it.
    """

    name: str
    numerics: str
    segments: tuple[Segment, ...]
    path: tuple[int, ...]
    marks: tuple[Mark, ...] = ()
    memory: Memory = field(default_factory=Memory)
    transfers: tuple[Transfer, ...] = ()
    with_values: bool = True
    stand_ins: tuple[tuple[str, str], ...] = ()

    @property
    def is_idle(self) -> bool:
        """Whether the device did nothing: no operator ran, nothing was copied."""
        return not self.path and not self.transfers

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical text of the played path; places and names of files included."""
        hasher = hashlib.sha256(self.numerics.encode())
        for segment in self.segments:
            hasher.update(segment.text.encode())
        hasher.update(repr(self.path).encode())
        return hasher.hexdigest()
