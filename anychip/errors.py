"""The one family of errors that a user of anychip sees.

A message says **where: what is wrong, with both values; what to do**. The command line prints it as
one line and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AnychipError(Exception):
    """Base of every error that a caller can cause."""


class UnknownName(AnychipError, KeyError):
    """A chip, format, operator or option that does not exist."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InvalidDescription(AnychipError, ValueError):
    """A format, block, chip, graph or program that contradicts itself."""


class InvalidInput(AnychipError, ValueError):
    """A file or argument that a user supplied and that cannot be used."""


class NotModelled(AnychipError, NotImplementedError):
    """Something real that anychip has no model of; never answered with 0."""


class MissingTool(AnychipError, RuntimeError):
    """A program or package that is needed for this and is not installed."""


class CapacityExceeded(AnychipError, MemoryError):
    """A workload that does not fit a memory of the chip."""


#: So many names are listed where none is near; of more, the nearest are named all the same.
_LISTED = 80


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str = "") -> UnknownName:
    """The error for a misspelt name, with the nearest ones.

    Args:
        kind: what was looked up, e.g. ``"chip"``.
        name: what was given.
        known: every name that exists.
        hint: where to see them all, e.g. ```anychip chips` lists all``.
    """
    known = sorted(known)
    folded = {candidate.casefold(): candidate for candidate in known}
    near = [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=2, cutoff=0.6)]
    starts = [candidate for candidate in known if candidate.casefold().startswith(name.casefold())][:2]
    near = list(dict.fromkeys(starts + near))[:2] if name else []
    if not near and len(known) > _LISTED:
        near = [
            folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=2, cutoff=0.0)
        ]
    question = f"; did you mean {' or '.join(near)}?" if near else f"; known: {', '.join(known)}"
    return UnknownName(f'unknown {kind} "{name}"{question}' + (f" {hint}" if hint else ""))
