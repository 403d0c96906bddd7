"""Runs several scripts through ``anychip run`` in one process, and prints what happened as JSON.

    python scripts.py FOLDER

PyTorch takes seconds to load, and a process that has been redirected stays so: one process for all cases.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

from anychip.products import cli

MODEL = """\
import sys, torch
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""
STEP = """\
    x = torch.randn(4, 8).cuda()
    loss = model(x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
TRAIN = f"{MODEL}for step in range(int(sys.argv[1])):\n{STEP}    print('step', step, flush=True)\n"

CASES: dict[str, tuple[str, list[str], list[str]]] = {
    "works": (TRAIN, ["--json", "out.json", "--html", "out.html", "--trace", "out.trace"], ["3"]),
    "redacted": (TRAIN, ["--json", "redacted.json", "--redact", "--quiet"], ["1"]),
    "stops": (TRAIN, ["--max-steps", "2"], ["50"]),
    "needs_values": (
        "import torch\nx = torch.ones(4).cuda()\nprint(torch.equal(x, x))\n",
        ["--no-values"],
        [],
    ),
    "selects": (
        "import torch\nx = torch.ones(4).cuda()\nprint(torch.nonzero(x).shape)\n",
        ["--no-values"],
        [],
    ),
    "selects_redacted": (
        "import torch\nx = torch.ones(4).cuda()\nprint(torch.nonzero(x).shape)\n",
        ["--no-values", "--redact"],
        [],
    ),
    "raises": (f"{TRAIN}def fail():\n    raise ValueError('no such thing')\nfail()\n", [], ["1"]),
    "infers": (
        f"{MODEL}for i in range(9):\n    print(i, model(torch.randn(4, 8).cuda()).shape)\n",
        ["--max-steps", "2", "--quiet"],
        [],
    ),
    "exits": (f"{TRAIN}sys.exit(7)\n", ["--quiet"], ["1"]),
    "exits with words": ("import sys; sys.exit('all wrong')\n", [], []),
    "never uses the device": ("import torch\nprint(torch.ones(2).sum())\n", [], []),
    "only copies": ("import torch\nprint(torch.ones(1000).cuda().cpu().sum())\n", [], []),
    "only allocates": ("import torch\nkept = torch.empty(1000, device='cuda')\n", [], []),
    "interrupted": (f"{TRAIN}raise KeyboardInterrupt\n", ["--json", "never.json"], ["1"]),
    "is not Python": ("def broken(:\n", [], []),
    "standard output": (TRAIN, ["--json", "-", "--quiet"], ["1"]),
    "disk full": (TRAIN, ["--json", "/dev/full", "--quiet"], ["1"]),
}


def outcome(folder: Path, name: str) -> dict[str, object]:
    """Exit code and both streams of one case."""
    text, options, arguments = CASES[name]
    script = folder / f"{name.replace(' ', '_')}.py"
    script.write_text(text)
    options = [
        str(folder / word) if word.startswith(("out.", "redacted.", "never.")) else word for word in options
    ]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(["run", "--chip", "trn1", "--no-values", *options, str(script), *arguments])
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    print(json.dumps({name: outcome(Path(sys.argv[1]), name) for name in CASES}))
