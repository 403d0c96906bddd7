"""What is read from a storage of the device is counted, and no host tensor shows it."""

from __future__ import annotations

import copy
import io

import pytest
import torch

from anychip.frontends.torch.capture import Capture
from anychip.frontends.torch.device import install
from anychip.frontends.torch.memory import LEDGER

install()
BYTES = list(torch.arange(6.0).view(torch.uint8).tolist())


def crossed(graph) -> tuple[int, int]:
    sizes = [(each.to_device_bytes, each.to_host_bytes) for each in graph.transfers]
    return sum(size for size, _ in sizes), sum(size for _, size in sizes)


@pytest.mark.parametrize(
    ("read", "size_bytes"),
    [
        (lambda storage: storage.tolist(), 24),
        (list, 24),
        (bytes, 24),
        (lambda storage: storage.cpu().tolist(), 24),
        (lambda storage: torch.UntypedStorage(24).copy_(storage).tolist(), 24),
        (lambda storage: [storage[place] for place in range(24)], 24),
        (lambda storage: storage[4:8].tolist(), 4),
    ],
)
def test_bytes_that_leave_are_counted(read, size_bytes: int) -> None:
    with Capture() as capture:
        tensor = torch.arange(6.0, device="anychip")
        found = list(read(tensor.untyped_storage()))
    assert found == (BYTES if size_bytes == 24 else BYTES[4:8])
    assert crossed(capture.graph()) == (0, size_bytes)


def test_a_checkpoint_leaves_and_comes_back() -> None:
    with Capture() as capture:
        tensor = torch.arange(6.0, device="anychip")
        file = io.BytesIO()
        torch.save({"tensor": tensor, "view": tensor[2:]}, file)
        file.seek(0)
        loaded = torch.load(file)
    assert loaded["tensor"].tolist() == [0, 1, 2, 3, 4, 5]
    assert loaded["tensor"].untyped_storage().data_ptr() == loaded["view"].untyped_storage().data_ptr()
    assert crossed(capture.graph()) == (24, 24)


def test_copies_on_the_device_are_operators() -> None:
    with Capture() as capture:
        storage = torch.arange(6.0, device="anychip").untyped_storage()
        for twin in (storage.clone(), copy.deepcopy(storage)):
            assert (twin.device, twin.data_ptr() == storage.data_ptr()) == (storage.device, False)
        storage.fill_(0)
        storage[0] = 7
    names = [node.operator for segment in capture.graph().segments for node in segment.nodes]
    assert [name.split(".")[1] for name in names][:4] == ["arange", "clone", "clone", "fill_"]
    assert names[-1].startswith("aten.copy_")  # the number written


def test_memory_follows_a_storage_that_is_resized() -> None:
    tensor = torch.zeros(1024, device="anychip")
    LEDGER.settle()
    before = LEDGER.live_bytes
    tensor.untyped_storage().resize_(0)
    LEDGER.settle()
    assert LEDGER.live_bytes == before - 4096


def test_host_and_device_share_no_storage() -> None:
    on_device, on_host = torch.arange(6.0, device="anychip"), torch.arange(6.0)
    with pytest.raises(
        RuntimeError, match='tensor on device "cpu" to a storage on different device "anychip'
    ):
        torch.empty(0).set_(on_device.untyped_storage())
    with pytest.raises(RuntimeError, match='tensor on device "anychip:0" to a storage on different device'):
        on_device.set_(on_host.untyped_storage())
    shared = torch.empty(0, device="anychip").set_(on_device.untyped_storage())
    assert shared.tolist() == BYTES or shared.numel() == 6


def test_without_values_zeros_stand_in() -> None:
    with Capture(with_values=False) as capture:
        storage = torch.arange(6.0, device="anychip").untyped_storage()
        assert (storage.tolist(), storage[3]) == ([0] * 24, 0)
    assert [what for what, _ in capture.recorder.stand_ins] == ["zeros for a storage"] * len(
        capture.recorder.stand_ins
    )
    assert crossed(capture.graph()) == (0, 25)
