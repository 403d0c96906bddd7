"""Checkpointing, custom autograd functions, torch.func, half precision, inference mode, linalg, fft, jit."""

import torch
from torch import nn
from torch.func import functional_call, grad, jacrev, vmap
from torch.utils.checkpoint import checkpoint

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
layer = nn.Linear(4, 4).to(device)
x = torch.randn(3, 4).to(device).requires_grad_()
for reentrant in (True, False):
    checkpoint(lambda t: layer(torch.tanh(t)), x, use_reentrant=reentrant).sum().backward()
print(f"{x.grad.sum().item():.4f} {layer.weight.grad.sum().item():.4f}")


class Square(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda", cast_inputs=torch.float32)
    def forward(ctx, value):
        ctx.save_for_backward(value)
        return value * value

    @staticmethod
    @torch.amp.custom_bwd(device_type="cuda")
    def backward(ctx, gradient):
        (value,) = ctx.saved_tensors
        return 2 * value * gradient


x.grad = None
Square.apply(x).sum().backward()
print(f"{x.grad.sum().item():.4f}")
parameters = dict(layer.named_parameters())


def loss(parameters, row):
    return functional_call(layer, parameters, (row,)).pow(2).sum()


gradients = vmap(grad(loss), (None, 0))({k: v.detach() for k, v in parameters.items()}, x.detach())
print(f"{gradients['weight'].sum().item():.4f}")
print(f"{jacrev(torch.sin)(torch.ones(3, device=device)).sum().item():.4f}")
half = nn.Linear(4, 2).to(device).half()
with torch.inference_mode():
    print(f"{half(torch.ones(1, 4, device=device, dtype=torch.half)).float().sum().item():.2f}")
matrix = torch.eye(3, device=device) * 2 + 0.1
print(f"{torch.linalg.inv(matrix).sum().item():.4f} {torch.linalg.svd(matrix)[1].sum().item():.4f}")
print(f"{torch.fft.rfft(torch.arange(8.0, device=device)).abs().sum().item():.3f}")
traced = torch.jit.trace(layer, torch.ones(1, 4, device=device))
print(f"{traced(torch.ones(2, 4, device=device)).sum().item():.4f}")
with torch.no_grad():
    a = torch.randn(5, device=device)
    a[a > 0] = 0
    a[1:3] += torch.tensor([1.0, 2.0], device=device)
    values, indices = torch.sort(a)
    print(f"{values.sum().item():.4f}", int(torch.nonzero(a).numel()))
