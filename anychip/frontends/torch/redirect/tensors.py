"""Redirects factories, ``Tensor.to`` and its kin, modules, device contexts, generators, and ``.device``."""

from __future__ import annotations

from typing import Any

import torch
import torch.utils._device
import torch.utils.dlpack
from torch.jit import _builtins

from anychip.frontends.torch.dispatch import DEVICE
from anychip.frontends.torch.redirect.names import (
    REDIRECTED,
    here,
    replace,
    translate,
    with_any_device,
    with_device_argument,
)
from anychip.frontends.torch.storages import moved
from anychip.frontends.torch.tensor import DEVICE_TYPE, DeviceTensor, assign_data

_FACTORIES = """arange asarray as_tensor bartlett_window blackman_window empty empty_permuted empty_quantized
    empty_strided eye from_file full hamming_window hann_window kaiser_window linspace logspace ones rand
    randint randn randperm range scalar_tensor sparse_bsc_tensor sparse_bsr_tensor sparse_compressed_tensor
    sparse_coo_tensor sparse_csc_tensor sparse_csr_tensor tensor tril_indices triu_indices zeros empty_like
    full_like ones_like rand_like randn_like randint_like zeros_like""".split()
_NEW = "new_empty new_empty_strided new_full new_ones new_tensor new_zeros".split()
_base: Any = torch._C.TensorBase  # pyright: ignore


def install() -> None:
    """Puts these in force."""
    torch.utils._device._device_constructors()  # pyright: ignore  # its cache must hold the real functions
    for name in _FACTORIES:
        plain = getattr(torch, name)
        redirected = with_device_argument(plain)
        setattr(torch, name, redirected)
        _for_script(name, plain, redirected)
    for name in ("fftfreq", "rfftfreq"):
        setattr(torch.fft, name, with_device_argument(getattr(torch.fft, name)))
    torch.nested.nested_tensor = with_device_argument(torch.nested.nested_tensor)
    for name in _NEW:
        setattr(torch.Tensor, name, with_device_argument(getattr(torch.Tensor, name)))
    _tensor_methods()
    _exchange()
    _module_methods()
    _contexts()
    _generator()
    _storages()
    _show()


def _for_script(name: str, *functions: Any) -> None:
    """TorchScript, which forward differentiation uses inside, knows operators by their Python functions."""
    known: Any = _builtins
    for function in functions:
        known._builtin_ops.append((function, f"aten::{name}"))
        if known._builtin_table is not None:
            known._builtin_table[id(function)] = f"aten::{name}"


def _tensor_methods() -> None:
    def cuda(self: Any, device: Any = None, non_blocking: bool = False, **kwargs: Any) -> Any:
        target = here() if device is None else translate(device)
        return _base.to(self, device=target, non_blocking=non_blocking, **kwargs)

    def pin_memory(self: Any, device: Any = None) -> Any:
        if type(self) is DeviceTensor:
            raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
        pinned = self.clone() if not getattr(self, "_anychip_pinned", False) else self
        pinned._anychip_pinned = True
        return pinned

    def is_pinned(self: Any, device: Any = None) -> bool:
        return bool(getattr(self, "_anychip_pinned", False))

    plain_type = _base.type

    def type_(self: Any, dtype: Any = None, non_blocking: bool = False, **kwargs: Any) -> Any:
        if dtype is None:
            text = plain_type(self)
            return text.replace(f"torch.{DEVICE_TYPE}.", "torch.cuda.")
        if isinstance(dtype, LegacyType) or (isinstance(dtype, str) and dtype.startswith("torch.cuda.")):
            wanted = dtype if isinstance(dtype, LegacyType) else getattr(torch.cuda, dtype.rpartition(".")[2])
            return _base.to(self, here(), wanted.dtype, non_blocking)
        return plain_type(self, dtype, non_blocking, **kwargs)

    plain_data = _base.data

    def set_data(self: Any, other: Any) -> None:
        if type(other) is DeviceTensor or type(self) is DeviceTensor:
            assign_data(self, other)
        else:
            plain_data.__set__(self, other)

    replace(
        torch.Tensor,
        to=with_any_device(_base.to),
        cuda=cuda,
        pin_memory=pin_memory,
        is_pinned=is_pinned,
        type=type_,
        data=property(plain_data.__get__, set_data),
    )


def _exchange() -> None:
    """DLPack between device tensors is a view; to anywhere else it is an error that names the way."""
    plain_from, plain_to = torch.from_dlpack, torch.to_dlpack

    def from_dlpack(ext_tensor: Any, **options: Any) -> Any:
        if type(ext_tensor) is DeviceTensor:
            return ext_tensor.detach().view(ext_tensor.shape)
        return plain_from(ext_tensor, **options)

    def to_dlpack(tensor: Any) -> Any:
        return tensor.__dlpack__() if type(tensor) is DeviceTensor else plain_to(tensor)

    for owner in (torch, torch.utils.dlpack):
        replace(owner, from_dlpack=from_dlpack, to_dlpack=to_dlpack)


def _module_methods() -> None:
    module_to = torch.nn.Module.to

    def cuda(self: Any, device: Any = None) -> Any:
        target = here() if device is None else translate(device)
        return self._apply(lambda tensor: tensor.to(target))

    def to_empty(self: Any, *, device: Any, recurse: bool = True) -> Any:
        target = translate(device)
        return self._apply(lambda tensor: torch.empty_like(tensor, device=target), recurse=recurse)

    replace(torch.nn.Module, to=with_any_device(module_to), cuda=cuda, to_empty=to_empty)
    packed = torch.nn.utils.rnn.PackedSequence

    def packed_cuda(self: Any, *args: Any, **kwargs: Any) -> Any:
        return packed.to(self, here())

    replace(packed, cuda=packed_cuda, is_cuda=property(lambda self: self.data.is_cuda))


def _contexts() -> None:
    context = torch.utils._device.DeviceContext  # pyright: ignore
    plain_init = context.__init__

    def __init__(self: Any, device: Any) -> None:  # noqa: N807
        plain_init(self, translate(device))

    context.__init__ = __init__
    plain_default = torch.get_default_device

    def get_default_device() -> Any:
        device = plain_default()
        return DEVICE.shown if device.type == DEVICE_TYPE else device

    torch.get_default_device = get_default_device
    set_default = torch.set_default_tensor_type

    def set_default_tensor_type(kind: Any) -> None:
        name = kind if isinstance(kind, str) else getattr(kind, "name", "")
        if name.startswith("torch.cuda."):
            legacy = getattr(torch.cuda, name.rpartition(".")[2])
            torch.set_default_dtype(legacy.dtype)
            torch.set_default_device(here())
        else:
            set_default(kind)

    torch.set_default_tensor_type = set_default_tensor_type


def _generator() -> None:
    plain: Any = torch._C.Generator  # pyright: ignore
    plain_type: type = type(plain)

    class Redirected(plain_type):  # pyright: ignore
        """Generators that exist already are instances too."""

        def __instancecheck__(cls, instance: Any) -> bool:  # noqa: N805  # pyright: ignore
            return isinstance(instance, plain)

    class Generator(plain, metaclass=Redirected):  # pyright: ignore
        """A host generator that says it belongs to the device it was made for."""

        def __new__(cls, device: Any = "cpu") -> Any:
            self = plain.__new__(cls)
            self._shown = None if torch.device(device).type not in REDIRECTED else torch.device(device)
            return self

        def __init__(self, device: Any = "cpu") -> None:
            super().__init__()

        @property
        def device(self) -> Any:
            return self._shown if self._shown is not None else torch.device("cpu")

    torch.Generator = Generator


def _storages() -> None:
    def storage_cuda(self: Any, *args: Any, **kwargs: Any) -> Any:
        return moved(self.clone())

    torch.UntypedStorage.cuda = storage_cuda


def _show() -> None:
    """Python sees ``cuda:0`` and ``is_cuda``: scripts and libraries take their branches for CUDA."""
    plain_device, plain_is_cuda = _base.device.__get__, _base.is_cuda.__get__

    def device(self: Any) -> Any:
        found = plain_device(self)
        return DEVICE.shown if found.type == DEVICE_TYPE else found

    def is_cuda(self: Any) -> bool:
        return plain_is_cuda(self) or (plain_device(self).type == DEVICE_TYPE and DEVICE.shown.type == "cuda")

    # Tensors that hold device tensors (nested, distributed) are made with the device that those show.
    plain_make = torch.Tensor._make_wrapper_subclass  # pyright: ignore

    def make_wrapper(*args: Any, **kwargs: Any) -> Any:
        args = tuple(translate(each) if isinstance(each, torch.device) else each for each in args)
        if kwargs.get("device") is not None:
            kwargs["device"] = translate(kwargs["device"])
        return plain_make(*args, **kwargs)

    replace(
        torch.Tensor,
        device=property(device),
        is_cuda=property(is_cuda),
        _make_wrapper_subclass=staticmethod(make_wrapper),
    )
    replace(
        DeviceTensor,
        device=property(lambda self: DEVICE.shown),
        is_cuda=property(lambda self: DEVICE.shown.type == "cuda"),
        is_xla=property(lambda self: DEVICE.shown.type == "xla"),
        get_device=lambda self: 0,
    )


class LegacyType:
    """``torch.cuda.FloatTensor`` and its kin: constructors and types of old scripts."""

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        self.name = f"torch.cuda.{name}"
        self.dtype = dtype

    def __call__(self, *args: Any) -> Any:
        if len(args) == 1 and not isinstance(args[0], int):
            if isinstance(args[0], torch.Tensor):
                return args[0].to(here(), self.dtype)
            return torch.tensor(args[0], dtype=self.dtype, device=here())
        return torch.empty(args, dtype=self.dtype, device=here())

    def __instancecheck__(self, instance: Any) -> bool:
        return type(instance) is DeviceTensor and instance.dtype is self.dtype

    def __repr__(self) -> str:
        return f"<class '{self.name}'>"
