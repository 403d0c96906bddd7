"""The compiled twin of a capture's hot path, found and checked once.

`SEAM` is None where it was not built (no C++ compiler, no headers of Python), where it was built from other
sources than those beside it, and where the environment says ``ANYCHIP_CAPTURE=python``: then the Python of
`dispatch`, `tensor`, `memory`, `places` and `recorder` does the same, more slowly.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import warnings
from pathlib import Path
from typing import Any


def _loaded() -> Any:
    if os.environ.get("ANYCHIP_CAPTURE") == "python":
        return None
    try:
        seam: Any = importlib.import_module("anychip.frontends.torch.native.seam")
    except ImportError:
        return None
    source = Path(__file__).parent / "seam.cpp"
    if source.exists() and seam.sources != hashlib.sha256(source.read_bytes()).hexdigest():
        warnings.warn(
            f"{source.parent}: the compiled seam was built from other sources than seam.cpp and is not used; "
            "build it again (python setup.py build_ext --inplace)",
            stacklevel=2,
        )
        return None
    return seam


#: The extension module, or None.
SEAM: Any = _loaded()


def connect(**objects: Any) -> None:
    """Hands objects of the Python side to the compiled one, by the names that it knows them under."""
    if SEAM is not None:
        SEAM.connect(objects)
