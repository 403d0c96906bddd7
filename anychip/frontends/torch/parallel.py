"""One shard of a model that several cores or chips hold together, with the exchanges between them.

A shard is the same architecture with fewer heads, hidden units and vocabulary entries, rounded up: the rest
are padding, which costs as much as work. Products whose inputs are divided end in a sum over all shards; they
are recognised by comparing a layer of the whole model with one of the shard.
"""

from __future__ import annotations

import copy
import re
from math import ceil
from typing import Any

from anychip.errors import InvalidInput
from anychip.operators.collectives import SHARDS

#: Names under which configurations keep what is divided besides heads.
_DIVIDED = ("intermediate_size", "ffn_dim", "d_ff", "vocab_size")
_LAYERS = ("num_hidden_layers", "num_layers", "n_layer")


def shard_config(config: Any, shards: int) -> Any:
    """The configuration of one shard: heads and hidden units rounded up, grouped heads of keys replicated.

    Args:
        config: of the whole model, from `transformers`.
        shards: tensor-parallel degree.

    Raises:
        InvalidInput: the architecture ties the width of a head to their number.
    """
    part = copy.deepcopy(config)
    if shards == 1:
        return part
    heads = getattr(config, "num_attention_heads", None)
    width = _head_width(config)
    if heads is None or width is None:
        raise InvalidInput(
            f"{type(config).__name__}: names neither heads nor their width apart from the model's; "
            "it cannot be divided over several chips: use one"
        )
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    own = ceil(heads / shards)
    own_keys = own if key_heads == heads else max(1, ceil(key_heads / shards))
    _set(part, "num_attention_heads", ceil(own / own_keys) * own_keys)
    if getattr(config, "num_key_value_heads", None) is not None:
        _set(part, "num_key_value_heads", own_keys)
    _set(part, "d_kv" if hasattr(config, "d_kv") else "head_dim", width)
    for name in _DIVIDED:
        if isinstance(getattr(config, name, None), int):
            _set(part, name, ceil(getattr(config, name) / shards))
    return part


def _head_width(config: Any) -> int | None:
    """Elements of one head, where attention takes it from a field of its own."""
    for name in ("d_kv", "head_dim"):
        if isinstance(getattr(config, name, None), int):
            return getattr(config, name)
    if hasattr(config, "num_key_value_heads"):
        return config.hidden_size // config.num_attention_heads
    return None


def _set(config: Any, name: str, value: int) -> None:
    # Set afterwards: a shard's heads need not divide the width, which configurations check when built.
    setattr(config, name, value)


def exchange_results(model: Any, kind: Any, whole: Any, part: Any, shards: int) -> None:
    """Makes the products of a shard that sum over all shards exchange their results.

    Args:
        model: the shard.
        kind: its class.
        whole: configuration of the whole model.
        part: configuration of the shard.
        shards: tensor-parallel degree.

    Raises:
        InvalidInput: no product of a layer is divided in its inputs, so no rule says what is exchanged.
    """
    import torch

    names = divided_inputs(kind, whole, part)
    if not names:
        raise InvalidInput(
            f"{kind.__name__}: no product divides its inputs, so several chips cannot share it: use one"
        )
    exchange = _exchange(f"{SHARDS}{shards}")
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and _pattern(name) in names:
            module.register_forward_hook(lambda module, inputs, result: exchange.apply(result))


def divided_inputs(kind: Any, whole: Any, part: Any) -> frozenset[str]:
    """Names, numbers taken out, of products whose inputs are divided and whose results are not."""
    one, other = _linears(kind, whole), _linears(kind, part)
    return frozenset(
        name
        for name, (inputs, outputs) in one.items()
        if name in other and other[name][0] < inputs and other[name][1] == outputs
    )


def _linears(kind: Any, config: Any) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of the products of a model with one layer."""
    import torch

    short = copy.deepcopy(config)
    for name in _LAYERS:
        if isinstance(getattr(short, name, None), int):
            setattr(short, name, 1)
    if getattr(short, "layer_types", None):
        short.layer_types = short.layer_types[:1]
    with torch.device("meta"):
        model = kind(short)
    return {
        _pattern(name): (module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }


def _pattern(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _exchange(group: str) -> Any:
    """The sum over all shards, and in the backward pass that of the gradients of what the shards share.

    The latter belongs to the inputs of the products before this one; it has the shape of these results, and
    there is one of each.
    """
    import importlib

    import torch

    # Registers what shapes collectives give.
    importlib.import_module("torch.distributed._functional_collectives")
    all_reduce = torch.ops._c10d_functional.all_reduce

    class Exchange(torch.autograd.Function):
        """All-reduce of results and of gradients."""

        @staticmethod
        def forward(ctx: Any, values: Any) -> Any:
            return all_reduce(values, "sum", group)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return all_reduce(gradients[0].contiguous(), "sum", group)

    return Exchange
