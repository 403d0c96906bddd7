"""Models recorded on shapes alone: no weights, no download, no memory for them.

One call of a model - a whole forward pass, a prompt into a cache, one token with a full cache, or a training
step - becomes a Graph. `capture_config` starts from a Hugging Face ``config.json``.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from anychip.errors import AnychipError, InvalidInput, MissingTool
from anychip.frontends.torch.model_inputs import Sizes, inputs_of, sizes_of
from anychip.programs.graph import Graph

#: `gradients` is a training step without its optimizer, as micro-batches before the last one run it.
Phase = Literal["forward", "prefill", "decode", "train", "gradients"]
PHASES: tuple[Phase, ...] = ("forward", "prefill", "decode", "train")


def capture_config(
    path: str,
    *,
    phase: Phase = "forward",
    batch: int = 1,
    context: int | None = None,
    dtype: str = "bfloat16",
) -> Graph:
    """One call of the model that a configuration describes.

    Args:
        path: a ``config.json``, or a folder with one.
        phase: ``decode`` is one token with a cache of `context` tokens.
        batch: sequences, images or sounds.
        context: tokens of the sequence, prompt or cache; None for 2048, or the model's own limit if lower.
        dtype: of the weights.

    Raises:
        InvalidInput: the file is no configuration, or the model has no such phase or so many positions.
        MissingTool: `transformers` is not installed.
    """
    return ConfiguredModel(path, phase=phase, dtype=dtype).graph(batch, context)


class ConfiguredModel:
    """The model of a configuration, built once for calls of several sizes.

    Args:
        path: a ``config.json``, or a folder with one.
        phase: of the calls.
        dtype: of the weights.

    Raises:
        InvalidInput: the file is no configuration, or the model has no such phase.
        MissingTool: `transformers` is not installed.
    """

    def __init__(self, path: str, *, phase: Phase = "forward", dtype: str = "bfloat16") -> None:
        import torch

        self._path = path
        self._phase: Phase = phase
        data = _configuration(path)
        transformers = _transformers(path)
        kind_of_model = data.get("model_type")
        if not isinstance(kind_of_model, str) or kind_of_model not in transformers.CONFIG_MAPPING:
            raise InvalidInput(_unknown_model(path, kind_of_model, transformers))
        try:
            config = transformers.CONFIG_MAPPING[kind_of_model].from_dict(data)
            chosen = _class_of(transformers, config, phase, path)
            with torch.device("meta"):
                model = chosen(config).to(getattr(torch, dtype))
        except InvalidInput:
            raise
        except Exception as error:
            raise InvalidInput(
                f"{path}: no {kind_of_model} model can be built from it: {_first_line(error)}"
            ) from error
        if phase in ("prefill", "decode") and not model.can_generate():
            raise InvalidInput(f"{path}: {chosen.__name__} does not generate; use --phase forward or train")
        self._model = on_device(model.train(phase == "train"))

    def graph(self, batch: int, context: int | None = None) -> Graph:
        """One call, recorded.

        Args:
            batch: sequences, images or sounds.
            context: tokens; None for 2048, or the model's own limit if lower.

        Raises:
            InvalidInput: the model cannot be called so.
        """
        sizes = sizes_of(self._model, batch, context, self._path)
        try:
            return _recorded(self._model, type(self._model).__name__, self._phase, sizes)
        except AnychipError:
            raise
        except Exception as error:
            raise InvalidInput(
                f"{self._path}: {type(self._model).__name__} cannot be called for {self._phase} with "
                f"{sizes.tokens} tokens: {_first_line(error)}; rank a script that calls it instead"
            ) from error


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")


def _unknown_model(path: str, kind: object, transformers: Any) -> str:
    known = list(transformers.CONFIG_MAPPING)
    near = difflib.get_close_matches(kind, known, n=1) if isinstance(kind, str) else []
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"{path}: model_type is {kind!r}; transformers {transformers.__version__} lacks it{meant}"


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
    for automatic in _USUAL[phase]:
        try:
            return getattr(transformers, automatic)._model_mapping[type(config)]
        except KeyError:
            continue
    raise InvalidInput(f"{path}: no {phase} model for {type(config).__name__}; name one in `architectures`")


#: Automatic classes of each phase, the likeliest first.
_GENERATING = ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoModelForSpeechSeq2Seq")
_USUAL: Mapping[Phase, tuple[str, ...]] = {
    "forward": ("AutoModel",),
    "prefill": _GENERATING,
    "decode": _GENERATING,
    "train": (
        "AutoModelForMaskedLM",
        *_GENERATING,
        "AutoModelForImageClassification",
        "AutoModelForAudioClassification",
        "AutoModel",
    ),
}


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
    image_shape: tuple[int, int, int] | None = None,
    decoder_tokens: int = 0,
) -> Graph:
    """The Graph of one call of a model that is on the device.

    Args:
        model: with parameters on shapes alone.
        name: of the workload.
        phase: of the call.
        batch: sequences or images.
        tokens: of the sequence, prompt or cache; ignored for images.
        image_shape: channels, height and width, for models that read images of a size that they do not tell.
        decoder_tokens: that the decoder of an encoder-decoder reads or has written.
    """
    return _recorded(model, name, phase, Sizes(batch, tokens, decoder_tokens), image_shape)


def _recorded(
    model: Any, name: str, phase: Phase, sizes: Sizes, image_shape: tuple[int, int, int] | None = None
) -> Graph:
    """One call, with images beside the tokens where a model does not answer to tokens alone."""
    try:
        return _captured(model, name, phase, sizes, image_shape)
    except Exception:
        takes = inspect.signature(model.forward).parameters
        if image_shape is not None or phase in ("prefill", "decode") or "pixel_values" not in takes:
            raise
        return _captured(model, name, phase, sizes, None, with_images=True)


def _captured(
    model: Any,
    name: str,
    phase: Phase,
    sizes: Sizes,
    image_shape: tuple[int, int, int] | None,
    *,
    with_images: bool = False,
) -> Graph:
    import torch

    from anychip.frontends.torch.capture import Capture

    cached = _cached(model, sizes) if phase == "decode" else None
    with Capture(name=name, with_values=False) as capture:
        if cached is not None:
            with torch.no_grad():
                model(**cached())
        elif image_shape is not None:
            dtype = next((each.dtype for each in model.parameters() if each.is_floating_point()), None)
            images = torch.zeros(sizes.batch, *image_shape, dtype=dtype).to("anychip")
            _played(model, phase, {model.main_input_name: images})
        else:
            _played(model, phase, inputs_of(model, sizes, with_images=with_images))
    return capture.graph()


def _played(model: Any, phase: Phase, inputs: dict[str, Any]) -> None:
    import torch

    if phase in ("train", "gradients"):
        _trained(model, inputs, steps=phase == "train")
        return
    with torch.no_grad():
        _called(model, phase, inputs)


def _called(model: Any, phase: Phase, inputs: Any) -> None:
    import torch

    if phase == "prefill":
        if "decoder_input_ids" in inputs:
            inputs = inputs | {"decoder_input_ids": inputs["decoder_input_ids"][:, :1]}
        elif "logits_to_keep" in inspect.signature(model.forward).parameters:
            inputs = inputs | {"logits_to_keep": 1}
        model(**inputs, use_cache=True)
        return
    outputs = model(**inputs)
    for output in outputs.values() if hasattr(outputs, "values") else outputs:
        if isinstance(output, torch.Tensor):
            output.to("cpu")


def _trained(model: Any, inputs: Any, *, steps: bool) -> None:
    """Gradients of the mean of whatever real numbers the model gives first, and a step of AdamW."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4) if steps else None
    outputs = model(**inputs)
    given = outputs.values() if hasattr(outputs, "values") else outputs
    first = next(each for each in given if isinstance(each, torch.Tensor) and each.requires_grad)
    first.float().mean().backward()
    if optimizer is not None:
        optimizer.step()


def _cached(model: Any, sizes: Sizes) -> Callable[[], dict[str, Any]]:
    """What the call for one more token is given: the token, and a cache that is full up to it.

    The cache is filled before anything is recorded.
    """
    if sizes.decoder_tokens:
        return _encoded(model, sizes)
    import torch
    from transformers import StaticCache

    from anychip.frontends.torch.capture import Capture

    cache = StaticCache(config=model.config, max_cache_len=sizes.tokens)
    takes = inspect.signature(model.forward).parameters

    def arguments() -> dict[str, Any]:
        token = torch.zeros(sizes.batch, 1, dtype=torch.int64, device="anychip")
        given = {"input_ids": token, "past_key_values": cache, "use_cache": True}
        if "cache_position" in takes:
            given["cache_position"] = torch.zeros(1, dtype=torch.int64, device="anychip")
        return given

    with Capture(name="cache", with_values=False), torch.no_grad():
        model(**arguments())
    return arguments


def _encoded(model: Any, sizes: Sizes) -> Callable[[], dict[str, Any]]:
    """The same for an encoder-decoder: its encoder has read the input, its decoder all tokens but one."""
    import torch

    from anychip.frontends.torch.capture import Capture

    written = dataclasses.replace(sizes, decoder_tokens=max(1, sizes.decoder_tokens - 1))
    with Capture(name="cache", with_values=False), torch.no_grad():
        outputs = model(**inputs_of(model, written), use_cache=True)

    def arguments() -> dict[str, Any]:
        return {
            "decoder_input_ids": torch.zeros(sizes.batch, 1, dtype=torch.int64, device="anychip"),
            "encoder_outputs": (outputs.encoder_last_hidden_state,),
            "past_key_values": outputs.past_key_values,
            "use_cache": True,
        }

    return arguments
