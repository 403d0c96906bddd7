"""Published figures of models on Neuron: rows to calls, exchanges between shards, constants found again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from anychip import chips
from anychip.frontends.torch.models import Phase
from anychip.frontends.torch.published import ARCHITECTURES
from anychip.products.validate.kinds import KINDS, reading
from anychip.products.validate.mapping import rules, settled
from anychip.products.validate.neuron import CALLS, Predictor, Served, aging, predict
from anychip.products.validate.neuron_calls import Calls, Work
from anychip.products.validate.neuron_search import LINEAR, Constants, found, with_constants
from anychip.products.validate.question import Reading, catalogue_chip

COLUMNS = (
    "chip", "phase", "model", "batch", "seq_len", "metric", "value", "unit", "extra", "inflight", "cores",
    "sdk_version", "price_usd_h_ri",
)  # fmt: skip
ROW = {
    "chip": "inferentia2", "phase": "inference", "model": "bert-base-cased", "batch": "8.0", "seq_len": "128",
    "metric": "throughput", "value": "2826.9", "unit": "inf/s", "extra": "task=Raw Output (AutoModel)",
    "inflight": "2.0", "cores": "2", "sdk_version": "2.22.0", "price_usd_h_ri": "0.328",
}  # fmt: skip


def read(folder: Path, *rows: dict[str, str]) -> Reading:
    path = folder / "neuron.csv"
    times = [row["unit"] == ROW["unit"] and "throughput" not in row["metric"] for row in rows]
    rows = tuple(row | {"unit": "ms"} if time else row for row, time in zip(rows, times, strict=True))
    lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    (kind,) = (kind for kind in KINDS if kind.name == "neuron")
    return reading(path, kind, 20e-6)


def served(folder: Path, **changed: str) -> Served:
    (asked,) = read(folder, ROW | changed).questions
    assert isinstance(asked, Served)
    return asked


def test_an_encoder_row_asks_for_one_call(tmp_path: Path) -> None:
    asked = served(tmp_path)
    assert (asked.chip, asked.work) == ("inf2", Work("bert-base", "forward", 8, 128))
    assert (asked.inflight, asked.cores, asked.rate) == (2.0, 2, True)
    assert asked.kind == "neuron encoders"
    assert served(tmp_path, metric="latency_p99").kind == "neuron encoders, tails"


def test_one_batch_split_over_all_cores(tmp_path: Path) -> None:
    asked = served(tmp_path, chip="inferentia1", batch="128.0", cores="16", inflight="0.99")
    assert asked.work.batch == 8
    assert asked.inflight == 16


def test_prompts_and_tokens_are_compiled_for_powers_of_two(tmp_path: Path) -> None:
    extra = "task=Text Generation;input_len=1000;output_len=24;tp=24"
    row = {"model": "Llama-2-13b", "extra": extra, "batch": "1.0", "seq_len": "4096"}
    assert served(tmp_path, **row, metric="ttft_p50").work == Work("llama-2-13b", "prefill", 1, 1024, 24)
    assert served(tmp_path, **row, metric="tpot_p50").work == Work("llama-2-13b", "decode", 1, 1024, 24)
    longest = row | {"extra": extra.replace("1000", "9000"), "seq_len": "12800"}
    assert served(tmp_path, **longest, metric="ttft_p50").work.tokens == 12800, "cut at the longest"
    whole = served(tmp_path, **row, metric="output_token_throughput")
    assert whole.prompt == Work("llama-2-13b", "prefill", 1, 1024, 24)


def test_rows_that_ask_nothing_say_why(tmp_path: Path) -> None:
    llama = {"model": "Llama-2-13b"}
    done = read(
        tmp_path,
        ROW | {"model": "OpenPose"},
        ROW | llama | {"metric": "tpot_p50"},
        ROW | llama | {"metric": "latency_per_token_p50"},
        ROW | {"sdk_version": "Data Parallel"},
        ROW | {"chip": "inferentia9"},
        ROW | {"value": "0"},
    )
    reasons = [each.reason for each in done.excluded]
    assert reasons == ["workload", "workload", "workload", "measurement", "chip"]
    assert [str(each) for each in done.broken] == [
        "neuron.csv: line 7, column value: 0 is impossible; it must be > 0"
    ]


def test_a_small_bert_is_predicted_close_to_the_published_row(tmp_path: Path) -> None:
    done, left = predict([served(tmp_path)])
    assert not left
    assert abs(done[0].error) < 0.15, "AWS Neuron benchmarks, inf2.xlarge: 2,827 inferences a second"


def test_waiting_requests_lengthen_latency_and_not_throughput(tmp_path: Path) -> None:
    answers = Predictor()
    few, many = (served(tmp_path, metric="latency_p50", inflight=text) for text in ("2.0", "4.0"))
    assert answers.value(many) == pytest.approx(2 * answers.value(few))
    rates = [answers.value(served(tmp_path, inflight=text)) for text in ("2.0", "4.0")]
    assert rates[0] == pytest.approx(rates[1])


def test_older_compilers_make_slower_programs() -> None:
    chip = catalogue_chip("inf2")
    assert aging(chip, (2, 22, 0)) == aging(chip, (2, 28, 0)) == aging(chip, ()) == 1.0
    assert aging(chip, (2, 12, 0)) == pytest.approx(1 + 10 * chip.policy.release_growth)


def test_the_search_finds_constants_that_made_the_rows() -> None:
    """Rows made with other constants: linear ones are found again, engines to their grid."""
    linear = dict.fromkeys(LINEAR, 0.0) | {"block_s": 12e-6, "call_s": 300e-6, "host_s_per_byte": 6e-10}
    true = Constants(0.9, 0.8, 0.0, linear)
    rows: list[Served] = []
    for name in ("inf2", "trn1"):
        chip = with_constants(catalogue_chip(name), true)
        for architecture in ("minilm-l6-h384", "minilm-l12-h384"):
            for batch in (1, 24):
                work = Work(architecture, "forward", batch, 128)
                rows.append(
                    Served(
                        file="made", line=len(rows), kind="neuron encoders", chip=name, dtype="bf16",
                        subject=architecture, metric="throughput", unit="inf/s", rate=True, work=work,
                        measured=batch / CALLS.seconds(chip, work),
                    )
                )  # fmt: skip
    again = found(rows)
    assert again.release == 0.0
    for row in rows:
        chip = with_constants(catalogue_chip(row.chip), again)
        rate = row.work.batch / CALLS.seconds(chip, row.work)
        assert rate == pytest.approx(row.measured, rel=0.04)


def test_more_shards_of_a_model_hold_less_and_exchange() -> None:
    chip = catalogue_chip("inf2")
    whole = CALLS.seconds(chip, Work("llama-3.2-1b", "decode", 1, 256))
    parts = CALLS.seconds(chip, Work("llama-3.2-1b", "decode", 1, 256, 4))
    exchanges = 2 * 16 * chip.policy.exchange.latency_s if chip.policy.exchange else 0.0
    assert whole / 4 < parts < whole
    assert parts > whole / 4 + 0.9 * exchanges
    without = chip.altered(policy=dataclasses.replace(chip.policy, exchange=None))
    assert CALLS.seconds(without, Work("llama-3.2-1b", "decode", 1, 256, 4)) < parts - 0.9 * exchanges


def test_every_chip_of_the_family_states_its_ring() -> None:
    for name in ("inf1", "inf2", "trn1", "trn2", "trn3"):
        assert chips.by_name(name).facts["chip_ring"].value >= 2


def test_figures_that_contradict_each_other_stand_apart(tmp_path: Path) -> None:
    extra = "task=Text Generation;input_len=4096;output_len=4096;tp=32"
    row = ROW | {"model": "Llama-2-13b", "extra": extra, "batch": "1.0", "seq_len": "8192", "inflight": ""}
    times = [row | {"metric": "ttft_p50", "value": "334"}, row | {"metric": "tpot_p50", "value": "10.2"}]
    for rate, doubted in (("97", False), ("60", True)):
        rows = read(tmp_path, *times, row | {"metric": "output_token_throughput", "value": rate}).questions
        assert [each.kind.endswith(", contradicted") for each in rows] == [doubted] * 3
    other = row | {"metric": "output_token_throughput", "value": "60", "sdk_version": "2.19.0"}
    assert not any("contradicted" in each.kind for each in read(tmp_path, *times, other).questions)


def test_one_long_prompt_is_divided_between_shards(tmp_path: Path) -> None:
    def prompt(batch: str, tokens: str, chip: str = "inferentia2") -> Work:
        extra = f"task=Text Generation;input_len={tokens};output_len=8;tp=24"
        return served(
            tmp_path,
            model="Llama-2-13b",
            extra=extra,
            metric="ttft_p50",
            batch=batch,
            seq_len="16384",
            chip=chip,
        ).work

    assert prompt("1", "4096").divides_sequence
    assert not prompt("1", "2048").divides_sequence
    assert not prompt("4", "4096").divides_sequence
    assert prompt("4", "512", "trainium2").divides_sequence
    assert settled("neuron", ROW | {"framework": "NxD Inference"})["sequence"] == "divided"
    assert "sequence" not in settled("neuron", ROW | {"framework": "Transformers NeuronX"})


@pytest.mark.parametrize("phase", ["prefill", "decode", "gradients", "train"])
def test_a_few_equal_layers_stand_for_all(phase: Phase) -> None:
    chip = catalogue_chip("inf2")
    few, many = Calls(), Calls(few=100)
    work = Work("llama-3.2-1b", phase, 2, 256, 4, 7)
    assert few.seconds(chip, work) == pytest.approx(many.seconds(chip, work), rel=1e-9)
    if phase != "train":
        assert few.recording(chip, work).parameter_bytes == many.recording(chip, work).parameter_bytes


def test_a_pipeline_is_its_calls(tmp_path: Path) -> None:
    row = {"model": "Stable Diffusion 1.5", "batch": "1.0", "seq_len": "", "inflight": "1.0", "cores": "1"}
    asked = served(tmp_path, **row, metric="latency_p50", extra="task=Image Generation;image=512x384")
    assert asked.kind == "neuron diffusion"
    assert (asked.times, asked.work.image, asked.work.architecture) == (50, (384, 512), "sd15-unet")
    assert [(work.architecture, times) for work, times in asked.others] == [
        ("clip-text-large", 1),
        ("sd-decoder", 1),
    ]
    pair = served(tmp_path, **row | {"model": "PixArt Alpha"}, metric="latency_p50", extra="image=256x256")
    assert (pair.work.architecture, pair.work.batch, pair.times) == ("pixart-alpha", 2, 20)
    chip = catalogue_chip("inf2")
    calls = [(asked.work, asked.times), *asked.others]
    whole = sum(times * CALLS.seconds(chip, work) for work, times in calls)
    assert Predictor().value(asked) == pytest.approx(whole * aging(chip, asked.sdk) * 1e3)


def test_tokens_of_prompts_count_where_rows_count_them(tmp_path: Path) -> None:
    extra = "task=Text Generation;input_len=1024;output_len=1024;tp=24"
    row = {"model": "Llama-2-7b", "extra": extra, "batch": "1.0", "seq_len": "2048", "sdk_version": "2.17.0"}
    names = ("latency_per_token_p50", "token_throughput_in_plus_out", "output_token_throughput")
    per_token, both, answers = (Predictor().value(served(tmp_path, **row, metric=name)) for name in names)
    assert both == pytest.approx(1e3 / per_token)
    assert both == pytest.approx(2 * answers)
    newer = served(tmp_path, **row | {"sdk_version": "2.18.0"}, metric="tpot_p50")
    assert not newer.counts_prompt


@pytest.mark.parametrize(
    ("model", "architecture", "kind"),
    [
        ("google/vit-base-patch16-224", "vit-base", "neuron vision"),
        ("openai/clip-vit-large-patch14", "clip-large", "neuron vision"),
        ("CLIP-base", "clip-base", "neuron vision"),
        ("ResNet-50", "resnet50", "neuron vision"),
        ("resnet152", "resnet152", "neuron vision"),
        ("VGG16", "vgg16", "neuron vision"),
        ("roberta-large", "roberta-large", "neuron encoders"),
        ("stabilityai/stable-diffusion-2-1", "sd2-unet", "neuron diffusion"),
        ("stable-diffusion-v1-5", "sd15-unet", "neuron diffusion"),
        ("SDXL Turbo", "sdxl-unet", "neuron diffusion"),
        ("PixArt-Sigma", "pixart-sigma", "neuron diffusion"),
    ],
)
def test_names_as_others_spell_them(tmp_path: Path, model: str, architecture: str, kind: str) -> None:
    asked = served(tmp_path, model=model, extra="image=512x512")
    assert (asked.work.architecture, asked.kind) == (architecture, kind)


def test_figures_that_nothing_can_be_said_of_are_told_apart(tmp_path: Path) -> None:
    text = {"model": "Llama-2-13b", "metric": "ttft_p50", "extra": "input_len=128;output_len=8;tp=8"}
    run = {"model": "Llama-3-8B", "phase": "training", "metric": "training_throughput", "unit": "seq/s"}
    found = read(
        tmp_path,
        ROW | {"chip": "H100"},
        ROW | {"metric": "joules"},
        ROW | {"model": "Stable Diffusion 1.5"},
        ROW | text | {"metric": "cost_per_1M_tokens"},
        ROW | {"metric": "latency_p50", "unit": "minutes"},
        ROW | text | {"extra": "input_len=many"},
        ROW | text | {"extra": "input_len=128;tp=0"},
        ROW | run | {"cores": "32", "extra": "topology=TP=0"},
        ROW | run | {"cores": "32", "extra": "topology=TP=8 PP=8"},
        ROW | text | {"value": "0.025", "unit": "s"},
    )
    assert [(out.reason, out.because) for out in found.excluded] == [
        ("chip", "h100 runs no programs of Neuron"),
        ("workload", "metric joules: neither a time, a rate nor a cost of calls"),
        ("workload", "the size of its images is not stated"),
        ("measurement", "a cost of tokens, derived from the throughput beside it"),
    ]
    assert [f"{each.column}: {each.complaint}" for each in found.broken] == [
        'unit: "minutes" is none of ms, s, us',
        'extra: input_len: "many" is not a number',
        "extra: tp: 0 is impossible; it must be 1 or more",
        "extra: topology: TP is 0; it must be 1 or more",
        "extra: topology: TP 8 and PP 8 take more than the 32 cores",
    ]
    (seconds,) = found.questions
    assert (seconds.measured, seconds.unit) == (25.0, "ms")


@pytest.mark.parametrize(
    ("model", "architecture"),
    [
        ("Llama-3-8B", "llama-3.1-8b"),
        ("meta-llama/Llama-3.3-70B", "llama-3.1-70b"),
        ("CodeLlama-34b", "codellama-34b"),
        ("gpt-neox-6.9b", "gpt-neox-6.9b"),
        ("GPT-J-6B", "gpt-j-6b"),
        ("bloom-7b1", "bloom-7b1"),
        ("google/flan-t5-xxl", "flan-t5-xxl"),
        ("t5-large", "t5-large"),
        ("Qwen2.5-14B", "qwen2-14b"),
    ],
)
def test_names_of_models_that_generate(tmp_path: Path, model: str, architecture: str) -> None:
    extra = "task=Text Generation;input_len=128;output_len=128;tp=8"
    asked = served(tmp_path, model=model, extra=extra, metric="tpot_p50", batch="1.0", seq_len="256")
    assert asked.work.architecture == architecture
    assert asked.work.phase == "decode"


def test_every_architecture_of_a_rule_can_be_built() -> None:
    named = [rule.settings.get("architecture", "") for rule in rules("neuron")]
    calls = [rule.settings.get("calls", "").split() for rule in rules("neuron")]
    whole = {name for name in named if name and "{" not in name}
    whole |= {call.partition(":")[0] for each in calls for call in each if "{" not in call}
    assert whole <= set(ARCHITECTURES)


def test_runs_whose_prompt_the_next_release_states(tmp_path: Path) -> None:
    row = {"model": "opt-13b", "extra": "task=Text Generation;tp=8", "batch": "1.0", "seq_len": "2048"}
    asked = served(tmp_path, **row, sdk_version="2.13.0", metric="latency_p50")
    assert asked.work == Work("opt-13b", "decode", 1, 2048, 8)
    rate = served(tmp_path, **row, sdk_version="2.13.0", metric="token_throughput_in_plus_out")
    assert rate.prompt is not None
    assert (rate.output_tokens, rate.prompt.tokens) == (2039, 16)
    later = read(tmp_path, ROW | row | {"metric": "latency_p50", "sdk_version": "2.15.0"}).excluded
    assert [each.because for each in later] == ["the length of the prompt is not stated"]
