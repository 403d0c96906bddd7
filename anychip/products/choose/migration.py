"""What a script written for CUDA would meet on a chip: its software, its formats, its memory, its host.

Everything here is read off the recorded workload and the catalogue, or is a documented property of the
family's software, named with its source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from anychip.chips import Chip
from anychip.operators import Form, Host
from anychip.programs.graph import Graph
from anychip.units import binary

#: Share of a chip's memory above which a somewhat larger batch or sequence may not fit.
_TIGHT = 0.85


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that would be different on a chip.

    Args:
        about: ``software``, ``formats``, ``shapes``, ``host`` or ``memory``.
        what: a sentence.
        source: where that is known from; ``recording`` is the workload itself.
    """

    about: str
    what: str
    source: str


_NEURON = "AWS Neuron documentation, PyTorch support (torch-neuronx) and data types"
_SOFTWARE: Mapping[str, tuple[str, str]] = {
    "neuron": (
        "runs through PyTorch's Neuron device: graphs are compiled ahead, CUDA extensions and Triton kernels "
        "have no counterpart but NKI",
        _NEURON,
    ),
    "neuron1": (
        "inference only, through torch.neuron.trace: the model is traced with example inputs",
        "AWS Neuron documentation, torch-neuron (Inf1)",
    ),
    "tpu": ("runs through torch_xla: the device is `xla`, graphs are compiled", "PyTorch/XLA documentation"),
    "gaudi": (
        "the device is `hpu` (or CUDA calls mapped by the GPU migration toolkit)",
        "Intel Gaudi documentation, GPU migration toolkit",
    ),
    "amd": (
        "runs with PyTorch's ROCm build under the same `cuda` names; CUDA extensions need HIP builds",
        "PyTorch documentation, HIP (ROCm) semantics",
    ),
    "cpu": (
        '`.cuda()` has to become `.to("cpu")`, and autocast("cuda") autocast("cpu")',
        "PyTorch documentation",
    ),
}
#: 64-bit formats that the family's compiler narrows.
_NARROWED = {"int64": "32 bits", "fp64": "fp32"}


@dataclass(frozen=True, slots=True)
class Recording:
    """What a recorded workload shows of itself, whatever the chip.

    Args:
        trains: it has backward passes or optimizer steps.
        formats: of everything that its calls read and write.
        graphs: distinct segments.
        waits: cuts because a result's shape depends on values.
        without_rule: calls of operators that no rule describes.
    """

    trains: bool
    formats: frozenset[str]
    graphs: int
    waits: int
    without_rule: tuple[tuple[str, int], ...]


def recorded(graph: Graph, forms: Sequence[Sequence[tuple[Form, ...]]]) -> Recording:
    """Reads a workload once, for all chips.

    Args:
        graph: recorded workload.
        forms: what every node of every segment means.
    """
    plays = Counter(graph.path)
    trains = False
    formats: set[str] = set()
    without_rule: Counter[str] = Counter()
    for index, count in plays.items():
        for node, meant in zip(graph.segments[index].nodes, forms[index], strict=True):
            trains = trains or node.place.phase in ("backward", "optimizer")
            formats.update(view.format for view in (*node.inputs, *node.outputs))
            if any(isinstance(form, Host) for form in meant):
                without_rule[node.operator.removeprefix("aten.").removesuffix(".default")] += count
    waits = sum(graph.segments[index].ended_by == "extent" for index in graph.path)
    return Recording(trains, frozenset(formats), len(plays), waits, tuple(without_rule.most_common()))


def differences(
    recording: Recording,
    replaced: Iterable[tuple[str, str]],
    chip: Chip,
    peak_bytes: int,
    capacity_bytes: int,
) -> tuple[Difference, ...]:
    """What would differ on `chip`, the most invasive first.

    Args:
        recording: the workload.
        replaced: formats of it that the chip does not compute with, and what stands for them.
        chip: of the catalogue.
        peak_bytes: memory that the workload needs.
        capacity_bytes: memory of the chips that share it.
    """
    return tuple(_differences(recording, replaced, chip, peak_bytes, capacity_bytes))


def _differences(
    recording: Recording,
    replaced: Iterable[tuple[str, str]],
    chip: Chip,
    peak_bytes: int,
    capacity_bytes: int,
) -> Iterator[Difference]:
    family = _family(chip)
    if family in _SOFTWARE:
        yield Difference("software", *_SOFTWARE[family])
    for name, instead in replaced:
        yield Difference(
            "formats", f"{name} tensors become {instead}: no {name} arithmetic there", f"facts of {chip.name}"
        )
    if family in ("neuron", "neuron1", "tpu"):
        yield from _narrowed(recording)
        yield from _shapes(recording)
    unknown = recording.without_rule
    if unknown:
        names = ", ".join(f"{name} ({calls}x)" for name, calls in unknown[:4])
        more = f" and {len(unknown) - 4} more" if len(unknown) > 4 else ""
        what = f"no rule for {names}{more}: priced as element loops, may run on the host there"
        yield Difference("host", what, "recording")
    if peak_bytes / capacity_bytes > _TIGHT:
        used = f"{binary(peak_bytes)} of {binary(capacity_bytes)} used"
        yield Difference("memory", f"{used}: little room for a larger batch", "recording")


def _family(chip: Chip) -> str:
    if chip.kind == "cpu":
        return "cpu"
    if chip.vendor == "AWS":
        return "neuron1" if chip.inference_only and not chip.name.startswith("inf2") else "neuron"
    return {"Google": "tpu", "Intel": "gaudi", "AMD": "amd"}.get(chip.vendor, "")


def _narrowed(recording: Recording) -> Iterator[Difference]:
    for name, instead in _NARROWED.items():
        if name in recording.formats:
            yield Difference("formats", f"{name} values become {instead} unless told otherwise", _NEURON)


def _shapes(recording: Recording) -> Iterator[Difference]:
    graphs = f"{recording.graphs} distinct graph{'s' if recording.graphs != 1 else ''}"
    yield Difference(
        "shapes",
        f"{graphs} to compile, each for fixed shapes; another batch or sequence length compiles again",
        _NEURON,
    )
    if recording.waits:
        yield Difference(
            "shapes",
            f"{recording.waits} results have shapes that depend on values: the graph breaks there and the "
            "host waits",
            "recording",
        )
