"""A calibration's measurements on a CUDA GPU, timed by its events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from anychip.errors import InvalidInput
from anychip.frontends.torch.calibration.probes import DTYPES
from anychip.frontends.torch.calibration.timing import LEAST_REPETITIONS

#: Seconds of so many calls in a row.
Seconds = Callable[[Callable[[], object], int], float]
_SIDE, _COPY_BYTES, _LAUNCHES = 4096, 256 << 20, 1000


@dataclass(frozen=True)
class MeasuredGpu:
    """What was timed.

    Args:
        name: as the driver says.
        macs_per_second: of large products, by format.
        bytes_per_second: of a large copy, read and write together.
        launch_s: host time of one small kernel in a long row.
    """

    name: str
    macs_per_second: dict[str, float]
    bytes_per_second: float
    launch_s: float


def device_name() -> str:
    """Name of the first CUDA GPU.

    Raises:
        InvalidInput: PyTorch sees none.
    """
    if not torch.cuda.is_available():
        raise InvalidInput(
            f"--device cuda: PyTorch {torch.__version__} sees no CUDA GPU here; leave the option out"
        )
    return torch.cuda.get_device_name(0)


def event_seconds(call: Callable[[], object], count: int) -> float:
    """Seconds of `count` calls between two events of the device."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(count):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) * 1e-3


def measured_gpu(name: str, *, device: str = "cuda", seconds: Seconds = event_seconds) -> MeasuredGpu:
    """The fastest of ten interleaved repetitions of each.

    Args:
        name: of the device.
        device: where the tensors live.
        seconds: how a row of calls is timed.
    """
    small = torch.zeros(8, device=device)
    source = torch.zeros(_COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    calls: dict[str, tuple[Callable[[], object], int]] = {
        "launch": (lambda: small.add_(1.0), _LAUNCHES),
        "copy": (lambda: target.copy_(source), 4),
    }
    for form, dtype in DTYPES.items():
        left, right = (torch.ones(_SIDE, _SIDE, dtype=dtype, device=device) for _ in range(2))
        calls[form] = (lambda left=left, right=right: torch.mm(left, right), 4)
    best: dict[str, float] = {}
    for _ in range(LEAST_REPETITIONS + 1):
        for key, (call, count) in calls.items():
            once = seconds(call, count) / count
            best[key] = min(best.get(key, once), once)
    products = {form: _SIDE**3 / best[form] for form in DTYPES}
    return MeasuredGpu(name, products, 2 * _COPY_BYTES / best["copy"], best["launch"])
