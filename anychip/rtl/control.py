"""Sequencer, queues and landings: who may start when.

The rules are the simulator's: instructions are issued in program order; a queue entry is freed when its
instruction finishes; an instruction starts when the engines it waits for have landed and finished enough;
a result lands a fixed latency after its instruction finished. A counter that changes at the end of a cycle
is seen in the next one, which is the cycle that the simulator names.
"""

# Amaranth gives components their ports at run time, where a type checker cannot see them.
# pyright: basic, reportAttributeAccessIssue=false, reportInconsistentConstructor=false
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOptionalMemberAccess=false, reportIndexIssue=false

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out, Signature

from anychip.rtl.encoding import COUNT_BITS, Encoding
from anychip.rtl.hardware import ENGINES
from anychip.rtl.verilog import PortedMemory, Units


def delayed(m: Module, value: Value, cycles: int) -> Value:
    """The value as it was that many cycles ago; 0 before."""
    for _ in range(cycles):
        stage = Signal(len(value))
        m.d.sync += stage.eq(value)
        value = stage
    return value


class Queue(Component):
    """The instructions of one engine, and the decision to start the oldest one.

    Ports:
        push, word: enters an instruction; only when `ready`.
        ready: there is room, or will be at the end of this cycle.
        landed_*, finished_*: counters of all engines.
        active: the oldest instruction executes in this cycle.
        begins: and did not in the last one.
        payload: what it is told.
        last: from the engine: this is its last cycle.

    Args:
        encoding: of the build.
        engine: whose payload it holds.
        depth: instructions that wait in or occupy the engine.
        units: where its memory is placed.
    """

    def __init__(self, encoding: Encoding, engine: str, depth: int, units: Units) -> None:
        self._encoding, self._depth, self._units = encoding, depth, units
        self._payload = encoding.payload(engine)
        counters = {name: In(COUNT_BITS) for name, _ in encoding.waits.widths}
        super().__init__(
            Signature(
                {
                    "push": In(1),
                    "word": In(encoding.waits.bits + self._payload.bits),
                    "ready": Out(1),
                    "active": Out(1),
                    "begins": Out(1),
                    "payload": Out(self._payload.bits),
                    "last": In(1),
                    **counters,
                }
            )
        )

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        waits, depth = self._encoding.waits, self._depth
        entries = PortedMemory(len(self.word), depth)
        head, tail, level = (
            Signal(range(max(2, depth))),
            Signal(range(max(2, depth))),
            Signal(range(depth + 1)),
        )
        oldest, running, met, leaves = Signal(len(self.word)), Signal(), Signal(), Signal()
        m.d.comb += [
            oldest.eq(entries.read(head)),
            met.eq(Cat(getattr(self, name) >= waits.read(oldest, name) for name, _ in waits.widths).all()),
            self.payload.eq(oldest[waits.bits :]),
            self.active.eq((level != 0) & (running | met)),
            self.begins.eq(self.active & ~running),
            leaves.eq(self.active & self.last),
            self.ready.eq((level < depth) | leaves),
        ]
        m.d.sync += [running.eq(self.active & ~self.last), level.eq(level + self.push - leaves)]
        with m.If(self.push):
            m.d.sync += tail.eq(Mux(tail == depth - 1, 0, tail + 1))
        with m.If(leaves):
            m.d.sync += head.eq(Mux(head == depth - 1, 0, head + 1))
        entries.write(self.push, tail, self.word)
        self._units.place_memory(m, entries)
        return m


class Landings(Component):
    """Counts what an engine finished and what landed.

    Ports:
        done: the engine is in the last cycle of an instruction.
        finished, landed: counters as other engines see them.

    Args:
        latency: cycles from finishing to landing.
    """

    def __init__(self, latency: int) -> None:
        self._latency = latency
        super().__init__(Signature({"done": In(1), "finished": Out(COUNT_BITS), "landed": Out(COUNT_BITS)}))

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        lands = delayed(m, self.done, self._latency)
        m.d.sync += [self.finished.eq(self.finished + self.done), self.landed.eq(self.landed + lands)]
        return m


class Sequencer(Component):
    """Issues instructions in program order.

    Ports:
        length: instructions in the program.
        position: number of the instruction that `word` must show.
        word: from program memory, in the same cycle.
        push_*: the word enters that engine's queue.
        ready_*: from the queues.
        issued_*: instructions so far, by engine.
        ended: everything has been issued.

    Args:
        encoding: of the build.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        ports = {
            "length": In(COUNT_BITS),
            "position": Out(COUNT_BITS),
            "word": In(encoding.instruction_bits),
            "ended": Out(1),
        }
        for engine in ENGINES:
            ports |= {f"push_{engine}": Out(1), f"ready_{engine}": In(1), f"issued_{engine}": Out(COUNT_BITS)}
        super().__init__(Signature(ports))

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        hardware = self._encoding.hardware
        first = hardware.launch_cycles + hardware.issue_cycles - 1
        gap = Signal(range(max(2, first + 1, hardware.issue_cycles)), init=first)
        pushed = Signal()
        pushes: Mapping[str, Value] = {engine: getattr(self, f"push_{engine}") for engine in ENGINES}
        m.d.comb += self.ended.eq(self.position == self.length)
        for number, engine in enumerate(ENGINES):
            chosen = (self.word[:2] == number) & ~self.ended & (gap == 0)
            m.d.comb += pushes[engine].eq(chosen & getattr(self, f"ready_{engine}"))
            issued = getattr(self, f"issued_{engine}")
            m.d.sync += issued.eq(issued + pushes[engine])
        m.d.comb += pushed.eq(Cat(*pushes.values()).any())
        with m.If(pushed):
            m.d.sync += [gap.eq(hardware.issue_cycles - 1), self.position.eq(self.position + 1)]
        with m.Elif(gap != 0):
            m.d.sync += gap.eq(gap - 1)
        return m
