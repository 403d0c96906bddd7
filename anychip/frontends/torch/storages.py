"""``Tensor.untyped_storage()`` on the device: what is read or written there crosses the border, counted.

The bytes lie on the host, in the storage of the plain tensor inside a device tensor. Its Python object is
turned into a `DeviceStorage`, which says that it belongs to the device and counts every byte that leaves or
enters. A host tensor cannot show it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch

from anychip.frontends.torch.dispatch import DEVICE
from anychip.frontends.torch.memory import Storage
from anychip.frontends.torch.moves import stand_in
from anychip.frontends.torch.tensor import DeviceTensor, set_show_storage, wrap

_Plain = torch.UntypedStorage
_plain_copy: Any = torch._C.StorageBase.copy_  # pyright: ignore
_plain_new: Any = _Plain.__new__
_plain_set: Any = torch._C.TensorBase.set_  # pyright: ignore


class DeviceStorage(_Plain):
    """A storage of the device.

    Attributes:
        memory: the device memory that it is.
    """

    __slots__ = ()
    memory: Storage

    @property
    def device(self) -> torch.device:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The device that programs see."""
        return DEVICE.shown

    def cpu(self) -> torch.UntypedStorage:
        """A copy on the host, counted."""
        host = _plain_new(_Plain, self.nbytes())
        if _is_nowhere(self):
            stand_in("zeros for a storage")
            host.fill_(0)
        else:
            _plain_copy(host, self)
        _leaves(self.nbytes())
        return host

    def tolist(self) -> list[int]:
        """The bytes, counted as copied to the host."""
        return self.cpu().tolist()

    def __iter__(self) -> Generator[int]:
        yield from self.tolist()

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return shown(super().__getitem__(index), self.memory)
        if _is_nowhere(self):
            stand_in("zeros for a storage")
            value = 0
        else:
            value = super().__getitem__(index)
        _leaves(1, "item")
        return value

    def __setitem__(self, index: Any, value: Any) -> None:
        _tensor_of(self)[index] = value

    def fill_(self, value: Any) -> DeviceStorage:
        """As on every storage; an operator of the device."""
        _tensor_of(self).fill_(value)
        return self

    def clone(self) -> torch.UntypedStorage:
        """A copy on the device; an operator of the device."""
        return _tensor_of(self).clone().untyped_storage()

    def __deepcopy__(self, memo: dict[Any, Any]) -> torch.UntypedStorage:
        copies = memo.setdefault("torch", {})
        if self._cdata not in copies:
            copies[self._cdata] = self.clone()
        return copies[self._cdata]

    def cuda(self, device: Any = None, non_blocking: bool = False) -> DeviceStorage:
        """Itself: it is there."""
        return self

    def resize_(self, size: int) -> DeviceStorage:
        """As on every storage; the device's memory counts the new size."""
        super().resize_(size)
        if size != self.memory.allocation.size_bytes:
            self.memory.resize(size)
        return self

    def share_memory_(self, *args: Any, **kwargs: Any) -> DeviceStorage:
        """Nothing, as for every accelerator's storage."""
        return self

    def is_shared(self) -> bool:
        """As every accelerator's storage."""
        return True

    def pin_memory(self, device: Any = "cuda") -> torch.UntypedStorage:
        """Never: it is no host memory."""
        raise TypeError(f"cannot pin '{self.type()}' only CPU memory can be pinned")

    def is_pinned(self, device: Any = "cuda") -> bool:
        """Never."""
        return False

    def _write_file(self, *args: Any, **kwargs: Any) -> Any:
        return self.cpu()._write_file(*args, **kwargs)  # pyright: ignore


# PyTorch writes a storage's class into files by its name, and knows storages by their classes.
DeviceStorage.__name__ = DeviceStorage.__qualname__ = _Plain.__name__
DeviceStorage.__module__ = _Plain.__module__


def shown(storage: torch.UntypedStorage, memory: Storage) -> DeviceStorage:
    """The same Python object as a storage of the device.

    Args:
        storage: of a plain tensor that holds elements of the device.
        memory: which they are.
    """
    storage.__class__ = DeviceStorage
    device_storage: Any = storage
    device_storage.memory = memory
    return device_storage


def memory_of(storage: Any) -> Storage | None:
    """The device memory that a storage is; None for the host's."""
    return storage.memory if isinstance(storage, DeviceStorage) else None


def moved(storage: torch.UntypedStorage) -> DeviceStorage:
    """A host storage declared the device's own: what it holds was copied there."""
    if isinstance(storage, DeviceStorage):
        return storage
    if DEVICE.recorder is not None:
        DEVICE.recorder.to_device(storage.nbytes())
    return shown(storage, Storage(storage.nbytes(), "input"))


def plain_over(storage: torch.UntypedStorage, dtype: torch.dtype, offset: int, size: Any, stride: Any) -> Any:
    """A plain tensor inside the device over a storage, of the host or the device."""
    return _plain_set(torch.empty(0, dtype=dtype, device="cpu"), storage, offset, size, stride)


def register() -> None:
    """Puts it in force."""
    set_show_storage(shown)

    def copy_(self: Any, source: Any, non_blocking: bool = False) -> Any:
        into, out_of = isinstance(self, DeviceStorage), isinstance(source, DeviceStorage)
        if into and out_of:
            _tensor_of(self).copy_(_tensor_of(source))
            return self
        if out_of:
            return _plain_copy(self, source.cpu(), non_blocking)
        _plain_copy(self, source, non_blocking)
        if into and DEVICE.recorder is not None:
            DEVICE.recorder.to_device(self.nbytes())
        return self

    def set_(self: Any, source: Any = None, *args: Any, **kwargs: Any) -> Any:
        if type(self) is not DeviceTensor:
            inner: Any = source._untyped_storage if isinstance(source, torch.TypedStorage) else source  # pyright: ignore
            if isinstance(inner, DeviceStorage):
                raise RuntimeError(
                    f'Attempted to set the storage of a tensor on device "{self.device}" to a storage on '
                    f'different device "{DEVICE.shown}".  This is no longer allowed; the devices must match.'
                )
        if source is None and not args and not kwargs:
            return _plain_set(self)
        return _plain_set(self, source, *args, **kwargs)

    plain_is_storage: Any = torch.is_storage

    def is_storage(obj: Any, /) -> bool:
        return isinstance(obj, DeviceStorage) or plain_is_storage(obj)

    torch.is_storage = is_storage
    _Plain.copy_ = copy_  # pyright: ignore
    torch.Tensor.set_ = set_


def _leaves(size_bytes: int, ended_by: str = "to host") -> None:
    if DEVICE.recorder is not None:
        DEVICE.recorder.to_host(size_bytes, ended_by)


def _is_nowhere(storage: torch.UntypedStorage) -> bool:
    return torch._C.StorageBase.device.__get__(storage).type == "meta"  # pyright: ignore


def _tensor_of(storage: DeviceStorage) -> DeviceTensor:
    """Its bytes as a device tensor."""
    where = torch._C.StorageBase.device.__get__(storage)  # pyright: ignore
    inner = _plain_set(torch.empty(0, dtype=torch.uint8, device=where), storage)
    return wrap(inner, storage.memory, DEVICE.handle)
