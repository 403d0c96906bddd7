"""Training steps on many cores: micro-batches, stages, copies, and rows to steps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from anychip.products.validate.kinds import KINDS, reading
from anychip.products.validate.neuron import CALLS, Served
from anychip.products.validate.neuron_calls import Work
from anychip.products.validate.neuron_training import Step, step_seconds
from anychip.products.validate.question import Reading, catalogue_chip

HEADER = "chip,phase,model,batch,seq_len,metric,value,extra,inflight,cores,dtype,sdk_version\n"
EXTRA = "topology=TP=8 DP=32 PP=4;nodes=32;microbatch=1;optimizer=AdamW"


def read(folder: Path, *rows: str) -> Reading:
    path = folder / "neuron.csv"
    path.write_text(HEADER + "".join(row + "\n" for row in rows))
    (kind,) = (kind for kind in KINDS if kind.name == "neuron")
    return reading(path, kind, 20e-6)


def test_a_row_becomes_a_step(tmp_path: Path) -> None:
    row = (
        f"trainium1,training,GPT3-23B pre-training,1024,2048,training_throughput,107,{EXTRA},,1024,BF16,2.18"
    )
    shared = row.replace(EXTRA, "topology=[8xNC(TP)x4(DP)] x 16Nodes(DP);nodes=16;microbatch=1").replace(
        ",1024,BF16", ",512,BF16"
    )
    first, second = read(tmp_path, row, shared).questions
    assert isinstance(first, Served) and isinstance(second, Served)
    assert first.work == Work("gpt3-23b", "gradients", 1, 2048, 8, 12)
    assert first.step == Step(batch=1024, micro_batches=32, stages=4, copies=32)
    assert second.work.layers == 0
    assert second.step == Step(batch=1024, micro_batches=16, stages=1, copies=64)


def test_derived_metrics_and_unstated_inputs_are_left_out(tmp_path: Path) -> None:
    row = "trainium1,training,{},16384,128,{},27,topology=[32xNC(DP)];microbatch=16,,32,BF16,2.15"
    done = read(
        tmp_path,
        row.format("HuggingFace BERT-Large Ph1", "mfu"),
        row.format("HuggingFace Whisper fine-tuning", "training_throughput"),
    )
    assert [each.reason for each in done.excluded] == ["measurement", "workload"]


def test_a_step_is_its_parts() -> None:
    chip = catalogue_chip("trn1")
    work = Work("minilm-l6-h384", "gradients", 4, 128)
    gradients = CALLS.seconds(chip, work)
    whole = CALLS.seconds(chip, dataclasses.replace(work, phase="train"))
    assert 0 < gradients < whole
    one = Step(batch=4, micro_batches=1, stages=1, copies=1)
    assert step_seconds(CALLS, chip, work, one) == pytest.approx(whole)
    eight = dataclasses.replace(one, micro_batches=8)
    assert step_seconds(CALLS, chip, work, eight) == pytest.approx(whole + 7 * gradients)
    staged = dataclasses.replace(eight, stages=4)
    assert step_seconds(CALLS, chip, work, staged) == pytest.approx(whole + 10 * gradients)
    copied = dataclasses.replace(one, copies=2)
    assert step_seconds(CALLS, chip, work, copied) > whole
    divided = dataclasses.replace(copied, divides_optimizer=True)
    saved = step_seconds(CALLS, chip, work, copied) - step_seconds(CALLS, chip, work, divided)
    assert saved == pytest.approx((whole - gradients) / 2)
