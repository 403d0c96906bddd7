"""Constants found again without one chip, and that chip predicted with them.

The fitted constants of a family are fields of a block or a link. Here they are searched anew, on a sample
of the rows of the family's other chips, and the rows of the chip that was left out are predicted with what
was found. Datasheet facts of that chip stay its own: that is what carries constants over to a chip that
nobody measured.

Two things remain that did see the chip: the search starts from the catalogue's constants, which were fitted
to all chips, and moves them only where the other chips' errors shrink; and what is not searched (results that
hide latencies, cache shares, the measuring method's launch offsets, power caps) stays as fitted to all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import cast

from anychip.blocks import DotUnit
from anychip.chips import Chip, Engine
from anychip.products.validate.operators import Call, Replay, seconds_of
from anychip.products.validate.question import Question, Tell, catalogue_chip

#: Rows of one chip that a search looks at, taken evenly.
_SAMPLE = 36
#: Factors tried on each constant in turn, coarse to fine.
_FACTORS = (1.4, 1.15, 1.05)
Constants = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Family:
    """Chips and operators that share constants.

    Args:
        name: for people.
        vendor: who makes the chips.
        kinds: classes of operators.
        dtypes: formats of operands.
        engine: whose block holds the constants; empty where a link does.
        constants: fields of the block, or of every link.
    """

    name: str
    vendor: str
    kinds: frozenset[str]
    dtypes: frozenset[str]
    engine: str
    constants: tuple[str, ...]

    def holds(self, row: Call, chip: Chip) -> bool:
        """Whether the family's constants decide the row."""
        return chip.vendor == self.vendor and row.kind in self.kinds and row.dtype in self.dtypes

    def start(self, chip: Chip) -> dict[str, float]:
        """The constants as the catalogue has them."""
        if not self.engine:
            return dict.fromkeys(chip.links, 1.0)
        block = chip.engines[self.engine].block
        return {name: float(getattr(block, name)) for name in self.constants}

    def altered(self, chip: Chip, constants: Constants) -> Chip:
        """The chip with other constants; efficiencies of links are multiplied by theirs."""
        if not self.engine:
            links = {
                name: dataclasses.replace(link, efficiency=min(1.0, link.efficiency * constants[name]))
                for name, link in chip.links.items()
            }
            return chip.altered(links=links)
        engine = chip.engines[self.engine]
        block = cast(DotUnit, engine.block)  # as in every family below
        whole = {name: round(value) for name, value in constants.items() if name in _WHOLE}
        changed = dataclasses.replace(block, **{**constants, **whole})  # pyright: ignore[reportArgumentType]
        engines = dict(chip.engines) | {self.engine: Engine(block=changed, queue_depth=engine.queue_depth)}
        return chip.altered(engines=engines)


_WHOLE = ("drain_depth", "full_results")
_MATMUL = frozenset({"linear", "bmm", "matmul"})
_STREAMS = frozenset({"elementwise", "softmax", "layernorm"})
_UNIT = ("efficiency", "operand_cost", "drain_depth", "occupancy_exponent")
FAMILIES = (
    Family("fp32 products on CUDA cores", "NVIDIA", _MATMUL, frozenset({"fp32"}), "fma", _UNIT),
    Family(
        "16-bit products on tensor cores", "NVIDIA", _MATMUL, frozenset({"fp16", "bf16"}), "tensor", _UNIT
    ),
    Family("products on AMD's matrix cores", "AMD", _MATMUL, frozenset({"fp32"}), "tensor", _UNIT),
    Family("streams, NVIDIA", "NVIDIA", _STREAMS, frozenset({"fp32"}), "", ()),
    Family("streams, AMD", "AMD", _STREAMS, frozenset({"fp32"}), "", ()),
)


@dataclass(frozen=True, slots=True)
class Without:
    """What was left out of the search for constants.

    Args:
        axis: ``"chip"`` or ``"model"``.
        value: its name.
    """

    axis: str
    value: str

    def drops(self, question: Question) -> bool:
        """Whether a row leaves."""
        return (question.chip if self.axis == "chip" else question.family) == self.value


def searched_gpu(rows: Sequence[Question], tell: Tell) -> Callable[[Chip], Chip]:
    """GPU constants of each family found again on the operators among `rows`; others keep theirs."""
    found: list[tuple[Family, dict[str, float]]] = []
    for family in FAMILIES:
        mine = [row for row in rows if isinstance(row, Call) and not row.short]
        mine = [row for row in mine if family.holds(row, catalogue_chip(row.chip))]
        if mine:
            tell(f"{family.name}, {len({row.chip for row in mine})} chips")
            found.append((family, _remembered(family, _sampled(mine))))

    def altered(chip: Chip) -> Chip:
        for family, constants in found:
            if chip.kind == "gpu" and chip.vendor == family.vendor:
                chip = family.altered(chip, constants)
        return chip

    return altered


_KNOWN: dict[tuple[str, tuple[tuple[str, int], ...]], dict[str, float]] = {}


def _remembered(family: Family, rows: Sequence[Call]) -> dict[str, float]:
    """A search done before on the same rows is not done again."""
    key = (family.name, tuple((row.file, row.line) for row in rows))
    if key not in _KNOWN:
        _KNOWN[key] = searched(family, rows)
    return _KNOWN[key]


def searched(family: Family, rows: Sequence[Call]) -> dict[str, float]:
    """Constants with the least mean error on the rows, chips weighing alike, by coordinate search."""
    best = family.start(catalogue_chip(rows[0].chip))
    least = _loss(family, best, rows)
    for factor in _FACTORS:
        moved = True
        while moved:
            moved = False
            for name in best:
                for step in (factor, 1 / factor):
                    tried = best | {name: best[name] * step}
                    if name == "efficiency" and tried[name] > 1:
                        continue
                    loss = _loss(family, tried, rows)
                    if loss < least * 0.999:
                        best, least, moved = tried, loss, True
    return best


def _loss(family: Family, constants: Constants, rows: Iterable[Call]) -> float:
    replay = Replay(lambda chip: family.altered(catalogue_chip(chip), constants))
    by_chip: dict[str, list[float]] = {}
    for row in rows:
        error = abs(seconds_of(replay, row) / row.measured - 1)
        by_chip.setdefault(row.chip, []).append(min(error, 2.0))
    return fmean(fmean(errors) for errors in by_chip.values())


def _sampled(rows: Sequence[Call]) -> list[Call]:
    by_chip: dict[str, list[Call]] = {}
    for row in rows:
        by_chip.setdefault(row.chip, []).append(row)
    return [row for mine in by_chip.values() for row in mine[:: max(1, len(mine) // _SAMPLE)]]
