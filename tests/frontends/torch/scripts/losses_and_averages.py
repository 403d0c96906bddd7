"""Losses with lengths, averaged models with integer buffers, padded encoders, jagged tensors, one-rank launches."""

import torch
import torch.multiprocessing as processes
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
scores = torch.randn(12, 2, 5).to(device).requires_grad_()
for lengths, targets in (
    (torch.tensor([12, 10]), torch.tensor([4, 3])),
    (torch.tensor([12, 10]).to(device), torch.tensor([4, 3]).to(device)),
):
    loss = nn.functional.ctc_loss(
        scores.log_softmax(2), torch.ones(2, 4, dtype=torch.int64).to(device), lengths, targets
    )
    loss.backward()
    print("ctc", round(loss.item(), 4), round(scores.grad.abs().sum().item(), 4))
model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).to(device)
average = AveragedModel(model, use_buffers=True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    model(torch.randn(8, 4).to(device)).square().sum().backward()
    optimizer.step()
    average.update_parameters(model)
print("batches", average.module[1].num_batches_tracked.item(), average.n_averaged.item())
update_bn([torch.randn(8, 4).to(device)], average, device=device)
print("average", [round(v, 3) for v in average.eval()(torch.ones(1, 4, device=device)).flatten().tolist()])
layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
encoder = nn.TransformerEncoder(layer, 2).to(device).eval()
padding = torch.tensor([[False, False, True], [False, True, True]], device=device)
with torch.no_grad():
    kept = encoder(torch.ones(2, 3, 8, device=device), src_key_padding_mask=padding)[~padding]
print("encoder", [round(v, 3) for v in kept.flatten().tolist()[:6]])
jagged = torch.nested.nested_tensor([torch.ones(2, 4), torch.ones(3, 4)], layout=torch.jagged, device=device)
rows = nn.Linear(4, 2).to(device)(jagged)
rows.values().sum().backward()
print("jagged", rows.values().shape, torch.nested.to_padded_tensor(jagged * 2, 0.0).sum().item())


def worker(rank, scale):
    print("rank", rank, (torch.ones(3).to(device) * scale).sum().item())


if __name__ == "__main__" and device == "cuda":
    processes.spawn(worker, args=(2,), nprocs=1)
else:
    worker(0, 2)
