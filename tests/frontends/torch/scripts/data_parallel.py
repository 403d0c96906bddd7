"""Batches split over the devices that there are: DataParallel, and DDP that is given a batch on the host."""

import torch
import torch.distributed as dist
from torch import nn

cuda = torch.cuda.is_available()
torch.manual_seed(0)


def trained(model):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(3):
        loss = model(torch.randn(6, 4)).square().mean()  # the host's batch: the wrapper moves it
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"{loss.item():.4f}", list(model.state_dict()))


split = nn.DataParallel(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
trained(split.cuda() if cuda else split)

dist.init_process_group("nccl" if cuda else "gloo", init_method="tcp://127.0.0.1:0", rank=0, world_size=1)
layer = nn.Linear(4, 2)
trained(
    nn.parallel.DistributedDataParallel(layer.cuda() if cuda else layer, device_ids=[0] if cuda else None)
)
dist.destroy_process_group()
