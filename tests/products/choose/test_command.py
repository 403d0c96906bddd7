"""The command whole: what is printed and written, and that every mistake is one line with a way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from anychip import chips
from anychip.chips.instances import snapshot
from anychip.products.choose.answer import Answer, answered
from anychip.products.choose.asking import choose
from anychip.products.choose.export import as_data, rows_of, sky_estimates
from anychip.products.choose.nearest import nothing_left
from anychip.products.choose.pricing import Work, candidates
from anychip.products.choose.question import Question
from anychip.products.cli import main
from tests.profile.workload import forward_graph, graph

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "choose.schema.json").read_text())
BERT: dict[str, Any] = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
}
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}


def config(folder: Path, data: dict[str, Any]) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps(data))
    return str(path)


def ask(question: Question, *names: str) -> Answer:
    chosen = [chips.by_name(name) for name in names or ("trn1", "t4", "graviton3", "h100")]
    return answered("w", "step", question, candidates([Work.of(graph())], question, chosen, snapshot()))


def test_the_published_schema_describes_the_answer() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for question in (Question(), Question(minimise="time", latency_below_s=1e-6, stored=("fp8", "fp32"))):
        jsonschema.validate(json.loads(json.dumps(as_data(ask(question)))), SCHEMA)
    wrong = as_data(ask(Question()))
    wrong["ranked"][0]["time_s"] = -1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(json.dumps(wrong)), SCHEMA)


def test_a_configuration_is_ranked_in_every_batch_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    target = tmp_path / "answer.json"
    asked = ["--model", config(tmp_path, LLAMA), "--phase", "decode", "--batch", "1,8", "--context", "16"]
    assert main(["choose", *asked, "--chips", "a10g,trn1", "--json", str(target)]) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 100
    data = json.loads(target.read_text())
    jsonschema.validate(data, SCHEMA)
    assert data["unit"] == "token"
    assert {(entry["chip"], entry["batch"], entry["pieces"]) for entry in data["ranked"]} == {
        (chip, batch, batch) for chip in ("a10g", "trn1") for batch in (1, 8)
    }
    for entry in data["ranked"]:
        calls = entry["side_by_side"] * entry["pieces"]
        cost = entry["time_s"]["value"] * entry["hourly_usd"] / 3600 / calls
        assert entry["cost_usd"]["value"] == pytest.approx(cost)
    assert any(sentence.startswith("Batch: the best at each is 1: ") for sentence in data["why"])


def test_context_is_what_the_model_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    path = config(tmp_path, BERT)
    assert main(["choose", "--model", path, "--chips", "t4"]) == 0  # 2048 tokens would not fit
    capsys.readouterr()
    assert main(["choose", "--model", path, "--context", "513"]) == 2
    assert capsys.readouterr().err == (
        f"anychip: {path}: --context 513: BertModel has 512 positions; give --context 512 or less\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--latency-below", "1us"],
            "none of 1 chip can be had: the fastest, g4dn.xlarge (NVIDIA T4, fp16, batch 1), takes {}ms, "
            "--latency-below is 0.001ms; write --latency-below {}ms",
        ),
        (
            ["--budget", "1e-9", "--steps-total", "1000000"],
            "none of 1 chip can be had: the cheapest, g4dn.xlarge (NVIDIA T4, fp16, batch 1), costs {} USD "
            "for 1,000,000 inferences, --budget is 0.00; write --budget {}",
        ),
        (
            ["--numerics", "bf16"],
            "none of 1 chip can be had: t4 computes in no bf16; write --numerics captured, or other chips "
            "than for bf16",
        ),
    ],
)
def test_nothing_left_is_one_line_with_the_nearest_choice(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    target = tmp_path / "answer.json"
    asked = ["choose", "--model", config(tmp_path, BERT), "--chips", "t4", "--json", str(target)]
    assert main([*asked, *options]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert not target.exists()
    assert told.err.count("\n") == 1
    for piece in message.split("{}"):
        assert piece in told.err
    # The nearest choice that the line names is one.
    option = told.err.rpartition("; write ")[2].split()
    if "{}" in message:
        kept = [word for word in options if word not in (option[0], options[options.index(option[0]) + 1])]
        assert main([*asked, *kept, *option]) == 0


def test_what_does_not_fit_and_what_does_not_train_say_so() -> None:
    found = nothing_left(ask(Question(), "inf2"))
    assert found == (
        "w: none of 1 chip can be had: AWS Inferentia2 is made for inference, not for training; the nearest "
        "that trains is trn1: add --chips trn1"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--region", "us-eest-1"], 'unknown region "us-eest-1"; did you mean us-east-1 or us-central1?'),
        (
            ["--region", "us-east-1", "--chips", "gcp"],
            "--region us-east-1: not a region of gcp, which --chips names; write --region us-central1",
        ),
        (["--minimise", "cots"], 'unknown objective "cots"; did you mean cost?'),
        (["--budget", "5"], "--budget 5 USD: a budget for how much work? add --steps-total"),
        (
            ["--requests-per-second", "inf"],
            "--requests-per-second: inf is not a limit; give a number greater than 0",
        ),
        (["--batch", "0"], '--batch "0": whole numbers of at least 1, comma separated, e.g. 1,8,64'),
        (["--count", "x"], '--count "x": whole numbers of at least 1, comma separated, e.g. 1,8,64'),
        (["--context", "0"], "--context 0: give 1 token or more"),
        (["--terms", "sport"], 'unknown price term "sport"; did you mean spot?'),
        (
            ["--check-accuracy"],
            "--check-accuracy: a configuration has no weights and no results; give a script",
        ),
        (
            ["--phase", "train", "--batch", "1,8", "--steps-total", "5"],
            "--steps-total: steps of several batch sizes are not the same work; give one --batch",
        ),
    ],
)
def test_mistakes_are_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["choose", "--model", config(tmp_path, BERT), *options]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"anychip: {message}\n")


def test_a_broken_prices_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prices = tmp_path / "my.csv"
    prices.write_text("instance,usd_per_hour\ntrn1.2xlarge,cheap\n")
    assert main(["choose", "--model", config(tmp_path, BERT), "--prices", str(prices)]) == 2
    assert capsys.readouterr().err == (
        f'anychip: {prices}:2: usd_per_hour is "cheap"; write USD per hour as a number, for example 1.34\n'
    )


def test_compare_fails_above_and_says_what_grew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    data = json.loads(json.dumps(as_data(ask(Question(), "t4"))))
    old.write_text(json.dumps(data))
    assert main(["compare", str(old), str(old)]) == 0
    data["ranked"][0]["time_s"]["value"] *= 1.04
    new.write_text(json.dumps(data))
    assert main(["compare", str(old), str(new)]) == 0
    assert main(["compare", str(old), str(new), "--fail-above", "3%"]) == 1
    assert "(+4.0%)" in capsys.readouterr().out
    data["excluded"], data["ranked"] = [data["ranked"][0] | {"reason": "over 1 ms"}], []
    new.write_text(json.dumps(data))
    assert main(["compare", str(old), str(new)]) == 1
    assert capsys.readouterr().out == "g4dn.xlarge bf16: excluded now: over 1 ms\n".replace(
        "bf16", data["excluded"][0]["numerics"]
    )
    for broken, message in (
        (
            '{"schema": "anychip.choose/1"}',
            "new file: no list of ranked candidates; export it again with --json",
        ),
        (
            '{"schema": "anychip.choose/1", "ranked": [{"chip": "t4"}]}',
            'new file: a candidate without "count"; export it again with --json',
        ),
        (
            '{"schema": "anychip.choose/1", "ranked": []}',
            "compare: the two answers have no candidate in common; nothing can be compared",
        ),
    ):
        new.write_text(broken)
        assert main(["compare", str(old), str(new)]) == 2
        assert capsys.readouterr().err == f"anychip: {message}\n"
    assert main(["compare", str(old), str(old), "--fail-above", "-1%"]) == 2


def test_rows_are_flat_and_the_estimator_runs() -> None:
    answer = ask(Question())
    rows = answer.table()
    assert rows == rows_of(answer)
    assert [row["place"] for row in rows] == [ranked.place for ranked in answer.ranked]
    assert all(not isinstance(value, (dict, list, tuple)) for row in rows for value in row.values())
    made: dict[str, Any] = {}
    exec(sky_estimates(answer, 1000), made)

    class Resources:
        instance_type = "g4dn.xlarge"

    time = next(r.candidate.time_s for r in answer.ranked if r.candidate.instance == "g4dn.xlarge")
    assert time is not None
    assert made["estimate"](Resources()) == pytest.approx(1000 * time.value)


def test_the_library_names_the_nearest_field() -> None:
    with pytest.raises(KeyError, match='unknown field of the question "minimize"; did you mean minimise'):
        choose(forward_graph(), minimize="cost")


def test_reasons_tell_price_batch_and_precision() -> None:
    told = choose(graph(), chips=("trn1", "t4", "h100", "l4")).why
    assert any("is cheapest: one step takes" in sentence for sentence in told)
    assert [s.partition(":")[0] for s in told if s.startswith(("Price", "Batch", "Precision"))] == [
        "Price",
        "Batch",
        "Precision",
    ]


def test_without_any_price_the_answer_says_by_what_it_ranks() -> None:
    told = choose(graph(), chips=("trn2",), terms="spot").why
    assert told[0].startswith("No price of these chips is known, so they are ranked by time: ")
