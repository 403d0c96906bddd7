"""``anychip conformance transformers``: every architecture that transformers can build offline, made tiny.

The list comes from transformers' own mapping of configurations to models. A configuration is shrunk by the
meaning of its fields' names, nested ones too, several ways one after another; inputs are made from the
forward function's signature. What runs a training step on the CPU in one of these ways counts; what does not
is listed as excluded with the last reason.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from anychip.errors import MissingTool
from anychip.frontends.torch.conformance.results import (
    Case,
    Report,
    one_line,
    run_isolated,
    say,
    versions,
)
from anychip.frontends.torch.conformance.training_step import CannotRun, compare
from anychip.frontends.torch.device import install

_TIMEOUT_S = 120.0
_MOST_PARAMETERS = 40_000_000

#: (pattern of a field's name, its value by (width, heads, layers)); the first match counts.
_RULES: tuple[tuple[str, Any], ...] = (
    (r".*(vocab_size)$", lambda w, h, n: 128),
    (r"(num_key_value_heads|num_kv_heads|n_kv_heads|multi_query_group_num)$", lambda w, h, n: h),
    (r".*(num_attention_heads|attention_heads|num_heads|n_heads?|num_attn_heads|heads)$", lambda w, h, n: h),
    (
        r".*(hidden_layers|num_layers|n_layers?|encoder_layers|decoder_layers|num_blocks|depth|layers)$",
        lambda w, h, n: n,
    ),
    (r"(num_)?(encoder|decoder|hidden|transformer|conformer|mamba|block)s?_layers$", lambda w, h, n: n),
    (
        r".*(intermediate_size|ffn_dim|d_ff|inner_dim|n_inner|mlp_dim|ffn_hidden_size|feed_forward.*size)$",
        lambda w, h, n: 2 * w,
    ),
    (r"(head_dim|d_kv|attention_head_dim|kv_channels|v_head_dim|qk_nope_head_dim)$", lambda w, h, n: w // h),
    (r"(qk_rope_head_dim)$", lambda w, h, n: w // h // 2),
    (r"(q_lora_rank|kv_lora_rank)$", lambda w, h, n: 8),
    (
        r".*(hidden_size|d_model|n_embd|embed_dim|hidden_dim|embedding_size|d_embed|projection_dim|dim)$",
        lambda w, h, n: w,
    ),
    (
        r"(max_position_embeddings|n_positions|max_sequence_length|max_source_positions|max_target_positions|n_ctx)$",
        lambda w, h, n: 128,
    ),
    (r"(image_size|img_size|input_size)$", lambda w, h, n: 32),
    (r"(patch_size)$", lambda w, h, n: 8),
    (r"(num_local_experts|num_experts|n_routed_experts|moe_num_experts)$", lambda w, h, n: 4),
    (r"(num_experts_per_tok|moe_topk|top_k)$", lambda w, h, n: 2),
    (r"(n_group|topk_group)$", lambda w, h, n: 1),
    (r"(moe_intermediate_size|shared_expert_intermediate_size|expert_ffn.*)$", lambda w, h, n: w),
    (r"(ssm_state_size|state_size|mamba_d_state)$", lambda w, h, n: 8),
    (r"(num_queries|num_query_tokens|num_latents)$", lambda w, h, n: 8),
    (r"(d_latents|cross_attention_dim)$", lambda w, h, n: w),
    (r"(window_size|attention_window|sliding_window|local_attn_chunk_length|chunk_size)$", lambda w, h, n: 8),
)
#: Ways of shrinking: (width, heads, layers, also shrink widths).
_WAYS = (
    (32, 4, 2, True),
    (64, 4, 2, True),
    (32, 2, 4, True),
    (48, 3, 3, True),
    (0, 0, 2, False),
    (0, 0, 0, False),
)
_ONLY_LAYERS = re.compile(r".*(layers|n_layer|depth|num_blocks)$")


def run(*, limit: int | None = None, jobs: int = 1, only: str | None = None) -> Report:
    """Runs the suite.

    Args:
        limit: so many architectures, taken evenly; None: all.
        jobs: processes at a time.
        only: architectures whose name contains this.

    Raises:
        MissingTool: transformers is not installed.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    try:
        from transformers.models.auto import modeling_auto
    except ImportError as error:
        raise MissingTool(f"conformance transformers: {error}; pip install transformers") from error
    install()
    torch.set_num_threads(1)
    # Imported once here, not in every fork.
    for family in ("llama", "bert", "vit", "t5", "clip", "wav2vec2"):
        importlib.import_module(f"transformers.models.{family}.modeling_{family}")
    names = sorted(modeling_auto.MODEL_MAPPING_NAMES)
    names = [name for name in names if only is None or only in name]
    if limit is not None and limit < len(names):
        names = [names[i * len(names) // limit] for i in range(limit)]
    say(f"transformers: {len(names)} architectures")
    start = time.monotonic()
    cases = list(run_isolated(names, lambda name: [_architecture(name)], timeout_s=_TIMEOUT_S, jobs=jobs))
    return Report(
        "transformers",
        versions("torch", "transformers"),
        tuple(sorted(cases, key=lambda case: case.name)),
        time.monotonic() - start,
    )


def _architecture(name: str) -> Case:
    warnings.simplefilter("ignore")
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    try:
        config_class = CONFIG_MAPPING[name]
        model_class: Any = MODEL_MAPPING[config_class]
    except Exception as error:  # noqa: BLE001  # optional packages of an architecture
        return Case(name, "excluded", one_line(error))
    if isinstance(model_class, (tuple, list)):
        model_class = model_class[0]
    reason = "no way of shrinking its configuration works"
    began = time.monotonic()
    for way in _WAYS:
        if time.monotonic() - began > _TIMEOUT_S / 4:
            break
        try:
            config = shrunk(config_class, way)
            with torch.device("meta"):
                size = sum(p.numel() for p in model_class(copy_of(config)).parameters())
            if size > _MOST_PARAMETERS:
                reason = f"{size:,} parameters however shrunk"
                continue
            torch.manual_seed(0)
            model = model_class(config).float()
        except Exception as error:  # noqa: BLE001  # this way does not fit this configuration
            reason = one_line(error)
            continue
        for inputs in candidate_inputs(model, config):
            try:
                return compare(name, model, inputs)
            except CannotRun as error:
                reason = str(error)
    return Case(name, "excluded", reason)


def copy_of(config: Any) -> Any:
    """A configuration that a model may change."""
    return type(config).from_dict(config.to_dict())


def shrunk(config_class: Any, way: tuple[int, int, int, bool]) -> Any:
    """A configuration of the class with small fields; those it computes from others follow by themselves.

    Args:
        config_class: of transformers.
        way: width, heads, layers, and whether anything but the number of layers is changed.
    """
    return config_class(**_fields(config_class, way))


def _fields(config_class: Any, way: tuple[int, int, int, bool]) -> dict[str, Any]:
    width, heads, layers, widths = way
    defaults = config_class().to_dict()
    nested = getattr(config_class, "sub_configs", {}) or {}
    fields: dict[str, Any] = {}
    for name, sub in nested.items():
        if name in defaults and hasattr(sub, "sub_configs") and sub.__name__ != "AutoConfig":
            fields[name] = _fields(sub, way)
    if not layers:
        return fields
    renamed = getattr(config_class, "attribute_map", {}) or {}
    for name, value in defaults.items():
        if isinstance(value, bool) or not isinstance(value, int) or name in renamed or value <= 0:
            continue
        if not widths:
            if _ONLY_LAYERS.match(name):
                fields[name] = min(value, layers)
            continue
        for pattern, rule in _RULES:
            if re.fullmatch(pattern, name):
                fields[name] = (
                    min(value, rule(width, heads, layers))
                    if "size" not in name
                    else rule(width, heads, layers)
                )
                break
    for name, value in defaults.items():
        token = name.endswith(("_token_id", "_token_index"))
        if token and isinstance(value, int) and value >= 128 and widths:
            fields[name] = 100 + (sum(map(ord, name)) % 20)
    return fields


def candidate_inputs(model: Any, config: Any) -> Iterator[dict[str, Any]]:
    """Inputs that the forward function may take, the likeliest first."""
    names = set(inspect.signature(model.forward).parameters)
    generator = torch.Generator().manual_seed(0)
    flat = _flat(config)

    def words(length: int = 12) -> Any:
        return torch.randint(3, 60, (2, length), generator=generator)

    def noise(*shape: int) -> Any:
        return torch.randn(*shape, generator=generator)

    channels, side = flat.get("num_channels", 3), flat.get("image_size", 32)
    if isinstance(side, (list, tuple)):
        side = side[0]
    mel = flat.get("num_mel_bins", flat.get("feature_size", flat.get("input_feat_per_channel", 80)))
    offers: dict[str, list[Any]] = {
        "input_ids": [words()],
        "decoder_input_ids": [words(8)],
        "bbox": [torch.randint(0, 50, (2, 12, 4), generator=generator).sort(-1).values],
        "pixel_values": [
            noise(2, channels, side, side),
            noise(2, channels, 64, 64),
            noise(2, 3, 224, 224),
            noise(2, 4, channels, side, side),
        ],
        "input_values": [noise(2, 4000), noise(2, 1024, 128), noise(2, 16, mel)],
        "input_features": [noise(2, mel, 96), noise(2, 96, mel), noise(2, mel, 3000)],
        "input_embeds": [noise(2, 12, 32)],
        "inputs": [words(), noise(2, 12, 32)],
    }
    main = getattr(model, "main_input_name", "input_ids")
    order = [main, *[name for name in offers if name != main]]
    encoder_decoder = bool(getattr(config, "is_encoder_decoder", False))
    for first in order:
        if first not in names or first == "decoder_input_ids":
            continue
        for value in offers.get(first, []):
            base = {first: value}
            if "decoder_input_ids" in names and (encoder_decoder or first != "input_ids"):
                yield {**base, "decoder_input_ids": offers["decoder_input_ids"][0]}
            if first == "input_ids" and "pixel_values" in names and "bbox" not in names:
                for pixels in offers["pixel_values"]:
                    yield {**base, "pixel_values": pixels}
            if first == "input_ids" and "bbox" in names:
                yield {**base, "bbox": offers["bbox"][0]}
            yield base


def _flat(config: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for value in config.to_dict().values():
        if isinstance(value, dict):
            for key, inner in value.items():
                found.setdefault(key, inner)
    found.update({name: value for name, value in config.to_dict().items() if not isinstance(value, dict)})
    return found
