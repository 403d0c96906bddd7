"""Encodings and refusals: what does not fit the hardware is said, never cut."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from anychip.blocks import VectorUnit
from anychip.chips.basecamp import basecamp
from anychip.chips.chip import Engine
from anychip.errors import CapacityExceeded, InvalidInput, MissingTool, NotModelled
from anychip.rtl import verilator
from anychip.rtl.encoding import Encoding, Fields
from anychip.rtl.hardware import hardware_of


def test_fields_lie_side_by_side() -> None:
    fields = Fields("word", (("low", 3), ("middle", 5), ("high", 2)))
    word = fields.pack({"low": 5, "middle": 17, "high": 2})
    assert (word, fields.bits) == (5 | 17 << 3 | 2 << 8, 10)
    assert fields.offsets["high"] == (8, 2)


def test_a_value_that_does_not_fit_is_refused() -> None:
    with pytest.raises(CapacityExceeded, match=re.escape("multiply: m is 256, its field holds 0 to 255")):
        Encoding(hardware_of(basecamp())).matrix.pack({"m": 256})


def test_blocks_that_the_hardware_does_not_have_are_named_together() -> None:
    chip = basecamp()
    uneven = dataclasses.replace(
        chip, engines={**chip.engines, "vector": Engine(block=VectorUnit(lanes=2, cost={"exp": 4.0}))}
    )
    slow = dataclasses.replace(uneven.links["bus"], bytes_per_second=1.5e9)
    uneven = dataclasses.replace(uneven, links={"bus": slow})
    with pytest.raises(NotModelled) as refused:
        hardware_of(uneven)
    assert str(refused.value) == (
        'rtl: chip "basecamp": vector must be a VectorUnit with one cycle per operation; '
        "the link moves 1.5 bytes a cycle, which must be whole"
    )


def test_a_cache_that_cannot_be_written_is_one_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("ANYCHIP_CACHE", str(tmp_path / "taken"))
    with pytest.raises(InvalidInput, match="Not a directory; name another place in ANYCHIP_CACHE"):
        verilator.cache_folder()


def test_missing_tools_are_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingTool, match="running hardware needs verilator and c"):
        verilator.require_tools()
