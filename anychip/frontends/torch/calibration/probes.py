"""Operators that a calibration times, each chosen because one constant decides its time.

A probe is built for a device: on the host it is timed, on the simulated device, without values, it is
captured; so the Graph that the constant is fitted with is that of the call that was timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from anychip.frontends.torch.capture import Capture
from anychip.programs.graph import Graph

#: Formats of products, and what PyTorch calls them.
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
Build = Callable[[str], Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Probe:
    """One call to be timed.

    Args:
        name: unique.
        constant: that it decides: ``"products.bf16"``, ``"lane.gelu"``, ``"memory"`` ...
        build: makes the call for a device.
        size: of what is varied: bytes of memory probes, 0 elsewhere.
    """

    name: str
    constant: str
    build: Build
    size: int = 0

    def call(self) -> Callable[[], object]:
        """The call on the host, ready to be timed."""
        return self.build("cpu")

    def graph(self) -> Graph:
        """The same call on shapes alone, in its steady state."""
        with Capture(name="inputs", with_values=False), torch.no_grad():
            call = self.build("anychip")
            call()
        with Capture(name=self.name, with_values=False) as capture, torch.no_grad():
            call()
        return capture.graph()


def probes(formats: tuple[str, ...] = tuple(DTYPES)) -> Iterator[Probe]:
    """Every probe but those of the framework."""
    yield from _memory()
    yield from _pages()
    for name in formats:
        yield from _products(name)
        yield from _convolutions(name)
        yield from _attention(name)
    yield from _lanes()


#: (rows, depth, columns) of products: square, tall, skinny.
_SHAPES = (
    (512, 512, 512),
    (1024, 1024, 1024),
    (256, 768, 3072),
    (256, 3072, 768),
    (128, 768, 768),
    (32, 768, 768),
    (8, 768, 768),
    (128, 512, 16384),
)
_BATCHED = ((24, 128, 64, 128), (24, 128, 128, 64))


def _tensor(device: str, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    values = torch.linspace(0.05, 1.0, 1009).repeat(-(-max(1, _count(shape)) // 1009))[: _count(shape)]
    return values.reshape(shape).to(dtype).to(device)


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def _products(name: str) -> Iterator[Probe]:
    dtype = DTYPES[name]

    def linear(m: int, k: int, n: int) -> Build:
        def build(device: str) -> Callable[[], object]:
            left, right = _tensor(device, m, k, dtype=dtype), _tensor(device, n, k, dtype=dtype)
            bias = _tensor(device, n, dtype=dtype)
            return lambda: functional.linear(left, right, bias)

        return build

    def batched(b: int, m: int, k: int, n: int) -> Build:
        def build(device: str) -> Callable[[], object]:
            left, right = _tensor(device, b, m, k, dtype=dtype), _tensor(device, b, k, n, dtype=dtype)
            return lambda: torch.bmm(left, right)

        return build

    for m, k, n in _SHAPES:
        yield Probe(f"linear {m}x{k}x{n} {name}", f"products.{name}", linear(m, k, n))
    for b, m, k, n in _BATCHED:
        yield Probe(f"bmm {b}x{m}x{k}x{n} {name}", f"products.{name}", batched(b, m, k, n))


def _convolutions(name: str) -> Iterator[Probe]:
    dtype = DTYPES[name]

    def convolution(batch: int, channels: int, out: int, size: int, kernel: int, stride: int) -> Build:
        def build(device: str) -> Callable[[], object]:
            image = _tensor(device, batch, channels, size, size, dtype=dtype)
            weight = _tensor(device, out, channels, kernel, kernel, dtype=dtype)
            return lambda: functional.conv2d(image, weight, None, stride, kernel // 2)

        return build

    for case in (
        (4, 64, 64, 56, 3, 1),
        (4, 256, 256, 14, 3, 1),
        (4, 64, 128, 56, 3, 2),
        (2, 128, 128, 28, 3, 1),
    ):
        label = "x".join(map(str, case))
        yield Probe(f"convolution {label} {name}", f"convolutions.{name}", convolution(*case))


def _attention(name: str) -> Iterator[Probe]:
    dtype = DTYPES[name]

    def forward(batch: int, heads: int, tokens: int) -> Build:
        def build(device: str) -> Callable[[], object]:
            query, key, value = (_heads(device, batch, heads, tokens, dtype) for _ in range(3))
            return lambda: functional.scaled_dot_product_attention(query, key, value)

        return build

    def backward(batch: int, heads: int, tokens: int) -> Build:
        def build(device: str) -> Callable[[], object]:
            query, key, value, given = (_heads(device, batch, heads, tokens, dtype) for _ in range(4))
            aten = torch.ops.aten
            result, sums = aten._scaled_dot_product_flash_attention_for_cpu(query, key, value)
            back = aten._scaled_dot_product_flash_attention_for_cpu_backward
            return lambda: back(given, query, key, value, result, sums, 0.0, False)

        return build

    for case in ((2, 12, 128), (1, 12, 256), (2, 6, 197)):
        label = "x".join(map(str, case))
        yield Probe(f"attention {label} {name}", f"attention.{name}", forward(*case))
        yield Probe(f"attention backward {label} {name}", f"attention_backward.{name}", backward(*case))


def _heads(device: str, batch: int, heads: int, tokens: int, dtype: torch.dtype) -> torch.Tensor:
    """Heads as a model's projection leaves them: 64 wide, side by side."""
    return _tensor(device, batch, tokens, heads, 64, dtype=dtype).transpose(1, 2)


#: Bytes of one operand of the memory probes: within a share of a last-level cache, and far beyond it.
_SIZES = (1 << 20, 4 << 20, 16 << 20, 64 << 20, 128 << 20)


def _memory() -> Iterator[Probe]:
    def read(count: int) -> Build:
        def build(device: str) -> Callable[[], object]:
            values = _tensor(device, count)
            return values.sum

        return build

    def copy(count: int) -> Build:
        def build(device: str) -> Callable[[], object]:
            values, out = _tensor(device, count), _tensor(device, count)
            return lambda: out.copy_(values)

        return build

    def triad(count: int) -> Build:
        def build(device: str) -> Callable[[], object]:
            left, right, out = (_tensor(device, count) for _ in range(3))
            return lambda: torch.add(left, right, alpha=3.0, out=out)

        return build

    for size in _SIZES:
        for kind, make in (("read", read), ("copy", copy), ("triad", triad)):
            yield Probe(f"{kind} {size >> 20} MiB", "memory", make(size // 4), size)


def _pages() -> Iterator[Probe]:
    size = 64 << 20

    def fresh(device: str) -> Callable[[], object]:
        def call() -> object:
            return torch.empty(size // 4, device=device).fill_(1.0)

        return call

    def kept(device: str) -> Callable[[], object]:
        out = torch.empty(size // 4, device=device)
        return lambda: out.fill_(1.0)

    yield Probe("fill 64 MiB fresh", "pages", fresh, size)
    yield Probe("fill 64 MiB again", "pages", kept, size)


#: Elements of a lane probe: its operands stay in the last-level cache, and no allocation is mapped anew.
_ELEMENTS = 1 << 19


def _lanes() -> Iterator[Probe]:
    one = torch.float32
    half = torch.bfloat16

    def unary(call: Callable[[torch.Tensor], Any], dtype: torch.dtype) -> Build:
        def build(device: str) -> Callable[[], object]:
            values = _tensor(device, _ELEMENTS // 512, 512, dtype=dtype)
            return lambda: call(values)

        return build

    def binary(call: Callable[[torch.Tensor, torch.Tensor], Any], dtype: torch.dtype) -> Build:
        def build(device: str) -> Callable[[], object]:
            left, right = (_tensor(device, _ELEMENTS // 512, 512, dtype=dtype) for _ in range(2))
            return lambda: call(left, right)

        return build

    curves: dict[str, Callable[[torch.Tensor], Any]] = {
        "gelu": functional.gelu,
        "gelu_tanh": lambda values: functional.gelu(values, approximate="tanh"),
        "silu": functional.silu,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "sqrt": torch.sqrt,
        "rsqrt": torch.rsqrt,
        "log": torch.log,
        "sin": torch.sin,
        "cos": torch.cos,
    }
    yield Probe("narrow", "lane.narrow", unary(lambda values: values.to(half), one))
    yield Probe("widen", "lane.widen", unary(lambda values: values.to(one), half))
    yield Probe("softmax", "lane.exp", unary(lambda values: values.softmax(-1), one))
    for name, call in curves.items():
        yield Probe(name, f"lane.{name}", unary(call, one))
    yield Probe("divide", "lane.div", binary(torch.div, one))
    yield Probe("dropout", "lane.random", unary(lambda values: torch.native_dropout(values, 0.1, True), one))
    yield Probe(
        "gelu backward",
        "lane.normal_cdf",
        binary(lambda left, right: torch.ops.aten.gelu_backward(left, right), one),
    )
    yield Probe(
        "transposed copy",
        "lane.copy",
        unary(lambda values: values.reshape(8, -1, 64).transpose(0, 1).contiguous(), one),
    )


class Framework:
    """A small network on tiny tensors: what it takes is the framework's time.

    Args:
        device: where it lives.
    """

    def __init__(self, device: str) -> None:
        torch.manual_seed(0)
        with torch.device("meta" if device == "anychip" else "cpu"):
            self.model = nn.Sequential(*(_Block() for _ in range(6)))
        self.model = self.model.to(device)
        self.values = _tensor(device, 1, 4, 8)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)

    def forward(self) -> None:
        """One pass without gradients."""
        with torch.no_grad():
            self.model(self.values)

    def train(self) -> None:
        """Forward and backward pass."""
        self.optimizer.zero_grad()
        self.model(self.values).sum().backward()

    def step(self) -> None:
        """One step of the optimizer; gradients must be there."""
        self.optimizer.step()

    @classmethod
    def graphs(cls) -> dict[str, Graph]:
        """What each call asks for."""
        with Capture(name="weights", with_values=False):
            network = cls("anychip")
            network.train()
            network.step()
        found: dict[str, Graph] = {}
        for name in ("forward", "train", "step"):
            with Capture(name=name, with_values=False) as capture:
                getattr(network, name)()
            found[name] = capture.graph()
        return found


class _Block(nn.Module):
    """A residual block of the operators that models are made of, views and small modules included."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.LayerNorm(8), nn.Dropout(0.1)
        self.inner, self.outer = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The block on (1, 4, 8) values."""
        inner = self.inner(self.norm(values)).view(1, 4, 2, 4).transpose(1, 2)
        scores = torch.matmul(inner, inner.transpose(-1, -2)).softmax(-1)
        joined = torch.matmul(scores, inner).transpose(1, 2).reshape(1, 4, 8)
        return values + self.drop(self.outer(functional.gelu(joined)))
