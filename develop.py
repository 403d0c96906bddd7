#!/usr/bin/env python3
"""Sets up everything by itself, then runs the main job or the tests.

    python3 develop.py demo     what anychip is for, on a real script (about 300 MB with PyTorch for CPU)
    python3 develop.py test     the test suite (about 400 MB in all)
    python3 develop.py shell    only sets up; prints how to activate the environment

Needs Python 3.11 or newer with `venv`, and nothing else. A C++ compiler makes the arithmetic fast;
without one the same results are computed slowly. Everything goes into `.venv` beside this file, in the
versions listed in `constraints.txt`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = Path(os.environ.get("ANYCHIP_VENV", HERE / ".venv"))
EXTRAS = {"demo": "torch,examples", "test": "torch,rtl,examples,conformance,test,develop", "shell": "torch"}
DEMO = [
    ["anychip", "choose", "--max-steps", "2", "examples/train_transformer.py", "--steps", "2"],
    ["anychip", "run", "--chip", "trn1", "examples/train_transformer.py", "--steps", "6"],
]


def main() -> int:
    """Runs the command named on the command line."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in EXTRAS:
        print((__doc__ or "").strip())
        return 2
    if sys.version_info < (3, 11):
        print(
            f"develop.py: Python {sys.version.split()[0]} is too old; anychip needs 3.11 or newer",
            file=sys.stderr,
        )
        return 2
    set_up(EXTRAS[command])
    if command == "test":
        return run([str(tool("python")), "-m", "pytest", *sys.argv[2:]])
    if command == "shell":
        print(f"source {ENVIRONMENT}/bin/activate")
        return 0
    return max(run([str(tool(job[0])), *job[1:]]) for job in DEMO)


def tool(name: str) -> Path:
    """A program of the environment."""
    folder = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
    return folder / name


def set_up(extras: str) -> None:
    """Creates the environment and installs what is missing; a second call with nothing changed is quick."""
    if not tool("python").exists():
        print(f"creating {ENVIRONMENT}", file=sys.stderr)
        made = subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=False)
        if made.returncode:
            sys.exit("develop.py: could not create a virtual environment; install your system's python3-venv")
    stamp = ENVIRONMENT / f"installed-{extras.replace(',', '-')}"
    wanted = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in INPUTS)).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"installing anychip[{extras}]", file=sys.stderr)
    pip = [str(tool("python")), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    installed = subprocess.run(
        [*pip, "--constraint", "constraints.txt", "--editable", f".[{extras}]"], cwd=HERE, check=False
    )
    if installed.returncode:
        sys.exit("develop.py: installing failed; the lines above say why")
    stamp.write_text(wanted)


def run(command: list[str]) -> int:
    """A command in the project's folder; its exit code."""
    print(
        "$ " + " ".join(Path(part).name if part.startswith("/") else part for part in command),
        file=sys.stderr,
    )
    return subprocess.run(command, cwd=HERE, check=False).returncode


INPUTS = ("pyproject.toml", "constraints.txt")

if __name__ == "__main__":
    sys.exit(main())
