"""The matrix engine: an outer-product array with one running sum per cell."""

# Amaranth gives components their ports at run time, where a type checker cannot see them.
# pyright: basic, reportAttributeAccessIssue=false, reportInconsistentConstructor=false
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOptionalMemberAccess=false, reportIndexIssue=false

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out, Signature

from anychip.rtl.control import delayed
from anychip.rtl.encoding import EXTENT_BITS, SIDE_BITS, Encoding
from anychip.rtl.floats import BF16, SOUND, Defect
from anychip.rtl.units import MultiplyAdd, Round
from anychip.rtl.verilog import Units

#: Mutants of the hardware that are defects of its multiply-add.
DEFECTS = {
    "ties away": Defect(ties_away=True),
    "no sticky": Defect(no_sticky=True),
    "flush subnormals": Defect(flush_subnormals=True),
}


class OuterProduct(Component):
    """Every cycle takes one column of the left tile and one row of the right and adds their products.

    Operands are cast to bf16 as they leave the SRAM (exact where they are stored so). A fresh tile starts
    from +0.

    Ports:
        active, payload, last: as its queue and landings need them.
        left_*, right_*: SRAM addresses; a_*, b_*: their words, in the same cycle.
        sum_*_*: the running sums.

    Args:
        encoding: of the build.
        units: where arithmetic units are placed.
    """

    def __init__(self, encoding: Encoding, units: Units) -> None:
        self._encoding, self._units = encoding, units
        hardware = encoding.hardware
        ports = {"active": In(1), "payload": In(encoding.matrix.bits), "last": Out(1)}
        for i in range(hardware.rows):
            ports |= {f"left_{i}": Out(encoding.sram_bits), f"a_{i}": In(32)}
        for j in range(hardware.columns):
            ports |= {f"right_{j}": Out(encoding.sram_bits), f"b_{j}": In(32)}
        for i in range(hardware.rows):
            ports |= {f"sum_{i}_{j}": Out(32) for j in range(hardware.columns)}
        super().__init__(Signature(ports))

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        hardware, fields = self._encoding.hardware, self._encoding.matrix
        k = fields.read(self.payload, "k")
        step, taken = Signal(EXTENT_BITS), Signal(EXTENT_BITS)
        m.d.comb += [
            self.last.eq(self.active & (step + 1 == k)),
            taken.eq(k - 1 - step if hardware.mutant == "sum order" else step),
        ]
        with m.If(self.active):
            m.d.sync += step.eq(Mux(self.last, 0, step + 1))
        first = fields.read(self.payload, "fresh") & (step == 0)
        control = delayed(
            m,
            Cat(self.active, first, fields.read(self.payload, "m"), fields.read(self.payload, "n")),
            hardware.fill_cycles,
        )
        active, fresh = control[0], control[1]
        rows, columns = control[2 : 2 + SIDE_BITS], control[2 + SIDE_BITS :]
        left = [self._operand(m, "left", "a", i, taken, k) for i in range(hardware.rows)]
        right = [self._operand(m, "right", "b", j, taken, k) for j in range(hardware.columns)]
        defect = DEFECTS.get(hardware.mutant, SOUND)
        for i in range(hardware.rows):
            for j in range(hardware.columns):
                total = getattr(self, f"sum_{i}_{j}")
                start = Mux(fresh, Const(0, 32), total)
                placed = self._units.place(
                    m,
                    "multiply_add_bf16",
                    lambda: MultiplyAdd(BF16, defect=defect),
                    a=left[i],
                    b=right[j],
                    c=start,
                )
                result = placed["result"]
                with m.If(active & (i < rows) & (j < columns)):
                    m.d.sync += total.eq(result)
        return m

    def _operand(self, m: Module, side: str, word: str, number: int, step: Signal, k: Signal) -> Value:
        """Row `number` of a tile at this step: read, cast, and carried to the cells."""
        base = self._encoding.matrix.read(self.payload, word)
        address = base + step + sum((k for _ in range(number)), Const(0, 1))
        m.d.comb += getattr(self, f"{side}_{number}").eq(address)
        stored = getattr(self, f"{word}_{number}")
        cast = self._units.place(m, "round_bf16", lambda: Round(BF16), x=stored)["z"]
        return delayed(m, cast, self._encoding.hardware.fill_cycles)
