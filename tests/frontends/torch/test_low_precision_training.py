"""Training in low precision, unchanged: losses fall, bits repeat, and differ where they should."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import anychip

INPUTS = torch.randn(64, 20, generator=torch.Generator().manual_seed(1))
TARGETS = (INPUTS @ torch.randn(20, 3, generator=torch.Generator().manual_seed(2))).tanh()


def trained(
    chip: str, dtype: torch.dtype = torch.float32, steps: int = 12, **settings: object
) -> tuple[list[float], torch.Tensor]:
    """Losses by step, and the last weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 33), nn.GELU(), nn.LayerNorm(33), nn.Linear(33, 3)).to(dtype)
    with anychip.on(chip, **settings):
        model = model.to("anychip")
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        inputs, targets = INPUTS.to("anychip", dtype), TARGETS.to("anychip", dtype)
        losses: list[float] = []
        for _ in range(steps):
            loss = ((model(inputs) - targets) ** 2).float().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        weights = torch.cat([p.detach().float().cpu().flatten() for p in model.parameters()])
        state = [v for entry in optimizer.state.values() for v in entry.values() if v.dim()]
        assert {v.dtype for v in state} == {dtype}
    return losses, weights


def test_everything_in_bf16_with_stochastic_rounding() -> None:
    chosen = {"rounding": "stochastic", "seed": 7}
    losses, weights = trained("trn1", torch.bfloat16, **chosen)
    again = trained("trn1", torch.bfloat16, **chosen)
    assert losses[-1] < 0.5 * losses[0]
    assert again[0] == losses
    assert torch.equal(again[1], weights)
    assert not torch.equal(trained("trn1", torch.bfloat16, **(chosen | {"seed": 8}))[1], weights)
    assert torch.equal(weights.bfloat16().float(), weights)
    nearest = trained("trn1", torch.bfloat16)[1]
    assert not torch.equal(nearest, weights)


def test_bits_do_not_depend_on_threads() -> None:
    before = torch.get_num_threads()
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        anychip.formats.compiled.set_threads(threads)
        found.append(trained("trn1", torch.bfloat16, steps=3, rounding="stochastic", seed=7)[1])
    torch.set_num_threads(before)
    anychip.formats.compiled.set_threads(before)
    assert torch.equal(found[0], found[1])


@pytest.mark.parametrize("scaling", ["tensor-scaled", "delayed-scaled", "block-scaled"])
def test_fp8_products_with_scales(scaling: str) -> None:
    whole = trained("trn3", numerics="fp32")[0]
    losses, weights = trained("trn3", numerics=f"fp8+{scaling}")
    again = trained("trn3", numerics=f"fp8+{scaling}")
    assert losses != whole
    assert losses[-1] < 0.5 * losses[0]
    assert abs(losses[-1] - whole[-1]) < 0.2 * whole[-1]
    assert again[0] == losses
    assert torch.equal(again[1], weights)


def test_scales_save_gradients_that_fp8_would_lose() -> None:
    """Gradients below 2**-9 vanish in e4m3 unless they are scaled."""
    left, right = torch.full((4, 8), 1e-5), torch.ones(8, 4)
    found = {}
    for numerics in ("fp8", "fp8+tensor-scaled", "fp8+block-scaled"):
        with anychip.on("trn3", numerics=numerics):
            found[numerics] = (left.to("anychip") @ right.to("anychip")).cpu()
    assert torch.equal(found["fp8"], torch.zeros(4, 4))
    for scaled in ("fp8+tensor-scaled", "fp8+block-scaled"):
        torch.testing.assert_close(found[scaled], left @ right, rtol=0.07, atol=0.0)


def test_the_scripts_own_scaled_products() -> None:
    """torch._scaled_mm with a scale per tensor and per row: exact products of what the codes stand for."""
    generator = torch.Generator().manual_seed(3)
    left, right = (torch.randn(s, generator=generator) for s in ((16, 32), (48, 32)))
    for dim in (None, 1):
        codes, scales = [], []
        for x in (left, right):
            largest = x.abs().amax() if dim is None else x.abs().amax(dim, keepdim=True)
            scale = torch.exp2(torch.ceil(torch.log2(largest / 448)))
            codes.append((x / scale).to(torch.float8_e4m3fn))
            scales.append(scale)
        exact = (codes[0].double() * scales[0].double()) @ (codes[1].double() * scales[1].double()).t()
        with anychip.on("trn3"):
            a, b = (code.to("anychip") for code in codes)
            first, second = (scale.to("anychip") for scale in scales)
            found = torch._scaled_mm(
                a, b.t(), scale_a=first, scale_b=second.t() if dim else second, out_dtype=torch.float32
            ).cpu()
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)
