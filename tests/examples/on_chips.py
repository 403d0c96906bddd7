"""Runs one script on several chips in one process: ``python -m tests.examples.on_chips CHIP,CHIP script``.

Importing torch and transformers takes longer than most runs. Prints one JSON document: by chip, the exit
code, what the script printed, and the profile.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

from anychip.products.cli import main


def run(chip: str, command: list[str]) -> dict[str, object]:
    """``anychip run`` with everything that it leaves behind."""
    output = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile.json"
        with contextlib.redirect_stdout(output):
            code = main(["run", "--chip", chip, "--quiet", "--json", str(profile), *command])
        document = json.loads(profile.read_text()) if profile.exists() else None
    return {"code": code, "output": output.getvalue(), "profile": document}


if __name__ == "__main__":
    print(json.dumps({chip: run(chip, sys.argv[2:]) for chip in sys.argv[1].split(",")}))
