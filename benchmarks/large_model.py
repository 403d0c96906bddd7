"""What timing a 70-billion-parameter Llama costs on this machine: seconds and memory.

Run: ``python benchmarks/large_model.py``. A script builds the model from a configuration on the host, in
fp32, and moves it; or builds it on the device. It reads a prompt of 4,096 tokens and makes one token, and
``anychip run --no-values`` times it on one imaginary chip with enough memory. Budgets: 30 s and 4 GB.
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
ON_HOST = "model = LlamaForCausalLM(config).half().cuda().eval()"
ON_DEVICE = """\
torch.set_default_dtype(torch.bfloat16)
with torch.device("cuda"):
    model = LlamaForCausalLM(config).eval()"""
SCRIPT = """\
import sys
import torch
from transformers import AutoConfig, LlamaForCausalLM

config = AutoConfig.from_pretrained(sys.argv[1])
BUILD
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
    """Prints the profiles, then what each cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.json").write_text(json.dumps(CONFIGURATION))
        (folder / "chip.py").write_text(CHIP)
        command = [sys.executable, "-m", "anychip", "run", "--chip", str(folder / "chip.py"), "--no-values"]
        for place, build in (("host", ON_HOST), ("device", ON_DEVICE)):
            (folder / "serve.py").write_text(SCRIPT.replace("BUILD", build))
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([*command, str(folder / "serve.py"), name], check=True)
            seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
            processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(
                f"built on the {place}: {seconds:.1f} s, {processor:.1f} s of processor time (budget 30), "
                f"at most {after.ru_maxrss * 1024 / 1e9:.2f} GB resident (budget 4)"
            )


if __name__ == "__main__":
    main()
