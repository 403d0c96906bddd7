"""``anychip completion SHELL``: what the shell's tab key needs, read off the commands' own help.

anychip completion bash >> ~/.bashrc
anychip completion zsh >> ~/.zshrc
anychip completion fish > ~/.config/fish/completions/anychip.fish
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from importlib import import_module

from anychip.chips.names import NAMES
from anychip.errors import unknown_name
from anychip.products.arguments import Parser

SHELLS = ("bash", "zsh", "fish")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
#: Options that take a chip's name.
_OF_CHIPS = ("--chip", "--chips")


def main(argv: Sequence[str]) -> int:
    """Runs the command; its exit code."""
    parser = Parser("completion", "Print completions for a shell.", __doc__ or "")
    parser.add_argument("shell", metavar="|".join(SHELLS))
    shell = parser.parse(argv).shell
    if shell not in SHELLS:
        raise unknown_name("shell", shell, SHELLS)
    print(_fish(words()) if shell == "fish" else _bash(words(), zsh=shell == "zsh"), end="")
    return 0


def words() -> dict[str, list[str]]:
    """Every command with its options."""
    from anychip.products.cli import offered

    found: dict[str, list[str]] = {}
    for name, command in offered().items():
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            getattr(import_module(f"anychip.products.{command.module}"), command.function)(["--help"])
        found[name] = sorted({*_OPTION.findall(text.getvalue()), "--help"})
    return found


def _bash(commands: dict[str, list[str]], *, zsh: bool) -> str:
    cases = "\n".join(f'    {name}) words="{" ".join(options)}" ;;' for name, options in commands.items())
    first = "autoload -U +X bashcompinit && bashcompinit\n" if zsh else ""
    return f"""{first}_anychip() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then words="{" ".join(commands)}"
  elif [[ "{" ".join(_OF_CHIPS)}" == *"$before"* && "$before" == --* ]]; then words="{" ".join(NAMES)}"
  else case "${{COMP_WORDS[1]}}" in
{cases}
  esac; fi
  COMPREPLY=( $(compgen -W "$words" -- "$word") )
}}
complete -o default -F _anychip anychip
"""


def _fish(commands: dict[str, list[str]]) -> str:
    lines = [f"complete -c anychip -n __fish_use_subcommand -f -a '{' '.join(commands)}'"]
    for name, options in commands.items():
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        for option in options:
            chips = f" -x -a '{' '.join(NAMES)}'" if option in _OF_CHIPS else ""
            lines.append(f"complete -c anychip {seen} -l {option.removeprefix('--')}{chips}")
    return "\n".join(lines) + "\n"
