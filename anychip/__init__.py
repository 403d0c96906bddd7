"""anychip runs any workload, unchanged, on any chip, and gives its results, time, energy and cost.

As a library::

    import anychip

    with anychip.on("inf2") as run:
        logits = model.to("anychip")(tokens.to("anychip"))
    print(run.profile())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anychip.chips import Chip
    from anychip.products.choose.asking import choose
    from anychip.profile import Profile
    from anychip.run import Run, on

__version__ = "0.1.0"
__all__ = ["Chip", "Profile", "Run", "__version__", "choose", "on"]

#: Names that are imported when they are first used, so that ``import anychip`` costs nothing.
_HOMES = {
    "Chip": "anychip.chips",
    "Profile": "anychip.profile",
    "Run": "anychip.run",
    "choose": "anychip.products.choose.asking",
    "on": "anychip.run",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
