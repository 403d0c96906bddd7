"""Compiled by TorchScript: device names inside functions, devices as arguments, modules saved and loaded."""

import io
import os
import tempfile

import torch
from torch import nn

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@torch.jit.script
def named_inside(x: torch.Tensor) -> torch.Tensor:
    ones = torch.ones(3, device="cuda") if x.is_cuda else torch.ones(3)
    return x * ones


@torch.jit.script
def branches(x: torch.Tensor) -> torch.Tensor:
    if x.device.type == "cuda":
        x = x.cuda().to("cuda:0") + torch.ones_like(x, device=torch.device("cuda"))
    else:
        x = x + 1
    return x


@torch.jit.script
def given(x: torch.Tensor, where: torch.device) -> torch.Tensor:
    return x.to(where) + torch.zeros([3], device=where)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.register_buffer("offset", torch.arange(3.0))

    def forward(self, x: torch.Tensor, times: int) -> torch.Tensor:
        for _ in range(times):
            x = torch.relu(self.linear(x)) + torch.zeros([3], device=self.offset.device)
        mask = torch.ones(x.size(0), x.size(0), device=x.device).tril()
        return mask @ x + branches(self.offset)


torch.manual_seed(0)
x = torch.ones(3, device=device)
print(named_inside(x).tolist(), branches(x).tolist(), given(torch.ones(3), device).tolist())
layer = torch.jit.script(Layer().to(device))
for _ in range(3):
    loss = layer(torch.ones(2, 3, device=device), 2).sum()
    loss.backward()
print(f"{loss.item():.4f} {layer.linear.weight.grad.sum().item():.4f}")

buffer = io.BytesIO()
torch.jit.save(layer, buffer)
buffer.seek(0)
loaded = torch.jit.load(buffer, map_location=device)
print(
    f"{loaded(torch.ones(2, 3, device=device), 2).sum().item():.4f}", loaded.offset.device.type == device.type
)
path = os.path.join(tempfile.mkdtemp(), "layer.pt")
layer.save(path)
print(torch.jit.load(path).offset.device.type == device.type)
host = torch.jit.load(path, map_location="cpu")
print(f"{host(torch.ones(2, 3), 2).sum().item():.4f}", host.offset.device.type)
frozen = torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Linear(3, 3)).to(device).eval()))
print(frozen(x).shape, torch.jit.trace(nn.Linear(3, 3).to(device), x)(x).shape)
