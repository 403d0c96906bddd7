"""Convolutions, forward and both backward halves, as contractions whose operands have windows.

Every one is one of three sums: an image seen through a kernel, the same spread out (transposed), or the
product of two images under every shift of the kernel. The order of each sum is fixed here: input channel,
then kernel position (for the weight's gradient: sample, then output position), the last fastest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from anychip.arithmetic.recipe import IDENTITY
from anychip.operators.arguments import Arguments, Tensor, merged
from anychip.operators.contractions import real, scaled_sum
from anychip.operators.forms import Contract, Form, Operand, Window
from anychip.operators.reductions import rows
from anychip.operators.table import register


@dataclass(frozen=True, slots=True)
class Sliding:
    """How the kernel slides, one entry per spatial dimension."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @classmethod
    def of(cls, a: Arguments, rank: int) -> Sliding:
        """The sliding that a convolution's arguments ask for; one number stands for all dimensions."""

        def each(name: str, default: int) -> tuple[int, ...]:
            given = a.integers(name, (default,))
            return given * rank if len(given) == 1 else given

        return cls(each("stride", 1), each("padding", 0), each("dilation", 1), a.integer("groups", 1))


#: Loop to coefficient, start, dimension, step: one window before its loops have numbers.
Windows = tuple[tuple[dict[str, int], int, int, int], ...]
#: Moves of one operand: loop to stride, and its windows.
Moves = tuple[dict[str, int], Windows]


def _through(slide: Sliding) -> Windows:
    """Windows of an image that output position o and kernel position k look at: o * stride + k * dilation."""
    return tuple(
        ({f"o{d}": slide.stride[d], f"k{d}": slide.dilation[d]}, -slide.padding[d], d + 2, 1)
        for d in range(len(slide.stride))
    )


def _spread(slide: Sliding) -> Windows:
    """Windows of the image that, spread by the stride, meets position o under kernel position k."""
    return tuple(
        ({f"o{d}": 1, f"k{d}": -slide.dilation[d]}, slide.padding[d], d + 2, slide.stride[d])
        for d in range(len(slide.stride))
    )


def _image(tensor: Tensor, channel: str, per_group: int, windows: Windows = ()) -> Moves:
    """Moves of an image: samples, channels of a group, and positions (or windows instead of them)."""
    strides = {"s": tensor.strides[0], channel: tensor.strides[1], "g": tensor.strides[1] * per_group}
    if not windows:
        strides |= {f"o{d}": stride for d, stride in enumerate(tensor.strides[2:])}
    return strides, windows


def _kernel(tensor: Tensor, names: tuple[str, str], per_group: int) -> Moves:
    """Moves of a weight; its first dimension runs over groups."""
    first, second = names
    strides = {first: tensor.strides[0], "g": tensor.strides[0] * per_group, second: tensor.strides[1]}
    return strides | {f"k{d}": stride for d, stride in enumerate(tensor.strides[2:])}, ()


def _contraction(
    groups: tuple[dict[str, int], ...],
    operands: tuple[tuple[Tensor, Moves], ...],
    bias: Tensor | None = None,
) -> Contract:
    """Builds the form from named loops: batch, rows, columns, depth, and left, right, result."""
    extents = {name: extent for group in groups for name, extent in group.items()}
    listed = [(tensor, _plain_moves(tensor, moves, extents)) for tensor, moves in operands]
    if bias is not None:
        channel = bias.strides[0]
        listed.insert(2, (bias, ({"n": channel, "g": channel * groups[2]["n"]}, ())))
    walked = {
        name for _, (_, windows) in listed for coefficients, _, _, _ in windows for name in coefficients
    }
    kept: list[tuple[int, ...]] = []
    labels: list[str] = []
    columns: list[tuple[int, ...]] = [() for _ in listed]
    for group in groups:
        extent: tuple[int, ...] = ()
        for part in _parts(group, walked):
            strides = [[moves[0].get(name, 0) for name in part] for _, moves in listed]
            if part[0] in walked:
                joined, moved = (extents[part[0]],), [tuple(each) for each in strides]
                labels.append(part[0])
            else:
                joined, moved = merged([extents[name] for name in part], strides, may_reorder=False)
                labels += [""] * len(joined)
            extent += joined
            columns = [old + more for old, more in zip(columns, moved, strict=True)]
        kept.append(extent)
    built = [_operand(tensor, columns[i], moves[1], labels) for i, (tensor, moves) in enumerate(listed)]
    return Contract(
        batch=kept[0],
        rows=kept[1],
        columns=kept[2],
        depth=kept[3],
        left=built[0],
        right=built[1],
        result=built[-1],
        epilogue=IDENTITY if bias is None else scaled_sum(1, 1),
        extras=tuple(built[2:-1]),
    )


def _parts(group: dict[str, int], walked: set[str]) -> list[list[str]]:
    """Loops in order: those of windows alone, runs of the others together."""
    parts: list[list[str]] = []
    for name in group:
        if name in walked or not parts or parts[-1][0] in walked:
            parts.append([name])
        else:
            parts[-1].append(name)
    return parts


def _is_plain(
    coefficients: dict[str, int], start: int, step: int, extents: dict[str, int], extent: int
) -> bool:
    """Whether one loop alone moves the window and never leaves the operand."""
    moving = [name for name in coefficients if extents.get(name, 1) > 1]
    if start or step != 1 or len(moving) > 1:
        return False
    if not moving:
        return True
    coefficient, count = coefficients[moving[0]], extents[moving[0]]
    return coefficient > 0 and coefficient * (count - 1) < extent


def _plain_moves(tensor: Tensor, moves: Moves, extents: dict[str, int]) -> Moves:
    """The moves with windows of a single loop turned into strides."""
    strides, windows = dict(moves[0]), []
    for window in moves[1]:
        coefficients, start, dim, step = window
        if _is_plain(coefficients, start, step, extents, tensor.shape[dim]):
            for name, coefficient in coefficients.items():
                strides[name] = strides.get(name, 0) + coefficient * tensor.strides[dim]
        else:
            windows.append(window)
    return strides, tuple(windows)


def _operand(
    tensor: Tensor,
    strides: tuple[int, ...],
    windows: Windows,
    loops: list[str],
) -> Operand:
    built = tuple(
        Window(
            tuple(coefficients.get(name, 0) for name in loops),
            start,
            tensor.shape[dim],
            tensor.strides[dim],
            step,
        )
        for coefficients, start, dim, step in windows
    )
    return Operand(tensor.port, tensor.format, strides, tensor.distinct, built, offset=tensor.offset)


def correlated(
    image: Tensor, kernel: Tensor, result: Tensor, slide: Sliding, bias: Tensor | None = None
) -> Contract:
    """An image seen through a kernel: sum over input channels and kernel positions.

    Args:
        image: samples, input channels, positions.
        kernel: output channels, input channels of a group, positions.
        result: samples, output channels, positions.
        slide: how.
        bias: per output channel.
    """
    inner, outer = image.shape[1] // slide.groups, result.shape[1] // slide.groups
    return _contraction(
        _loops(result, kernel, slide, inner, outer),
        (
            (image, _image(image, "c", inner, _through(slide))),
            (kernel, _kernel(kernel, ("n", "c"), outer)),
            (result, _image(result, "n", outer)),
        ),
        bias,
    )


def spread(
    image: Tensor, kernel: Tensor, result: Tensor, slide: Sliding, bias: Tensor | None = None
) -> Contract:
    """A transposed convolution: each result element sums what the image spreads to it.

    Args:
        image: samples, input channels, positions.
        kernel: input channels, output channels of a group, positions.
        result: samples, output channels, positions.
        slide: how.
        bias: per output channel.
    """
    inner, outer = image.shape[1] // slide.groups, result.shape[1] // slide.groups
    return _contraction(
        _loops(result, kernel, slide, inner, outer),
        (
            (image, _image(image, "c", inner, _spread(slide))),
            (kernel, _kernel(kernel, ("c", "n"), inner)),
            (result, _image(result, "n", outer)),
        ),
        bias,
    )


def _loops(
    result: Tensor, kernel: Tensor, slide: Sliding, inner: int, outer: int
) -> tuple[dict[str, int], ...]:
    positions = {f"o{d}": extent for d, extent in enumerate(result.shape[2:])}
    taps = {f"k{d}": extent for d, extent in enumerate(kernel.shape[2:])}
    return ({"g": slide.groups}, {"s": result.shape[0]} | positions, {"n": outer}, {"c": inner} | taps)


def weight_gradient(image: Tensor, fixed: Tensor, result: Tensor, slide: Sliding) -> Contract:
    """Products of `fixed` with the window of `image` at each kernel position, over samples and positions.

    Args:
        image: the one that the kernel slides over.
        fixed: the one of the kernel's other side; its positions are summed over.
        result: fixed's channels, image's channels of a group, kernel positions.
        slide: how.
    """
    rows_of = fixed.shape[1] // slide.groups
    columns_of = image.shape[1] // slide.groups
    positions = {f"o{d}": extent for d, extent in enumerate(fixed.shape[2:])}
    taps = {f"k{d}": extent for d, extent in enumerate(result.shape[2:])}
    return _contraction(
        (
            {"g": slide.groups},
            {"m": rows_of},
            {"n": columns_of} | taps,
            {"s": fixed.shape[0]} | positions,
        ),
        (
            (fixed, _image(fixed, "m", rows_of)),
            (image, _image(image, "n", columns_of, _through(slide))),
            (result, _kernel(result, ("m", "n"), rows_of)),
        ),
    )


def convolution(a: Arguments) -> tuple[Form, ...]:
    image, kernel, result = a.tensor("input"), a.tensor("weight"), a.results[0]
    image, result = _batched(image, kernel), _batched(result, kernel)
    slide = Sliding.of(a, len(kernel.shape) - 2)
    if a.flag("transposed"):
        return (spread(image, kernel, result, slide, a.optional("bias")),)
    return (correlated(image, kernel, result, slide, a.optional("bias")),)


def _batched(image: Tensor, kernel: Tensor) -> Tensor:
    """An image without samples is one sample."""
    if len(image.shape) == len(kernel.shape):
        return image
    return image.viewed((1, *image.shape), (0, *image.strides))


def convolution_backward(a: Arguments) -> tuple[Form, ...]:
    grad, image, kernel = a.tensor("grad_output"), a.tensor("input"), a.tensor("weight")
    slide = Sliding.of(a, len(kernel.shape) - 2)
    mask = a.attribute("output_mask", (True, True, True))
    wanted = [bool(each) for each in mask] if isinstance(mask, tuple) else [True] * 3
    results = iter(a.results)
    forms: list[Form] = []
    if wanted[0]:
        target = next(results)
        if a.flag("transposed"):
            forms.append(correlated(grad, kernel, target, slide))
        else:
            forms.append(spread(grad, kernel, target, slide))
    if wanted[1]:
        target = next(results)
        if a.flag("transposed"):
            forms.append(weight_gradient(grad, image, target, slide))
        else:
            forms.append(weight_gradient(image, grad, target, slide))
    if wanted[2]:
        forms.append(bias_gradient(grad, next(results)))
    return tuple(forms)


def bias_gradient(grad: Tensor, result: Tensor) -> Form:
    """Sums of the gradient over samples and positions."""
    rank = len(grad.shape)
    dims = (0, *range(2, rank))
    shape = tuple(grad.shape[1] if d == 1 else 1 for d in range(rank))
    target = replace(
        result, shape=shape, strides=tuple(result.strides[0] if d == 1 else 0 for d in range(rank))
    )
    return rows(grad.shape, dims, (grad,), (("sum", lambda g: g),), None, (target,))


register(
    "convolution convolution_overrideable _convolution _convolution.deprecated",
    "contraction",
    "input weight bias",
    real(convolution),
)
register(
    "convolution_backward convolution_backward_overrideable",
    "contraction",
    "grad_output input weight",
    real(convolution_backward),
)
