"""Published watts of GPUs that generate text, from the rates at which they did it.

A step reads every weight that one of its tokens needs and the keys and values of all of its sequences;
tokens per second over sequences in flight are steps per second. With multiply-adds of prompt and output these
rates make watts by the chip's energy Facts, exactly as a profile's demand does. No time is predicted here:
errors are of power alone.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anychip.chips import Chip
from anychip.products.validate.mapping import settled
from anychip.products.validate.operators import chip_named
from anychip.products.validate.question import (
    NOTHING_FOUND,
    BrokenRow,
    ChipOf,
    Excluded,
    Found,
    Measured,
    Out,
    Question,
    Row,
    Tell,
    answered,
    catalogue_chip,
    extent,
    number,
)
from anychip.profile.energy import energy_of
from anychip.programs.program import Demand

#: Of a file of this kind.
COLUMNS = ("chip", "n_chips", "scope", "model", "scenario", "batch", "throughput", "avg_watts", "config")
#: Parts of a GPU's power whose constants were fitted to rows of this kind.
PARTS = ("base", "bytes", "flops")
_FORMAT = "fp16"
_ROUNDS = 60


@dataclass(frozen=True, kw_only=True)
class Drawn(Question):
    """Watts of one chip while it generates.

    Args:
        macs_per_second: multiply-adds in 16 bits.
        bytes_per_second: over the link of main memory.
    """

    macs_per_second: float
    bytes_per_second: float


@dataclass(frozen=True, kw_only=True)
class Model:
    """What decides the rates of a language model.

    Args:
        parameters: in all.
        active: that one token uses.
        cached_elements: keys and values of one token in all layers.
        experts: among which a layer chooses; 1 without choice.
        chosen: of them for one token.
        weight_bytes: of one parameter.
    """

    parameters: float
    active: float
    cached_elements: float
    experts: int = 1
    chosen: int = 1
    weight_bytes: float = 2.0

    def read_parameters(self, tokens: float) -> float:
        """Parameters that a step of so many tokens reads: experts are chosen evenly and independently."""
        if self.experts == self.chosen:
            return self.parameters
        used = self.chosen / self.experts
        # active = shared + used * routed, parameters = shared + routed
        routed = (self.parameters - self.active) / (1 - used)
        return self.parameters - routed * (1 - used) ** tokens


def read(file: str, row: Row, shortest_s: float) -> Drawn:
    """The rates of a row."""
    said = settled("power", row)
    kind = said.get("class", "power")
    model = _model(said, kind)
    watts = _watts(row, kind)
    count = extent(row, "n_chips")
    tokens_per_second = number(row, "throughput")
    config = row["config"]
    sequences = _found(r"Avg BS \(reqs\)=([\d.]+)", config) or number(row, "batch", otherwise=1.0)
    output = _found(r"Avg Output Tokens=([\d.]+)|mean response ([\d.]+) tok", config) or float(said["output"])
    prompt = _found(r"Avg (?:Input|Prompt) Tokens=([\d.]+)", config) or float(said["prompt"])
    steps = tokens_per_second / sequences
    cached = sequences * (prompt + output / 2) * model.cached_elements * 2.0
    moved = steps * (model.weight_bytes * model.read_parameters(sequences) + cached)
    macs = model.active * tokens_per_second * (1 + prompt / output)
    return Drawn(
        file=file, line=int(row["line"]), kind=kind, chip=chip_named(said.get("chip", row["chip"]), kind),
        dtype=_FORMAT, subject=f"{row['model']} x{count}, {sequences:.0f} sequences",
        metric="average power of one chip", unit="W", measured=watts / count,
        family=said.get("family", row["model"].split("/")[-1]), macs_per_second=macs / count,
        bytes_per_second=moved / count,
        workload=("power", row["model"], row["scenario"], count, round(sequences)),
    )  # fmt: skip


def _watts(row: Row, kind: str) -> float:
    if (row.get("avg_watts") or "").strip():
        return number(row, "avg_watts")
    raise Out("workload", "neither watts nor a rate of tokens", kind)


def _model(said: dict[str, str], kind: str) -> Model:
    """What the rules say of the model; sizes in billions."""
    if "parameters" not in said:
        raise Out("workload", "the size of the model is not known", kind)
    try:
        parameters = 1e9 * float(said["parameters"])
        active = 1e9 * float(said.get("active", said["parameters"]))
        layers = float(said["layers"]) if "layers" in said else _usual_layers(parameters)
        return Model(
            parameters=parameters, active=active, cached_elements=2 * layers * float(said["cached_width"]),
            experts=int(said.get("experts", 1)), chosen=int(said.get("chosen", 1)),
            weight_bytes=float(said.get("weight_bytes", 2.0)),
        )  # fmt: skip
    except ValueError as error:
        raise BrokenRow("model", f"its rule has no number: {error}") from None


def _usual_layers(parameters: float) -> float:
    """Layers of a dense language model of that size: 32 at 8 billion, by the cube root."""
    return 32 * (parameters / 8e9) ** (1 / 3)


def _found(pattern: str, text: str) -> float | None:
    match = re.search(pattern, text)
    return None if match is None else float(next(group for group in match.groups() if group))


def watts_of(chip: Chip, row: Drawn) -> float:
    """Average watts of a chip at a row's rates, never above its thermal design power."""
    parts = parts_of(chip, row)
    limit = None if chip.power is None else chip.power.limit_w
    return min(sum(parts), limit.value if limit is not None else float("inf"))


def parts_of(chip: Chip, row: Drawn) -> tuple[float, float, float]:
    """Watts of base, movement and arithmetic."""
    second = Demand(
        macs=((_FORMAT, round(row.macs_per_second)),),
        traffic_bytes=((chip.load.links[0], round(row.bytes_per_second)),),
    )
    by_role: dict[str, float] = {}
    for part in energy_of(chip, second, 1.0).parts:
        if part.energy_j is None:
            raise Out("chip", f"chip {chip.name} has no energies", row.kind)
        by_role[part.role] = by_role.get(part.role, 0.0) + part.energy_j.value
    return by_role["idle"], by_role["memory"], by_role["matrix"]


def predict(
    questions: Sequence[Question], chip_of: ChipOf = catalogue_chip
) -> tuple[list[Measured], list[Excluded]]:
    """Watts with their predictions."""
    done: list[Measured] = []
    left: list[Excluded] = []
    for row in questions:
        if not isinstance(row, Drawn):
            continue
        try:
            done.append(answered(row, watts_of(chip_of(row.chip), row)))
        except Out as out:
            left.append(Excluded(row.file, row.line, row.kind, out.reason, out.because))
    return done, left


def searched(rows: Sequence[Question], asked: Sequence[Question], tell: Tell) -> Found:
    """Base, joules per byte and joules per flop of GPUs found again: least mean absolute percentage error.

    The search does not start from the catalogue's values: the model is linear in the three constants, so
    reweighted least squares finds the optimum from anywhere.
    """
    mine = [row for row in rows if isinstance(row, Drawn) and catalogue_chip(row.chip).kind == "gpu"]
    if len(mine) < len(PARTS):
        return NOTHING_FOUND
    tell(f"power, {len({row.chip for row in mine})} chips")
    shares = np.array([parts_of(catalogue_chip(row.chip), row) for row in mine])
    measured = np.array([row.measured for row in mine])
    factors = _least_absolute(shares / measured[:, None])
    return Found(
        lambda chip: _with_power(chip, factors),
        lambda row: isinstance(row, Drawn) and catalogue_chip(row.chip).kind == "gpu",
    )


def _least_absolute(relative: np.ndarray) -> np.ndarray:
    """Factors, none negative, that bring the sum of every row's parts nearest to 1."""
    weights = np.ones(len(relative))
    factors = np.ones(relative.shape[1])
    for _ in range(_ROUNDS):
        scaled = relative * weights[:, None]
        factors = np.maximum(np.linalg.lstsq(scaled, weights, rcond=None)[0], 0.0)
        weights = 1 / np.sqrt(np.maximum(np.abs(relative @ factors - 1), 1e-3))
    return factors


def _with_power(chip: Chip, factors: np.ndarray) -> Chip:
    power = chip.power
    if chip.kind != "gpu" or power is None or power.base_w is None:
        return chip
    base, moved, multiplied = map(float, factors)
    changed = dataclasses.replace(
        power,
        base_w=power.base_w.scaled(base),
        byte_j={name: fact.scaled(moved) for name, fact in power.byte_j.items()},
        mac_j={name: fact.scaled(multiplied) for name, fact in power.mac_j.items()},
    )
    return chip.altered(power=changed)
