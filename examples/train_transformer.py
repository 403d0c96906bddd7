"""Train a small GPT on Python's own language reference, with mixed precision.

    python train_transformer.py --steps 50

The text is `pydoc_data.topics`, which ships with every Python; nothing is downloaded. Bytes are the
tokens, so there is no tokenizer to build either.
"""

import argparse
import math
import time
from pydoc_data.topics import topics

import torch
import torch.nn as nn
import torch.nn.functional as F

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=30, help="optimizer steps")
parser.add_argument("--batch", type=int, default=16, help="sequences per step")
parser.add_argument("--context", type=int, default=128, help="tokens per sequence")
parser.add_argument("--layers", type=int, default=4)
parser.add_argument("--heads", type=int, default=4)
parser.add_argument("--width", type=int, default=256, help="size of the residual stream")
parser.add_argument("--lr", type=float, default=1e-3, help="highest learning rate")
parser.add_argument("--sample", type=int, default=0, help="characters to write after training")
parser.add_argument("--seed", type=int, default=1337)
parser.add_argument("--compile", action="store_true", help="use torch.compile")
args = parser.parse_args()

device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(args.seed)

# Data: the last tenth of the text is never trained on.
text = "\n".join(topics[name] for name in sorted(topics))
data = torch.tensor(list(text.encode()), dtype=torch.long)
cut = int(0.9 * len(data))
train_data, validation_data = data[:cut], data[cut:]


def get_batch(source):
    """A random batch of inputs and of targets, which are the inputs one byte later."""
    starts = torch.randint(len(source) - args.context - 1, (args.batch,)).tolist()
    x = torch.stack([source[i : i + args.context] for i in starts])
    y = torch.stack([source[i + 1 : i + args.context + 1] for i in starts])
    if device == "cuda":
        # Pinned memory lets the copy run beside the computation.
        return x.pin_memory().to(device, non_blocking=True), y.pin_memory().to(device, non_blocking=True)
    return x, y


class SelfAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (t.view(batch, length, self.heads, -1).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, vocabulary, context, layers, heads, width):
        super().__init__()
        self.context = context
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.position_embedding = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.apply(self._init_weights)
        self.head.weight = self.token_embedding.weight  # tied, as in GPT-2

    @staticmethod
    def _init_weights(module):
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, tokens, targets=None):
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.token_embedding(tokens) + self.position_embedding(positions)
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    @torch.no_grad()
    def generate(self, tokens, count):
        for _ in range(count):
            logits, _ = self(tokens[:, -self.context :])
            probabilities = logits[:, -1].float().softmax(-1)
            tokens = torch.cat([tokens, torch.multinomial(probabilities, 1)], dim=1)
        return tokens


@torch.no_grad()
def estimate_loss(model, batches=4):
    """Mean loss over a few batches of text that was never trained on."""
    model.eval()
    losses = [model(*get_batch(validation_data))[1] for _ in range(batches)]
    model.train()
    return torch.stack(losses).mean().item()


model = GPT(256, args.context, args.layers, args.heads, args.width).to(device)
print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {len(data)} bytes of text")

# Matrices decay, vectors (biases, norms) do not.
decayed = [p for p in model.parameters() if p.dim() >= 2]
others = [p for p in model.parameters() if p.dim() < 2]
optimizer = torch.optim.AdamW(
    [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
    lr=args.lr,
    betas=(0.9, 0.95),
)
warmup = max(1, args.steps // 10)
scheduler = torch.optim.lr_scheduler.LambdaLR(
    optimizer,
    lambda step: (
        (step + 1) / warmup
        if step < warmup
        else 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warmup) / max(1, args.steps - warmup)))
    ),
)
scaler = torch.amp.GradScaler(device, enabled=device == "cuda")
step_model = torch.compile(model) if args.compile else model

if device == "cuda":
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
for step in range(args.steps):
    x, y = get_batch(train_data)
    began = time.perf_counter()
    if device == "cuda":
        start.record()
    with torch.autocast(device, dtype=torch.float16, enabled=device == "cuda"):
        _, loss = step_model(x, y)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    scheduler.step()
    optimizer.zero_grad(set_to_none=True)
    if device == "cuda":
        end.record()
        torch.cuda.synchronize()
        milliseconds = start.elapsed_time(end)
    else:
        milliseconds = 1e3 * (time.perf_counter() - began)
    print(f"step {step:4d}  loss {loss.item():.4f}  {milliseconds:8.2f} ms", flush=True)

print(f"validation loss {estimate_loss(model):.4f}")
if args.sample:
    prompt = torch.tensor([list(b"The ")], device=device)
    print(bytes(model.generate(prompt, args.sample)[0].tolist()).decode(errors="replace"))
