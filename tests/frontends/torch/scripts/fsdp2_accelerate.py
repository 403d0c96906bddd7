"""Fully sharded training through accelerate: parameters that are on their device already, the default mesh."""

import os

import torch
from accelerate import Accelerator
from accelerate.utils import FullyShardedDataParallelPlugin, set_seed
from torch import nn

for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}.items():
    os.environ.setdefault(name, value)
os.environ.setdefault("MASTER_PORT", "29671")
os.environ.update(ACCELERATE_USE_FSDP="true", FSDP_VERSION="2")
cpu = not torch.cuda.is_available()
accelerator = Accelerator(fsdp_plugin=FullyShardedDataParallelPlugin(fsdp_version=2), cpu=cpu)
set_seed(0)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
rows = torch.utils.data.TensorDataset(torch.randn(16, 8), torch.randint(0, 2, (16,)))
model, optimizer, loader = accelerator.prepare(
    model, optimizer, torch.utils.data.DataLoader(rows, batch_size=4)
)
for x, y in loader:
    loss = nn.functional.cross_entropy(model(x), y)
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    print(f"{loss.item():.3f}")
state = accelerator.get_state_dict(model)
print([tuple(value.shape) for value in state.values()])
torch.distributed.destroy_process_group()
