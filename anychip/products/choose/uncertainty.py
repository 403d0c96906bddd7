"""Between which multiples of a predicted time the measurement is expected, as Facts.

Where a family was published, they are the 80 % intervals that ``anychip validate`` prints, from errors with
constants that were searched again: without the row's model for chips that were measured, without the chip for
others. Elsewhere they are a judgement, and say so.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from anychip.chips import Chip
from anychip.facts import Fact, Source
from anychip.profile.profile import Range

_READ_ON = "2026-11-28"
#: Written by ``anychip validate --intervals``, chips left out and models left out.
_INTERVALS: dict[str, Any] = json.loads(
    files("anychip.products.choose").joinpath("intervals.json").read_text(encoding="utf-8")
)


def _held_out(axis: str, name: str) -> Fact:
    """The interval of a class and format, with chips (or models) left out."""
    run = _INTERVALS[axis]
    found = run["classes"][name]
    where = f"80 % interval of {found['rows']} rows of class {name}, {axis}s left out: {run['command']}"
    return Fact(1.0, "x", Source("fitted", where, run["date"]), found["low"], found["high"])


def _judged(factor: float, why: str) -> Fact:
    return Fact(1.0, "x", Source("assumed", why, _READ_ON), 1 / factor, factor)


#: GPUs whose operators in fp32 and in 16 bits were published, by the first word of their names.
_MEASURED = {
    "fp32": frozenset({"p100", "p4", "v100", "t4", "a100", "mi100", "mi210"}),
    "16 bits": frozenset({"a100", "a40"}),
}
_KNOWN_CHIP = {
    "fp32": _held_out("model", "model forward fp32"),
    "16 bits": _held_out("model", "linear fp16"),
}
_OTHER_CHIP = {
    "fp32": _held_out("chip", "model forward fp32"),
    "16 bits": _held_out("chip", "linear fp16"),
}
_AMD = _judged(1.6, "AMD's GPUs were measured in fp32 alone")
_NEURON = _held_out("model", "neuron encoders bf16")
_NEURON_TRAINING = _held_out("model", "neuron training bf16")
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
    if chip.vendor not in ("NVIDIA", "AMD"):
        return _UNMEASURED
    width = "fp32" if format_name.split()[0] == "fp32" else "16 bits"
    if chip.name.partition("-")[0] in _MEASURED[width]:
        return _KNOWN_CHIP[width]
    return _AMD if chip.vendor == "AMD" and width != "fp32" else _OTHER_CHIP[width]


def ranged(value: float, span: Fact) -> Range:
    """A time with the range of its span."""
    low, high = span.range
    return Range(value * low, value, value * high)
