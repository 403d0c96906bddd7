"""The chip file of a calibration: one Python file, read by people, run by ``--chip``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from anychip.facts import Fact
from anychip.products.calibrate.fitting import Machine
from anychip.profile.writing import write_text

_HEAD = '''"""{title}, measured on {day}.

{where}
"""

from anychip.chips.measured import measured_cpu
from anychip.facts import Fact, Source

_WHERE = {where!r}
_DAY = {day!r}


def _fact(value, unit, kind, how, low, high):
    return Fact(value, unit, Source(kind, f"{{how}}; {{_WHERE}}", _DAY), low, high)


chip = measured_cpu(
    name="this-machine",
    title={title!r},
    vendor={vendor!r},
    cores={threads},
    lanes={lanes},
    note={note!r},
    constants={{
'''


def text_of(machine: Machine, facts: Mapping[str, Fact], *, where: str, day: str, note: str = "") -> str:
    """The file's text.

    Args:
        machine: what the operating system says.
        facts: constants by name.
        where: command and machine; the sources of the facts end with it.
        day: ISO date.
        note: what a user must know.
    """
    head = _HEAD.format(
        title=machine.title, vendor=machine.vendor, threads=machine.threads, lanes=machine.lanes,
        where=where, day=day, note=note,
    )  # fmt: skip
    lines: list[str] = []
    for name, fact in facts.items():
        how = fact.source.where.removesuffix(f"; {where}")
        low, high = fact.range
        lines.append(
            f"        {name!r}: _fact({fact.value:.6g}, {fact.unit!r}, {fact.source.kind!r}, {how!r}, "
            f"{low:.6g}, {high:.6g}),\n"
        )
    return head + "".join(lines) + "    },\n)\n"


def write(path: Path, text: str) -> None:
    """Writes the file whole or not at all, its folder included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, [text])
