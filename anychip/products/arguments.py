"""Command line arguments whose mistakes are one clear line with the nearest option."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
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

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(f"{self.prog}: {message}; see `{self.prog} --help`")
