"""Generation with a small Llama, greedy and sampled, with a cache."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
config = LlamaConfig(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
model = LlamaForCausalLM(config).to(device).eval()
prompt = torch.randint(3, 64, (2, 7)).to(device)
mask = torch.ones_like(prompt)
greedy = model.generate(prompt, attention_mask=mask, max_new_tokens=5, do_sample=False)
print(greedy.tolist())
torch.manual_seed(1)
print(model.generate(prompt, attention_mask=mask, max_new_tokens=4, do_sample=True, top_k=10).cpu().shape)
