"""basecamp as hardware: sequencer, queues, array, lanes, DMA, SRAM.

Program memory and main memory are outside, behind ports that answer in the same cycle; microcode,
constants and tables are loaded through ports. One build runs every program for its parameters.
"""

# Amaranth gives components their ports at run time, where a type checker cannot see them.
# pyright: basic, reportAttributeAccessIssue=false, reportInconsistentConstructor=false
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOptionalMemberAccess=false, reportIndexIssue=false

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out, Signature

from anychip.rtl.array import OuterProduct
from anychip.rtl.control import Landings, Queue, Sequencer
from anychip.rtl.encoding import COUNT_BITS, MAIN_BITS, Encoding
from anychip.rtl.hardware import ENGINES, Hardware
from anychip.rtl.lanes import ARGUMENTS, Vector
from anychip.rtl.transfer import Load, Store
from anychip.rtl.verilator import kept_text
from anychip.rtl.verilog import PortedMemory, Source, Units, require_pyosys, source_of_json, write

QUEUE_CHANGE = {"short queue": -1, "long queue": 1}


class Basecamp(Component):
    """The whole chip.

    Ports:
        length, position, instruction: program memory.
        host_target, host_address, host_data: microcode (1), constants (2), tables (3).
        read_*, address_*, data_*, wide: main memory, reading.
        store_*, store_wide_*, store_address_*, store_data_*: main memory, writing.
        sum_*_*: the array's running sums, to be watched.
        landed_*: how many instructions of each engine have landed.
        cycles: since reset, until `done`.
        done: everything issued has landed.

    Args:
        hardware: parameters.
        units: where arithmetic units are placed.
    """

    def __init__(self, hardware: Hardware, units: Units) -> None:
        self.hardware, self._units = hardware, units
        self._encoding = encoding = Encoding(hardware)
        ports = {
            "length": In(COUNT_BITS),
            "position": Out(COUNT_BITS),
            "instruction": In(encoding.instruction_bits),
            "host_target": In(2),
            "host_address": In(24),
            "host_data": In(64),
            "wide": Out(1),
            "cycles": Out(32),
            "done": Out(1),
        }
        for i in range(hardware.elements_per_cycle):
            ports |= {
                f"read_{i}": Out(1),
                f"address_{i}": Out(MAIN_BITS),
                f"data_{i}": In(32),
                f"store_{i}": Out(1),
                f"store_wide_{i}": Out(1),
                f"store_address_{i}": Out(MAIN_BITS),
                f"store_data_{i}": Out(32),
            }
        for i in range(hardware.rows):
            ports |= {f"sum_{i}_{j}": Out(32) for j in range(hardware.columns)}
        ports |= {f"landed_{engine}": Out(COUNT_BITS) for engine in ENGINES}
        super().__init__(Signature(ports))

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        encoding = self._encoding
        engines = {
            "matrix": OuterProduct(encoding, self._units),
            "vector": Vector(encoding, self._units),
            "load": Load(encoding),
            "store": Store(encoding),
        }
        self._control(m, engines)
        sram = PortedMemory(32, self.hardware.sram_words)
        self._sram_reads(m, sram, engines)
        self._sram_writes(sram, engines)
        self._units.place_memory(m, sram)
        self._outside(m, engines)
        return m

    def _control(self, m: Module, engines: dict[str, Component]) -> None:
        """Sequencer, queues and landings around the engines."""
        hardware, encoding = self.hardware, self._encoding
        m.submodules.sequencer = sequencer = Sequencer(encoding)
        latencies = {
            "matrix": hardware.fill_cycles,
            "vector": hardware.vector_latency_cycles,
            "load": hardware.load_latency_cycles,
            "store": hardware.store_latency_cycles,
        }
        m.d.comb += [
            sequencer.length.eq(self.length),
            self.position.eq(sequencer.position),
            sequencer.word.eq(self.instruction),
        ]
        landings: dict[str, Landings] = {}
        queues: dict[str, Queue] = {}
        for number, (name, engine) in enumerate(engines.items()):
            depth = hardware.queue_depths[number] + QUEUE_CHANGE.get(hardware.mutant, 0)
            queues[name] = queue = Queue(encoding, name, max(1, depth), self._units)
            latency = latencies[name] - (hardware.mutant == "early landing")
            landings[name] = landing = Landings(max(0, latency))
            m.submodules[name] = engine
            m.submodules[f"{name}_queue"] = queue
            m.submodules[f"{name}_landings"] = landing
            m.d.comb += [
                queue.push.eq(getattr(sequencer, f"push_{name}")),
                queue.word.eq(sequencer.word[2:]),
                getattr(sequencer, f"ready_{name}").eq(queue.ready),
                engine.active.eq(queue.active),
                engine.payload.eq(queue.payload),
                queue.last.eq(engine.last),
                landing.done.eq(queue.begins if hardware.mutant == "early release" else engine.last),
                getattr(self, f"landed_{name}").eq(landing.landed),
            ]
        for queue in queues.values():
            for name, landing in landings.items():
                m.d.comb += [
                    getattr(queue, f"landed_{name}").eq(landing.landed),
                    getattr(queue, f"finished_{name}").eq(landing.finished),
                ]
        all_landed = [landings[n].landed == getattr(sequencer, f"issued_{n}") for n in engines]
        m.d.comb += self.done.eq(sequencer.ended & Cat(all_landed).all())
        with m.If(~self.done):
            m.d.sync += self.cycles.eq(self.cycles + 1)

    def _sram_reads(self, m: Module, sram: PortedMemory, engines: dict[str, Component]) -> None:
        hardware = self.hardware
        matrix, vector, store = engines["matrix"], engines["vector"], engines["store"]
        reads: list[tuple[Value, Value]] = []
        reads += [(getattr(matrix, f"left_{i}"), getattr(matrix, f"a_{i}")) for i in range(hardware.rows)]
        reads += [(getattr(matrix, f"right_{j}"), getattr(matrix, f"b_{j}")) for j in range(hardware.columns)]
        reads += [
            (getattr(vector, f"address_{lane}_{n}"), getattr(vector, f"data_{lane}_{n}"))
            for lane in range(hardware.lanes)
            for n in range(len(ARGUMENTS))
        ]
        reads += [
            (getattr(store, f"local_{i}"), getattr(store, f"word_{i}"))
            for i in range(hardware.elements_per_cycle)
        ]
        for address, data in reads:
            m.d.comb += data.eq(sram.read(address))

    def _sram_writes(self, sram: PortedMemory, engines: dict[str, Component]) -> None:
        hardware = self.hardware
        load, vector = engines["load"], engines["vector"]
        writes: list[tuple[Value, Value, Value]] = []
        for i in range(hardware.elements_per_cycle):
            writes.append(tuple(getattr(load, f"{name}_{i}") for name in ("write", "local", "word")))
        for lane in range(hardware.lanes):
            writes.append(tuple(getattr(vector, f"{name}_{lane}") for name in ("write", "result", "word")))
        for enable, address, data in writes:
            sram.write(enable, address, data)

    def _outside(self, m: Module, engines: dict[str, Component]) -> None:
        """Ports of the chip."""
        matrix, vector, load, store = (engines[name] for name in ENGINES)
        m.d.comb += [
            vector.host_target.eq(self.host_target),
            vector.host_address.eq(self.host_address),
            vector.host_data.eq(self.host_data),
            self.wide.eq(load.wide),
        ]
        for i in range(self.hardware.elements_per_cycle):
            m.d.comb += [
                getattr(self, f"read_{i}").eq(getattr(load, f"read_{i}")),
                getattr(self, f"address_{i}").eq(getattr(load, f"address_{i}")),
                getattr(load, f"data_{i}").eq(getattr(self, f"data_{i}")),
                getattr(self, f"store_{i}").eq(getattr(store, f"write_{i}")),
                getattr(self, f"store_wide_{i}").eq(getattr(store, f"wide_{i}")),
                getattr(self, f"store_address_{i}").eq(getattr(store, f"address_{i}")),
                getattr(self, f"store_data_{i}").eq(getattr(store, f"data_{i}")),
            ]
        for i in range(self.hardware.rows):
            for j in range(self.hardware.columns):
                cell: Signal = getattr(matrix, f"sum_{i}_{j}")
                m.d.comb += [
                    getattr(self, f"sum_{i}_{j}").eq(cell),
                    getattr(vector, f"sum_{i}_{j}").eq(cell),
                ]


def basecamp_verilog(hardware: Hardware) -> Source:
    """The chip's Verilog, its arithmetic units apart; kept from run to run.

    Raises:
        MissingTool: without pyosys.
    """
    require_pyosys()

    def make() -> str:
        units = Units()
        return write(Basecamp(hardware, units), "basecamp", units).json

    key = f"{hardware!r} {_generator_digest()}"
    return source_of_json(kept_text(key, "basecamp", make))


@cache
def _generator_digest() -> str:
    """Of everything that could change the Verilog: this room's sources and the tools behind it."""
    hasher = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        hasher.update(path.read_bytes())
    for package in ("amaranth", "pyosys"):
        hasher.update(version(package).encode())
    return hasher.hexdigest()
