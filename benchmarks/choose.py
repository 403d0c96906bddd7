"""How long `anychip choose` takes: BERT-large on the whole catalogue, one more chip, 70 billion parameters.

    python benchmarks/choose.py

Each command runs in a process of its own, imports included. Budgets are wall times on a quiet machine of
two cores: 10 s for BERT-large, 8 sequences of 384 tokens; 0.3 s for one more chip; 60 s and 4 GB for each
phase of a Llama of 70 billion parameters on 1 to 32 chips of the catalogue. CPU time is printed beside them:
wall times of a loaded machine say little.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

BERT_LARGE = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}
LLAMA_70B = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
_COUNTS = "1,2,4,8,16,32"


class Measured(NamedTuple):
    """One command: wall and CPU seconds, its children's included, and the largest process."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def measured(arguments: list[str]) -> Measured:
    """Runs ``anychip choose`` and waits for it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, "-m", "anychip.products.cli", "choose", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(wall, cpu, after.ru_maxrss / 1024)


def one_more_chip(path: str) -> tuple[float, str]:
    """CPU seconds of the chip that takes longest to add to a captured BERT-large, and its name."""
    from anychip.chips import every_chip
    from anychip.chips.instances import snapshot
    from anychip.frontends.torch.models import capture_config
    from anychip.products.choose.pricing import Work, candidates
    from anychip.products.choose.question import Question

    work = Work.of(capture_config(path, batch=8, context=384), 8, 8)
    market, times = snapshot(), []
    for chip in every_chip():
        start = time.process_time()
        list(candidates([work], Question(), [chip], market))
        times.append((time.process_time() - start, chip.name))
    return max(times)


def main() -> int:
    """Prints a table; 1 if a budget is exceeded."""
    with tempfile.TemporaryDirectory() as folder:
        bert, llama = Path(folder) / "bert-large.json", Path(folder) / "llama-70b.json"
        bert.write_text(json.dumps(BERT_LARGE))
        llama.write_text(json.dumps(LLAMA_70B))
        rows = [
            (
                "BERT-large 8 x 384, whole catalogue",
                measured(["--model", str(bert), "--batch", "8", "--context", "384"]),
                10.0,
            )
        ]
        for phase in ("decode", "prefill"):
            asked = ["--model", str(llama), "--phase", phase, "--batch", "8", "--context", "4096"]
            rows.append((f"Llama 70B {phase}, {_COUNTS} chips", measured([*asked, "--count", _COUNTS]), 60.0))
        slowest, name = one_more_chip(str(bert))
    print(f"{'':<42}{'wall s':>8}{'CPU s':>8}{'budget':>8}{'MiB':>8}")
    late = slowest > 0.3
    for label, found, budget in rows:
        print(f"{label:<42}{found.wall_s:8.1f}{found.cpu_s:8.1f}{budget:8.1f}{found.peak_mib:8.0f}")
        late = late or found.wall_s > budget or found.peak_mib > 4096
    print(f"{f'one more chip, at most ({name})':<42}{'':>8}{slowest:8.2f}{0.3:8.1f}")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
