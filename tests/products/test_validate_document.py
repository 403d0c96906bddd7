"""Tables of a page are renewed by the run that they come from; all else stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anychip.errors import InvalidInput
from anychip.products.validate import main
from tests.products.test_validate import file_of

ROWS = [
    f"{chip},linear,1,{m},1024,1024,fp32,{ms},x,p,kernel,s"
    for chip, ms in (("V100", 0.3), ("T4", 0.9))
    for m in (512, 1024)
]
OURS = "What we say about it stays.\n"


def block(what: str, content: str = "") -> str:
    return f"<!-- validate {what} -->\n{content}<!-- /validate -->\n"


def test_only_tables_of_this_run_are_renewed(tmp_path: Path) -> None:
    data = file_of(tmp_path, *ROWS)
    page = tmp_path / "page.md"
    others = block("chip errors gpu_ops.csv", "kept\n") + block("nothing errors other.csv", "kept too\n")
    page.write_text(
        OURS
        + block("nothing run gpu_ops.csv")
        + block("nothing errors gpu_ops.csv", "| old |\n")
        + block("nothing ranking gpu_ops.csv")
        + block("nothing intervals gpu_ops.csv")
        + block("nothing coverage gpu_ops.csv")
        + others
    )
    csv = tmp_path / "rows.csv"
    words = ["--data", str(data), "--document", str(page), "--csv", str(csv)]
    assert main(words) == 0
    first = page.read_text()
    assert first.startswith(OURS) and first.endswith(others) and "| old |" not in first
    assert "`anychip validate --data gpu_ops.csv`" in first and str(tmp_path) not in first
    lines = [line for line in first.splitlines() if line.startswith("| linear | fp32 | 4 |")]
    assert len(lines) == 1 and "t4 " in lines[0] and "v100 " in lines[0]
    assert "| linear | 4 | 100 |" in first and "| time | " in first
    assert main(words) == 0
    assert [line for line in page.read_text().splitlines() if "processor" not in line] == [
        line for line in first.splitlines() if "processor" not in line
    ]


def test_a_page_that_nothing_can_renew_stays_as_it_is(tmp_path: Path) -> None:
    data = file_of(tmp_path, *ROWS)
    page = tmp_path / "page.md"
    for text, complaint in (
        (OURS, "no table with nothing left out"),
        (block("nothing colours gpu_ops.csv"), "tables are run, errors"),
    ):
        page.write_text(text)
        with pytest.raises(InvalidInput, match=complaint):
            main(["--data", str(data), "--document", str(page)])
        assert page.read_text() == text
    with pytest.raises(InvalidInput, match=r"missing\.md: No such file"):
        main(["--data", str(data), "--document", str(tmp_path / "missing.md")])


def test_the_page_of_errors_has_tables_of_every_axis() -> None:
    page = Path(__file__).parents[2] / "docs" / "how_right.md"
    text = page.read_text()
    marks = [line for line in text.splitlines() if line.startswith("<!-- validate ")]
    assert {mark.split()[2] for mark in marks} == {"nothing", "chip", "model"}
    assert text.count("<!-- /validate -->") == len(marks)


def test_intervals_of_each_axis_stand_side_by_side(tmp_path: Path) -> None:
    rows = [
        f"{chip},linear,1,{m},1024,1024,fp32,{ms * m / 512},x,p,kernel,s"
        for chip, ms in (("V100", 0.3), ("T4", 0.9))
        for m in range(512, 1152, 64)
    ]
    data, kept = file_of(tmp_path, *rows), tmp_path / "intervals.json"
    kept.write_text('{"model": {"classes": {}}}')
    assert main(["--data", str(data), "--intervals", str(kept)]) == 0
    found = json.loads(kept.read_text())
    assert found["model"] == {"classes": {}}
    span = found["nothing"]["classes"]["linear fp32"]
    assert 0 < span["low"] < span["high"] and span["rows"] == 20 and span["groups"] == 2
    kept.write_text("{")
    with pytest.raises(InvalidInput, match="no JSON"):
        main(["--data", str(data), "--intervals", str(kept)])
    assert kept.read_text() == "{"
