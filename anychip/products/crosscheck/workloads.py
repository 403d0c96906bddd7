"""Random small workloads: calls as PyTorch makes them, with data that finds mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from anychip.formats import Float, by_name
from anychip.programs.graph import Attribute, Node, View

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage."""

    view: View

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents."""
        return self.view.shape

    @property
    def transposed(self) -> Tensor:
        """Both dimensions exchanged, by strides."""
        view = self.view
        return Tensor(View(view.value, view.format, view.shape[::-1], view.strides[::-1], view.offset))


@dataclass
class Script:
    """Calls in order, and the storages that they name by number.

    Args:
        format: of every tensor.
        nodes: the calls.
        contents: values of every storage before the first call; None where nobody has written.
        elements: of every storage.
    """

    format: str
    nodes: list[Node] = field(default_factory=list)
    contents: list[NDArray[np.float32] | None] = field(default_factory=list)
    elements: list[int] = field(default_factory=list)

    def tensor(self, shape: tuple[int, ...], values: NDArray[np.floating] | None = None) -> Tensor:
        """A storage of its own; values are rounded to the format."""
        stored = by_name(self.format)
        if values is not None and isinstance(stored, Float):
            self.contents.append(stored.round(values.astype(np.float64)).astype(np.float32).reshape(-1))
        else:
            self.contents.append(None)
        self.elements.append(int(np.prod(shape)))
        strides = tuple(int(np.prod(shape[d + 1 :])) for d in range(len(shape)))
        return Tensor(View(len(self.elements) - 1, self.format, shape, strides))

    def call(
        self,
        operator: str,
        inputs: tuple[Tensor, ...],
        shape: tuple[int, ...],
        into: Tensor | None = None,
        **attributes: Attribute,
    ) -> Tensor:
        """One aten call; `into` makes it in place."""
        result = into or self.tensor(shape)
        views = tuple(each.view for each in inputs)
        self.nodes.append(Node(f"aten.{operator}", tuple(attributes.items()), views, (result.view,)))
        return result


@dataclass(frozen=True, slots=True)
class Data:
    """How operands of a first product are drawn.

    Args:
        name: for people.
        pair: gives left [m, k] and right [n, k] for their shapes.
    """

    name: str
    pair: Callable[[Random, int, int, int], tuple[NDArray[np.float64], NDArray[np.float64]]]


def _normal(random: Random, m: int, n: int, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return random.standard_normal((m, k)), random.standard_normal((n, k)) / np.sqrt(k)


def _cancelling(random: Random, m: int, n: int, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The second half of every sum takes the first away: what is left is the noise of roundings."""
    left, right = random.standard_normal((m, k)), random.standard_normal((n, k))
    left, right = _bf16(left), _bf16(right)
    half = k // 2
    left[:, half : 2 * half] = -left[:, :half]
    right[:, half : 2 * half] = right[:, :half]
    return left, right


def _wide(random: Random, m: int, n: int, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exponents all over the range: addends that vanish, sums that overflow."""

    def drawn(rows: int) -> NDArray[np.float64]:
        return random.standard_normal((rows, k)) * np.exp2(random.integers(-60, 63, (rows, k)))

    return drawn(m), drawn(n)


def _subnormal(random: Random, m: int, n: int, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Subnormal operands, and products and sums around the smallest fp32."""
    left = random.standard_normal((m, k)) * np.exp2(random.integers(-132, -60, (m, k)))
    right = random.standard_normal((n, k)) * np.exp2(random.integers(-80, 6, (n, k)))
    return left, right


def _ties(random: Random, m: int, n: int, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A large first product, then addends that fall on its ties or just past them."""
    left = 1 + random.integers(0, 3, (m, k)) / 128
    right = 1 + random.integers(0, 3, (n, k)) / 128
    shift = random.integers(10, 15)
    left[:, 0] = np.exp2(shift) * random.choice([-1, 1], m)
    right[:, 0] = np.exp2(24 - shift)
    return left, right


def _special(random: Random, m: int, n: int, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Infinities, NaN and zeros of both signs among normal numbers."""
    left, right = random.standard_normal((m, k)), random.standard_normal((n, k))
    for array in (left, right):
        rare = random.random(array.shape) < 0.06
        array[rare] = random.choice([np.inf, -np.inf, np.nan, 0.0, -0.0], int(rare.sum()))
    return left, right


DATA = {
    name: Data(name, pair)
    for name, pair in (
        ("normal", _normal),
        ("cancelling", _cancelling),
        ("wide", _wide),
        ("subnormal", _subnormal),
        ("ties", _ties),
        ("special", _special),
    )
}


def _bf16(values: NDArray[np.float64]) -> NDArray[np.float64]:
    stored = by_name("bf16")
    return stored.round(values).astype(np.float64) if isinstance(stored, Float) else values


# --- workloads -------------------------------------------------------------------------------------------


def linear(random: Random, data: Data, format_name: str) -> Script:
    """``y = x W^T + b``, also without bias."""
    m, n, k = (int(random.integers(1, high)) for high in (25, 25, 49))
    script = Script(format_name)
    left, right = data.pair(random, m, n, k)
    x, weight = script.tensor((m, k), left), script.tensor((n, k), right)
    if random.random() < 0.7:
        bias = script.tensor((n,), random.standard_normal(n) * 0.1)
        script.call("addmm.default", (bias, x, weight.transposed), (m, n))
    else:
        script.call("mm.default", (x, weight.transposed), (m, n))
    return script


@dataclass(frozen=True, slots=True)
class _Layer:
    weight: Tensor
    bias: Tensor


def _layer(script: Script, random: Random, width: int, inputs: int, weight: NDArray[np.float64]) -> _Layer:
    bias = script.tensor((width,), random.standard_normal(width) * 0.1)
    return _Layer(script.tensor((width, inputs), weight), bias)


def _mlp(
    random: Random, data: Data, format_name: str
) -> tuple[Script, Tensor, list[_Layer], Tensor, Tensor, Tensor]:
    batch, inputs, hidden, outputs = (int(random.integers(1, high)) for high in (10, 17, 17, 9))
    script = Script(format_name)
    left, right = data.pair(random, batch, hidden, inputs)
    x = script.tensor((batch, inputs), left)
    first = _layer(script, random, hidden, inputs, right)
    second = _layer(
        script, random, outputs, hidden, random.standard_normal((outputs, hidden)) / np.sqrt(hidden)
    )
    before = script.call("addmm.default", (first.bias, x, first.weight.transposed), (batch, hidden))
    after = script.call("gelu.default", (before,), (batch, hidden))
    y = script.call("addmm.default", (second.bias, after, second.weight.transposed), (batch, outputs))
    return script, x, [first, second], before, after, y


def mlp(random: Random, data: Data, format_name: str) -> Script:
    """Two linear layers with GELU between them, forward."""
    return _mlp(random, data, format_name)[0]


def training_step(random: Random, data: Data, format_name: str) -> Script:
    """The same MLP, the gradient of a mean squared error, its backward, and a step of SGD."""
    script, x, (first, second), before, after, y = _mlp(random, data, format_name)
    batch, outputs = y.shape
    hidden = before.shape[1]
    target = script.tensor(y.shape, random.standard_normal(y.shape))
    difference = script.call("sub.Tensor", (y, target), y.shape)
    grad = script.call("mul.Tensor", (difference,), y.shape, other=2.0 / (batch * outputs))
    grad_after = script.call("mm.default", (grad, second.weight), after.shape)
    gradients = [
        (second.weight, script.call("mm.default", (grad.transposed, after), second.weight.shape)),
        (second.bias, script.call("sum.dim_IntList", (grad,), (outputs,), dim=(0,))),
    ]
    grad_before = script.call("gelu_backward.default", (grad_after, before), before.shape)
    gradients += [
        (first.weight, script.call("mm.default", (grad_before.transposed, x), first.weight.shape)),
        (first.bias, script.call("sum.dim_IntList", (grad_before,), (hidden,), dim=(0,))),
    ]
    rate = float(random.choice([0.1, 0.05, 0.5]))
    for parameter, gradient in gradients:
        script.call("add_.Tensor", (parameter, gradient), parameter.shape, into=parameter, alpha=-rate)
    return script


WORKLOADS = {"linear": linear, "mlp": mlp, "training step": training_step}
