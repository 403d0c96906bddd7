"""A script written for XLA devices (Trainium's older stack)."""

import torch
from torch import nn

try:
    import torch_xla.core.xla_model as xm
    from torch_xla.distributed.parallel_loader import MpDeviceLoader

    device = xm.xla_device()
except ImportError:
    xm, device = None, torch.device("cpu")
torch.manual_seed(0)
model = nn.Linear(4, 2).to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
batches = [torch.ones(2, 4) * i for i in range(3)]
for batch in MpDeviceLoader(batches, device) if xm else batches:
    optimizer.zero_grad()
    loss = model(batch).pow(2).sum()
    loss.backward()
    if xm:
        xm.optimizer_step(optimizer)
        xm.mark_step()
    else:
        optimizer.step()
    print(f"{loss.item():.5f}")
