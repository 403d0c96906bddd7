"""CUDA graphs: what capturing leaves alone, what a replay computes, and what its launch costs."""

from __future__ import annotations

import pytest
import torch

from anychip import chips
from anychip.compile import lower
from anychip.frontends.torch.capture import Capture
from anychip.frontends.torch.device import install
from anychip.frontends.torch.redirect.graphs import CudaGraph
from anychip.simulate import simulate

install()


def chain(module: torch.nn.Module, inputs: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    outputs = module(inputs)
    for _ in range(6):
        outputs = outputs * 0.5 + inputs
    return total.add_(outputs.sum())


def captured() -> tuple[CudaGraph, torch.Tensor, torch.Tensor, torch.nn.Module]:
    module = torch.nn.Linear(8, 8).to("anychip")
    inputs, total = torch.ones(4, 8).to("anychip"), torch.zeros(()).to("anychip")
    graph = CudaGraph()
    graph.capture_begin()
    with torch.no_grad():
        chain(module, inputs, total)
    graph.capture_end()
    return graph, inputs, total, module


def test_capturing_changes_nothing_and_replays_see_new_inputs() -> None:
    graph, inputs, total, module = captured()
    assert total.item() == 0.0
    expected = torch.zeros(())
    host = torch.nn.Linear(8, 8)
    host.load_state_dict({name: value.cpu() for name, value in module.state_dict().items()})
    for scale in (1.0, 3.0):
        inputs.fill_(scale)
        graph.replay()
        with torch.no_grad():
            chain(host, torch.full((4, 8), scale), expected)
        assert total.item() == pytest.approx(expected.item(), rel=1e-6)


def test_one_graph_is_captured_at_a_time() -> None:
    graph = CudaGraph()
    graph.capture_begin()
    try:
        with pytest.raises(RuntimeError, match="captured already"):
            CudaGraph().capture_begin()
    finally:
        graph.capture_end()


def test_a_replay_is_one_launch_and_keeps_the_places_of_its_operators() -> None:
    with Capture() as eager, torch.no_grad():
        graph, inputs, total, module = captured()
        chain(module, inputs, total)
    with Capture() as replayed:
        graph.replay()
    chip = chips.by_name("h100")
    times = [simulate(lower(each.graph(), chip), chip).ticks for each in (eager, replayed)]
    launches = round(chip.policy.dispatch_s * chip.clock_hz)
    assert times[1] < times[0] - 5 * launches
    places = [node.place for segment in replayed.graph().segments for node in segment.nodes]
    assert {place.region.replayed for place in places if place.region} == {True}
    assert any("module" in place.module for place in places)
