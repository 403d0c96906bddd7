"""Single-process DistributedDataParallel over nccl, with collectives."""

import os

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
os.environ.setdefault("MASTER_PORT", "0")  # the store takes a free one
cuda = torch.cuda.is_available()
dist.init_process_group("nccl" if cuda else "gloo", rank=0, world_size=1)
torch.manual_seed(0)
device = torch.device("cuda", 0) if cuda else torch.device("cpu")
if cuda:
    torch.cuda.set_device(device)
model = DistributedDataParallel(nn.Linear(4, 2).to(device), device_ids=[0] if cuda else None)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    loss = model(torch.ones(3, 4, device=device)).pow(2).mean()
    loss.backward()
    optimizer.step()
total = loss.detach().clone()
dist.all_reduce(total)
dist.barrier()
gathered = [torch.zeros_like(total) for _ in range(dist.get_world_size())]
dist.all_gather(gathered, total)
print(f"{gathered[0].item():.5f}", sorted(model.state_dict()))


class Branches(nn.Module):
    """Uses one of two layers, now this and now that."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x, left: bool):
        return self.left(x) if left else self.right(x)


torch.manual_seed(1)
branches = DistributedDataParallel(Branches().to(device), find_unused_parameters=True)
optimizer = ZeroRedundancyOptimizer(branches.parameters(), torch.optim.Adam, lr=0.1)
for step in range(3):
    optimizer.zero_grad()
    loss = branches(torch.ones(3, 4, device=device), step % 2 == 0).pow(2).mean()
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.5f}", [name for name, each in branches.named_parameters() if each.grad is None])
dist.destroy_process_group()
