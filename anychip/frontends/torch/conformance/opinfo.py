"""``anychip conformance opinfo``: PyTorch's own operator database, the device against the CPU.

Each entry of ``op_db`` in the installed wheel runs in fp32 (with gradients), bf16 and int64, up to six
samples a type, on PyTorch's CPU kernels and on the device in host order. A case counts if the CPU passes it.
Operators that draw random numbers are compared by shape and type.
"""

from __future__ import annotations

import time
import warnings
from itertools import islice
from typing import Any

import torch

from anychip.errors import MissingTool
from anychip.frontends.torch.conformance.results import (
    Case,
    Report,
    error_of,
    one_line,
    run_isolated,
    say,
    taken,
    tensors_of,
    to_device,
    versions,
)
from anychip.frontends.torch.device import install

_SAMPLES = 6
_DTYPES = (torch.float32, torch.bfloat16, torch.int64)
#: (relative, absolute) error allowed: both sides run the same kernels, but fused or decomposed differently.
_TOLERANCE = {torch.float32: (1e-4, 1e-5), torch.bfloat16: (2e-2, 1e-3), torch.int64: (0.0, 0.0)}
_UNDETERMINED = frozenset(
    {"empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided"}
)
#: Operators that want their further tensors on the host on every accelerator.
_HOST_ARGUMENTS = frozenset({"tensor_split"})
_RANDOM = frozenset(
    "bernoulli cauchy exponential geometric log_normal multinomial normal nn.functional.alpha_dropout "
    "nn.functional.dropout nn.functional.dropout2d nn.functional.dropout3d nn.functional.rrelu rand_like "
    "nn.functional.feature_alpha_dropout randint randint_like randn randn_like uniform".split()
)


def run(*, limit: int | None = None, jobs: int = 1, only: str | None = None) -> Report:
    """Runs the suite.

    Args:
        limit: so many entries, taken evenly; None: all.
        jobs: processes at a time.
        only: entries whose name contains this.

    Raises:
        MissingTool: the database needs ``expecttest``.
    """
    try:
        from torch.testing._internal.common_methods_invocations import op_db
    except ImportError as error:
        raise MissingTool(f"conformance opinfo: {error}; pip install expecttest") from error
    install()
    torch.set_num_threads(1)
    entries = {f"{entry.name}.{entry.variant_test_name}".rstrip("."): entry for entry in op_db}
    names = taken(entries, only, limit)
    start = time.monotonic()
    say(f"opinfo: {len(names)} entries")
    cases: list[Case] = []
    for case in run_isolated(names, lambda name: _entry(name, entries[name]), timeout_s=180.0, jobs=jobs):
        if case.outcome == "crash":  # which of its types?
            titles = {f"{case.name} {str(t).removeprefix('torch.')}": t for t in _DTYPES}
            one = entries[case.name]
            cases += run_isolated(
                [title for title, t in titles.items() if t in one.supported_dtypes("cpu")],
                lambda title, one=one, name=case.name, titles=titles: [_case(name, one, titles[title])],
                timeout_s=180.0,
            )
        else:
            cases.append(case)
    return Report(
        "opinfo",
        versions("torch"),
        tuple(sorted(cases, key=lambda case: case.name)),
        time.monotonic() - start,
    )


def _entry(name: str, entry: Any) -> list[Case]:
    warnings.simplefilter("ignore")
    supported = entry.supported_dtypes("cpu")
    return [_case(name, entry, dtype) for dtype in _DTYPES if dtype in supported]


def _case(name: str, entry: Any, dtype: torch.dtype) -> Case:
    title = f"{name} {str(dtype).removeprefix('torch.')}"
    gradients = (
        dtype is torch.float32 and entry.supports_autograd and dtype in entry.supported_backward_dtypes("cpu")
    )
    try:
        samples = list(islice(entry.sample_inputs("cpu", dtype, requires_grad=gradients), _SAMPLES))
    except Exception as error:  # noqa: BLE001  # whatever the database raises
        return Case(title, "excluded", f"no samples: {one_line(error)}")
    compared, worst = 0, 0.0
    refused = "no samples"
    for sample in samples:
        arguments = (sample.input, tuple(sample.args), dict(sample.kwargs))
        plain = to_device(arguments, "cpu")
        torch.manual_seed(0)
        try:
            expected = _results(entry, plain, gradients)
        except Exception as error:  # noqa: BLE001  # the CPU cannot run it
            refused = one_line(error)
            continue
        try:
            moved = to_device(arguments, "anychip")
            if entry.name in _HOST_ARGUMENTS:
                moved = (moved[0], to_device(arguments[1], "cpu"), to_device(arguments[2], "cpu"))
            torch.manual_seed(0)
            actual = _results(entry, moved, gradients)
        except Exception as error:  # noqa: BLE001  # the device fails
            return Case(title, "fail", one_line(error), compared)
        error = _error(name, entry, actual, expected, dtype)
        if error > 1.0:
            return Case(title, "fail", f"differs: {error:.3g} times the tolerance", compared, error)
        worst = max(worst, error)
        compared += 1
    if compared == 0:
        return Case(title, "excluded", refused)
    return Case(title, "pass", "", compared, worst)


def _results(entry: Any, arguments: Any, gradients: bool) -> list[list[Any]]:
    """Results, and the gradients of their sum."""
    value, args, kwargs = arguments
    results = tensors_of(entry(value, *args, **kwargs))
    if not gradients:
        return [results, []]
    leaves = [leaf for leaf in tensors_of([value, args, kwargs]) if leaf.requires_grad]
    heads = [each for each in results if each.requires_grad]
    if not leaves or not heads:
        return [results, []]
    total: Any = sum((each.abs() if each.is_complex() else each).sum() for each in heads)
    found: tuple[Any, ...] = torch.autograd.grad(total, leaves, allow_unused=True)
    return [results, [each for each in found if each is not None]]


def _error(name: str, entry: Any, actual: Any, expected: Any, dtype: torch.dtype) -> float:
    relative, absolute = _TOLERANCE[dtype]
    worst = 0.0
    random = entry.name in _RANDOM or entry.name in _UNDETERMINED
    for got, wanted in zip(actual, expected, strict=True):
        if len(got) != len(wanted):
            return float("inf")
        for one, other in zip(got, wanted, strict=True):
            if random:
                worst = max(
                    worst, 0.0 if one.shape == other.shape and one.dtype is other.dtype else float("inf")
                )
            else:
                worst = max(worst, error_of(one, other, relative=relative, absolute=absolute))
    return worst
