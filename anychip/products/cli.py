"""The command ``anychip``: finds the product, runs it, and turns errors into one line and an exit code.

Exit codes: 0 success, 1 the user's script or a check failed, 2 wrong input, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from anychip import __version__
from anychip.errors import AnychipError, unknown_name


class Command(NamedTuple):
    """A product of the command line.

    Args:
        module: imported only when used.
        summary: for the list of commands.
        function: of the module, from arguments to exit code.
    """

    module: str
    summary: str
    function: str = "main"


COMMANDS: dict[str, Command] = {
    "run": Command("run_command", "run a PyTorch script on a chip: its results, time, energy and cost"),
    "choose": Command("choose.command", "rank every chip one can rent for a workload"),
    "compare": Command("choose.command", "two answers of choose: what grew, for CI", "compare"),
    "chips": Command("chips", "list the catalogue; show a chip's blocks, facts and sources"),
    "prices": Command("prices", "what the price snapshot covers; import SkyPilot's and Vantage's files"),
    "doctor": Command("doctor", "say what is installed, what is missing and what for"),
    "crosscheck": Command("crosscheck", "compare simulation and RTL on random chips, bits and cycles"),
    "verilog": Command("verilog", "write the Verilog of a chip wired like basecamp"),
    "conformance": Command("conformance", "run models and operators on the device against the CPU"),
    "predict": Command("predict", "time of a model that transformers can build, on a chip"),
    "calibrate": Command("calibrate.command", 'measure this machine; it becomes the chip "this"'),
    "validate": Command("validate", "predictions beside published measurements"),
    "completion": Command("completion", "completions of commands and options for bash, zsh and fish"),
    "evidence": Command("evidence.command", "show what each part's correctness rests on"),
    "study": Command("study.command", "what a number format does to a workload's results"),
}
_HELP = ("-h", "--help", "help")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        argv: arguments without the program's name; None takes the process's own.

    Returns:
        exit code.
    """
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except AnychipError as error:
        _flush_stdout()
        print(f"anychip: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        _flush_stdout()
        print("anychip: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in _HELP:
        print(_help())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"anychip {__version__}")
        return 0
    known = offered()
    command = known.get(argv[0])
    if command is None:
        kind = "option" if argv[0].startswith("-") else "command"
        raise unknown_name(kind, argv[0], (*known, "--help", "--version"), "`anychip --help` lists all")
    return getattr(import_module(_path(command)), command.function)(argv[1:])


def offered() -> dict[str, Command]:
    """The commands that exist in this installation."""
    return {name: command for name, command in COMMANDS.items() if _exists(command)}


def _path(command: Command) -> str:
    return f"anychip.products.{command.module}"


def _exists(command: Command) -> bool:
    try:
        return find_spec(_path(command)) is not None
    except ModuleNotFoundError:
        return False


def _help() -> str:
    lines = ["anychip: run any workload, unchanged, on any chip; its results, time, energy and cost", ""]
    lines += ["usage: anychip COMMAND ...", "       anychip COMMAND --help", "", "commands:"]
    lines += [f"  {name:<13}{command.summary}" for name, command in offered().items()]
    lines += ["", "example: anychip run --chip trn1 train.py --epochs 1"]
    return "\n".join(lines)


def _one_line(error: AnychipError) -> str:
    return " ".join(line.strip() for line in str(error).splitlines())


def _flush_stdout() -> None:
    """What the script printed comes before the message about it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
