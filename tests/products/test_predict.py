"""Published rows to questions; the capture itself is tested where torch is."""

from __future__ import annotations

from pathlib import Path

import pytest

from anychip.errors import InvalidInput, NotModelled

pytest.importorskip("torch")

from anychip.frontends.torch.published import Workload
from anychip.products.predict import Row, newest, question, read_rows, summary

ROW = {
    "chip": "inferentia2", "phase": "inference", "model": "bert-base-cased", "batch": "8.0", "seq_len": "128",
    "metric": "throughput", "value": "2826.9", "extra": "task=Raw Output (AutoModel)", "inflight": "2.0",
    "cores": "2", "price_usd_h_ri": "0.328",
}  # fmt: skip


def test_an_encoder_row_asks_for_one_call() -> None:
    asked = question(ROW)
    assert asked.chip == "inf2"
    assert asked.workload == Workload("bert-base", "forward", 8, 128)
    assert (asked.inflight, asked.cores) == (2.0, 2)


def test_a_batch_split_over_cores() -> None:
    asked = question(ROW | {"chip": "inferentia1", "batch": "128.0", "cores": "16", "inflight": "0.1"})
    assert asked.workload.batch == 8
    assert asked.inflight == 16


def test_language_models_ask_for_shards_and_powers_of_two() -> None:
    extra = "task=Text Generation;input_len=1000;output_len=24;tp=24"
    row = ROW | {"model": "Llama-2-13b", "extra": extra, "batch": "1.0"}
    assert question(row | {"metric": "ttft_p50"}).workload == Workload("llama-2-13b", "prefill", 1, 1024, 24)
    assert question(row | {"metric": "tpot_p50"}).workload == Workload("llama-2-13b", "decode", 1, 1024, 24)


def test_reasons_for_leaving_a_row_out() -> None:
    with pytest.raises(NotModelled, match="cannot build the model"):
        question(ROW | {"model": "YOLO v4"})
    with pytest.raises(NotModelled, match="input and output tokens together"):
        question(ROW | {"metric": "token_throughput_in_plus_out"})


def test_errors_are_on_time_and_newest_counts() -> None:
    old = Row(1, "inf2", "bert", "encoder", 8, 128, 1, "throughput", 100.0, 125.0, "inf/s", "2.9.0")
    new = Row(2, "inf2", "bert", "encoder", 8, 128, 1, "throughput", 125.0, 125.0, "inf/s", "2.26.0")
    assert old.error == pytest.approx(-0.2)
    assert newest([old, new]) == [new]
    assert summary([old, new])["encoder"]["mape"] == 0


def test_a_file_without_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("chip,model\n")
    with pytest.raises(InvalidInput, match=r"columns phase, batch, .* are missing"):
        read_rows(path)


def test_a_small_bert_is_priced_close_to_the_published_row() -> None:
    pytest.importorskip("transformers")
    from anychip.products.predict import predictions

    done, left = predictions([ROW | {"line": "2"}])
    assert not left
    assert abs(done[0].error) < 0.25, (
        "published: AWS Neuron benchmarks, inf2.xlarge, 2,827 inferences a second"
    )
