"""Whole models replayed by rules, constants listed, and the search that finds constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anychip import chips
from anychip.products.validate import main
from anychip.products.validate.constants import constants, markdown
from anychip.products.validate.held_out import FAMILIES
from anychip.products.validate.kinds import files_of, reading
from anychip.products.validate.mapping import rules
from anychip.products.validate.models import Timed
from anychip.products.validate.question import Reading
from anychip.products.validate.search import Bounds, least

HEADER = "chip,n_chips,phase,model,batch,seq_len,dtype,metric,value,unit,config,framework,source\n"


def read(folder: Path, *rows: str) -> Reading:
    path = folder / "gpu_models.csv"
    path.write_text(HEADER + "".join(row + "\n" for row in rows))
    ((file, kind),) = files_of(path)[0]
    return reading(file, kind, 20e-6)


def test_rows_of_models_become_calls_or_reasons(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "V100-PCIE-32GB,1,forward(prefill),BERT-Large,8,512,fp32,e2e_latency,257.4,ms,eager,pytorch,NeuSight",
        "V100-PCIE-32GB,1,train_step(fw+bw),GPT3-XL(1.3B),2,2048,fp32,bwall_latency,9,s,eager,pytorch,NeuSight",
        "A100-PCIE-40GB,1,forward(prefill),GPT2-Large,4,1024,fp32,e2e_latency,477,ms,fusion,pytorch,NeuSight",
        "A100-SXM4-40GB,4,train_step(fw+bw),GPT2-Large,4,1024,fp32,e2e_latency,452,ms,dp4,pytorch,NeuSight",
        "MI210,1,train_step(fw+bw),GPT2-Large,4,1024,fp32,fw_latency,1115,ms,eager,pytorch,NeuSight",
        "V100-PCIE-32GB,1,forward(prefill),Unheard-7B,4,1024,fp32,e2e_latency,45,ms,eager,pytorch,x",
        "A10,1,inference,bert-99,,mlperf data,,Offline_throughput,1088.0,samples/s,MLPerf,TensorRT,mlcommons",
        "V100-PCIE-32GB,1,forward(prefill),BERT-Large,x,512,fp32,e2e_latency,257.4,ms,eager,pytorch,NeuSight",
    )
    first, backward, compiled = found.questions
    assert isinstance(first, Timed) and isinstance(backward, Timed) and isinstance(compiled, Timed)
    assert (first.kind, first.plus.model, first.plus.part) == ("model forward", "BertModel", "inference")
    assert dict(first.plus.fields)["num_hidden_layers"] == 24
    assert backward.minus is not None
    assert (backward.plus.part, backward.minus.part, backward.measured) == ("passes", "forward", 9.0)
    assert dict(backward.plus.fields)["n_embd"] == 3072
    assert compiled.plus.compiled and not first.plus.compiled
    assert [(out.line, out.reason) for out in found.excluded] == [
        (5, "scale"), (6, "measurement"), (7, "workload"), (8, "scale"),
    ]  # fmt: skip
    assert [str(each) for each in found.broken] == [
        'gpu_models.csv: line 9, column batch: "x" is not a number'
    ]


def test_names_of_models_as_others_spell_them(tmp_path: Path) -> None:
    named = {
        "facebook/opt-6.7b": ("OPTForCausalLM", "hidden_size", 4096),
        "OPT-350M": ("OPTForCausalLM", "do_layer_norm_before", False),
        "EleutherAI/gpt-j-6B": ("GPTJForCausalLM", "", None),
        "openai/gpt2_medium": ("GPT2LMHeadModel", "n_embd", 1024),
        "bert-base-uncased": ("BertModel", "", None),
        "distilbert-base-uncased": ("DistilBertModel", "", None),
        "meta-llama/Llama-3.1-8B": ("LlamaForCausalLM", "num_key_value_heads", 8),
        "Qwen2.5-7B-Instruct": ("Qwen2ForCausalLM", "vocab_size", 152064),
        "t5-large": ("T5ForConditionalGeneration", "d_ff", 4096),
        "flan-t5-xl": ("T5ForConditionalGeneration", "feed_forward_proj", "gated-gelu"),
    }
    rest = "e2e_latency,257.4,ms,eager,pytorch,x"
    rows = [f"H100,1,forward(prefill),{name},8,512,FP16,{rest}" for name in named]
    found = read(tmp_path, *rows, f"L4,1,forward(prefill),ViT-L/16,8,,float32,{rest}")
    assert not found.excluded and not found.broken
    *texts, image = [each for each in found.questions if isinstance(each, Timed)]
    for each, (model, field, value) in zip(texts, named.values(), strict=True):
        assert (each.plus.model, each.plus.dtype, each.dtype) == (model, "float16", "fp16")
        assert not field or dict(each.plus.fields)[field] == value
    assert (image.plus.model, image.plus.tokens) == ("ViTForImageClassification", 0)
    assert image.subject == "ViT-L/16 8 images"


def test_rows_that_ask_for_something_else_say_so(tmp_path: Path) -> None:
    rest = "8,512,fp32,e2e_latency,257.4,ms,eager,pytorch,x"
    found = read(
        tmp_path,
        f"H100,4,forward(prefill),BERT-Large,{rest}",
        f"H100,1,forward(prefill),Mixtral-8x7B,{rest}",
        f"H100,1,forward(prefill),Switch-Base-8,{rest}",
        f"H100,1,forward(prefill),BERT-Large,{rest.replace('fp32', 'mixed(fp16)')}",
    )
    assert [(out.kind, out.reason) for out in found.excluded] == [
        ("model over several chips", "scale"), ("mixtures of experts", "software"),
        ("experts of unstated widths", "workload"), ("model forward", "software"),
    ]  # fmt: skip


def test_every_model_of_a_rule_can_be_configured() -> None:
    transformers = pytest.importorskip("transformers")
    for rule in rules("models"):
        if "model" in rule.settings:
            config = getattr(transformers, rule.settings["model"]).config_class()
            for field in rule.settings.get("fields", "").split():
                name, _, value = field.partition("=")
                assert value and hasattr(config, name), f"{rule.settings['model']}: {field}"


def test_images_are_read_and_what_a_model_refuses_is_told(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    rest = "e2e_latency,3,ms,eager,pytorch,x"
    rows = [f"H100,1,forward(prefill),resnet50,{images},,fp32,{rest}" for images in (1, 8)] + [
        f"H100,1,forward(prefill),bert-base-uncased,1,1024,fp32,{rest}"
    ]
    found = read(tmp_path, *rows)
    ((_, kind),) = files_of(tmp_path)[0]
    (one, eight), (long,) = kind.predict(found.questions, chips.by_name)
    assert 0 < one.predicted < eight.predicted < 8 * one.predicted
    assert long.reason == "software" and "1024" in long.because and "\n" not in long.because


@pytest.mark.slow
def test_a_model_is_captured_lowered_and_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    rows = [
        f"V100-PCIE-32GB,1,{phase},BERT-Base,{batch},64,fp32,{metric},10,ms,{config},pytorch,x\n"
        for phase, metric, config in (
            ("forward(prefill)", "e2e_latency", "eager"),
            ("forward(prefill)", "e2e_latency", "fusion"),
            ("train_step(fw+bw)", "e2e_latency", "eager"),
            ("train_step(fw+bw)", "bwall_latency", "eager"),
        )
        for batch in (4, 32)
    ]
    path = tmp_path / "models.csv"
    path.write_text(HEADER + "".join(rows))
    ((file, kind),) = files_of(path)[0]
    done, out = kind.predict(reading(file, kind, 0.0).questions, chips.by_name)
    assert not out
    by_line = {row.line: row.predicted for row in done}
    eager, larger, fused, _, step, _, back, _ = (by_line[line] for line in range(2, 10))
    assert eager < larger
    assert fused < eager < back < step
    assert main(["--data", str(path)]) == 0
    assert "by model" in capsys.readouterr().out


def test_search_finds_constants_and_leaves_those_that_no_row_decides() -> None:
    x = np.linspace(1.0, 3.0, 40)
    noise = np.where(np.arange(40) % 9 == 0, 3.0, 0.0)

    def errors(values: object) -> np.ndarray:
        assert isinstance(values, dict)
        return np.log(values["a"] * x ** values["b"] / (2.0 * x**0.5)) + noise

    bounds = {"a": Bounds(1.0, 0.1, 10.0), "b": Bounds(1.0, 0.1, 2.0), "idle": Bounds(7.0, 1.0, 9.0)}
    found = least(errors, bounds, np.full(40, 1 / 40), 0.0)  # type: ignore
    assert found["a"] == pytest.approx(2.0, rel=0.05)
    assert found["b"] == pytest.approx(0.5, rel=0.1)
    assert found["idle"] == pytest.approx(7.0)


def test_search_begins_in_the_better_valley() -> None:
    def errors(values: object) -> np.ndarray:
        assert isinstance(values, dict)
        # Another kernel is taken above 1, without any slope that leads there.
        return np.full(8, abs(np.log(values["a"] / 5.0)) if values["a"] > 1 else 0.3 + 0.1 * values["a"])

    weights = np.full(8, 1 / 8)
    alone = least(errors, {"a": Bounds(0.5, 0.01, 10.0)}, weights, 0.0)  # type: ignore
    found = least(errors, {"a": Bounds(0.5, 0.01, 10.0, other=4.5)}, weights, 0.0)  # type: ignore
    assert alone["a"] < 1
    assert found["a"] == pytest.approx(5.0, rel=0.05)


def test_families_fit_few_constants_and_start_from_none_of_them() -> None:
    for family in FAMILIES:
        assert len(family.constants) <= 15
        for each in family.constants:
            assert each.bounds.low <= each.bounds.start <= each.bounds.high
            assert each.bounds.low <= (each.bounds.other or each.bounds.start) <= each.bounds.high
            assert each.fact.value not in (each.bounds.start, each.bounds.other)
            assert each.fact.source.kind == "fitted"


@pytest.mark.parametrize(
    ("name", "family"), [("a100-80", 0), ("t4", 1), ("mi210", 2), ("l4", 3), ("mi250", 4)]
)
def test_a_chip_with_the_catalogues_constants_is_itself(name: str, family: int) -> None:
    chip = chips.by_name(name)
    same = FAMILIES[family].altered(
        chip, {each.place: each.fact.value for each in FAMILIES[family].constants}
    )
    assert same.text == chip.text
    other = {each.place: 0.9 * each.fact.value for each in FAMILIES[family].constants}
    assert FAMILIES[family].altered(chip, other).text != chip.text


def test_constants_are_listed_with_meaning_and_rows() -> None:
    listed = constants([chips.by_name("a100-80"), chips.by_name("t4")])
    by_place = {each.place: each for each in listed}
    assert "fma.operand_cost" not in by_place  # it follows from published products
    cost = by_place["tensor.operand_cost"]
    assert cost.chips == ("a100-80", "t4")
    assert cost.meaning.startswith("multiply-adds for which fetching one operand element")
    assert "gpu_ops.csv" in cost.fact.source.where
    assert all(each.meaning for each in constants([*map(chips.by_name, ("a100-80", "trn1", "gaudi3"))]))
    assert sum(line.startswith("| `") for line in markdown(listed)) == len(listed)


def test_constants_that_rows_hardly_decide_stay_near_their_neutral_values() -> None:
    made = np.linspace(1.0, 2.0, 40)

    def errors(values: object) -> np.ndarray:
        assert isinstance(values, dict)
        # `a` decides all rows; `b` saves less than a hundredth of an error.
        return made * values["a"] / (made * 3.0) - 1 + 0.003 * np.log(values["b"] / 9.0)

    bounds = {"a": Bounds(1.0, 0.1, 10.0), "b": Bounds(1.0, 0.1, 10.0)}
    weights = np.full(40, 1 / 40)
    held = least(errors, bounds, weights, 0.05)  # type: ignore
    assert held["a"] == pytest.approx(3.0, rel=0.05)
    assert held["b"] == pytest.approx(1.0, rel=0.05)
