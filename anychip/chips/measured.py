"""A CPU described by what was measured on it: the chip of a calibration file."""

from __future__ import annotations

from collections.abc import Mapping

from anychip.arithmetic import cpu as cpu_numerics
from anychip.blocks import DmaEngine, DotUnit, Link, Memory, Sequencer, VectorUnit
from anychip.chips.chip import Chip, Engine, Route
from anychip.chips.inline import Inline
from anychip.chips.policy import Policy
from anychip.facts import Fact

#: What multiplies: libraries and kernels with a rate of their own.
KINDS = ("products", "convolutions", "attention", "attention_backward")


def measured_cpu(
    *,
    name: str,
    title: str,
    vendor: str,
    cores: int,
    lanes: int,
    constants: Mapping[str, Fact],
    note: str = "",
) -> Chip:
    """A CPU that runs eager PyTorch on some of its cores.

    Args:
        name: as typed on the command line.
        title: as people write it.
        vendor: who makes it.
        cores: threads that PyTorch uses.
        lanes: fp32 lanes of its vectors.
        constants: by name, see docs/calibrate.md: ``clock_hz``, ``memory_bytes``, ``l2_bytes``, ``l3_bytes``,
            ``KIND.FORMAT`` of `KINDS`
            (multiply-adds a second and core), ``operand_cost.FORMAT``, ``lane.OPERATION``
            (seconds an element and core), ``dram_bytes_per_second``, ``l3_bytes_per_second``,
            ``mapped_bytes_per_second``, ``write_cost``, ``cache_share``, ``operator_s.PHASE``,
            and where a sensor told it ``idle_w``.
        note: what a user must know.
    """
    clock = constants["clock_hz"]
    hertz = clock.value
    engines: dict[str, DotUnit] = {}
    for kind in KINDS:
        for form in _named(constants, f"{kind}."):
            engines[f"{kind} {form}".replace("_", " ")] = _unit(constants, kind, form)
    costs = {step: fact.scaled(hertz * lanes, "cycle") for step, fact in _named(constants, "lane.").items()}
    phases = _named(constants, "operator_s.")
    inline = Inline(
        operator_s={phase: fact.value for phase, fact in phases.items()},
        mapped_bytes_per_second=constants["mapped_bytes_per_second"].value,
        write_cost=constants["write_cost"].value,
        engines={key: key for key in engines if not key.startswith("products")},
    )
    policy = Policy(
        style="eager",
        tile=(1, 1, 512),
        depth=1,
        cache_share=constants["cache_share"].value,
        inline=inline,
        facts={key: constants[key] for key in ("mapped_bytes_per_second", "write_cost", "cache_share")}
        | {f"operator_s.{phase}": fact for phase, fact in phases.items()},
    )
    return Chip(
        name=name,
        title=title,
        vendor=vendor,
        kind="cpu",
        clock_hz=hertz,
        cores=cores,
        engines={
            **{key: Engine(block=block) for key, block in engines.items()},
            "simd": Engine(block=VectorUnit.of(lanes=lanes, cost=costs)),
            "load": Engine(block=DmaEngine()),
            "store": Engine(block=DmaEngine()),
        },
        memories={
            "l2": Memory.of(capacity_bytes=constants["l2_bytes"]),
            "l3": Memory.of(capacity_bytes=constants["l3_bytes"], level="shared"),
            "dram": Memory.of(capacity_bytes=constants["memory_bytes"], level="main"),
        },
        links={
            "dram": Link.of(bytes_per_second=constants["dram_bytes_per_second"]),
            "l3": Link.of(bytes_per_second=constants["l3_bytes_per_second"]),
        },
        load=Route(engine="load", links=("dram", "l3")),
        store=Route(engine="store", links=("dram", "l3")),
        sequencer=Sequencer(queue_depth=32),
        policy=policy,
        numerics=cpu_numerics(name),
        facts={"clock_hz": clock, "memory_bytes": constants["memory_bytes"]}
        | {
            f"peak.{form}": _best(constants, form).scaled(2 * cores, "flop/s")
            for form in _named(constants, "products.")
        },
        note=note,
    )


def _named(constants: Mapping[str, Fact], prefix: str) -> dict[str, Fact]:
    return {key.removeprefix(prefix): fact for key, fact in constants.items() if key.startswith(prefix)}


def _best(constants: Mapping[str, Fact], form: str) -> Fact:
    """The highest rate that either library reached."""
    found = [constants[key] for kind in KINDS if (key := f"{kind}.{form}") in constants]
    return max(found, key=lambda fact: fact.value)


def _unit(constants: Mapping[str, Fact], kind: str, form: str) -> DotUnit:
    """The cores' multipliers as one library uses them; their peak is what the better one reached."""
    peak = _best(constants, form)
    return DotUnit.of(
        native=peak.scaled(1 / constants["clock_hz"].value, "mac/cycle"),
        rates={form: 1.0},
        efficiency=min(1.0, constants[f"{kind}.{form}"].value / peak.value),
        operand_cost=constants[f"operand_cost.{form}"] if kind == "products" else 0.0,
    )
