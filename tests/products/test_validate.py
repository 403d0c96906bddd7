"""Replaying measured operators: rows to calls, method to offset, and bad files."""

from __future__ import annotations

from pathlib import Path

import pytest

from anychip.errors import InvalidInput, NotModelled
from anychip.products.validate import main, node_of, predicted, read_rows

HEADER = "chip,op,batch,m,n,k,dtype,measured_ms,split,framework,method,source\n"


def file_of(folder: Path, *rows: str) -> Path:
    path = folder / "gpu_ops.csv"
    path.write_text(HEADER + "".join(row + "\n" for row in rows))
    return path


def test_a_row_becomes_the_call_that_was_timed() -> None:
    node = node_of("linear", "fp32", 1, 64, 128, 256)
    assert node.operator == "aten.addmm.default"
    assert [view.shape for view in node.inputs] == [(128,), (64, 256), (256, 128)]
    with pytest.raises(NotModelled, match="operator rope: no call"):
        node_of("rope", "fp32", 1, 1, 1, 1)


def test_event_timed_calls_contain_the_hosts_launch(tmp_path: Path) -> None:
    kernel = "A100-SXM4-80GB,linear,1,4096,4096,4096,fp16,0.6,x,pytorch,profiled kernel time,a"
    events = kernel.replace("profiled kernel time", "CUDA/HIP events around one call")
    done, left = predicted(read_rows(file_of(tmp_path, kernel, events)), 20e-6)
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
        )
    )
    done, left = predicted(rows, 20e-6)
    assert not done
    assert sorted(left.values()) == [1, 1, 1]
    assert any("shorter than 20 us" in reason for reason in left)
    assert any(reason.startswith("line 4:") for reason in left)


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
