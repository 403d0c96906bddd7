"""Queues and moments of the device: it runs everything in the order of the calls, on a simulated clock."""

from __future__ import annotations

import contextlib
from itertools import count
from typing import Any, ClassVar

import torch

from anychip.frontends.torch.dispatch import DEVICE

_OUTSIDE_DEVICE = int(torch._C._autograd.DeviceType.PrivateUse1)  # pyright: ignore


_numbers = count()


def cut(reason: str) -> None:
    """The host looks: what was recorded so far ends here."""
    if DEVICE.recorder is not None:
        DEVICE.recorder.cut(reason)


class Stream(torch.Stream):
    """A queue of work. The device runs everything in the order of the calls, so queues are names.

    PyTorch's parser of arguments (`Tensor.record_stream`) takes nothing but its own class.
    """

    def __new__(cls, device: Any = None, priority: int = 0, **kwargs: Any) -> Stream:
        """A further queue, whatever it is to be ahead of."""
        made: Any = super().__new__
        stream = made(cls, stream_id=next(_numbers), device_index=0, device_type=_OUTSIDE_DEVICE)
        stream.priority = priority
        return stream

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """`__new__` has done all."""

    @property
    def device(self) -> torch.device:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The one there is, by the name that the script knows."""
        return DEVICE.shown

    @property
    def cuda_stream(self) -> int:
        """What libraries pass on as the queue's handle."""
        return self.stream_id

    @staticmethod
    def priority_range() -> tuple[int, int]:
        """Lowest and highest priority, as CUDA has them."""
        return 0, -5

    def __repr__(self) -> str:
        return f"<torch.cuda.Stream device={self.device} cuda_stream={self.stream_id:#x}>"

    def wait_stream(self, other: Any) -> None:
        """Order holds already."""

    def wait_event(self, event: Any) -> None:
        """Order holds already."""

    def record_event(self, event: Any = None) -> Any:
        """An event at this point."""
        event = event if event is not None else Event()
        event.record(self)
        return event

    def synchronize(self) -> None:
        """The host waits."""
        cut("synchronize")

    def query(self) -> bool:
        """Whether all work is done."""
        return True

    def is_capturing(self) -> bool:
        """Whether a graph notes what is called: only CUDA's can."""
        return False

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        return None


class Event:
    """A moment of simulated time."""

    #: Simulated seconds that the device has worked for; a run puts its own clock here.
    clock_s: ClassVar[Any] = staticmethod(lambda: 0.0)

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False, **_: Any
    ):
        self.enable_timing = enable_timing
        self._at_s: float | None = None
        self.device = DEVICE.shown
        self.cuda_event = id(self) & 0xFFFF

    def record(self, stream: Any = None) -> None:
        """Notes the time at which all work before is done, if anyone may ask for it."""
        if self.enable_timing:
            cut("event")
            self._at_s = self.clock_s()

    def wait(self, stream: Any = None) -> None:
        """Order holds already."""

    def query(self) -> bool:
        """Whether the moment has come."""
        return True

    def synchronize(self) -> None:
        """The host waits for it."""
        cut("synchronize")

    def elapsed_time(self, end_event: Event) -> float:
        """Simulated milliseconds from this event to `end_event`.

        Raises:
            RuntimeError: one of the two was not recorded with timing enabled.
        """
        if not (self.enable_timing and end_event.enable_timing):
            raise RuntimeError("Both events must be created with argument 'enable_timing=True'.")
        if self._at_s is None or end_event._at_s is None:
            raise RuntimeError("Both events must be recorded before calculating elapsed time.")
        return (end_event._at_s - self._at_s) * 1000.0


_only = Stream()


def current_stream(device: Any = None) -> Stream:
    """The one queue that stands for all."""
    return _only


def in_stream(stream: Any) -> Any:
    """A context in which work goes to a queue; None: to the one that it goes to anyway."""
    return stream if isinstance(stream, Stream) else contextlib.nullcontext()
