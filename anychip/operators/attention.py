"""Scaled dot product attention: one form, and the contractions and rows that it means."""

from __future__ import annotations

import math

from anychip.arithmetic.recipe import Lane, Operable, apply, select, traced
from anychip.operators.arguments import Arguments, Tensor, contiguous, operand
from anychip.operators.contractions import contract
from anychip.operators.forms import Attention, Form, Operand
from anychip.operators.reductions import rows
from anychip.operators.table import Rule, register


def _shape(a: Arguments, role: str) -> Tensor:
    """A tensor of four dimensions: batch, heads, sequence, width."""
    tensor = a.tensor(role)
    while len(tensor.shape) < 4:
        tensor = tensor.viewed((1, *tensor.shape), (0, *tensor.strides))
    return tensor


def _whole(tensor: Tensor) -> Operand:
    return operand(tensor, tensor.strides)


def attention(direction: str, bias: str, reads: str) -> Rule:
    """The rule of a fused attention operator.

    Args:
        direction: ``"forward"`` or ``"backward"``.
        bias: name of the additive or boolean mask.
        reads: names of further tensors that it reads, such as the saved output.
    """

    def rule(a: Arguments) -> tuple[Form, ...] | None:
        query, key, value = (_shape(a, name) for name in ("query", "key", "value"))
        if len(a.tensor("query").shape) > 4 or query.format.startswith("complex"):
            return None
        mask = a.optional(bias)
        others = [(word, a.optional(word)) for word in reads.split()]
        operands = [("query", query), ("key", key), ("value", value)]
        if mask is not None:
            operands.append(("mask" if mask.format == "bool" else "bias", mask))
        operands += [(word, each) for word, each in others if each is not None]
        width = query.shape[-1]
        scale = a.attribute("scale")
        results = [each for each in a.results if each.elements and each.floating][
            : 2 if direction == "forward" else 4
        ]
        names = (
            ("output", "logsumexp")
            if direction == "forward"
            else ("grad_query", "grad_key", "grad_value", "grad_bias")
        )
        return (
            Attention(
                direction,  # pyright: ignore[reportArgumentType]
                query.shape[0],
                query.shape[1],
                key.shape[1],
                query.shape[2],
                key.shape[2],
                width,
                value.shape[-1],
                a.flag("is_causal"),
                float(scale) if isinstance(scale, (int, float)) else 1.0 / math.sqrt(width),
                float(a.number("dropout_p", 0.0)),
                tuple(_whole(tensor) for _, tensor in operands),
                tuple(_whole(tensor) for tensor in results),
                tuple(name for name, _ in operands) + names[: len(results)],
            ),
        )

    return rule


def _matrix(form: Attention, role: str, port: str = "", *, swap: bool = False) -> Tensor:
    """An operand of the form as a tensor of batch, heads, sequence, width (or the last two swapped)."""
    place = form.roles.index(role)
    found = (*form.operands, *form.results)[place]
    queries = role in ("query", "output", "grad_output", "grad_query", "out")
    wide = role in ("value", "output", "grad_output", "out", "grad_value")
    shape = (
        form.batch,
        form.heads,
        form.queries if queries else form.keys,
        form.value_width if wide else form.width,
    )
    tensor = Tensor(port or found.port, found.format, shape, found.strides, found.offset)
    return tensor.permuted(0, 1, 3, 2) if swap else tensor


def decomposed(form: Attention) -> tuple[Form, ...]:
    """The same meaning in contractions and rows, with the weights as temporaries in fp32.

    Grouped heads appear with every query head; a causal mask does not shorten the sums here.
    """
    b, h, q, k = form.batch, form.heads, form.queries, form.keys
    scores = contiguous("temporary0", "fp32", (b, h, q, k))
    weights = contiguous("temporary1", "fp32", (b, h, q, k))
    product = contract(
        _matrix(form, "query"), _matrix(form, "key", swap=True), scores, traced(1, lambda x: x * form.scale)
    )

    def exponential(v: Lane, top: Lane) -> Operable:
        return apply("exp", v - top)

    normalised = rows(
        scores.shape,
        (3,),
        (scores,),
        (("maximum", lambda v: v), ("sum", exponential)),
        lambda v, top, total: exponential(v, top) / total,
        (weights,),
    )
    if form.direction == "forward":
        return (product, normalised, contract(weights, _matrix(form, "value"), _matrix(form, "output")))
    grad = _matrix(form, "grad_output")
    to_weights = contiguous("temporary2", "fp32", (b, h, q, k))
    to_scores = contiguous("temporary3", "fp32", (b, h, q, k))
    softened = rows(
        scores.shape,
        (3,),
        (to_weights, weights),
        (("sum", lambda g, p: g * p),),
        lambda g, p, total: (g - total) * p * form.scale,
        (to_scores,),
    )
    forms: list[Form] = [product, normalised]
    if "grad_value" in form.roles:
        forms.append(contract(weights.permuted(0, 1, 3, 2), grad, _matrix(form, "grad_value")))
    forms += [contract(grad, _matrix(form, "value", swap=True), to_weights), softened]
    forms.append(contract(to_scores, _matrix(form, "key"), _matrix(form, "grad_query")))
    forms.append(contract(to_scores.permuted(0, 1, 3, 2), _matrix(form, "query"), _matrix(form, "grad_key")))
    return tuple(forms)


def masked(v: Lane, keep: Lane) -> Operable:
    """A score where the mask lets it through, else minus infinity."""
    return select(keep, v, -math.inf)


register(
    "scaled_dot_product_attention",
    "attention",
    "query key value attn_mask",
    attention("forward", "attn_mask", ""),
)
register(
    "_scaled_dot_product_flash_attention_for_cpu",
    "attention",
    "query key value attn_mask",
    attention("forward", "attn_mask", ""),
)
register(
    "_scaled_dot_product_flash_attention_for_cpu_backward",
    "attention",
    "grad_output query key value out logsumexp attn_mask",
    attention("backward", "attn_mask", "grad_output out logsumexp"),
)
register(
    "_scaled_dot_product_fused_attention_overrideable _scaled_dot_product_efficient_attention",
    "attention",
    "query key value attn_bias",
    attention("forward", "attn_bias", ""),
)
register(
    "_scaled_dot_product_fused_attention_overrideable_backward",
    "attention",
    "grad_output query key value attn_bias out logsumexp cum_seq_q cum_seq_k philox_seed philox_offset",
    attention("backward", "attn_bias", "grad_output out logsumexp"),
)
