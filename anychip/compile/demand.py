"""What a kernel needs whatever its schedule, and which format a contraction multiplies in."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from anychip.arithmetic.recipe import CURVES
from anychip.chips import Chip
from anychip.formats import by_name
from anychip.operators import Contract, Form, work
from anychip.operators.forms import element_bits
from anychip.programs.program import Demand, Instruction, Item

#: Name under which plain lane operations are counted; curves go by their own.
LANE = "lane"


def element_bytes(format_name: str) -> float:
    """Bytes of one stored element; half bytes for 4-bit formats."""
    return element_bits(format_name) / 8


def operand_format(chip: Chip, form: Contract) -> str:
    """The format in which the chip multiplies the operands of a contraction: the wider of the two."""
    read = [chip.numerics.operand(by_name(each.format)).name for each in (form.left, form.right)]
    return max(read, key=element_bits)


def multiplies(chip: Chip, format_name: str) -> bool:
    """Whether any matrix engine takes the format; other products are lane operations."""
    return chip.macs_per_second(format_name) > 0


def demand_of(chip: Chip, forms: Iterable[Form], body: tuple[Item, ...]) -> Demand:
    """Useful work of some forms as one kernel does them, never more than its instructions do.

    Args:
        chip: whose numerics say in which format products are formed.
        forms: what the kernel performs.
        body: its items; traffic is theirs, and steps that they save are not counted.
    """
    macs: dict[str, int] = {}
    lanes: dict[str, int] = {}
    host = 0
    for form in forms:
        done = work(form)
        host += done.host_operations
        name = _format_of(chip, form)
        for stored, count in done.macs.items():
            into = name or _stored_format(chip, stored)
            if multiplies(chip, into):
                macs[into] = macs.get(into, 0) + count
            else:
                lanes[LANE] = lanes.get(LANE, 0) + 2 * count
        lanes[LANE] = lanes.get(LANE, 0) + done.lane_operations
        for curve, count in done.curves.items():
            lanes[curve] = lanes.get(curve, 0) + count
    traffic: dict[str, int] = {}
    issued: dict[str, int] = {}
    _count(body, 1, traffic, issued)
    useful = {name: min(count, issued.get(name, 0)) for name, count in lanes.items()}
    return Demand(
        macs=tuple(sorted(macs.items())),
        lane_operations=tuple(sorted((name, count) for name, count in useful.items() if count)),
        traffic_bytes=tuple(sorted(traffic.items())),
        host_operations=host,
    )


def _count(body: tuple[Item, ...], times: int, traffic: dict[str, int], issued: dict[str, int]) -> None:
    """Adds up bytes by link and lane operations by name, loops multiplied out."""
    for item in body:
        if not isinstance(item, Instruction):
            _count(item.body, times * item.count, traffic, issued)
            continue
        for link, size in item.traffic:
            traffic[link] = traffic.get(link, 0) + size * times
        if item.recipe is not None:
            elements = prod(item.extents) * times
            for step in item.recipe.steps:
                name = step.operation if step.operation in CURVES else LANE
                issued[name] = issued.get(name, 0) + elements


def _format_of(chip: Chip, form: Form) -> str | None:
    return operand_format(chip, form) if isinstance(form, Contract) else None


def _stored_format(chip: Chip, stored: str) -> str:
    """`work` names a pair of stored formats ``"bf16*fp8_e4m3fn"``; both are read in the wider one."""
    read = [chip.numerics.operand(by_name(name)).name for name in stored.split("*")]
    return max(read, key=element_bits)
