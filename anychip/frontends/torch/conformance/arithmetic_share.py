"""``anychip conformance arithmetic``: how much of real models' arithmetic is done in the chip's own order.

Operators whose sums or functions no form specifies run on the host's library, in its order. A training step
of every architecture that transformers can build offline is recorded, and the operations of every node are
counted by whose order they have. What an operator does is the same on every chip, so that none is named.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from anychip.frontends.torch.capture import Capture
from anychip.frontends.torch.conformance import architectures, results
from anychip.frontends.torch.conformance.results import Case, to_device
from anychip.frontends.torch.conformance.training_step import CannotRun, step
from anychip.frontends.torch.values.handlers import order_of
from anychip.operators import meaning
from anychip.operators.work import total, work
from anychip.programs.graph import Graph

#: Operators and models that the table lists.
_LISTED = 20


@dataclass(frozen=True, slots=True)
class Shares:
    """Operations of recorded models by whose order they have.

    Args:
        versions: of the packages that matter.
        chip: operations in the chip's order.
        host: operations in host order by operator.
        models: share in host order by model.
        excluded: models that were not recorded, with the reason.
        seconds: it took.
    """

    versions: dict[str, str]
    chip: int
    host: dict[str, int]
    models: dict[str, float]
    excluded: tuple[Case, ...]
    seconds: float

    @property
    def counted(self) -> tuple[str, ...]:
        """The recorded models."""
        return tuple(self.models)

    @property
    def share(self) -> float:
        """Of all operations, those in the chip's order."""
        whole = self.chip + sum(self.host.values())
        return self.chip / whole if whole else 0.0

    def table(self) -> str:
        """For people: the share, then the operators and the models with most in host order."""
        whole = self.chip + sum(self.host.values())
        touched = sum(share > 0 for share in self.models.values())
        lines = [
            f"arithmetic: {100 * (1 - self.share):.3f} % of {whole:,} operations in host order, over "
            f"{len(self.models)} models, {touched} of which have any; {len(self.excluded)} excluded, "
            f"{self.seconds:.0f} s"
        ]
        lines += [f"  {name} {version}" for name, version in self.versions.items()]
        ranked = sorted(self.host.items(), key=lambda item: -item[1])
        lines.append(f"in host order ({len(ranked)} operators):")
        lines += [f"  {100 * count / whole:8.4f} %  {name}" for name, count in ranked[:_LISTED]]
        lines.append("models with most:")
        most = sorted(self.models.items(), key=lambda item: -item[1])[:_LISTED]
        lines += [f"  {100 * share:8.3f} %  {name}" for name, share in most if share > 0]
        return "\n".join(lines)

    def json(self) -> str:
        """For programs: schema 1."""
        return json.dumps(
            {
                "schema": 1,
                "suite": "arithmetic",
                "versions": self.versions,
                "share": self.share,
                "chip_operations": self.chip,
                "host_operations": self.host,
                "models": self.models,
                "excluded": {case.name: case.reason for case in self.excluded},
                "seconds": round(self.seconds, 1),
            },
            indent=1,
        )


def run(*, limit: int | None = None, jobs: int = 1, only: str | None = None) -> Shares:
    """Records a training step of every architecture and counts.

    Args:
        limit: so many architectures, taken evenly; None: all.
        jobs: processes at a time.
        only: architectures whose name contains this.

    Raises:
        MissingTool: transformers is not installed.
    """
    report = architectures.run(limit=limit, jobs=jobs, only=only, judge=recorded)
    return joined(report.cases, report.versions, report.seconds)


def joined(cases: Iterable[Case], versions: dict[str, str], seconds: float) -> Shares:
    """The counts of many models added up."""
    chip = 0
    host: Counter[str] = Counter()
    models: dict[str, float] = {}
    excluded: list[Case] = []
    for case in cases:
        if case.outcome != "pass":
            excluded.append(case)
            continue
        counts = json.loads(case.reason)
        own = sum(counts["host"].values())
        chip += counts["chip"]
        host.update(counts["host"])
        whole = counts["chip"] + own
        models[case.name] = own / whole if whole else 0.0
    return Shares(versions, chip, dict(host), models, tuple(excluded), seconds)


def recorded(name: str, model: Any, inputs: dict[str, Any]) -> Case:
    """The case of one model; its reason holds the counts.

    Raises:
        CannotRun: the CPU fails.
    """
    model.eval()
    try:
        twin = copy.deepcopy(model)
        step(model, to_device(inputs, "cpu"))
    except Exception as error:
        raise CannotRun(results.one_line(error)) from error
    try:
        with Capture(name=name) as capture:
            step(twin.to("anychip"), to_device(inputs, "anychip"))
    except Exception as error:  # noqa: BLE001  # whatever a model raises
        return Case(name, "fail", results.one_line(error))
    return Case(name, "pass", json.dumps(counted(capture.graph())))


def counted(graph: Graph) -> dict[str, Any]:
    """Operations of a graph: those in the chip's order, and the others by operator."""
    chip, host = 0, Counter[str]()
    plays = Counter(graph.path)
    for index, segment in enumerate(graph.segments):
        for node in segment.nodes:
            operations = plays[index] * total(work(form) for form in meaning(node)).operations
            if order_of(node) == "host order":
                host[node.operator.removesuffix(".default")] += operations
            else:
                chip += operations
    return {"chip": chip, "host": dict(host)}
