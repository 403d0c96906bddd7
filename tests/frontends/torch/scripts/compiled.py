"""torch.compile of modules, functions and methods, with state_dict names and modes."""

import torch
from torch import nn

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
if device == "cpu":
    torch.compile = lambda f=None, **k: f if f is not None else (lambda g: g)
model = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 2)).to(device)
fast = torch.compile(model, mode="max-autotune")


@torch.compile(fullgraph=True)
def scaled(x, factor):
    if factor > 2:
        return x * factor
    return x / factor


optimizer = torch.optim.SGD(fast.parameters(), lr=0.1, momentum=0.9, nesterov=True)
x = torch.randn(6, 8, device=device)
for _ in range(3):
    optimizer.zero_grad()
    loss = scaled(fast(x), 3).pow(2).mean()
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.5f}")
fast.eval()
assert not model.training
if device == "cuda":
    model.compile()
print(f"{model(x).sum().item():.5f}")
