"""Graphs: places, phases, versions, steps, cuts, regions, digests, threads."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
import torch
from torch import nn

import anychip
from anychip.errors import InvalidInput
from anychip.frontends.torch.capture import Capture, StopCapture
from anychip.frontends.torch.device import install
from anychip.frontends.torch.memory import LEDGER
from tests.frontends.torch.captures import bert_forward, linear, mlp_step

install()


def nodes_of(graph):
    return [node for index in graph.path for node in graph.segments[index].nodes]


def test_a_linear_is_one_node_of_its_module() -> None:
    (node,) = nodes_of(linear(8, 16, 24))
    assert node.operator == "aten.addmm.default"
    assert [view.shape for view in node.inputs] == [(24,), (8, 16), (16, 24)]
    assert node.inputs[2].strides == (1, 16), "a transposed weight is geometry, not a node"
    assert node.place.module == "model"
    assert node.place.source.startswith("captures.py:")
    assert node.place.phase == "forward"


def test_equal_steps_are_one_segment() -> None:
    graph = mlp_step(steps=4)
    assert len(graph.segments) == 1
    assert graph.path == (0, 0, 0, 0)
    assert [mark.position for mark in graph.marks if mark.kind == "step"] == [1, 2, 3, 4]


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_the_digest_is_the_same_from_capture_to_capture(optimizer: str) -> None:
    assert mlp_step(optimizer=optimizer, steps=3).digest == mlp_step(optimizer=optimizer, steps=3).digest


def test_backward_has_the_forward_operators_place() -> None:
    nodes = nodes_of(mlp_step(steps=1))
    backward = [node for node in nodes if node.place.phase == "backward"]
    assert {node.place.module for node in backward if node.operator == "aten.mm.default"} == {
        "model.0",
        "model.2",
    }
    assert [n.place.module for n in backward if n.operator == "aten.gelu_backward.default"] == ["model.1"]
    assert any(node.place.phase == "optimizer" for node in nodes)


def test_an_update_in_place_writes_the_next_version() -> None:
    with Capture() as capture:
        a = torch.zeros(4, device="anychip")
        a.add_(1)
        a.mul_(2)
    (segment,) = capture.graph().segments
    added, doubled = segment.nodes[-2:]
    assert segment.values[added.inputs[0].value].storage == segment.values[doubled.outputs[0].value].storage
    assert doubled.inputs[0].value == added.outputs[0].value
    versions = [segment.values[node.outputs[0].value].version for node in (added, doubled)]
    assert versions[1] == versions[0] + 1


def test_the_host_cuts_segments() -> None:
    x = torch.ones(3).to("anychip")
    with Capture() as capture:
        (x + 1).sum().item()
        (x + 2).cpu()
        torch.nonzero(x)
        x.mul(3)
    graph = capture.graph()
    assert [graph.segments[index].ended_by for index in graph.path] == ["item", "to host", "extent", "end"]
    assert sum(transfer.to_host_bytes for transfer in graph.transfers) == 4 + 12 + 8


def test_transfers_to_the_device_are_counted() -> None:
    with Capture() as capture:
        torch.ones(10).to("anychip") + 1
    assert sum(transfer.to_device_bytes for transfer in capture.graph().transfers) == 40


def test_inference_is_divided_by_forward_passes() -> None:
    model = nn.Linear(4, 4).to("anychip")
    with Capture() as capture, torch.no_grad():
        for _ in range(3):
            model(torch.ones(2, 4, device="anychip"))
    graph = capture.graph()
    assert [mark.kind for mark in graph.marks] == ["forward"] * 3
    assert [mark.items for mark in graph.marks] == [2, 2, 2]
    assert len(graph.path) == 3


def test_learning_rates_do_not_make_segments() -> None:
    parameter = torch.ones(4, device="anychip", requires_grad=True)
    optimizer = torch.optim.Adam([parameter])
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    with Capture() as capture:
        for _ in range(5):
            optimizer.zero_grad()
            (parameter * parameter).sum().backward()
            optimizer.step()
            schedule.step()
    assert len(capture.graph().segments) <= 2


def test_memory_at_the_peak_by_kind() -> None:
    memory = mlp_step(rows=8, width=16, steps=2).memory
    kinds = dict(memory.peak_by_kind)
    parameters = 4 * (16 * 64 + 64 + 64 * 16 + 16)
    assert kinds["parameter"] == parameters
    assert sum(kinds.values()) == memory.peak_bytes
    assert sum(size for _, size in memory.peak_by_module) == memory.peak_bytes


def test_modules_of_a_transformer_have_the_users_names() -> None:
    pytest.importorskip("transformers")
    modules = {node.place.module for node in nodes_of(bert_forward())}
    assert "model.encoder.layer.1.intermediate.dense" in modules


def test_threads_record_without_losing_anything() -> None:
    def work() -> None:
        x = torch.ones(8, device="anychip")
        for _ in range(50):
            x = x + 1

    with Capture() as capture:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(node.operator == "aten.add.Tensor" for node in nodes_of(capture.graph())) == 200


def test_a_capture_stops_after_its_steps() -> None:
    parameter = torch.ones(2, device="anychip", requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    capture = Capture(stop_after_steps=3)

    def forever() -> None:
        while True:
            parameter.sum().backward()
            optimizer.step()

    with pytest.raises(StopCapture), capture:
        forever()
    assert sum(mark.kind == "step" for mark in capture.graph().marks) == 3


@pytest.mark.parametrize("looks", [False, True])
def test_steps_that_a_script_takes_itself_are_steps(looks: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)).to("anychip")
    batch = torch.randn(6, 4).to("anychip")
    total = torch.zeros((), device="anychip")
    with Capture() as capture:
        for _ in range(3):
            for half in batch.chunk(2):  # gradients of two passes go into one step
                loss = model(half).mean()
                loss.backward()
                total += loss.detach()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.1 * parameter.grad
                    parameter.grad = None
            if looks:
                loss.item()
        model.eval()(batch)
    steps = [mark for mark in capture.graph().marks if mark.kind == "step"]
    assert len(steps) == 3 and [mark.items for mark in steps] == [3, 3, 3]
    assert sum(mark.kind == "forward" for mark in capture.graph().marks) == 7


def test_a_script_without_modules_steps_with_its_backward_passes() -> None:
    weight = torch.randn(4, 4, device="anychip", requires_grad=True)

    def train() -> None:
        for _ in range(3):
            (weight @ weight).sum().backward()
            weight.data -= 0.1 * weight.grad

    with Capture(stop_after_steps=2) as capture, pytest.raises(StopCapture):
        train()
    assert [mark.kind for mark in capture.graph().marks] == ["step", "step"]


def test_steps_of_an_optimizer_are_the_only_ones_where_there_are_any() -> None:
    weight = torch.randn(4, 4, device="anychip", requires_grad=True)
    with Capture() as capture:
        gc.collect()
        (weight @ weight).sum().backward()  # warm-up
        optimizer = torch.optim.SGD([weight], lr=0.1)
        for _ in range(2):
            (weight @ weight).sum().backward()
            (weight * weight).sum().backward()
            optimizer.step()
    assert [mark.kind for mark in capture.graph().marks] == ["step", "step"]


def test_a_capture_without_an_optimizer_stops_after_its_steps() -> None:
    model, batch = nn.Linear(4, 1).to("anychip"), torch.randn(6, 4).to("anychip")

    def train() -> None:
        for _ in range(20):
            model(batch).sum().backward()
            for parameter in model.parameters():
                parameter.data.add_(parameter.grad, alpha=-0.1)

    with Capture(stop_after_steps=3, stop_after_forwards=3) as capture, pytest.raises(StopCapture):
        train()
    assert 3 <= sum(mark.kind == "step" for mark in capture.graph().marks) <= 4


def test_two_captures_at_once_are_refused() -> None:
    with Capture(), pytest.raises(InvalidInput, match="a capture is running already"), Capture():
        pass


def test_without_values_nothing_is_allocated() -> None:
    with Capture(with_values=False) as capture:
        model = nn.Linear(1 << 15, 1 << 15, bias=False).to("anychip", torch.bfloat16)
        out = model(torch.ones(2, 1 << 15, dtype=torch.bfloat16, device="anychip"))
        assert out.shape == (2, 1 << 15)
        assert out.sum().item() == 0.0
    graph = capture.graph()
    assert not graph.with_values
    assert graph.memory.peak_bytes > 1 << 31
    assert any(what == "0 for a number" for what, _ in capture.recorder.stand_ins)


def test_without_values_what_selects_by_values_selects_all() -> None:
    with Capture(with_values=False) as capture:
        values = torch.ones(4, 8, device="anychip")
        assert torch.nonzero(values > 0).shape == (32, 2)
        assert values[values > 0].shape == (32,)
    assert any(what == "the largest possible extent" for what, _ in capture.graph().stand_ins)
    with Capture():
        assert torch.nonzero(torch.tensor([0, 1], device="anychip")).shape == (1, 1)


def test_without_values_very_large_host_tensors_have_no_elements() -> None:
    with Capture(with_values=False) as capture:
        table = torch.zeros(1 << 20, 1 << 20)
        assert table.device.type == "cpu"
        table.normal_(std=0.02)
        head = nn.Linear(1 << 20, 1 << 19, bias=False).half()
        moved = table[: 1 << 10].to("anychip")
        assert torch.rand(3).sum() > 0  # small ones keep their values
        assert head.to("anychip").weight.numel() == 1 << 39
        assert moved.shape == (1 << 10, 1 << 20)
    held = dict(capture.graph().memory.peak_by_kind)["input"] - (1 << 40) - (1 << 32)
    assert 0 <= held < 1 << 20  # what other tests left
    assert torch.zeros(2, 2).sum() == 0


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        (torch.optim.Adam, {"lr": 0.01, "amsgrad": True}),
        (torch.optim.AdamW, {"lr": 0.01}),
    ],
)
def test_optimizers_take_all_tensors_in_one_call_as_on_cuda(optimizer: Any, options: dict[str, Any]) -> None:
    weights: dict[bool | None, list[torch.Tensor]] = {}
    for foreach in (None, False):
        torch.manual_seed(0)
        model = nn.Sequential(*[nn.Linear(8, 8) for _ in range(3)]).to("anychip")
        chosen = optimizer(model.parameters(), foreach=foreach, **options)
        batch = torch.randn(4, 8).to("anychip")
        with Capture() as capture:
            for _ in range(3):
                chosen.zero_grad()
                model(batch).square().mean().backward()
                nn.utils.clip_grad_norm_(model.parameters(), 0.01)
                chosen.step()
        graph = capture.graph()
        nodes = [node for node in graph.segments[graph.path[-1]].nodes if node.place.phase == "optimizer"]
        assert all(node.operator.startswith("aten._foreach_") for node in nodes) == (foreach is None)
        if foreach is None:
            assert all(len(node.outputs) == 6 for node in nodes)
        weights[foreach] = [parameter.detach().cpu() for parameter in model.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(weights[None], weights[False], strict=True))


def test_a_chip_of_basecamps_blocks_takes_whatever_a_script_computes() -> None:
    """Sums of truth values, extremes and orders have no instructions in its array: lanes do them."""
    with anychip.on("basecamp") as run:
        x = torch.arange(12.0).reshape(3, 4).to("anychip")
        right = (x.argmax(1) == torch.tensor([3, 3, 0]).to("anychip")).sum()
        x.cumsum(0), x.sort(), x.softmax(1), x.norm(), x.sum(0), x.amax(), x.to(torch.complex64).sum()
    assert right.item() == 2
    assert run.profile().unit.division.total > 0


def test_nothing_lives_after_the_last_tensor_is_gone() -> None:
    """A backward pass keeps no leaf and no gradient that the program has let go."""

    def train() -> None:
        weight = torch.ones(8, 8).to("anychip").requires_grad_()
        with Capture():
            (weight * 2).sum().backward()

    gc.collect()
    LEDGER.settle()
    before = LEDGER.live_bytes
    train()
    LEDGER.settle()
    assert LEDGER.live_bytes == before
