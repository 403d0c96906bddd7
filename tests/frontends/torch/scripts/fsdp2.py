"""Fully sharded training (FSDP2) in one process, as torchrun starts it: built on meta, sharded, clipped, saved."""

import os
import tempfile

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}.items():
    os.environ.setdefault(name, value)
os.environ.setdefault("MASTER_PORT", "0")
device = "cuda" if torch.cuda.is_available() else "cpu"
dist.init_process_group("nccl" if device == "cuda" else "gloo")
mesh = init_device_mesh(device, (1,))


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.up, self.down = (
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.Linear(2 * width, width),
        )

    def reset_parameters(self):
        for layer in (self.norm, self.up, self.down):
            layer.reset_parameters()

    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))


with torch.device("meta"):
    model = nn.Sequential(Block(8), Block(8))
policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
for layer in model:
    fully_shard(layer, mesh=mesh, mp_policy=policy)
fully_shard(model, mesh=mesh, mp_policy=policy)
model.to_empty(device=device)
torch.manual_seed(0)
for layer in model:
    layer.reset_parameters()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
for _ in range(3):
    x = torch.randn(4, 8).to(device)
    loss = model(x).float().square().mean()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    print(f"{loss.item():.3f} {norm.full_tensor().item():.2f}", type(model[0].up.weight).__name__)
full = {name: value.full_tensor().cpu() for name, value in model.state_dict().items()}
path = os.path.join(tempfile.mkdtemp(), "full.pt")
torch.save(full, path)
print(sorted(torch.load(path))[:2], {value.device.type for value in full.values()})
dist.destroy_process_group()
