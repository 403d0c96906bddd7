"""``anychip calibrate --device cuda``: the GPU of this machine as its chip of the catalogue, measured."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from rich.console import Console

from anychip.chips import Chip, by_name, find, this_machine
from anychip.errors import InvalidInput, UnknownName
from anychip.frontends.torch.calibration.gpu import MeasuredGpu
from anychip.products.calibrate import chip_file

_FILE = '''"""{title}, measured on {day}."""

from anychip.chips import by_name
from anychip.chips.measured_gpu import measured_gpu
from anychip.facts import Fact, Source

_SOURCE = Source("measured", {where!r}, {day!r})

chip = measured_gpu(
    by_name({base!r}),
    name="this-machine",
    note={note!r},
    constants={{
{constants}    }},
)
'''


def calibrate_cuda(output: str | None) -> int:
    """Measures the first CUDA GPU and saves it as ``this``.

    Raises:
        InvalidInput: there is none, or the catalogue lacks its chip.
    """
    from anychip.frontends.torch.calibration.gpu import device_name
    from anychip.frontends.torch.calibration.gpu import measured_gpu as measured

    name = device_name()
    base = catalogue_chip(name)
    found = measured(name)
    text = text_of(found, base, date.today().isoformat())
    for path in (this_machine.saved_path(), *([Path(output)] if output else [])):
        chip_file.write(path, text)
    chip = find(str(this_machine.saved_path()))
    console = Console(highlight=False)
    console.print(f"{name}, described as {chip.title}")
    for key, (value, unit) in constants_of(found).items():
        console.print(f"  {key:<24}{value:.4g} {unit}")
    console.print(f"written to {this_machine.saved_path()}" + (f" and {output}" if output else ""))
    return 0


def catalogue_chip(name: str) -> Chip:
    """The chip of the catalogue that a driver's name means.

    >>> catalogue_chip("Tesla T4").name
    't4'

    Raises:
        InvalidInput: none.
    """
    words = re.split(r"[\s-]+", name)
    sized = [f"{word}-{size}" for word in words for size in words if size.casefold().endswith("gb")]
    for word in ("-".join(words[1:]), *sized, *(f"{word[:-2]}" for word in sized), *words):
        try:
            chip = by_name(word)
        except UnknownName:
            continue
        if chip.kind == "gpu":
            return chip
    raise InvalidInput(
        f'--device cuda: no chip of the catalogue is called "{name}"; `anychip chips` lists all'
    )


def constants_of(found: MeasuredGpu) -> dict[str, tuple[float, str]]:
    """Constants of the chip with their units."""
    constants = {
        "dram_bytes_per_second": (found.bytes_per_second, "byte/s"),
        "dispatch_s": (found.launch_s, "s"),
    }
    return constants | {f"products.{form}": (rate, "mac/s") for form, rate in found.macs_per_second.items()}


def text_of(found: MeasuredGpu, base: Chip, day: str) -> str:
    """The chip file's text."""
    where = f"anychip calibrate --device cuda, {found.name}"
    constants = "".join(
        f"        {key!r}: Fact({value:.6g}, {unit!r}, _SOURCE),\n"
        for key, (value, unit) in constants_of(found).items()
    )
    note = "launches, main memory and large products measured; the rest as in the catalogue"
    return _FILE.format(
        title=found.name, day=day, where=where, base=base.name, note=note, constants=constants
    )
