"""Operands of forms as views of tensors, and the tensors of a call under the names that forms use.

An operand is a walk over memory: strides for every loop, perhaps backwards, perhaps with windows beyond whose
edges other values stand. Torch has views for the plain ones; the others are laid out anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch

from anychip.frontends.torch.values.stored import carrier
from anychip.operators import Operand

Tensor = torch.Tensor
_DTYPES = {
    "fp32": torch.float32,
    "fp64": torch.float64,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "int64": torch.int64,
    "int32": torch.int32,
    "int16": torch.int16,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "bool": torch.bool,
}


def dtype_of(format_name: str) -> torch.dtype:
    """The element type of a temporary."""
    known = _DTYPES.get(format_name)
    return known if known is not None else getattr(torch, format_name.replace("fp8", "float8"))


@dataclass(slots=True)
class Ports:
    """The tensors of one call under the names that forms use."""

    tensors: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    def __getitem__(self, port: str) -> Tensor:
        return self.tensors[port]

    def target(self, operand: Operand, extents: Sequence[int]) -> Tensor:
        """The tensor to write; a temporary is made when it is first written."""
        found = self.tensors.get(operand.port)
        if found is None:
            span = sum((e - 1) * s for e, s in zip(extents, operand.strides, strict=True) if e) + 1
            found = torch.empty(operand.offset + span, dtype=dtype_of(operand.format))
            self.tensors[operand.port] = found
        return found


def carried_in_place(tensor: Tensor) -> Tensor:
    """The tensor in its carrier with the strides that it has, so that operands find their elements."""
    values = carrier(tensor)
    if values.stride() == tensor.stride():
        return values
    once = tensor.as_strided(
        [1 if stride == 0 else size for size, stride in zip(tensor.shape, tensor.stride(), strict=True)],
        tensor.stride(),
    )
    placed = torch.empty_strided(once.shape, once.stride(), dtype=values.dtype).copy_(once)
    return placed.expand(tensor.shape)


def backwards_view(tensor: Tensor, operand: Operand, extents: Sequence[int]) -> Tensor:
    """A view with negative strides, which torch does not have: read forwards, then flipped."""
    backwards = [d for d, stride in enumerate(operand.strides) if stride < 0]
    offset = operand.offset + sum((extents[d] - 1) * operand.strides[d] for d in backwards)
    strides = [abs(stride) for stride in operand.strides]
    view = tensor.as_strided(tuple(extents), strides, tensor.storage_offset() + offset)
    return carrier(view).flip(backwards)


@lru_cache(maxsize=8192)
def on_loops(operand: Operand, loops: tuple[int, ...]) -> Operand:
    """The operand over some of the loops, in that order."""
    return replace(
        operand,
        strides=tuple(operand.strides[loop] for loop in loops),
        windows=tuple(
            replace(w, coefficients=tuple(w.coefficients[loop] for loop in loops)) for w in operand.windows
        ),
    )


def cut(
    operand: Operand, extents: tuple[int, ...], loop: int, chosen: slice
) -> tuple[Operand, tuple[int, ...]]:
    """The operand over a part of one loop."""
    windows = tuple(replace(w, start=w.start + w.coefficients[loop] * chosen.start) for w in operand.windows)
    moved = replace(operand, offset=operand.offset + operand.strides[loop] * chosen.start, windows=windows)
    return moved, (*extents[:loop], chosen.stop - chosen.start, *extents[loop + 1 :])


def windowed(tensor: Tensor, operand: Operand, extents: Sequence[int]) -> Tensor:
    """An operand with windows over its loops: the tensor laid out with its outside, then strided.

    Tensors whose dimensions cannot be told from their strides go by addresses.
    """
    laid_out = _laid_out(tensor, operand, extents)
    return by_address(tensor, operand, extents) if laid_out is None else laid_out


def by_address(tensor: Tensor, operand: Operand, extents: Sequence[int]) -> Tensor:
    """Every position computed literally: the definition of a window."""
    rank = len(extents)

    def along(loop: int) -> Tensor:
        shape = [1] * rank
        shape[loop] = extents[loop]
        return torch.arange(extents[loop]).reshape(shape)

    address = torch.full((1,) * rank, int(tensor.storage_offset()) + operand.offset)
    for loop, stride in enumerate(operand.strides):
        if stride:
            address = address + along(loop) * stride
    inside = torch.ones((1,) * rank, dtype=torch.bool)
    for window in operand.windows:
        position = torch.full((1,) * rank, window.start)
        for loop, coefficient in enumerate(window.coefficients):
            if coefficient:
                position = position + along(loop) * coefficient
        inside = inside & (position >= 0) & (position < window.extent * window.step)
        inside = inside & (position % window.step == 0)
        address = address + position.clamp(0, window.extent * window.step - 1) // window.step * window.stride
    span = tensor.untyped_storage().nbytes() // tensor.element_size()
    flat = tensor.as_strided((span,), (1,), 0)
    values = flat[address.clamp(0, max(span - 1, 0))] if span else torch.zeros(address.shape)
    outside = torch.tensor(operand.outside, dtype=tensor.dtype)
    return torch.where(inside, values, outside).expand(tuple(extents))


def _laid_out(tensor: Tensor, operand: Operand, extents: Sequence[int]) -> Tensor | None:
    dims: list[int] = []
    for window in operand.windows:
        found = [
            d
            for d in range(tensor.dim())
            if tensor.stride(d) == window.stride and tensor.size(d) == window.extent and d not in dims
        ]
        if not found:
            return None
        dims.append(found[-1])
    order = sorted(range(tensor.dim()), key=lambda d: (-tensor.stride(d), d))
    if not _dense(tensor, order) or operand.outside != operand.outside:
        return None
    sizes = list(tensor.shape)
    source, target = [slice(None)] * tensor.dim(), [slice(None)] * tensor.dim()
    lows: list[int] = []
    for window, d in zip(operand.windows, dims, strict=True):
        ends = [c * (e - 1) for c, e in zip(window.coefficients, extents, strict=True)]
        low = window.start + sum(min(end, 0) for end in ends)
        high = window.start + sum(max(end, 0) for end in ends)
        first = max(0, -(-low // window.step))
        last = min(window.extent - 1, high // window.step)
        count = max(last - first + 1, 0)
        lows.append(low)
        sizes[d] = high - low + 1
        source[d] = slice(first, first + count)
        begin = first * window.step - low
        target[d] = slice(begin, begin + (count - 1) * window.step + 1 if count else begin, window.step)
    if 0 in extents:
        return torch.empty(tuple(extents), dtype=tensor.dtype)
    buffer = torch.full([sizes[d] for d in order], operand.outside, dtype=tensor.dtype)
    back = [order.index(d) for d in range(tensor.dim())]
    buffer = buffer.permute(back)
    buffer[tuple(target)] = tensor[tuple(source)]
    strides = [_translated(stride, tensor, buffer, order, dims) for stride in operand.strides]
    offset = _translated(operand.offset, tensor, buffer, order, dims)
    for window, d, low in zip(operand.windows, dims, lows, strict=True):
        offset += (window.start - low) * buffer.stride(d)
        for loop, coefficient in enumerate(window.coefficients):
            strides[loop] += coefficient * buffer.stride(d)
    if any(stride < 0 for stride in strides):
        flips = [loop for loop, stride in enumerate(strides) if stride < 0]
        offset += sum((extents[loop] - 1) * strides[loop] for loop in flips)
        view = buffer.as_strided(tuple(extents), [abs(stride) for stride in strides], offset)
        return view.flip(flips)
    return buffer.as_strided(tuple(extents), strides, offset)


def _dense(tensor: Tensor, order: Sequence[int]) -> bool:
    """Whether the strides nest, so that a distance names one step in each dimension."""
    span = 1
    for d in reversed(order):
        if tensor.size(d) == 1:
            continue
        if tensor.stride(d) < span:
            return False
        span = tensor.stride(d) * tensor.size(d)
    return True


def _translated(
    distance: int, tensor: Tensor, buffer: Tensor, order: Sequence[int], windows: Sequence[int]
) -> int:
    """A distance in the tensor's storage as one in the buffer's."""
    left, moved = abs(distance), 0
    for d in order:
        if d in windows or tensor.size(d) == 1 or not left:
            continue
        steps, left = divmod(left, tensor.stride(d))
        moved += steps * buffer.stride(d)
    return moved if distance >= 0 else -moved
