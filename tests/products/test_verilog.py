"""The Verilog that the command writes is whole: another tool reads it and finds every module."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from anychip.errors import NotModelled
from anychip.products import verilog
from anychip.rtl.verilator import missing_tools


@pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {missing_tools()}")
def test_the_file_is_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "chip.v"
    assert verilog.main(["--output", str(target)]) == 0
    assert "module basecamp" in capsys.readouterr().err
    command = ["verilator", "--lint-only", "--top-module", "basecamp", "-Wno-lint", "-Wno-style", str(target)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_chip_without_hardware_is_refused() -> None:
    with pytest.raises(NotModelled, match='chip "h100" has engines'):
        verilog.main(["--chip", "h100"])
