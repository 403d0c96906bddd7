"""Scaled dot product attention: one form, and the contractions and rows that it means."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def _whole(tensor: Tensor, *, spread: bool = False) -> Operand:
    """The operand of all of a tensor; with `spread`, extents of 1 stand for any extent."""
    if not spread:
        return operand(tensor, tensor.strides)
    pairs = zip(tensor.shape, tensor.strides, strict=True)
    return operand(tensor, tuple(0 if extent == 1 else stride for extent, stride in pairs))


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
                tuple(_whole(tensor, spread=tensor is mask) for _, tensor in operands),
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
    """The same meaning in contractions and rows.

    Scores stay in fp32; the weights are rounded to the stored format of the values before they meet them, and
    so is the gradient of the scores. A causal mask is an operand named ``causal`` (true where a key may be
    seen); it does not shorten the sums, whose terms it makes 0.
    """
    scores = _grid(form, 0, "fp32")
    weights = _grid(form, 1, _matrix(form, "value").format)
    forms: list[Form] = [_scores(form, scores), _weights(form, scores, weights)]
    if form.direction == "forward":
        return (*forms, contract(weights, _matrix(form, "value"), _matrix(form, "output")))
    grad = _matrix(form, "grad_output")
    to_weights = _grid(form, 2, "fp32")
    to_scores = _grid(form, 3, _matrix(form, "query").format)
    forms += [
        contract(weights.permuted(0, 1, 3, 2), grad, _matrix(form, "grad_value")),
        contract(grad, _matrix(form, "value", swap=True), to_weights),
        rows(
            scores.shape,
            (3,),
            (to_weights, weights),
            (("sum", lambda g, p: g * p),),
            lambda g, p, total: (g - total) * p * form.scale,
            (to_scores,),
        ),
        contract(to_scores, _matrix(form, "key"), _matrix(form, "grad_query")),
        contract(to_scores.permuted(0, 1, 3, 2), _matrix(form, "query"), _matrix(form, "grad_key")),
    ]
    return tuple(forms)


def _grid(form: Attention, number: int, format_name: str) -> Tensor:
    """A temporary of one value per batch, head, query and key."""
    shape = (form.batch, form.heads, form.queries, form.keys)
    return contiguous(f"temporary{number}", format_name, shape)


def _mask(form: Attention) -> list[tuple[str, Tensor]]:
    """What decides or shifts scores, broadcast over the grid."""
    shape = (form.batch, form.heads, form.queries, form.keys)
    found: list[tuple[str, Tensor]] = []
    for role in ("mask", "bias"):
        if role in form.roles:
            operand = form.operands[form.roles.index(role)]
            rank = len(operand.strides)
            own = tuple(e if s else 1 for e, s in zip(shape[4 - rank :], operand.strides, strict=True))
            found.append((role, Tensor(operand.port, operand.format, own, operand.strides, operand.offset)))
    if form.causal:
        found.append(("mask", Tensor("causal", "bool", shape[2:], (form.keys, 1))))
    return found


def _scores(form: Attention, scores: Tensor) -> Form:
    """Scaled products, shifted by a bias, minus infinity where a mask says no."""
    extras = _mask(form)

    def epilogue(accumulator: Lane, *given: Lane) -> Operable:
        value = accumulator * form.scale
        for (role, _), lane in zip(extras, given, strict=True):
            value = value + lane if role == "bias" else select(lane, value, -math.inf)
        return value

    recipe = traced(1 + len(extras), epilogue)
    tensors = [tensor for _, tensor in extras]
    return contract(_matrix(form, "query"), _matrix(form, "key", swap=True), scores, recipe, tensors)


def _weights(form: Attention, scores: Tensor, weights: Tensor) -> Form:
    """Softmax of the scores; a row that may see nothing has weights 0. Forward keeps log of the sum too."""
    results = [weights]
    if "logsumexp" in form.roles and form.direction == "forward":
        kept = form.results[form.roles.index("logsumexp") - len(form.operands)]
        shape = (form.batch, form.heads, form.queries, 1)
        results.append(Tensor(kept.port, kept.format, shape, (*kept.strides, 0), kept.offset))

    def finite(top: Lane, *_: Lane) -> Operable:
        return select(apply("eq", top, -math.inf), 0.0, top)

    def write(v: Lane, top: Lane, total: Lane) -> Sequence[Operable]:
        seen = total > 0.0
        weight = select(seen, apply("exp", v - top) / total, 0.0)
        return (weight, top + apply("log", total))[: len(results)]

    return rows(
        scores.shape,
        (3,),
        (scores,),
        (("maximum", lambda v: v, finite), ("sum", lambda v, top: apply("exp", v - top))),
        write,
        results,
    )


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
