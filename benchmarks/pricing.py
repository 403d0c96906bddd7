"""How long pricing takes: a matmul on every chip, new and repeated operators, a 70-billion-parameter prefill.

    python benchmarks/pricing.py [CHIP ...]

Times are CPU times of this process, so that neighbours do not count; the budgets are 5 ms for a cold
4096-cubed matmul, 2 ms for a new operator shape, 20 us for a repeated one, and 1 s for the program of a
prefill of 4,096 tokens.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from statistics import median
from time import process_time

from anychip import chips
from anychip.compile import Lowering
from anychip.products.validate.operators import nodes_of
from anychip.programs.graph import Graph, Node
from anychip.simulate import Player

_BUDGET_S = {"cold 4096^3 matmul": 5e-3, "new operator": 2e-3, "repeated operator": 20e-6, "70B prefill": 1.0}
_OPERATORS = ("linear", "bmm", "softmax", "layernorm", "gelu", "add")


@dataclass
class Pricer:
    """Lowering and simulation for one chip, both with memory."""

    lowering: Lowering
    player: Player

    @classmethod
    def of(cls, name: str) -> Pricer:
        chip = chips.by_name(name)
        return cls(Lowering(chip), Player(chip))

    def ticks(self, node: Node) -> int:
        return sum(self.player.span(self.lowering.nest(form)).ticks for form in self.lowering.forms(node))

    def seconds(self, node: Node) -> float:
        """CPU time of one pricing."""
        start = process_time()
        self.ticks(node)
        return process_time() - start


def matmul(size: int) -> Node:
    """A square bf16 matmul."""
    return nodes_of("bmm", "bf16", 1, size, size, size)[0]


def cold_matmul(name: str) -> float:
    """The best of three pricings with nothing remembered; imports and tables are warm."""
    Pricer.of(name).ticks(matmul(1024))
    return min(Pricer.of(name).seconds(matmul(4096)) for _ in range(3))


def operators(name: str) -> tuple[float, float]:
    """Median time of a new shape, and of the same shape again, over operators and shapes."""
    pricer = Pricer.of(name)
    new: list[float] = []
    again: list[float] = []
    for operator in _OPERATORS:
        for step in range(6):
            extent = 512 + 48 * step
            (node,) = nodes_of(operator, "bf16", 1 + step % 3, extent, 2 * extent, extent)
            new.append(pricer.seconds(node))
            again.append(min(pricer.seconds(node) for _ in range(3)))
    return median(new), median(again)


def prefill() -> Graph:
    """A Llama of 70 billion parameters, 4,096 tokens, on shapes alone."""
    from anychip.frontends.torch.published import Workload, graph_of

    return graph_of(Workload("llama-2-70b", "prefill", 1, 4096))


def program(name: str, graph: Graph) -> tuple[float, float]:
    """CPU time of lowering and simulating a graph, and its simulated seconds."""
    pricer = Pricer.of(name)
    start = process_time()
    trace = pricer.player.play(pricer.lowering.program(graph))
    return process_time() - start, trace.seconds


def line(what: str, seconds: float, budget_s: float) -> str:
    """One measurement beside its budget."""
    verdict = "ok" if seconds <= budget_s else "OVER"
    return f"{what:40} {seconds * 1e3:9.3f} ms   budget {budget_s * 1e3:g} ms   {verdict}"


def main(names: list[str]) -> int:
    """Prints every measurement; 1 if a budget is exceeded."""
    lines: list[str] = []

    def report(what: str, seconds: float, budget: str) -> None:
        lines.append(line(what, seconds, _BUDGET_S[budget]))
        print(lines[-1], flush=True)

    for name in names or chips.names():
        report(f"{name}: cold 4096^3 matmul", cold_matmul(name), "cold 4096^3 matmul")
    for name in names or ("a100-80", "trn1", "graviton3"):
        new, again = operators(name)
        report(f"{name}: new operator", new, "new operator")
        report(f"{name}: repeated operator", again, "repeated operator")
    graph = prefill()
    for name in names or ("h100", "trn1", "graviton3"):
        seconds, simulated = program(name, graph)
        report(f"{name}: 70B prefill ({simulated:.3g} s)", seconds, "70B prefill")
    return int(any(each.endswith("OVER") for each in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
