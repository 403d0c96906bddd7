"""One training step of a model, on the CPU and on the device, compared tensor by tensor."""

from __future__ import annotations

import copy
from typing import Any

import torch

from anychip.frontends.torch.conformance.results import Case, error_of, one_line, tensors_of, to_device

#: Allowed per element, relative to it and to the largest element of its tensor: both sides compute in fp32
#: with the host's kernels, but fused and decomposed operators sum in other orders.
RELATIVE, ABSOLUTE_OF_LARGEST = 1e-3, 1e-4


class CannotRun(Exception):
    """Plain PyTorch on the CPU does not run the model with these inputs."""


def step(model: Any, inputs: dict[str, Any]) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Forward, backward of the mean of every differentiable output, one step of SGD.

    Returns:
        Outputs, gradients by name, parameters after the step by name.
    """
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    outputs = [each for each in tensors_of(model(**inputs)) if each.is_floating_point()]
    heads = [each for each in outputs if each.requires_grad]
    if heads:
        torch.stack([each.float().mean() for each in heads]).sum().backward()
    gradients = {name: p.grad.detach().clone() for name, p in model.named_parameters() if p.grad is not None}
    optimizer.step()
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    return [each.detach() for each in outputs], gradients, parameters


def compare(name: str, model: Any, inputs: dict[str, Any], device: str = "anychip") -> Case:
    """The case of one model.

    Raises:
        CannotRun: the CPU fails.
    """
    model.eval()
    try:
        twin = copy.deepcopy(model)
        expected = step(model, to_device(inputs, "cpu"))
    except Exception as error:
        raise CannotRun(one_line(error)) from error
    if not expected[0] or not expected[1]:
        raise CannotRun("no differentiable output")
    if any(bool(each.isnan().any()) or (bool(each.isinf().all()) and each.numel()) for each in expected[0]):
        raise CannotRun("output is not finite")
    try:
        actual = step(twin.to(device), to_device(inputs, device))
    except Exception as error:  # noqa: BLE001  # whatever a model raises
        return Case(name, "fail", one_line(error))
    named = [{str(i): each for i, each in enumerate(expected[0])}, *expected[1:]]
    others = [{str(i): each for i, each in enumerate(actual[0])}, *actual[1:]]
    worst, at, compared = 0.0, "", 0
    for part, wanted, got in zip(("output", "gradient", "parameter"), named, others, strict=True):
        if wanted.keys() != got.keys():
            missing = sorted(wanted.keys() ^ got.keys())[:3]
            return Case(name, "fail", f"{part}s differ in number: {missing}", compared)
        for key, value in wanted.items():
            finite = value[value.isfinite()]  # masked places may be infinite, in both
            largest = float(finite.abs().max()) if finite.numel() else 0.0
            error = error_of(
                got[key], value, relative=RELATIVE, absolute=ABSOLUTE_OF_LARGEST * largest + 1e-7
            )
            compared += 1
            if error > worst:
                worst, at = error, f"{part} {key}"
    if worst > 1.0:
        return Case(name, "fail", f"{at} differs: {worst:.3g} times the tolerance", compared, worst)
    return Case(name, "pass", "", compared, worst)
