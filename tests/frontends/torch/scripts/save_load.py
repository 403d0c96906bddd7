"""state_dict, save, load with every kind of map_location, an optimizer's state."""

import io

import torch
from torch import nn

torch.manual_seed(0)
device = "cuda:0" if torch.cuda.is_available() else "cpu"
model = nn.Linear(4, 3).to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
model(torch.ones(2, 4, device=device)).sum().backward()
optimizer.step()
buffer = io.BytesIO()
torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 7}, buffer)
for where in (
    None,
    "cpu",
    device,
    torch.device(device),
    lambda storage, location: storage,
    {"cuda:0": "cpu"},
):
    buffer.seek(0)
    state = torch.load(buffer, map_location=where)
    other = nn.Linear(4, 3).to(device)
    other.load_state_dict(state["model"])
    again = torch.optim.Adam(other.parameters(), lr=0.1)
    again.load_state_dict(state["optimizer"])
    other(torch.ones(2, 4).to(device)).sum().backward()
    again.step()
    print(state["step"], f"{other.weight.sum().item():.5f}")
buffer = io.BytesIO()
torch.save(model, buffer)
buffer.seek(0)
whole = torch.load(
    buffer,
    map_location=lambda storage, location: storage.cuda() if device != "cpu" else storage,
    weights_only=False,
)
assert whole.weight.is_cuda == (device != "cpu"), whole.weight.device
print(f"{whole(torch.ones(1, 4, device=device)).sum().item():.5f}")
