"""Command line arguments whose mistakes are one clear line with the nearest option."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from typing import NoReturn

from anychip.errors import InvalidInput, unknown_name


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises instead of printing, and takes no abbreviations."""

    def __init__(self, command: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"anychip {command}",
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """The options in `argv`.

        Raises:
            InvalidInput: a value is missing or wrong.
            UnknownName: an option does not exist; names the nearest.
        """
        options, extra = self.parse_known_args(argv)
        for word in extra:
            if word.startswith("-"):
                known = [name for action in self._actions for name in action.option_strings]
                name = word.partition("=")[0]
                raise unknown_name(f"option of {self.prog}", name, known, f"`{self.prog} --help` lists all")
        if extra:
            raise InvalidInput(
                f'{self.prog}: "{extra[0]}" is one argument too many; see `{self.prog} --help`'
            )
        return options

    def divided(self, argv: Sequence[str], scripts: Collection[str] = ()) -> tuple[list[str], list[str]]:
        """The words that are this command's, and those of the script that it runs.

        Before the script's name all options are the command's. After it those that the command knows still
        are, so that either order works; all others, and everything after ``--``, go to the script.

        Args:
            argv: words after the command's name; the first that is neither option nor value is the script.
            scripts: options of the command that mean nothing to it where a script runs: left to the script.
        """
        takes_value = {name: action.nargs != 0 for action in self._actions for name in action.option_strings}
        mine: list[str] = []
        theirs: list[str] = []
        words = iter(argv)
        script: str | None = None
        for word in words:
            name, equals, _ = word.partition("=")
            if script is not None and word == "--":
                theirs += words
            elif name in takes_value and not (script is not None and name in scripts):
                mine.append(word)
                if takes_value[name] and not equals:
                    mine += [value for value in (next(words, None),) if value is not None]
            elif script is None and not word.startswith("-"):
                script = word
                mine.append(word)
            else:
                (mine if script is None else theirs).append(word)
        return mine, theirs

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(f"{self.prog}: {message}; see `{self.prog} --help`")
