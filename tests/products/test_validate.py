"""Replaying measured operators: rows to calls, method to offset, and bad files."""

from __future__ import annotations

from pathlib import Path

import pytest

from anychip.errors import InvalidInput, NotModelled
from anychip.products.validate import main
from anychip.products.validate.held_out import FAMILIES, leave_one_chip_out, searched
from anychip.products.validate.intervals import intervals, ranking
from anychip.products.validate.rows import Measured, catalogue_chip, nodes_of, predicted, read_rows, timed

HEADER = "chip,op,batch,m,n,k,dtype,measured_ms,split,framework,method,source\n"


def file_of(folder: Path, *rows: str) -> Path:
    path = folder / "gpu_ops.csv"
    path.write_text(HEADER + "".join(row + "\n" for row in rows))
    return path


def test_a_row_becomes_the_call_that_was_timed() -> None:
    (node,) = nodes_of("linear", "fp32", 1, 64, 128, 256)
    assert node.operator == "aten.addmm.default"
    assert [view.shape for view in node.inputs] == [(128,), (64, 256), (256, 128)]
    with pytest.raises(NotModelled, match="operator rope: no call"):
        nodes_of("rope", "fp32", 1, 1, 1, 1)
    assert len(nodes_of("linear_backward", "fp32", 1, 64, 128, 256)) == 3


def test_event_timed_calls_contain_the_hosts_launch(tmp_path: Path) -> None:
    kernel = "A100-SXM4-80GB,linear,1,4096,4096,4096,fp16,0.6,x,pytorch,profiled kernel time,a"
    events = kernel.replace("profiled kernel time", "CUDA/HIP events around one call")
    rows, left = timed(read_rows(file_of(tmp_path, kernel, events)), 20e-6)
    done = predicted(rows)
    assert not left
    assert done[1].predicted_s - done[0].predicted_s == pytest.approx(53e-6)
    assert 0.8 < done[0].predicted_s / done[0].measured_s < 1.2


def test_rows_that_cannot_be_replayed_are_counted(tmp_path: Path) -> None:
    rows = read_rows(
        file_of(
            tmp_path,
            "NOCHIP,linear,1,64,64,64,fp32,1.0,x,p,m,s",
            "T4,linear,1,64,64,64,fp32,0.001,x,p,m,s",
            "T4,linear,1,64,64,sixty,fp32,1.0,x,p,m,s",
            "T4,linear,1,64,64,64,fp32,-1.0,x,p,m,s",
        )
    )
    done, left = timed(rows, 20e-6)
    assert not done
    assert sorted(left.values()) == [1, 1, 1, 1]
    assert any("shorter than 20 us" in reason for reason in left)
    assert any(reason.startswith("line 4:") for reason in left)
    assert "line 5: measured_ms is -1.0; a time is greater than 0" in left


def test_bad_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("chip,op\n")
    with pytest.raises(InvalidInput, match=r"other.csv: columns batch, m, n, k, .* are missing"):
        read_rows(path)
    with pytest.raises(InvalidInput, match="No such file"):
        read_rows(tmp_path / "absent.csv")


def test_the_command_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(tmp_path, "T4,softmax,1,4096,1024,,fp32,0.2,x,p,m,s")
    assert main(["--data", str(path), "--json", str(tmp_path / "out.json")]) == 0
    assert "softmax" in capsys.readouterr().out
    assert '"predicted_s"' in (tmp_path / "out.json").read_text()


@pytest.mark.parametrize(
    "op",
    ["linear_backward", "bmm_backward", "gelu_backward", "softmax_backward", "layernorm_backward",
     "embedding", "silu_mul", "rmsnorm", "softmax", "gelu", "add"],
)  # fmt: skip
def test_every_operator_has_a_price_that_grows_with_it(tmp_path: Path, op: str) -> None:
    small, large = (f"V100,{op},8,{m},1024,512,fp32,1.0,x,p,kernel,s" for m in (256, 2048))
    first, second = predicted(timed(read_rows(file_of(tmp_path, small, large)), 20e-6)[0])
    assert 0 < first.predicted_s < second.predicted_s


def _made_rows(tmp_path: Path, efficiency: float) -> list[str]:
    """Rows as three chips would measure them if their units reached `efficiency`."""
    family = FAMILIES[0]
    lines = [
        f"{chip},linear,1,{m},{n},1024,fp32,1.0,x,p,kernel,s"
        for chip in ("V100", "T4", "P100")
        for m in (512, 1024, 4096)
        for n in (512, 2048)
    ]
    rows, _ = timed(read_rows(file_of(tmp_path, *lines)), 20e-6)

    def truth(name: str) -> object:
        chip = catalogue_chip(name)
        return family.altered(chip, family.start(chip) | {"efficiency": efficiency})

    times = predicted(rows, truth)  # type: ignore
    return [
        line.replace(",1.0,", f",{row.predicted_s * 1e3:.6f},")
        for line, row in zip(lines, times, strict=True)
    ]


def test_a_constant_is_found_again_without_the_chip(tmp_path: Path) -> None:
    rows, _ = timed(read_rows(file_of(tmp_path, *_made_rows(tmp_path, 0.6))), 1e-6)
    found = searched(FAMILIES[0], [row for row in rows if row.chip != "t4"])
    assert found["efficiency"] == pytest.approx(0.6, rel=0.1)
    done = leave_one_chip_out(rows)
    assert {row.chip for row in done} == {"v100", "t4", "p100"}
    assert max(abs(row.error) for row in done) < 0.08
    assert max(abs(row.error) for row in predicted(rows)) > 0.2


def _measured(chip: str, m: int, measured_s: float, predicted_s: float) -> Measured:
    return Measured(1, chip, "linear", "linear", "fp32", (1, m, 1, 1), measured_s, predicted_s)


def test_intervals_are_those_of_the_other_chips() -> None:
    same = [_measured(chip, m, 1.0 + m / 100, 1.0) for chip in ("a", "b") for m in range(30)]
    (span,) = intervals(same)
    assert 1.0 < span.low < span.high < 1.3
    assert 0.7 < span.held < 0.9
    other = [_measured("c", m, 3.0, 1.0) for m in range(30)]
    (wider,) = intervals(same + other)
    assert wider.held < span.held
    assert intervals(same[:30]) == []


def test_ranking_counts_pairs_that_differ_and_what_choosing_wrongly_costs() -> None:
    rows = [_measured("a", 1, 1.0, 1.0), _measured("b", 1, 2.0, 0.9), _measured("c", 1, 2.05, 3.0)]
    order = ranking(rows)
    assert (order.pairs, order.agreed, order.calls) == (2, 1, 1)
    assert order.regret == pytest.approx(1.0)


def test_leaving_chips_out_writes_every_kind_of_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file_of(tmp_path, *_made_rows(tmp_path, 0.8))
    out = [f"--{kind}={tmp_path / f'out.{kind}'}" for kind in ("json", "csv", "html")]
    assert main(["--data", str(path), "--leave-one-chip-out", *out]) == 0
    told = capsys.readouterr().out
    assert "constants never saw the chip" in told
    assert max(map(len, told.splitlines())) <= 100
    assert (tmp_path / "out.html").read_text().count("<svg") == 1
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 19


def test_a_file_without_any_row_to_replay_is_an_error(tmp_path: Path) -> None:
    path = file_of(tmp_path, "NOCHIP,linear,1,64,64,64,fp32,1.0,x,p,m,s")
    with pytest.raises(InvalidInput, match="no row can be replayed: unknown chip"):
        main(["--data", str(path)])
