"""Models from a configuration: every phase is recorded, and bad files are one clear line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anychip.errors import InvalidInput
from anychip.frontends.torch.models import capture_config

pytest.importorskip("transformers")

LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}


def config(folder: Path, data: object) -> str:
    path = folder / "config.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return str(path)


@pytest.mark.parametrize("phase", ["prefill", "decode", "train"])
def test_phases_of_a_language_model(tmp_path: Path, phase: str) -> None:
    graph = capture_config(config(tmp_path, LLAMA), phase=phase, batch=2, context=16)  # type: ignore[arg-type]
    nodes = [node for index in graph.path for node in graph.segments[index].nodes]
    assert not graph.with_values
    products = [node for node in nodes if "mm" in node.operator]
    assert products
    assert {view.format for node in products for view in node.inputs} == {"bf16"}
    assert any(node.place.phase == "optimizer" for node in nodes) == (phase == "train")


def test_an_encoder_does_not_generate(tmp_path: Path) -> None:
    bert = {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    path = config(tmp_path, bert | {"intermediate_size": 64, "architectures": ["BertModel"]})
    assert capture_config(path, context=8).path
    with pytest.raises(InvalidInput, match=r"BertModel does not generate; use --phase forward or train$"):
        capture_config(path, phase="decode", context=8)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"missing.json: cannot be read: No such file or directory; give a Hugging"
    ):
        capture_config(str(tmp_path / "missing.json"))
    with pytest.raises(InvalidInput, match=r"config.json: not JSON: .*; give a Hugging Face config.json$"):
        capture_config(config(tmp_path, "{"))
    with pytest.raises(
        InvalidInput, match=r"model_type is 'lama'; transformers [\d.]+ lacks it; did you mean llama\?$"
    ):
        capture_config(config(tmp_path, {"model_type": "lama"}))
