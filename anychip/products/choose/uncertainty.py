"""How far a predicted time may be off: factors by family and kind of work, as Facts.

The factors are the ninetieth percentile of leave-one-chip-out or leave-one-model-out errors where
measurements exist, and stated guesses where none were published.
"""

from __future__ import annotations

from anychip.chips import Chip
from anychip.facts import Fact, Source
from anychip.profile.profile import Range

_READ_ON = "2026-11-22"


def _factor(value: float, kind: str, where: str) -> Fact:
    if kind == "fitted":
        return Fact(value, "x", Source("fitted", where, _READ_ON))
    return Fact(value, "x", Source("assumed", where, _READ_ON))


_NVIDIA = _factor(1.18, "fitted", "gpu_models.csv: leave-one-chip-out error of whole models, forward, p90")
_NVIDIA_TRAINING = _factor(
    1.25, "fitted", "gpu_models.csv: leave-one-chip-out error, forward and backward, p90"
)
_AMD = _factor(1.3, "fitted", "gpu_ops.csv: MI100 and MI210 predict each other only")
_NEURON_V2 = _factor(
    1.18, "fitted", "neuron_published.csv: leave-one-model-out error of encoders and vision, p90"
)
_NEURON_TRAINING = _factor(1.3, "fitted", "neuron_published.csv: leave-one-out error of training rows, p90")
_NEURON_LATER = _factor(1.35, "assumed", "Trainium2 and 3 are hardly published; constants carried over")
_INFERENTIA1 = _factor(2.0, "assumed", "array, clocks and buffers of Inferentia1 are unpublished")
_CPU = _factor(1.5, "assumed", "no published operator timings of server CPUs to fit to")
_UNMEASURED = _factor(1.5, "assumed", "no published operator timings of this family to fit to")


def time_factor(chip: Chip, *, training: bool) -> Fact:
    """By what factor the time may be shorter or longer, as a Fact."""
    if chip.name.startswith("inf1"):
        return _INFERENTIA1
    if chip.vendor == "AWS" and chip.kind == "npu":
        if chip.name in ("trn1", "inf2"):
            return _NEURON_TRAINING if training else _NEURON_V2
        return _NEURON_LATER
    if chip.kind == "cpu":
        return _CPU
    if chip.vendor == "NVIDIA":
        return _NVIDIA_TRAINING if training else _NVIDIA
    if chip.vendor == "AMD":
        return _AMD
    return _UNMEASURED


def ranged(value: float, factor: Fact) -> Range:
    """A time with the range of its factor."""
    return Range(value / factor.value, value, value * factor.value)
