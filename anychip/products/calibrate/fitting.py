"""From timed probes to the constants of a chip.

Every constant is found where one kind of probe depends on it, in an order in which the constants found
before are all that else matters: memory, fresh pages, products, convolutions, lanes, framework. Times are
compared with what the simulator says of the probe's own Graph, so that a constant means in a prediction what
it meant when it was found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean, median
from typing import NamedTuple

from anychip.chips import Chip
from anychip.chips.measured import KINDS, measured_cpu
from anychip.compile import lower
from anychip.errors import InvalidInput
from anychip.facts import Fact, Kind, Source
from anychip.programs.graph import Graph
from anychip.simulate import simulate

#: Shares of the last-level cache that are tried.
_SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_GOLDEN = (math.sqrt(5) - 1) / 2


class Sample(NamedTuple):
    """A probe with its time.

    Args:
        name: of the probe.
        constant: that it decides.
        size: bytes of one operand of a memory probe.
        seconds: of one call, best repetition.
        graph: what the call asks for.
    """

    name: str
    constant: str
    size: int
    seconds: float
    graph: Graph


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the operating system says.

    Args:
        title: of the processor, as it names itself.
        vendor: of the processor.
        threads: that PyTorch uses.
        lanes: fp32 values in one vector register.
        clock_hz: nominal.
        memory_bytes: main memory.
        l2_bytes: private cache of one core.
        l3_bytes: last-level cache.
    """

    title: str
    vendor: str
    threads: int
    lanes: int
    clock_hz: float
    memory_bytes: int
    l2_bytes: int
    l3_bytes: int


@dataclass(frozen=True)
class Framework:
    """Seconds of a network on tiny tensors, and how many operators each call has.

    Args:
        call_s: of one operator called by itself.
        forward_s: of a pass without gradients.
        train_s: of a forward and backward pass.
        step_s: of the optimizer.
        operators: by call, then phase: how many kernels; lists count each tensor.
    """

    call_s: float
    forward_s: float
    train_s: float
    step_s: float
    operators: Mapping[str, Mapping[str, int]]


@dataclass
class Fitting:
    """Constants as they are found.

    Args:
        machine: to describe.
        where: how and when, for the sources of the Facts.
        day: ISO date.
        noise: of the measurements, as a share; the range of the Facts.
    """

    machine: Machine
    where: str
    day: str
    noise: float
    values: dict[str, float] = field(default_factory=dict[str, float])
    facts: dict[str, Fact] = field(default_factory=dict[str, Fact])

    def set(self, name: str, value: float, unit: str, kind: Kind, how: str) -> None:
        """Takes a constant.

        Raises:
            InvalidInput: it is no positive number, as when the machine was disturbed.
        """
        if not (math.isfinite(value) and value > 0):
            raise InvalidInput(
                f"calibrate: {name} comes out as {value:g} {unit} from {how}; "
                "the machine was disturbed, run it again"
            )
        spread = self.noise if kind in ("measured", "fitted") else 0.0
        source = Source(kind, f"{how}; {self.where}", self.day)
        self.facts[name] = Fact(value, unit, source, value / (1 + spread), value * (1 + spread))

    def chip(self, **changes: float) -> Chip:
        """The chip with the constants found so far; some changed, by name with ``__`` for a dot."""
        facts = dict(self.facts)
        for name, value in changes.items():
            key = name.replace("__", ".")
            facts[key] = Fact(value, facts[key].unit, facts[key].source)
        machine = self.machine
        return measured_cpu(
            name="this",
            title=machine.title,
            vendor=machine.vendor,
            cores=machine.threads,
            lanes=machine.lanes,
            constants=facts,
        )


def constants_of(
    samples: Iterable[Sample],
    framework: Framework,
    machine: Machine,
    *,
    where: str,
    day: str,
    noise: float,
    advance: Callable[[str], None] = lambda what: None,
) -> dict[str, Fact]:
    """Every constant of `measured_cpu`.

    Args:
        samples: timed probes.
        framework: timed framework.
        machine: what the operating system says.
        where: command and machine, for the sources.
        day: ISO date.
        noise: of the measurements, as a share.
        advance: told what is being fitted.

    Raises:
        InvalidInput: the times contradict each other.
    """
    by_constant: dict[str, list[Sample]] = {}
    for sample in samples:
        net = sample.seconds - framework.call_s
        if net <= 0:
            raise InvalidInput(
                f"calibrate: {sample.name} took {sample.seconds:g} s, an empty operator "
                f"{framework.call_s:g} s; the machine was disturbed, run it again"
            )
        by_constant.setdefault(sample.constant, []).append(sample._replace(seconds=net))
    fit = Fitting(machine, where, day, noise)
    _told(fit)
    advance("framework")
    _framework(fit, framework)
    advance("memory")
    _memory(fit, by_constant["memory"], by_constant["pages"])
    for constant, found in by_constant.items():
        kind, _, form = constant.partition(".")
        if kind == "products":
            advance(constant)
            _products(fit, form, found)
    for constant, found in by_constant.items():
        if constant.startswith("lane."):
            advance(constant)
            _lane(fit, constant, found[0])
    for constant, found in by_constant.items():
        kind, _, form = constant.partition(".")
        if kind in KINDS and kind != "products":
            advance(constant)
            _kernels(fit, constant, form, found)
    return fit.facts


def residuals(samples: Iterable[Sample], call_s: float, chip: Chip) -> dict[str, float]:
    """How far the chip is from the probes, by kind of constant: mean of the absolute relative errors."""
    errors: dict[str, list[float]] = {}
    bare = without_framework(chip)
    for sample in samples:
        if sample.constant == "pages":
            continue  # two probes, whose difference is the constant
        predicted = simulate(lower(sample.graph, bare), bare).seconds + call_s
        kind = (
            sample.constant if sample.constant.startswith("products") else sample.constant.partition(".")[0]
        )
        errors.setdefault(kind, []).append(abs(predicted / sample.seconds - 1))
    return {kind: fmean(found) for kind, found in errors.items()}


def without_framework(chip: Chip) -> Chip:
    """The chip with operators that take no time besides their work: what is left of a probe."""
    assert chip.policy.inline is not None  # noqa: S101 - a measured chip
    inline = replace(chip.policy.inline, operator_s={})
    return chip.altered(policy=replace(chip.policy, inline=inline))


def _told(fit: Fitting) -> None:
    machine = fit.machine
    for name, value, unit in (
        ("clock_hz", machine.clock_hz, "Hz"),
        ("memory_bytes", machine.memory_bytes, "byte"),
        ("l2_bytes", machine.l2_bytes, "byte"),
        ("l3_bytes", machine.l3_bytes, "byte"),
    ):
        fit.set(name, value, unit, "published", "operating system")


def _framework(fit: Fitting, framework: Framework) -> None:
    """Time of one operator by phase; autograd's share of the forward pass goes to the backward pass."""
    operators = framework.operators
    forward = framework.forward_s / operators["forward"]["forward"]
    backward = framework.train_s - forward * operators["train"]["forward"]
    fit.set("operator_s.forward", forward, "s", "measured", "network on tiny tensors, per operator")
    backward /= operators["train"]["backward"]
    fit.set("operator_s.backward", backward, "s", "measured", "the same with gradients")
    step = framework.step_s / operators["step"]["optimizer"]
    fit.set(
        "operator_s.optimizer", step, "s", "measured", "AdamW on tiny parameters, per operator and tensor"
    )
    fit.set("operator_s.other", forward, "s", "measured", "as in a forward pass")


def _memory(fit: Fitting, memory: list[Sample], pages: list[Sample]) -> None:
    largest = max(sample.size for sample in memory)
    far = {sample.name.split()[0]: sample.seconds for sample in memory if sample.size == largest}
    rate = largest / far["read"]
    costs = (far["copy"] * rate / largest - 1, far["triad"] * rate / largest - 2)
    fit.set("dram_bytes_per_second", rate, "byte/s", "measured", f"sum of {largest >> 20} MiB")
    fit.set("write_cost", max(0.1, fmean(costs)), "1", "measured", f"copy and triad of {largest >> 20} MiB")
    streams = {"read": 1, "copy": 2, "triad": 3}
    small = min(sample.size for sample in memory)
    near = [
        sample.size * streams[sample.name.split()[0]] / sample.seconds
        for sample in memory
        if sample.size <= 4 * small and sample.size * 3 < fit.machine.l3_bytes
    ]
    nearest = max(near) if near else rate
    fit.set(
        "l3_bytes_per_second",
        max(rate, nearest),
        "byte/s",
        "measured",
        "the fastest of read, copy and triad in cache",
    )
    fresh, again = (next(s.seconds for s in pages if s.name.endswith(word)) for word in ("fresh", "again"))
    size = pages[0].size
    fit.set(
        "mapped_bytes_per_second",
        size / (fresh - again),
        "byte/s",
        "measured",
        "filling fresh and old memory",
    )
    fit.set("cache_share", 0.5, "1", "assumed", "to be found")
    fit.set("products.fp32", 1e12, "mac/s", "assumed", "to be found")
    fit.set("operand_cost.fp32", 1.0, "MAC/element", "assumed", "to be found")
    for _ in range(2):
        errors = {share: _error(fit.chip(cache_share=share), memory) for share in _SHARES}
        best = min(errors, key=lambda share: errors[share])
        fit.set("cache_share", best, "1", "fitted", "read, copy and triad at growing sizes")
        # Part of the largest operand was in the cache too, as the simulator knows.
        _found(fit, "dram_bytes_per_second", [s for s in memory if s.size == largest and "read" in s.name])
        _found(fit, "write_cost", [s for s in memory if s.size == largest and "read" not in s.name])


def _found(fit: Fitting, name: str, samples: list[Sample]) -> None:
    """The value near the present one with which the simulator is closest to some probes."""
    fact = fit.facts[name]
    value = _minimum(lambda x: _error(fit.chip(**{name: x}), samples), fact.value / 2, fact.value * 2)
    how = fact.source.where.removesuffix(f"; {fit.where}")
    fit.set(name, value, fact.unit, fact.source.kind, how)


def _products(fit: Fitting, form: str, samples: list[Sample]) -> None:
    """Rate and cost of rearranging an operand's element, found together."""
    fastest = max(_macs(fit, sample, form) / sample.seconds for sample in samples) / fit.machine.threads
    rate, cost = f"products.{form}", f"operand_cost.{form}"
    fit.set(rate, fastest, "mac/s", "measured", "products of several shapes")
    fit.set(cost, 5.0, "MAC/element", "fitted", "the same: what small and skinny products take longer")
    for _ in range(3):
        value = _minimum(lambda x: _error(fit.chip(**{cost.replace(".", "__"): x}), samples), 0.2, 60.0)
        fit.set(cost, value, "MAC/element", "fitted", "the same: what small and skinny products take longer")
        value = _minimum(
            lambda x: _error(fit.chip(**{rate.replace(".", "__"): x}), samples), fastest / 2, fastest * 2
        )
        fit.set(rate, value, "mac/s", "measured", "products of several shapes")


def _kernels(fit: Fitting, name: str, form: str, samples: list[Sample]) -> None:
    """The rate of kernels that are not plain products."""
    how = f"{name.partition('.')[0].replace('_', ' ')} of several shapes"
    start = median(_macs(fit, sample, form) / sample.seconds for sample in samples) / fit.machine.threads
    fit.set(name, start, "mac/s", "measured", how)
    value = _minimum(
        lambda x: _error(fit.chip(**{name.replace(".", "__"): x}), samples), start / 3, start * 5
    )
    fit.set(name, value, "mac/s", "measured", how)


def _lane(fit: Fitting, name: str, sample: Sample) -> None:
    """Seconds an element and core, such that the probe takes as long as it did; none where memory hides
    it."""
    low = 0.1 / fit.machine.clock_hz / fit.machine.lanes
    fit.set(name, low, "s/element", "measured", sample.name)
    key = name.replace(".", "__")

    def error(value: float) -> float:
        chip = without_framework(fit.chip(**{key: value}))
        return simulate(lower(sample.graph, chip), chip).seconds - sample.seconds

    if error(low) >= 0:
        return
    high = low
    while error(high) < 0 and high < 1e-6:
        high *= 4
    for _ in range(30):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if error(middle) < 0 else (low, middle)
    fit.set(name, high, "s/element", "measured", sample.name)


def _macs(fit: Fitting, sample: Sample, form: str) -> float:
    if f"products.{form}" not in fit.facts:
        fit.set(f"products.{form}", 1e12, "mac/s", "assumed", "to be found")
        fit.set(f"operand_cost.{form}", 1.0, "MAC/element", "assumed", "to be found")
    program = lower(sample.graph, fit.chip())
    return sum(
        count
        for kernels in program.segments
        for kernel in kernels
        for _, count in kernel.nest.demand.macs
    )  # fmt: skip


def _error(chip: Chip, samples: list[Sample]) -> float:
    """Mean of the absolute logarithms of predicted over measured."""
    bare = without_framework(chip)
    return fmean(
        abs(math.log(simulate(lower(sample.graph, bare), bare).seconds / sample.seconds))
        for sample in samples
    )


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Golden section on a logarithmic scale."""
    left, right = math.log(low), math.log(high)
    inner, outer = right - _GOLDEN * (right - left), left + _GOLDEN * (right - left)
    at_inner, at_outer = function(math.exp(inner)), function(math.exp(outer))
    for _ in range(16):
        if at_inner < at_outer:
            right, outer, at_outer = outer, inner, at_inner
            inner = right - _GOLDEN * (right - left)
            at_inner = function(math.exp(inner))
        else:
            left, inner, at_inner = inner, outer, at_outer
            outer = left + _GOLDEN * (right - left)
            at_outer = function(math.exp(outer))
    return math.exp((left + right) / 2)
