"""A training step on many Neuron cores, from the call of one micro-batch on one core.

A step runs its micro-batches through the stages of a pipeline, sums gradients over the copies of the model,
and lets every core update the weights that it holds.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from anychip.chips import Chip
from anychip.chips.fitted import NEURON_GRADIENT_BYTES_PER_SECOND
from anychip.products.validate.neuron_calls import Calls, Work

#: Bytes of a bf16 gradient, and how often a ring carries it.
_GRADIENT_BYTES, _CROSSINGS = 2, 2


@dataclass(frozen=True, slots=True)
class Step:
    """How a step is divided.

    Args:
        batch: sequences of the step on all cores.
        micro_batches: that one copy of the model works on one after the other.
        stages: of the pipeline.
        copies: of the model.
        divides_optimizer: whether each copy updates its share of the weights alone.
    """

    batch: int
    micro_batches: int
    stages: int
    copies: int
    divides_optimizer: bool = False


def step_seconds(calls: Calls, chip: Chip, work: Work, step: Step) -> float:
    """Seconds of a step.

    Args:
        calls: recordings.
        chip: of the cores.
        work: gradients of one micro-batch in the longest stage.
        step: its division.
    """
    gradients_s = calls.seconds(chip, work)
    whole_s = calls.seconds(chip, dataclasses.replace(work, phase="train"))
    optimizer_s = max(0.0, whole_s - gradients_s)
    if step.divides_optimizer:
        optimizer_s /= step.copies
    sum_s = 0.0
    if step.copies > 1:
        elements = calls.recording(chip, work).parameter_bytes / 2
        crossings = _CROSSINGS * (step.copies - 1) / step.copies
        sum_s = elements * _GRADIENT_BYTES * crossings / NEURON_GRADIENT_BYTES_PER_SECOND.value
    return (step.micro_batches + step.stages - 1) * gradients_s + optimizer_s + sum_s
