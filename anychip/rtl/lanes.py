"""The vector engine: lanes that run recipes as microcode, one operation a cycle.

A group of as many elements as there are lanes goes through all steps of the recipe before the next group.
Arguments are operands in the SRAM (the first one is the array's sums when draining), registers with the
results of earlier steps, or constants. Curves are tables of 65,536 entries: the argument rounded to bf16
is the address, the entry a bf16 number.
"""

# Amaranth gives components their ports at run time, where a type checker cannot see them.
# pyright: basic, reportAttributeAccessIssue=false, reportInconsistentConstructor=false
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOptionalMemberAccess=false, reportIndexIssue=false

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out, Signature

from anychip.rtl.control import delayed
from anychip.rtl.encoding import ARGUMENT_BITS, ARGUMENT_KINDS, EXTENT_BITS, LANE_OPERATIONS, Encoding
from anychip.rtl.floats import BF16, FP32, unpacked
from anychip.rtl.units import Add, Compare, Divide, Multiply, Round
from anychip.rtl.verilog import PortedMemory, Units

TABLE_ENTRIES = 1 << 16
ONE = 0x3F800000
ARGUMENTS = ("first", "second", "third")


class Vector(Component):
    """Lanes with their registers, microcode, constants and tables.

    Ports:
        active, payload, last: as its queue and landings need them.
        host_*: writes of microcode (1), constants (2) and tables (3), between programs.
        sum_*_*: the array's sums.
        address_*_*, data_*_*: SRAM reads, by lane and argument, in the same cycle.
        write_*, result_*, word_*: into the SRAM, by lane.

    Args:
        encoding: of the build.
        units: where arithmetic units are placed.
    """

    def __init__(self, encoding: Encoding, units: Units) -> None:
        self._encoding, self._units = encoding, units
        hardware = encoding.hardware
        ports = {
            "active": In(1),
            "payload": In(encoding.vector.bits),
            "last": Out(1),
            "host_target": In(2),
            "host_address": In(24),
            "host_data": In(64),
        }
        for i in range(hardware.rows):
            ports |= {f"sum_{i}_{j}": In(32) for j in range(hardware.columns)}
        for lane in range(hardware.lanes):
            for argument in range(len(ARGUMENTS)):
                ports |= {
                    f"address_{lane}_{argument}": Out(encoding.sram_bits),
                    f"data_{lane}_{argument}": In(32),
                }
            ports |= {
                f"write_{lane}": Out(1),
                f"result_{lane}": Out(encoding.sram_bits),
                f"word_{lane}": Out(32),
            }
        super().__init__(Signature(ports))

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        hardware, fields = self._encoding.hardware, self._encoding.vector
        elements = fields.read(self.payload, "elements")
        step, offset = Signal(8), Signal(EXTENT_BITS)
        group_ends = Signal()
        m.d.comb += [
            group_ends.eq(step + 1 == fields.read(self.payload, "steps")),
            self.last.eq(self.active & group_ends & (offset + hardware.lanes >= elements)),
        ]
        with m.If(self.active):
            m.d.sync += step.eq(Mux(group_ends, 0, step + 1))
            with m.If(group_ends):
                m.d.sync += offset.eq(Mux(self.last, 0, offset + hardware.lanes))
        code, constants = self._microcode(m, fields.read(self.payload, "code") + step)
        tables = self._tables(m)
        sums = self._sums(m, group_ends)
        for lane in range(hardware.lanes):
            self._lane(
                m, lane, code, constants, tables[lane], sums[lane], step, offset + lane < elements, offset
            )
        return m

    def _microcode(self, m: Module, at: Value) -> tuple[Mapping[str, Value], list[Value]]:
        """The step's fields, and the constants that its arguments would mean."""
        limits, fields = self._encoding.hardware.limits, self._encoding.microcode
        steps = PortedMemory(fields.bits, limits.microcode)
        numbers = PortedMemory(32, limits.constants)
        for target, memory in ((1, steps), (2, numbers)):
            memory.write(self.host_target == target, self.host_address, self.host_data)
        word = steps.read(at)
        code = {name: fields.read(word, name) for name, _ in fields.widths}
        constants: list[Value] = [numbers.read(code[argument][2:]) for argument in ARGUMENTS]
        self._units.place_memory(m, steps)
        self._units.place_memory(m, numbers)
        return code, constants

    def _tables(self, m: Module) -> list[tuple[Signal, Value]]:
        """(address, entry) of the tables for each lane."""
        hardware = self._encoding.hardware
        tables = PortedMemory(16, hardware.limits.tables * TABLE_ENTRIES)
        tables.write(self.host_target == 3, self.host_address, self.host_data)
        found: list[tuple[Signal, Value]] = []
        for _ in range(hardware.lanes):
            address = Signal(range(tables.depth))
            found.append((address, tables.read(address)))
        self._units.place_memory(m, tables)
        return found

    def _sums(self, m: Module, group_ends: Value) -> list[Value]:
        """The array's sum for each lane's element when draining row by row."""
        hardware, fields = self._encoding.hardware, self._encoding.vector
        columns = fields.read(self.payload, "columns")
        cells = Array(
            Array(getattr(self, f"sum_{i}_{j}") for j in range(hardware.columns))
            for i in range(hardware.rows)
        )
        row, column = Signal(8), Signal(8)
        at: tuple[Value, Value] = (row, column)
        sums: list[Value] = []
        for _ in range(hardware.lanes):
            sums.append(cells[at[0]][at[1]])
            next_row, next_column, wraps = Signal(8), Signal(8), Signal()
            m.d.comb += [
                wraps.eq(at[1] + 1 == columns),
                next_column.eq(Mux(wraps, 0, at[1] + 1)),
                next_row.eq(at[0] + wraps),
            ]
            at = (next_row, next_column)
        with m.If(self.active & group_ends):
            m.d.sync += [row.eq(Mux(self.last, 0, at[0])), column.eq(Mux(self.last, 0, at[1]))]
        return sums

    def _lane(
        self,
        m: Module,
        lane: int,
        code: Mapping[str, Value],
        constants: list[Value],
        table: tuple[Signal, Value],
        total: Value,
        step: Value,
        inside: Value,
        offset: Value,
    ) -> None:
        """One lane: fetch three arguments, perform the step, keep its value, emit it if it is a result."""
        hardware, fields = self._encoding.hardware, self._encoding.vector
        registers = PortedMemory(32, hardware.limits.registers)
        inputs = Array(fields.read(self.payload, f"input{i}") for i in range(hardware.limits.inputs))
        drain = fields.read(self.payload, "drain")
        arguments: list[Value] = []
        for number, argument in enumerate(ARGUMENTS):
            kind, index = code[argument][:2], code[argument][2:ARGUMENT_BITS]
            register = registers.read(index)
            stored = Mux(drain & (index == 0), total, getattr(self, f"data_{lane}_{number}"))
            value = Signal(32, name=f"{argument}{lane}")
            m.d.comb += getattr(self, f"address_{lane}_{number}").eq(inputs[index] + offset + lane)
            with m.Switch(kind):
                with m.Case(ARGUMENT_KINDS.index("input")):
                    m.d.comb += value.eq(stored)
                with m.Case(ARGUMENT_KINDS.index("register")):
                    m.d.comb += value.eq(register)
                with m.Default():
                    m.d.comb += value.eq(constants[number])
            arguments.append(value)
        value = self._performed(m, lane, code["operation"], arguments, table, code["third"][2:])
        registers.write(self.active, step, value)
        self._units.place_memory(m, registers)
        self._emit(m, lane, code["emit"], value, inside, offset)

    def _performed(
        self,
        m: Module,
        lane: int,
        operation: Value,
        arguments: list[Value],
        table: tuple[Signal, Value],
        table_number: Value,
    ) -> Value:
        """The value of a lane operation."""
        units = self._units
        x, y, z = arguments
        left, right = x, y
        minus = operation == LANE_OPERATIONS.index("sub")
        if self._encoding.hardware.mutant == "swapped operand":
            swapped = minus | (operation == LANE_OPERATIONS.index("div"))
            left, right = Mux(swapped, y, x), Mux(swapped, x, y)
        summed = units.place(m, "add_fp32", Add, x=left, y=Cat(right[:31], right[31] ^ minus))["z"]
        product = units.place(m, "multiply_fp32", Multiply, x=x, y=y)["z"]
        quotient = units.place(m, "divide_fp32", Divide, x=left, y=right)["z"]
        order = units.place(m, "compare_fp32", Compare, x=x, y=y)
        code = units.place(m, "round_bf16", lambda: Round(BF16), x=x)["z"]
        m.d.comb += table[0].eq(Cat(code, table_number))
        less, equal = order["less"], order["equal"]
        unordered = unpacked(m, FP32, x).nan | unpacked(m, FP32, y).nan

        def truth(condition: Value) -> Value:
            return Mux(condition, Const(ONE, 32), 0)

        values = {
            "copy": x,
            "add": summed,
            "sub": summed,
            "mul": product,
            "div": quotient,
            "neg": Cat(x[:31], ~x[31]),
            "abs": x[:31],
            "maximum": order["largest"],
            "minimum": order["smallest"],
            "eq": truth(equal),
            "ne": truth(~equal),
            "lt": truth(less),
            "le": truth(less | equal),
            "gt": truth(~less & ~equal & ~unordered),
            "ge": truth(~less & ~unordered),
            "select": Mux(x[:31].any(), y, z),
            "isnan": truth(unpacked(m, FP32, x).nan),
            "curve": Cat(Const(0, 16), table[1]),
        }
        value = Signal(32, name=f"value{lane}")
        with m.Switch(operation):
            for number, name in enumerate(LANE_OPERATIONS):
                with m.Case(number):
                    m.d.comb += value.eq(values[name])
        return value

    def _emit(self, m: Module, lane: int, emit: Value, value: Value, inside: Value, offset: Value) -> None:
        """A result on its way to the SRAM, rounded once into its stored format."""
        hardware, fields = self._encoding.hardware, self._encoding.vector
        rounded = self._units.place(m, "round_bf16", lambda: Round(BF16), x=value)["z"]
        if hardware.mutant == "store truncates":
            rounded = value[16:]
        word = Mux(fields.read(self.payload, "narrow"), Cat(Const(0, 16), rounded), value)
        targets = Array(fields.read(self.payload, f"result{i}") for i in range(hardware.limits.results))
        bits = self._encoding.sram_bits
        address = (targets[emit - 1] + offset + lane)[:bits]
        taken = self.active & (emit != 0) & inside
        arrives = delayed(m, Cat(taken, address, word), hardware.vector_latency_cycles)
        m.d.comb += [
            getattr(self, f"write_{lane}").eq(arrives[0]),
            getattr(self, f"result_{lane}").eq(arrives[1 : 1 + bits]),
            getattr(self, f"word_{lane}").eq(arrives[1 + bits :]),
        ]
