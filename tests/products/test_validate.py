"""Replaying measurements: rows to workloads by rules, what is left out and why, and bad files."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable
from math import exp, log
from pathlib import Path
from statistics import fmean

import pytest

from anychip.chips import Chip
from anychip.errors import AnychipError, InvalidDescription, InvalidInput, NotModelled
from anychip.products.validate import held_out, main
from anychip.products.validate.flow import validated
from anychip.products.validate.held_out import FAMILIES, searched
from anychip.products.validate.intervals import intervals
from anychip.products.validate.kinds import KINDS, files_of, reading
from anychip.products.validate.mapping import rules, settled
from anychip.products.validate.operators import Call, nodes_of, predict
from anychip.products.validate.question import REASONS, Measured, Out, Reading, catalogue_chip
from anychip.products.validate.ranking import rankings

HEADER = "chip,op,batch,m,n,k,dtype,measured_ms,split,framework,method,source\n"


def file_of(folder: Path, *rows: str, name: str = "gpu_ops.csv", header: str = HEADER) -> Path:
    path = folder / name
    path.write_text(header + "".join(row + "\n" for row in rows))
    return path


def read(path: Path, shortest_s: float = 20e-6) -> Reading:
    ((file, kind),) = files_of(path)[0]
    return reading(file, kind, shortest_s)


def answers(path: Path, chip_of: Callable[[str], Chip] = catalogue_chip) -> list[Measured]:
    ((file, kind),) = files_of(path)[0]
    return kind.predict(reading(file, kind, 1e-6).questions, chip_of)[0]


def test_a_row_becomes_the_call_that_was_timed() -> None:
    (node,) = nodes_of("linear", "fp32", 1, 64, 128, 256)
    assert node.operator == "aten.addmm.default"
    assert [view.shape for view in node.inputs] == [(128,), (64, 256), (256, 128)]
    with pytest.raises(NotModelled, match="operator conv: no call"):
        nodes_of("conv", "fp32", 1, 1, 1, 1)
    assert len(nodes_of("linear_backward", "fp32", 1, 64, 128, 256)) == 3


def test_eight_bits_are_the_formats_of_the_chip(tmp_path: Path) -> None:
    rows = [
        f"{chip},matmul,1,256,256,256,fp8,1.0,x,p,kernel,s" for chip in ("H100", "MI300X", "Trainium2", "T4")
    ]
    found = read(file_of(tmp_path, *rows, "H100,sigmoid,1,64,64,,float16,1.0,x,p,kernel,s"))
    formats = [question.format for question in found.questions if isinstance(question, Call)]
    assert formats == ["fp8_e4m3fn", "fp8_e4m3fnuz", "fp8_e4m3", "fp16"]
    assert [each.because for each in found.excluded] == ["format fp8: t4 multiplies no such one"]


def test_remarks_on_a_chip_are_told_from_parts_of_one(tmp_path: Path) -> None:
    rest = "gelu,1,64,64,,fp32,1.0,x,p,kernel,s"
    named = ("H100 (inferred)", "AMD Instinct MI250 (1 GCD)", "A100-SXM-80GB (1x1g.10gb MIG)")
    found = read(file_of(tmp_path, *(f"{name},{rest}" for name in named)))
    assert [question.chip for question in found.questions] == ["h100", "mi250"]
    assert [out.because for out in found.excluded] == ["chip A100-SXM-80GB (1x1g.10gb MIG)"]


def test_event_timed_calls_contain_the_hosts_launch(tmp_path: Path) -> None:
    kernel = "A100-SXM4-80GB,linear,1,4096,4096,4096,fp16,0.6,x,pytorch,profiled kernel time,a"
    events = kernel.replace("profiled kernel time", "CUDA/HIP events around one call")
    first, second = read(file_of(tmp_path, kernel, events)).questions
    assert isinstance(first, Call) and isinstance(second, Call)
    assert (first.host, second.host) == ("", "linear")
    host_s = catalogue_chip("a100-80").policy.idle_dispatch_s["linear"]
    done = answers(tmp_path / "gpu_ops.csv")
    assert done[1].predicted - done[0].predicted == pytest.approx(host_s)
    assert 0.8 < done[0].predicted / done[0].measured < 1.2


def test_rows_are_excluded_with_a_reason_or_broken_with_a_column(tmp_path: Path) -> None:
    found = read(
        file_of(
            tmp_path,
            "NOCHIP,linear,1,64,64,64,fp32,1.0,x,p,m,s",
            "T4,linear,1,64,64,64,fp32,0.001,x,p,m,s",
            "T4,linear,1,64,64,sixty,fp32,1.0,x,p,m,s",
            "T4,linear,1,64,64,64,fp32,-1.0,x,p,m,s",
            "T4,linear,1,64,0,64,fp32,1.0,x,p,m,s",
            "T4,erfinv,1,64,64,64,fp32,1.0,x,p,m,s",
            "T4,linear,1,64,64,64,fp12,1.0,x,p,m,s",
            "T4,linear,1,64",
            "T4,linear,1,64,64,,fp32,1.0,x,p,m,s",
            "T4,linear,1,64,64.0, 6.4e1 ,FP32,1e-1,x,p,m,s",
            "T4,linear,1,64,64,64,fp32,1.0,x,p,mean of 5, no cache,s",
            "T4,linear,1,64,64,64,fp32,1.0,x,p,,s",
            ",linear,1,64,64,64,fp32,1.0,x,p,m,s",
            "T4,,1,64,64,64,fp32,1.0,x,p,m,s",
            "T4,linear,1,64,64,64,fp32,1e-320,x,p,m,s",
        )
    )
    assert [(out.line, out.reason, out.because) for out in found.excluded] == [
        (2, "chip", "chip NOCHIP"),
        (7, "workload", "operator erfinv: no rule names its call"),
        (8, "software", "format fp12: no call for it"),
    ]
    assert [str(each) for each in found.broken] == [
        'gpu_ops.csv: line 4, column k: "sixty" is not a number',
        "gpu_ops.csv: line 5, column measured_ms: -1.0 is impossible; it must be > 0",
        "gpu_ops.csv: line 6, column n: 0 is impossible; it must be 1 or more",
        "gpu_ops.csv: line 9, column measured_ms: it is empty",
        "gpu_ops.csv: line 10, column k: it is empty",
        'gpu_ops.csv: line 12, column 13: "s" stands under no column; quote fields with commas in them',
        "gpu_ops.csv: line 13, column method: it is empty",
        "gpu_ops.csv: line 14, column chip: it is empty",
        "gpu_ops.csv: line 15, column op: it is empty",
        "gpu_ops.csv: line 16, column measured_ms: 1e-320 is impossible; nothing is as small",
    ]
    short, loose = found.questions
    assert short.short and short.line == 3
    assert isinstance(loose, Call)
    assert (loose.shape, loose.format, loose.dtype) == ((1, 64, 64, 64), "fp32", "fp32")


def test_every_rule_of_the_mapping_file_is_well_formed() -> None:
    for kind in KINDS:
        for rule in rules(kind.name):
            assert set(rule.when) <= {*kind.columns, *rule.when}
            assert rule.settings or rule.exclude
            assert bool(rule.because) == bool(rule.exclude)
    assert len(REASONS) == 5


def test_a_rule_with_a_reason_that_does_not_exist_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text('[[operators]]\nwhen = { op = "x" }\nexclude = "taste"\n')
    message = (
        'mapping.toml: [[operators]] rule 1: exclude is "taste"; it is one of chip, workload, scale, '
        "measurement, software"
    )
    with pytest.raises(InvalidDescription, match=re.escape(message)):
        rules("operators", path)


def test_rules_settle_a_row_and_exclude_with_its_class() -> None:
    row = {
        "chip": "A100-SXM4-80GB x4 (TP4)",
        "model": "GPT-3 175B one layer",
        "phase": "decode",
        "op": "Q_K_V",
    }
    said = settled("layers", row)
    assert (said["chip"], said["shards"], said["class"]) == ("A100-SXM4-80GB", "4", "layer decode")
    with pytest.raises(Out) as out:
        settled("layers", row | {"op": "AllReduce_MHA"})
    assert (out.value.reason, out.value.kind) == ("scale", "collectives")


def test_files_are_told_by_their_columns(tmp_path: Path) -> None:
    other = file_of(tmp_path, header="chip,op\n", name="other.csv")
    with pytest.raises(InvalidInput, match=r"other.csv: columns chip, op are of no kind that is known"):
        files_of(other)
    with pytest.raises(InvalidInput, match="no file of measurements in it"):
        files_of(tmp_path)
    file_of(tmp_path)
    known, unknown = files_of(tmp_path)
    assert [(path.name, kind.name) for path, kind in known] == [("gpu_ops.csv", "operators")]
    assert unknown == ["other.csv"]
    (tmp_path / "excel.csv").write_bytes(HEADER.encode("utf-16"))
    twice = file_of(tmp_path, header=HEADER.replace("source", "chip"), name="twice.csv")
    assert files_of(tmp_path)[1] == [
        "excel.csv: no text in UTF-8; save it as CSV in UTF-8",
        "other.csv",
        "twice.csv: column chip stands more than once in line 1",
    ]
    with pytest.raises(InvalidInput, match="column chip stands more than once"):
        files_of(twice)
    with pytest.raises(InvalidInput, match=r"empty.csv: it is empty, which is of no kind that is known"):
        files_of(file_of(tmp_path, header="", name="empty.csv"))
    with pytest.raises(InvalidInput, match="No such file"):
        files_of(tmp_path / "absent.csv")


def test_attention_and_layers_become_calls(tmp_path: Path) -> None:
    header = (
        "chip,op,batch,q_tokens,kv_cache_tokens,q_heads_local,kv_heads_local,head_dim,dtype,x,median_ms\n"
    )
    path = file_of(
        tmp_path,
        "A100-SXM4-80GB,attention_decode,32,1,2048,32,4,128,fp16,b,0.1",
        "A100-SXM4-80GB,attention_decode,64,1,2048,32,4,128,fp16,b,0.2",
        "A100-SXM4-80GB,attention_prefill,1,4096,0,32,4,128,fp16,b,1.0",
        name="attention.csv",
        header=header,
    )
    small, large, prompt = answers(path)
    assert 0 < small.predicted < large.predicted < prompt.predicted
    assert (small.kind, prompt.kind) == ("attention decode", "attention prefill")
    odd = file_of(
        tmp_path, "H100,attention_decode,1,1,64,7,3,128,fp16,b,0.1", name="attention.csv", header=header
    )
    (broken,) = read(odd).broken
    assert (broken.column, broken.complaint) == ("kv_heads_local", "7 heads of queries are no multiple of 3")
    header = "chip,model,phase,batch,input_len,context_len,op,dtype,measured_ms,source\n"
    path = file_of(
        tmp_path,
        "A100-SXM4-80GB x4 (TP4),GPT-3 175B one layer,prefill,8,2048,2048,W1_proj,fp16,17,s",
        name="layer.csv",
        header=header,
    )
    (call,) = read(path).questions
    assert isinstance(call, Call)
    assert (call.op, call.shape) == ("linear", (1, 8 * 2048, 12288, 12288))
    rest = "prefill,8,2048,2048,W1_proj,FP16,17,s"
    odd = file_of(
        tmp_path,
        f"H100-SXM5-80GB x8,GPT-3 13B one layer,{rest}",
        f"H100 x5,GPT-3 175B one layer,{rest}",
        f"H100 x0,GPT-3 175B one layer,{rest}",
        name="layer.csv",
        header=header,
    )
    (other,) = read(odd).questions
    assert isinstance(other, Call)
    assert (other.chip, other.dtype, other.shape) == ("h100", "fp16", (1, 8 * 2048, 4 * 5120 // 8, 5120))
    assert [each.complaint for each in read(odd).broken] == [
        "96 heads cannot be divided over 5 chips", "96 heads cannot be divided over 0 chips"
    ]  # fmt: skip


def test_the_operators_of_a_layer_are_shown_summed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layer = "A100-SXM4-80GB x4,GPT-3 175B one layer"
    path = file_of(
        tmp_path,
        f"{layer},prefill,8,2048,2048,W1_proj,fp16,17,s",
        f"{layer},prefill,8,2048,2048,GeLU,fp16,0.5,s",
        f"{layer},prefill,8,2048,2048,AllReduce_MHA,fp16,2.9,s",
        f"{layer},prefill,4,2048,2048,GeLU,fp16,0.25,s",
        f"{layer},decode,8,2048,3072,Softmax,fp16,0.017,s",
        f"{layer},decode,8,2048,3072,Q_K_V,fp16,0.2,s",
        name="layer.csv",
        header="chip,model,phase,batch,input_len,context_len,op,dtype,measured_ms,source\n",
    )
    assert main(["--data", str(path), *(f"--{kind}={tmp_path / kind}" for kind in ("json", "csv"))]) == 0
    assert "layer prefill, summed" in capsys.readouterr().out
    content = json.loads((tmp_path / "json").read_text())
    assert len(content["rows"]) == 5
    prefill, decode = content["sums"]
    first, second = (row for row in content["rows"] if row["line"] in (2, 3))
    assert prefill["measured"] == pytest.approx(17.5e-3)
    assert prefill["predicted"] == pytest.approx(first["predicted"] + second["predicted"])
    # What is too short to count by itself is a part of the whole.
    assert decode["measured"] == pytest.approx(0.217e-3) and not decode["short"]
    assert decode["subject"].endswith("on 4, without collectives: 2 operators")
    assert {each["kind"] for each in content["coverage"]} == {"layer prefill", "layer decode", "collectives"}
    assert (tmp_path / "csv").read_text().count("summed") == 2


def test_the_command_prints_tables_and_writes_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file_of(
        tmp_path, "T4,softmax,1,4096,1024,,fp32,0.2,x,p,m,s", "T4,softmax,1,none,1024,,fp32,0.2,x,p,m,s"
    )
    assert main(["--data", str(path), "--json", str(tmp_path / "out.json")]) == 0
    told = capsys.readouterr().out
    assert "softmax" in told
    assert 'gpu_ops.csv: line 3, column m: "none" is not a number' in told
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["rows"][0]["predicted"] > 0
    assert content["coverage"] == [{"kind": "softmax", "rows": 1, "replayed": 1, "short": 0, "excluded": {}}]


def test_a_file_without_any_row_to_replay_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file_of(tmp_path, "NOCHIP,linear,1,64,64,64,fp32,1.0,x,p,m,s")
    with pytest.raises(AnychipError, match=r"gpu_ops.csv: none of 1 rows can be replayed: 1 x chip NOCHIP"):
        main(["--data", str(path)])
    with pytest.raises(
        InvalidInput, match=r"gpu_ops.csv: no row to replay: there is only the line of column"
    ):
        main(["--data", str(file_of(tmp_path))])
    file_of(tmp_path, "T4,gelu,1,4096,4096,,fp32,1.0,x,p,m,s", name="more.csv")
    assert main(["--data", str(tmp_path)]) == 0
    assert "files that are not used: gpu_ops.csv: no rows" in capsys.readouterr().out
    with pytest.raises(InvalidInput, match=r"--shortest-us nan: give microseconds, 0 or more"):
        main(["--data", str(tmp_path), "--shortest-us", "nan"])


@pytest.mark.parametrize(
    "op",
    ["linear_backward", "bmm_backward", "gelu_backward", "softmax_backward", "layernorm_backward",
     "embedding", "silu_mul", "rmsnorm", "softmax", "gelu", "add", "rope"],
)  # fmt: skip
def test_every_operator_has_a_price_that_grows_with_it(tmp_path: Path, op: str) -> None:
    rows = [f"V100,{op},8,{m},1024,512,fp32,1.0,x,p,kernel,s" for m in (256, 2048)]
    first, second = answers(file_of(tmp_path, *rows))
    assert 0 < first.predicted < second.predicted


def _made_rows(tmp_path: Path, efficiency: float) -> list[str]:
    """Rows as three chips would measure them if their units reached `efficiency`."""
    family = FAMILIES[0]
    lines = [
        f"{chip},linear,1,{m},{n},1024,fp32,1.0,x,p,kernel,s"
        for chip in ("V100", "A100-PCIE-40GB", "P100")
        for m in (512, 1024, 4096)
        for n in (512, 2048)
    ]

    def truth(name: str) -> Chip:
        values = {each.place: each.fact.value for each in family.constants}
        # What a bias costs on P100 no other chip can tell.
        known = {"engine fma efficiency": efficiency, "policy biased_reach": 1.0}
        return family.altered(catalogue_chip(name), values | known)

    times = answers(file_of(tmp_path, *lines), truth)
    return [
        line.replace(",1.0,", f",{row.predicted * 1e3:.6f},") for line, row in zip(lines, times, strict=True)
    ]


def test_a_constant_is_found_again_without_the_chip(tmp_path: Path) -> None:
    path = file_of(tmp_path, *_made_rows(tmp_path, 0.6))
    ((file, kind),) = files_of(path)[0]
    made = reading(file, kind, 1e-6)
    calls = [row for row in made.questions if isinstance(row, Call) and row.chip != "p100"]
    assert searched(FAMILIES[0], calls)["engine fma efficiency"] == pytest.approx(0.6, rel=0.2)
    done = validated([(kind, made)], "chip", lambda _: None).rows
    assert {row.chip for row in done} == {"v100", "a100-pcie-40", "p100"}
    assert max(abs(row.error) for row in done) < 0.12
    assert max(abs(row.error) for row in predict(made.questions)[0]) > 0.2


def _measured(chip: str, m: int, measured: float, predicted: float, **more: object) -> Measured:
    known = {
        "file": "f", "line": 1, "kind": "linear", "chip": chip, "dtype": "fp32", "subject": "",
        "metric": "latency", "unit": "s", "workload": m,
    } | more  # fmt: skip
    return Measured(measured=measured, predicted=predicted, **known)  # type: ignore


def test_errors_of_rates_are_errors_of_time() -> None:
    assert _measured("a", 1, 100.0, 50.0, rate=True).error == pytest.approx(1.0)
    assert _measured("a", 1, 1.0, 2.0).error == pytest.approx(1.0)


def _biased(biases: list[float], spread: float, rows: int = 40, seed: int = 7) -> list[Measured]:
    """Rows of several chips, each with a bias of its own (logarithms)."""
    draw = random.Random(seed)
    return [
        _measured(f"chip{i}", m, exp(draw.gauss(bias, spread)), 1.0)
        for i, bias in enumerate(biases)
        for m in range(rows)
    ]


def test_intervals_of_many_chips_without_biases_are_quantiles() -> None:
    (span,) = intervals(_biased([0.0] * 30, 0.1))
    # Eight of ten rows of a normal distribution lie within 1.28 deviations.
    assert span.low == pytest.approx(exp(-0.128), abs=0.02)
    assert span.high == pytest.approx(exp(0.128), abs=0.02)
    assert (span.groups, span.rows) == (30, 1200)


@pytest.mark.parametrize("chips", [2, 3, 5, 12])
def test_intervals_hold_eight_of_ten_rows_of_a_chip_that_nobody_saw(chips: int) -> None:
    # Biases as far apart as other classes' are; the chip that comes is drawn like those that were there.
    draw, shares = random.Random(3), []
    for seed in range(60):
        biases = [draw.gauss(0, 0.1) for _ in range(chips + 1)]
        (span,) = intervals(_biased(biases[:chips], 0.08, seed=seed))
        low, high = log(span.low), log(span.high)
        shares.append(fmean(low <= draw.gauss(biases[-1], 0.08) <= high for _ in range(200)))
    assert 0.75 < fmean(shares) < 0.92


def test_intervals_widen_with_biases_and_with_fewer_chips() -> None:
    def width(rows: list[Measured]) -> float:
        (span,) = intervals(rows)
        return log(span.high / span.low)

    assert width(_biased([-0.3, 0.0, 0.3], 0.1)) > width(_biased([0.0, 0.0, 0.0], 0.1))
    assert width(_biased([0.0] * 2, 0.1)) > width(_biased([0.0] * 8, 0.1))
    assert intervals(_biased([0.0], 0.1)) == []
    assert intervals(_biased([0.0] * 3, 0.1, rows=6)) == []


def test_one_chip_far_from_all_others_does_not_decide_the_interval() -> None:
    (span,) = intervals(_biased([-0.05, 0.0, 0.05, 0.0, 0.02, 2.0], 0.05))
    assert log(span.high / span.low) < 0.6
    assert span.held == pytest.approx(5 / 6, abs=0.05)


def test_models_are_the_groups_where_models_were_left_out() -> None:
    rows = [
        _measured("a", m, 1.0 + m / 100, 1.0, family=f"model{m % 5}", kind="encoders", file="n.csv")
        for m in range(30)
    ]
    assert intervals(rows) == []
    (span,) = intervals(rows, "model")
    assert span.groups == 5


def test_leaving_a_model_out_predicts_the_rows_that_name_one(tmp_path: Path) -> None:
    how = '"profiled kernel time, median; 1 us resolution; layer {} of {}, TP=1"'
    path = file_of(
        tmp_path,
        *(
            f"A40,linear,1,{m},4096,4096,fp16,{m / 2000},vidur,PyTorch,{how.format('mlp_up_proj', model)},x"
            for model in ("Llama-2-7b-hf", "phi-2")
            for m in (256, 512, 1024, 2048)
        ),
        "A40,linear,1,4096,4096,4096,fp16,1.9,other,PyTorch,events,x",
    )
    ((file, kind),) = files_of(path)[0]
    done = validated([(kind, reading(file, kind, 1e-6))], "model", lambda _: None)
    assert {row.family for row in done.rows} == {"Llama-2-7b-hf", "phi-2"}
    assert (len(done.rows), done.without) == (8, 1)


def test_constants_of_the_catalogue_are_never_called_unseen(tmp_path: Path) -> None:
    """Leaving the only chip out leaves nothing to search on; the other chip's format says nothing either."""
    rows = [f"T4,gelu,1,{size},1024,,fp32,{size / 2e4},x,p,m,s" for size in (4096, 16384)]
    one = file_of(tmp_path, *rows)
    result = validated([(kind, reading(file, kind, 1e-6)) for file, kind in files_of(one)[0]], "chip", print)
    assert (result.kept, result.how) == (2, "constants of the catalogue")
    more = file_of(tmp_path, *rows, "A100-SXM4-80GB,linear,1,4096,4096,4096,fp16,0.6,x,p,kernel,s")
    result = validated([(kind, reading(file, kind, 1e-6)) for file, kind in files_of(more)[0]], "chip", print)
    assert result.kept == 3
    more = file_of(tmp_path, *rows, "A40,gelu,1,4096,4096,,fp32,0.4,x,p,kernel,s")
    result = validated([(kind, reading(file, kind, 1e-6)) for file, kind in files_of(more)[0]], "chip", print)
    assert (result.kept, result.how) == (0, "no constant ever saw the row's chip")


def test_ranking_counts_pairs_that_differ_and_what_choosing_wrongly_costs() -> None:
    rows = [_measured("t4", 1, 1.0, 1.0), _measured("l4", 1, 2.0, 0.9), _measured("v100", 1, 2.05, 3.0)]
    orders = {order.of: order for order in rankings(rows)}
    order = orders["time"]
    assert (order.pairs, order.agreed, order.workloads) == (2, 1, 1)
    assert order.regret == pytest.approx(1.0)
    assert orders.keys() == {"time", "dollars", "joules at the power limit"}


def test_leaving_chips_out_writes_every_kind_of_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file_of(tmp_path, *_made_rows(tmp_path, 0.8))
    out = [f"--{kind}={tmp_path / f'out.{kind}'}" for kind in ("json", "csv", "html")]
    assert main(["--data", str(path), "--leave-one-chip-out", *out]) == 0
    told = capsys.readouterr().out
    assert "no constant ever saw the row's chip" in told
    assert max(map(len, told.splitlines())) <= 100
    assert (tmp_path / "out.html").read_text().count("<svg") == 1
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 19


def test_only_some_classes_are_predicted_as_they_are_among_all(tmp_path: Path) -> None:
    kinds = ("linear", "bmm", "gelu")
    path = file_of(
        tmp_path,
        *(f"T4,{op},1,512,512,512,{dtype},1.0,x,p,m,s" for op in kinds for dtype in ("fp32", "fp16")),
    )
    files = [(kind, reading(file, kind, 1e-6)) for file, kind in files_of(path)[0]]
    every = validated(files, None, lambda _: None).rows
    some = validated(files, None, lambda _: None, only=["linear fp16", "elem*"]).rows
    assert [(row.kind, row.dtype) for row in some] == [
        ("linear", "fp16"),
        ("elementwise", "fp32"),
        ("elementwise", "fp16"),
    ]
    assert set(some) <= set(every)
    with pytest.raises(InvalidInput, match=r"--only liner: no row is of that class; nearest: linear"):
        validated(files, None, lambda _: None, only=["liner"])


def test_searches_in_other_processes_find_the_same_constants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        f"{chip},gelu,1,{size},1024,,fp32,{size / scale},x,p,m,s"
        for chip, scale in (("MI100", 2e4), ("MI210", 3e4))
        for size in (4096, 16384, 65536)
    ]
    files = [(kind, reading(file, kind, 1e-6)) for file, kind in files_of(file_of(tmp_path, *rows))[0]]
    monkeypatch.setattr(held_out, "_KNOWN", {})
    here = validated(files, "chip", lambda _: None).rows
    monkeypatch.setattr(held_out, "_KNOWN", {})
    monkeypatch.setattr(held_out, "_WORTH_PROCESSES", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert validated(files, "chip", lambda _: None).rows == here


def test_files_of_spreadsheets_are_read(tmp_path: Path) -> None:
    """A byte order mark, spaces beside names and fields, lines that end as on Windows, other delimiters."""
    path = tmp_path / "gpu_ops.csv"
    text = HEADER.replace(",op,", ", op ,") + "T4,softmax,1,4096,1024,,fp32,0.2,x,p,kernel,s\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    (question,) = read(path).questions
    assert (question.chip, question.kind) == ("t4", "softmax")
    for delimiter in ";\t":
        path.write_text("\n" + text.replace(",", f" {delimiter} "))
        (same,) = read(path).questions
        assert (same.subject, same.line) == (question.subject, 3)
    # A letter of another encoding in a remark is no reason to lose the row; a quote that never ends is.
    path.write_bytes(text.encode() + "T4,softmax,1,64,1024,,fp32,0.2,x,p,kernel,Müller\n".encode("latin-1"))
    assert len(read(path).questions) == 2
    path.write_text(text + 'T4,"' + "x" * 200_000)
    with pytest.raises(InvalidInput, match=r"gpu_ops.csv: line 3: field larger than field limit"):
        read(path)


def test_rows_that_repeat_another_count_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = "T4,softmax,1,4096,1024,,fp32,0.2,x,p,kernel,s"
    path = file_of(tmp_path, row, row, row.replace("0.2", "0.21"))
    found = read(path)
    assert [each.line for each in found.questions] == [2, 4] and found.repeated == 1
    assert main(["--data", str(path)]) == 0
    assert "1 rows repeat an earlier one in every column" in capsys.readouterr().out
