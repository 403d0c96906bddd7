"""The Arm build of the compiled core, run by an emulator, computes the bits of the x86 build."""

from __future__ import annotations

import platform
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "anychip" / "arithmetic" / "kernels"
CROSS, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"


def digests(compiler: str, runner: list[str], folder: Path) -> str:
    """What `digests.cpp` prints when built with `compiler`."""
    flags = runpy.run_path(str(ROOT / "setup.py"), run_name="flags")["FLAGS"].split()
    sources = [
        str(KERNELS / "path.cpp"),
        str(KERNELS / "dispatch.cpp"),
        str(Path(__file__).parent / "digests.cpp"),
    ]
    program = folder / compiler
    options = ["-static", "-pthread", f"-I{KERNELS}", "-DANYCHIP_PATH=baseline", "-DANYCHIP_ONE_PATH"]
    subprocess.run([compiler, *flags, *options, *sources, "-o", str(program)], check=True)
    return subprocess.run([*runner, str(program)], check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="compares with an x86 build")
@pytest.mark.skipif(
    not (shutil.which(CROSS) and shutil.which(EMULATOR)), reason=f"needs {CROSS} and {EMULATOR}"
)
def test_neon_has_the_bits_of_x86(tmp_path: Path) -> None:
    ours = digests("g++", [], tmp_path)
    assert len(ours.splitlines()) == 53
    assert digests(CROSS, [EMULATOR], tmp_path) == ours
