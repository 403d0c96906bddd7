"""The judge itself: what it lets pass, what it must not, and a sample of operators through it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from anychip.arithmetic import Numerics, neuron, reference
from anychip.frontends.torch.values import handlers

pytest.importorskip("expecttest")
from anychip.frontends.torch.conformance.numerics import check

OPERATORS = ("mm", "softmax", "nn.functional.layer_norm", "nn.functional.conv2d", "addcdiv", "var")


@pytest.mark.parametrize("numerics", [reference(), neuron(2)], ids=lambda each: each.name)
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_stay_within_what_rounding_may_do(name: str, numerics: Numerics) -> None:
    from anychip.frontends.torch.conformance.numerics import operators

    entries = [entry for entry in operators(name) if entry.name == name]
    cases = check(numerics, entries=entries, samples=2)
    assert [case for case in cases if case.outcome == "fail"] == []
    assert any(case.outcome == "pass" for case in cases)


def test_a_wrong_kernel_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    right = handlers.Handler.evaluate

    def wrong(self: Any, *args: Any) -> Any:
        result = right(self, *args)
        return result * 1.001 if isinstance(result, torch.Tensor) and result.is_floating_point() else result

    monkeypatch.setattr(handlers.Handler, "evaluate", wrong)
    cases = check(reference(), (torch.float32,), name="mm", samples=1)
    assert any(case.outcome == "fail" and "expected" in case.reason for case in cases)


def test_host_order_is_named() -> None:
    cases = check(reference(), (torch.float32,), name="linalg.qr", samples=1)
    assert {case.outcome for case in cases} == {"host order"}
    assert all("aten.linalg_qr.default" in case.host for case in cases)
