"""What a script brings from the device to the host, kept for comparison with another run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch

from anychip.frontends.torch.dispatch import DEVICE


@contextmanager
def fetched_numbers(most: int, *, seed: int) -> Generator[Callable[[], Any]]:
    """Keeps real numbers that cross to the host, in order, as an array of fp64.

    Args:
        most: elements to keep; later ones are dropped.
        seed: of PyTorch's generator at the start; a script's own seed overrides it.
    """
    kept: list[torch.Tensor] = []
    room = most

    def keep(crossing: torch.Tensor) -> None:
        nonlocal room
        if crossing.is_floating_point() and not crossing.is_meta and room > 0:
            numbers = crossing.detach().reshape(-1)[:room].to(torch.float64, copy=True)
            room -= numbers.numel()
            kept.append(numbers)

    torch.manual_seed(seed)
    DEVICE.on_fetch = keep
    try:
        yield lambda: torch.cat(kept).numpy() if kept else torch.zeros(0, dtype=torch.float64).numpy()
    finally:
        DEVICE.on_fetch = None
