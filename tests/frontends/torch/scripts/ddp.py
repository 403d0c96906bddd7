"""Single-process DistributedDataParallel over nccl, with collectives."""

import os

import torch
import torch.distributed as dist
from torch import nn
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
dist.destroy_process_group()
