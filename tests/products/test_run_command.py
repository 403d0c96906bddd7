"""``anychip run``: streams, exit codes and reports of scripts that end in every way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.products import scripts

pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scripts")


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, dict]:
    command = [sys.executable, "-m", "tests.products.scripts", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_script_keeps_its_output_and_the_report_follows_on_standard_error(outcomes, folder) -> None:
    works = outcomes["works"]
    assert (works["code"], works["out"]) == (0, "step 0\nstep 1\nstep 2\n")
    lines = works["err"].splitlines()
    assert lines[1].startswith("works.py on trn1 (AWS Trainium1, 1 of 2 cores) · 3 steps")
    assert max(map(len, lines)) <= 100
    assert "trn1.2xlarge" in works["err"]
    assert "works.py:8" in works["err"]


def test_reports_are_written(outcomes, folder) -> None:
    document = json.loads((folder / "out.json").read_text())
    assert (document["workload"], document["unit"]["name"], document["unit"]["count"]) == (
        "works.py",
        "step",
        2,
    )
    assert document["whole"]["ticks"] > document["unit"]["ticks"] > 0
    assert document["unit"]["cost"]["instance"] == "trn1.2xlarge"
    assert json.loads((folder / "out.trace").read_text())["traceEvents"]
    assert (folder / "out.html").read_text().startswith("<!doctype html>")


def test_redacted_reports_name_no_file(outcomes, folder) -> None:
    redacted = outcomes["redacted"]
    assert (redacted["code"], redacted["err"]) == (0, "")
    text = (folder / "redacted.json").read_text()
    assert ".py" not in text
    assert str(folder) not in text


def test_a_script_is_stopped_after_so_many_steps(outcomes) -> None:
    stops = outcomes["stops"]
    assert (stops["code"], stops["out"]) == (0, "step 0\n")
    assert "stopped after 2 steps; --max-steps sets another number" in stops["err"]
    assert "· 2 steps ·" in stops["err"]
    assert len(outcomes["infers"]["out"].splitlines()) == 2


def test_without_values_what_depends_on_them_is_said(outcomes, folder) -> None:
    needs, selects, told = (outcomes[name] for name in ("needs_values", "selects", "selects_redacted"))
    where = f"{folder / 'needs_values.py'}:3"
    assert needs["code"] == 2
    assert (
        needs["err"]
        .splitlines()[0]
        .startswith(f"anychip: {where}: equal depends on values, which --no-values")
    )
    assert (selects["code"], selects["out"]) == (0, "torch.Size([4, 1])\n")
    note = "without values, these stood in: the largest possible extent"
    assert f"{note} at selects.py:3" in selects["err"]
    assert note in told["err"] and ".py" not in told["err"]


def test_a_script_that_raises_shows_its_traceback_and_what_ran(outcomes, folder) -> None:
    raises = outcomes["raises"]
    assert (raises["code"], raises["out"]) == (1, "step 0\n")
    script = folder / "raises.py"
    traceback, _, report = raises["err"].partition("\n\n")
    assert traceback.splitlines() == [
        "Traceback (most recent call last):",
        f'  File "{script}", line 13, in <module>',
        "    fail()",
        f'  File "{script}", line 12, in fail',
        "    raise ValueError('no such thing')",
        "ValueError: no such thing",
    ]
    assert report.startswith("raises.py on trn1")


def test_exit_codes_are_passed_on(outcomes) -> None:
    assert (outcomes["exits"]["code"], outcomes["exits"]["err"]) == (7, "")
    words = outcomes["exits with words"]
    assert (words["code"], words["err"]) == (1, "all wrong\n")


@pytest.mark.parametrize(("name", "out"), [("never uses the device", "tensor(2.)\n"), ("only allocates", "")])
def test_a_script_that_never_uses_the_device_is_told_so(outcomes, folder, name: str, out: str) -> None:
    never = outcomes[name]
    assert (never["code"], never["out"]) == (2, out)
    assert never["err"] == (
        f"anychip: {folder}/{name.replace(' ', '_')}.py: came to its end without running or copying anything "
        "on the device; "
        'move model and inputs there, for instance with .cuda() or .to("anychip")\n'
    )


def test_a_script_that_only_copies_is_priced(outcomes) -> None:
    copies = outcomes["only copies"]
    assert (copies["code"], copies["out"]) == (0, "tensor(0.)\n")
    assert "nothing but copies ran on the device" in copies["err"]
    assert "bound by        transfers" in copies["err"]


def test_an_interruption_is_one_line_and_leaves_nothing(outcomes, folder) -> None:
    interrupted = outcomes["interrupted"]
    assert (interrupted["code"], interrupted["err"]) == (130, "anychip: interrupted\n")
    assert not list(folder.glob("*never*.json*"))


def test_a_file_that_is_not_python_is_one_line(outcomes, folder) -> None:
    broken = outcomes["is not Python"]
    assert broken["code"] == 2
    assert broken["err"] == f"anychip: {folder}/is_not_Python.py:1: not Python: invalid syntax\n"


def test_json_can_go_to_standard_output(outcomes) -> None:
    out = outcomes["standard output"]["out"]
    assert out.startswith("step 0\n{")
    assert json.loads(out.removeprefix("step 0\n"))["schema"].startswith("anychip.profile/")


def test_a_full_disk_is_one_line(outcomes) -> None:
    full = outcomes["disk full"]
    assert full["code"] == 2
    assert full["err"] == (
        "anychip: /dev/full: No space left on device while writing the report; "
        "nothing was left behind, name another place\n"
    )


def test_every_case_is_looked_at(outcomes) -> None:
    assert set(outcomes) == set(scripts.CASES)
