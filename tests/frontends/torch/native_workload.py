"""Calls of every kind on the device; prints the graph, the memory, the bits and the errors."""

from __future__ import annotations

import hashlib

import torch
from torch import nn
from torch.nn import functional

from anychip.frontends.torch.capture import Capture
from anychip.frontends.torch.device import install
from anychip.frontends.torch.memory import LEDGER
from anychip.frontends.torch.native import SEAM

install()
torch.manual_seed(0)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.convolution = nn.Conv1d(16, 16, 3, padding=1)
        self.norm = nn.BatchNorm1d(16)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.layer(self.words(tokens))
        hidden = self.norm(self.convolution(hidden.transpose(1, 2)))
        return functional.gelu(hidden).mean(-1)


def trained(**options: object) -> torch.Tensor:
    model = Model().to("anychip")
    optimizer = torch.optim.AdamW(model.parameters(), **options)
    tokens = torch.randint(0, 11, (2, 6)).to("anychip")
    for _ in range(2):
        optimizer.zero_grad()
        loss = model(tokens).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return torch.cat([each.detach().flatten() for each in model.parameters()])


def called() -> list[torch.Tensor]:
    x = torch.randn(6, 8).to("anychip")
    rows = torch.tensor([3, 1]).to("anychip")
    kept = [x + 1, x * 2.5, x.sum(), x.mean(-1, keepdim=True), x[rows], x[torch.tensor([0, 2])], x[:, 1:3]]
    kept += [torch.cat([x, x]), torch.stack([x, x]), *x.split(2), *torch.unbind(x)[:2], x.t().reshape(48)]
    kept += [torch.where(x > 0, x, 0.0), torch.zeros(3, device="anychip"), torch.full_like(x, 2.0)]
    kept += [x.clone().view(48).sort()[0], x.nonzero(), *torch.linalg.qr(x), x.to(torch.float64), x.bool()]
    out = torch.empty(0, device="anychip")
    torch.add(x, x, out=out)
    torch.aminmax(x, dim=0, out=(x.new_empty(8), x.new_empty(8)))
    kept += [out, x.clone().index_put_((rows,), x[:2]), torch.addmm(x[:, 0], x, x.t(), beta=0.5)]
    y = x.clone()
    y.t_()
    y.resize_(2, 3)
    torch._foreach_add_([y, kept[0]], [y, kept[0]], alpha=2)
    kept += [y, *torch._foreach_mul([x, x], 2.0), torch.arange(4, device="anychip", dtype=torch.float32)]
    kept += [functional.interpolate(x[None], scale_factor=2.0)]
    kept += [
        x[:, rows],
        x[None, :, 1],
        functional.mse_loss(x, kept[1]),
        functional.smooth_l1_loss(x, kept[1]),
    ]
    with torch.inference_mode():
        kept += [x.view(48), functional.scaled_dot_product_attention(*[x.view(1, 2, 3, 8)] * 3), x @ x.t()]
    assert x[0, 0].item() == x.cpu()[0, 0].item()
    assert torch.equal(x, x)
    return kept


def refused() -> list[str]:
    x = torch.ones(2, 3).to("anychip")
    leaf = torch.ones(2, 3).to("anychip").requires_grad_()

    def in_backward() -> None:
        class Failing(torch.autograd.Function):
            @staticmethod
            def forward(ctx, value):
                return value * 1

            @staticmethod
            def backward(ctx, value):
                return value @ value

        Failing.apply(leaf).sum().backward()

    said: list[str] = []
    for call in (lambda: x + torch.ones(2, 3), lambda: x @ x, lambda: x.numpy(), in_backward):
        try:
            call()
        except Exception as error:  # noqa: BLE001 - what it is, is what is compared
            said.append(f"{type(error).__name__}: {error}")
    return said


def main() -> None:
    print("python" if SEAM is None else "compiled")
    with Capture(name="every kind of call") as capture:
        kept = called()
        kept += [trained(foreach=True), trained(foreach=False)]
        said = refused()
    graph = capture.graph()
    for index in graph.path:
        for node in graph.segments[index].nodes:
            print(node)
    print(graph.path, graph.marks, graph.transfers, graph.digest)
    LEDGER.settle()
    print(graph.memory, LEDGER.live_bytes, LEDGER.allocated_bytes, LEDGER.allocations)
    for tensor in kept:
        plain = tensor.cpu()
        print(
            plain.dtype, tuple(plain.shape), hashlib.sha256(plain.contiguous().numpy().tobytes()).hexdigest()
        )
    print(*said, sep="\n")


main()
