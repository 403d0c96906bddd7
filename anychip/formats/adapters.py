"""Arrays of other libraries: a higher room registers how to round them, this one never imports them."""

from __future__ import annotations

from typing import Any, Protocol


class Library(Protocol):
    """What a registered library answers, e.g. for torch tensors, differentiably."""

    def round(self, format: Any, values: Any, rule: Any) -> Any:
        """`values` rounded to the values of `format` (a Float, Integer or Scaled)."""
        ...


_libraries: dict[type, Library] = {}


def register(kind: type, library: Library) -> None:
    """Lets `round` of every format accept objects of `kind` and its subclasses."""
    _libraries[kind] = library


def adapted(values: object) -> Library | None:
    """The library that was registered for the type of `values`, None for NumPy and numbers."""
    for kind in type(values).__mro__:
        if kind in _libraries:
            return _libraries[kind]
    return None
