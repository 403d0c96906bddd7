"""The compiled hot path records, computes and refuses what the Python one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from anychip.frontends.torch.native import SEAM

#: Operators of every kind of call, then what became of them: graph, memory, bits, errors.
WORKLOAD = Path(__file__).parent / "native_workload.py"


@pytest.mark.slow
@pytest.mark.skipif(SEAM is None, reason="the compiled seam was not built")
def test_both_paths_say_the_same() -> None:
    running = [
        subprocess.Popen(
            [sys.executable, str(WORKLOAD)],
            env={**os.environ, "ANYCHIP_CAPTURE": path, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for path in ("python", "")
    ]
    (slow, slow_errors), (fast, fast_errors) = (each.communicate() for each in running)
    assert slow_errors == fast_errors == ""
    assert slow.startswith("python\n")
    assert fast.startswith("compiled\n")
    assert fast.split("\n")[1:] == slow.split("\n")[1:]
    assert len(fast.split("\n")) > 300


@pytest.mark.skipif(SEAM is None, reason="the compiled seam was not built")
def test_a_storage_is_freed_with_its_last_tensor() -> None:
    from anychip.frontends.torch.memory import LEDGER, Storage

    LEDGER.settle()
    before = LEDGER.live_bytes
    storage = Storage(96, "other", 0)
    LEDGER.settle()
    assert LEDGER.live_bytes == before + 96
    number = storage.allocation.number
    storage.resize(32)
    LEDGER.settle()
    assert (LEDGER.live_bytes, storage.allocation.number) == (before + 32, number)
    del storage
    LEDGER.settle()
    assert LEDGER.live_bytes == before


@pytest.mark.skipif(SEAM is None, reason="the compiled seam was not built")
def test_wrong_use_is_an_error_of_python() -> None:
    with pytest.raises(TypeError, match=r"^wrap takes 3 arguments, not 1$"):
        SEAM.wrap(1)
    with pytest.raises(TypeError, match=r"^connect takes a dictionary$"):
        SEAM.connect([])
