"""A whole training step captured in a CUDA graph and replayed on new data."""

import torch
from torch import nn

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1)).to(device)
optimizer = torch.optim.Adam(net.parameters(), 1e-2, capturable=device == "cuda")
inputs = torch.randn(6, 32, 8)
targets = inputs.sum(2, keepdim=True)
static_inputs, static_targets = torch.zeros(32, 8, device=device), torch.zeros(32, 1, device=device)


def step():
    optimizer.zero_grad(set_to_none=True)
    loss = (net(static_inputs) - static_targets).square().mean()
    loss.backward()
    optimizer.step()
    return loss


def load(index):
    static_inputs.copy_(inputs[index])
    static_targets.copy_(targets[index])


for warm in range(3):
    load(warm)
    step()
if device == "cuda":
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        assert torch.cuda.is_current_stream_capturing()
        loss = step()
    assert not torch.cuda.is_current_stream_capturing()
for index in range(3, 6):
    load(index)
    if device == "cuda":
        graph.replay()
    else:
        loss = step()
    print(f"{loss.item():.4f}")
