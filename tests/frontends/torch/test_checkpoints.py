"""Checkpoints of captures without values: shapes, read back at once, gone at the end, never over others."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from anychip.errors import NotModelled
from anychip.frontends.torch.capture import Capture
from anychip.frontends.torch.device import install

install()


def trained() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(1024, 512), nn.BatchNorm1d(512)).to("anychip")
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 1024).to("anychip")).sum().backward()
    optimizer.step()
    return model, optimizer


def test_a_checkpoint_is_read_back_and_gone_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new.pt"
    with Capture(with_values=False):
        model, optimizer = trained()
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, path)
        assert path.exists() and path.stat().st_size < 100_000
        there, here = torch.load(path), torch.load(path, map_location="cpu")
        assert (there["model"]["0.weight"].device.type, there["epoch"]) == ("anychip", 3)
        assert (here["model"]["0.weight"].device.type, here["model"]["0.weight"].shape) == (
            "cpu",
            (512, 1024),
        )
        for checkpoint in (there, here):
            model.load_state_dict(checkpoint["model"])
            optimizer.load_state_dict(checkpoint["optimizer"])
        torch.save(model, path)
        again = torch.load(path, weights_only=False)
        assert again(torch.randn(4, 1024).to("anychip")).shape == (4, 512)
    assert not path.exists()


def test_a_file_that_was_there_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    torch.save({"weight": torch.ones(2)}, path)
    before = path.read_bytes()
    with Capture(with_values=False):
        model, _ = trained()
        torch.save(model.state_dict(), path)
        assert torch.load(path)["0.bias"].shape == (512,), "what was saved, not what the file holds"
    assert path.read_bytes() == before and torch.load(path)["weight"].tolist() == [1.0, 1.0]


def test_what_holds_shapes_only_cannot_be_taken_for_values() -> None:
    buffer = io.BytesIO()
    with Capture(with_values=False):
        model, _ = trained()
        torch.save(model.state_dict(), buffer)
        host = nn.Linear(1024, 512)
        assert pickle.loads(pickle.dumps(host.weight)).shape == (512, 1024)
    buffer.seek(0)
    with pytest.raises(NotModelled) as raised:
        torch.load(buffer)
    assert str(raised.value) == (
        "a checkpoint saved without values holds shapes only; run with values to save it"
    )
