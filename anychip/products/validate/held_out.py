"""Constants of GPUs found again without one chip or model, and chips altered by them.

A family is a list of chips and operators that share fitted constants. All of them are searched anew, from
neutral values, on a sample of the rows that remain. Datasheet facts of the chip that was left out stay its
own: that is what carries constants over to a chip that nobody measured. What libraries have on their menus
was read off all chips and is not searched.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np

from anychip.blocks import DmaEngine
from anychip.chips import Chip, Engine
from anychip.chips import fitted as catalogue
from anychip.facts import Fact
from anychip.products.validate.operators import Call, Replay, device_seconds, host_seconds
from anychip.products.validate.question import Found, Question, Tell, catalogue_chip
from anychip.products.validate.search import Bounds, Vector, least

#: Rows that a search looks at, and of every chip and class at least. Chips and classes with more rows than
#: `_ALIKE` weigh alike, those with fewer as much less as they have fewer.
_SAMPLE, _FEWEST, _ALIKE = 100, 10, 33
#: Products take more: which kernel a row is given jumps with the constants.
_MORE = 300
#: Constants that change nothing on the device.
_OF_HOST = ("policy idle_dispatch_s", "policy traced_dispatch")
#: What neutral values weigh beside one chip (`search.least`).
_PRIOR = 0.03
#: Rows of all searches from which starting further processes pays.
_WORTH_PROCESSES = 400


@dataclass(frozen=True, slots=True)
class Constant:
    """A fitted constant and where it stands in a chip.

    Args:
        place: ``engine ENGINE FIELD [KEY]``, ``link LINK`` or ``policy FIELD [KEY]``.
        fact: its value in the catalogue.
        bounds: of the search.
    """

    place: str
    fact: Fact
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Family:
    """Chips and operators that share constants.

    Args:
        name: for people.
        vendor: who makes the chips.
        kinds: classes of operators.
        dtypes: formats of operands.
        constants: all that are fitted.
        sample: rows that a search looks at.
    """

    name: str
    vendor: str
    kinds: frozenset[str]
    dtypes: frozenset[str]
    constants: tuple[Constant, ...]
    sample: int = _SAMPLE

    def holds(self, row: Question) -> bool:
        """Whether the family's constants decide the row."""
        if row.short or row.kind not in self.kinds or row.dtype not in self.dtypes:
            return False
        chip = catalogue_chip(row.chip)
        return chip.kind == "gpu" and chip.vendor == self.vendor

    def decides(self, asked: Iterable[Question]) -> bool:
        """Whether the family's constants can change a prediction of one of these rows.

        Streams' share of the main memory's rate is part of everything. Whole models hold every operator.
        """
        if self.kinds == _STREAMS:
            return True
        return any(
            not isinstance(row, Call)
            or (row.kind not in _STREAMS and not (row.dtype == "fp32" and "fp32" not in self.dtypes))
            for row in asked
        )

    def altered(self, chip: Chip, values: Mapping[str, float]) -> Chip:
        """The chip with other constants; what the catalogue derives from one moves with it."""
        changes: dict[str, Any] = {"engines": dict(chip.engines), "links": dict(chip.links)}
        policy: dict[str, Any] = {}
        for constant in self.constants:
            factor = values[constant.place] / constant.fact.value
            where, *path = constant.place.split()
            if where == "engine":
                name = path[0].replace("_", " ")
                if name in changes["engines"]:
                    changes["engines"][name] = _scaled_engine(changes["engines"][name], path[1:], factor)
            elif where == "link":
                link = changes["links"][path[0]]
                if catalogue.STREAM_EFFICIENCY[path[1]].value == chip.links[path[0]].efficiency:
                    rate = min(1.0, link.efficiency * factor)
                    changes["links"][path[0]] = dataclasses.replace(link, efficiency=rate)
            elif where == "policy" and chip.policy.facts.get(".".join(path)) is constant.fact:
                old = policy.get(path[0], getattr(chip.policy, path[0]))
                policy[path[0]] = _scaled(old, path[1:], factor)
        return chip.altered(policy=dataclasses.replace(chip.policy, **policy), facts=chip.facts, **changes)


def _scaled(old: Any, path: Sequence[str], factor: float) -> Any:
    """A number, or one number of a mapping, times a factor."""
    if not path:
        return old * factor
    return {**old, path[0]: old[path[0]] * factor} if path[0] in old else old


def _scaled_engine(engine: Engine, path: Sequence[str], factor: float) -> Engine:
    block = engine.block
    value = _scaled(getattr(block, path[0]), path[1:], factor)
    if isinstance(getattr(block, path[0]), int):
        value = round(value)
    if path[0] == "efficiency":
        value = min(1.0, value)
    if isinstance(block, DmaEngine) and isinstance(value, dict):
        value = {name: min(1.0, share) for name, share in value.items()}  # pyright: ignore
    return Engine(block=dataclasses.replace(block, **{path[0]: value}), queue_depth=engine.queue_depth)


def _unit(
    engine: str, facts: Mapping[str, Fact], costs: tuple[float, float] | None = None
) -> tuple[Constant, ...]:
    """Constants of an engine; `costs`: of operands, where they are searched, two values to begin with."""
    cost = {} if costs is None else {"operand_cost": Bounds(costs[0], 0.5, 60.0, other=costs[1])}
    bounds = {
        "efficiency": Bounds(0.8, 0.4, 1.0),
        **cost,
        "drain_depth": Bounds(16.0, 1.0, 200.0),
        "occupancy_exponent": Bounds(0.3, 0.01, 1.0, other=0.03),
        "wave_weight": Bounds(0.9, 0.05, 1.0, other=0.3),
    }
    return tuple(Constant(f"engine {engine} {name}", facts[name], each) for name, each in bounds.items())


#: Multiply-adds for an operand element of fp32 on CDNA, where two wavefronts read it from a local memory that
#: gives 128 bytes a cycle: what a compute unit does in the time of 8 bytes; and half as many.
_LOCAL_COSTS = (8.0, 4.0)
#: Of requests for tiles: main memory is far from full, and ports of caches are either nearly so or not.
_SHARES_OF_LINKS = {"dram": Bounds(0.6, 0.1, 1.0), "l2": Bounds(0.6, 0.1, 1.0, other=0.15)}


def _stage(engine: str, shares: Mapping[str, Fact]) -> tuple[Constant, ...]:
    return tuple(
        Constant(f"engine stage_{engine} link_shares {link}", fact, _SHARES_OF_LINKS[link])
        for link, fact in shares.items()
    )


def _idle(maker: str, *classes: str) -> tuple[Constant, ...]:
    return tuple(
        Constant(
            f"policy idle_dispatch_s {name}",
            catalogue.IDLE_DISPATCH_S[maker][name],
            Bounds(25e-6, 2e-6, 90e-6),
        )
        for name in classes
    )


def _rows(maker: str) -> tuple[Constant, ...]:
    waits = catalogue.ROW_WAITS[maker]
    return (
        Constant("policy row_access", waits["row_access"], Bounds(15.0, 4.0, 60.0)),
        Constant("policy row_start", waits["row_start"], Bounds(10.0, 2.0, 60.0)),
        Constant("policy row_rest", waits["row_rest"], Bounds(1.0, 0.3, 3.0)),
        Constant("policy row_hit_all", waits["row_hit_all"], Bounds(0.25, 0.1, 0.45)),
        Constant("policy row_hit_none", waits["row_hit_none"], Bounds(1.0, 0.5, 2.0)),
        Constant("policy traced_dispatch", catalogue.TRACED_DISPATCH[maker], Bounds(0.8, 0.1, 1.0)),
        *_idle(maker, "softmax", "layernorm", "elementwise"),
    )


_STREAMS = frozenset({"elementwise", "softmax", "layernorm"})
_LATENCY = Bounds(0.7e-6, 0.2e-6, 6e-6)
_SHARE = Bounds(0.8, 0.4, 1.0)
_MATMUL = frozenset({"linear", "bmm", "matmul"})
_MISSES = Bounds(4e-14, 2e-15, 4e-13)
_CORE_MISSES = Bounds(2e-3, 2e-4, 1e-2)
FAMILIES = (
    Family(
        "fp32 products on CUDA cores", "NVIDIA", _MATMUL, frozenset({"fp32"}),
        (
            *_unit("fma", catalogue.SIMT),
            *_stage("fma", catalogue.OPERAND_SHARES["fma"]),
            *_idle("nvidia", "linear", "bmm"),
            Constant("policy long_row_s", catalogue.LONG_ROWS["pascal"][2], _MISSES),
            Constant("policy long_row_cycles", catalogue.LONG_ROWS["later"][2], _CORE_MISSES),
            Constant("policy biased_reach", catalogue.GP100_BIAS, Bounds(1.0, 0.6, 1.0)),
        ),
        _MORE,
    ),
    Family(
        "16-bit products on tensor cores", "NVIDIA", _MATMUL, frozenset({"fp16", "bf16"}),
        (
            *_unit("tensor", catalogue.TENSOR_CORE, (4.0, 8.0)),
            *_stage("tensor", catalogue.OPERAND_SHARES["tensor"]),
        ),
        _MORE,
    ),
    Family(
        "products on AMD's matrix cores", "AMD", _MATMUL, frozenset({"fp32"}),
        (
            *_unit("tensor", catalogue.MATRIX_CORE, _LOCAL_COSTS),
            *_stage("tensor", {"l2": catalogue.OPERAND_SHARES["amd"]["l2"]}),
            Constant("policy unhidden_share", catalogue.UNHIDDEN_SHARE, Bounds(0.1, 0.01, 0.5)),
            *_idle("amd", "linear", "bmm"),
        ),
        _MORE,
    ),
    Family(
        "streams and rows, NVIDIA", "NVIDIA", _STREAMS, frozenset({"fp32"}),
        (
            Constant("link dram hbm", catalogue.STREAM_EFFICIENCY["hbm"], _SHARE),
            Constant("link dram gddr", catalogue.STREAM_EFFICIENCY["gddr"], _SHARE),
            *_rows("nvidia"),
        ),
    ),
    Family(
        "streams and rows, AMD", "AMD", _STREAMS, frozenset({"fp32"}),
        (
            Constant("link dram amd-hbm", catalogue.STREAM_EFFICIENCY["amd-hbm"], _SHARE),
            Constant("engine load startup_cycles", catalogue.AMD_ACCESS_LATENCY_S, _LATENCY),
            *_rows("amd"),
        ),
    ),
)  # fmt: skip


def searched_gpu(rows: Sequence[Question], asked: Sequence[Question], tell: Tell) -> Found:
    """GPU constants of each family found again on the operators among `rows`; others keep theirs.

    Args:
        rows: that remain.
        asked: rows that will be predicted; families that decide none of them are not searched.
        tell: told what is being done.
    """
    found: list[tuple[Family, dict[str, float]]] = []
    for family, mine in _samples(rows, asked):
        tell(f"{family.name}, {len({row.chip for row in mine})} chips")
        found.append((family, _remembered(family, mine)))

    def altered(chip: Chip) -> Chip:
        for family, values in found:
            if chip.kind == "gpu" and chip.vendor == family.vendor:
                chip = family.altered(chip, values)
        return chip

    def decides(row: Question) -> bool:
        chip = catalogue_chip(row.chip)
        of_vendor = [each for each in FAMILIES if chip.kind == "gpu" and chip.vendor == each.vendor]
        # Whole models, and what has no constants of its own, are made of all of the vendor's.
        own = [each for each in of_vendor if row.kind in each.kinds and row.dtype in each.dtypes]
        names = {family.name for family, _ in found}
        return any(each.name in names for each in own or of_vendor)

    return Found(altered, decides)


def _samples(rows: Sequence[Question], asked: Sequence[Question]) -> list[tuple[Family, list[Call]]]:
    """Families to search, each with the rows that its search looks at."""
    held = (
        (family, [row for row in rows if isinstance(row, Call) and family.holds(row)])
        for family in FAMILIES
        if family.decides(asked)
    )
    return [(family, sampled(mine, family.sample)) for family, mine in held if mine]


_Key = tuple[str, tuple[Call, ...]]
_KNOWN: dict[_Key, dict[str, float]] = {}
_AHEAD: dict[_Key, Future[dict[str, float]]] = {}


def _remembered(family: Family, rows: Sequence[Call]) -> dict[str, float]:
    """A search done before on the same rows, or under way in another process, is not done again."""
    key = (family.name, tuple(rows))
    if key not in _KNOWN:
        ahead = _AHEAD.pop(key, None)
        _KNOWN[key] = searched(family, rows) if ahead is None else ahead.result()
    return _KNOWN[key]


@contextmanager
def searched_ahead(parts: Sequence[tuple[Sequence[Question], Sequence[Question]]]) -> Generator[None]:
    """Searches of all parts begun in other processes, one for each processor.

    A search is the same arithmetic on the same rows wherever it runs, so results are the same to the bit.

    Args:
        parts: rows that remain and rows that are asked, of every search to come.
    """
    tasks: dict[_Key, tuple[Family, list[Call]]] = {}
    for rows, asked in parts:
        for family, mine in _samples(rows, asked):
            tasks.setdefault((family.name, tuple(mine)), (family, mine))
    tasks = {key: task for key, task in tasks.items() if key not in _KNOWN}
    processes = min(os.cpu_count() or 1, len(tasks))
    if processes < 2 or sum(len(mine) for _, mine in tasks.values()) < _WORTH_PROCESSES:
        yield
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for key, (family, mine) in tasks.items():
            _AHEAD[key] = pool.submit(_searched_family, FAMILIES.index(family), mine)
        try:
            yield
        finally:
            _AHEAD.clear()
            pool.shutdown(cancel_futures=True)


def _searched_family(index: int, rows: Sequence[Call]) -> dict[str, float]:
    return searched(FAMILIES[index], rows)


def searched(family: Family, rows: Sequence[Call]) -> dict[str, float]:
    """Constants with the least mean error on the rows; chips, and classes of a chip, weigh alike."""

    on_device: dict[tuple[float, ...], Vector] = {}

    def errors(values: Mapping[str, float]) -> Vector:
        replay = Replay(lambda chip: family.altered(catalogue_chip(chip), values))
        decide = tuple(value for place, value in values.items() if not place.startswith(_OF_HOST))
        if decide not in on_device:
            on_device[decide] = np.array([device_seconds(replay, row) for row in rows])
        host = np.array([host_seconds(replay.pricer(row.chip)[0].policy, row) for row in rows])
        return (on_device[decide] + host) / measured - 1

    measured = np.array([row.measured for row in rows])
    groups: dict[tuple[str, str], int] = {}
    for row in rows:
        groups[row.chip, row.kind] = groups.get((row.chip, row.kind), 0) + 1
    shares = np.array([1 / max(_ALIKE, groups[row.chip, row.kind]) for row in rows])
    weights = shares / np.sum(shares)
    prior = _PRIOR / len({row.chip for row in rows})
    return least(errors, {each.place: each.bounds for each in family.constants}, weights, prior)


def sampled(rows: Sequence[Call], sample: int = _SAMPLE) -> list[Call]:
    """About so many rows, taken evenly from every chip and class; what small ones leave goes to others."""
    groups: dict[tuple[str, str], list[Call]] = {}
    for row in rows:
        groups.setdefault((row.chip, row.kind), []).append(row)
    left, limit = sample, _FEWEST
    for position, size in enumerate(sorted(map(len, groups.values()))):
        limit = max(_FEWEST, left // (len(groups) - position))
        left -= min(size, limit)
    return [row for mine in groups.values() for row in mine[:: max(1, -(-len(mine) // limit))]]
