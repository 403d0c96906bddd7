"""The share of arithmetic in host order: what is counted, and how."""

from __future__ import annotations

import json

import pytest
import torch

from anychip.frontends.torch.capture import Capture
from anychip.frontends.torch.conformance.arithmetic_share import counted, joined
from anychip.frontends.torch.conformance.results import Case


def test_operations_are_counted_by_whose_order_they_have() -> None:
    x = torch.randn(4, 8, 16)
    with Capture() as capture:
        y = x.to("anychip")
        for _ in range(3):
            y = torch.bmm(y, y.transpose(1, 2))[:, :, :1].expand(4, 8, 16) * 0.01
        torch.linalg.qr(y)
    counts = counted(capture.graph())
    assert counts["chip"] == 3 * (2 * 4 * 8 * 8 * 16 + 4 * 8 * 16)
    assert set(counts["host"]) == {"aten.linalg_qr"}
    assert counts["host"]["aten.linalg_qr"] > 0


def test_models_are_added_up() -> None:
    cases = [
        Case("a", "pass", json.dumps({"chip": 90, "host": {"aten.sort": 10}})),
        Case("b", "pass", json.dumps({"chip": 100, "host": {}})),
        Case("c", "excluded", "needs more"),
    ]
    shares = joined(cases, {"torch": "1"}, 2.0)
    assert shares.share == pytest.approx(0.95)
    assert shares.models == {"a": 0.1, "b": 0.0}
    assert [case.name for case in shares.excluded] == ["c"]
    assert shares.table().splitlines()[0] == (
        "arithmetic: 5.000 % of 200 operations in host order, over 2 models, 1 of which have any; "
        "1 excluded, 2 s"
    )
    assert json.loads(shares.json())["host_operations"] == {"aten.sort": 10}
