"""Every published row beside its prediction."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anychip.errors import InvalidInput
from anychip.products.predict import main

HEADER = "chip,n_chips,scope,model,scenario,batch,throughput,avg_watts,config\n"
ROW = (
    "H100-SXM5-80GB,1,GPU only,mistralai/Mistral-7B-Instruct-v0.3,llm_text_generation/chat,64,2000,400,"
    "Avg Output Tokens=400; Avg BS (reqs)=64\n"
)


def test_a_row_and_what_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "power.csv", tmp_path / "rows.json"
    data.write_text(HEADER + ROW + ROW.replace("GPU only", "full system wall"))
    assert main(["--data", str(data), "--json", str(out)]) == 0
    text = capsys.readouterr().out
    assert "mistralai/Mistral-7B-Instruct-v0.3 x1, 64 sequences" in text
    assert "a whole system at the wall" in text
    (row,) = json.loads(out.read_text())["rows"]
    assert row["measured"] == 400
    assert row["error"] == pytest.approx(row["predicted"] / 400 - 1)


def test_nothing_that_was_asked_for(tmp_path: Path) -> None:
    data = tmp_path / "power.csv"
    data.write_text(HEADER + ROW)
    with pytest.raises(InvalidInput, match="no row of chip t4 and model any can be predicted"):
        main(["--data", str(data), "--chip", "t4"])
