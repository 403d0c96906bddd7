"""A training step in bf16 with stochastic rounding on the simulated device, against plain fp32 PyTorch.

Run: ``python benchmarks/training_step.py [--chip NAME] [--threads N] [--profile]``. A decoder-only
transformer of 10 million parameters, batch 16, sequences of 256. On the device weights, gradients and
optimizer state are stored in bf16 and every store is rounded stochastically; no fp32 copy of the weights.
Budget: 1.5x the time of the same step in plain fp32 on this processor, two threads. Both sides run in turns,
the best of several rounds counts; processor time of all threads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from anychip.chips import find
from anychip.formats import Rounding, compiled
from anychip.frontends.torch.capture import Capture
from anychip.frontends.torch.values import Values

WIDTH, HEADS, LAYERS, WORDS, BATCH, LENGTH = 320, 5, 8, 1024, 16, 256


class Block(nn.Module):
    """Attention and a feed-forward network, each behind a layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention, self.projection = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One residual block."""
        batch, length, width = x.shape
        heads = self.attention(self.first(x)).view(batch, length, 3, HEADS, width // HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.projection(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(functional.gelu(self.up(self.second(x))))


class Decoder(nn.Module):
    """A small language model with a tied head."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.last = nn.LayerNorm(WIDTH)
        nn.init.normal_(self.words.weight, std=0.02)
        nn.init.normal_(self.places.weight, std=0.02)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Scores of the next word."""
        x = self.words(words) + self.places(torch.arange(words.shape[1], device=words.device))
        return self.last(self.blocks(x)) @ self.words.weight.T


def step_of(model: nn.Module, words: torch.Tensor) -> Callable[[], torch.Tensor]:
    """One step: forward, loss, backward, AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        scores = model(words[:, :-1])
        loss = functional.cross_entropy(scores.flatten(0, 1), words[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def main() -> None:
    """Prints seconds and the ratio; with --profile where the device's step goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chip", default="trn1", help="whose arithmetic (default: trn1)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="also the slowest operators of a step")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    compiled.path()
    compiled.set_threads(arguments.threads)
    numerics = find(arguments.chip).numerics_named("default")
    values = Values(numerics.with_rounding(Rounding.stochastic(seed=1), "bf16"))
    handlers: Any = Timed(values) if arguments.profile else values

    def model() -> Decoder:
        torch.manual_seed(0)
        return Decoder()

    words = torch.randint(0, WORDS, (BATCH, LENGTH + 1), generator=torch.Generator().manual_seed(0))
    plain = step_of(model(), words)
    times: tuple[list[float], list[float]] = ([], [])
    with Capture(handlers=handlers, on_step=values.begin_step):
        device = step_of(model().to("anychip", torch.bfloat16), words.to("anychip"))
        plain(), device()
        for _ in range(arguments.rounds):
            for step, kept in zip((plain, device), times, strict=True):
                start = time.process_time()
                loss = step()
                kept.append(time.process_time() - start)
        print(f"loss on the device after {arguments.rounds + 1} steps: {loss.item():.4f}")
    parameters = sum(each.numel() for each in model().parameters())
    host, simulated = min(times[0]), min(times[1])
    print(
        f"{parameters / 1e6:.1f} M parameters, {numerics.name}, bf16 with stochastic rounding, "
        f"{arguments.threads} threads: plain fp32 {host:.2f} s, device {simulated:.2f} s, "
        f"{simulated / host:.2f}x (budget 1.5x)"
    )
    if arguments.profile:
        handlers.show(arguments.rounds + 1)


class Timed:
    """Kernels that note what they took.

    Args:
        values: the kernels.
    """

    def __init__(self, values: Values) -> None:
        self.values = values
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    def __call__(self, operator: Any) -> Any:
        """The kernel of an overload, timed."""
        return partial(self.run, str(operator), self.values(operator) or operator)

    def run(self, name: str, kernel: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls a kernel."""
        start = time.process_time()
        result = kernel(*args, **kwargs)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start
        self.calls[name] = self.calls.get(name, 0) + 1
        return result

    def show(self, steps: int) -> None:
        """Prints the slowest, per step."""
        for name, seconds in sorted(self.seconds.items(), key=lambda item: -item[1])[:25]:
            print(f"{name:60} {self.calls[name] / steps:7.0f} calls {seconds / steps * 1e3:9.2f} ms a step")


if __name__ == "__main__":
    main()
