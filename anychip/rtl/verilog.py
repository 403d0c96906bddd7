"""From Amaranth to Verilog, with every arithmetic unit written out once.

Amaranth writes a submodule as often as it is placed. `place` puts a unit as an instance of a named
module instead, so that an array of 256 multiply-adds is one module and 256 instances of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value
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
    def json(self) -> str:
        """Everything as JSON; `source_of_json` reads it."""
        return json.dumps(dataclasses.asdict(self))

    @property
    def whole(self) -> str:
        """One Verilog file with the units first: what synthesis reads."""
        return "\n".join([unit.text for unit in self.units] + [self.text])


def source_of_json(text: str) -> Source:
    """What `Source.json` wrote."""

    def rebuilt(fields: dict[str, Any]) -> Source:
        ports = tuple(Port(**port) for port in fields["ports"])
        return Source(fields["name"], ports, fields["text"], tuple(map(rebuilt, fields["units"])))

    return rebuilt(json.loads(text))


class Units:
    """The units and memories that a design places, one module for equal ones."""

    def __init__(self) -> None:
        self._units: dict[str, Component] = {}
        self._memories: dict[str, str] = {}

    def place(
        self, m: Module, name: str, make: Callable[[], Component], **operands: Value
    ) -> dict[str, Signal]:
        """Put one more instance of a combinational unit into `m`.

        Args:
            m: the module it goes into.
            name: of the unit's Verilog module; equal names must mean equal units.
            make: builds the unit; called once for a name.
            **operands: a value for every input.

        Returns:
            A signal for every output, by name.
        """
        if name not in self._units:
            self._units[name] = make()
        ports = module_ports(self._units[name])
        odd = {port.name for port in ports if not port.output} ^ operands.keys()
        if odd:
            raise InvalidDescription(f"rtl: unit {name}: operands {', '.join(sorted(odd))} do not match")
        outputs = {port.name: Signal(port.bits, name=f"{name}_{port.name}") for port in ports if port.output}
        connections: dict[str, Value] = {f"i_{key}": value for key, value in operands.items()}
        connections |= {f"o_{key}": value for key, value in outputs.items()}
        m.submodules += Instance(name, **connections)  # pyright: ignore[reportArgumentType]
        return outputs

    def place_memory(self, m: Module, memory: PortedMemory) -> None:
        """Put a memory into `m`, with the ports that it has been given."""
        self._memories[memory.module] = memory.text
        m.submodules += Instance(memory.module, i_clk=ClockSignal(), **memory.connections)

    @property
    def memories(self) -> str:
        """Verilog of the memories placed so far."""
        return "".join(text for _, text in sorted(self._memories.items()))

    def sources(self) -> tuple[Source, ...]:
        """Every unit placed so far, as Verilog."""
        return tuple(write(unit, name) for name, unit in sorted(self._units.items()))


class PortedMemory:
    """Words that any number of ports read in the same cycle and write at its end.

    Nothing is initialised: what a program reads before writing is garbage, as in a real SRAM. (Amaranth's
    own memory writes an initial value for every word, which makes Verilog of hundreds of thousands of
    lines.)

    Args:
        width: bits of a word.
        depth: words.
    """

    def __init__(self, width: int, depth: int) -> None:
        self.width, self.depth = width, depth
        self._reads: list[tuple[Value, Signal]] = []
        self._writes: list[tuple[Value, Value, Value]] = []

    def read(self, address: Value) -> Signal:
        """One more read port; the word at the address."""
        data = Signal(self.width)
        self._reads.append((address, data))
        return data

    def write(self, enable: Value, address: Value, data: Value) -> None:
        """One more write port."""
        self._writes.append((enable, address, data))

    @property
    def module(self) -> str:
        """Name of the Verilog module: equal memories share one."""
        return f"memory_{self.width}x{self.depth}_{len(self._reads)}r{len(self._writes)}w"

    @property
    def _address_bits(self) -> int:
        return max(1, (self.depth - 1).bit_length())

    @property
    def connections(self) -> dict[str, Any]:
        """Arguments of the instance."""
        bits = self._address_bits
        found: dict[str, Any] = {}
        for i, (address, data) in enumerate(self._reads):
            found |= {f"i_read_address_{i}": _fitted(address, bits), f"o_read_data_{i}": data}
        for i, (enable, address, data) in enumerate(self._writes):
            found |= {
                f"i_write_{i}": enable,
                f"i_write_address_{i}": _fitted(address, bits),
                f"i_write_data_{i}": _fitted(data, self.width),
            }
        return found

    @property
    def text(self) -> str:
        """The Verilog module."""
        address, word = f"[{self._address_bits - 1}:0]", f"[{self.width - 1}:0]"
        ports = ["input wire clk"]
        for i in range(len(self._reads)):
            ports += [f"input wire {address} read_address_{i}", f"output wire {word} read_data_{i}"]
        for i in range(len(self._writes)):
            ports += [
                f"input wire write_{i}",
                f"input wire {address} write_address_{i}",
                f"input wire {word} write_data_{i}",
            ]
        reads = "".join(
            f"  assign read_data_{i} = words[read_address_{i}];\n" for i in range(len(self._reads))
        )
        writes = "".join(
            f"    if (write_{i}) words[write_address_{i}] <= write_data_{i};\n"
            for i in range(len(self._writes))
        )
        return (
            f"module {self.module}({', '.join(ports)});\n  reg {word} words [0:{self.depth - 1}];\n{reads}"
            f"  always @(posedge clk) begin\n{writes}  end\nendmodule\n"
        )


def _fitted(value: Value, bits: int) -> Any:
    """The value's low bits, or the value with zeros above, in exactly so many bits."""
    value = Value.cast(value)
    return value[:bits] if len(value) >= bits else Cat(value, Const(0, bits - len(value)))


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
    require_pyosys()
    signals = [Value.cast(value) for _, _, value in component.signature.flatten(component)]
    text = rtlil.convert(component, name=name, ports=signals, emit_src=False)
    verilog = _through_yosys(text, name)
    if units is None:
        return Source(name, module_ports(component), verilog)
    return Source(name, module_ports(component), verilog + units.memories, units.sources())


def require_pyosys() -> None:
    """Raise one clear message if Verilog cannot be written here.

    Raises:
        MissingTool: without pyosys.
    """
    if importlib.util.find_spec("pyosys") is None:
        raise MissingTool(
            "rtl: writing Verilog needs the Python package pyosys, which is not installed; "
            "install anychip with its extra: pip install 'anychip[rtl]'"
        )


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
