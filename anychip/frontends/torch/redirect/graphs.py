"""`torch.cuda.CUDAGraph`: calls noted once, then made again on the same tensors.

Capturing computes nothing that lasts and takes no time on the device, as on a GPU. A replay makes the noted
calls on the tensors they were made on, so what was copied into these in between counts, and leaves results
where the capture put them. Python between the calls is not run again; random numbers are drawn anew. What a
graph has noted stays in memory until the graph is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, cycle
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from anychip.frontends.torch.dispatch import DEVICE
from anychip.frontends.torch.places import current_place, in_replay
from anychip.frontends.torch.recorder import Recorder
from anychip.frontends.torch.redirect.names import replace
from anychip.frontends.torch.streams import Stream
from anychip.frontends.torch.tensor import DeviceTensor
from anychip.programs.graph import Region

#: Apart from the numbers of compiled regions.
_numbers = count(-1, -1)


class _Call(NamedTuple):
    """One operator with everything it was given and made, and the number of its place in the script."""

    operator: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    place: int


class _Notes(TorchDispatchMode):
    """Notes every operator on the device that computes anything, and what it wrote over."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self._overwritten: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        place = current_place()
        written = list(_written(func, args, kwargs or {}))
        for elements in written:
            whole = elements.new_empty(0).set_(elements.untyped_storage())
            self._overwritten.setdefault(whole.untyped_storage().data_ptr(), (whole, whole.clone()))
        result = func(*args, **(kwargs or {}))
        made = any(type(each) is DeviceTensor for each in tree_leaves(result))
        if written or (made and not func.is_view):
            self.calls.append(_Call(func, args, kwargs or {}, result, place))
        return result if func._schema.returns else None

    def undo(self) -> None:
        """Puts back what was written over."""
        for elements, before in self._overwritten.values():
            elements.copy_(before)
        self._overwritten.clear()


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[torch.Tensor]:
    """Elements of the tensors that an operator writes into."""
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = args[position] if position < len(args) else kwargs.get(argument.name)
            for each in tree_leaves(given):
                if type(each) is DeviceTensor:
                    yield each.elements


class CudaGraph:
    """A list of operator calls that can be made again.

    Args:
        keep_graph: accepted; nothing has to be kept apart.
    """

    #: The graph that notes what is called now, if one does.
    capturing: CudaGraph | None = None

    def __init__(self, keep_graph: bool = False) -> None:
        self._notes = _Notes()
        self._recorder: Recorder | None = None
        self._regions = cycle(Region(next(_numbers), fuses=False, replayed=True) for _ in range(2))

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global", **options: Any) -> None:
        """Notes operators from now on.

        Raises:
            RuntimeError: another graph does.
        """
        if CudaGraph.capturing is not None:
            raise RuntimeError("a CUDA graph is being captured already; end it before another begins")
        CudaGraph.capturing = self
        self._recorder, DEVICE.recorder = DEVICE.recorder, None
        self._notes.__enter__()

    def capture_end(self) -> None:
        """Notes no more."""
        self._notes.__exit__(None, None, None)
        self._notes.undo()
        DEVICE.recorder = self._recorder
        CudaGraph.capturing = None

    def replay(self) -> None:
        """Makes the calls again, results in the same places."""
        region = next(self._regions)  # another than the last, since that was another launch
        records = DEVICE.recorder.records if DEVICE.recorder is not None else []
        with torch.no_grad():
            for call in self._notes.calls:
                known = len(records)
                again = tree_leaves(call.operator(*call.args, **call.kwargs))
                for index in range(known, len(records)):
                    records[index] = (*records[index][:5], in_replay(call.place, region))
                for before, now in zip(tree_leaves(call.result), again, strict=True):
                    if type(before) is DeviceTensor and now is not before:
                        before.elements.copy_(now.elements)

    def instantiate(self) -> None:
        """Nothing to do: calls are ready as noted."""

    def reset(self) -> None:
        """Forgets the calls."""
        self._notes = _Notes()

    def pool(self) -> tuple[int, int]:
        """All graphs share the device's memory."""
        return (0, 0)

    def enable_debug_mode(self) -> None:
        """Accepted."""

    def debug_dump(self, debug_path: str) -> None:
        """Writes the calls, one a line."""
        with open(debug_path, "w", encoding="utf-8") as file:
            file.writelines(f"{call.operator}\n" for call in self._notes.calls)


def install() -> None:
    """Puts it in force."""
    cuda: Any = torch.cuda
    torch._C._host_emptyCache = lambda: None  # pyright: ignore
    for module in (cuda, cuda.graphs):
        replace(
            module,
            CUDAGraph=CudaGraph,
            graph_pool_handle=lambda: (0, 0),
            is_current_stream_capturing=_is_capturing,
        )
    replace(Stream, is_capturing=lambda self: _is_capturing())


def _is_capturing() -> bool:
    return CudaGraph.capturing is not None
