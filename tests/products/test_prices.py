"""``anychip prices``: coverage of the snapshot, and imports that `--prices` takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from anychip.chips.prices import with_prices
from anychip.products.cli import main

VMS = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice,AvailabilityZone\n"
    "inf2.xlarge,Inferentia2,1.0,4,16,0.76,eu-west-1,,0.3,eu-west-1a\n"
)


def test_coverage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices"]) == 0
    text = capsys.readouterr().out
    assert "us-east-1" in text
    assert "2026-07-20" in text
    assert "trn2" in text.rpartition("No price of a whole chip:")[2]
    assert max(map(len, text.splitlines())) <= 100


def test_import_is_a_price_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "vms.csv", tmp_path / "my.csv"
    source.write_text(VMS)
    assert main(["prices", "import", str(source)]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("inf2.xlarge,0.76,eu-west-1,")
    assert main(["prices", "import", str(source), "--to", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}: 1 instances; use it with --prices {target}\n"
    best = with_prices(target).cheapest("inf2", region="eu-west-1", term="spot")
    assert best is not None
    assert best.price("spot").value == 0.3  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["improt", "x"], 'unknown action "improt"; did you mean import?'),
        (["import"], "give one file"),
        (["import", "nowhere.csv"], "nowhere.csv: No such file or directory"),
    ],
)
def test_mistakes(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prices", *argv]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_nothing_half_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "vms.csv"
    source.write_text(VMS)
    assert main(["prices", "import", str(source), "--to", str(tmp_path / "no" / "my.csv")]) == 2
    assert "my.csv" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vms.csv"]
