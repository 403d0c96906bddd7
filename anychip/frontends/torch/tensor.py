"""A tensor that lives on the simulated device: a plain tensor inside, an accelerator's tensor outside.

PyTorch sees device type ``anychip`` (its slot for outside accelerators, PrivateUse1): autograd, autocast,
optimizers and libraries treat it as they treat any accelerator. The elements lie in a tensor on the host,
or nowhere (``meta``) when a workload is captured for its time alone.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from anychip.errors import NotModelled
from anychip.frontends.torch.failures import guarded, is_called_by_engine, kept
from anychip.frontends.torch.memory import Storage
from anychip.frontends.torch.native import SEAM, connect

#: (element type, extents, strides, offset): what of its storage a tensor shows.
Geometry = tuple[torch.dtype, tuple[int, ...], tuple[int, ...], int]

DEVICE_TYPE = "anychip"
_OWN_ATTRIBUTES = ("elements", "memory", "geometry")

_OTHER_LIBRARIES = (
    "memory of the simulated device cannot be handed to another library; use Tensor.cpu() to copy it first"
)

_make_wrapper = torch.Tensor._make_wrapper_subclass  # pyright: ignore
_plain_data = torch._C.TensorBase.data  # pyright: ignore
_plain_device = torch._C.TensorBase.device  # pyright: ignore


class DeviceTensor(torch.Tensor):
    """What a program holds after ``.to("anychip")``.

    Attributes:
        elements: a plain tensor on the host (or on ``meta``).
        memory: the device memory that this tensor and its views show.
        geometry: which part of it.
    """

    elements: torch.Tensor
    memory: Storage
    geometry: Geometry

    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if len(types) > 1 and not COMPANIONS.issuperset(types):
            return NotImplemented  # a tensor that holds device tensors (nested, distributed) takes the call
        try:
            return _dispatch(func, args, kwargs)
        except Exception as error:
            if not is_called_by_engine(2):
                raise
            return kept(error)  # called by the engine itself, which no Python error may cross

    def register_hook(self, hook: Any) -> Any:
        """As on every tensor; an error in the hook ends the backward pass."""
        return super().register_hook(guarded(hook))

    def register_post_accumulate_grad_hook(self, hook: Any) -> Any:
        """As on every tensor; an error in the hook ends the backward pass."""
        return super().register_post_accumulate_grad_hook(guarded(hook))

    @property
    def data(self) -> torch.Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The tensor without its history."""
        return _plain_data.__get__(self)  # pyright: ignore

    @data.setter
    def data(self, other: torch.Tensor) -> None:
        assign_data(self, other)

    def data_ptr(self) -> int:
        """Address of the elements; 0 where they lie nowhere."""
        return self.elements.data_ptr()

    def untyped_storage(self) -> torch.UntypedStorage:
        """The device's storage: reading it is a copy to the host."""
        return _show_storage(self.elements.untyped_storage(), self.memory)

    def numpy(self, *, force: bool = False) -> Any:
        """An array of a copy on the host, if forced.

        Raises:
            TypeError: as for every accelerator's tensor.
        """
        if force:
            return self.detach().cpu().numpy()
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. "
            "Use Tensor.cpu() to copy the tensor to host memory first."
        )

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self.numpy()

    def __dlpack__(self, **options: Any) -> Any:
        """Never: what another library did with the memory would be no work of the device."""
        raise BufferError(_OTHER_LIBRARIES)

    def __dlpack_device__(self) -> Any:
        raise BufferError(_OTHER_LIBRARIES)

    @property
    def __cuda_array_interface__(self) -> Any:
        raise AttributeError(_OTHER_LIBRARIES)

    def tolist(self) -> Any:
        """The elements as Python numbers; the host waits for them."""
        return self.detach().cpu().tolist()

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        """As PyTorch prints an accelerator's tensor."""
        if torch._C._functorch.is_functorch_wrapped_tensor(self):  # pyright: ignore
            return super().__repr__()
        if tensor_contents is None:
            with torch.no_grad():
                plain = self.detach().cpu()
            if plain.layout is not torch.strided:
                return repr(plain)
            tensor_contents = torch._tensor_str._tensor_str(plain, 7)  # pyright: ignore
        with torch._C._DisableTorchDispatch():  # pyright: ignore
            text = torch._tensor_str._str_intern(self, tensor_contents=tensor_contents)  # pyright: ignore
        text = text.replace(f"{type(self).__name__}(", "tensor(", 1)
        if text.startswith("Parameter(") and text.endswith(")"):
            text = "Parameter containing:\n" + text[len("Parameter(") : -1]
        return text

    def __format__(self, format_spec: str) -> str:
        if self.dim() == 0:
            return format(self.item(), format_spec)
        return object.__format__(self, format_spec)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _reduce(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        if id(self) in memo:
            return memo[id(self)]
        if not self.is_leaf:
            raise RuntimeError(
                "only tensors that the user created (graph leaves) can be deep-copied; detach() it first"
            )
        with torch.no_grad():
            copy = self.detach().clone()
        copy.requires_grad_(self.requires_grad)
        memo[id(self)] = copy
        for name, value in self.__dict__.items():
            if name not in _OWN_ATTRIBUTES:
                setattr(copy, name, deepcopy(value, memo))
        if self.grad is not None:
            copy.grad = deepcopy(self.grad, memo)
        return copy


#: Tensor classes that the device computes with itself, beside its own.
COMPANIONS: set[type] = {DeviceTensor}
_dispatch: Callable[[Any, Any, Any], Any]
_reduce: Callable[[DeviceTensor], Any]
_show_storage: Callable[[torch.UntypedStorage, Storage], torch.UntypedStorage]


def set_dispatch(dispatch: Callable[[Any, Any, Any], Any]) -> None:
    """Names the seam that runs operators on device tensors."""
    global _dispatch
    _dispatch = dispatch


def set_reduce(reduce: Callable[[DeviceTensor], Any]) -> None:
    """Names the function that says how a device tensor is pickled."""
    global _reduce
    _reduce = reduce


def set_show_storage(show_storage: Callable[[torch.UntypedStorage, Storage], torch.UntypedStorage]) -> None:
    """Names the function that gives the storage programs see."""
    global _show_storage
    _show_storage = show_storage


def assign_data(target: torch.Tensor, source: torch.Tensor) -> None:
    """``target.data = source`` where at least one of them is on the device."""
    if type(target) is DeviceTensor and type(source) is DeviceTensor:
        _plain_data.__set__(target, source)  # pyright: ignore
        target.elements, target.memory, target.geometry = source.elements, source.memory, source.geometry
        return
    with torch.no_grad():
        other = source.detach()
    if isinstance(target, torch.nn.Parameter):
        other = torch.nn.Parameter(other, requires_grad=target.requires_grad)
    else:
        other.requires_grad_(target.requires_grad)
    other.grad = None
    torch.utils.swap_tensors(target, other)


def geometry_of(inner: torch.Tensor) -> Geometry:
    """Geometry of a plain tensor; sparse and other tensors without strides count as contiguous."""
    if inner.layout is torch.strided:
        return (inner.dtype, inner.shape, inner.stride(), int(inner.storage_offset()))
    return (inner.dtype, inner.shape, contiguous_strides(inner.shape), 0)


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides, in elements."""
    strides: list[int] = []
    step = 1
    for extent in reversed(shape):
        strides.append(step)
        step *= max(extent, 1)
    return tuple(reversed(strides))


def wrap(inner: torch.Tensor, memory: Storage, device: torch.device) -> DeviceTensor:
    """A device tensor over `inner` that shows part of `memory`."""
    layout = inner.layout
    geometry: Any
    if layout is torch.strided:
        geometry = (inner.dtype, inner.shape, inner.stride(), inner.storage_offset())
    else:
        geometry = geometry_of(inner)
        if layout is not torch.sparse_coo:
            # PyTorch's core ends the process when it is asked for the layout of such a wrapper.
            raise NotModelled(f"tensors of layout {layout} cannot be on the device; use sparse_coo or dense")
    outer = _make_wrapper(
        DeviceTensor, geometry[1], geometry[2], geometry[3], None, geometry[0], layout, device
    )
    outer.elements = inner
    outer.memory = memory
    outer.geometry = geometry
    return outer


def adopt_geometry(outer: DeviceTensor) -> None:
    """The tensor inside has other elements or another shape: the outer one follows."""
    outer.geometry = geometry_of(outer.elements)
    fresh = wrap(outer.elements, outer.memory, _plain_device.__get__(outer))  # pyright: ignore
    with torch.no_grad():
        _plain_data.__set__(outer, fresh)  # pyright: ignore


def size_of(inner: torch.Tensor) -> int:
    """Bytes that the storage of a plain tensor takes on a device."""
    if inner.layout is torch.strided:
        return inner.untyped_storage().nbytes()
    return sum(part.untyped_storage().nbytes() for part in sparse_parts(inner))


def sparse_parts(inner: torch.Tensor) -> list[torch.Tensor]:
    """The dense tensors that a sparse one consists of."""
    if inner.layout is torch.sparse_coo:
        return [inner._indices(), inner._values()]
    if inner.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [inner.crow_indices(), inner.col_indices(), inner.values()]
    if inner.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [inner.ccol_indices(), inner.row_indices(), inner.values()]
    return []


connect(
    DeviceTensor=DeviceTensor,
    Tensor=torch.Tensor,
    DEVICE_TYPE=DEVICE_TYPE,
    COMPANIONS=COMPANIONS,
    strided=torch.strided,
    make_wrapper=_make_wrapper,
    wrap=wrap,
    size_of=size_of,
    adopt_geometry=adopt_geometry,
    is_called_by_engine=is_called_by_engine,
    kept=kept,
)
if not TYPE_CHECKING and SEAM is not None:
    DeviceTensor.__torch_dispatch__ = SEAM.torch_dispatch
    wrap = SEAM.wrap
