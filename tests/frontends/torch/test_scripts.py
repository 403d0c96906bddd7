"""Scripts written for CUDA run unedited and print what they print on the CPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from anychip.frontends.torch.conformance import scripts

FOLDER = Path(__file__).parent / "scripts"
ROOT = Path(__file__).resolve().parents[3]
QUICK = ("devices.py", "identity.py", "save_load.py", "compiled.py", "xla_train.py", "ddp.py")


@pytest.mark.parametrize("name", QUICK)
def test_prints_what_the_cpu_prints(name: str) -> None:
    (case,) = scripts.run(str(FOLDER), only=name).cases
    assert case.outcome == "pass", case.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.py") if path.name not in QUICK))
def test_prints_what_the_cpu_prints_too(name: str) -> None:
    (case,) = scripts.run(str(FOLDER), only=name).cases
    assert case.outcome == "pass", case.reason


def run_on_device(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(text)
    return subprocess.run(
        [sys.executable, "-c", scripts._ON_DEVICE, str(script), "argument"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


def test_exit_codes_and_arguments_are_the_scripts(tmp_path: Path) -> None:
    done = run_on_device(tmp_path, "import sys; print(__name__, sys.argv[1:]); sys.exit(7)")
    assert (done.returncode, done.stdout) == (7, "__main__ ['argument']\n")


def test_code_that_cannot_exist_names_the_line_and_the_alternative(tmp_path: Path) -> None:
    done = run_on_device(tmp_path, "import torch\nx = torch.ones(1).cuda()\nimport flash_attn\n")
    last = done.stderr.strip().splitlines()[-1]
    assert "script.py:3: flash_attn: flash-attn is a CUDA extension" in last
    assert "scaled_dot_product_attention" in last


def test_words_are_compared_exactly_and_numbers_within_tolerance() -> None:
    def outcome(one: str, other: str) -> str:
        return scripts.compare_output("x", one, other, relative=0.01, absolute=0.0).outcome

    assert outcome("loss 1.000", "loss 1.009") == "pass"
    assert outcome("loss 1.000", "loss 1.02") == "fail"
    assert outcome("loss 1", "cost 1") == "fail"
    assert outcome("loss nan", "loss 1") == "fail"
    assert outcome("a\nb", "a") == "fail"
    assert outcome("took 3 seconds", "took 9 seconds") == "pass"
