"""Tiny configurations: what is nested shrinks too, and token numbers stay inside the vocabulary."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import torch

pytest.importorskip("transformers")
from anychip.frontends.torch.conformance.by_hand import BY_HAND
from anychip.frontends.torch.conformance.inputs import adapted_inputs, candidate_inputs
from anychip.frontends.torch.conformance.results import Report, tensors_of
from anychip.frontends.torch.conformance.shrinking import VOCABULARY, WAYS, Way, shrunk


def _config_class(name: str) -> Any:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return CONFIG_MAPPING[name]


def test_a_nested_configuration_known_only_by_its_default_shrinks() -> None:
    config = shrunk(_config_class("llava"), WAYS[0])
    assert config.text_config.hidden_size == config.vision_config.hidden_size == 32
    assert config.text_config.num_hidden_layers == config.vision_config.num_hidden_layers == 2
    assert 0 <= config.image_token_id < config.text_config.vocab_size == VOCABULARY


def test_dividing_widths_keeps_their_proportions() -> None:
    default = _config_class("deepseek_v3")()
    config = shrunk(type(default), Way(layers=2, factor=8))
    assert config.hidden_size * 8 == default.hidden_size
    assert config.intermediate_size * 8 == default.intermediate_size
    assert config.num_attention_heads == default.num_attention_heads
    assert config.num_hidden_layers == 2
    assert config.eos_token_id < config.vocab_size == VOCABULARY


def test_inputs_of_a_model_with_images_and_text() -> None:
    from transformers import CLIPModel

    config = shrunk(_config_class("clip"), WAYS[0])
    model = CLIPModel(config).eval()
    inputs = next(iter(candidate_inputs(model, config)))
    assert {"input_ids", "pixel_values"} <= inputs.keys()
    with torch.no_grad():
        assert model(**inputs).logits_per_image.shape == (2, 2)


def test_a_model_may_name_several_main_inputs() -> None:
    class TwoInputs(torch.nn.Module):
        main_input_name: ClassVar[list[str]] = ["pixel_values", "task_inputs"]

        def forward(self, pixel_values: Any, task_inputs: Any) -> Any:
            return pixel_values, task_inputs

    inputs = next(iter(candidate_inputs(TwoInputs(), _config_class("clip")())))
    assert inputs.keys() == {"pixel_values", "task_inputs"}


def test_a_stopped_run_says_how_many_it_set_out_to_do() -> None:
    assert '"planned": 605' in Report("transformers", {}, (), 0.0, planned=605).json()


@pytest.mark.parametrize(
    ("reason", "shapes"),
    [
        (
            "mat1 and mat2 shapes cannot be multiplied (24x80 and 320x32)",
            [(2, 12, 320), (2, 16, 320), (16, 320)],
        ),
        ("mat1 and mat2 shapes cannot be multiplied (24x40 and 64x32)", [(2, 12, 128)]),
        (
            "normalized_shape=[32], expected input with shape [*, 32], but got input of size[2, 12, 80]",
            3,
        ),
        ("Given groups=1, expected input[2, 12, 80] to have 7 channels, but got 12 channels instead", 3),
        ("something else", []),
    ],
)
def test_an_input_gets_the_extent_that_an_error_asks_for(reason: str, shapes: Any) -> None:
    given = {"input_features": torch.zeros(2, 12, 80)}
    found = [tuple(each["input_features"].shape) for each in adapted_inputs(given, None, reason)]
    assert found == shapes or len(found) == shapes


def test_images_get_tokens_that_stand_for_them() -> None:
    config = shrunk(_config_class("llava"), WAYS[0])
    words = torch.zeros(2, 12, dtype=torch.int64)
    given = {"input_ids": words, "pixel_values": torch.zeros(2, 3, 32, 32)}
    reason = "ValueError: Image features and image tokens do not match, tokens: 0, features: 32"
    adapted = next(iter(adapted_inputs(given, config, reason)))
    assert (adapted["input_ids"] == config.image_token_id).sum(1).tolist() == [16, 16]


@pytest.mark.slow
def test_one_architecture_in_many_ways(tmp_path: Path) -> None:
    """In a process of its own: PyTorch trains in no fork of a process that has trained on threads."""
    command = "import sys; from anychip.products.cli import main; sys.exit(main(sys.argv[1:]))"
    words = "conformance transformers --variants --only gpt_oss --json".split()
    found = tmp_path / "variants.json"
    subprocess.run([sys.executable, "-c", command, *words, str(found)], check=True, capture_output=True)
    report = json.loads(found.read_text())
    counted = {case["name"] for case in report["cases"] if case["outcome"] != "excluded"}
    assert {"gpt_oss, one key head", "gpt_oss, generate, beams"} <= counted
    assert report["share"] == 1.0, report["cases"]


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_configurations_by_hand_fit_the_installed_library(name: str) -> None:
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    fields, inputs_of = BY_HAND[name]
    config = _config_class(name)(**fields)
    model = cast(Any, MODEL_MAPPING)[type(config)](config).eval()
    with torch.no_grad():
        outputs = model(**inputs_of(torch.Generator().manual_seed(0)))
    assert not any(bool(each.isnan().any()) for each in tensors_of(outputs))
