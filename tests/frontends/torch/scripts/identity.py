"""An optimizer built before .cuda(), tied weights, fused AdamW, SparseAdam, .data of parameters."""

import torch
from torch import nn

torch.manual_seed(0)
cuda = torch.cuda.is_available()


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.out = nn.Linear(6, 11, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, words):
        return self.out(self.embed(words))


model = Tied()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, fused=True)
before = model.embed.weight
if cuda:
    model.cuda()
assert model.embed.weight is model.out.weight is before is optimizer.param_groups[0]["params"][0]
assert model.embed.weight.is_cuda == cuda and isinstance(model.embed.weight, nn.Parameter)
words = torch.arange(11)
words = words.cuda() if cuda else words
for _ in range(3):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(words), words)
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.5f}")
sparse = nn.Embedding(10, 3, sparse=True)
sparse = sparse.cuda() if cuda else sparse
other = torch.optim.SparseAdam(sparse.parameters(), lr=0.1)
index = torch.tensor([1, 2, 2])
sparse(index.cuda() if cuda else index).sum().backward()
other.step()
print(f"{sparse.weight.sum().item():.5f}")
for parameter in model.parameters():
    parameter.data = parameter.data.cpu()
assert not model.out.weight.is_cuda
weights = {name: value.cuda() if cuda else value for name, value in model.state_dict().items()}
print(sorted(weights), f"{weights['embed.weight'].sum().item():.5f}")
