"""`round` of every format for torch tensors: differentiable straight through, also in `torch.compile`."""

from __future__ import annotations

from typing import Any

import torch

from anychip.errors import InvalidInput
from anychip.formats import adapters

#: Formats and options of their `round`, by the number that the operator takes in their place.
_RULES: list[tuple[Any, dict[str, Any]]] = []
_NUMBERS: dict[Any, int] = {}


@torch.library.custom_op("anychip::round_to", mutates_args=())
def _round_to(values: torch.Tensor, number: int) -> torch.Tensor:
    """Elements rounded to a format's values, kept in the tensor's own type; on the host."""
    format, options = _RULES[number]
    host = values.detach().to("cpu")
    wide = host if host.dtype in (torch.float32, torch.float64) else host.to(torch.float32)
    rounded = torch.from_numpy(format.round(wide.contiguous().numpy(), **options).reshape(host.shape))
    return rounded.to(values.dtype).to(values.device)


@_round_to.register_fake
def _(values: torch.Tensor, number: int) -> torch.Tensor:
    return torch.empty_like(values, memory_format=torch.contiguous_format)


def _straight_through(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
    return gradient, None


_round_to.register_autograd(_straight_through)


@torch.compiler.disable  # pyright: ignore[reportUntypedFunctionDecorator]
def _number(format: Any, options: dict[str, Any]) -> int:
    key = (format, tuple(sorted(options.items())))
    if key not in _NUMBERS:
        _RULES.append((format, options))
        _NUMBERS[key] = len(_RULES) - 1
    return _NUMBERS[key]


class _Tensors:
    """The library that the formats' `round` finds for tensors."""

    def round(self, format: Any, values: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        """A tensor of the same type with the format's values; its gradient is passed on unchanged.

        Raises:
            InvalidInput: a tensor of complex numbers, or one that is sparse or quantised.
        """
        if values.dtype.is_complex or values.layout is not torch.strided or values.is_quantized:
            what = str(values.dtype if values.layout is torch.strided else values.layout)
            raise InvalidInput(
                f"format {format.name}: values are {what.removeprefix('torch.')}, not dense real numbers;"
                " convert them first"
            )
        return _round_to(values, _number(format, options))  # pyright: ignore[reportCallIssue]


adapters.register(torch.Tensor, _Tensors())
