"""From Amaranth to Verilog, with every arithmetic unit written out once.

Amaranth writes a submodule as often as it is placed. `place` puts a unit as an instance of a named
module instead, so that an array of 256 multiply-adds is one module and 256 instances of it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Instance, Module, Signal, Value
from amaranth.lib.wiring import Component, Flow

from anychip.errors import InvalidDescription, MissingTool


@dataclass(frozen=True, slots=True)
class Port:
    """One port of a module.

    Args:
        name: as in the Verilog.
        bits: width.
        output: True if the module drives it.
    """

    name: str
    bits: int
    output: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A module as Verilog text.

    Args:
        name: of the module.
        ports: without clock and reset, which are called ``clk`` and ``rst``.
        text: the Verilog.
        units: modules that it places and that are written out separately.
    """

    name: str
    ports: tuple[Port, ...]
    text: str
    units: tuple[Source, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over this text and that of every unit."""
        hasher = hashlib.sha256(self.text.encode())
        for unit in self.units:
            hasher.update(unit.digest.encode())
        return hasher.hexdigest()

    @property
    def whole(self) -> str:
        """One Verilog file with the units first: what synthesis reads."""
        return "\n".join([unit.text for unit in self.units] + [self.text])


class Units:
    """The units that a design places, one module for equal ones.

    Args:
        replaced: module name to the unit to write under that name; how a test plants a defect.
    """

    def __init__(self, replaced: dict[str, Component] | None = None) -> None:
        self._replaced = replaced or {}
        self._units: dict[str, Component] = {}

    def place(self, m: Module, name: str, unit: Component, **operands: Value) -> dict[str, Signal]:
        """Put one more instance of `unit` into `m`.

        Args:
            m: the module it goes into.
            name: of the unit's Verilog module; equal names must mean equal units.
            unit: combinational component.
            **operands: a value for every input.

        Returns:
            A signal for every output, by name.
        """
        ports = module_ports(unit)
        missing = {port.name for port in ports if not port.output} ^ operands.keys()
        if missing:
            raise InvalidDescription(f"rtl: unit {name}: operands {', '.join(sorted(missing))} do not match")
        self._units.setdefault(name, self._replaced.get(name, unit))
        outputs = {port.name: Signal(port.bits, name=f"{name}_{port.name}") for port in ports if port.output}
        connections: dict[str, Value] = {f"i_{key}": value for key, value in operands.items()}
        connections |= {f"o_{key}": value for key, value in outputs.items()}
        m.submodules += Instance(name, **connections)  # pyright: ignore[reportArgumentType]
        return outputs

    def sources(self) -> tuple[Source, ...]:
        """Every unit placed so far, as Verilog."""
        return tuple(write(unit, name) for name, unit in sorted(self._units.items()))


def module_ports(component: Component) -> tuple[Port, ...]:
    """The plain ports of a component, by name."""
    ports: list[Port] = []
    for path, member, value in component.signature.flatten(component):
        bits = len(Value.cast(value))
        ports.append(Port("_".join(map(str, path)), bits, member.flow == Flow.Out))
    return tuple(sorted(ports, key=lambda port: port.name))


def write(component: Component, name: str, units: Units | None = None) -> Source:
    """Elaborate a component and write its Verilog.

    Args:
        component: what to write.
        name: of the module.
        units: the collection that the component places its units through, None if it places none.

    Raises:
        MissingTool: without pyosys.
    """
    if importlib.util.find_spec("pyosys") is None:
        raise MissingTool(
            "rtl: writing Verilog needs the Python package pyosys, which is not installed; "
            "install anychip with its extra: pip install 'anychip[rtl]'"
        )
    signals = [Value.cast(value) for _, _, value in component.signature.flatten(component)]
    text = rtlil.convert(component, name=name, ports=signals, emit_src=False)
    collected = units.sources() if units is not None else ()
    return Source(name, module_ports(component), _through_yosys(text, name), collected)


def _through_yosys(text: str, name: str) -> str:
    """RTLIL to Verilog; the comment that names the tool's version is left out of the text."""
    from pyosys import libyosys  # pyright: ignore[reportAttributeAccessIssue]

    with tempfile.TemporaryDirectory(prefix="anychip-") as folder:
        source, target = Path(folder, "in.il"), Path(folder, "out.v")
        source.write_text(text)
        design = libyosys.Design()
        with _SilencedOutput():
            for command in (f"read_rtlil {source}", "opt_clean", f"write_verilog -noattr {target}"):
                libyosys.run_pass(f"tee -q {command}", design)
        lines = target.read_text().splitlines()
    body = [line for line in lines if not line.startswith("/* Generated by")]
    return "\n".join([f"// {name}: written by anychip", *body]) + "\n"


class _SilencedOutput:
    """Yosys prints to the process's standard output, past Python; send that away for a moment."""

    def __enter__(self) -> None:
        self._kept = os.dup(1)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def __exit__(self, *error: object) -> None:
        os.dup2(self._kept, 1)
        os.close(self._kept)
