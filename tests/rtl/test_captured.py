"""From PyTorch to gates: a training step, captured, gives the same parameters by instructions and in RTL."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from anychip.compile import lower
from anychip.operators import meaning
from anychip.products.crosscheck.cases import MUTANT_BUILD, chip_of
from anychip.products.crosscheck.levels import Work, by_hardware, by_instructions, codes_of, ticks_of
from anychip.products.crosscheck.work import board_of
from anychip.products.crosscheck.workloads import Script
from anychip.programs.graph import Graph
from anychip.rtl.hardware import hardware_of
from anychip.rtl.verilator import missing_tools

torch = pytest.importorskip("torch")

CHIP = chip_of(MUTANT_BUILD, {"depth_tile": 5, "vector_tile": 7, "buffer_depth": 2})


def numbers(tensor: torch.Tensor) -> np.ndarray:
    """A tensor's elements, flat."""
    return tensor.detach().cpu().float().numpy().reshape(-1)


def captured_step() -> tuple[Graph, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A step of SGD on an MLP: its graph, tensors before, tensors after. The first layer's sums cancel."""
    from anychip.frontends.torch.capture import Capture
    from anychip.frontends.torch.values import values_of

    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(12, 7), torch.nn.GELU(), torch.nn.Linear(7, 5)).bfloat16()
    x, target = torch.randn(9, 12).bfloat16(), torch.randn(9, 5).bfloat16()
    with torch.no_grad():
        x[:, 6:] = -x[:, :6]
        model[0].weight[:, 6:] = model[0].weight[:, :6]
    before = {"x": numbers(x), "target": numbers(target)}
    before |= {name: numbers(value) for name, value in model.named_parameters()}
    numerics = CHIP.numerics
    with Capture(name="step", numerics=numerics.name, handlers=values_of(numerics)) as capture:
        model = model.to("anychip")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, foreach=False)
        y = model(x.to("anychip"))
        y.backward((y - target.to("anychip")) * (2 / 45))
        optimizer.step()
    after = {name: numbers(value) for name, value in model.named_parameters()}
    after |= {f"{name}.grad": numbers(value.grad) for name, value in model.named_parameters()}
    return capture.graph(), before, after | {"y": numbers(y)}


def storages_of(graph: Graph) -> dict[str, int]:
    """Which storage of the segment holds which tensor, read off the calls that use it."""
    [segment] = graph.segments
    forward, _, second, difference = segment.nodes[:4]

    def storage(value: int) -> int:
        return segment.values[value].storage

    found = {
        "0.bias": storage(forward.inputs[0].value),
        "x": storage(forward.inputs[1].value),
        "0.weight": storage(forward.inputs[2].value),
        "2.bias": storage(second.inputs[0].value),
        "2.weight": storage(second.inputs[2].value),
        "y": storage(second.outputs[0].value),
        "target": storage(difference.inputs[1].value),
    }
    updates = [node for node in segment.nodes if node.operator == "aten.add_.Tensor"]
    parameters = {found[name]: name for name in ("0.weight", "0.bias", "2.weight", "2.bias")}
    for node in updates:
        name = parameters[storage(node.inputs[0].value)]
        found[f"{name}.grad"] = storage(node.inputs[1].value)
    return found


def work_of(graph: Graph, before: dict[str, np.ndarray]) -> Work:
    """The captured segment's kernels, on storages instead of versions."""
    [segment] = graph.segments
    [kernels] = lower(graph, CHIP).segments
    bound = tuple(
        dataclasses.replace(
            kernel,
            operands=tuple(
                dataclasses.replace(view, value=segment.values[view.value].storage)
                for view in kernel.operands
            ),
        )
        for kernel in kernels
    )
    count = 1 + max(value.storage for value in segment.values)
    sizes = {value.storage: value.size_bytes // 2 for value in segment.values}
    names = {storage: name for name, storage in storages_of(graph).items()}
    script = Script(
        "bf16",
        list(segment.nodes),
        [before.get(names.get(storage, "")) for storage in range(count)],
        [sizes[storage] for storage in range(count)],
    )
    return Work(script, tuple(meaning(node)[0] for node in segment.nodes), bound)


def test_a_captured_training_step_has_the_same_bits_by_instructions() -> None:
    graph, before, after = captured_step()
    values = by_instructions(work_of(graph, before), CHIP)
    for name, storage in storages_of(graph).items():
        if name in after:
            assert np.array_equal(values.storages[storage], codes_of(after[name], "bf16")), name


@pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {missing_tools()}")
def test_a_captured_training_step_has_the_same_bits_and_cycles_in_hardware() -> None:
    graph, before, after = captured_step()
    work = work_of(graph, before)
    ticks = ticks_of(work, CHIP, skipping=True)
    hardware = by_hardware(work, board_of(hardware_of(CHIP)), tuple(3 * each for each in ticks))
    assert hardware.cycles == ticks
    assert len(after) == 9
    for name, storage in storages_of(graph).items():
        if name in after:
            assert np.array_equal(hardware.values.storages[storage], codes_of(after[name], "bf16")), name
    tiled = by_instructions(work, CHIP)
    for one, other in zip(tiled.sums, hardware.values.sums, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
