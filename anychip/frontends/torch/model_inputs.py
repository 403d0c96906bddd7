"""What one call of a model is given: tokens, images, sounds, by what its forward function takes.

Shapes alone matter; every element is 0. Read `inputs_of`.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from anychip.errors import InvalidInput

#: Tokens of context where neither the user nor the model says another number.
DEFAULT_TOKENS = 2048
#: Ten seconds of sound at 16 kHz, for models that read waves.
_DEFAULT_SAMPLES = 160_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much one call works on.

    Args:
        batch: sequences, images or sounds.
        tokens: of every sequence, prompt or cache; samples of a wave.
        decoder_tokens: that the decoder of an encoder-decoder reads or has written; 0 where there is none.
    """

    batch: int
    tokens: int
    decoder_tokens: int = 0


def sizes_of(model: Any, batch: int, context: int | None, where: str) -> Sizes:
    """The sizes of a call, what was not asked for taken from the model.

    Args:
        model: of transformers.
        batch: sequences, images or sounds.
        context: tokens; None for 2048, or as many as the model has positions for.
        where: the file, for complaints.

    Raises:
        InvalidInput: more tokens than the model has positions for.
    """
    config = model.config
    if _main_input(model) == "input_values" and not _reads_spectrograms(config):
        return Sizes(batch, context or _DEFAULT_SAMPLES)
    limit = positions_of(model)
    if context is not None and limit is not None and context > limit:
        raise InvalidInput(
            f"{where}: --context {context}: {type(model).__name__} has {limit} positions; "
            f"give --context {limit} or less"
        )
    tokens = context or min(DEFAULT_TOKENS, limit or DEFAULT_TOKENS)
    decodes = bool(getattr(config, "is_encoder_decoder", False))
    return Sizes(batch, tokens, tokens if decodes else 0)


def positions_of(model: Any) -> int | None:
    """The longest sequence that the model has positions for; None where positions are relative to each other.

    Position tables that set entries aside for padding, as RoBERTa's do, hold so many fewer.
    """
    config = model.config
    named = _first_of(config, "max_target_positions", "max_position_embeddings")
    if named is None:
        return None
    reserved = 0
    for name, module in model.named_modules():
        if name.endswith(("position_embeddings", "embed_positions", "wpe")):
            padding = getattr(module, "padding_idx", None)
            if padding is not None and getattr(module, "num_embeddings", 0) == named:
                reserved = padding + 1
    return named - reserved


def inputs_of(model: Any, sizes: Sizes, *, with_images: bool = False) -> dict[str, Any]:
    """Keyword arguments of one call, on the device.

    Args:
        model: of transformers, on the device.
        sizes: of the call.
        with_images: give images beside the tokens to a model that takes both.
    """
    import torch

    config = model.config
    main = _main_input(model)
    taken = inspect.signature(model.forward).parameters
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)

    def noise(*shape: int) -> Any:
        return torch.zeros(*shape).to("anychip").to(dtype)

    def words(count: int) -> Any:
        return torch.zeros(sizes.batch, count, dtype=torch.int64, device="anychip")

    if main == "pixel_values":
        inputs = {main: noise(sizes.batch, *_image_shape(config))}
    elif main == "input_features":
        inputs = {main: noise(sizes.batch, *_spectrogram_shape(config, sizes.tokens))}
    elif main == "input_values" and _reads_spectrograms(config):
        inputs = {main: noise(sizes.batch, config.max_length, config.num_mel_bins)}
    elif main == "input_values":
        inputs = {main: noise(sizes.batch, sizes.tokens)}
    else:
        inputs = {main if main in taken else "input_ids": words(sizes.tokens)}
        if with_images and "pixel_values" in taken:
            inputs["pixel_values"] = noise(sizes.batch, *_image_shape(config))
    if sizes.decoder_tokens and "decoder_input_ids" in taken:
        inputs["decoder_input_ids"] = words(sizes.decoder_tokens)
    return inputs


def _main_input(model: Any) -> str:
    main = getattr(model, "main_input_name", "input_ids")
    return main[0] if isinstance(main, (list, tuple)) else main


def _first_of(config: Any, *names: str) -> int | None:
    """The first of some fields that a configuration, or its part for text, has."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    for name in names:
        for each in (text, config):
            value = getattr(each, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return None


def _reads_spectrograms(config: Any) -> bool:
    return all(isinstance(getattr(config, name, None), int) for name in ("max_length", "num_mel_bins"))


def _image_shape(config: Any) -> tuple[int, ...]:
    """(channels, height, width) of an image, with the frames before them for models of videos."""
    seen = getattr(config, "vision_config", None) or config
    size: Any = getattr(seen, "image_size", None) or getattr(seen, "input_size", None) or 224
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    channels = getattr(seen, "num_channels", None) or getattr(seen, "in_chans", None) or 3
    frames = getattr(seen, "num_frames", None)
    return (*((frames,) if isinstance(frames, int) else ()), channels, height, width)


def _spectrogram_shape(config: Any, tokens: int) -> tuple[int, int]:
    """Bands first and twice as many frames as encoder positions (Whisper), or frames first."""
    bands = getattr(config, "num_mel_bins", None) or getattr(config, "input_feat_per_channel", None) or 80
    positions = getattr(config, "max_source_positions", None)
    if getattr(config, "num_mel_bins", None) and positions:
        return bands, 2 * positions
    return tokens, bands
