"""Tiny configurations of transformers' architectures, made by the meaning of their fields' names.

A configuration is shrunk with everything nested in it, whether its class names the nested one or only
its default holds it. No single way fits all: some set each field to a value of its own, some divide every
width by one factor, which keeps what is proportional proportional.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

#: Size of every vocabulary; token numbers are kept below it.
VOCABULARY = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way of shrinking.

    Args:
        width: of the hidden states; 0: the defaults' widths stay.
        heads: of attention.
        layers: of every stack; 0: as many as the default has.
        factor: widths are divided by it instead of being set; 1: not.
        fill: fields without a default that the rules know get a value too.
        lists: nested configurations keep the lists in which they depart from their class's defaults; a list
            with one entry a layer is cut to the layers that are left.
    """

    width: int = 0
    heads: int = 0
    layers: int = 0
    factor: int = 1
    fill: bool = False
    lists: bool = False


WAYS = (
    Way(width=32, heads=4, layers=2),
    Way(width=32, heads=4, layers=2, lists=True),
    Way(width=64, heads=4, layers=2),
    Way(width=64, heads=4, layers=2, fill=True),
    Way(width=32, heads=2, layers=4),
    Way(width=256, heads=2, layers=2),
    Way(width=256, heads=2, layers=2, lists=True),
    Way(layers=2, factor=8),
    Way(layers=4, factor=8, fill=True),
    Way(layers=2, factor=4),
    Way(layers=2, factor=16),
    Way(factor=8),
    Way(factor=4),
    Way(width=48, heads=3, layers=3),
    Way(width=128, heads=4, layers=2, fill=True),
    Way(layers=2, factor=8, lists=True),
    Way(layers=2),
    Way(),
)

#: What no rule can know: fields that must agree with each other or have no usable default.
_AGREED: dict[str, dict[str, Any]] = {
    "mamba2": {"hidden_size": 32, "expand": 2, "num_heads": 8, "head_dim": 8, "n_groups": 1},
    "xmod": {"default_language": "en_XX", "languages": ["en_XX"]},
    "autoformer": {"num_time_features": 2},
    "informer": {"num_time_features": 2},
    "time_series_transformer": {"num_time_features": 2},
    "efficientnet": {"width_coefficient": 1.0, "depth_coefficient": 0.3, "hidden_dim": 1280},
    "align": {"projection_dim": 640},
    "clap_audio_model": {"patch_embeds_hidden_size": 16, "hidden_size": 128},
    "clap": {"projection_dim": 32},
    "chameleon": {"vocabulary_map": {"<image>": 100, "IMGIMGBSA": 5, "IMGIMGBSB": 6}},
    "emu3": {"vocabulary_map": {"<image>": 100, "<|extra_200|>": 101, "<|visual token 000000|>": 102}},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0}},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "moe_intermediate_size": 32},
    "diffusion_gemma_text": {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 32},
    "blip-2": {"image_token_index": 120},
    "instructblip": {"image_token_index": 120},
    "instructblipvideo": {"video_token_index": 120},
    "kosmos-2": {"latent_query_num": 4},
    "longcat_flash": {"qk_head_dim": 16},
    "swin": {"embed_dim": 24, "num_heads": [3, 6, 12, 24]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_hidden_layers": 2},
    "deepseek_ocr2_text": {"mlp_layer_types": ["dense", "sparse"], "num_hidden_layers": 2},
    "molmo2_adapter": {"vision_feature_layer": [1, 0]},
    "moonshine_streaming": {"num_key_value_heads": 4, "num_attention_heads": 4},
    "tvp": {"max_img_size": 32, "visual_prompter_size": 4, "max_grid_row_position_embeddings": 8},
}

_LAYERS = re.compile(
    r".*(hidden_layers|num_layers|n_layers?|encoder_layers|decoder_layers|num_blocks|depth|_layers|^layers)$"
)
#: (pattern of a field's name, its value by (width, heads, layers)); the first match counts.
_RULES: tuple[tuple[str, Any], ...] = (
    (r".*vocab_size(_.*)?$", lambda w, h, n: VOCABULARY),
    (r"(.*num_key_value_heads|num_kv_heads|n_kv_heads|multi_query_group_num)$", lambda w, h, n: h),
    (r"(mamba_n_heads|mamba_num_heads)$", lambda w, h, n: 2 * h),
    (r"(mamba_d_head|mamba_head_dim)$", lambda w, h, n: w // h),
    (r".*(attention_heads|num_heads|n_heads?|num_attn_heads|heads)$", lambda w, h, n: h),
    (
        r".*(moe_intermediate_size|shared_expert_intermediate_size|expert_ffn_hidden_size|expert_ffn.*)$",
        lambda w, h, n: w,
    ),
    (
        r".*(intermediate_size|ffn_dim|d_ff|inner_dim|n_inner|mlp_dim|ffn_hidden_size|feed_forward.*size)$",
        lambda w, h, n: 2 * w,
    ),
    (
        r"(.*head_dim|d_kv|attention_head_dim|kv_channels|attention_head_size|dim_head)$",
        lambda w, h, n: w // h,
    ),
    (r"(rotary_dim)$", lambda w, h, n: w // h // 2),
    (r"(q_lora_rank|kv_lora_rank)$", lambda w, h, n: 8),
    (r"upsample_groups$", lambda w, h, n: w),
    (
        r".*(hidden_size|d_model|n_embd|embed_dim|hidden_dim|embedding_size|d_embed|projection_dim|_dim|^dim)$",
        lambda w, h, n: w,
    ),
    (
        r".*(projection_size|encoder_output_size|out_hidden_size|hidden_size_per_layer_input)$",
        lambda w, h, n: w,
    ),
    (
        r"(max_position_embeddings|n_positions|max_sequence_length|max_source_positions|max_target_positions|n_ctx)$",
        lambda w, h, n: 128,
    ),
    (r"(image_size|img_size|input_size)$", lambda w, h, n: 32),
    (r"(patch_size)$", lambda w, h, n: 8),
    (r"(num_local_experts|num_experts|n_routed_experts|moe_num_experts)$", lambda w, h, n: 4),
    (r"(num_experts_per_tok|num_experts_per_token|moe_topk|moe_k|top_k|moe_top_k)$", lambda w, h, n: 2),
    (r"(n_group|topk_group)$", lambda w, h, n: 1),
    (r"(ssm_state_size|state_size|mamba_d_state)$", lambda w, h, n: 8),
    (r"(num_queries|num_query_tokens|num_latents)$", lambda w, h, n: 8),
    (r"(d_latents|cross_attention_dim)$", lambda w, h, n: w),
    (r"(window_size|attention_window|sliding_window|local_attn_chunk_length|chunk_size)$", lambda w, h, n: 8),
    (r"(prediction_length|context_length)$", lambda w, h, n: 8),
)
#: Of the rules above, what holds while widths are divided.
_COUNTS = re.compile(
    r".*vocab_size.*|num_local_experts|num_experts|n_routed_experts|moe_num_experts|num_experts_per_tok|moe_topk"
    r"|moe_k|top_k|n_group|topk_group|prediction_length|context_length|max_position_embeddings"
)
#: Numbers that are no widths: dividing them changes what the model is fed, not its size.
_NO_WIDTH = re.compile(
    r".*(position|image|img|patch|kernel|rate|window|chunk|length|stride|n_fft|mel|token|_id|_ids|idx|index|heads?"
    r"|expert|layers?|groups?|ratio|period|scale|factor|resolution|grid|steps?|frames?|seq|level|theta|eps|buckets"
    r"|downsampl|upsampl|sampling|hop|queries|conv_dim_k|duration|context|start|end|freq|iter|size_patch).*"
)


def shrunk(config_class: Any, way: Way) -> Any:
    """A configuration of the class with small fields; those it computes from others follow by themselves.

    Args:
        config_class: of transformers.
        way: how.
    """
    config = config_class(**_fields(config_class(), way))
    if way.width or way.factor > 1:
        _divide_rotations(config)
    return config


def _divide_rotations(config: Any) -> None:
    """Sections of a rotation over time, height and width add up to half of what a head rotates."""
    for inner in vars(config).values():
        if hasattr(inner, "to_dict") and hasattr(inner, "model_type"):
            _divide_rotations(inner)
    rotation, heads, width = (
        vars(config).get(name) for name in ("rope_parameters", "num_attention_heads", "hidden_size")
    )
    if not isinstance(rotation, dict) or "rope_theta" not in rotation:
        return
    if not isinstance(heads, int) or not isinstance(width, int):
        return
    head = vars(config).get("head_dim") or width // max(heads, 1)
    half = int(head * (rotation.get("partial_rotary_factor") or 1.0)) // 2
    usual = rotation.get("mrope_section") or [1, 2, 2]
    if len(usual) == 3:
        equal, rest = 3 * half // 8, half - 2 * (3 * half // 8)
        rotation["mrope_section"] = [equal, equal, rest] if usual[0] == usual[1] else [rest, equal, equal]


def _fields(default: Any, way: Way) -> dict[str, Any]:
    values = default.to_dict()
    renamed = getattr(default, "attribute_map", {}) or {}
    layers = {value for name, value in values.items() if isinstance(value, int) and _LAYERS.fullmatch(name)}
    fields: dict[str, Any] = {}
    for name, value in values.items():
        inner = vars(default).get(name)
        if name == "use_cache":
            fields[name] = (
                False  # a training step keeps none, and few layers may lack the kind a cache asks for
            )
        if name in renamed or isinstance(value, bool):
            continue
        if hasattr(inner, "to_dict") and hasattr(inner, "model_type"):
            fields[name] = _nested(inner, way)
        elif isinstance(value, (list, tuple)):
            divided = _divided_list(name, value, way)
            if divided is not None:
                fields[name] = divided
            elif way.lists and way.layers and len(value) in layers:
                fields[name] = value[: way.layers]
        elif isinstance(value, int) or (value is None and way.fill):
            small = _value(name, value, way)
            if small is not None and small != value:
                fields[name] = small
    if way.width or way.factor > 1:
        fields.update(_tokens(values))
        fields.update(_AGREED.get(default.model_type, {}))
    return fields


def _nested(default: Any, way: Way) -> dict[str, Any]:
    """Fields of a nested configuration and those in which the outer one departs from its class's defaults."""
    usual = type(default)().to_dict()
    own = {
        name: value
        for name, value in default.to_dict().items()
        if _is_plain(value, lists=way.lists) and usual.get(name) != value and not name.startswith("_")
    }
    fields = {**own, **_fields(default, way)}
    if default.model_type:
        fields["model_type"] = default.model_type
    return fields


def _is_plain(value: Any, *, lists: bool) -> bool:
    plain = (int, float, str, bool)
    is_list = lists and isinstance(value, (list, tuple))
    return isinstance(value, plain) or (is_list and all(isinstance(each, plain) for each in value))


def _value(name: str, value: int | None, way: Way) -> int | None:
    """The small value of one field, None where it stays."""
    if value is not None and value <= 0:
        return None
    if _LAYERS.fullmatch(name):
        return min(value, way.layers) if way.layers and value is not None else None
    if way.factor > 1 and not _COUNTS.fullmatch(name):
        if value is None and way.fill and name == "head_dim":
            return 16
        wide = value is not None and value >= 2 * way.factor and value % way.factor == 0
        return value // way.factor if wide and value is not None and not _NO_WIDTH.fullmatch(name) else None
    if not way.width and way.factor == 1:
        return None
    for pattern, rule in _RULES:
        if re.fullmatch(pattern, name):
            small = rule(way.width, way.heads, way.layers)
            grows = "size" in name and name != "input_size"  # of series: how many values a moment has
            return small if grows or value is None else min(value, small)
    return None


def _divided_list(name: str, value: Any, way: Way) -> list[int] | None:
    if way.factor == 1 or not isinstance(value, (list, tuple)) or not value or _NO_WIDTH.fullmatch(name):
        return None
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in value):
        return None
    if any(each < way.factor or each % way.factor for each in value):
        return None
    return [each // way.factor for each in value]


def _tokens(values: dict[str, Any]) -> dict[str, Any]:
    """Token numbers moved below the vocabulary's size, different names to different numbers."""
    fields: dict[str, Any] = {}
    free = iter(range(VOCABULARY - 1, 64, -1))
    for name, value in values.items():
        if not name.endswith(("_token_id", "_token_index", "_token", "_token_ids")):
            continue
        if isinstance(value, int) and not isinstance(value, bool) and value >= 64:
            fields[name] = next(free)
        elif isinstance(value, list) and value and all(isinstance(each, int) for each in value):
            fields[name] = [next(free) if each >= 64 else each for each in value]
    return fields
