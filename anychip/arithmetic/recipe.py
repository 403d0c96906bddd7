"""Recipes: what one element undergoes in a vector lane, as data written like a formula.

A recipe is a list of steps on registers. Every step is one lane operation, rounded once to the lane's format
(fp32); only what leaves the recipe is rounded to its stored format. `traced` turns a Python formula into a
recipe by running it on `Lane` registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Operations that any vector lane does in one step.
PLAIN = frozenset(
    "add sub mul div neg abs maximum minimum eq ne lt le gt ge select and or xor not shift_left shift_right "
    "floor ceil round trunc sign sign_bit copy isnan floor_divide remainder fmod round_to".split()
)
#: Functions that a chip evaluates by a curve (table, polynomial, iteration) of one argument, or two for
#: ``pow`` and ``atan2``.
CURVES = frozenset(
    "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sin cos tan asin acos atan atan2 sinh cosh "
    "tanh asinh acosh atanh sigmoid log_sigmoid silu gelu gelu_tanh erf erfc erfinv softplus mish pow lgamma "
    "digamma erfcx normal_cdf normal_quantile".split()
)

Constant = bool | int | float


@dataclass(frozen=True, slots=True)
class Number:
    """A constant argument of a step."""

    value: Constant

    @property
    def text(self) -> str:
        """Canonical text."""
        return f"#{self.value!r}"


@dataclass(frozen=True, slots=True)
class Step:
    """One lane operation.

    Args:
        operation: name from `PLAIN` or `CURVES`.
        arguments: register numbers and constants.
    """

    operation: str
    arguments: tuple[int | Number, ...]

    @property
    def text(self) -> str:
        """Canonical text."""
        arguments = " ".join(f"%{a}" if isinstance(a, int) else a.text for a in self.arguments)
        return f"{self.operation} {arguments}"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Steps on registers; registers 0 to ``inputs - 1`` are given, step i writes ``inputs + i``.

    Args:
        inputs: how many registers are given.
        steps: in order.
        results: what leaves the recipe.
    """

    inputs: int
    steps: tuple[Step, ...]
    results: tuple[int | Number, ...]

    @property
    def text(self) -> str:
        """Canonical text."""
        steps = "; ".join(f"%{self.inputs + i} = {step.text}" for i, step in enumerate(self.steps))
        results = " ".join(f"%{r}" if isinstance(r, int) else r.text for r in self.results)
        return f"{{{steps} => {results}}}" if steps else f"{{=> {results}}}"

    @property
    def operations(self) -> tuple[str, ...]:
        """Names of the steps in order, as a vector unit's timing takes them."""
        return tuple(step.operation for step in self.steps)

    @property
    def is_copy(self) -> bool:
        """Whether it changes nothing but the format."""
        return not self.steps


IDENTITY = Recipe(1, (), (0,))


class Tape:
    """Collects the steps of a formula while it runs."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.steps: list[Step] = []
        self._known: dict[Step, int] = {}

    def step(self, operation: str, *arguments: Lane | Constant) -> Lane:
        """Appends one step, or finds the register in which the same step left its result."""
        step = Step(operation, tuple(a.register if isinstance(a, Lane) else Number(a) for a in arguments))
        register = self._known.get(step)
        if register is None:
            register = self.inputs + len(self.steps)
            self.steps.append(step)
            self._known[step] = register
        return Lane(self, register)


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """A register while a formula is traced; arithmetic on it appends steps."""

    tape: Tape
    register: int

    def __add__(self, other: Operable) -> Lane:
        return self.tape.step("add", self, other)

    def __radd__(self, other: Constant) -> Lane:
        return self.tape.step("add", other, self)

    def __sub__(self, other: Operable) -> Lane:
        return self.tape.step("sub", self, other)

    def __rsub__(self, other: Constant) -> Lane:
        return self.tape.step("sub", other, self)

    def __mul__(self, other: Operable) -> Lane:
        return self.tape.step("mul", self, other)

    def __rmul__(self, other: Constant) -> Lane:
        return self.tape.step("mul", other, self)

    def __truediv__(self, other: Operable) -> Lane:
        return self.tape.step("div", self, other)

    def __rtruediv__(self, other: Constant) -> Lane:
        return self.tape.step("div", other, self)

    def __neg__(self) -> Lane:
        return self.tape.step("neg", self)

    def __abs__(self) -> Lane:
        return self.tape.step("abs", self)

    def __lt__(self, other: Operable) -> Lane:
        return self.tape.step("lt", self, other)

    def __le__(self, other: Operable) -> Lane:
        return self.tape.step("le", self, other)

    def __gt__(self, other: Operable) -> Lane:
        return self.tape.step("gt", self, other)

    def __ge__(self, other: Operable) -> Lane:
        return self.tape.step("ge", self, other)


Operable = Lane | Constant


def apply(operation: str, *arguments: Operable) -> Lane:
    """One step by name, on at least one register: ``apply("exp", x)``."""
    for argument in arguments:
        if isinstance(argument, Lane):
            return argument.tape.step(operation, *arguments)
    raise TypeError(f"lane operation {operation} on constants {arguments} only")


def select(condition: Operable, chosen: Operable, otherwise: Operable) -> Lane:
    """`chosen` where the condition holds, else `otherwise`."""
    return apply("select", condition, chosen, otherwise)


def traced(inputs: int, formula: Callable[..., Operable | Sequence[Operable]]) -> Recipe:
    """The recipe that a formula of `inputs` registers describes.

    >>> traced(2, lambda x, y: (x + y) * 0.5).text
    '{%2 = add %0 %1; %3 = mul %2 #0.5 => %3}'
    """
    tape = Tape(inputs)
    returned = formula(*(Lane(tape, register) for register in range(inputs)))
    several = returned if isinstance(returned, Sequence) else (returned,)
    results = tuple(each.register if isinstance(each, Lane) else Number(each) for each in several)
    return Recipe(inputs, tuple(tape.steps), results)
