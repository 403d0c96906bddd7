"""Inputs for a model nobody described: made from its configuration and what its forward function takes."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from typing import Any

import torch

_LENGTH = 12
#: Of an input that is made larger.
_MOST_ELEMENTS = 1 << 22


def candidate_inputs(model: Any, config: Any) -> Iterator[dict[str, Any]]:
    """Inputs that the forward function may take, the likeliest first."""
    parameters = inspect.signature(model.forward).parameters
    names = set(parameters)
    offers = _offers(config)
    required = [
        name
        for name, each in parameters.items()
        if each.default is inspect.Parameter.empty
        and each.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    ]
    main = getattr(model, "main_input_name", "input_ids")
    if isinstance(main, (list, tuple)):  # some models name all that they require
        main = main[0]
    order = [main, *[name for name in _MAIN if name != main]]
    encoder_decoder = bool(getattr(config, "is_encoder_decoder", False))
    for first in order:
        if first not in names:
            continue
        for value in offers.get(first, []):
            base = {first: value}
            for name in (*required, *_ALONGSIDE.get(first, ())):
                if name != first and name in offers and name in names:
                    base[name] = offers[name][0]
            if "decoder_input_ids" in names and (encoder_decoder or first != "input_ids"):
                yield {**base, "decoder_input_ids": offers["decoder_input_ids"][0]}
            if first == "input_ids" and "bbox" in names:
                yield {**base, "bbox": offers["bbox"][0]}
            elif first == "input_ids":
                for other in ("pixel_values", "input_features", "input_values"):
                    if other in names and other not in base:
                        beside = {
                            each: offers[each][0] for each in _ALONGSIDE.get(other, ()) if each in names
                        }
                        if beside:
                            for extra in offers[other]:
                                yield {**base, other: extra, **beside}
                        for extra in offers[other][:4]:
                            yield {**base, other: extra}
            yield base
            if first != "input_ids" and "input_ids" in names and "input_ids" not in base:
                yield {**base, "input_ids": offers["input_ids"][0]}
    if "states" in names:
        yield {
            name: offers[name][0] for name in ("states", "actions", "rewards", "returns_to_go", "timesteps")
        }
    if "input_features_mask" in names:
        mel_first = [value for value in offers["input_features"] if value.dim() == 3]
        for value in mel_first:
            longest = torch.ones(2, max(value.shape[1:]), dtype=torch.int64)
            yield {"input_features": value, "input_features_mask": longest}
    if required and all(name in offers for name in required):
        for which in range(max(len(offers[name]) for name in required)):
            yield {name: offers[name][min(which, len(offers[name]) - 1)] for name in required}


#: What PyTorch says where an extent is not what a layer wants: patterns of (found, wanted).
_WRONG_EXTENT = (
    re.compile(r"cannot be multiplied \(\d+x(?P<found>\d+) and (?P<wanted>\d+)x\d+\)"),
    re.compile(
        r"normalized_shape=\[(?P<wanted>\d+)\], expected .* got input of size\[(?:\d+, )*(?P<found>\d+)\]"
    ),
    re.compile(r"to have (?P<wanted>\d+) channels, but got (?P<found>\d+) channels"),
    re.compile(r"tensor a \((?P<found>\d+)\) must match the size of tensor b \((?P<wanted>\d+)\)"),
)


#: What transformers says where images, videos or sounds have no tokens that stand for them.
_MISSING_TOKENS = re.compile(
    r"(?P<kind>image|video|audio).*do not match[,:] tokens: \d+,? features:? (?P<features>\d+)", re.IGNORECASE
)


def adapted_inputs(inputs: dict[str, Any], config: Any, reason: str) -> Iterator[dict[str, Any]]:
    """The inputs with the extent that an error asks for in place of the one it complains about.

    Args:
        inputs: that the model refused.
        config: of the model.
        reason: its words, or PyTorch's.
    """
    missing = _MISSING_TOKENS.search(reason)
    if missing is not None and "input_ids" in inputs:
        yield from _with_placeholders(inputs, config, missing["kind"].lower(), int(missing["features"]))
        return
    for pattern in _WRONG_EXTENT:
        match = pattern.search(reason)
        if match is None:
            continue
        found, wanted = int(match["found"]), int(match["wanted"])
        for name, value in inputs.items():
            if not value.is_floating_point():
                continue
            for shape in _other_shapes(tuple(value.shape), found, wanted):
                if math.prod(shape) <= _MOST_ELEMENTS:
                    generator = torch.Generator().manual_seed(0)
                    yield {**inputs, name: torch.randn(shape, generator=generator)}


def _other_shapes(shape: tuple[int, ...], found: int, wanted: int) -> list[tuple[int, ...]]:
    """Shapes with the extent wanted: in place of the one found, or of one that a layer made it from."""
    if found not in shape:
        grown = shape[-1] * wanted if shape else 0
        return [(*shape[:-1], grown // found)] if grown and found and grown % found == 0 else []
    place = len(shape) - 1 - tuple(reversed(shape)).index(found)
    replaced = (*shape[:place], wanted, *shape[place + 1 :])
    return [replaced, (2, 16, wanted), (16, wanted)] if len(shape) >= 3 else [replaced]


def _with_placeholders(
    inputs: dict[str, Any], config: Any, kind: str, features: int
) -> Iterator[dict[str, Any]]:
    """Token numbers among which `features` stand for what the other input holds, half of them in each row."""
    every = _tree(config)

    def number(*names: str) -> int | None:
        found = [value for name in names for value in every.get(name, []) if isinstance(value, int)]
        return found[0] if found else None

    token = number(f"{kind}_token_id", f"{kind}_token_index", f"{kind}_token")
    if token is None or features % 2:
        return
    opening = number(f"{kind}_start_token_id", "vision_start_token_id")
    words = inputs["input_ids"][:, :4]
    opened = [] if opening is None else [torch.full((2, 1), opening)]
    tokens = torch.cat([words[:, :2], *opened, torch.full((2, features // 2), token), words[:, 2:]], 1)
    kept = {name: value for name, value in inputs.items() if name not in ("attention_mask", "position_ids")}
    yield {**kept, "input_ids": tokens}
    yield {**kept, "input_ids": tokens, "mm_token_type_ids": (tokens == token).long()}


#: What goes with an input wherever the forward function takes it.
_ALONGSIDE = {
    "input_ids": ("bbox", "visual_feats", "visual_pos"),
    "query_embeds": ("encoder_hidden_states",),
    "pixel_values": (
        "pixel_attention_mask",
        "spatial_shapes",
        "image_grid_thw",
        "image_sizes",
        "image_attention_mask",
        "image_embeds_position_mask",
        "target_sizes",
    ),
    "past_values": (
        "past_time_features",
        "past_observed_mask",
        "future_values",
        "future_time_features",
        "static_categorical_features",
        "static_real_features",
    ),
}
_MAIN = (
    "input_ids",
    "pixel_values",
    "input_values",
    "input_features",
    "past_values",
    "hidden_states",
    "inputs_embeds",
    "inputs",
    "query_embeds",
    "audio_mel",
    "latents",
    "noise_embeds",
)


def _offers(config: Any) -> dict[str, list[Any]]:
    """Values worth trying by parameter name, the likeliest first."""
    generator = torch.Generator().manual_seed(0)
    every = _tree(config)

    def first(*keys: str, default: int) -> int:
        for key in keys:
            for value in every.get(key, []):
                if isinstance(value, (list, tuple)) and value:
                    value = value[0]
                if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                    return value
        return default

    mel_default = 80

    def words(length: int = _LENGTH) -> Any:
        return torch.randint(3, 60, (2, length), generator=generator)

    def noise(*shape: int) -> Any:
        return torch.randn(*shape, generator=generator)

    channels = first("num_channels", "in_channels", "in_chans", default=3)
    side = first("image_size", "img_size", "input_size", default=32)
    oblong = [
        noise(2, channels, *size)
        for size in every.get("image_size", [])
        if isinstance(size, (list, tuple)) and len(size) == 2
    ]
    frames = first("num_frames", default=4)
    features = first("feature_projection_input_dim", "input_dim", "input_feat_size", default=mel_default)
    sides = list(dict.fromkeys([side, 64, 224]))
    patch = first("patch_size", default=8)
    patches = channels * first("temporal_patch_size", default=1) * patch * patch
    mel = first(
        "num_mel_bins", "n_mels", "feature_size", "input_feat_per_channel", "num_mel_channels", default=80
    )
    width = first("hidden_size", "d_model", "n_embd", "dim", default=32)
    time = first("context_length", default=8) + max(
        (each for value in every.get("lags_sequence", []) if isinstance(value, list) for each in value),
        default=0,
    )
    images = [noise(2, channels, each, each) for each in sides]
    if channels != 3:
        images += [noise(2, 3, each, each) for each in sides]
    positions = torch.arange(_LENGTH).expand(2, _LENGTH).contiguous()
    series = first("num_input_channels", default=1)
    return {
        "input_ids": [words()],
        "decoder_input_ids": [words(8)],
        "decoder_inputs_embeds": [noise(2, 8, width)],
        "bbox": [torch.randint(0, 50, (2, _LENGTH, 4), generator=generator).sort(-1).values],
        "pixel_values": [
            *images,
            *oblong,
            noise(2, frames, channels, sides[0], sides[0]),
            noise(2, 1, channels, sides[0], sides[0]),
            noise(2, 4, channels, sides[0], sides[0]),
            noise(2, 2, 1, 64, 64),
            noise(2, 2, 3, 64, 64),
            noise(2, 16, patches),
            noise(16, patches),
            noise(32, patches),
            noise(16, channels, patch, patch),
        ],
        "pixel_values_videos": [noise(2, 4, channels, side, side), noise(2, channels, 4, side, side)],
        "input_values": [
            noise(2, 1, 4000),
            noise(2, 4000),
            noise(2, 16000),
            noise(2, 2, 4000),
            noise(2, 1024, 128),
            noise(2, 16, mel),
            noise(2, 16, width),
            noise(2, 1, 1920),
            noise(2, 3840),
        ],
        "input_features": [
            noise(2, 96, features),
            noise(2, mel, 96),
            noise(2, 96, mel),
            noise(2, mel, 2 * first("max_source_positions", default=1500)),
            noise(2, 1, 1001, 64),
            noise(2, 1, 96, mel),
        ],
        "past_values": [
            *([noise(2, time).abs()] if "num_time_features" in every else []),
            noise(2, time, series).abs(),
            noise(2, time).abs(),
            noise(2, first("context_length", default=32), series),
        ],
        "past_time_features": [noise(2, time, first("num_time_features", default=1))],
        "past_observed_mask": [torch.ones(2, time)],
        "future_values": [noise(2, first("prediction_length", default=8)).abs()],
        "future_time_features": [
            noise(2, first("prediction_length", default=8), first("num_time_features", default=1))
        ],
        "static_categorical_features": [torch.zeros(2, 1, dtype=torch.int64)],
        "static_real_features": [noise(2, 1)],
        "past_values_padding": [torch.zeros(2, time, dtype=torch.int64)],
        "freq": [torch.zeros(2, 1, dtype=torch.int64)],
        "merge_sizes": [torch.tensor([1])],
        "pixel_attention_mask": [torch.ones(2, 16, dtype=torch.int64)],
        "spatial_shapes": [torch.tensor([[4, 4], [4, 4]])],
        "qformer_input_ids": [words()],
        "states": [noise(2, 5, first("state_dim", default=17))],
        "actions": [noise(2, 5, first("act_dim", default=4))],
        "rewards": [noise(2, 5, 1)],
        "returns_to_go": [noise(2, 5, 1)],
        "timesteps": [torch.arange(5).expand(2, 5).contiguous()],
        "hidden_states": [
            noise(16, patches),
            noise(2, _LENGTH, width),
            noise(2, width, _LENGTH),
            noise(16, channels, patch, patch),
            noise(2, channels, side, side),
        ],
        "grid_thw": [torch.tensor([[1, 4, 4]])],
        "image_grid_thw": [torch.tensor([[1, 4, 4], [1, 4, 4]])],
        "image_sizes": [torch.tensor([[side, side], [side, side]])],
        "inputs_embeds": [noise(2, _LENGTH, width)],
        "encoder_hidden_states": [noise(2, _LENGTH, width)],
        "query_embeds": [noise(2, 8, width)],
        "attention_mask": [torch.ones(2, _LENGTH, dtype=torch.int64)],
        "input_features_mask": [torch.ones(2, 96, dtype=torch.int64)],
        "position_ids": [positions],
        "visual_feats": [noise(2, 6, first("visual_feat_dim", default=2048))],
        "visual_pos": [noise(2, 6, 4)],
        "task_inputs": [words(8)],
        "image_attention_mask": [torch.ones(2, _LENGTH, 4, dtype=torch.int64)],
        "image_embeds_position_mask": [(torch.arange(_LENGTH) < 4).long().expand(2, -1).contiguous()],
        "target_sizes": [torch.tensor([[4, 4], [4, 4]])],
        "classes_input_ids": [words()],
        "classes_attention_mask": [torch.ones(2, _LENGTH, dtype=torch.int64)],
        "tasks_input_ids": [words()],
        "tasks_attention_mask": [torch.ones(2, _LENGTH, dtype=torch.int64)],
        "classes_structure": [torch.tensor([1, 1])],
        "latents": [noise(2, _LENGTH, width), noise(2, width, _LENGTH)],
        "audio_mel": [noise(2, 96, 128)],
        "audio_mel_mask": [torch.zeros(2, 96, dtype=torch.bool)],
        "noise_embeds": [noise(2, _LENGTH, width)],
        "context_hidden_states": [noise(2, _LENGTH, width)],
        "action_embeds": [noise(2, _LENGTH, width)],
        "prompt_pixel_values": [*oblong, *images],
        "prompt_masks": [*oblong, *images],
        "pixel_position_ids": [_grid_positions(4)],
        "image_position_ids": [_grid_positions(4)],
        "inputs": [words(), noise(2, _LENGTH, width)],
    }


def _grid_positions(side: int) -> Any:
    """Column and row of each patch of a square image, twice."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], -1).expand(2, -1, -1).contiguous()


def _tree(config: Any) -> dict[str, list[Any]]:
    """Every field's values by name, the outermost configuration's first."""
    found: dict[str, list[Any]] = {}
    level = [config.to_dict()]
    while level:
        deeper = []
        for each in level:
            for name, value in each.items():
                if isinstance(value, dict):
                    deeper.append(value)
                else:
                    found.setdefault(name, []).append(value)
        level = deeper
    return found
