"""Inputs for a model nobody described: made from its configuration and what its forward function takes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch

_LENGTH = 12


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


#: What goes with an input wherever the forward function takes it.
_ALONGSIDE = {
    "input_ids": ("bbox", "visual_feats", "visual_pos"),
    "query_embeds": ("encoder_hidden_states",),
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
        "image_grid_thw": [torch.tensor([[1, 4, 4]])],
        "inputs_embeds": [noise(2, _LENGTH, width)],
        "encoder_hidden_states": [noise(2, _LENGTH, width)],
        "query_embeds": [noise(2, 8, width)],
        "attention_mask": [torch.ones(2, _LENGTH, dtype=torch.int64)],
        "input_features_mask": [torch.ones(2, 96, dtype=torch.int64)],
        "position_ids": [positions],
        "visual_feats": [noise(2, 6, first("visual_feat_dim", default=2048))],
        "visual_pos": [noise(2, 6, 4)],
        "task_inputs": [words(8)],
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
