"""Operators that an accelerator is asked for and that PyTorch has no CPU kernel for.

PyTorch takes other paths on accelerators than on the CPU (fused recurrent cells, integer histograms). Here
they are written with operators that exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from anychip.frontends.torch.dispatch import DEVICE, evaluate
from anychip.frontends.torch.plan import Plan, plan_of
from anychip.frontends.torch.tensor import DeviceTensor

aten = torch.ops.aten
Tensor = torch.Tensor


def _histc(values: Tensor, bins: int = 100, min: Any = 0, max: Any = 0) -> Tensor:
    if values.is_floating_point():
        return aten.histc.default(values, bins, min, max)
    return aten.histc.default(values.double(), bins, min, max).to(values.dtype)


def _lstm_cell(
    input_gates: Tensor,
    hidden_gates: Tensor,
    cell: Tensor,
    input_bias: Tensor | None = None,
    hidden_bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    gates = input_gates + hidden_gates
    if input_bias is not None and hidden_bias is not None:
        gates = gates + input_bias + hidden_bias
    ingate, forget, candidate, out = gates.chunk(4, 1)
    ingate, forget, out = ingate.sigmoid(), forget.sigmoid(), out.sigmoid()
    candidate = candidate.tanh()
    cell_after = forget * cell + ingate * candidate
    hidden = out * cell_after.tanh()
    return hidden, cell_after, torch.cat([ingate, forget, candidate, out], 1)


def _lstm_cell_backward(
    grad_hidden: Tensor | None,
    grad_cell: Tensor | None,
    cell: Tensor,
    cell_after: Tensor,
    workspace: Tensor,
    has_bias: bool,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    if grad_hidden is None and grad_cell is None:
        return None, None, None
    ingate, forget, candidate, out = workspace.chunk(4, 1)
    tanh = cell_after.tanh()
    grad = torch.zeros_like(cell_after) if grad_cell is None else grad_cell
    grad_out = torch.zeros_like(cell_after)
    if grad_hidden is not None:
        grad = grad + grad_hidden * out * (1 - tanh * tanh)
        grad_out = grad_hidden * tanh
    gates = torch.cat(
        [
            grad * candidate * ingate * (1 - ingate),
            grad * cell * forget * (1 - forget),
            grad * ingate * (1 - candidate * candidate),
            grad_out * out * (1 - out),
        ],
        1,
    )
    return gates, grad * forget, gates.sum(0) if has_bias else None


def _gru_cell(
    input_gates: Tensor,
    hidden_gates: Tensor,
    hidden: Tensor,
    input_bias: Tensor | None = None,
    hidden_bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    if input_bias is not None and hidden_bias is not None:
        input_gates = input_gates + input_bias
        hidden_gates = hidden_gates + hidden_bias
    input_reset, input_update, input_new = input_gates.chunk(3, 1)
    hidden_reset, hidden_update, hidden_new = hidden_gates.chunk(3, 1)
    reset = (input_reset + hidden_reset).sigmoid()
    update = (input_update + hidden_update).sigmoid()
    fresh = (input_new + reset * hidden_new).tanh()
    after = fresh + update * (hidden - fresh)
    return after, torch.cat([reset, update, fresh, hidden, hidden_new], 1)


def _gru_cell_backward(
    grad_hidden: Tensor,
    workspace: Tensor,
    has_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    reset, update, fresh, hidden, hidden_new = workspace.chunk(5, 1)
    grad_fresh = grad_hidden * (1 - update) * (1 - fresh * fresh)
    grad_update = grad_hidden * (hidden - fresh) * update * (1 - update)
    grad_reset = grad_fresh * hidden_new * reset * (1 - reset)
    to_input = torch.cat([grad_reset, grad_update, grad_fresh], 1)
    to_hidden = torch.cat([grad_reset, grad_update, grad_fresh * reset], 1)
    input_bias = to_input.sum(0) if has_bias else None
    hidden_bias = to_hidden.sum(0) if has_bias else None
    return to_input, to_hidden, grad_hidden * update, input_bias, hidden_bias


def _pack_padded_sequence(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The batch sizes are the host's: it reads them as it unrolls a recurrent network."""
    data, batch_sizes = evaluate(plan, args, kwargs)
    return data, batch_sizes.elements if type(batch_sizes) is DeviceTensor else batch_sizes


def _foreach_addcdiv_(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of integers too, as CUDA's fused kernel divides them: averaged copies of a model count batches so."""
    targets, numerators, denominators = args[:3]
    if not targets or targets[0].is_floating_point() or targets[0].is_complex():
        return evaluate(plan, args, kwargs)
    factors = args[3] if len(args) > 3 else next(iter(kwargs.values()), 1)
    several = factors if isinstance(factors, (list, tuple)) else [factors] * len(targets)
    for target, above, below, factor in zip(targets, numerators, denominators, several, strict=True):
        target.add_(torch.div(above, below, rounding_mode="trunc") * factor)
    return None


def _not_left_aligned(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Encoders keep their padding: nested tensors of strided layout cannot be wrapped."""
    return False


def _efficient_zeros(size: Any, **kwargs: Any) -> Tensor:
    """Zeros of forward differentiation have memory here: without, plain kernels would read no address."""
    return torch.zeros(size, **{name: value for name, value in kwargs.items() if value is not None})


def _with_kernel(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if plan.kernel is None:
        plan.kernel = DEVICE.handlers(plan.operator) or _KERNELS[plan.operator]
    return evaluate(plan, args, kwargs)


#: Stay one operator, computed by these functions of plain tensors.
_KERNELS: dict[Any, Callable[..., Any]] = {
    aten._efficientzerotensor.default: _efficient_zeros,
    aten.histc.default: _histc,
    aten._thnn_fused_lstm_cell.default: _lstm_cell,
    aten._thnn_fused_lstm_cell_backward_impl.default: _lstm_cell_backward,
    aten._thnn_fused_gru_cell.default: _gru_cell,
    aten._thnn_fused_gru_cell_backward.default: _gru_cell_backward,
}


def register() -> None:
    """Puts these in force."""
    for operator in _KERNELS:
        plan_of(operator).override = _with_kernel
    plan_of(aten._pack_padded_sequence.default).override = _pack_padded_sequence
    plan_of(aten._foreach_addcdiv_.Scalar).override = _foreach_addcdiv_
    plan_of(aten._foreach_addcdiv_.ScalarList).override = _foreach_addcdiv_
    plan_of(aten._nested_tensor_from_mask_left_aligned.default).override = _not_left_aligned
