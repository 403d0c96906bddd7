"""Kernels written by hand for Neuron: rows to operators, what is left out, and how near attention comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from anychip.products.validate.kernels import Kernel, predict
from anychip.products.validate.kinds import files_of, reading
from anychip.products.validate.question import Reading

HEADER = "chip,kernel,shape,dtype,metric,value,unit,kind\n"
CHIP = "trn1/inf2 (NeuronCore-v2)"


def read(folder: Path, *rows: str) -> Reading:
    path = folder / "kernels.csv"
    path.write_text(HEADER + "".join(row + "\n" for row in rows))
    ((_, kind),) = files_of(path)[0]
    assert kind.name == "kernels"
    return reading(path, kind, 1e-6)


def test_rows_become_operators(tmp_path: Path) -> None:
    done = read(
        tmp_path,
        f"{CHIP},SD_attention_small_head,bs1 seq4096 d64,fp16,latency_p50_max,520,us,bound",
        f"{CHIP},rmsnorm_qkv,batch1 seq128 dim512 head256,bf16,latency_p50_max,25,us,bound",
        f"{CHIP},resize_nearest,1x30x20x1280 -> 59x38,bf16,latency_p99_max,0.659,ms,bound",
    )
    assert not done.excluded and not done.broken
    first, second, third = done.questions
    assert isinstance(first, Kernel) and isinstance(second, Kernel) and isinstance(third, Kernel)
    assert (first.call, dict(first.extents)) == ("attention", {"tokens": 4096, "width": 64})
    assert (first.chip, first.measured) == ("trn1", pytest.approx(520e-6))
    assert dict(second.extents) == {"tokens": 128, "width": 512, "heads": 256}
    assert third.measured == pytest.approx(659e-6)
    assert dict(third.extents)["new_height"] == 59


def test_rows_that_stand_for_no_operator_say_why(tmp_path: Path) -> None:
    done = read(
        tmp_path,
        f"{CHIP},fused_mamba NKI v1,batch1 seq512,fp32,device_latency,172.93,us,measured",
        "trn1,trnfft Stockham r4,N=64,bf16/fp32,latency_p50_end_to_end,4322,us,measured",
        "trn2 (NeuronCore-v3),tutorial,see tutorial,bf16,tensor_active_pct (final),99.5,%,measured",
        "trn2,double_row_matmul,M512 K16384 N1024,fp8,latency_p99_max,320,us,bound",
        "trn2,topk,n8,fp32,latency_p99_max,320,us,bound",
        f"{CHIP},SD_attention_small_head,bs1 seq4096 d64,fp12,latency_p50_max,520,us,bound",
    )
    reasons = [each.reason for each in done.excluded]
    assert reasons == ["software", "measurement", "measurement", "chip", "workload"]
    assert [str(each) for each in done.broken] == [
        'kernels.csv: line 7, column dtype: "fp12" is none of fp32, bf16, fp16'
    ]


def test_long_attention_is_predicted_close_to_what_tests_of_kernels_assert(tmp_path: Path) -> None:
    """AWS nki-samples: at most 350 (allocated by hand) and 480 us for 4,096 tokens, 586 for 5,120."""
    rows = [
        f"{CHIP},SD_attention_small_head,bs1 seq{tokens} d128,bf16,latency_p50_max,{bound},us,bound"
        for tokens, bound in ((4096, 415), (5120, 586))
    ]
    done, left = predict(read(tmp_path, *rows).questions)
    assert not left
    assert all(abs(each.error) < 0.25 for each in done)
