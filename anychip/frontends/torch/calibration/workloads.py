"""Whole models that are timed on this machine and predicted for it: random weights, sizes for a small
machine.

Every model is built twice from the same code: with values on the host, to be timed, and on the simulated
device on shapes alone, to be captured. Both run the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from anychip.errors import MissingTool, unknown_name
from anychip.frontends.torch.calibration.timing import Timed, interleaved
from anychip.frontends.torch.capture import Capture
from anychip.frontends.torch.models import on_device
from anychip.programs.graph import Graph

Phase = Literal["forward", "train"]
PHASES: tuple[Phase, ...] = ("forward", "train")
FORMATS: tuple[str, ...] = ("fp32", "bf16")
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Model:
    """A configuration of `transformers` and what it reads.

    Args:
        kind: class of the model.
        config: class of its configuration.
        fields: of the configuration that differ from its defaults.
        batch: sequences or images.
        tokens: of a sequence; 0: images of 224 x 224.
    """

    kind: str
    config: str
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    batch: int = 1
    tokens: int = 0


def _bert(hidden: int, layers: int) -> dict[str, Any]:
    return {
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": hidden // 64,
        "intermediate_size": 4 * hidden,
    }  # fmt: skip


_T5 = {"use_cache": False, "decoder_start_token_id": 0, "num_layers": 4}

#: The ten models of the check, chosen to differ in what takes their time.
MODELS: dict[str, Model] = {
    "bert": Model("BertForSequenceClassification", "BertConfig", _bert(768, 4), batch=2, tokens=128),
    "roberta": Model("RobertaForMaskedLM", "RobertaConfig", _bert(512, 4), batch=4, tokens=64),
    "distilbert": Model(
        "DistilBertForSequenceClassification", "DistilBertConfig", {"n_layers": 3}, batch=1, tokens=384
    ),
    "gpt2": Model("GPT2LMHeadModel", "GPT2Config", {"n_layer": 4, "use_cache": False}, batch=1, tokens=256),
    "opt": Model(
        "OPTForCausalLM",
        "OPTConfig",
        {
            "hidden_size": 512, "ffn_dim": 2048, "num_hidden_layers": 6, "num_attention_heads": 8,
            "word_embed_proj_dim": 512, "vocab_size": 16384, "use_cache": False,
        },
        batch=2,
        tokens=128,
    ),
    "t5": Model("T5ForConditionalGeneration", "T5Config", _T5, batch=2, tokens=64),
    "vit": Model(
        "ViTForImageClassification",
        "ViTConfig",
        {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536},
        batch=2,
    ),
    "resnet": Model(
        "ResNetForImageClassification",
        "ResNetConfig",
        {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2]},
        batch=4,
    ),
    "llama": Model(
        "LlamaForCausalLM",
        "LlamaConfig",
        {
            "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8, "num_attention_heads": 8,
            "num_key_value_heads": 4, "use_cache": False,
        },
        batch=1,
        tokens=256,
    ),
    "qwen2": Model(
        "Qwen2ForCausalLM",
        "Qwen2Config",
        {
            "hidden_size": 896, "intermediate_size": 2432, "num_hidden_layers": 4, "num_attention_heads": 14,
            "num_key_value_heads": 2, "vocab_size": 32000, "use_cache": False,
        },
        batch=1,
        tokens=128,
    ),
}  # fmt: skip


def built(name: str, format_name: str, phase: Phase) -> Any:
    """A model with values on the host.

    Args:
        name: one of `MODELS`.
        format_name: of its weights and activations, one of `FORMATS`.
        phase: decides between evaluation and training mode.

    Raises:
        UnknownName: no such model.
        MissingTool: `transformers` is not installed.
    """
    torch.manual_seed(0)
    return _model(name).to(_DTYPES[format_name]).train(phase == "train")


def _model(name: str) -> Any:
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    try:
        import transformers
    except ImportError as error:
        raise MissingTool(
            f"model {name}: the package transformers is not installed; pip install 'anychip[examples]'"
        ) from error
    transformers.utils.logging.set_verbosity_error()
    model = MODELS[name]
    return getattr(transformers, model.kind)(getattr(transformers, model.config)(**model.fields))


def inputs_of(name: str, format_name: str, phase: Phase, device: str) -> dict[str, Any]:
    """What the model is called with; labels where it is trained.

    Args:
        name: one of `MODELS`.
        format_name: of images.
        phase: of the call.
        device: where they go.
    """
    model = MODELS[name]
    if model.tokens:
        tokens = torch.arange(model.batch * model.tokens).reshape(model.batch, model.tokens) % 1000
        inputs = {"input_ids": tokens}
        labels = tokens
        if model.kind.startswith("T5"):
            inputs["decoder_input_ids"] = tokens
    else:
        inputs = {"pixel_values": torch.linspace(-1, 1, 3 * 224 * 224).expand(model.batch, -1)}
        inputs["pixel_values"] = inputs["pixel_values"].reshape(model.batch, 3, 224, 224)
        inputs["pixel_values"] = inputs["pixel_values"].to(_DTYPES[format_name])
        labels = tokens = torch.zeros(model.batch, 1)
    if phase == "train":
        classifies = model.kind.endswith("Classification")
        inputs["labels"] = torch.zeros(model.batch, dtype=torch.int64) if classifies else labels
        if model.kind.startswith("T5"):
            inputs.pop("decoder_input_ids")
    return {key: value.to(device) for key, value in inputs.items()}


def call_of(model: Any, inputs: Mapping[str, Any], phase: Phase) -> Callable[[], None]:
    """One forward pass, or one training step with AdamW as PyTorch makes it by default."""
    if phase == "forward":

        def forward() -> None:
            with torch.no_grad():
                model(**inputs)

        return forward
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        model(**inputs).loss.backward()
        optimizer.step()

    return step


def timed_model(
    name: str,
    *,
    cases: Sequence[tuple[Phase, str]],
    clock: Callable[[], float],
    seconds: float,
) -> dict[tuple[Phase, str], Timed]:
    """Times one model in several ways, in turns.

    Args:
        name: one of `MODELS`.
        cases: phase and format of each way.
        clock: seconds.
        seconds: how long to go on, once every way had its least number of repetitions.
    """
    calls: dict[str, Callable[[], None]] = {}
    for phase, format_name in cases:
        model = built(name, format_name, phase)
        call = calls[f"{phase} {format_name}"] = call_of(
            model, inputs_of(name, format_name, phase, "cpu"), phase
        )
        call()
    timed = interleaved(calls, clock=clock, seconds=seconds)
    return {(phase, format_name): timed[f"{phase} {format_name}"] for phase, format_name in cases}


def graph_of(name: str, format_name: str, phase: Phase) -> Graph:
    """The same call captured on shapes alone.

    A training step is the second one: the first also makes the optimizer's state.
    """
    with torch.device("meta"):
        model = _model(name).to(_DTYPES[format_name]).train(phase == "train")
    model = on_device(model)
    with Capture(name="inputs", with_values=False):
        inputs = inputs_of(name, format_name, phase, "anychip")
        call = call_of(model, inputs, phase)
        if phase == "train":
            call()
    with Capture(name=f"{name} {phase} {format_name}", with_values=False) as capture:
        call()
    return capture.graph()
