"""A calibration's measurements on the host's processor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from anychip.frontends.torch.calibration.probes import DTYPES, Framework, Probe, probes
from anychip.frontends.torch.calibration.timing import Timed, interleaved
from anychip.programs.graph import Graph

#: fp32 values in a vector register, by what PyTorch's kernels were chosen for.
_LANES = {"AVX512": 16, "AVX2": 8, "SVE256": 8, "ZVECTOR": 4, "VSX": 4}
_LIST = "aten._foreach_"


@dataclass(frozen=True)
class Measured:
    """What was timed.

    Args:
        probes: every probe with its time and Graph.
        call: one operator on eight values, called by itself.
        framework: calls of the network on tiny tensors, by name.
        operators: how many operators they have, by call and phase; an operator on lists counts each tensor.
    """

    probes: tuple[tuple[Probe, Timed, Graph], ...]
    call: Timed
    framework: Mapping[str, Timed]
    operators: Mapping[str, Mapping[str, int]]

    @property
    def timed(self) -> dict[str, Timed]:
        """Every time by name."""
        return {probe.name: timed for probe, timed, _ in self.probes} | dict(self.framework) | {"": self.call}


def use_threads(count: int | None) -> int:
    """Has PyTorch compute with so many threads; None leaves it. Returns how many it uses."""
    if count is not None:
        torch.set_num_threads(count)
    return torch.get_num_threads()


def vector_lanes() -> int:
    """fp32 values in one vector register of PyTorch's kernels here."""
    return _LANES.get(torch.backends.cpu.get_cpu_capability(), 4)


def version() -> str:
    """Of PyTorch."""
    return torch.__version__


def measured(
    *,
    seconds: float,
    clock: Callable[[], float],
    formats: tuple[str, ...] = tuple(DTYPES),
    advance: Callable[[float], None] = lambda share: None,
) -> Measured:
    """Times every probe, in turns.

    Args:
        seconds: how long to go on, once every probe had its least number of repetitions.
        clock: seconds.
        formats: of products.
        advance: told the share that is done.
    """
    chosen = list(probes(formats))
    graphs = [probe.graph() for probe in chosen]
    asked = Framework.graphs()
    with torch.no_grad():
        calls = {probe.name: _without_gradients(probe.call()) for probe in chosen}
    network = Framework("cpu")
    network.train()
    network.step()
    framework = {f"framework {name}": getattr(network, name) for name in asked}
    small = torch.zeros(8)
    calls |= framework | {"call": _without_gradients(lambda: torch.add(small, small))}
    timed = interleaved(calls, clock=clock, seconds=seconds, advance=advance)
    return Measured(
        tuple((probe, timed[probe.name], graph) for probe, graph in zip(chosen, graphs, strict=True)),
        timed["call"],
        {name: timed[f"framework {name}"] for name in asked},
        {name: operators_of(graph) for name, graph in asked.items()},
    )


def operators_of(graph: Graph) -> dict[str, int]:
    """How many operators a Graph calls, by phase; on lists, one for each tensor."""
    counts: Counter[str] = Counter()
    for index in graph.path:
        for node in graph.segments[index].nodes:
            counts[node.place.phase] += len(node.outputs) if node.operator.startswith(_LIST) else 1
    return dict(counts)


def _without_gradients(call: Callable[[], object]) -> Callable[[], object]:
    def quiet() -> object:
        with torch.no_grad():
            return call()

    return quiet
