"""What capturing costs: microseconds per operator, and whole steps, against plain CPU eager.

Run: ``python benchmarks/overhead.py [--models]``. Budgets: 12 us per operator with full attribution and
memory accounting, a GPT-2 124M training step (1x128) in 1.2x of plain CPU, BERT-base inference (8x128, bf16
numerics) in 1.5x. Both sides run in turns on one thread, and the best of several rounds counts, so that a
busy machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn

from anychip.frontends.torch.capture import Capture
from anychip.frontends.torch.device import install

ROUNDS = 3


def best(function: Callable[[], Any], repeats: int) -> float:
    """Processor seconds of one call in one round: other programs on the machine do not count."""
    start = time.process_time()
    for _ in range(repeats):
        function()
    return (time.process_time() - start) / repeats


def operators() -> None:
    """Microseconds per operator beyond plain CPU."""
    print(f"{'operator':28} {'cpu us':>8} {'device us':>10} {'beyond us':>10}")
    for name, make in {
        "add 8x8": lambda x: lambda: x + x,
        "add_ 8x8": lambda x: lambda: x.add_(1),
        "view": lambda x: lambda: x.view(64),
        "mm 8x8": lambda x: lambda: torch.mm(x, x),
    }.items():
        plain = make(torch.ones(8, 8))
        on_device = make(torch.ones(8, 8).to("anychip"))
        times: tuple[list[float], list[float]] = ([], [])
        with Capture() as capture:
            for _ in range(ROUNDS):
                times[0].append(best(plain, 3000))

                def round_with_cut(call: Callable[[], Any] = on_device) -> None:
                    for _ in range(3000):
                        call()
                    capture.recorder.cut("synchronize")  # building the segment is part of the price

                times[1].append(best(round_with_cut, 1) / 3000)
        host, device = min(times[0]) * 1e6, min(times[1]) * 1e6
        print(f"{name:28} {host:8.2f} {device:10.2f} {device - host:10.2f}")


def mlp_step() -> None:
    """A training step of eight small layers: nothing but overhead."""
    steps = {}
    for device in ("cpu", "anychip"):
        torch.manual_seed(0)
        model = nn.Sequential(*[nn.Linear(64, 64) for _ in range(8)]).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
        batch = torch.randn(16, 64).to(device)

        def step(model: Any = model, optimizer: Any = optimizer, batch: Any = batch) -> None:
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()

        with Capture() if device == "anychip" else nullcontext() as capture:
            steps[device] = min(best(step, 20) for _ in range(ROUNDS))
        if capture is not None:
            graph = capture.graph()
            count = len(graph.segments[graph.path[-2]].nodes)
    beyond = (steps["anychip"] - steps["cpu"]) / count * 1e6
    host, device = steps["cpu"] * 1e3, steps["anychip"] * 1e3
    print(
        f"MLP step, {count} operators: cpu {host:.2f} ms, device {device:.2f} ms, {beyond:.2f} us an operator"
    )


def models() -> None:
    """The two models of the budget."""
    from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

    from anychip.chips import find
    from anychip.frontends.torch.values import handler

    def gpt2(device: str) -> Callable[[], Any]:
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config()).to(device)
        optimizer = torch.optim.AdamW(model.parameters())
        words = torch.randint(0, 50257, (1, 128)).to(device)

        def step() -> None:
            optimizer.zero_grad()
            model(words, labels=words).loss.backward()
            optimizer.step()

        return step

    def bert(device: str) -> Callable[[], Any]:
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", action="store_true", help="also the two models; needs transformers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    install()
    operators()
    mlp_step()
    if arguments.models:
        models()
