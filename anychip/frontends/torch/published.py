"""Models whose speed somebody published, by the names used there, as Graphs without weights.

Each is its architecture's own configuration in `transformers`, or what its paper states where `transformers`
has none, built on shapes alone. Language models can be one shard of a tensor-parallel group: heads, hidden
units and vocabulary divided as Neuron divides them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from anychip.errors import MissingTool, unknown_name
from anychip.frontends.torch.last_model import kept_last
from anychip.frontends.torch.models import Phase, on_device, recorded
from anychip.frontends.torch.parallel import exchange_results, shard_config
from anychip.programs.graph import Graph


@dataclass(frozen=True)
class Architecture:
    """A configuration of `transformers`, or a network of our own.

    Args:
        model: class of the model, or `module:class` of this room.
        config: class of its configuration; empty for a network of our own.
        fields: of the configuration that differ from its defaults, or what the network is made of.
        reads: ``"tokens"``, ``"image"`` (red, green, blue) or ``"latents"`` of an image.
        decodes: whether it is a language model that generates.
        encodes: whether an encoder reads the prompt.
        channels: of latents.
    """

    model: str
    config: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reads: Literal["tokens", "image", "latents"] = "tokens"
    decodes: bool = False
    encodes: bool = False
    channels: int = 4


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
        layers: of one stage of a pipeline; 0: all.
        divides_sequence: shards keep their part of the sequence outside the divided products.
        written: tokens that the decoder of an encoder-decoder has written.
        image: height and width in pixels; zeros: 224 each.
    """

    name: str
    phase: Phase
    batch: int
    tokens: int
    shards: int = 1
    layers: int = 0
    divides_sequence: bool = False
    written: int = 0
    image: tuple[int, int] = (0, 0)


_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
_BASE = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
_SMALL = {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
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


def _flan_t5(width: int, inner: int, layers: int, heads: int) -> Architecture:
    """The later T5: a gated MLP, and a head that shares nothing with the embedding."""
    return _t5(width, inner, layers, heads, feed_forward_proj="gated-gelu", tie_word_embeddings=False)


def _opt(hidden: int, layers: int, heads: int, vocabulary: int = 50272) -> Architecture:
    """OPT, GPT-J and BLOOM as Nemotron: the same plain MLP, layer norms and heads, but a head's width is its
    own field, which shards need."""
    fields = {
        "hidden_size": hidden, "intermediate_size": 4 * hidden, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": heads, "head_dim": hidden // heads,
        "vocab_size": vocabulary, "max_position_embeddings": 4096,
    }  # fmt: skip
    return Architecture("NemotronForCausalLM", "NemotronConfig", fields, decodes=True)


def _vgg(depth: int) -> Architecture:
    return Architecture("convolutional:Vgg", fields={"depth": depth}, reads="image")


def _denoiser(channels: int = 4, **fields: Any) -> Architecture:
    return Architecture(
        "diffusion:DiffusionUnet", fields={"channels": channels, **fields}, reads="latents", channels=channels
    )


def _clip_text(width: int, layers: int, heads: int) -> Architecture:
    """A text encoder of CLIP or OpenCLIP."""
    fields = {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads,
        "intermediate_size": 4 * width,
    }  # fmt: skip
    return Architecture("CLIPTextModel", "CLIPTextConfig", fields)


def _clip(width: int, layers: int, heads: int, patch: int, text_width: int) -> Architecture:
    """CLIP's encoders of images and texts."""
    vision = {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads,
        "intermediate_size": 4 * width, "patch_size": patch,
    }  # fmt: skip
    text = {
        "hidden_size": text_width, "intermediate_size": 4 * text_width,
        "num_attention_heads": text_width // 64,
    }  # fmt: skip
    return Architecture("CLIPModel", "CLIPConfig", {"vision_config": vision, "text_config": text})


def _t5(width: int, inner: int, layers: int, heads: int, **more: Any) -> Architecture:
    fields = {
        "d_model": width, "d_ff": inner, "num_layers": layers, "num_decoder_layers": layers,
        "num_heads": heads, "d_kv": 64, "vocab_size": 32128, **more,
    }  # fmt: skip
    return Architecture("T5ForConditionalGeneration", "T5Config", fields, decodes=True, encodes=True)


#: Pixels of an image beside one of its latents, in each direction.
_LATENT_SCALE = 8
_SD2: dict[str, Any] = {
    "widths": (320, 640, 1280, 1280), "depths": (1, 1, 1, 0), "heads": (5, 10, 20, 20),
    "text_width": 1024, "middle_depth": 1,
}  # fmt: skip
ARCHITECTURES: dict[str, Architecture] = {
    **{f"vgg{depth}": _vgg(depth) for depth in (11, 13, 16, 19)},
    "unet": Architecture("convolutional:SegmentationUnet", reads="image"),
    "sd15-unet": _denoiser(
        widths=(320, 640, 1280, 1280), depths=(1, 1, 1, 0), heads=(8, 8, 8, 8), text_width=768, middle_depth=1
    ),
    "sd2-unet": _denoiser(**_SD2),
    "sd2-inpainting-unet": _denoiser(9, **_SD2),
    "sdxl-unet": _denoiser(
        widths=(320, 640, 1280), depths=(0, 2, 10), heads=(5, 10, 20), text_width=2048, middle_depth=10
    ),
    "sdxl-refiner-unet": _denoiser(
        widths=(384, 768, 1536, 1536),
        depths=(0, 4, 4, 0),
        heads=(6, 12, 24, 24),
        text_width=1280,
        middle_depth=4,
    ),
    "sd-decoder": Architecture("diffusion:ImageDecoder", reads="latents"),
    "pixart-alpha": Architecture(
        "diffusion:DiffusionTransformer", fields={"text_tokens": 120}, reads="latents"
    ),
    "pixart-sigma": Architecture(
        "diffusion:DiffusionTransformer", fields={"text_tokens": 300}, reads="latents"
    ),
    "clip-text-large": _clip_text(768, 12, 12),
    "openclip-text-huge": _clip_text(1024, 23, 16),
    "openclip-text-giant": _clip_text(1280, 32, 20),
    "clip-base": _clip(768, 12, 12, 32, 512),
    "clip-large": _clip(1024, 24, 16, 14, 768),
    "t5-xxl-encoder": Architecture(
        "T5EncoderModel",
        "T5Config",
        {
            "d_model": 4096,
            "d_ff": 10240,
            "num_layers": 24,
            "num_heads": 64,
            "d_kv": 64,
            "feed_forward_proj": "gated-gelu",
            "vocab_size": 32128,
        },
    ),
    "t5-small": _t5(512, 2048, 6, 8),
    "t5-base": _t5(768, 3072, 12, 12),
    "t5-large": _t5(1024, 4096, 24, 16),
    "t5-3b": _t5(1024, 16384, 24, 32, d_kv=128),
    "t5-11b": _t5(1024, 65536, 24, 128, d_kv=128),
    "flan-t5-small": _flan_t5(512, 1024, 8, 6),
    "flan-t5-base": _flan_t5(768, 2048, 12, 12),
    "flan-t5-large": _flan_t5(1024, 2816, 24, 16),
    "flan-t5-xl": _flan_t5(2048, 5120, 24, 32),
    "flan-t5-xxl": _flan_t5(4096, 10240, 24, 64),
    "bert-base": _BERT,
    "bert-large": _BERT_LARGE,
    "bert-large-pretraining": Architecture("BertForPreTraining", "BertConfig", _LARGE),
    "gpt3-6.7b": _opt(4096, 32, 32),
    "gpt3-23b": _opt(6144, 48, 64),
    "gpt3-175b": _opt(12288, 96, 96),
    "gpt-neox-6.9b": _opt(4096, 32, 32),
    "gpt-neox-20b": _opt(6144, 44, 64),
    "bert-base-classifier": Architecture("BertForSequenceClassification", "BertConfig"),
    "bert-base-multilingual": Architecture("BertModel", "BertConfig", {"vocab_size": 119547}),
    "distilbert-base": _DISTIL,
    "roberta-base": Architecture("RobertaModel", "RobertaConfig", {"vocab_size": 50265}),
    "roberta-large": Architecture("RobertaModel", "RobertaConfig", _LARGE | {"vocab_size": 50265}),
    "distilroberta-base": Architecture(
        "RobertaModel", "RobertaConfig", {"vocab_size": 50265, "num_hidden_layers": 6}
    ),
    "xlm-roberta-base": Architecture("XLMRobertaModel", "XLMRobertaConfig", {"vocab_size": 250002}),
    "xlm-roberta-large": Architecture("XLMRobertaModel", "XLMRobertaConfig", _LARGE | {"vocab_size": 250002}),
    "minilm-l12-h384": Architecture("BertModel", "BertConfig", _SMALL | {"num_hidden_layers": 12}),
    "minilm-l6-h384": Architecture("BertModel", "BertConfig", _SMALL | {"num_hidden_layers": 6}),
    "mpnet-base": Architecture("MPNetModel", "MPNetConfig"),
    "vit-base": Architecture("ViTForImageClassification", "ViTConfig", {"num_labels": 1000}, "image"),
    "vit-large": Architecture(
        "ViTForImageClassification", "ViTConfig", _LARGE | {"num_labels": 1000}, "image"
    ),
    "albert-base-v2": Architecture("AlbertModel", "AlbertConfig", _BASE | {"vocab_size": 30000}),
    "electra-base": Architecture("ElectraModel", "ElectraConfig", _BASE | {"embedding_size": 768}),
    "camembert-base": Architecture("CamembertModel", "CamembertConfig", {"vocab_size": 32005}),
    "gpt2": Architecture("GPT2Model", "GPT2Config", {"use_cache": False}),
    "gpt2-large": Architecture(
        "GPT2Model", "GPT2Config", {"n_embd": 1280, "n_layer": 36, "n_head": 20, "use_cache": False}
    ),
    "gpt2-medium": Architecture(
        "GPT2Model", "GPT2Config", {"n_embd": 1024, "n_layer": 24, "n_head": 16, "use_cache": False}
    ),
    "gpt2-xl": Architecture(
        "GPT2Model", "GPT2Config", {"n_embd": 1600, "n_layer": 48, "n_head": 25, "use_cache": False}
    ),
    "resnet50": Architecture(
        "ResNetForImageClassification", "ResNetConfig", {"depths": [3, 4, 6, 3], "num_labels": 1000}, "image"
    ),
    "resnet152": Architecture(
        "ResNetForImageClassification", "ResNetConfig", {"depths": [3, 8, 36, 3], "num_labels": 1000}, "image"
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
    "llama-3.2-1b": _llama(2048, 8192, 16, 32, 8, 128256),
    "llama-3.2-3b": _llama(3072, 8192, 28, 24, 8, 128256),
    "codellama-7b": _llama(4096, 11008, 32, 32, 32, 32016),
    "codellama-13b": _llama(5120, 13824, 40, 40, 40, 32016),
    "codellama-34b": _llama(8192, 22016, 48, 64, 8, 32000),
    "codellama-70b": _llama(8192, 28672, 80, 64, 8, 32016),
    "qwen2-7b": _llama(3584, 18944, 28, 28, 4, 152064),
    "qwen2-14b": _llama(5120, 13824, 48, 40, 8, 152064),
    "qwen2-32b": _llama(5120, 27648, 64, 40, 8, 152064),
    "qwen2-72b": _llama(8192, 29568, 80, 64, 8, 152064),
    "mistral-7b": _llama(4096, 14336, 32, 32, 8, 32000),
    "opt-13b": _opt(5120, 40, 40),
    "opt-30b": _opt(7168, 48, 56),
    "gpt-j-6b": _opt(4096, 28, 16, 50400),
    "bloom-3b": _opt(2560, 30, 32, 250880),
    "bloom-7b1": _opt(4096, 30, 32, 250880),
    "bloom-176b": _opt(14336, 70, 112, 250880),
    "opt-66b": _opt(9216, 64, 72),
}


def generates(name: str) -> bool:
    """Whether it is a language model of equal layers that generates."""
    architecture = _architecture(name)
    return architecture.decodes and not architecture.encodes


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


def graph_of(workload: Workload) -> Graph:
    """The Graph of one call, recorded on shapes alone.

    Raises:
        UnknownName: no such architecture.
        MissingTool: `transformers` is not installed.
    """
    architecture = _architecture(workload.name)
    phase: Phase = "prefill" if architecture.decodes and workload.phase == "forward" else workload.phase
    return recorded(
        _model(
            workload.name,
            workload.shards,
            workload.layers,
            workload.divides_sequence and workload.shards > 1,
            workload.phase in ("train", "gradients"),
        ),
        name=workload.name,
        phase=phase,
        batch=workload.batch,
        tokens=_padded(workload.tokens, workload.shards if workload.divides_sequence else 1),
        image_shape=_image_shape(architecture, workload.image),
        decoder_tokens=workload.written,
    )


def _image_shape(architecture: Architecture, image: tuple[int, int]) -> tuple[int, int, int] | None:
    """Channels, height and width that a network reads for an image; None if it reads tokens."""
    height, width = image if any(image) else (224, 224)
    match architecture.reads:
        case "image":
            return 3, height, width
        case "latents":
            return architecture.channels, height // _LATENT_SCALE, width // _LATENT_SCALE
        case _:
            return None


def _padded(tokens: int, parts: int) -> int:
    """Tokens of a sequence that is divided into equal parts, padding among them."""
    return -(-tokens // parts) * parts


@kept_last
def _model(name: str, shards: int, layers: int, divides_sequence: bool, trains: bool) -> Any:
    """The model on the device, without values; models that train keep everything in bf16."""
    try:
        import transformers
    except ImportError as error:
        raise MissingTool(
            f"model {name}: the package transformers is not installed; pip install 'anychip[examples]'"
        ) from error
    import torch

    transformers.utils.logging.set_verbosity_error()
    architecture = _architecture(name)
    if not architecture.config:
        module, _, made = architecture.model.partition(":")
        build = getattr(importlib.import_module(f"anychip.frontends.torch.{module}"), made)
        with torch.device("meta"):
            return on_device(build(**architecture.fields).train(trains))
    fields = dict(architecture.fields) | ({"num_hidden_layers": layers} if layers else {})
    whole = getattr(transformers, architecture.config)(**fields)
    kind = getattr(transformers, architecture.model)
    part = shard_config(whole, shards)
    with torch.device("meta"):
        model = kind(part).train(trains)
    if architecture.decodes or trains:
        model = model.to(torch.bfloat16)
    if shards > 1:
        exchange_results(model, kind, whole, part, shards, divides_sequence=divides_sequence)
    return on_device(model)
