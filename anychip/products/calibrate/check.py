"""Predictions for this machine beside whole models really timed on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from rich.console import Console
from rich.table import Table

from anychip.chips import Chip
from anychip.compile import Lowering
from anychip.programs.graph import Graph
from anychip.simulate import Player

#: Largest mean error that passes, where the noise floor does not allow more.
LIMIT = 0.12


@dataclass(frozen=True, slots=True)
class Row:
    """One model in one way.

    Args:
        model: name.
        phase: ``"forward"`` or ``"train"``.
        format: of weights and activations.
        measured_s: fastest repetition.
        noise: how much longer the middle repetition took, as a share.
        predicted_s: by the real flow: captured on shapes, lowered, simulated.
    """

    model: str
    phase: str
    format: str
    measured_s: float
    noise: float
    predicted_s: float

    @property
    def error(self) -> float:
        """Relative error of the prediction: + is too slow."""
        return self.predicted_s / self.measured_s - 1


def predicted_s(graph: Graph, chip: Chip) -> float:
    """Seconds of a captured call on a chip."""
    return Player(chip).play(Lowering(chip).program(graph)).seconds


def rows(
    chip: Chip,
    models: Sequence[str],
    *,
    clock: Callable[[], float],
    seconds: float,
    advance: Callable[[str], None],
) -> Iterator[Row]:
    """Every model, for inference and training, in every format.

    Args:
        chip: of the calibration.
        models: names.
        clock: seconds.
        seconds: for each model, once every way was repeated often enough.
        advance: told which model comes next.
    """
    from anychip.frontends.torch.calibration.workloads import FORMATS, PHASES, Phase, graph_of, timed_model

    cases: list[tuple[Phase, str]] = [(phase, name) for phase in PHASES for name in FORMATS]
    for model in models:
        advance(model)
        # Captured first: PyTorch's backward engine knows only the devices that were there when it first ran.
        predicted = {case: predicted_s(graph_of(model, case[1], case[0]), chip) for case in cases}
        timed = timed_model(model, cases=cases, clock=clock, seconds=seconds)
        for phase, name in cases:
            found = timed[phase, name]
            yield Row(model, phase, name, found.best_s, found.noise, predicted[phase, name])


def mean_error(found: Sequence[Row]) -> float:
    """Mean of the absolute relative errors."""
    return fmean(abs(row.error) for row in found)


def floor_of(found: Sequence[Row]) -> float:
    """The middle over all rows of how much longer a middle repetition takes than the fastest."""
    return median(row.noise for row in found)


def passes(found: Sequence[Row]) -> bool:
    """Whether the mean error is within the limit, or within twice the noise floor where that is larger."""
    return mean_error(found) <= max(LIMIT, 2 * floor_of(found))


def show(found: Sequence[Row], console: Console) -> None:
    """A table of all rows, then errors by phase and format."""
    table = Table(box=None, pad_edge=False)
    for name in ("model", "phase", "format"):
        table.add_column(name)
    for name in ("measured ms", "noise %", "predicted ms", "error %"):
        table.add_column(name, justify="right")
    for row in found:
        table.add_row(
            row.model, row.phase, row.format, f"{row.measured_s * 1e3:.2f}", f"{row.noise * 100:.1f}",
            f"{row.predicted_s * 1e3:.2f}", f"{row.error * 100:+.1f}",
        )  # fmt: skip
    console.print(table)
    console.print()
    summary = Table(box=None, pad_edge=False)
    summary.add_column("phase")
    summary.add_column("format")
    for name in ("rows", "mean error %", "bias %", "worst %"):
        summary.add_column(name, justify="right")
    groups = dict.fromkeys((row.phase, row.format) for row in found)
    for phase, name in (*groups, ("all", "")):
        part = [row for row in found if phase == "all" or (row.phase, row.format) == (phase, name)]
        worst = max((row.error for row in part), key=abs)
        summary.add_row(
            phase, name, str(len(part)), f"{mean_error(part) * 100:.1f}",
            f"{fmean(row.error for row in part) * 100:+.1f}", f"{worst * 100:+.1f}",
        )  # fmt: skip
    console.print(summary)
    limit = max(LIMIT, 2 * floor_of(found))
    console.print(
        f"\nmean error {mean_error(found) * 100:.1f} %, noise floor {floor_of(found) * 100:.1f} %: "
        f"{'within' if passes(found) else 'beyond'} {limit * 100:.1f} %"
    )
