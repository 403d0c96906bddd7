"""The model that was recorded last: kept for the next recording of it, let go when asked or at the end."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ParamSpec

Arguments = ParamSpec("Arguments")
_forget: list[Callable[[], None]] = []


def kept_last(make: Callable[Arguments, Any]) -> Callable[Arguments, Any]:
    """A maker of models that remembers the last one it made."""
    remembered = lru_cache(maxsize=1)(make)
    _forget.append(remembered.cache_clear)
    return remembered  # pyright: ignore[reportReturnType]


def let_go() -> None:
    """Frees the models that were recorded last; until then the device's memory holds them."""
    for forget in _forget:
        forget()


# Tensors of a model that outlived the interpreter would complain while it is torn down.
atexit.register(let_go)
