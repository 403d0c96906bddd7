"""Models whose speed somebody published, by the names used there, as Graphs without weights.

Each is its architecture's own configuration in `transformers`, built on shapes alone. Language models can be
one shard of a tensor-parallel group: heads, hidden units and vocabulary divided as Neuron divides them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil
from typing import Any, Literal

from anychip.errors import MissingTool, unknown_name
from anychip.frontends.torch.models import on_device, recorded
from anychip.programs.graph import Graph


@dataclass(frozen=True)
class Architecture:
    """A configuration of `transformers`.

    Args:
        model: class of the model.
        config: class of its configuration.
        fields: of the configuration that differ from its defaults.
        reads: ``"tokens"`` or ``"image"``.
        decodes: whether it is a language model that generates.
    """

    model: str
    config: str
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reads: Literal["tokens", "image"] = "tokens"
    decodes: bool = False


@dataclass(frozen=True, slots=True)
class Workload:
    """One call of a published model.

    Args:
        name: as in `ARCHITECTURES`.
        phase: ``"forward"`` of the whole input, ``"prefill"`` of a prompt into a cache, or ``"decode"`` of
            one token with a cache of `tokens`.
        batch: sequences or images.
        tokens: length of the sequence or of the cache; ignored for images.
        shards: tensor-parallel degree; the Graph is that of one shard.
    """

    name: str
    phase: Literal["forward", "prefill", "decode"]
    batch: int
    tokens: int
    shards: int = 1


_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
_BASE = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
_BASIC = {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512], "num_labels": 1000}
_PERCEIVER = {
    "num_labels": 1000, "num_latents": 512, "d_latents": 1024, "num_blocks": 8,
    "num_self_attends_per_block": 6, "num_cross_attention_heads": 1,
}  # fmt: skip
_BERT = Architecture("BertModel", "BertConfig")
_BERT_LARGE = Architecture("BertModel", "BertConfig", _LARGE)
_DISTIL = Architecture("DistilBertModel", "DistilBertConfig")


def _llama(hidden: int, inner: int, layers: int, heads: int, key_heads: int, vocabulary: int) -> Architecture:
    fields = {
        "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": key_heads, "vocab_size": vocabulary,
        "head_dim": hidden // heads, "max_position_embeddings": 131072,
    }  # fmt: skip
    return Architecture("LlamaForCausalLM", "LlamaConfig", fields, decodes=True)


def _opt(hidden: int, layers: int, heads: int) -> Architecture:
    """OPT as Nemotron: the same plain MLP, layer norms and heads, but a head's width is its own field, which
    shards need."""
    fields = {
        "hidden_size": hidden, "intermediate_size": 4 * hidden, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": heads, "head_dim": hidden // heads,
        "vocab_size": 50272, "max_position_embeddings": 4096,
    }  # fmt: skip
    return Architecture("NemotronForCausalLM", "NemotronConfig", fields, decodes=True)


ARCHITECTURES: dict[str, Architecture] = {
    "bert-base": _BERT,
    "bert-large": _BERT_LARGE,
    "bert-base-classifier": Architecture("BertForSequenceClassification", "BertConfig"),
    "distilbert-base": _DISTIL,
    "albert-base-v2": Architecture("AlbertModel", "AlbertConfig", _BASE | {"vocab_size": 30000}),
    "electra-base": Architecture("ElectraModel", "ElectraConfig", _BASE | {"embedding_size": 768}),
    "camembert-base": Architecture("CamembertModel", "CamembertConfig", {"vocab_size": 32005}),
    "gpt2": Architecture("GPT2Model", "GPT2Config", {"use_cache": False}),
    "gpt2-large": Architecture(
        "GPT2Model", "GPT2Config", {"n_embd": 1280, "n_layer": 36, "n_head": 20, "use_cache": False}
    ),
    "resnet18": Architecture(
        "ResNetForImageClassification", "ResNetConfig", _BASIC | {"depths": [2, 2, 2, 2]}, "image"
    ),
    "resnet34": Architecture(
        "ResNetForImageClassification", "ResNetConfig", _BASIC | {"depths": [3, 4, 6, 3]}, "image"
    ),
    "resnet101": Architecture(
        "ResNetForImageClassification", "ResNetConfig", {"depths": [3, 4, 23, 3], "num_labels": 1000}, "image"
    ),
    "perceiver-conv": Architecture(
        "PerceiverForImageClassificationConvProcessing",
        "PerceiverConfig",
        _PERCEIVER | {"d_model": 322},
        "image",
    ),
    "perceiver-learned": Architecture(
        "PerceiverForImageClassificationLearned",
        "PerceiverConfig",
        _PERCEIVER | {"d_model": 512, "image_size": 224},
        "image",
    ),
    "perceiver-fourier": Architecture(
        "PerceiverForImageClassificationFourier", "PerceiverConfig", _PERCEIVER | {"d_model": 261}, "image"
    ),
    "llama-2-7b": _llama(4096, 11008, 32, 32, 32, 32000),
    "llama-2-13b": _llama(5120, 13824, 40, 40, 40, 32000),
    "llama-2-70b": _llama(8192, 28672, 80, 64, 8, 32000),
    "llama-3.1-8b": _llama(4096, 14336, 32, 32, 8, 128256),
    "llama-3.1-70b": _llama(8192, 28672, 80, 64, 8, 128256),
    "llama-3.1-405b": _llama(16384, 53248, 126, 128, 8, 128256),
    "mistral-7b": _llama(4096, 14336, 32, 32, 8, 32000),
    "opt-13b": _opt(5120, 40, 40),
    "opt-66b": _opt(9216, 64, 72),
}


def layers_of(name: str) -> int:
    """Repeated layers of a language model."""
    return int(_architecture(name).fields["num_hidden_layers"])


def hidden_of(name: str) -> int:
    """Width of a language model."""
    return int(_architecture(name).fields["hidden_size"])


def _architecture(name: str) -> Architecture:
    if name not in ARCHITECTURES:
        raise unknown_name("model", name, ARCHITECTURES)
    return ARCHITECTURES[name]


def _shard(fields: Mapping[str, Any], shards: int) -> dict[str, Any]:
    """One shard's part: heads and hidden units rounded up, grouped heads replicated."""
    part = dict(fields)
    if shards == 1:
        return part
    heads, key_heads = fields["num_attention_heads"], fields["num_key_value_heads"]
    own = ceil(heads / shards)
    own_keys = own if key_heads == heads else max(1, ceil(key_heads / shards))
    part["num_key_value_heads"] = own_keys
    part["num_attention_heads"] = ceil(own / own_keys) * own_keys
    part["intermediate_size"] = ceil(fields["intermediate_size"] / shards)
    part["vocab_size"] = ceil(fields["vocab_size"] / shards)
    return part


def graph_of(workload: Workload) -> Graph:
    """The Graph of one call, recorded on shapes alone.

    Raises:
        UnknownName: no such architecture.
        MissingTool: `transformers` is not installed.
    """
    architecture = _architecture(workload.name)
    phase = "prefill" if architecture.decodes and workload.phase == "forward" else workload.phase
    return recorded(
        _model(workload.name, workload.shards),
        name=workload.name,
        phase=phase,
        batch=workload.batch,
        tokens=workload.tokens,
        image_size=224 if architecture.reads == "image" else None,
    )


@lru_cache(maxsize=1)
def _model(name: str, shards: int) -> Any:
    """The model on the device, without values."""
    try:
        import transformers
    except ImportError as error:
        raise MissingTool(
            f"model {name}: the package transformers is not installed; pip install 'anychip[examples]'"
        ) from error
    import torch

    transformers.utils.logging.set_verbosity_error()
    architecture = _architecture(name)
    config = getattr(transformers, architecture.config)(**architecture.fields)
    for field_name, value in _shard(architecture.fields, shards).items():
        # Set afterwards: a shard's heads need not divide the width, which configurations check when built.
        setattr(config, field_name, value)
    kind = getattr(transformers, architecture.model)
    with torch.device("meta"):
        model = kind(config).eval()
    if architecture.decodes:
        model = model.to(torch.bfloat16)
    return on_device(model)
