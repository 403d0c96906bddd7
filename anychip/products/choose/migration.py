"""What a script written for CUDA would meet on a chip: its software, its formats, its memory, its host.

Everything here is read off the recorded workload and the catalogue, or is a documented property of the
family's software, named with its source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from anychip.chips import Chip
from anychip.operators import Host, meaning
from anychip.products.choose.variants import Variant
from anychip.profile.profile import MemoryUse
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


def differences(graph: Graph, variant: Variant, chip: Chip, memory: MemoryUse) -> tuple[Difference, ...]:
    """What would differ on `chip`, the most invasive first."""
    return tuple(_differences(graph, variant, chip, memory))


def _differences(graph: Graph, variant: Variant, chip: Chip, memory: MemoryUse) -> Iterator[Difference]:
    family = _family(chip)
    if family in _SOFTWARE:
        yield Difference("software", *_SOFTWARE[family])
    for name, instead in variant.replaced:
        yield Difference(
            "formats", f"{name} tensors become {instead}: no {name} arithmetic there", f"facts of {chip.name}"
        )
    if family in ("neuron", "neuron1", "tpu"):
        yield from _narrowed(graph)
        yield from _shapes(graph)
    host = _on_host(graph)
    if host:
        names = ", ".join(f"{name} ({calls}x)" for name, calls in host.most_common(4))
        more = f" and {len(host) - 4} more" if len(host) > 4 else ""
        what = f"no rule for {names}{more}: priced as element loops, may run on the host there"
        yield Difference("host", what, "recording")
    if memory.peak_bytes / memory.capacity_bytes > _TIGHT:
        used = f"{binary(memory.peak_bytes)} of {binary(memory.capacity_bytes)} used"
        yield Difference("memory", f"{used}: little room for a larger batch", "recording")


def _family(chip: Chip) -> str:
    if chip.kind == "cpu":
        return "cpu"
    if chip.vendor == "AWS":
        return "neuron1" if chip.inference_only and not chip.name.startswith("inf2") else "neuron"
    return {"Google": "tpu", "Intel": "gaudi", "AMD": "amd"}.get(chip.vendor, "")


def _narrowed(graph: Graph) -> Iterator[Difference]:
    used = {
        view.format
        for segment in graph.segments
        for node in segment.nodes
        for view in (*node.inputs, *node.outputs)
    }
    for name, instead in _NARROWED.items():
        if name in used:
            yield Difference("formats", f"{name} values become {instead} unless told otherwise", _NEURON)


def _shapes(graph: Graph) -> Iterator[Difference]:
    played = sorted(set(graph.path))
    yield Difference(
        "shapes",
        f"{len(played)} distinct graph{'s' if len(played) != 1 else ''} to compile, each for fixed shapes; "
        "another batch or sequence length compiles again",
        _NEURON,
    )
    waits = sum(graph.segments[index].ended_by == "extent" for index in graph.path)
    if waits:
        yield Difference(
            "shapes",
            f"{waits} results have shapes that depend on values: the graph breaks there and the host waits",
            "recording",
        )


def _on_host(graph: Graph) -> Counter[str]:
    calls: Counter[str] = Counter()
    plays = Counter(graph.path)
    for index, count in plays.items():
        for node in graph.segments[index].nodes:
            if any(isinstance(form, Host) for form in meaning(node)):
                calls[node.operator.removeprefix("aten.").removesuffix(".default")] += count
    return calls
