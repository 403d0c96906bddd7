"""``anychip conformance scripts DIR``: each script under plain Python on the CPU, and on the device.

A script passes if both end with the same exit code and print the same words, and the same numbers within
tolerance. A script that chooses CUDA where there is one runs unchanged both times. What a script prints about
time is not compared: lines whose words speak of seconds or rates are left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from anychip.errors import InvalidInput
from anychip.frontends.torch.conformance.results import Case, Report, say, versions

_NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?|\bnan\b|\binf\b")
_ABOUT_TIME = re.compile(r"runtime|per_second|elapsed|seconds|ms\b|\bit/s|USDT", re.IGNORECASE)
_ON_DEVICE = """import sys
from anychip.frontends.torch.capture import Capture
from anychip.frontends.torch.redirect.face import Face
from anychip.frontends.torch.redirect.install import redirect
from anychip.frontends.torch.script import run_script
redirect(Face())
with Capture(name=sys.argv[1]) as capture:
    run_script(sys.argv[1], sys.argv[2:])
capture.graph()
"""


def run(
    folder: str,
    *,
    relative: float = 2e-2,
    absolute: float = 1e-2,
    timeout_s: float = 600.0,
    only: str | None = None,
) -> Report:
    """Runs every ``*.py`` directly in a folder.

    Args:
        folder: of the scripts.
        relative: error allowed in a printed number; AMP rounds to half precision on the device alone.
        absolute: added to it.
        timeout_s: for one run of one script.
        only: scripts whose name contains this.

    Raises:
        InvalidInput: there is no script.
    """
    scripts = sorted(path for path in Path(folder).glob("*.py") if only is None or only in path.name)
    if not scripts:
        raise InvalidInput(f"{folder}: holds no *.py; name a folder of scripts")
    start = time.monotonic()
    cases: list[Case] = []
    for script in scripts:
        case = _case(script, relative, absolute, timeout_s)
        say(f"{script.name}: {case.outcome} {case.reason}")
        cases.append(case)
    return Report("scripts", versions("torch"), tuple(cases), time.monotonic() - start)


def _case(script: Path, relative: float, absolute: float, timeout_s: float) -> Case:
    plain = _run([sys.executable, str(script)], timeout_s)
    if plain is None:
        return Case(script.name, "excluded", "plain Python on the CPU takes too long")
    if plain.returncode != 0:
        return Case(script.name, "excluded", f"plain Python on the CPU: {_last_line(plain.stderr)}")
    device = _run([sys.executable, "-c", _ON_DEVICE, str(script)], timeout_s)
    if device is None:
        return Case(script.name, "fail", "takes too long on the device")
    if device.returncode != 0:
        outcome = "crash" if device.returncode < 0 else "fail"
        return Case(script.name, outcome, _last_line(device.stderr) or f"ended with {device.returncode}")
    return compare_output(script.name, plain.stdout, device.stdout, relative=relative, absolute=absolute)


def _run(command: list[str], timeout_s: float) -> subprocess.CompletedProcess[str] | None:
    root = str(Path(__file__).resolve().parents[4])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return None


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def compare_output(name: str, expected: str, actual: str, *, relative: float, absolute: float) -> Case:
    """Compares two outputs line by line: words exactly, numbers within tolerance."""
    wanted, got = _lines(expected), _lines(actual)
    if len(wanted) != len(got):
        return Case(name, "fail", f"printed {len(got)} lines, plain Python {len(wanted)}")
    worst, compared = 0.0, 0
    for one, other in zip(wanted, got, strict=True):
        if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
            return Case(name, "fail", f"printed {other!r}, plain Python {one!r}", compared)
        for a, b in zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True):
            compared += 1
            if a == b:
                continue
            x, y = float(a), float(b)
            error = abs(x - y) / (absolute + relative * abs(x))
            if not error <= 1.0:
                return Case(name, "fail", f"printed {other!r}, plain Python {one!r}", compared, error)
            worst = max(worst, error)
    return Case(name, "pass", "", compared, worst)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not _ABOUT_TIME.search(line)]
