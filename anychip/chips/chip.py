"""A chip: blocks wired together, as plain data that is checked when built and changed by copy."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from anychip.arithmetic import Numerics
from anychip.blocks import Block, DmaEngine, Link, MatrixEngine, Memory, Sequencer, VectorUnit
from anychip.chips.numerics import numerics_of
from anychip.chips.policy import Policy
from anychip.chips.power import Power
from anychip.errors import InvalidDescription, unknown_name
from anychip.facts import Fact


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A block that executes instructions, with the queue in front of it.

    Args:
        block: what does the work.
        queue_depth: instructions that wait in or occupy it; None takes the sequencer's.
    """

    block: MatrixEngine | VectorUnit | DmaEngine
    queue_depth: int | None = None


@dataclass(frozen=True, kw_only=True)
class Route:
    """How tiles travel between main memory and a core.

    Args:
        engine: the transfer engine.
        links: crossed, far to near.
    """

    engine: str
    links: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A chip, or one of several equal dies sold as one.

    Args:
        name: short, lower case, as typed on the command line.
        title: as people write it.
        vendor: who makes it.
        kind: what family of software drives it.
        clock_hz: length of one simulated tick; blocks with another clock say so.
        cores: identical compute units; engines and local memories are per core.
        engines: by name; instructions refer to these names.
        memories: by name; exactly one has level ``main``.
        links: by name.
        load: main memory to core.
        store: core to main memory.
        sequencer: issues instructions.
        policy: how the family's compiler and runtime turn graphs into programs.
        numerics: what the family casts, how its engines sum, and how it rounds.
        roundings: directions in which its hardware rounds stores.
        power: idle and per-operation energy, for joules.
        facts: of the chip as a whole: peak rates, year, node, thermal design power.
        aliases: other names it answers to.
        inference_only: its maker supports no training on it.
        note: what a user must know.
    """

    name: str
    title: str
    vendor: str
    kind: Literal["npu", "gpu", "cpu"]
    clock_hz: float
    cores: int
    engines: Mapping[str, Engine]
    memories: Mapping[str, Memory]
    links: Mapping[str, Link]
    load: Route
    store: Route
    sequencer: Sequencer
    policy: Policy
    numerics: Numerics
    roundings: tuple[str, ...] = ("nearest-even",)
    power: Power | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    inference_only: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        complaints = list(self._complaints())
        if complaints:
            raise InvalidDescription(f'chip "{self.name}": ' + "; ".join(complaints))

    def _complaints(self) -> Iterator[str]:
        if self.clock_hz <= 0:
            yield f"clock_hz is {self.clock_hz:g}; must be greater than 0"
        if self.cores < 1:
            yield f"cores is {self.cores}; a chip has at least 1"
        if not any(isinstance(engine.block, MatrixEngine) for engine in self.engines.values()):
            yield "no engine has a matrix block; add an OuterProductArray, SystolicArray or DotUnit"
        if not any(isinstance(engine.block, VectorUnit) for engine in self.engines.values()):
            yield "no engine has a VectorUnit; add one"
        mains = [name for name, memory in self.memories.items() if memory.level == "main"]
        if len(mains) != 1:
            yield f"{len(mains)} memories of level main ({', '.join(mains) or 'none'}); exactly one is needed"
        for direction, route in (("load", self.load), ("store", self.store)):
            if route.engine not in self.engines:
                yield f'{direction} uses engine "{route.engine}"; engines are {", ".join(self.engines)}'
            for link in route.links:
                if link not in self.links:
                    yield f'{direction} crosses link "{link}"; links are {", ".join(self.links)}'

    def altered(self, **changes: Any) -> Chip:
        """A copy with some fields changed, checked again.

        Facts about what is changed, and peaks that it decides, no longer hold and are left out, unless
        `facts` is given too.
        """
        known = {f.name for f in dataclasses.fields(self)}
        for name in changes:
            if name not in known:
                raise unknown_name(f'field of chip "{self.name}"', name, known)
        if "facts" not in changes and changes.keys() & {"cores", "clock_hz", "engines"}:
            changes["facts"] = {
                name: fact
                for name, fact in self.facts.items()
                if name not in changes and not name.startswith(("peak.", "best."))
            }
        return dataclasses.replace(self, **changes)

    @property
    def matrix_name(self) -> str:
        """Name of the engine that multiplies."""
        return next(name for name, engine in self.engines.items() if isinstance(engine.block, MatrixEngine))

    @property
    def matrix(self) -> MatrixEngine:
        """The block that multiplies."""
        block = self.engines[self.matrix_name].block
        assert isinstance(block, MatrixEngine)  # noqa: S101 - checked when built
        return block

    def multiplier(self, format_name: str) -> str:
        """Name of the engine that multiplies operands of a format fastest; the first if none takes it."""
        name = self._multipliers.get(format_name)
        if name is None:
            name = self._multipliers[format_name] = self._fastest(format_name)
        return name

    @cached_property
    def _multipliers(self) -> dict[str, str]:
        """Answers of `multiplier` that were given before."""
        return {}

    def _fastest(self, format_name: str) -> str:
        best, name = 0.0, self.matrix_name
        for candidate, engine in self.engines.items():
            block = engine.block
            if isinstance(block, MatrixEngine) and format_name in block.rates:
                rate = block.macs_per_cycle(format_name) * self.clock_of(block)
                if rate > best:
                    best, name = rate, candidate
        return name

    def macs_per_second(self, format_name: str) -> float:
        """Peak multiply-adds per second of the whole chip, 0 if no engine takes the format."""
        block = self.engines[self.multiplier(format_name)].block
        assert isinstance(block, MatrixEngine)  # noqa: S101 - checked when built
        if format_name not in block.rates:
            return 0.0
        return block.macs_per_cycle(format_name) * self.clock_of(block) * self.cores

    def link_rate(self, engine: str, link: str) -> float:
        """Bytes per second of a link that a transfer engine's requests sustain."""
        crossed, known = self.links[link], self.engines.get(engine)
        if known is None or not isinstance(known.block, DmaEngine):
            return crossed.sustained_bytes_per_second
        return crossed.bytes_per_second * known.block.link_shares.get(link, crossed.efficiency)

    def operand_engine(self, multiplier: str) -> str:
        """The transfer engine that feeds contractions in a matrix engine."""
        stage = self.policy.operand_engine
        if stage is None:
            return self.load.engine
        own = f"{stage} {multiplier}"
        return own if own in self.engines else stage

    @property
    def vector_names(self) -> tuple[str, ...]:
        """Names of the engines with lanes, the one for plain arithmetic first."""
        return tuple(name for name, engine in self.engines.items() if isinstance(engine.block, VectorUnit))

    @property
    def main_memory(self) -> Memory:
        """Where tensors live."""
        return next(memory for memory in self.memories.values() if memory.level == "main")

    def numerics_named(
        self, name: str = "default", *, rounding: str = "nearest-even", seed: int | None = None
    ) -> Numerics:
        """The chip's arithmetic with a choice of operand format and rounding.

        Args:
            name: ``default``; ``fp32``: nothing is cast; a format of the matrix engine, to which wider
                operands are then cast, or ``fp8`` for the chip's own; of AWS's chips also another reading of
                their hardware, ``rounded-products`` or ``piecewise-curves``, alone or after one of the others
                (``fp32+piecewise-curves``).
            rounding: of stores into formats narrower than fp32.
            seed: of stochastic rounding.

        Raises:
            UnknownName: the chip has no such choice.
            InvalidDescription: choices joined by ``+`` that contradict each other.
            NotModelled: the hardware does not round so.
        """
        return numerics_of(self, name, rounding=rounding, seed=seed)

    def clock_of(self, block: Block) -> float:
        """Hertz of the block's own clock."""
        return self.clock_hz if block.clock_hz is None else block.clock_hz

    def blocks(self) -> Iterator[tuple[str, Block]]:
        """Every block with the name it has in the chip."""
        for name, engine in self.engines.items():
            yield name, engine.block
        yield from self.memories.items()
        yield from self.links.items()
        yield "sequencer", self.sequencer

    def all_facts(self) -> Iterator[tuple[str, Fact]]:
        """Every Fact with the path of the parameter that it backs."""
        yield from ((f"chip.{name}", fact) for name, fact in self.facts.items())
        for name, block in self.blocks():
            yield from ((f"{name}.{parameter}", fact) for parameter, fact in block.facts.items())
        yield from ((f"policy.{name}", fact) for name, fact in self.policy.facts.items())
        if self.power is not None:
            yield from ((f"power.{name}", fact) for name, fact in self.power.all_facts())

    @property
    def text(self) -> str:
        """Canonical text: everything that can change a result or a time."""
        lines = [f"chip {self.name} clock_hz={self.clock_hz!r} cores={self.cores} numerics={self.numerics!r}"]
        lines += [f"  {name} = {block!r}" for name, block in self.blocks()]
        lines += [f"  queue {name} {engine.queue_depth}" for name, engine in self.engines.items()]
        lines += [f"  load {self.load!r}", f"  store {self.store!r}", f"  {self.policy!r}"]
        return "\n".join(lines)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical text."""
        return hashlib.sha256(self.text.encode()).hexdigest()
