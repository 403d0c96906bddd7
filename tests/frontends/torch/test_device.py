"""The device behaves as an accelerator: values, errors, randomness, checkpoints, memory."""

from __future__ import annotations

import copy
import gc
import io

import pytest
import torch
from torch import nn

from anychip.frontends.torch.device import install
from anychip.frontends.torch.memory import LEDGER
from anychip.frontends.torch.tensor import DeviceTensor

install()


def live_bytes() -> int:
    gc.collect()
    LEDGER.settle()
    return LEDGER.live_bytes


def test_a_training_step_equals_the_cpu() -> None:
    def losses(device: str) -> list[float]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 2)).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        found = []
        for _ in range(3):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(
                model(torch.randn(4, 6).to(device)), torch.zeros(4, 2, device=device)
            )
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    assert losses("anychip") == pytest.approx(losses("cpu"), rel=1e-5)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda a, b: a + b,
        lambda a, b: a @ b,
        lambda a, b: torch.cat([a, b]),
        lambda a, b: torch.where(a > 0, a, b),
        lambda a, b: nn.functional.linear(a, b),
        lambda a, b: a.add_(b),
    ],
)
def test_mixing_host_and_device_is_an_error(mixed) -> None:
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        mixed(torch.ones(3, 3).to("anychip"), torch.ones(3, 3))


def test_host_numbers_and_host_indices_may_be_mixed_in() -> None:
    a = torch.arange(6.0).to("anychip")
    assert (a + torch.tensor(1.0)).tolist() == [1, 2, 3, 4, 5, 6]
    assert a[torch.tensor([1, 3])].tolist() == [1, 3]


def test_a_device_tensor_is_no_array() -> None:
    with pytest.raises(TypeError, match="can't convert anychip:0 device type tensor to numpy"):
        torch.ones(1).to("anychip").numpy()


def test_random_numbers_are_the_hosts_for_one_seed() -> None:
    torch.manual_seed(5)
    host = torch.randn(4)
    torch.manual_seed(5)
    assert torch.equal(torch.randn(4, device="anychip").cpu(), host)


def test_checkpoints_hold_plain_tensors() -> None:
    model = nn.Linear(3, 2).to("anychip")
    buffer = io.BytesIO()
    torch.save({"state": model.state_dict(), "weight": model.weight}, buffer)
    assert b"DeviceTensor" not in buffer.getvalue()
    buffer.seek(0)
    loaded = torch.load(buffer, map_location="cpu", weights_only=True)
    assert type(loaded["state"]["weight"]) is torch.Tensor
    assert torch.equal(loaded["state"]["weight"], model.weight.detach().cpu())
    buffer.seek(0)
    again = torch.load(buffer, weights_only=True)
    assert type(again["weight"]) is DeviceTensor
    assert isinstance(again["weight"], nn.Parameter)


def test_tied_weights_and_optimizers_survive_the_move() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    model = nn.Sequential(first, second)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.to("anychip")
    assert first.weight is second.weight
    assert optimizer.param_groups[0]["params"][0] is first.weight
    assert first.weight.device.type == "anychip"
    twin = copy.deepcopy(model)
    assert twin[0].weight is twin[1].weight
    assert isinstance(twin[0].weight, nn.Parameter)


def test_memory_is_exact_through_views_and_deletes() -> None:
    before = live_bytes()
    a = torch.empty(1000, device="anychip")
    view = a[10:20].view(2, 5)
    assert live_bytes() - before == 4000
    b = a + 1
    assert live_bytes() - before == 8000
    del a
    assert live_bytes() - before == 8000, "a view keeps the storage"
    del view
    assert live_bytes() - before == 4000
    b.resize_(2000)
    assert live_bytes() - before == 8000
    del b
    assert live_bytes() - before == 0


def test_autograds_saved_tensors_count_as_live() -> None:
    before = live_bytes()
    w = torch.ones(256, device="anychip", requires_grad=True)
    y = (w * 2).exp()
    total = y.sum()
    del y
    assert live_bytes() - before == 4 * (256 + 256 + 1), "exp keeps its result, mul's is freed"
    del total
    assert live_bytes() - before == 4 * 256


@pytest.mark.parametrize("masked", ["none", "causal", "float", "bool"])
def test_attention_equals_the_cpu(masked: str) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 6, 8).unbind()
    mask = {"float": torch.randn(6, 6), "bool": torch.rand(2, 1, 6, 6) > 0.3}.get(masked)
    causal = masked == "causal"

    def run(device: str) -> list[torch.Tensor]:
        leaves = [each.to(device).requires_grad_() for each in (q, k, v)]
        there = None if mask is None else mask.to(device)
        out = nn.functional.scaled_dot_product_attention(*leaves, attn_mask=there, is_causal=causal)
        out.square().sum().backward()
        return [out.detach().cpu(), *(leaf.grad.cpu() for leaf in leaves)]

    for one, other in zip(run("anychip"), run("cpu"), strict=True):
        torch.testing.assert_close(one, other)


def test_inference_mode_views_of_ordinary_tensors() -> None:
    a = torch.arange(6).to("anychip")
    with torch.inference_mode():
        assert a[1:3].tolist() == [1, 2]
        assert (a.view(2, 3) + 1).is_inference()


def test_inference_mode_sees_the_operators_that_no_grad_sees() -> None:
    from anychip.frontends.torch.capture import Capture

    model = nn.Sequential(nn.Linear(4, 4), nn.Flatten()).to("anychip")
    x = torch.ones(2, 4).to("anychip")

    def operators(context) -> list[str]:
        with Capture() as capture, context:
            model(x)
        return [node.operator for segment in capture.graph().segments for node in segment.nodes]

    assert operators(torch.inference_mode()) == operators(torch.no_grad()) == ["aten.addmm.default"]


def test_metadata_changes_in_place() -> None:
    a = torch.arange(6.0).to("anychip").view(2, 3)
    a.t_()
    assert a.shape == (3, 2)
    assert a.cpu().tolist() == [[0, 3], [1, 4], [2, 5]]
    a.unsqueeze_(0)
    assert a.shape == (1, 3, 2)


def test_sparse_layouts_that_no_wrapper_can_have_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="cannot be on the device"):
        torch.eye(3).to("anychip").to_sparse_csr()


def test_what_is_not_given_is_what_the_schema_says() -> None:
    """Losses without a reduction, and indices beside dimensions taken whole."""
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    rows = torch.tensor([2, 0])
    on_device = x.to("anychip")
    assert torch.equal(nn.functional.mse_loss(on_device, y.to("anychip")).cpu(), nn.functional.mse_loss(x, y))
    assert torch.equal(on_device[:, rows.to("anychip")].cpu(), x[:, rows])
