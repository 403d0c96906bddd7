"""Generate text with a Llama-style model: prefill, then one token at a time from the KV cache.

    python generate_llama.py --new-tokens 32

The model has Llama's architecture (rotary positions, grouped-query attention, SwiGLU, RMSNorm) and
random weights, so the text is noise; time per token and memory are not.
"""

import argparse
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

PROMPT = b"The Zen of Python: beautiful is better than ugly, explicit is better than implicit, "

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--batch", type=int, default=2, help="sequences generated together")
parser.add_argument("--new-tokens", type=int, default=32)
parser.add_argument("--layers", type=int, default=6)
parser.add_argument("--width", type=int, default=384)
parser.add_argument("--heads", type=int, default=6)
parser.add_argument("--kv-heads", type=int, default=2)
parser.add_argument("--temperature", type=float, default=0.0, help="0 picks the likeliest token")
parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="bfloat16")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(args.seed)
config = LlamaConfig(
    vocab_size=256,  # tokens are bytes
    hidden_size=args.width,
    intermediate_size=args.width * 8 // 3,
    num_hidden_layers=args.layers,
    num_attention_heads=args.heads,
    num_key_value_heads=args.kv_heads,
    max_position_embeddings=2048,
    bos_token_id=None,
    eos_token_id=None,
    pad_token_id=0,
)
model = LlamaForCausalLM(config).to(getattr(torch, args.dtype)).eval().to(device)
print(f"{model.num_parameters() / 1e6:.1f} M parameters in {args.dtype}")

tokens = torch.tensor([list(PROMPT)] * args.batch, device=device)
mask = torch.ones_like(tokens)

with torch.inference_mode():
    # How well the model knows the prompt: one full forward pass without a cache.
    loss = model(tokens, attention_mask=mask, labels=tokens).loss.item()
    print(f"prompt loss {loss:.4f}")

    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
    began = time.perf_counter()
    sampling = (
        {"do_sample": True, "temperature": args.temperature} if args.temperature else {"do_sample": False}
    )
    output = model.generate(tokens, attention_mask=mask, max_new_tokens=args.new_tokens, **sampling)
    if device == "cuda":
        end.record()
        torch.cuda.synchronize()
        milliseconds = start.elapsed_time(end)
        print(f"peak memory {torch.cuda.max_memory_allocated() / 2**20:.1f} MiB")
    else:
        milliseconds = 1e3 * (time.perf_counter() - began)

generated = output[:, tokens.shape[1] :]
rate = 1e3 * generated.numel() / milliseconds
print(f"{milliseconds / generated.shape[1]:.3f} ms per step, {rate:.1f} tokens/s")
print("tokens", " ".join(map(str, generated[0].tolist())))
