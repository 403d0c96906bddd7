"""Second and forward derivatives, TorchScript, tensors saved to pinned host memory."""

import torch
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jvp, vmap

device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
x = torch.randn(4).to(device)


def show(name, tensor):
    values = tensor.detach().cpu().flatten().tolist()
    print(name, tuple(tensor.shape), [round(value, 3) + 0.0 for value in values])


show("jacfwd", jacfwd(torch.sin)(x))
show("twice forward", jacfwd(jacfwd(lambda v: (v**3).sum()))(x))
show("hessian", hessian(lambda v: (v.exp() * v).sum())(x))
show("jvp", jvp(lambda v: nn.functional.gelu(v) * v, (x,), (torch.ones_like(x),))[1])
model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3)).to(device)
rows = torch.randn(5, 4).to(device)
per_sample = vmap(
    grad(lambda parameters, row: functional_call(model, parameters, (row,)).square().sum()), in_dims=(None, 0)
)
for name, value in per_sample(dict(model.named_parameters()), rows).items():
    show(name, value)


@torch.jit.script
def scripted(value):
    result = torch.zeros_like(value) + torch.arange(4, device=value.device)
    if bool(value.sum() > -100):
        result = result + torch.ones_like(value)
    return result


show("scripted", scripted(x))
with torch.autograd.graph.save_on_cpu(pin_memory=device == "cuda"):
    leaf = torch.ones(3).to(device).requires_grad_()
    (leaf.exp() * leaf).sum().backward()
show("saved on the host", leaf.grad)
