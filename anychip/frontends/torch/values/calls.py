"""A call on plain tensors as the operators room sees calls: geometry, attributes, results to be made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from anychip.frontends.torch.plan import canonical, format_name
from anychip.programs.graph import Attribute

Tensor = torch.Tensor
#: (element type, extents, strides): what tells one tensor from another to a form.
Geometry = tuple[torch.dtype, tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Shape:
    """A tensor's geometry, as `anychip.operators` reads it."""

    format: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as `anychip.operators` reads it."""

    operator: str
    attributes: tuple[tuple[str, Attribute], ...]
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]


def geometry(tensor: Tensor) -> Geometry:
    """What a plan depends on."""
    return tensor.dtype, tuple(tensor.shape), tensor.stride()


def shape_of(geometry: Geometry) -> Shape:
    """The same for the operators room."""
    return Shape(format_name(geometry[0]), geometry[1], geometry[2])


class Schema:
    """The arguments of an overload, read once.

    Args:
        operator: the overload.
    """

    def __init__(self, operator: Any) -> None:
        schema = operator._schema
        self.operator = operator
        self.name = f"{schema.name.replace('::', '.')}.{schema.overload_name or 'default'}"
        self.names = [argument.name for argument in schema.arguments]
        self.defaults = {
            argument.name: argument.default_value
            for argument in schema.arguments
            if argument.has_default_value()
        }
        self.written = [
            argument.name
            for argument in schema.arguments
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        self.is_out = bool(self.written) and all(
            argument.kwarg_only for argument in schema.arguments if argument.name in self.written
        )
        self.returns = len(schema.returns)
        #: For each result, whether it is one of the arguments that the call writes.
        self.aliased = [
            result.alias_info is not None and result.alias_info.is_write for result in schema.returns
        ]

    def flattened(
        self, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[list[Tensor], tuple[tuple[str, Attribute], ...]]:
        """Tensors in schema order, and every other argument that differs from its default."""
        tensors: list[Tensor] = []
        attributes: list[tuple[str, Attribute]] = []
        given = len(args)
        for position, name in enumerate(self.names):
            if position < given:
                value = args[position]
            elif name in kwargs:
                value = kwargs[name]
            else:
                value = self.defaults.get(name)
                if value is None and name in self.defaults:
                    attributes.append((name, None))
                continue
            if isinstance(value, Tensor):
                tensors.append(value)
            elif isinstance(value, (list, tuple)) and any(isinstance(each, Tensor) for each in value):
                there = [each for each in value if isinstance(each, Tensor)]
                tensors += there
                mark: tuple[Attribute, ...] = ("tensors", len(there))
                if len(there) != len(value):
                    mark += (tuple(isinstance(each, Tensor) for each in value),)
                attributes.append((name, mark))
            elif value is None or name not in self.defaults or value != self.defaults[name]:
                attributes.append((name, canonical(value)))
        return tensors, tuple(attributes)

    def written_tensors(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Tensor]:
        """The tensors that the call writes, lists taken apart, in schema order."""
        found: list[Tensor] = []
        for name in self.written:
            position = self.names.index(name)
            value = args[position] if position < len(args) else kwargs.get(name)
            if isinstance(value, Tensor):
                found.append(value)
            elif isinstance(value, (list, tuple)):
                found += [each for each in value if isinstance(each, Tensor)]
        return found


def results_of(operator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What the call would return, as meta tensors; in-place operators return their argument's twin.

    Raises:
        NotImplementedError, RuntimeError: the operator cannot tell without values.
    """
    twins: dict[int, Tensor] = {}

    def twin(value: Any) -> Any:
        if isinstance(value, Tensor):
            known = twins.get(id(value))
            if known is None:
                known = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
                twins[id(value)] = known
            return known
        if isinstance(value, (list, tuple)):
            return [twin(each) for each in value]
        if isinstance(value, torch.device):
            return torch.device("meta")
        return value

    with torch.no_grad():
        return operator(*map(twin, args), **{name: twin(value) for name, value in kwargs.items()})
