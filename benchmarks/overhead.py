"""What capturing costs: microseconds per operator, and whole steps, against plain CPU eager.

Run: ``python benchmarks/overhead.py [--models] [--only NAME]``. Budgets: 12 us per operator with full
attribution and memory accounting, a GPT-2 124M training step (1x128) in 1.2x of plain CPU, BERT-base
inference (8x128, bf16 numerics) in 1.5x. Both sides run in turns on one thread, and the best of several
rounds counts, so that a busy machine disturbs both alike. Building a segment at the end of each round is
part of the price.

A line's operators are the calls of PyTorch's operators (``aten``) that reach the device, views and
allocations among them, as any profiler counts them; the recorded ones are the nodes of the graph.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from anychip.frontends.torch.capture import Capture
from anychip.frontends.torch.device import install

BUDGET_US = 12.0
ROUNDS = 8
Call = Callable[[], Any]


def best(function: Call, repeats: int) -> float:
    """Processor seconds of one call in one round: other programs on the machine do not count."""
    start = time.process_time()
    for _ in range(repeats):
        function()
    return (time.process_time() - start) / repeats


def with_gradient(forward: Callable[..., Any], *tensors: torch.Tensor) -> Call:
    """Forward and backward pass of a function of tensors."""
    leaves = [each.requires_grad_() for each in tensors]
    seed = torch.ones_like(forward(*leaves))

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        forward(*leaves).backward(seed)

    return step


def optimizer_step(device: str, make: Callable[..., torch.optim.Optimizer], **options: Any) -> Call:
    """One step of an optimizer over sixteen parameters whose gradients are there."""
    parameters = [nn.Parameter(torch.ones(8, 8).to(device)) for _ in range(16)]
    for each in parameters:
        each.grad = torch.ones(8, 8).to(device)
    return make(parameters, lr=1e-3, **options).step


def training_step(device: str, model: nn.Module, *shape: int, **options: Any) -> Call:
    """A whole step of AdamW, parameter by parameter unless told otherwise."""
    model = model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), **options)
    batch = torch.randn(*shape).to(device)

    def step() -> None:
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()

    return step


def cases(device: str) -> dict[str, Callable[[], Call]]:
    """Name and maker of each call that is timed."""

    def some(*shape: int) -> torch.Tensor:
        return torch.ones(*shape).to(device)

    def unary(function: Callable[[torch.Tensor], Any], *shape: int) -> Callable[[], Call]:
        return lambda: partial(function, some(*(shape or (8, 8))))

    def learned(function: Callable[..., Any], *shapes: tuple[int, ...]) -> Callable[[], Call]:
        return lambda: with_gradient(function, *(some(*shape) for shape in shapes))

    x, weight, row = some(8, 8), some(8, 8), some(8)
    words = torch.tensor([1, 2, 3, 4]).to(device)
    heads = some(1, 2, 8, 8)
    mlp, layer = (partial(training_step, device) for _ in range(2))
    return {
        "add": unary(lambda x: x + x),
        "add_": unary(lambda x: x.add_(1)),
        "mul with a number": unary(lambda x: x * 2.0),
        "view": unary(lambda x: x.view(64)),
        "transpose + reshape": unary(lambda x: x.transpose(0, 1).reshape(64)),
        "sum": unary(lambda x: x.sum()),
        "mean of a dimension": unary(lambda x: x.mean(-1, keepdim=True)),
        "mm": unary(lambda x: torch.mm(x, x)),
        "matmul 3-d": unary(lambda x: torch.matmul(x, x), 2, 8, 8),
        "linear": lambda: partial(functional.linear, x, weight, row),
        "layer_norm": lambda: partial(functional.layer_norm, x, (8,), row, row),
        "softmax": unary(lambda x: x.softmax(-1)),
        "gelu": unary(functional.gelu),
        "cat": unary(lambda x: torch.cat([x, x])),
        "split": unary(lambda x: x.split(4)),
        "embedding": lambda: partial(functional.embedding, words, weight),
        "index": lambda: partial(lambda: x[words]),
        "comparison and where": unary(lambda x: torch.where(x > 0, x, 0.0)),
        "attention": lambda: partial(functional.scaled_dot_product_attention, heads, heads, heads),
        "conv2d": lambda: partial(functional.conv2d, some(1, 2, 8, 8), some(4, 2, 3, 3)),
        "zeros on the device": lambda: partial(torch.zeros, 8, 8, device=device),
        "add, forward + backward": learned(lambda x, y: x + y, (8, 8), (8, 8)),
        "mul, forward + backward": learned(lambda x: x * 2.0, (8, 8)),
        "sum, forward + backward": learned(lambda x: x.sum(), (8, 8)),
        "mm, forward + backward": learned(torch.mm, (8, 8), (8, 8)),
        "matmul 3-d, forward + backward": learned(torch.matmul, (2, 8, 8), (2, 8, 8)),
        "linear, forward + backward": learned(functional.linear, (8, 8), (8, 8), (8,)),
        "layer_norm, forward + backward": learned(
            lambda x, w, b: functional.layer_norm(x, (8,), w, b), (8, 8), (8,), (8,)
        ),
        "softmax, forward + backward": learned(lambda x: x.softmax(-1), (8, 8)),
        "gelu, forward + backward": learned(functional.gelu, (8, 8)),
        "cat, forward + backward": learned(lambda x, y: torch.cat([x, y]), (8, 8), (8, 8)),
        "embedding, forward + backward": learned(lambda w: functional.embedding(words, w), (8, 8)),
        "index, forward + backward": learned(lambda x: x[words], (8, 8)),
        "reshape, forward + backward": learned(lambda x: x.transpose(0, 1).reshape(64), (8, 8)),
        "attention, forward + backward": learned(
            functional.scaled_dot_product_attention, *[(1, 2, 8, 8)] * 3
        ),
        "SGD, foreach": partial(optimizer_step, device, torch.optim.SGD, momentum=0.9, foreach=True),
        "SGD, one by one": partial(optimizer_step, device, torch.optim.SGD, momentum=0.9, foreach=False),
        "AdamW, foreach": partial(optimizer_step, device, torch.optim.AdamW, foreach=True),
        "AdamW, one by one": partial(optimizer_step, device, torch.optim.AdamW, foreach=False),
        "MLP training step": lambda: mlp(
            nn.Sequential(*[nn.Linear(64, 64) for _ in range(8)]), 16, 64, foreach=False
        ),
        "transformer layer's training step": lambda: layer(
            nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True), 2, 8, 32
        ),
    }


def operators(only: str = "") -> bool:
    """Prints microseconds per operator beyond plain CPU; whether all are within the budget."""
    print(f"{'':34} operators recorded   cpu us device us beyond us    each")
    on_host, on_device = cases("cpu"), cases("anychip")
    over: list[str] = []
    for name in on_host:
        if only not in name:
            continue
        plain, captured = on_host[name](), on_device[name]()
        plain()
        count, recorded = operators_of(captured)
        repeats = max(10, min(2000, int(0.1 / best(captured, 3))))
        times: tuple[list[float], list[float]] = ([], [])
        gc.collect()
        with Capture() as capture:
            captured()

            def round_with_cut(call: Call = captured, repeats: int = repeats) -> None:
                for _ in range(repeats):
                    call()
                capture.recorder.cut("synchronize")

            for _ in range(ROUNDS):
                times[0].append(best(plain, repeats))
                times[1].append(best(round_with_cut, 1) / repeats)
        host, device = min(times[0]) * 1e6, min(times[1]) * 1e6
        each = (device - host) / count
        if each > BUDGET_US:
            over.append(name)
        beyond = f"{device - host:9.2f} {each:7.2f}"
        print(f"{name:34} {count:9} {recorded:8} {host:8.2f} {device:9.2f} {beyond}")
    print(
        f"over the budget of {BUDGET_US:g} us: {', '.join(over)}"
        if over
        else f"all within {BUDGET_US:g} us an operator"
    )
    return not over


class Counting(TorchDispatchMode):
    """Counts the operators that reach the device."""

    calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def operators_of(call: Call) -> tuple[int, int]:
    """How many operators a call is once it has run before, and how many of them the capture records."""
    with Capture() as capture:
        call()
        capture.recorder.cut("synchronize")
        before = capture.recorder.operators
        with Counting() as counting:
            call()
        capture.recorder.cut("synchronize")
        return counting.calls, capture.recorder.operators - before


def models() -> None:
    """The two models of the budget."""
    from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

    from anychip.chips import find
    from anychip.frontends.torch.values import handler

    def gpt2(device: str) -> Call:
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config()).to(device)
        optimizer = torch.optim.AdamW(model.parameters())
        words = torch.randint(0, 50257, (1, 128)).to(device)

        def step() -> None:
            optimizer.zero_grad()
            model(words, labels=words).loss.backward()
            optimizer.step()

        return step

    def bert(device: str) -> Call:
        torch.manual_seed(0)
        model = BertModel(BertConfig()).eval().to(device)
        words = torch.randint(0, 30000, (8, 128)).to(device)

        def forward() -> None:
            with torch.no_grad():
                model(words)

        return forward

    bf16 = find("trn1").numerics_named("default")
    for name, make, options, budget in (
        ("GPT-2 124M training step 1x128, fp32", gpt2, {}, 1.2),
        ("BERT-base inference 8x128, bf16", bert, {"handlers": partial(handler, numerics=bf16)}, 1.5),
    ):
        install()
        plain, on_device = make("cpu"), make("anychip")
        times: tuple[list[float], list[float]] = ([], [])
        plain()
        with Capture(**options):
            on_device()
            for _ in range(3):
                times[0].append(best(plain, 1))
                times[1].append(best(on_device, 1))
        host, device = min(times[0]), min(times[1])
        print(f"{name}: cpu {host:.2f} s, device {device:.2f} s, {device / host:.2f}x (budget {budget}x)")


def main() -> int:
    """Exit code 1 where an operator takes more than the budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", action="store_true", help="also the two models; needs transformers")
    parser.add_argument("--only", default="", metavar="NAME", help="only lines whose name contains NAME")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    install()
    within = operators(arguments.only)
    if arguments.models:
        models()
    return 0 if within else 1


if __name__ == "__main__":
    raise SystemExit(main())
