"""What a kernel needs whatever its schedule, and which format a contraction multiplies in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from anychip.chips import Chip
from anychip.formats import by_name
from anychip.operators import Contract, Form, Work, total, work
from anychip.operators.forms import element_bits
from anychip.programs.program import Demand

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


def demand_of(chip: Chip, forms: Iterable[Form], traffic: Mapping[str, int]) -> Demand:
    """Useful work of some forms as one kernel does them.

    Args:
        chip: whose numerics say in which format products are formed.
        forms: what the kernel performs.
        traffic: bytes over each link, all cores together.
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
    return Demand(
        macs=tuple(sorted(macs.items())),
        lane_operations=tuple(sorted((name, count) for name, count in lanes.items() if count)),
        traffic_bytes=tuple(sorted(traffic.items())),
        host_operations=host,
    )


def whole_work(forms: Iterable[Form]) -> Work:
    """Work of several forms together."""
    return total(work(form) for form in forms)


def _format_of(chip: Chip, form: Form) -> str | None:
    return operand_format(chip, form) if isinstance(form, Contract) else None


def _stored_format(chip: Chip, stored: str) -> str:
    """`work` names a pair of stored formats ``"bf16*fp8_e4m3fn"``; both are read in the wider one."""
    read = [chip.numerics.operand(by_name(name)).name for name in stored.split("*")]
    return max(read, key=element_bits)
