"""Between which multiples of a predicted time the measurement is expected, as Facts.

Where operators of a family were published, eight of ten of them lay within: the interval of
``anychip validate --leave-one-chip-out``, which searches constants again without the chip. Elsewhere it is
a judgement, and says so.
"""

from __future__ import annotations

from anychip.chips import Chip
from anychip.facts import Fact, Source
from anychip.profile.profile import Range

_READ_ON = "2026-11-28"


def _held_out(low: float, high: float, rows: str) -> Fact:
    where = f"80 % of {rows}, constants of products searched again without their chip"
    return Fact(1.0, "x", Source("fitted", where, _READ_ON), low, high)


def _judged(factor: float, why: str) -> Fact:
    return Fact(1.0, "x", Source("assumed", why, _READ_ON), 1 / factor, factor)


_TENSOR_CORES = _held_out(0.89, 1.22, "314 fp16 linear calls on A100 and A40 (gpu_ops.csv)")
_CUDA_CORES = _held_out(0.82, 1.50, "860 fp32 linear calls on five NVIDIA GPUs (gpu_ops.csv)")
_AMD = _judged(1.6, "MI100 and MI210 were measured in fp32 alone: that interval, made symmetric")
_NEURON = _judged(
    1.2, "inf2 and trn1 with constants searched without the chip: eight of ten encoders within 0.90 to 1.13"
)
_NEURON_TRAINING = _judged(1.25, "51 training rows of trn1: nine of ten within 24 % (neuron_published.csv)")
_NEURON_LATER = _judged(1.35, "Trainium2 and 3 are hardly published; constants carried over")
_INFERENTIA1 = _judged(2.0, "array, clocks and buffers of Inferentia1 are unpublished")
_CALIBRATED = _judged(1.2, "ten models on one calibrated machine: mean error 8 %, all but one within 18 %")
_CPU = _judged(1.5, "no published operator timings of server CPUs to fit to")
_UNMEASURED = _judged(1.5, "no published operator timings of this family to fit to")


def time_span(chip: Chip, *, training: bool, format_name: str) -> Fact:
    """Multiples of the predicted time between which the measurement is expected.

    Args:
        chip: of the catalogue.
        training: whether the workload has backward passes.
        format_name: in which most of it is stored.
    """
    if chip.name.startswith("inf1"):
        return _INFERENTIA1
    if chip.vendor == "AWS" and chip.kind == "npu":
        if chip.name in ("trn1", "inf2"):
            return _NEURON_TRAINING if training else _NEURON
        return _NEURON_LATER
    if chip.kind == "cpu":
        framework = chip.policy.facts.get("operator_s.forward")
        return _CALIBRATED if framework is not None and framework.source.kind == "measured" else _CPU
    if chip.vendor == "NVIDIA":
        return _CUDA_CORES if format_name == "fp32" else _TENSOR_CORES
    return _AMD if chip.vendor == "AMD" else _UNMEASURED


def ranged(value: float, span: Fact) -> Range:
    """A time with the range of its span."""
    low, high = span.range
    return Range(value * low, value, value * high)
