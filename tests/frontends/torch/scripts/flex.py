"""Flex attention with a learned bias and grouped heads; on the CPU, which has no backward of it, spelled out."""

import warnings

import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

warnings.simplefilter("ignore")
device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
query, key, value = (torch.randn(1, heads, 128, 16).to(device).requires_grad_() for heads in (4, 2, 2))
bias = torch.randn(4).to(device).requires_grad_()
places = torch.arange(128, device=device)


def score(s, b, h, i, j):
    return s + bias[h] * (i - j) * 0.01


if device == "cuda":
    mask = create_block_mask(lambda b, h, i, j: i >= j, 1, 1, 128, 128, device=device)
    attend = torch.compile(flex_attention)
    output = attend(query, key, value, score_mod=score, block_mask=mask, enable_gqa=True)
else:
    keys, values = key.repeat_interleave(2, 1), value.repeat_interleave(2, 1)
    scores = query @ keys.mT / 4 + bias[None, :, None, None] * (places[:, None] - places) * 0.01
    output = scores.masked_fill(places[:, None] < places, -torch.inf).softmax(-1) @ values
output.square().sum().backward()
print(
    f"{output.sum().item():.3f}",
    [f"{each.grad.abs().sum().item():.2f}" for each in (query, key, value, bias)],
)
