"""Train the same small language model in five precisions.

    python train.py --precision bf16 --steps 300 --lr 3e-3

    fp32    everything in fp32
    mixed   fp32 weights and optimizer state, matrix products under bf16 autocast
    bf16    weights, gradients, optimizer state and arithmetic stored in bf16: half the bytes everywhere
    fp8     as mixed, with the linear layers' products in fp8: e4m3 forward, e5m2 gradients, one
            power-of-two scale per tensor

How bf16 results are rounded is the device's business: to nearest on GPUs and CPUs, stochastically where
the hardware can. The text is Python's own language reference; nothing is downloaded.
"""

import argparse
import json
import math
from pydoc_data.topics import topics

import torch
import torch.nn as nn
import torch.nn.functional as F

FP8_MAX = {torch.float8_e4m3fn: 448.0, torch.float8_e5m2: 57344.0}


def to_fp8(x, dtype):
    """A tensor in fp8 with the power of two that brings its largest magnitude below the format's."""
    largest = x.detach().abs().amax().float().clamp(min=1e-12)
    scale = torch.exp2(torch.floor(torch.log2(FP8_MAX[dtype] / largest)))
    return (x.float() * scale).clamp(-FP8_MAX[dtype], FP8_MAX[dtype]).to(dtype), scale.reciprocal()


def multiply_fp8(a, b):
    """a @ b.T of two (values, scale) pairs, accumulated in fp32 and stored in bf16."""
    (a, scale_a), (b, scale_b) = a, b
    return torch._scaled_mm(
        a.contiguous(), b.contiguous().t(), scale_a=scale_a, scale_b=scale_b, out_dtype=torch.bfloat16
    )


class ProductFP8(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        x8, weight8 = to_fp8(x, torch.float8_e4m3fn), to_fp8(weight, torch.float8_e4m3fn)
        ctx.save_for_backward(*x8, *weight8)
        return multiply_fp8(x8, weight8)

    @staticmethod
    def backward(ctx, gradient):
        x, scale_x, weight, scale_weight = ctx.saved_tensors
        gradient, scale = to_fp8(gradient, torch.float8_e5m2)
        grad_x = multiply_fp8((gradient, scale), (weight.t(), scale_weight))
        grad_weight = multiply_fp8((gradient.t(), scale), (x.t(), scale_x))
        return grad_x, grad_weight.float()


class Linear(nn.Linear):
    """nn.Linear whose three products can be asked for in fp8."""

    fp8 = False

    def forward(self, x):
        if not self.fp8:
            return super().forward(x)
        y = ProductFP8.apply(x.flatten(0, -2), self.weight).view(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias.to(y.dtype)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = Linear(width, 3 * width), Linear(width, width)
        self.up, self.down = Linear(width, 4 * width), Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(*qkv.unbind(0), is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class LanguageModel(nn.Module):
    def __init__(self, vocabulary, context, layers, heads, width):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, x, y):
        h = self.tokens(x) + self.positions(torch.arange(x.shape[1], device=x.device))
        for block in self.blocks:
            h = block(h)
        return F.cross_entropy(self.head(self.norm(h)).flatten(0, 1).float(), y.flatten())


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--precision", choices=["fp32", "mixed", "bf16", "fp8"], default="bf16")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--lr", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--vocabulary", type=int, default=256, help="at least 256: tokens are bytes")
    parser.add_argument("--evaluate", type=int, default=8, help="batches of held-out text; 0 for none")
    parser.add_argument("--json", help="write the losses to this file")
    args = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator().manual_seed(args.seed)
    data = torch.frombuffer(
        bytearray("\n".join(topics[k] for k in sorted(topics)).encode()), dtype=torch.uint8
    )
    cut = int(0.9 * len(data))

    def get_batch(source):
        starts = torch.randint(len(source) - args.context - 1, (args.batch,), generator=generator)
        window = source[starts[:, None] + torch.arange(args.context + 1)].long()
        return window[:, :-1].to(device), window[:, 1:].to(device)

    torch.manual_seed(args.seed)
    model = LanguageModel(args.vocabulary, args.context, args.layers, args.heads, args.width)
    model.to(device, torch.bfloat16 if args.precision == "bf16" else torch.float32)
    if args.precision == "fp8":
        for module in model.modules():
            if isinstance(module, Linear):
                module.fp8 = True
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.95), weight_decay=0.01)
    warmup = max(1, args.steps // 20)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * step / args.steps)),
    )
    autocast = torch.autocast(device, dtype=torch.bfloat16, enabled=args.precision in ("mixed", "fp8"))

    losses = []
    for step in range(args.steps):
        x, y = get_batch(data[:cut])
        with autocast:
            loss = model(x, y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.detach())
        if step % max(1, args.steps // 10) == 0:
            print(f"step {step:4d}  loss {loss.item():.4f}", flush=True)

    held_out = []
    generator.manual_seed(1_000_003)  # the same held-out text whatever the seed
    with torch.no_grad(), autocast:
        held_out = [model(*get_batch(data[cut:])) for _ in range(args.evaluate)]
    losses = torch.stack(losses).tolist()
    validation = torch.stack(held_out).mean().item() if held_out else None
    if validation is not None:
        print(f"validation loss {validation:.4f}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"losses": losses, "validation": validation}, file)


if __name__ == "__main__":
    main()
