"""``anychip conformance transformers --variants``: the architectures most used, each in many ways.

One tiny configuration says little about other sizes, formats and uses of an architecture. Here every one runs
with odd sizes and shared key heads, in training mode with dropout, in half precision, under autocast, with
activation checkpointing, each attention implementation, padded batches and resized embeddings, and generates
tokens in several ways. What plain PyTorch on the CPU does not run is excluded.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import torch

from anychip.frontends.torch.conformance.architectures import prepare
from anychip.frontends.torch.conformance.inputs import candidate_inputs
from anychip.frontends.torch.conformance.results import (
    Case,
    Report,
    error_of,
    one_line,
    run_isolated,
    say,
    taken,
    tensors_of,
    to_device,
    versions,
)
from anychip.frontends.torch.conformance.shrinking import WAYS, Way, shrunk

_TIMEOUT_S = 300.0

#: Model types of transformers, by how they are used.
DECODERS = (
    "llama mistral qwen2 qwen3 qwen3_moe qwen2_moe gemma gemma2 gemma3_text phi phi3 gpt2 gpt_neox gptj opt "
    "bloom falcon mixtral deepseek_v3 olmo2 starcoder2 stablelm granite cohere2 glm4 gpt_oss mamba"
).split()
ENCODERS = "bert roberta distilbert electra deberta-v2 modernbert albert xlm-roberta mpnet".split()
PAIRS = "t5 bart mbart pegasus whisper".split()
OTHERS = "vit clip siglip swin convnext dinov2 wav2vec2 llava qwen2_5_vl".split()

#: Fields that a variant sets where a configuration has them.
_ODD = {
    "vocab_size": 131,
    "intermediate_size": 56,
    "d_ff": 56,
    "encoder_ffn_dim": 56,
    "decoder_ffn_dim": 56,
    "n_inner": 56,
    "hidden_dim": 56,
    "hidden_size": 40,
    "d_model": 40,
    "n_embd": 40,
    "embedding_size": 40,
    "dim": 40,
    "word_embed_proj_dim": 40,
    "head_dim": 8,
    "d_kv": 8,
    "num_attention_heads": 5,
    "n_head": 5,
    "encoder_attention_heads": 5,
    "decoder_attention_heads": 5,
    "num_heads": 5,
    "n_heads": 5,
    "num_key_value_heads": 5,
    "rotary_dim": 4,
}
_FIELDS: dict[str, dict[str, Any]] = {
    "odd sizes": _ODD,
    "grouped keys": {"num_key_value_heads": 2},
    "one key head": {"num_key_value_heads": 1, "multi_query": True},
    "sliding window": {"sliding_window": 4, "use_sliding_window": True, "max_window_layers": 0},
    "tied": {"tie_word_embeddings": True},
    "untied": {"tie_word_embeddings": False},
}
#: (relative, of the largest element) by format of the weights.
_TOLERANCE = {torch.float32: (1e-3, 1e-4), torch.bfloat16: (4e-2, 2e-2), torch.float16: (2e-2, 8e-3)}
_SAMPLING: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "sampled": {"do_sample": True, "top_k": 20, "top_p": 0.9, "temperature": 0.8},
    "beams": {"num_beams": 3, "do_sample": False},
    "static cache": {"do_sample": False, "cache_implementation": "static"},
    "no cache": {"do_sample": False, "use_cache": False},
    "penalties": {"do_sample": False, "repetition_penalty": 1.2, "no_repeat_ngram_size": 2},
}

#: A model and its inputs, used on a device: tensors to compare.
Use = Callable[[Any, dict[str, Any], str], list[torch.Tensor]]


def run(*, limit: int | None = None, jobs: int = 1, only: str | None = None) -> Report:
    """Runs the suite.

    Args:
        limit: so many architectures, taken evenly; None: all.
        jobs: processes at a time.
        only: architectures whose name contains this.

    Raises:
        MissingTool: transformers is not installed.
    """
    prepare()
    names = taken((*DECODERS, *ENCODERS, *PAIRS, *OTHERS), only, limit)
    say(f"transformers --variants: {len(names)} architectures")
    start = time.monotonic()
    cases = sorted(run_isolated(names, _architecture, timeout_s=_TIMEOUT_S, jobs=jobs), key=lambda c: c.name)
    return Report(
        "variants", versions("torch", "transformers"), tuple(cases), time.monotonic() - start, len(names)
    )


def _architecture(name: str) -> list[Case]:
    warnings.simplefilter("ignore")
    return [_judged(f"{name}, {what}", make, use, dtype) for what, make, use, dtype in _variants(name)]


def _variants(name: str) -> Iterator[tuple[str, Callable[[], Any], Use, torch.dtype]]:
    """(what, how to make the model, how to use it, format of its weights)."""
    full = torch.float32

    def plain() -> Any:
        return _model(name, {})

    for what, fields in _FIELDS.items():
        if _has_any(name, fields):
            yield what, lambda fields=fields: _model(name, fields), _step(), full
    for attention in ("eager", "sdpa"):
        yield f"{attention} attention", lambda a=attention: _model(name, {}, attention=a), _step(), full
    yield "training mode", plain, _step(training=True), full
    yield "checkpointing", plain, _step(training=True, checkpointing=True), full
    yield "AdamW, fused lists", plain, _step(optimizer="AdamW"), full
    yield "autocast to bf16", plain, _step(autocast=torch.bfloat16), torch.bfloat16
    yield "bf16 weights", lambda: _model(name, {}).to(torch.bfloat16), _step(), torch.bfloat16
    yield "fp16 weights", lambda: _model(name, {}).to(torch.float16), _step(), torch.float16
    if name not in OTHERS and name != "whisper":
        yield "padding", plain, _step(padded=True), full
        yield "resized embeddings", lambda: _resized(plain()), _step(), full
    if name in DECODERS or name in PAIRS:
        for what, options in _SAMPLING.items():
            yield f"generate, {what}", lambda: _model(name, {}, generates=True), _generate(options), full


@functools.cache
def _way(name: str) -> Way:
    """The first way of shrinking the architecture with which the CPU runs it."""
    for way in WAYS:
        try:
            model = _model(name, {}, way=way).eval()
            with torch.no_grad():
                _first_that_runs(model, lambda m, inputs, device: tensors_of(m(**inputs)), torch.float32)
        except Exception:  # noqa: BLE001  # another way may fit
            continue
        return way
    return WAYS[0]


def _has_any(name: str, fields: dict[str, Any]) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return any(field in vars(shrunk(CONFIG_MAPPING[name], _way(name))) for field in fields)


def _model(
    name: str,
    fields: dict[str, Any],
    attention: str | None = None,
    *,
    generates: bool = False,
    way: Way | None = None,
) -> Any:
    from transformers.models.auto import modeling_auto as auto
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config = shrunk(CONFIG_MAPPING[name], way or _way(name))
    known = vars(config)
    for field, value in fields.items():
        if field in known and not (field == "num_key_value_heads" and known[field] is None):
            setattr(config, field, value)
    if attention is not None:
        config._attn_implementation = attention
    mapping: Any = auto.MODEL_MAPPING
    if name in DECODERS:
        mapping = auto.MODEL_FOR_CAUSAL_LM_MAPPING
    elif generates:
        mapping = auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
        if name == "whisper":
            mapping = auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING
    found = mapping[type(config)]
    torch.manual_seed(0)
    model = (found[0] if isinstance(found, (tuple, list)) else found)(config)
    return model.float()


def _resized(model: Any) -> Any:
    torch.manual_seed(1)
    model.resize_token_embeddings(141, mean_resizing=False)
    return model


def _step(
    *,
    training: bool = False,
    checkpointing: bool = False,
    autocast: torch.dtype | None = None,
    padded: bool = False,
    optimizer: str = "SGD",
) -> Use:
    def use(model: Any, inputs: dict[str, Any], device: str) -> list[torch.Tensor]:
        model.train(training)
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if padded:
            mask = torch.ones(inputs["input_ids"].shape, dtype=torch.int64, device=device)
            mask[1, -3:] = 0
            inputs = {**inputs, "attention_mask": mask}
        steps = getattr(torch.optim, optimizer)(model.parameters(), lr=1e-2)
        torch.manual_seed(0)
        numpy.random.seed(0)  # masks of speech models
        # The CPU's lists of narrow operators are others than an accelerator's: its reference is wide.
        narrow = autocast is not None and device != "cpu"
        context = torch.autocast(device, autocast) if narrow else contextlib.nullcontext()
        with context:
            outputs = [each for each in tensors_of(model(**inputs)) if each.is_floating_point()]
        if autocast is not None:
            outputs = [each.float() for each in outputs]
        torch.stack([each.float().mean() for each in outputs if each.requires_grad]).sum().backward()
        if autocast is not None:
            return [each.detach() for each in outputs]
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        steps.step()
        # After steps whose size does not depend on the gradient's, parameters differ where it is all noise.
        parameters = list(model.parameters()) if optimizer == "SGD" else []
        return [each.detach() for each in (*outputs, *gradients, *parameters)]

    return use


def _generate(options: dict[str, Any]) -> Use:
    def use(model: Any, inputs: dict[str, Any], device: str) -> list[torch.Tensor]:
        model.eval()
        main = model.main_input_name
        if model.config.is_encoder_decoder:
            model.generation_config.decoder_start_token_id = 0
        torch.manual_seed(0)
        tokens = model.generate(inputs[main], max_new_tokens=6, pad_token_id=0, eos_token_id=None, **options)
        return [tokens]

    return use


def _judged(name: str, make: Callable[[], Any], use: Use, dtype: torch.dtype) -> Case:
    try:
        model = make()
        twin = copy.deepcopy(model)
        half = next(model.parameters()).dtype
        inputs, expected = _first_that_runs(model, use, half)
    except Exception as error:  # noqa: BLE001  # plain PyTorch does not run it
        return Case(name, "excluded", one_line(error))
    if not all(bool(torch.isfinite(each).all()) for each in expected):
        return Case(name, "excluded", "a result is not finite")
    try:
        actual = use(twin.to("anychip"), to_device(inputs, "anychip"), "anychip")
    except Exception as error:  # noqa: BLE001  # whatever a model raises
        return Case(name, "fail", one_line(error))
    if len(actual) != len(expected):
        return Case(name, "fail", f"{len(actual)} tensors came out, {len(expected)} on the CPU")
    relative, of_largest = _TOLERANCE[dtype]
    worst = 0.0
    for place, (got, wanted) in enumerate(zip(actual, expected, strict=True)):
        largest = float(wanted.abs().max()) if wanted.numel() else 0.0
        error = error_of(got, wanted, relative=relative, absolute=of_largest * largest + 1e-6)
        if error > 1.0:
            return Case(
                name, "fail", f"tensor {place} differs: {error:.3g} times the tolerance", place, error
            )
        worst = max(worst, error)
    return Case(name, "pass", "", len(expected), worst)


def _first_that_runs(model: Any, use: Use, half: torch.dtype) -> tuple[dict[str, Any], list[torch.Tensor]]:
    last: Exception | None = None
    for inputs in candidate_inputs(model, model.config):
        cast = {k: v.to(half) if v.is_floating_point() else v for k, v in inputs.items()}
        attempt = copy.deepcopy(model)
        try:
            return cast, use(attempt, to_device(cast, "cpu"), "cpu")
        except Exception as error:  # noqa: BLE001  # other inputs may fit
            last = last or error
    raise last or RuntimeError("no inputs are known")
