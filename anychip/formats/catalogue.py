"""The formats by name."""

from __future__ import annotations

from dataclasses import replace

from anychip.errors import unknown_name
from anychip.formats.floating import Float
from anychip.formats.integer import Integer
from anychip.formats.scaled import PowerOfTwo, Scaled

Format = Float | Integer | Scaled

fp64 = Float("fp64", 11, 52)
fp32 = Float("fp32", 8, 23)
tf32 = Float("tf32", 8, 10)
bf16 = Float("bf16", 8, 7)
fp16 = Float("fp16", 5, 10)
#: OCP 8-bit floating point specification 1.0.
fp8_e4m3fn = Float("fp8_e4m3fn", 4, 3, specials="fn")
fp8_e5m2 = Float("fp8_e5m2", 5, 2)
fp8_e3m4 = Float("fp8_e3m4", 3, 4)
#: The format of Trainium1 and 2: infinity and NaN as in IEEE 754, largest value 240.
fp8_e4m3 = Float("fp8_e4m3", 4, 3)
#: Noune et al. 2022, as AMD and Graphcore build them.
fp8_e4m3fnuz = Float("fp8_e4m3fnuz", 4, 3, bias=8, specials="fnuz")
fp8_e5m2fnuz = Float("fp8_e5m2fnuz", 5, 2, bias=16, specials="fnuz")
#: Element formats of the OCP microscaling specification 1.0.
fp6_e2m3 = Float("fp6_e2m3", 2, 3, specials="none")
fp6_e3m2 = Float("fp6_e3m2", 3, 2, specials="none")
fp4_e2m1 = Float("fp4_e2m1", 2, 1, specials="none")

boolean = Integer("bool", 8, signed=False, limits=(0, 1))
int4 = Integer("int4", 4)
int8 = Integer("int8", 8)
int16 = Integer("int16", 16)
int32 = Integer("int32", 32)
int64 = Integer("int64", 64)
uint8 = Integer("uint8", 8, signed=False)
uint16 = Integer("uint16", 16, signed=False)
uint32 = Integer("uint32", 32, signed=False)

e8m0 = PowerOfTwo(8)
mxfp8_e4m3 = Scaled("mxfp8_e4m3", fp8_e4m3fn, 32)
mxfp8_e5m2 = Scaled("mxfp8_e5m2", fp8_e5m2, 32)
mxfp6_e2m3 = Scaled("mxfp6_e2m3", fp6_e2m3, 32)
mxfp6_e3m2 = Scaled("mxfp6_e3m2", fp6_e3m2, 32)
mxfp4 = Scaled("mxfp4", fp4_e2m1, 32)
mxint8 = Scaled("mxint8", int8, 32, element_exponent=-6)
nvfp4 = Scaled("nvfp4", fp4_e2m1, 16, scale=fp8_e4m3fn, scale_rule="amax", tensor_scaled=True)

_FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        *(fp64, fp32, tf32, bf16, fp16, fp8_e4m3fn, fp8_e5m2, fp8_e3m4, fp8_e4m3, fp8_e4m3fnuz),
        *(fp8_e5m2fnuz, fp6_e2m3, fp6_e3m2, fp4_e2m1),
        *(boolean, int4, int8, int16, int32, int64, uint8, uint16, uint32),
        *(mxfp8_e4m3, mxfp8_e5m2, mxfp6_e2m3, mxfp6_e3m2, mxfp4, mxint8, nvfp4),
    )
}
_FORMATS["mxfp8"] = replace(mxfp8_e4m3, name="mxfp8")


def block_floating_point(bits: int, block: int) -> Scaled:
    """Block floating point: signed `bits`-bit integers that share an 8-bit exponent.

    Example: ``block_floating_point(8, 16)`` is the "bfp8" of several inference chips.
    """
    top = (1 << (bits - 1)) - 1
    element = Integer(f"int{bits}", bits, limits=(-top, top))
    return Scaled(f"bfp{bits}_{block}", element, block)


def by_name(name: str) -> Format:
    """The format of that name.

    Raises:
        UnknownName: no such format; the message names the nearest.
    """
    if name not in _FORMATS:
        raise unknown_name("format", name, _FORMATS)
    return _FORMATS[name]


def names() -> tuple[str, ...]:
    """Every name that `by_name` knows."""
    return tuple(_FORMATS)
