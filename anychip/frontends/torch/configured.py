"""Models of `transformers` by class and fields of their configuration, as Graphs without weights.

For workloads that somebody timed: eager attention, a given format of weights, and a training step without an
optimizer where only the passes were timed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from anychip.errors import InvalidDescription, MissingTool
from anychip.frontends.torch.last_model import kept_last
from anychip.frontends.torch.models import on_device
from anychip.frontends.torch.redirect.compiled import in_region
from anychip.programs.graph import Graph

#: Pixels of an image in each direction, where a configuration leaves it open.
_SIDE = 224


@dataclass(frozen=True, slots=True)
class Configured:
    """One call of a model.

    Args:
        model: class in `transformers`.
        fields: of its configuration that differ from the defaults, as sorted pairs.
        part: ``"inference"`` is a forward pass without gradients, ``"forward"`` one that keeps what gradients
            need, with dropout, and ``"passes"`` that and the backward pass.
        batch: sequences.
        tokens: of a sequence; 0 for models that read images.
        dtype: of weights and activations, by torch's name.
        compiled: whether `torch.compile` fuses the model.
    """

    model: str
    fields: tuple[tuple[str, int | float | str | bool], ...]
    part: Literal["inference", "forward", "passes"]
    batch: int
    tokens: int
    dtype: str = "float32"
    compiled: bool = False


def graph_of(call: Configured) -> Graph:
    """The Graph of a call, recorded on shapes alone.

    Raises:
        InvalidDescription: `transformers` has no such model or field.
        MissingTool: it is not installed.
    """
    import torch

    from anychip.frontends.torch.capture import Capture

    model = _model(call.model, call.fields, call.dtype, call.part != "inference")
    ran = in_region(model.__call__) if call.compiled else model
    given: dict[str, Any] = {}
    with Capture(name=call.model, with_values=False) as capture:
        if model.main_input_name == "pixel_values":
            side = getattr(model.config, "image_size", _SIDE)
            read = torch.zeros(
                call.batch, model.config.num_channels, side, side, dtype=model.dtype, device="anychip"
            )
        else:
            read = torch.zeros(call.batch, call.tokens, dtype=torch.int64, device="anychip")
            # What tokenizers give; without one, releases differ in whether scores are masked.
            given["attention_mask"] = torch.ones_like(read)
        if model.config.is_encoder_decoder:
            given["decoder_input_ids"] = read
        if call.part == "inference":
            with torch.no_grad():
                ran(read, **given)
        else:
            outputs = ran(read, **given)
            if call.part == "passes":
                first = next(iter(outputs.values()))
                first.backward(torch.ones_like(first))
    return capture.graph()


@kept_last
def _model(
    name: str, fields: tuple[tuple[str, int | float | str | bool], ...], dtype: str, training: bool
) -> Any:
    """The model on the device, without values."""
    import torch

    transformers = _transformers(name)
    kind = getattr(transformers, name, None)
    if kind is None:
        raise InvalidDescription(f"model {name}: transformers {transformers.__version__} has no such class")
    config = kind.config_class(**_known(kind, fields), attn_implementation="eager")
    with torch.device("meta"):
        model = kind(config).to(getattr(torch, dtype))
    return on_device(model.train(training))


def _known(kind: Any, fields: tuple[tuple[str, int | float | str | bool], ...]) -> Mapping[str, Any]:
    default = kind.config_class()
    for name, _ in fields:
        if not hasattr(default, name):
            raise InvalidDescription(f"model {kind.__name__}: its configuration has no field {name}")
    # Releases differ in whether one pass copies keys and values into a cache that nobody reads.
    cache = {"use_cache": False} if hasattr(default, "use_cache") else {}
    return cache | dict(fields)


def _transformers(name: str) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise MissingTool(
            f"model {name}: the package transformers is not installed; pip install 'anychip[examples]'"
        ) from error
    transformers.utils.logging.set_verbosity_error()
    return transformers
