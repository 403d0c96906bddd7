"""The crosscheck passes, and would not if anything were wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from anychip.errors import InvalidInput, NotModelled
from anychip.products import crosscheck
from anychip.products.crosscheck.cases import case_of, mutant_case
from anychip.products.crosscheck.comparison import compare
from anychip.products.crosscheck.mutants import Mutant, judge, mutants
from anychip.products.crosscheck.work import board_of, hardware_of_mutant
from anychip.products.crosscheck.workloads import DATA, WORKLOADS
from anychip.rtl.verilator import missing_tools

needs_tools = pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {missing_tools()}")


@pytest.mark.parametrize("number", range(12))
def test_operators_and_instructions_agree(number: int) -> None:
    outcome = compare(case_of(11, number, 12), None)
    assert not outcome.differences, outcome.case.text
    assert outcome.stored > 0


@needs_tools
@pytest.mark.parametrize("number", range(12))
def test_hardware_agrees(number: int) -> None:
    board = board_of(hardware_of_mutant(Mutant("simulator", "", "")))  # type: ignore[arg-type]
    outcome = compare(mutant_case(11, number), board)
    assert not outcome.differences, outcome.case.text


@pytest.mark.parametrize("mutant", [m for m in mutants() if not m.needs_hardware], ids=lambda m: m.name)
def test_mistakes_in_values_are_seen(mutant: Mutant) -> None:
    assert judge(mutant, 11, None).seen is not None


@needs_tools
@pytest.mark.parametrize(
    "mutant", [m for m in mutants() if m.needs_hardware], ids=lambda m: f"{m.level}: {m.name}"
)
def test_mistakes_beside_hardware_are_seen(mutant: Mutant) -> None:
    board = board_of(hardware_of_mutant(mutant))  # type: ignore[arg-type]
    assert judge(mutant, 11, board).seen is not None


def test_a_case_is_the_same_whenever_asked_for() -> None:
    first, again = case_of(5, 3, 200), case_of(5, 3, 200)
    assert first == again
    assert [node.operator for node in first.script.nodes] == [node.operator for node in again.script.nodes]
    assert case_of(6, 3, 200) != first
    drawn = [case_of(5, number, 200) for number in range(200)]
    assert {case.workload for case in drawn} == set(WORKLOADS)
    assert {case.data for case in drawn} == set(DATA)
    assert len({repr(case.build) for case in drawn}) == 10


def test_the_command_reports_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "summary.json"
    arguments = ["--runs", "3", "--only", "1", "--no-hardware", "--workers", "1", "--json", str(target)]
    assert crosscheck.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "RTL is not checked: left out by --no-hardware" in printed
    assert "1 of 1 cases equal (operator level = instruction level)" in printed
    summary = json.loads(target.read_text())
    assert (summary["schema"], summary["passed"], summary["levels"]) == (
        "anychip.crosscheck/1",
        True,
        ["operator", "instruction"],
    )


def test_a_chip_without_hardware_is_refused_at_once() -> None:
    if missing_tools():
        pytest.skip(f"not installed: {missing_tools()}")
    with pytest.raises(NotModelled, match='chip "h100" has engines'):
        crosscheck.main(["--chip", "h100"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runs", "0"], "--runs 0, --workers"),
        (["--runs", "few"], "argument --runs: invalid int value: 'few'"),
        (["--runs", "4", "--only", "4"], "--only 4 of 4 runs; choose 0 to 3"),
        (["--json", "/nowhere/summary.json"], "folder /nowhere does not exist; create it first"),
    ],
)
def test_wrong_options_are_one_message(arguments: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        crosscheck.main(arguments)
