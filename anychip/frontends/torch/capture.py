"""Listens to what runs on the device and gives it as a Graph."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from anychip.errors import InvalidInput
from anychip.frontends.torch import absence, checkpoints, failures
from anychip.frontends.torch.device import install
from anychip.frontends.torch.dispatch import DEVICE, Handlers, host_order
from anychip.frontends.torch.memory import LEDGER
from anychip.frontends.torch.places import PLACES, STATE, ModuleWatch, set_source_root, user_line
from anychip.frontends.torch.recorder import Recorder
from anychip.frontends.torch.tensor import DeviceTensor
from anychip.programs.graph import Graph


class StopCapture(BaseException):
    """Enough has been seen: unwinds the user's script, which is no error."""


class Capture:
    """Records everything between ``with`` and its end.

    Args:
        name: of the workload, for the Graph.
        numerics: label of the arithmetic.
        handlers: kernels in that arithmetic, per overload; without it PyTorch's CPU kernels compute.
        with_values: False computes nothing and allocates nothing.
        stop_after_steps: `StopCapture` is raised when so many optimizer steps are done.
        stop_after_forwards: the same for top-level forward passes, as long as nothing is trained.
        source_root: folder to which source lines are relative.
        on_step: told how many optimizer steps are done, after each; stochastic rounding counts by steps.
        on_pass: told which module (its `id`) is called from outside any other, before each such call.

    Example:
        >>> with Capture(name="one step") as capture:
        ...     model.to("anychip")(inputs.to("anychip")).sum().backward()
        >>> graph = capture.graph()
    """

    def __init__(
        self,
        *,
        name: str = "workload",
        numerics: str = "host",
        handlers: Handlers = host_order,
        with_values: bool = True,
        stop_after_steps: int | None = None,
        stop_after_forwards: int | None = None,
        source_root: str = "",
        on_step: Callable[[int], None] | None = None,
        on_pass: Callable[[int], None] | None = None,
    ) -> None:
        self.recorder = Recorder(name, numerics, with_values=with_values)
        self._handlers = handlers
        self._with_values = with_values
        self._stop_after_steps = stop_after_steps
        self._stop_after_forwards = stop_after_forwards
        self._inferences = 0
        self._optimizers: bool | None = None
        self._source_root = source_root
        self._on_step = on_step
        self._on_pass = on_pass
        self._watch = ModuleWatch(self._root_called, self._root_returned, self._pass_begins)
        self._hooks: list[Any] = []
        self._graph: Graph | None = None

    def __enter__(self) -> Capture:
        install()
        if DEVICE.recorder is not None:
            raise InvalidInput("a capture is running already; end it before another begins")
        set_source_root(self._source_root)
        DEVICE.use(self._handlers, with_values=self._with_values)
        LEDGER.start_capture()
        if not self._with_values:
            absence.start()
            checkpoints.start()
        self._hooks = [
            register_optimizer_step_pre_hook(self._optimizer_starts),
            register_optimizer_step_post_hook(self._optimizer_stepped),
        ]
        failures.after_backward.append(self._backward_ended)
        self._watch.start()
        DEVICE.recorder = self.recorder
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        DEVICE.recorder = None
        if not self._with_values:
            checkpoints.stop()
            absence.stop()
        self._watch.stop()
        failures.after_backward.remove(self._backward_ended)
        for hook in self._hooks:
            hook.remove()
        STATE.optimizer_depth = 0
        STATE.optimizer_line = None
        STATE.modules.clear()
        self._graph = self.recorder.graph()
        DEVICE.use(host_order, with_values=True)

    def graph(self) -> Graph:
        """What was recorded; during the capture, what was recorded so far."""
        return self._graph if self._graph is not None else self.recorder.graph()

    def _root_called(self, module: Any, name: str) -> None:
        for tensor in (*module.parameters(), *module.buffers()):
            if type(tensor) is DeviceTensor:
                tensor.memory.allocation.kind = "parameter"

    def _pass_begins(self, module: Any) -> None:
        if self._on_pass is None or torch._C._current_autograd_node() is not None:  # pyright: ignore
            return
        if next(module.parameters(), None) is not None:
            self._on_pass(id(module))

    def _root_returned(self, module: Any, args: Any, kwargs: Any) -> None:
        if next(module.parameters(), None) is None or torch._C._current_autograd_node() is not None:  # pyright: ignore
            return
        items, tokens = _batch(args, kwargs)
        self.recorder.forward(items, tokens)
        if self._are_forwards_enough(module):
            raise StopCapture

    def _are_forwards_enough(self, module: Any) -> bool:
        """Whether so many forward passes were made that train nothing."""
        limit = self._stop_after_forwards
        if limit is None:
            return False
        late = not self.recorder.steps and self.recorder.forwards > limit
        if late and self._has_backward() and self._trains_by_hand():
            self.recorder.cut("forward")  # to see the steps that the script takes itself
        if self.recorder.steps:
            return self._are_steps_enough()
        if module.training and torch.is_grad_enabled():
            # A backward may still follow: one pass later it has, or this is inference all the same.
            return self.recorder.forwards > limit and not self._has_backward()
        self._inferences += 1
        return self._inferences >= limit

    def _trains_by_hand(self) -> bool:
        """Whether, at the first backward pass, there was no optimizer of PyTorch that could step later."""
        if self._optimizers is None:
            self._optimizers = any(issubclass(type(each), Optimizer) for each in gc.get_objects())
        return not self._optimizers

    def _has_backward(self) -> bool:
        recorder = self.recorder
        pending = any(PLACES[record[5]].phase == "backward" for record in recorder.records)
        return pending or any(
            node.place.phase == "backward" for segment in recorder.segments for node in segment.nodes
        )

    def _optimizer_starts(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        STATE.optimizer_depth += 1
        # PyTorch's own optimizers call nothing of the user's but closures, so one walk over frames is enough.
        own = type(optimizer).__module__.startswith("torch.optim") and len(args) < 2 and not kwargs
        STATE.optimizer_line = user_line(sys._getframe(1)) if own else None  # pyright: ignore

    def _optimizer_stepped(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        STATE.optimizer_depth = max(0, STATE.optimizer_depth - 1)
        STATE.optimizer_line = None
        self.recorder.step()
        if self._on_step is not None:
            self._on_step(self.recorder.steps)
        if self._are_steps_enough():
            raise StopCapture

    def _are_steps_enough(self) -> bool:
        return self._stop_after_steps is not None and self.recorder.steps >= self._stop_after_steps

    def _backward_ended(self) -> None:
        recorder = self.recorder
        if not recorder.forwards and self._trains_by_hand():
            recorder.backward()
            if self._are_steps_enough():
                raise StopCapture


def _batch(args: Any, kwargs: Any) -> tuple[int | None, int | None]:
    """(samples, tokens) of a module's first tensor input."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.Tensor) and value.dim() > 0:
            items = value.shape[0]
            integers = not value.is_floating_point() and value.dim() == 2
            return items, items * value.shape[1] if integers else None
    return None, None
