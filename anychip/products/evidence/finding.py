"""One claim and how it came out, and the libraries that claims are checked against."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anychip.errors import MissingTool

#: Compares: how many cases, and in how many of them the claim does not hold.
Check = Callable[[], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim and how it came out.

    Args:
        claim: what should hold.
        checked: cases compared.
        wrong: cases in which it does not hold.
        seconds: time taken.
    """

    claim: str
    checked: int
    wrong: int
    seconds: float


def peer_library(name: str) -> Any:
    """An independent implementation by the name of its package.

    Raises:
        MissingTool: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingTool(
            f"evidence: {name} is not installed; install the test extra: pip install anychip[test]"
        ) from None
