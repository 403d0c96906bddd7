"""Arithmetic units: one floating-point operation each, combinational, with one rounding.

A unit says nothing about pipelines: whoever places it decides where the registers go. The ports' names
are the operands' names in the lane operation that the unit performs.
"""

# Amaranth gives components their ports at run time, where a type checker cannot see them.
# pyright: basic, reportAttributeAccessIssue=false, reportInconsistentConstructor=false
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOptionalMemberAccess=false, reportIndexIssue=false

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out, Signature

from anychip.rtl.floats import FP32, SOUND, Defect, Layout, packed, product, quotient, total, unpacked


class Add(Component):
    """``z = round(x + y)``, all in one format.

    Args:
        layout: of the operands and the result.
        defect: a deliberate mistake.
    """

    def __init__(self, layout: Layout = FP32, *, defect: Defect = SOUND) -> None:
        self.layout, self.defect = layout, defect
        bits = layout.bits
        super().__init__(Signature({"x": In(bits), "y": In(bits), "z": Out(bits)}))

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        x = unpacked(m, self.layout, self.x, defect=self.defect)
        y = unpacked(m, self.layout, self.y, defect=self.defect)
        summed = total(m, x, y, defect=self.defect)
        m.d.comb += self.z.eq(packed(m, self.layout, summed, defect=self.defect))
        return m


class Multiply(Component):
    """``z = round(x * y)``, all in one format.

    Args:
        layout: of the operands and the result.
        defect: a deliberate mistake.
    """

    def __init__(self, layout: Layout = FP32, *, defect: Defect = SOUND) -> None:
        self.layout, self.defect = layout, defect
        bits = layout.bits
        super().__init__(Signature({"x": In(bits), "y": In(bits), "z": Out(bits)}))

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        x = unpacked(m, self.layout, self.x, defect=self.defect)
        y = unpacked(m, self.layout, self.y, defect=self.defect)
        m.d.comb += self.z.eq(packed(m, self.layout, product(m, x, y), defect=self.defect))
        return m


class Divide(Component):
    """``z = round(x / y)``, all in one format: restoring division, one quotient bit a row of gates.

    Args:
        layout: of the operands and the result.
        defect: a deliberate mistake.
    """

    def __init__(self, layout: Layout = FP32, *, defect: Defect = SOUND) -> None:
        self.layout, self.defect = layout, defect
        bits = layout.bits
        super().__init__(Signature({"x": In(bits), "y": In(bits), "z": Out(bits)}))

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        x = unpacked(m, self.layout, self.x, defect=self.defect)
        y = unpacked(m, self.layout, self.y, defect=self.defect)
        m.d.comb += self.z.eq(packed(m, self.layout, quotient(m, x, y), defect=self.defect))
        return m


class MultiplyAdd(Component):
    """``result = round(a * b + c)``: exact product, one rounding (a fused multiply-add).

    Args:
        operand: format of `a` and `b`.
        accumulator: format of `c` and of the result; its exponents and precision cover the operand's.
        defect: a deliberate mistake.
    """

    def __init__(self, operand: Layout, accumulator: Layout = FP32, *, defect: Defect = SOUND) -> None:
        self.operand, self.accumulator, self.defect = operand, accumulator, defect
        super().__init__(
            Signature(
                {
                    "a": In(operand.bits),
                    "b": In(operand.bits),
                    "c": In(accumulator.bits),
                    "result": Out(accumulator.bits),
                }
            )
        )

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        a = unpacked(m, self.operand, self.a, defect=self.defect)
        b = unpacked(m, self.operand, self.b, defect=self.defect)
        c = unpacked(m, self.accumulator, self.c, defect=self.defect)
        summed = total(m, product(m, a, b), c, defect=self.defect)
        m.d.comb += self.result.eq(packed(m, self.accumulator, summed, defect=self.defect))
        return m


class Round(Component):
    """``z = x`` in a narrower format: to nearest even, or stochastically with given random bits.

    Stochastic rounding adds `random` to the fraction of a last place, cut to as many bits, and rounds
    up if that carries; zero bits truncate. Past the range it follows the same rule as rounding to
    nearest: infinity, or NaN where the format has none, or the largest finite number if `saturate`.

    Args:
        target: format of the result.
        source: format of the operand.
        random_bits: width of the random operand; 0 leaves stochastic rounding out.
        saturate: clamp instead of overflowing.
        defect: a deliberate mistake.
    """

    def __init__(
        self,
        target: Layout,
        source: Layout = FP32,
        *,
        random_bits: int = 0,
        saturate: bool = False,
        defect: Defect = SOUND,
    ) -> None:
        self.target, self.source = target, source
        self.random_bits, self.saturate, self.defect = random_bits, saturate, defect
        ports = {"x": In(source.bits), "z": Out(target.bits)}
        if random_bits:
            ports |= {"random": In(random_bits), "stochastic": In(1)}
        super().__init__(Signature(ports))

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        x = unpacked(m, self.source, self.x, defect=self.defect)
        chance = {"random": self.random, "stochastic": self.stochastic} if self.random_bits else {}
        code = packed(m, self.target, x, saturate=self.saturate, defect=self.defect, **chance)
        m.d.comb += self.z.eq(code)
        return m


class Widen(Component):
    """``z = x`` in a wider format: exact; a NaN becomes the canonical one.

    Args:
        source: format of the operand.
        target: format of the result, which holds every value of `source`.
    """

    def __init__(self, source: Layout, target: Layout = FP32) -> None:
        self.source, self.target = source, target
        super().__init__(Signature({"x": In(source.bits), "z": Out(target.bits)}))

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        m.d.comb += self.z.eq(packed(m, self.target, unpacked(m, self.source, self.x)))
        return m


class Compare(Component):
    """Order of two numbers of one format, and the larger and the smaller of them.

    ``less`` and ``equal`` are IEEE 754 comparisons (false for NaN, zeros are equal). ``largest`` and
    ``smallest`` are IEEE 754-2019 maximum and minimum: a NaN operand gives NaN, and -0 is below +0.

    Args:
        layout: of the operands and results.
    """

    def __init__(self, layout: Layout = FP32) -> None:
        self.layout = layout
        bits = layout.bits
        super().__init__(
            Signature(
                {
                    "x": In(bits),
                    "y": In(bits),
                    "less": Out(1),
                    "equal": Out(1),
                    "largest": Out(bits),
                    "smallest": Out(bits),
                }
            )
        )

    def elaborate(self, platform: object) -> Module:
        """The gates."""
        m = Module()
        layout, x, y = self.layout, self.x, self.y
        nan = unpacked(m, layout, x).nan | unpacked(m, layout, y).nan
        zeros = Signal()
        below = Signal()  # x < y in the total order of sign and magnitude
        x_key, y_key = (Cat(code[:-1] ^ code[-1].replicate(layout.bits - 1), ~code[-1]) for code in (x, y))
        m.d.comb += [
            zeros.eq(~x[:-1].any() & ~y[:-1].any()),
            below.eq(x_key < y_key),
            self.less.eq(below & ~zeros & ~nan),
            self.equal.eq(((x == y) | zeros) & ~nan),
            self.largest.eq(Mux(nan, layout.nan_code, Mux(below, y, x))),
            self.smallest.eq(Mux(nan, layout.nan_code, Mux(below, x, y))),
        ]
        return m
