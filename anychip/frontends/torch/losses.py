"""Losses that PyTorch puts together from device results and host lengths when it knows the device."""

from __future__ import annotations

from typing import Any

import torch

from anychip.frontends.torch.plan import Plan, plan_of

aten = torch.ops.aten


def _ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 1,
    zero_infinity: bool = False,
) -> Any:
    """With lengths as numbers, as CUDA's own path takes them: they may lie on the host or on the device."""
    return aten.ctc_loss.IntList(
        log_probs,
        targets,
        input_lengths.tolist(),
        target_lengths.tolist(),
        blank,
        reduction,
        zero_infinity,
    )


def _in_inference_mode(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _ctc_loss(*args, **kwargs)


def register(libraries: list[Any]) -> None:
    """Puts it in force for the device."""
    library = torch.library.Library("aten", "IMPL")
    libraries.append(library)
    plan_of(aten.ctc_loss.Tensor).override = _in_inference_mode
    library.impl(aten.ctc_loss.Tensor, _ctc_loss, "AutogradPrivateUse1")
