"""Floating point in gates: unpack, multiply, add, round once.

Combinational building pieces, written against an Amaranth module. A number travels between them as an
`Unrounded`: sign, exponent and a significand wide enough that nothing that could change a rounding has
been dropped (what falls off is kept as one sticky bit). Only `packed` rounds.

Conventions, the same in every block:

* subnormals are numbers, as operands and as results;
* a NaN result is the format's canonical one (fp32 ``0x7fc00000``, bf16 ``0x7fc0``, e4m3fn ``0x7f``);
* an exact zero from operands of unlike sign is +0;
* round to nearest, ties to even; or stochastic, where the random bits are an operand.
"""

# Amaranth gives components their ports at run time, where a type checker cannot see them.
# pyright: basic, reportAttributeAccessIssue=false, reportInconsistentConstructor=false
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOptionalMemberAccess=false, reportIndexIssue=false

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from anychip.errors import InvalidDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where a small binary float keeps its fields.

    Args:
        name: of the format, as `anychip.formats` calls it.
        exponent_bits: width of the biased exponent.
        mantissa_bits: explicit bits of the significand.
        infinities: True if the highest exponent is reserved for infinities and NaN, as in IEEE 754;
            False if it holds numbers and only the all-ones code is NaN (e4m3fn).
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    infinities: bool = True

    @property
    def bits(self) -> int:
        """Width of a code."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def bias(self) -> int:
        """What is added to the exponent of a normal number."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def lowest_exponent(self) -> int:
        """Exponent of the smallest normal number; subnormals share it."""
        return 1 - self.bias

    @property
    def highest_exponent(self) -> int:
        """Exponent of the largest finite number."""
        return (1 << self.exponent_bits) - 1 - self.bias - (1 if self.infinities else 0)

    @property
    def overflow_code(self) -> int:
        """Magnitude code just past the largest finite one: infinity, or NaN where there is none."""
        ones = (1 << self.exponent_bits) - 1
        return ones << self.mantissa_bits | (0 if self.infinities else (1 << self.mantissa_bits) - 1)

    @property
    def nan_code(self) -> int:
        """The canonical NaN: positive, quiet."""
        return self.overflow_code | (1 << (self.mantissa_bits - 1) if self.infinities else 0)


FP32 = Layout(name="fp32", exponent_bits=8, mantissa_bits=23)
BF16 = Layout(name="bf16", exponent_bits=8, mantissa_bits=7)
FP16 = Layout(name="fp16", exponent_bits=5, mantissa_bits=10)
FP8_E5M2 = Layout(name="fp8_e5m2", exponent_bits=5, mantissa_bits=2)
FP8_E4M3FN = Layout(name="fp8_e4m3fn", exponent_bits=4, mantissa_bits=3, infinities=False)

LAYOUTS = {layout.name: layout for layout in (FP32, BF16, FP16, FP8_E5M2, FP8_E4M3FN)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrounded:
    """A number between operations.

    Its magnitude is ``significand * 2 ** (exponent - len(significand) + 1)``: the top bit weighs
    ``2 ** exponent``. The top bit may be 0.

    Args:
        negative: sign.
        exponent: signed weight of the top bit.
        significand: unsigned; where bits were dropped, its lowest bit says that one of them was 1.
        nan: it is not a number, whatever the other fields say.
        infinite: it is an infinity.
        lowest: no value of `exponent` is below this.
    """

    negative: Value
    exponent: Value
    significand: Value
    nan: Value
    infinite: Value
    lowest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A deliberate mistake, so that a test can show that it would have been seen.

    Args:
        ties_away: ties go away from zero instead of to even.
        no_sticky: bits that fall off below the guard bit are forgotten.
        flush_subnormals: a subnormal operand counts as zero.
        no_guard: the sum keeps no guard bits below the larger operand.
    """

    ties_away: bool = False
    no_sticky: bool = False
    flush_subnormals: bool = False
    no_guard: bool = False


SOUND = Defect()


def unpacked(m: Module, layout: Layout, code: Value, *, defect: Defect = SOUND) -> Unrounded:
    """Read a code; a subnormal keeps the lowest exponent and a top bit of 0."""
    mantissa = code[: layout.mantissa_bits]
    field = code[layout.mantissa_bits : layout.bits - 1]
    ones = field.all()
    exponent = Signal(signed(layout.exponent_bits + 2))
    m.d.comb += exponent.eq(Mux(field.any(), field, 1) - layout.bias)
    if layout.infinities:
        nan, infinite = ones & mantissa.any(), ones & ~mantissa.any()
    else:
        nan, infinite = ones & mantissa.all(), Const(0)
    significand = Signal(layout.mantissa_bits + 1)
    m.d.comb += significand.eq(Cat(mantissa, field.any()))
    if defect.flush_subnormals:
        m.d.comb += significand.eq(Mux(field.any(), Cat(mantissa, 1), 0))
    return Unrounded(
        negative=code[-1],
        exponent=exponent,
        significand=significand,
        nan=nan,
        infinite=infinite,
        lowest=layout.lowest_exponent,
    )


def normalised(m: Module, number: Unrounded, *, lowest: int | None = None) -> Unrounded:
    """Shift leading zeros out, but keep the exponent at or above `lowest` (None: no limit).

    Zero keeps a significand of 0 and an exponent without meaning.
    """
    significand, exponent = number.significand, number.exponent
    width = len(significand)
    floor = number.lowest - width + 1 if lowest is None else lowest
    exponent_shape = signed(_signed_bits(min(floor, number.lowest), exponent))
    step = 1 << (width - 1).bit_length()
    while step := step >> 1:
        if step >= width:
            continue
        shifted = ~significand[width - step :].any()
        if lowest is not None:
            shifted = shifted & (exponent - step >= lowest)
        next_significand, next_exponent = Signal(width), Signal(exponent_shape)
        m.d.comb += [
            next_significand.eq(Mux(shifted, significand << step, significand)),
            next_exponent.eq(Mux(shifted, exponent - step, exponent)),
        ]
        significand, exponent = next_significand, next_exponent
    return Unrounded(
        negative=number.negative,
        exponent=exponent,
        significand=significand,
        nan=number.nan,
        infinite=number.infinite,
        lowest=min(floor, number.lowest),
    )


def product(m: Module, a: Unrounded, b: Unrounded) -> Unrounded:
    """The exact product. Subnormal factors are normalised first, so its top two bits are not both 0
    unless it is zero."""
    a, b = normalised(m, a), normalised(m, b)
    width = len(a.significand) + len(b.significand)
    lowest = a.lowest + b.lowest + 1
    significand = Signal(width)
    exponent = Signal(signed(_signed_bits(lowest, a.exponent, b.exponent)))
    m.d.comb += [
        significand.eq(a.significand * b.significand),
        exponent.eq(a.exponent + b.exponent + 1),
    ]
    infinite, nan = Signal(), Signal()
    m.d.comb += [
        infinite.eq(a.infinite | b.infinite),
        nan.eq(a.nan | b.nan | (a.infinite & ~b.significand.any()) | (b.infinite & ~a.significand.any())),
    ]
    return Unrounded(
        negative=a.negative ^ b.negative,
        exponent=exponent,
        significand=significand,
        nan=nan,
        infinite=infinite,
        lowest=lowest,
    )


def quotient(m: Module, a: Unrounded, b: Unrounded) -> Unrounded:
    """The quotient, cut two bits below the precision of the operands, with a sticky bit below that."""
    a, b = normalised(m, a), normalised(m, b)
    width = len(a.significand)
    digits = width + 2
    rest: Value = a.significand
    bits: list[Value] = []
    for _ in range(digits):
        fits, following = Signal(), Signal(width + 1)
        m.d.comb += [
            fits.eq(rest >= b.significand),
            following.eq(Mux(fits, rest - b.significand, rest) << 1),
        ]
        bits.append(fits)
        rest = following
    zero, infinite, nan = Signal(), Signal(), Signal()
    a_zero, b_zero = ~a.significand.any(), ~b.significand.any()
    lowest = a.lowest - b.lowest - (1 << len(b.exponent))
    exponent = Signal(signed(_signed_bits(lowest, a.exponent, b.exponent)))
    significand = Signal(digits + 1)
    m.d.comb += [
        zero.eq(a_zero | b.infinite),
        infinite.eq(a.infinite | b_zero),
        nan.eq(a.nan | b.nan | (a_zero & b_zero) | (a.infinite & b.infinite)),
        exponent.eq(Mux(zero, lowest, a.exponent - b.exponent)),
        significand.eq(Mux(zero, 0, Cat(rest.any(), *reversed(bits)))),
    ]
    return Unrounded(
        negative=a.negative ^ b.negative,
        exponent=exponent,
        significand=significand,
        nan=nan,
        infinite=infinite,
        lowest=lowest,
    )


def total(m: Module, a: Unrounded, b: Unrounded, *, defect: Defect = SOUND) -> Unrounded:
    """The sum, exact but for one sticky bit below three guard bits.

    Right to round to any precision up to the wider operand's, provided that an operand whose top two
    bits are 0 is a subnormal of the result's format (nothing is rounded below its last bit) or zero. A
    zero counts with the lowest exponent, so that it never shifts its partner away.
    """
    guard = 0 if defect.no_guard else 3
    kept = max(len(a.significand), len(b.significand)) + guard
    width = kept + 1  # and sticky
    floor = min(a.lowest, b.lowest)
    a_exponent, b_exponent = (Mux(x.significand.any(), x.exponent, floor) for x in (a, b))
    swap = Signal()
    m.d.comb += swap.eq(b_exponent > a_exponent)
    exponent_bits = max(len(a_exponent), len(b_exponent)) + 1
    large, small = Signal(width), Signal(width)
    exponent, distance = Signal(signed(exponent_bits)), Signal(exponent_bits)
    a_wide = Cat(Const(0, width - len(a.significand)), a.significand)
    b_wide = Cat(Const(0, width - len(b.significand)), b.significand)
    m.d.comb += [
        large.eq(Mux(swap, b_wide, a_wide)),
        small.eq(Mux(swap, a_wide, b_wide)),
        exponent.eq(Mux(swap, b_exponent, a_exponent)),
        distance.eq(Mux(swap, b_exponent - a_exponent, a_exponent - b_exponent)),
    ]
    aligned = shifted_right(m, small, distance, defect=defect)
    subtract, flip = Signal(), Signal()
    difference = Signal(signed(width + 2))
    magnitude = Signal(width + 1)
    m.d.comb += [
        subtract.eq(a.negative ^ b.negative),
        difference.eq(Mux(subtract, large - aligned, large + aligned)),
        flip.eq(difference < 0),
        magnitude.eq(Mux(flip, -difference, difference)),
    ]
    negative, nan = Signal(), Signal()
    leading = Mux(swap, b.negative, a.negative)
    m.d.comb += nan.eq(a.nan | b.nan | (a.infinite & b.infinite & subtract))
    with m.If(a.infinite | b.infinite):
        m.d.comb += negative.eq(Mux(a.infinite, a.negative, b.negative))
    with m.Elif(magnitude.any()):
        m.d.comb += negative.eq(leading ^ flip)
    with m.Else():
        m.d.comb += negative.eq(a.negative & b.negative)
    raised = Signal(signed(exponent_bits + 1))
    m.d.comb += raised.eq(exponent + 1)
    return Unrounded(
        negative=negative,
        exponent=raised,
        significand=magnitude,
        nan=nan,
        infinite=a.infinite | b.infinite,
        lowest=floor + 1,
    )


def shifted_right(m: Module, value: Value, distance: Value, *, defect: Defect = SOUND) -> Value:
    """`value` shifted towards its low end; the lowest bit also says if a 1 fell off."""
    width = len(value)
    stages = (width - 1).bit_length()
    for stage in range(stages):
        step = 1 << stage
        lost = value[:step].any() if not defect.no_sticky else Const(0)
        following = Signal(width)
        rest = value[step:] if step < width else Const(0, 1)
        m.d.comb += following.eq(Mux(distance[stage], Cat(rest[0] | lost, rest[1:]), value))
        value = following
    far = Signal()
    m.d.comb += far.eq(distance[stages:].any() if len(distance) > stages else 0)
    result = Signal(width)
    lost_all = value.any() if not defect.no_sticky else Const(0)
    m.d.comb += result.eq(Mux(far, lost_all, value))
    return result


def packed(
    m: Module,
    layout: Layout,
    number: Unrounded,
    *,
    random: Value | None = None,
    stochastic: Value | None = None,
    saturate: bool = False,
    defect: Defect = SOUND,
) -> Value:
    """Round once into `layout` and write the code.

    Args:
        m: module that gets the gates.
        layout: destination.
        number: what to round.
        random: random bits, for stochastic rounding: the fraction of a last place, cut to as many
            bits, rounds up when its sum with `random` carries.
        stochastic: 1 rounds stochastically, 0 to nearest even; only with `random`.
        saturate: finite numbers past the range become the largest finite one instead of infinity (or
            NaN where there is none); an infinity stays what overflow gives without `saturate`.
        defect: a deliberate mistake.
    """
    precision = layout.mantissa_bits + 1
    random_bits = 0 if random is None else len(random)
    width = max(len(number.significand), precision + max(2, random_bits + 1))
    wide = Cat(Const(0, width - len(number.significand)), number.significand)
    exponent, lowest = number.exponent, number.lowest
    if number.lowest < layout.lowest_exponent:
        below = Signal()
        distance = Signal(len(exponent) + 1)
        clamped = Signal(exponent.shape())
        m.d.comb += [
            below.eq(exponent < layout.lowest_exponent),
            distance.eq(Mux(below, layout.lowest_exponent - exponent, 0)),
            clamped.eq(Mux(below, layout.lowest_exponent, exponent)),
        ]
        wide = shifted_right(m, wide, distance, defect=defect)
        exponent, lowest = clamped, layout.lowest_exponent
    placed = normalised(
        m,
        Unrounded(
            negative=number.negative,
            exponent=exponent,
            significand=wide,
            nan=number.nan,
            infinite=number.infinite,
            lowest=lowest,
        ),
        lowest=layout.lowest_exponent,
    )
    top = placed.significand[-1]
    fraction = placed.significand[: width - precision]
    half, rest = fraction[-1], fraction[:-1]
    last = placed.significand[width - precision]
    up = Signal()
    tie_up = Const(1) if defect.ties_away else last
    m.d.comb += up.eq(half & (tie_up | rest.any()))
    if random is not None:
        carry = (fraction[len(fraction) - random_bits :] + random)[random_bits]
        m.d.comb += up.eq(
            Mux(Const(1) if stochastic is None else stochastic, carry, half & (tie_up | rest.any()))
        )
    field = Signal(max(len(placed.exponent), layout.exponent_bits) + 1)
    magnitude = Signal(len(field) + layout.mantissa_bits + 1)
    m.d.comb += [
        field.eq(Mux(top, placed.exponent - (layout.lowest_exponent - 1), 0)),
        magnitude.eq(Cat(placed.significand[width - precision : -1], field) + up),
    ]
    result = Signal(layout.bits)
    limit = layout.overflow_code
    past = limit - 1 if saturate else limit
    with m.If(number.nan):
        m.d.comb += result.eq(layout.nan_code)
    with m.Elif(number.infinite):
        m.d.comb += result.eq(Cat(Const(limit, layout.bits - 1), _sign(layout, number, limit)))
    with m.Elif(magnitude >= limit):
        m.d.comb += result.eq(Cat(Const(past, layout.bits - 1), _sign(layout, number, past)))
    with m.Else():
        m.d.comb += result.eq(Cat(magnitude[: layout.bits - 1], number.negative))
    return result


def _sign(layout: Layout, number: Unrounded, magnitude: int) -> Value:
    """A NaN that stands for an overflow is canonical: its sign is plus."""
    return Const(0, 1) if magnitude == layout.nan_code else number.negative


def _signed_bits(lowest: int, *exponents: Value) -> int:
    """Width of a signed number that holds `lowest` and the sum of `exponents` plus one."""
    most = sum(1 << (len(exponent) - 1) for exponent in exponents) + 1
    return max(most, -lowest).bit_length() + 1


def layout_of(name: str) -> Layout:
    """The layout of a format that the arithmetic blocks can be built for.

    Raises:
        InvalidDescription: if there is none.
    """
    if name not in LAYOUTS:
        raise InvalidDescription(
            f'rtl: no floating-point block for format "{name}"; there are {", ".join(LAYOUTS)}'
        )
    return LAYOUTS[name]
