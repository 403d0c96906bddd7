"""One shard of a model that several cores or chips hold together, with the exchanges between them.

A shard is the same architecture with fewer heads, hidden units and vocabulary entries, rounded up: the rest
are padding, which costs as much as work. Products whose inputs are divided end in a sum over all shards; they
are recognised by comparing a layer of the whole model with one of the shard.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from math import ceil
from typing import Any

from anychip.errors import InvalidInput
from anychip.operators.collectives import SHARDS

#: Names under which configurations keep what is divided besides heads.
_DIVIDED = ("intermediate_size", "ffn_dim", "d_ff", "vocab_size")
_LAYERS = ("num_hidden_layers", "num_layers", "n_layer")


def shard_config(config: Any, shards: int) -> Any:
    """The configuration of one shard: heads and hidden units rounded up, grouped heads of keys replicated.

    Where heads do not divide evenly, a shard holds keys for each of its heads: padding between heads parts
    them from the keys of their group.

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
    own_keys = own if key_heads == heads or heads % shards else max(1, ceil(key_heads / shards))
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


def exchange_results(
    model: Any, kind: Any, whole: Any, part: Any, shards: int, *, divides_sequence: bool = False
) -> None:
    """Makes the products of a shard that sum over all shards exchange their results.

    Args:
        model: the shard.
        kind: its class.
        whole: configuration of the whole model.
        part: configuration of the shard.
        shards: tensor-parallel degree.
        divides_sequence: every shard keeps its part of the sequence outside the divided products: sums are
            scattered over the tokens, and gathered again where the next products begin. Norms, dropout and
            residuals work on that part alone. Tokens must be a multiple of the shards.

    Raises:
        InvalidInput: no product of a layer is divided in its inputs, so no rule says what is exchanged; or
            one lies in the repeated layer itself, so no module says where the sequence is gathered.
    """
    import torch

    names = divided_inputs(kind, whole, part)
    if not names:
        raise InvalidInput(
            f"{kind.__name__}: no product divides its inputs, so several chips cannot share it: use one"
        )
    exchanges = Exchanges(shards)
    summed = exchanges.scatter if divides_sequence else exchanges.sum
    divided = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and _pattern(name) in names
    }
    for module in divided.values():
        module.register_forward_hook(lambda module, inputs, result: summed(result))
    if divides_sequence:
        _divide_sequence(model, [name.rpartition(".")[0] for name in divided], exchanges)


def _divide_sequence(model: Any, parts: list[str], exchanges: Exchanges) -> None:
    """Gathers the sequence before every module that holds divided products, and after the last layer."""
    import torch

    owned = [name for name in parts if name.rpartition(".")[2].isdigit()]
    if owned:
        raise InvalidInput(
            f"{type(model).__name__}: products lie in {owned[0]} itself, with norms on the whole sequence; "
            "its sequence cannot be divided"
        )

    def gathered(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return _first_changed(args, kwargs, exchanges.gather)

    def scattered(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return _first_changed(args, kwargs, exchanges.scatter)

    def whole(module: Any, inputs: Any, result: Any) -> Any:
        if isinstance(result, torch.Tensor):
            return exchanges.gather(result)
        result.last_hidden_state = exchanges.gather(result.last_hidden_state)
        return result

    for name in dict.fromkeys(parts):
        model.get_submodule(name).register_forward_pre_hook(gathered, with_kwargs=True)
    first = next(re.match(r"(.*?\.\d+)\.", name) for name in parts)
    if first is None:
        raise InvalidInput(f"{type(model).__name__}: {parts[0]} repeats no layer; it cannot be divided")
    # What the embedding gives is a sum over shards too, each of which holds a part of the vocabulary.
    model.get_submodule(first.group(1)).register_forward_pre_hook(scattered, with_kwargs=True)
    model.base_model.register_forward_hook(whole)


def _first_changed(args: tuple[Any, ...], kwargs: dict[str, Any], change: Callable[[Any], Any]) -> Any:
    """The arguments of a module with its values, the first of them, changed."""
    if args:
        return (change(args[0]), *args[1:]), kwargs
    name = next(iter(kwargs))
    return args, kwargs | {name: change(kwargs[name])}


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


class Exchanges:
    """Exchanges between shards that exist only in a recording, with what they are in the backward pass.

    Args:
        shards: members of the group.
    """

    def __init__(self, shards: int) -> None:
        import importlib

        import torch

        # Registers what shapes collectives give.
        importlib.import_module("torch.distributed._functional_collectives")
        library, group = torch.ops._c10d_functional, f"{SHARDS}{shards}"

        def summed(values: Any) -> Any:
            return library.all_reduce(values.contiguous(), "sum", group)

        def gathered(values: Any) -> Any:
            rows = values.transpose(0, 1).contiguous()
            return library.all_gather_into_tensor(rows, shards, group).transpose(0, 1)

        def scattered(values: Any) -> Any:
            rows = values.transpose(0, 1).contiguous()
            return library.reduce_scatter_tensor(rows, "sum", shards, group).transpose(0, 1)

        #: All-reduce of results and of gradients. The latter belongs to the inputs of the products before
        #: this one; it has the shape of these results, and there is one of each.
        self.sum = _differentiable(summed, summed)
        #: Every shard's tokens, (batch, tokens, width), to all.
        self.gather = _differentiable(gathered, scattered)
        #: The sum, each shard keeping its part of the tokens.
        self.scatter = _differentiable(scattered, gathered)


def _differentiable(forward: Callable[[Any], Any], backward: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of one tensor with the function that its gradient goes through."""
    import torch

    run, back = forward, backward

    class Exchange(torch.autograd.Function):
        """An exchange and its counterpart for gradients."""

        @staticmethod
        def forward(ctx: Any, values: Any) -> Any:
            return run(values)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return back(gradients[0])

    return Exchange.apply
