"""Models recorded on shapes alone: no weights, no download, no memory for them.

One call of a model - a whole forward pass, a prompt into a cache, one token with a full cache, or a training
step - becomes a Graph. `capture_config` starts from a Hugging Face ``config.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from anychip.errors import InvalidInput, MissingTool
from anychip.programs.graph import Graph

Phase = Literal["forward", "prefill", "decode", "train"]
PHASES: tuple[Phase, ...] = ("forward", "prefill", "decode", "train")


def capture_config(
    path: str, *, phase: Phase = "forward", batch: int = 1, context: int = 2048, dtype: str = "bfloat16"
) -> Graph:
    """One call of the model that a configuration describes.

    Args:
        path: a ``config.json``, or a folder with one.
        phase: ``decode`` is one token with a cache of `context` tokens.
        batch: sequences or images.
        context: tokens of the sequence, prompt or cache.
        dtype: of the weights.

    Raises:
        InvalidInput: the file is no configuration, or the model has no such phase.
        MissingTool: `transformers` is not installed.
    """
    import torch

    data = _configuration(path)
    transformers = _transformers(path)
    kind_of_model = data.get("model_type")
    if not isinstance(kind_of_model, str) or kind_of_model not in transformers.CONFIG_MAPPING:
        raise InvalidInput(
            f"{path}: model_type is {kind_of_model!r}; transformers {transformers.__version__} lacks it"
        )
    config = transformers.CONFIG_MAPPING[kind_of_model].from_dict(data)
    chosen = _class_of(transformers, config, phase, path)
    with torch.device("meta"):
        model = chosen(config).to(getattr(torch, dtype))
    decodes = phase in ("prefill", "decode")
    if decodes and not model.can_generate():
        raise InvalidInput(f"{path}: {chosen.__name__} does not generate; use --phase forward or train")
    reads = "image" if model.main_input_name == "pixel_values" else "tokens"
    size = getattr(config, "image_size", 224)
    return recorded(
        on_device(model.train(phase == "train")),
        name=chosen.__name__,
        phase=phase,
        batch=batch,
        tokens=context,
        image_size=(size if isinstance(size, int) else 224) if reads == "image" else None,
    )


def _configuration(path: str) -> dict[str, Any]:
    file = Path(path) / "config.json" if Path(path).is_dir() else Path(path)
    try:
        data = json.loads(file.read_text())
    except OSError as error:
        raise InvalidInput(
            f"{file}: cannot be read: {error.strerror}; give a Hugging Face config.json"
        ) from error
    except ValueError as error:
        raise InvalidInput(f"{file}: not JSON: {error}; give a Hugging Face config.json") from error
    if not isinstance(data, dict):
        raise InvalidInput(f"{file}: a list, not a configuration; give a Hugging Face config.json")
    return data


def _transformers(path: str) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise MissingTool(
            f"{path}: the package transformers is not installed; pip install 'anychip[examples]'"
        ) from error
    transformers.utils.logging.set_verbosity_error()
    return transformers


def _class_of(transformers: Any, config: Any, phase: Phase, path: str) -> Any:
    """The class that the configuration names, or the usual one for the phase."""
    for name in config.architectures or ():
        if hasattr(transformers, name):
            return getattr(transformers, name)
    automatic = transformers.AutoModel if phase == "forward" else transformers.AutoModelForCausalLM
    try:
        return automatic._model_mapping[type(config)]
    except KeyError:
        raise InvalidInput(
            f"{path}: no {phase} model for {type(config).__name__}; name one in `architectures`"
        ) from None


def on_device(model: Any) -> Any:
    """The model with its parameters on the device, outside any recording."""
    from anychip.frontends.torch.capture import Capture

    with Capture(name="weights", with_values=False):
        return model.to("anychip")


def recorded(
    model: Any,
    *,
    name: str,
    phase: Phase,
    batch: int,
    tokens: int,
    image_size: int | None = None,
) -> Graph:
    """The Graph of one call of a model that is on the device.

    Args:
        model: with parameters on shapes alone.
        name: of the workload.
        phase: of the call.
        batch: sequences or images.
        tokens: of the sequence, prompt or cache; ignored for images.
        image_size: pixels of a side, for models that read images.
    """
    import torch

    from anychip.frontends.torch.capture import Capture

    cache = _cache(model, batch, tokens) if phase == "decode" else None
    with Capture(name=name, with_values=False) as capture:
        if phase == "train":
            _trained(model, batch, tokens, image_size)
        else:
            with torch.no_grad():
                _called(model, phase, batch, tokens, image_size, cache)
    return capture.graph()


def _inputs(batch: int, tokens: int, image_size: int | None) -> Any:
    import torch

    if image_size is not None:
        return torch.zeros(batch, 3, image_size, image_size).to("anychip")
    return torch.zeros(batch, tokens, dtype=torch.int64, device="anychip")


def _called(model: Any, phase: Phase, batch: int, tokens: int, image_size: int | None, cache: Any) -> None:
    import torch

    if phase == "decode":
        decoded(model, batch, cache)
        return
    inputs = _inputs(batch, tokens, image_size)
    if phase == "prefill":
        model(inputs, use_cache=True, logits_to_keep=1)
        return
    if image_size is not None:
        inputs = inputs.to(next(model.parameters()).dtype)
    outputs = model(inputs)
    for output in outputs.values() if hasattr(outputs, "values") else outputs:
        if isinstance(output, torch.Tensor):
            output.to("cpu")


def _trained(model: Any, batch: int, tokens: int, image_size: int | None) -> None:
    """One step of AdamW on the mean of whatever the model gives first."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    outputs = model(_inputs(batch, tokens, image_size))
    first = next(iter(outputs.values())) if hasattr(outputs, "values") else outputs[0]
    first.float().mean().backward()
    optimizer.step()


def _cache(model: Any, batch: int, tokens: int) -> Any:
    """A cache of `tokens`, allocated before anything is recorded."""
    import torch
    from transformers import StaticCache

    from anychip.frontends.torch.capture import Capture

    cache = StaticCache(config=model.config, max_cache_len=tokens)
    with Capture(name="cache", with_values=False), torch.no_grad():
        decoded(model, batch, cache)
    return cache


def decoded(model: Any, batch: int, cache: Any) -> None:
    """One token with a cache that is full up to it; nothing is read back."""
    import torch

    token = torch.zeros(batch, 1, dtype=torch.int64, device="anychip")
    positions = torch.zeros(1, dtype=torch.int64, device="anychip")
    model(token, past_key_values=cache, cache_position=positions, use_cache=True)
