"""Profiler, threads, weight norm, multihead attention, transformer layers, printing, deepcopy."""

import copy
import threading

import torch
from torch import nn

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, dropout=0.0)
model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).to(device)
x = torch.randn(2, 5, 16, device="cpu").to(device)
y = model(x)
y.sum().backward()
print(f"{y.sum().item():.3f} {model.layers[0].linear1.weight.grad.sum().item():.3f}")
normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)).to(device)
print(f"{normed(torch.ones(1, 4, device=device)).sum().item():.4f}")
twin = copy.deepcopy(model)
assert twin.layers[0].linear1.weight is not model.layers[0].linear1.weight
sums = []


def work():
    sums.append(torch.ones(100, device=device).cumsum(0).sum().item())


threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sums)
with torch.profiler.profile() as profile:
    twin(x)
assert len(profile.key_averages()) > 0
text = repr(torch.arange(3, device=device))
print(text.replace(", device='cuda:0'", ""))
scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.ReLU())).to(device)
print(f"{scripted(torch.ones(1, 3, device=device)).sum().item():.4f}")
