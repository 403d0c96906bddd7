"""Tiny configurations of architectures whose fields depend on each other in ways that no rule of names finds.

Mostly detectors and segmenters: their backbones, necks and heads repeat the same widths and strides in lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from anychip.frontends.torch.conformance.shrinking import VOCABULARY

#: Fields of a configuration, and the inputs of its model by a generator of random numbers.
ByHand = tuple[dict[str, Any], Callable[[torch.Generator], dict[str, Any]]]

_HIDDEN, _HEADS = 32, 4


def _images(side: int) -> Callable[[torch.Generator], dict[str, Any]]:
    return lambda generator: {"pixel_values": _noise(generator, 2, 3, side, side)}


def _noise(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=generator)


def _words(generator: torch.Generator, length: int) -> torch.Tensor:
    return torch.randint(3, 60, (2, length), generator=generator)


def _with_points(generator: torch.Generator) -> dict[str, Any]:
    points = torch.rand(2, 1, 2, 2, generator=generator) * 64
    return {"pixel_values": _noise(generator, 2, 3, 64, 64), "input_points": points}


def _page(generator: torch.Generator) -> dict[str, Any]:
    return {
        "input_ids": _words(generator, 12),
        "bbox": torch.rand(2, 12, 4, generator=generator).sort(-1).values,
        "pixel_values": _noise(generator, 2, 3, 32, 32),
        "decoder_input_ids": _words(generator, 6),
    }


def _swin(patch: int, *stages: int) -> dict[str, Any]:
    return {
        "model_type": "swin",
        "embed_dim": 8,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 1, 1],
        "image_size": 64,
        "patch_size": patch,
        "window_size": 4,
        "out_features": [f"stage{each}" for each in stages],
    }


def _detector() -> dict[str, Any]:
    return {
        "backbone_config": {
            "model_type": "rt_detr_resnet",
            "embedding_size": 8,
            "hidden_sizes": [8, 16, 32, 64],
            "depths": [1, 1, 1, 1],
            "layer_type": "basic",
            "out_features": ["stage2", "stage3", "stage4"],
        },
        "d_model": _HIDDEN,
        "encoder_hidden_dim": _HIDDEN,
        "encoder_in_channels": [16, 32, 64],
        "encoder_layers": 1,
        "encoder_ffn_dim": 64,
        "encoder_attention_heads": _HEADS,
        "decoder_in_channels": [_HIDDEN] * 3,
        "decoder_ffn_dim": 64,
        "decoder_layers": 2,
        "decoder_attention_heads": _HEADS,
        "feat_strides": [8, 16, 32],
        "hidden_expansion": 0.5,
        "num_queries": 10,
        "num_denoising": 0,
        "anchor_image_size": None,
    }


def _segmenter(backbone: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "backbone_config": backbone,
        "hidden_dim": _HIDDEN,
        "encoder_feedforward_dim": 64,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "num_attention_heads": _HEADS,
        "dim_feedforward": 64,
        "num_queries": 6,
        **fields,
    }


def _promptable(width: int, **decoder: int) -> dict[str, Any]:
    """A segmenter that is shown points."""
    return {
        "vision_config": {
            "hidden_size": _HIDDEN,
            "output_channels": width,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 8,
            "window_size": 4,
            "global_attn_indexes": [0, 1],
            "num_pos_feats": width // 2,
            "mlp_dim": 64,
        },
        "prompt_encoder_config": {
            "hidden_size": width,
            "image_size": 64,
            "patch_size": 8,
            "mask_input_channels": 4,
        },
        "mask_decoder_config": {
            "hidden_size": width,
            "mlp_dim": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "attention_downsample_rate": 2,
            "iou_head_depth": 2,
            "iou_head_hidden_dim": 16,
            **decoder,
        },
    }


def _grounded() -> dict[str, Any]:
    """A detector that is told what to find."""
    return {
        "backbone_config": _swin(4, 2, 3, 4),
        "text_config": {
            "model_type": "bert",
            "hidden_size": _HIDDEN,
            "num_hidden_layers": 2,
            "num_attention_heads": _HEADS,
            "intermediate_size": 64,
            "vocab_size": VOCABULARY,
        },
        "d_model": _HIDDEN,
        "encoder_layers": 2,
        "encoder_ffn_dim": 64,
        "encoder_attention_heads": _HEADS,
        "decoder_layers": 2,
        "decoder_ffn_dim": 64,
        "decoder_attention_heads": _HEADS,
        "num_queries": 10,
        "max_text_len": 16,
        "num_feature_levels": 3,
    }


def _told(generator: torch.Generator) -> dict[str, Any]:
    return {"pixel_values": _noise(generator, 2, 3, 64, 64), "input_ids": _words(generator, 12)}


_DINO: dict[str, Any] = {
    "model_type": "dinov2",
    "num_hidden_layers": 2,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "patch_size": 8,
    "image_size": 16,
    "mlp_ratio": 2,
    "reshape_hidden_states": False,
    "out_features": ["stage1", "stage2"],
}

BY_HAND: dict[str, ByHand] = {
    "rt_detr": (_detector(), _images(64)),
    "rt_detr_v2": (_detector(), _images(64)),
    "sam": (_promptable(16), _with_points),
    "sam_hq": (_promptable(_HIDDEN, vit_dim=_HIDDEN), _with_points),
    "mask2former": (
        _segmenter(
            _swin(2, 1, 2, 3, 4),
            feature_size=_HIDDEN,
            mask_feature_size=_HIDDEN,
            feature_strides=[2, 4, 8, 16],
            common_stride=2,
        ),
        _images(64),
    ),
    "oneformer": (
        _segmenter(
            _swin(4, 1, 2, 3, 4),
            conv_dim=_HIDDEN,
            mask_dim=_HIDDEN,
            text_encoder_width=_HIDDEN,
            text_encoder_context_length=16,
            text_encoder_num_layers=1,
            text_encoder_vocab_size=VOCABULARY,
            text_encoder_proj_layers=1,
            text_encoder_n_ctx=4,
            task_seq_len=16,
            query_dec_layers=1,
        ),
        lambda generator: {
            "pixel_values": _noise(generator, 2, 3, 64, 64),
            "task_inputs": _words(generator, 16),
        },
    ),
    "grounding-dino": (_grounded(), _told),
    "mm-grounding-dino": (_grounded(), _told),
    "speecht5": (
        {
            "hidden_size": _HIDDEN,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": _HEADS,
            "decoder_attention_heads": _HEADS,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "vocab_size": VOCABULARY,
        },
        lambda generator: {
            "input_values": _noise(generator, 2, 16, _HIDDEN),
            "decoder_input_values": _noise(generator, 2, 8, _HIDDEN),
        },
    ),
    "udop": (
        {
            "vocab_size": VOCABULARY,
            "d_model": _HIDDEN,
            "d_kv": 8,
            "d_ff": 64,
            "num_layers": 2,
            "num_decoder_layers": 2,
            "num_heads": _HEADS,
            "image_size": 32,
            "patch_size": 8,
        },
        _page,
    ),
    "seggpt": (
        {
            "hidden_size": _HIDDEN,
            "num_hidden_layers": 2,
            "num_attention_heads": _HEADS,
            "image_size": [64, 32],
            "patch_size": 8,
            "mlp_dim": 64,
            "decoder_hidden_size": 16,
            "intermediate_hidden_state_indices": [0, 1],
            "merge_index": 0,
            "pretrain_image_size": 32,
        },
        lambda generator: {
            name: _noise(generator, 2, 3, 32, 32)
            for name in ("pixel_values", "prompt_pixel_values", "prompt_masks")
        },
    ),
    "depth_pro": (
        {
            "fusion_hidden_size": 16,
            "patch_size": 16,
            "intermediate_hook_ids": [1, 0],
            "intermediate_feature_dims": [8, 8],
            "scaled_images_ratios": [0.5, 1.0],
            "scaled_images_overlap_ratios": [0.0, 0.2],
            "scaled_images_feature_dims": [8, 8],
            "image_model_config": _DINO,
            "patch_model_config": _DINO,
            "fov_model_config": _DINO,
            "use_fov_model": False,
        },
        _images(32),
    ),
}
