"""The package is clean under strict types, lint and format: what the pre-commit hooks run."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _tool(*command: str) -> subprocess.CompletedProcess[str]:
    if find_spec(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed; the extra `develop` brings it")
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, check=False, capture_output=True, text=True, timeout=600
    )


@pytest.mark.parametrize("arguments", [("check",), ("format", "--check")], ids=["lint", "format"])
def test_ruff_is_clean(arguments: tuple[str, ...]) -> None:
    done = _tool("ruff", *arguments, ".")
    assert done.returncode == 0, done.stdout


def test_types_are_clean() -> None:
    done = _tool("pyright", "--outputjson", "--pythonpath", sys.executable, "anychip")
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        pytest.skip(f"pyright needs Node.js, or a connection to fetch it: {done.stderr.strip()[-200:]}")
    errors = [
        f"{each['file']}:{each['range']['start']['line'] + 1}: {each['message']}"
        for each in report["generalDiagnostics"]
        if each["severity"] == "error"
    ]
    assert not errors, "\n".join(errors)
