"""Rounding: which of two neighbours a value becomes.

A closed union of the six deterministic directions and stochastic rounding, which carries its random bits
and therefore cannot be asked for without them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

from anychip.errors import InvalidDescription, unknown_name

Direction = Literal["nearest-even", "nearest-away", "toward-zero", "up", "down", "to-odd", "stochastic"]
Generator = Literal["philox4x32-10", "philox4x32-7", "lfsr", "xorwow"]
GENERATORS: tuple[Generator, ...] = get_args(Generator)


@dataclass(frozen=True, slots=True)
class Rounding:
    """How a value between two representable neighbours is rounded.

    Use the constants (``Rounding.NEAREST_EVEN``) and `Rounding.stochastic`; `Rounding.by_name` reads
    what a command line says.

    Args:
        direction: name of the rule. ``"to-odd"`` keeps an exact value and otherwise takes the
            neighbour whose code is odd, so that a second rounding to a narrower format is innocuous.
    """

    direction: Direction = "nearest-even"

    NEAREST_EVEN: ClassVar[Rounding]
    NEAREST_AWAY: ClassVar[Rounding]
    TOWARD_ZERO: ClassVar[Rounding]
    UP: ClassVar[Rounding]
    DOWN: ClassVar[Rounding]
    TO_ODD: ClassVar[Rounding]

    def __post_init__(self) -> None:
        if self.direction not in get_args(Direction):
            raise unknown_name("rounding", self.direction, get_args(Direction))
        if self.direction == "stochastic" and not isinstance(self, Stochastic):
            raise InvalidDescription(
                "rounding stochastic: no random bits given; use Rounding.stochastic(seed=...)"
            )

    @staticmethod
    def stochastic(
        *,
        seed: int,
        bits: int | None = None,
        generator: Generator = "philox4x32-10",
        step: int = 0,
        tensor: int = 0,
        element: int = 0,
    ) -> Stochastic:
        """Rounds up with a probability equal to the discarded fraction; see `Stochastic`."""
        return Stochastic(
            direction="stochastic",
            seed=seed,
            bits=bits,
            generator=generator,
            step=step,
            tensor=tensor,
            element=element,
        )

    @staticmethod
    def by_name(name: str, *, seed: int | None = None) -> Rounding:
        """The rounding of that name; ``"stochastic"`` needs `seed`.

        Raises:
            UnknownName: no such rounding.
            InvalidDescription: stochastic without a seed.
        """
        if name == "stochastic":
            if seed is None:
                raise InvalidDescription("rounding stochastic: no seed given; say --seed N")
            return Rounding.stochastic(seed=seed)
        if name not in get_args(Direction):
            raise unknown_name("rounding", name, get_args(Direction))
        return Rounding(name)  # type: ignore[arg-type]  # checked above


def rounding_of(rounding: Rounding | str) -> Rounding:
    """A rounding, or the one of that name.

    Raises:
        UnknownName: no such rounding.
        InvalidDescription: ``"stochastic"`` by name alone, or neither a rounding nor a name.
    """
    if isinstance(rounding, Rounding):
        return rounding
    if not isinstance(rounding, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this
        raise InvalidDescription(
            f'rounding {rounding!r}: not a rounding; give a name such as "nearest-even" or a Rounding'
        )
    return Rounding(rounding)  # type: ignore[arg-type]  # checked there


@dataclass(frozen=True, slots=True)
class Stochastic(Rounding):
    """Stochastic rounding with every random bit specified.

    An element whose discarded part is the fraction `f` of the gap to its next neighbour away from zero is
    rounded away from zero when ``floor(f * 2**n) + r >= 2**n``, where `r` are the `n` random bits of that
    element. Thus ``P(away) = floor(f * 2**n) / 2**n``: exactly `f` where `n` covers all discarded bits, and
    at most ``2**-n`` of a gap toward zero otherwise. Exact values, infinities and NaN never move; overflow
    is judged after rounding.

    The random bits are a function of (seed, step, tensor, element) alone, where `element` is the flat
    row-major index, so that a result does not depend on threads, chunks, strides or the compiled path.

    Args:
        seed: key of the generator, 64 bits.
        bits: random bits per element, 1..32. None: 16 where fp32 loses at most 16 bits (bf16),
            else 32, which is every bit a finite fp32 value can lose above 2**-8 of the smallest subnormal.
        generator: Philox4x32 with 10 or 7 rounds (Salmon et al., SC'11), a 32-bit Galois LFSR, or
            Marsaglia's XORWOW (J. Stat. Soft. 8, 2003).
        step: number of the training step, 32 bits.
        tensor: number of the tensor or operator, 32 bits.
        element: flat index of the first element, for a shard of a larger tensor.
    """

    seed: int = 0
    bits: int | None = None
    generator: Generator = "philox4x32-10"
    step: int = 0
    tensor: int = 0
    element: int = 0

    def __post_init__(self) -> None:
        if self.direction != "stochastic":
            raise InvalidDescription(f"rounding stochastic: direction is {self.direction}")
        if self.generator not in GENERATORS:
            raise unknown_name("generator", self.generator, GENERATORS)
        if self.bits is not None and not 1 <= self.bits <= 32:
            raise InvalidDescription(f"rounding stochastic: bits is {self.bits}; choose 1 to 32")
        for name, value, width in (
            ("seed", self.seed, 64),
            ("step", self.step, 32),
            ("tensor", self.tensor, 32),
            ("element", self.element, 63),
        ):
            if not 0 <= value < 1 << width:
                raise InvalidDescription(
                    f"rounding stochastic: {name} is {value}; it must be from 0 to 2**{width} - 1"
                )

    def word_bits(self, usual: int) -> int:
        """Bits of the generator an element is given: 16 or 32, `usual` where `bits` is None."""
        if self.bits is None:
            return usual
        return 16 if self.bits <= 16 else 32

    def at(
        self, *, step: int | None = None, tensor: int | None = None, element: int | None = None
    ) -> Stochastic:
        """The same generator at another place of the workload."""
        return replace(
            self,
            step=self.step if step is None else step,
            tensor=self.tensor if tensor is None else tensor,
            element=self.element if element is None else element,
        )


Rounding.NEAREST_EVEN = Rounding("nearest-even")
Rounding.NEAREST_AWAY = Rounding("nearest-away")
Rounding.TOWARD_ZERO = Rounding("toward-zero")
Rounding.UP = Rounding("up")
Rounding.DOWN = Rounding("down")
Rounding.TO_ODD = Rounding("to-odd")
