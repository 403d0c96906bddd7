"""Arrays of other libraries: a higher room registers how to round them, this one never imports them."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Protocol


class Library(Protocol):
    """What a registered library answers, e.g. for torch tensors, differentiably."""

    def round(self, format: Any, values: Any, options: dict[str, Any]) -> Any:
        """`values` rounded to the values of `format` (a Float, Integer or Scaled), by its own options."""
        ...


_libraries: dict[type, Library] = {}


def register(kind: type, library: Library) -> None:
    """Lets `round` of every format accept objects of `kind` and its subclasses."""
    _libraries[kind] = library


#: Modules that register a package's arrays, loaded when the first of them comes.
_HOMES = {"torch": "anychip.frontends.torch.rounding"}


def adapted(values: object) -> Library | None:
    """The library for the type of `values`, None for NumPy and numbers."""
    for kind in type(values).__mro__:
        if kind in _libraries:
            return _libraries[kind]
        home = _HOMES.get(kind.__module__.partition(".")[0])
        if home is not None and home not in sys.modules:
            import_module(home)
            return adapted(values)
    return None
