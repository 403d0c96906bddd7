"""The command line: names, mistakes, exit codes, and that it starts quickly."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from anychip import __version__
from anychip.errors import CapacityExceeded
from anychip.products import cli


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"anychip {__version__}\n"
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "run a PyTorch script on a chip" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert cli.main([]) == 2


def test_every_offered_command_has_help() -> None:
    assert {"run", "doctor"} <= set(cli.offered())
    for name in cli.offered():
        result = subprocess.run(
            [sys.executable, "-m", "anychip", name, "--help"], capture_output=True, text=True, check=False
        )
        assert (result.returncode, result.stderr) == (0, ""), name
        assert result.stdout.startswith("usage: anychip "), name


def test_commands_that_do_not_exist_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.COMMANDS, "fly", cli.Command("fly", "not there"))
    monkeypatch.setitem(cli.COMMANDS, "swim", cli.Command("swim.command", "not there either"))
    assert not {"fly", "swim"} & set(cli.offered())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["rum"], 'anychip: unknown command "rum"; did you mean run? `anychip --help` lists all\n'),
        (
            ["--versoin"],
            'anychip: unknown option "--versoin"; did you mean --version? `anychip --help` lists all\n',
        ),
        (
            ["run", "--chip", "trn1", "--no-value", "a.py"],
            'anychip: unknown option of anychip run "--no-value"; did you mean --no-values? '
            "`anychip run --help` lists all\n",
        ),
        (
            ["run", "a.py"],
            "anychip: anychip run: the following arguments are required: --chip; see `anychip run --help`\n",
        ),
        (
            ["run", "--chip", "tranium1", "a.py"],
            'anychip: unknown chip "tranium1"; did you mean trainium1 (trn1)?  `anychip chips` lists all.\n',
        ),
        (
            ["run", "--chip", "trn1", "--max-steps", "-3", "a.py"],
            'anychip: anychip run: argument --max-steps: "-3" is not a count; '
            "give a whole number of at least 1; see `anychip run --help`\n",
        ),
        (
            ["run", "--chip", "trn1", "--instance", "g4dn.xlarge", "a.py"],
            "anychip: instance g4dn.xlarge: carries t4, not trn1; instances with it: "
            "trn1.2xlarge, trn1.32xlarge, trn1n.32xlarge\n",
        ),
        (
            ["run", "--chip", "trn1", "--json", "/no/such/place/x.json", "a.py"],
            "anychip: /no/such/place/x.json: folder /no/such/place does not exist; create it first\n",
        ),
    ],
)
def test_mistakes_are_one_line_with_the_nearest_name(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(argv) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", message)


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (CapacityExceeded("model: needs 3 GiB\n of 2 GiB"), 2, "anychip: model: needs 3 GiB of 2 GiB\n"),
        (KeyboardInterrupt(), 130, "anychip: interrupted\n"),
    ],
)
def test_errors_become_a_line_and_an_exit_code(
    raised: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(argv: list[str]) -> int:
        raise raised

    monkeypatch.setattr(cli, "import_module", lambda name: SimpleNamespace(main=fail))
    assert cli.main(["doctor"]) == code
    assert capsys.readouterr().err == message


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m anychip --help | head -c 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("a", "")


@pytest.mark.parametrize("arguments", [["-m", "anychip", "--help"], ["-c", "import anychip"]])
def test_it_starts_quickly_and_without_heavy_packages(arguments: list[str]) -> None:
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        best = min(best, time.perf_counter() - start)
    assert best < 0.3
    program = "import sys; sys.argv = ['anychip', '--help']\n"
    program += "from anychip.products.cli import main; main()\n"
    program += "print(sorted({'torch', 'numpy', 'rich'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"
