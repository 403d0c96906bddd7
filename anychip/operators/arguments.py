"""A call's arguments by name, and its tensors as operands of loops.

Rules see a call through `Arguments`; anything shaped like `programs.Node` and `programs.View` can be a call,
so that this room needs nothing above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Protocol

from anychip.arithmetic.recipe import Constant
from anychip.errors import InvalidInput
from anychip.operators.forms import Operand


class Geometry(Protocol):
    """A tensor operand's shape; `programs.View` is one."""

    @property
    def format(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...


class Call(Protocol):
    """One operator call; `programs.Node` is one."""

    @property
    def operator(self) -> str: ...
    @property
    def inputs(self) -> tuple[Geometry, ...]: ...
    @property
    def outputs(self) -> tuple[Geometry, ...]: ...
    @property
    def attributes(self) -> tuple[tuple[str, object], ...]: ...


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor argument or result.

    Args:
        port: ``"in0"``, ``"out0"``, ``"temporary0"``.
        format: name of the stored format.
        shape: extents, outermost first.
        strides: in elements.
        offset: in elements, from where the port's tensor starts.
    """

    port: str
    format: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def elements(self) -> int:
        """How many elements, broadcast ones counted as often as they appear."""
        return prod(self.shape)

    @property
    def distinct(self) -> int:
        """How many different elements."""
        return prod(e for e, s in zip(self.shape, self.strides, strict=True) if s or not e)

    @property
    def floating(self) -> bool:
        """Whether it holds real numbers (not integers, booleans, or complex numbers)."""
        return is_floating(self.format)

    def broadcast(self, extents: Sequence[int]) -> tuple[int, ...]:
        """Strides over loops of these extents, aligned to the right as broadcasting does."""
        missing = len(extents) - len(self.shape)
        if missing < 0:
            raise InvalidInput(f"{self.port}: shape {self.shape} has more dimensions than {tuple(extents)}")
        own = tuple(0 if e == 1 else s for e, s in zip(self.shape, self.strides, strict=True))
        return (0,) * missing + own

    def permuted(self, *dims: int) -> Tensor:
        """The same tensor with its dimensions in another order."""
        return replace(
            self, shape=tuple(self.shape[d] for d in dims), strides=tuple(self.strides[d] for d in dims)
        )

    def narrowed(self, dim: int, start: int, length: int) -> Tensor:
        """`length` positions of one dimension, from `start`."""
        return replace(
            self,
            shape=tuple(length if d == dim else e for d, e in enumerate(self.shape)),
            offset=self.offset + start * self.strides[dim],
        )

    def viewed(self, shape: Sequence[int], strides: Sequence[int]) -> Tensor:
        """The same elements under another shape."""
        return replace(self, shape=tuple(shape), strides=tuple(strides))


def is_floating(format_name: str) -> bool:
    """Whether a format holds real numbers with a fraction."""
    return format_name.startswith(("fp", "bf", "tf", "mxfp", "nvfp"))


def contiguous(port: str, format_name: str, shape: tuple[int, ...]) -> Tensor:
    """A dense tensor in row-major order."""
    strides: list[int] = []
    step = 1
    for extent in reversed(shape):
        strides.append(step)
        step *= max(extent, 1)
    return Tensor(port, format_name, shape, tuple(reversed(strides)))


class Arguments:
    """The arguments of one call, by the names of the operator's schema.

    Args:
        call: the call.
        tensors: names of the arguments that may be tensors, in schema order; ``"tensors[]"`` a list.
        name: the operator as the table knows it.
    """

    def __init__(self, call: Call, tensors: Sequence[str], name: str) -> None:
        self.name = name
        self.call = call
        self._attributes = dict(call.attributes)
        self._bound: dict[str, Tensor | tuple[Tensor, ...] | Constant | None] = {}
        self.results = tuple(
            Tensor(f"out{i}", v.format, v.shape, v.strides) for i, v in enumerate(call.outputs)
        )
        self.inputs = tuple(Tensor(f"in{i}", v.format, v.shape, v.strides) for i, v in enumerate(call.inputs))
        position = 0
        for word in tensors:
            argument = word.removesuffix("[]")
            attribute = self._attributes.get(argument, _MISSING)
            if isinstance(attribute, tuple) and attribute[:1] == ("tensors",):
                count = int(attribute[1])
                self._bound[argument] = self.inputs[position : position + count]
                position += count
            elif word.endswith("[]"):
                self._bound[argument] = self.inputs[position:] if attribute is _MISSING else ()
                position = len(self.inputs) if attribute is _MISSING else position
            elif attribute is not _MISSING:
                self._bound[argument] = _number(attribute)
            elif position < len(self.inputs):
                self._bound[argument] = self.inputs[position]
                position += 1
            else:
                self._bound[argument] = None

    def value(self, name: str) -> Tensor | Constant | None:
        """A tensor argument, the number that was given in its place, or None."""
        bound = self._bound.get(name)
        return None if isinstance(bound, tuple) else bound

    def tensor(self, name: str) -> Tensor:
        """A tensor argument that must be there.

        Raises:
            InvalidInput: it is a number or missing.
        """
        bound = self._bound.get(name)
        if not isinstance(bound, Tensor):
            raise InvalidInput(f"{self.name}: argument {name} is {bound!r}, not a tensor")
        return bound

    def optional(self, name: str) -> Tensor | None:
        """A tensor argument that may be left out."""
        bound = self._bound.get(name)
        return bound if isinstance(bound, Tensor) else None

    def tensors(self, name: str) -> tuple[Tensor, ...]:
        """A list of tensors."""
        bound = self._bound.get(name)
        return bound if isinstance(bound, tuple) else ()

    def attribute(self, name: str, default: object = None) -> object:
        """An argument that is no tensor, or the schema's default."""
        return self._attributes.get(name, default)

    def number(self, name: str, default: Constant) -> Constant:
        """A number argument, or the schema's default."""
        value = self._attributes.get(name, default)
        return value if isinstance(value, (bool, int, float)) else default

    def integer(self, name: str, default: int) -> int:
        """An integer argument, or the schema's default."""
        return int(self.number(name, default))

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean argument, or the schema's default."""
        return bool(self.number(name, default))

    def integers(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """A list of integers; a single one stands for a list."""
        value = self._attributes.get(name)
        if isinstance(value, tuple):
            return tuple(int(each) for each in value if isinstance(each, int))
        return (value,) if isinstance(value, int) else default

    def dimensions(self, name: str, rank: int) -> tuple[int, ...]:
        """Dimensions, counted from the front; every one if none is given."""
        given = self.integers(name)
        return tuple(sorted({d % rank for d in given})) if given and rank else tuple(range(rank))


_MISSING = object()
#: Stands for a single number that lies on the host; only its being there matters for work.
_HOST_NUMBER = 1.0


def _number(attribute: object) -> Constant | None:
    """An attribute in the place of a tensor: a number, one that the host holds, or nothing."""
    if isinstance(attribute, tuple) and attribute[:1] == ("host",):
        return _HOST_NUMBER
    return attribute if isinstance(attribute, (bool, int, float)) else None


def merged(
    extents: Sequence[int], strides: Sequence[Sequence[int]], *, may_reorder: bool
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Loops without those of extent 1, neighbours joined where one loop can walk both.

    Args:
        extents: of the loops.
        strides: of every operand over the loops.
        may_reorder: whether loops may change places, as they may where order means nothing; they are
            sorted by the strides of the last operand (the result), largest first.

    Returns:
        Extents and strides of the remaining loops.
    """
    loops = [d for d, extent in enumerate(extents) if extent != 1]
    if may_reorder and strides:
        loops.sort(key=lambda d: -strides[-1][d])
    kept: list[int] = []
    columns: list[list[int]] = []
    for d in loops:
        column = [each[d] for each in strides]
        if kept and all(
            outer == inner * extents[d] for outer, inner in zip(columns[-1], column, strict=True)
        ):
            kept[-1] *= extents[d]
            columns[-1] = column
        else:
            kept.append(extents[d])
            columns.append(column)
    return tuple(kept), [tuple(column[i] for column in columns) for i in range(len(strides))]


def operand(tensor: Tensor, strides: tuple[int, ...]) -> Operand:
    """The operand that a tensor is for loops that move it by these strides."""
    return Operand(tensor.port, tensor.format, strides, tensor.distinct, offset=tensor.offset)


def plain(tensor: Tensor) -> Operand:
    """A tensor as an operand of a form that has no loops of its own."""
    _, (strides,) = merged(tensor.shape, [tensor.strides], may_reorder=True)
    return operand(tensor, strides)
