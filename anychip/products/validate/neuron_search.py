"""The fitted constants of Neuron chips found again without some rows.

A call takes what its engines take, which two efficiencies decide, and costs that are linear in the policy's
constants: fused blocks, calls, bytes to the host, exchanges. Engines are simulated on a small grid of both
efficiencies and interpolated between; the linear constants follow by reweighted least squares. Nothing starts
from the catalogue's values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, cast

import numpy as np

from anychip.blocks import DmaEngine, SystolicArray, VectorUnit
from anychip.chips import Chip, Engine
from anychip.chips.policies import neuron_exchange
from anychip.chips.policy import ExchangePolicy
from anychip.compile.collective import overhead_parts
from anychip.frontends.torch.published import ARCHITECTURES
from anychip.operators import Collective
from anychip.products.validate.neuron import CALLS, OVER, Served, aging
from anychip.products.validate.neuron_calls import Recorded, Work
from anychip.products.validate.neuron_contradictions import CONTRADICTED
from anychip.products.validate.question import NOTHING_FOUND, Found, Question, Tell, catalogue_chip

#: Efficiencies at which engines are simulated, and those between which the search chooses.
_TENSOR, _VECTOR = (0.5, 0.7, 1.0), (0.65, 0.8, 1.0)
_FINE_TENSOR = (0.6, 0.7, 0.8, 0.9, 1.0)
_FINE_VECTOR = (0.7, 0.8, 0.9, 0.95, 1.0)
_ROUNDS = 25
#: The chips that were fitted; they have the same cores.
_FITTED = ("inf2", "trn1")
_AGES = (0.0, 0.006, 0.010, 0.014, 0.018)
_HELD = 0.1
#: Exchanges of fewer rows are taken to go straight while constants are found.
_STRAIGHT_ROWS = 32
#: Weight of rows about which the published figures contradict each other.
_LONG_PROMPT = 0.3
#: Virtual processors of the host for each core, among a chip's facts; `host_s_per_byte` is of one.
HOST = "host_vcpus_per_core"
LINEAR = (
    "block_s", "call_s", "host_s_per_byte", "latency_s", "row_s", "ring_step_s", "ring_row_s",
    "ring_spilled_row_s", "ring_apart_row_s",
)  # fmt: skip


class Constants(NamedTuple):
    """What a search finds: efficiencies of engines, growth with a release's age, the policy's constants."""

    tensor: float
    vector: float
    release: float
    linear: dict[str, float]


@dataclass(slots=True)
class _Features:
    """What a call takes.

    Args:
        engines_s: at every pair of the simulated efficiencies.
        other_s: that no constant changes.
        amounts: by which each linear constant is multiplied; exchanges that go straight, and round rings.
    """

    engines_s: np.ndarray
    other_s: float
    amounts: tuple[np.ndarray, np.ndarray]


_known: dict[tuple[str, Work], _Features] = {}
_chips: dict[tuple[str, float, float], Chip] = {}


def searched(rows: Sequence[Question], asked: Sequence[Question], tell: Tell) -> Found:
    """Constants found on the rows that remain, put into every chip whose policy has them."""
    mine = [
        row
        for row in rows
        if isinstance(row, Served)
        and row.chip in _FITTED
        and row.step is None
        and row.prompt is None
        and not row.others
        # A beam of several answers may be behind the figures of encoder-decoders; rows do not say.
        and not row.work.written
        and not row.price_usd_h
        and "tails" not in row.kind
        and CONTRADICTED not in row.kind
        and not (OVER in row.kind and row.work.phase == "decode")
    ]
    if len(mine) < 2 * len(LINEAR):
        return NOTHING_FOUND
    tell(f"Neuron, {len({row.family for row in mine})} models")
    constants = found(mine)
    return Found(
        lambda chip: with_constants(chip, constants),
        lambda row: isinstance(row, Served) and catalogue_chip(row.chip).policy.exchange is not None,
    )


def found(rows: Sequence[Served]) -> Constants:
    """The constants with the least mean absolute percentage error, classes weighing alike."""
    ordered = sorted(rows, key=lambda row: (dataclasses.astuple(row.work), row.chip))
    ordered = [row for row in ordered if row.work.architecture in ARCHITECTURES]
    features = [_features(row) for row in ordered]
    measured = np.array([_call_s(row) for row in ordered])
    weights = _weights(ordered)
    best: tuple[float, Constants] | None = None
    for tensor, vector in product(_FINE_TENSOR, _FINE_VECTOR):
        base = np.array([_between(each, tensor, vector) + each.other_s for each in features])
        for age in _AGES:
            aged = np.array([aging(catalogue_chip(row.chip), row.sdk, age) for row in ordered])
            loss, linear = _linear(base, features, measured / aged, weights)
            if best is None or loss < best[0]:
                best = loss, Constants(tensor, vector, age, linear)
    assert best is not None  # noqa: S101 - the grid has points
    return best[1]


def _weights(rows: Sequence[Served]) -> np.ndarray:
    """Forward passes weigh alike; each class of generation weighs a third of them."""
    counts: dict[str, int] = {}
    for row in rows:
        kind = _kind(row)
        counts[kind] = counts.get(kind, 0) + 1
    share = {"forward": 1.0} | {kind: 1 / 3 for kind in counts if kind != "forward"}
    share |= {kind: _LONG_PROMPT / 3 for kind in counts if OVER in kind}
    return np.array([share[kind] / counts[kind] for kind in (_kind(row) for row in rows)])


def _kind(row: Served) -> str:
    return row.work.phase if row.work.phase == "forward" else row.kind


def _linear(
    base: np.ndarray, features: Sequence[_Features], measured: np.ndarray, weights: np.ndarray
) -> tuple[float, dict[str, float]]:
    """Linear constants by reweighted least squares, none negative; exchanges take their shorter way."""
    ways = [np.array([each.amounts[way] for each in features]) for way in (0, 1)]
    rows = ways[0][:, LINEAR.index("row_s")] / np.maximum(ways[0][:, LINEAR.index("latency_s")], 1)
    amounts = np.where((rows > _STRAIGHT_ROWS)[:, None], ways[1], ways[0])
    constants = np.zeros(len(LINEAR))
    scale = np.ones(len(measured))
    target = (measured - base) / measured
    for _ in range(_ROUNDS):
        relative = amounts / measured[:, None]
        used = [i for i in range(len(LINEAR)) if relative[:, i].any()]
        solved = np.zeros(len(used))
        while used:
            root = np.sqrt(weights * scale)
            rows = relative[:, used] * root[:, None]
            # A little of each constant is held back, so that two that rows cannot tell apart share alike.
            held = _HELD * np.diag(np.linalg.norm(rows, axis=0))
            goal = np.concatenate([target * root, np.zeros(len(used))])
            solved = np.linalg.lstsq(np.vstack([rows, held]), goal, rcond=None)[0]
            if (solved >= 0).all():
                break
            used.pop(int(np.argmin(solved / np.abs(solved).max())))
        constants = np.zeros(len(LINEAR))
        constants[used] = solved[: len(used)]
        scale = 1 / np.maximum(np.abs(amounts @ constants / measured - target), 3e-3)
    chosen = np.minimum(ways[0] @ constants, ways[1] @ constants)
    loss = float(np.sum(weights * np.abs((base + chosen) / measured - 1)))
    return loss, dict(zip(LINEAR, map(float, constants), strict=True))


def _call_s(row: Served) -> float:
    """Measured seconds of one call, from whatever was measured."""
    if row.work.phase != "forward":
        return row.measured / 1e3
    used = max(1.0, min(float(row.cores), row.inflight))
    if row.rate:
        return used * row.work.batch / row.measured
    return row.measured / 1e3 * used / max(row.inflight, 1.0)


def _features(row: Served) -> _Features:
    key = (row.chip, row.work)
    known = _known.get(key)
    if known is None:
        chip = catalogue_chip(row.chip)
        recorded = CALLS.recording(chip, row.work)
        twin = next((_known[name, row.work] for name in _FITTED if (name, row.work) in _known), None)
        engines = twin.engines_s if twin is not None else _engines_s(row.chip, recorded)
        known = _known[key] = _Features(engines, *_amounts(chip, recorded))
    return known


def _engines_s(name: str, recorded: Recorded) -> np.ndarray:
    """Seconds of the engines alone at every pair of efficiencies."""
    table = np.zeros((len(_TENSOR), len(_VECTOR)))
    for (i, tensor), (j, vector) in product(enumerate(_TENSOR), enumerate(_VECTOR)):
        key = (name, tensor, vector)
        if key not in _chips:
            _chips[key] = with_efficiencies(catalogue_chip(name), tensor, vector)
        chip, lowering, player = CALLS.pricer(_chips[key])
        ticks = 0
        for group, count in recorded.groups:
            span = player.span(lowering.group_nest(group))
            ticks += count * (span.ticks - sum(each for _, each in span.fixed))
        table[i, j] = ticks / chip.clock_hz
    return table


def _amounts(chip: Chip, recorded: Recorded) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """Time of bytes between chips, and what multiplies each linear constant."""
    _, lowering, player = CALLS.pricer(chip)
    straight, rings = np.zeros(len(LINEAR)), np.zeros(len(LINEAR))
    other = 0.0
    for group, count in recorded.groups:
        causes = dict(player.span(lowering.group_nest(group)).fixed)
        for amounts in (straight, rings):
            amounts[0] += count * ("block latency" in causes)
            amounts[1] += count * ("call" in causes)
        other += count * causes.get("collective", 0) / chip.clock_hz
        for form in group.forms:
            if isinstance(form, Collective) and form.kind != "barrier":
                parts = overhead_parts(chip, form)
                other -= count * parts.seconds(cast(ExchangePolicy, chip.policy.exchange))
                share = count * parts.share
                straight[3] += count
                straight[4] += share * (parts.rows - 1)
                rings[3] += count
                rings[5] += share * parts.steps
                rings[6 if parts.fits else 7] += share * parts.rows
                rings[8] += share * parts.rows_apart
    for amounts in (straight, rings):
        amounts[2] = recorded.host_bytes / chip.facts[HOST].value if recorded.host_bytes > 1 else 0
    return other, (straight, rings)


def _between(features: _Features, tensor: float, vector: float) -> float:
    """Engines' seconds by interpolation in the inverse efficiencies, in which they are nearly linear."""
    rows = [float(np.interp(1 / vector, _inverse(_VECTOR), row[::-1])) for row in features.engines_s]
    return float(np.interp(1 / tensor, _inverse(_TENSOR), rows[::-1]))


def _inverse(efficiencies: tuple[float, ...]) -> list[float]:
    return [1 / each for each in reversed(efficiencies)]


def with_efficiencies(chip: Chip, tensor: float, vector: float) -> Chip:
    """The chip with other shares of its engines' cycles at work."""
    engines = dict(chip.engines)
    for name, engine in chip.engines.items():
        block = engine.block
        if isinstance(block, SystolicArray):
            changed = dataclasses.replace(block, efficiency=tensor)
        elif isinstance(block, VectorUnit):
            changed = dataclasses.replace(block, efficiency=vector)
        else:
            continue
        engines[name] = Engine(block=changed, queue_depth=engine.queue_depth)
    return chip.altered(engines=engines)


def with_constants(chip: Chip, constants: Constants) -> Chip:
    """The chip with constants of a search; chips without such a policy stay as they are.

    Inferentia1 keeps its engines: their one factor was fitted to its own rows.
    """
    if chip.policy.exchange is None:
        return chip
    linear = constants.linear
    transfers = chip.engines[chip.load.engine].block
    assert isinstance(transfers, DmaEngine)  # noqa: S101 - of every Neuron chip
    exchange = neuron_exchange(linear, transfers.bytes_per_second, paired=chip.policy.exchange.hides_rows)
    policy = dataclasses.replace(
        chip.policy,
        block_s=linear["block_s"],
        call_s=linear["call_s"],
        release_growth=constants.release if chip.policy.release_growth else 0.0,
        host_bytes_per_second=chip.facts[HOST].value / max(linear["host_s_per_byte"], 1e-12),
        exchange=exchange,
    )
    if chip.name != "inf1":
        chip = with_efficiencies(chip, constants.tensor, constants.vector)
    return chip.altered(policy=policy)
