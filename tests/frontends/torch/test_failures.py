"""Errors in backward passes reach the user as they were raised, and never end the process."""

from __future__ import annotations

import pytest
import torch

from anychip.frontends.torch.capture import Capture
from anychip.frontends.torch.device import install

install()


def leaf() -> torch.Tensor:
    return torch.ones(3).to("anychip").requires_grad_()


def test_a_hook_that_raises() -> None:
    def hook(gradient: torch.Tensor) -> None:
        raise ValueError("from my hook")

    with Capture(name="hook"):
        x = leaf()
        y = x * 2
        y.register_hook(hook)
        with pytest.raises(ValueError, match=r"^from my hook$"):
            y.sum().backward()
        (x * 3).sum().backward()  # the engine still works


def test_an_operator_that_fails_inside_a_hook() -> None:
    with Capture(name="shapes"):
        x = leaf()
        x.register_hook(lambda gradient: gradient + torch.ones(7).to("anychip"))
        with pytest.raises(RuntimeError, match="must match the size"):
            (x * 2).sum().backward()


def test_a_kernel_that_fails_below_the_engine() -> None:
    def handlers(operator: object) -> object:
        if operator is torch.ops.aten.tanh_backward.default:

            def broken(*args: object) -> None:
                raise ZeroDivisionError("broken kernel")

            return broken
        return None

    with Capture(name="kernel", handlers=handlers):  # type: ignore[arg-type]
        x = leaf()
        with pytest.raises(ZeroDivisionError, match=r"^broken kernel$"):
            torch.tanh(x).sum().backward()
    with Capture(name="after"):
        x = leaf()
        torch.tanh(x).sum().backward()
        assert x.grad is not None


def test_stochastic_training_repeats_and_depends_on_the_seed() -> None:
    import anychip

    def trained(seed: int) -> torch.Tensor:
        torch.manual_seed(0)
        with anychip.on("trn1", rounding="stochastic", seed=seed):
            model = torch.nn.Linear(16, 16).to(torch.bfloat16).to("anychip")
            optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
            x = torch.randn(4, 16, dtype=torch.bfloat16).to("anychip")
            for _ in range(3):
                optimizer.zero_grad()
                (model(x) ** 2).mean().backward()
                optimizer.step()
            return model.weight.detach().cpu()

    assert torch.equal(trained(7), trained(7))
    assert not torch.equal(trained(7), trained(8))
