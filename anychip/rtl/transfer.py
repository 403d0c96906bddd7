"""DMA: runs of elements between main memory and the SRAM, so many bytes a cycle.

The SRAM holds one element a word, in the lanes' format (fp32): a load widens, which is exact, and a store
writes the upper half of a word that the vector unit has already rounded.
"""

# Amaranth gives components their ports at run time, where a type checker cannot see them.
# pyright: basic, reportAttributeAccessIssue=false, reportInconsistentConstructor=false
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOptionalMemberAccess=false, reportIndexIssue=false

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out, Signature

from anychip.rtl.control import delayed
from anychip.rtl.encoding import EXTENT_BITS, MAIN_BITS, Encoding


class Walk(Component):
    """Addresses of a transfer, several a cycle.

    Nested counters walk main memory, the first dimension fastest, from a position that may lie in the
    middle. In every cycle so many bytes pass; an element passes with its last byte.

    Ports:
        active, payload: of the transfer that executes.
        last: this cycle passes the last byte.
        taken_*: element number * of this cycle passes.
        main_*, local_*: its byte address in main memory and its word in the SRAM.

    Args:
        encoding: of the build.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        ports = {"active": In(1), "payload": In(encoding.transfer.bits), "last": Out(1)}
        for i in range(encoding.hardware.elements_per_cycle):
            ports |= {
                f"taken_{i}": Out(1),
                f"main_{i}": Out(MAIN_BITS),
                f"local_{i}": Out(encoding.sram_bits),
            }
        super().__init__(Signature(ports))

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        hardware, transfer = self._encoding.hardware, self._encoding.transfer
        running = Signal()
        sent, next_sent = Signal(EXTENT_BITS), Signal(EXTENT_BITS)
        wide, size = transfer.read(self.payload, "wide"), transfer.read(self.payload, "bytes")
        passed = Signal(EXTENT_BITS + 1)
        first, after = Signal(EXTENT_BITS), Signal(EXTENT_BITS)
        m.d.comb += [
            passed.eq(sent + hardware.bytes_per_cycle),
            next_sent.eq(Mux(passed >= size, size, passed)),
            self.last.eq(self.active & (passed >= size)),
            first.eq(Mux(wide, sent >> 2, sent >> 1)),
            after.eq(Mux(wide, next_sent >> 2, next_sent >> 1)),
        ]
        with m.If(self.active):
            m.d.sync += [sent.eq(Mux(self.last, 0, next_sent)), running.eq(~self.last)]
        states = self._states(m, running)
        local = transfer.read(self.payload, "local")
        base = transfer.read(self.payload, "base")
        for i in range(hardware.elements_per_cycle):
            offsets = states[i][1]
            m.d.comb += [
                getattr(self, f"taken_{i}").eq(self.active & (first + i < after)),
                getattr(self, f"main_{i}").eq(base + sum(offsets, Const(0, MAIN_BITS))),
                getattr(self, f"local_{i}").eq(local + first + i),
            ]
        count = Signal(range(hardware.elements_per_cycle + 1))
        m.d.comb += count.eq(after - first)
        with m.If(self.active):
            for kept, ends in zip(self._kept, zip(*(p + o for p, o in states), strict=True), strict=True):
                m.d.sync += kept.eq(Array(ends)[count])
        return m

    def _states(self, m: Module, running: Value) -> list[tuple[list[Value], list[Value]]]:
        """(positions, offsets) before each element of this cycle, and after the last one."""
        transfer = self._encoding.transfer
        dimensions = range(self._encoding.hardware.limits.dimensions)
        extents = [transfer.read(self.payload, f"extent{d}") for d in dimensions]
        strides = [transfer.read(self.payload, f"stride{d}") for d in dimensions]
        positions: list[Value] = []
        offsets: list[Value] = []
        self._kept = [Signal(EXTENT_BITS, name=f"position{d}") for d in dimensions]
        self._kept += [Signal(MAIN_BITS, name=f"offset{d}") for d in dimensions]
        for d in dimensions:
            position, offset = Signal(EXTENT_BITS), Signal(MAIN_BITS)
            given = transfer.read(self.payload, f"position{d}"), transfer.read(self.payload, f"offset{d}")
            m.d.comb += [
                position.eq(Mux(running, self._kept[d], given[0])),
                offset.eq(Mux(running, self._kept[len(dimensions) + d], given[1])),
            ]
            positions.append(position)
            offsets.append(offset)
        states = [(positions, offsets)]
        for _ in range(self._encoding.hardware.elements_per_cycle):
            carry: Value = Const(1)
            next_positions: list[Value] = []
            next_offsets: list[Value] = []
            for d in dimensions:
                wraps, position, offset = Signal(), Signal(EXTENT_BITS), Signal(MAIN_BITS)
                m.d.comb += [
                    wraps.eq(carry & (positions[d] + 1 == extents[d])),
                    position.eq(Mux(wraps, 0, positions[d] + carry)),
                    offset.eq(Mux(wraps, 0, offsets[d] + Mux(carry, strides[d], 0))),
                ]
                next_positions.append(position)
                next_offsets.append(offset)
                carry = wraps
            positions, offsets = next_positions, next_offsets
            states.append((positions, offsets))
        return states


class Load(Component):
    """From main memory into the SRAM.

    Ports:
        active, payload, last: as its queue and landings need them.
        read_*, address_*, data_*: elements of main memory, answered in the same cycle; the link's latency
            follows.
        wide: elements are 4 bytes, not 2.
        write_*, local_*, word_*: into the SRAM.

    Args:
        encoding: of the build.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        ports = {
            "active": In(1),
            "payload": In(encoding.transfer.bits),
            "last": Out(1),
            "wide": Out(1),
        }
        for i in range(encoding.hardware.elements_per_cycle):
            ports |= {
                f"read_{i}": Out(1),
                f"address_{i}": Out(MAIN_BITS),
                f"data_{i}": In(32),
                f"write_{i}": Out(1),
                f"local_{i}": Out(encoding.sram_bits),
                f"word_{i}": Out(32),
            }
        super().__init__(Signature(ports))

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        m.submodules.walk = walk = Walk(self._encoding)
        wide = self._encoding.transfer.read(self.payload, "wide")
        m.d.comb += [
            walk.active.eq(self.active),
            walk.payload.eq(self.payload),
            self.last.eq(walk.last),
            self.wide.eq(wide),
        ]
        bits = self._encoding.sram_bits
        for i in range(self._encoding.hardware.elements_per_cycle):
            taken, data = getattr(walk, f"taken_{i}"), getattr(self, f"data_{i}")
            m.d.comb += [
                getattr(self, f"read_{i}").eq(taken),
                getattr(self, f"address_{i}").eq(getattr(walk, f"main_{i}")),
            ]
            word = Mux(wide, data, Cat(Const(0, 16), data[:16]))
            bundle = Cat(taken, getattr(walk, f"local_{i}"), word)
            arrives = delayed(m, bundle, self._encoding.hardware.load_latency_cycles)
            m.d.comb += [
                getattr(self, f"write_{i}").eq(arrives[0]),
                getattr(self, f"local_{i}").eq(arrives[1 : 1 + bits]),
                getattr(self, f"word_{i}").eq(arrives[1 + bits :]),
            ]
        return m


class Store(Component):
    """From the SRAM into main memory.

    Ports:
        active, payload, last: as its queue and landings need them.
        local_*, word_*: from the SRAM, in the same cycle.
        write_*, wide_*, address_*, data_*: into main memory.

    Args:
        encoding: of the build.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        ports = {"active": In(1), "payload": In(encoding.transfer.bits), "last": Out(1)}
        for i in range(encoding.hardware.elements_per_cycle):
            ports |= {
                f"local_{i}": Out(encoding.sram_bits),
                f"word_{i}": In(32),
                f"write_{i}": Out(1),
                f"wide_{i}": Out(1),
                f"address_{i}": Out(MAIN_BITS),
                f"data_{i}": Out(32),
            }
        super().__init__(Signature(ports))

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        m.submodules.walk = walk = Walk(self._encoding)
        wide = self._encoding.transfer.read(self.payload, "wide")
        m.d.comb += [
            walk.active.eq(self.active),
            walk.payload.eq(self.payload),
            self.last.eq(walk.last),
        ]
        for i in range(self._encoding.hardware.elements_per_cycle):
            word = getattr(self, f"word_{i}")
            m.d.comb += getattr(self, f"local_{i}").eq(getattr(walk, f"local_{i}"))
            data = Mux(wide, word, Cat(word[16:], Const(0, 16)))
            bundle = Cat(getattr(walk, f"taken_{i}"), wide, getattr(walk, f"main_{i}"), data)
            arrives = delayed(m, bundle, self._encoding.hardware.store_latency_cycles)
            m.d.comb += [
                getattr(self, f"write_{i}").eq(arrives[0]),
                getattr(self, f"wide_{i}").eq(arrives[1]),
                getattr(self, f"address_{i}").eq(arrives[2 : 2 + MAIN_BITS]),
                getattr(self, f"data_{i}").eq(arrives[2 + MAIN_BITS :]),
            ]
        return m
