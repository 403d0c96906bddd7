"""Numbers about a chip that the table, the page and the comparison share; None is unknown."""

from __future__ import annotations

from typing import NamedTuple

from anychip.blocks import MatrixEngine
from anychip.chips import Chip
from anychip.chips.instances import Instance, Market
from anychip.compile import Lowering
from anychip.errors import NotModelled
from anychip.facts import Fact
from anychip.formats import by_name
from anychip.operators import meaning
from anychip.profile.energy import working_j
from anychip.profile.profile import Range
from anychip.programs.graph import Node, View
from anychip.programs.program import Grid
from anychip.simulate.machine import simulate_nest

#: Side of the square matrix product whose simulated rate and watts are called achieved.
SIDE = 4096
SIXTEEN_BIT = ("bf16", "fp16")
EIGHT_BIT = ("fp8_e4m3fn", "fp8_e4m3", "fp8_e4m3fnuz", "mxfp8_e4m3", "int8")


def formats(chip: Chip) -> tuple[str, ...]:
    """Operand formats that an engine multiplies, fastest first."""
    names = {
        name
        for engine in chip.engines.values()
        if isinstance(engine.block, MatrixEngine)
        for name in engine.block.rates
    }
    return tuple(sorted(names, key=lambda name: (-chip.macs_per_second(name), name)))


def peak(chip: Chip, *names: str) -> tuple[str, float] | None:
    """The fastest of some formats, the first of equals, with its peak in operations a second.

    The published peak where there is one, else what the blocks make; None if no engine multiplies any.
    """
    best: tuple[str, float] | None = None
    for name in names:
        fact = chip.facts.get(f"peak.{name}")
        rate = 2 * chip.macs_per_second(name) if fact is None else fact.value
        if rate and (best is None or rate > best[1]):
            best = name, rate
    return best


class Product(NamedTuple):
    """A simulated square matrix product on all cores; launch and call latency are left out.

    Args:
        operations_per_second: of the whole chip.
        watts: (low, value, high) of the whole chip meanwhile, never above its limit; None if unknown.
    """

    operations_per_second: float
    watts: tuple[float, float, float] | None


def square_product(chip: Chip, stored: str) -> Product | None:
    """The product of tensors stored in a format; None where the chip does not multiply it.

    Where one program uses one core, every core runs a copy.
    """
    shape, strides = (SIDE, SIDE), (SIDE, 1)
    views = [View(index, stored, shape, strides) for index in range(3)]
    node = Node("aten.mm.default", (), (views[0], views[1]), (views[2],))
    try:
        chip.numerics.contraction(by_name(stored))
        (form,) = meaning(node)
        nest = Lowering(chip).nest(form)
        span = simulate_nest(chip, nest)
    except NotModelled:
        return None
    ticks = span.ticks - span.launch_ticks - sum(ticks for _, ticks in span.fixed)
    copies = 1 if any(isinstance(item, Grid) for item in nest.body) else chip.cores
    second = ticks / chip.clock_hz
    return Product(copies * 2 * SIDE**3 / second, _watts(chip, working_j(chip, span.demand), copies / second))


def _watts(chip: Chip, work: Range | None, rate: float) -> tuple[float, float, float] | None:
    """Base and work, `rate` times a second, up to the limit."""
    power = chip.power
    if power is None or power.base_w is None or work is None:
        return None
    base = (power.base_w.range[0], power.base_w.value, power.base_w.range[1])
    spent = (work.low, work.value, work.high)
    limit = float("inf") if power.limit_w is None else power.limit_w.value
    low, value, high = (min(limit, idle + each * rate) for idle, each in zip(base, spent, strict=True))
    return low, value, high


def joules_per_operation(chip: Chip, name: str) -> Fact | None:
    """Energy of half a multiply-add in a format."""
    if chip.power is None or name not in chip.power.mac_j:
        return None
    return chip.power.mac_j[name].scaled(0.5)


def joules_per_byte(chip: Chip) -> Fact | None:
    """Energy of a byte to or from main memory."""
    return None if chip.power is None else chip.power.byte_j.get(chip.load.links[0])


def bandwidth(chip: Chip) -> float:
    """Peak bytes a second of main memory."""
    return chip.links[chip.load.links[0]].bytes_per_second


def rent(chip: Chip, market: Market) -> tuple[Instance, Fact] | None:
    """The cheapest instance with a whole chip and its price per chip-hour, on demand."""
    instance = market.cheapest(chip.name)
    price = None if instance is None else instance.usd_per_chip_hour()
    return None if instance is None or price is None else (instance, price)


def unknown(chip: Chip, market: Market) -> tuple[str, ...]:
    """What nobody publishes about a chip, in words."""
    if chip.vendor == "anychip":
        return ("power: not built in silicon", "price: cannot be rented")
    missing: list[str] = []
    if chip.power is None or chip.power.limit_w is None:
        missing.append("thermal design power: not published; watts are never flagged as above it")
    if "process_nm" not in chip.facts:
        missing.append("process node: not published")
    instances = market.of_chip(chip.name)
    if not instances:
        missing.append("price: no instance with it in the snapshot")
    elif rent(chip, market) is None:
        listed = ", ".join(instance.name for instance in instances)
        missing.append(f"price: none in the snapshot for {listed}")
    missing += [f"{what}: assumed" for what in chip.numerics.assumed]
    return tuple(missing)
