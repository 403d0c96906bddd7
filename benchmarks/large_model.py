"""What timing a 70-billion-parameter Llama costs on this machine: seconds and memory.

Run: ``python benchmarks/large_model.py``. A script builds the model from a configuration on the device, reads
a prompt of 4,096 tokens and makes one token; ``anychip run --no-values`` times it on one imaginary chip with
enough memory. Budgets: 30 s and 4 GB.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIGURATION = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8192,
    "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
    "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 8192,
}  # fmt: skip
SCRIPT = """\
import sys
import torch
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_default_dtype(torch.bfloat16)
with torch.device("cuda"):
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(sys.argv[1])).eval()
with torch.inference_mode():
    prompt = torch.zeros(1, 4096, dtype=torch.int64, device="cuda")
    outputs = model(prompt, use_cache=True, logits_to_keep=1)
    token = torch.zeros(1, 1, dtype=torch.int64, device="cuda")
    model(token, past_key_values=outputs.past_key_values, use_cache=True)
torch.cuda.synchronize()
"""
CHIP = """\
import dataclasses

from anychip.chips import by_name

h100 = by_name("h100")
memory = dataclasses.replace(h100.memories["dram"], capacity_bytes=400 * 2**30)
chip = h100.altered(name="h100-400", memories=dict(h100.memories) | {"dram": memory})
"""


def main() -> None:
    """Prints the profile, then what it cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.json").write_text(json.dumps(CONFIGURATION))
        (folder / "serve.py").write_text(SCRIPT)
        (folder / "chip.py").write_text(CHIP)
        command = [sys.executable, "-m", "anychip", "run", "--chip", str(folder / "chip.py"), "--no-values"]
        start = time.perf_counter()
        subprocess.run([*command, str(folder / "serve.py"), name], check=True)
        seconds = time.perf_counter() - start
    gigabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    print(f"{seconds:.1f} s (budget 30), {gigabytes:.2f} GB resident (budget 4)")


if __name__ == "__main__":
    main()
