"""torchvision beside a PyTorch it was not built for: importable, without its compiled operators.

timm and the models of transformers that use it import torchvision for pure Python alone (frozen batch
normalisation, feature extraction). A wheel built against PyTorch's CUDA libraries cannot load its compiled
part beside the CPU wheel, and then its import fails for want of two operator names. Those names are declared
here, as its compiled part would; calling them raises PyTorch's own error of a missing kernel. Only the
conformance command does this; scripts meet torchvision as it is.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder

import torch

#: What torchvision describes without asking whether its compiled part was loaded.
_DECLARED = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None


def prepare() -> bool:
    """Imports torchvision, with its two operators declared where its compiled part does not load.

    Returns:
        Whether operators were declared in its compiled part's place.

    Raises:
        ImportError: torchvision is not installed.
    """
    global _library
    if importlib.util.find_spec("torchvision") is None:
        raise ImportError("No module named 'torchvision'", name="torchvision")
    if "torchvision" in sys.modules:
        return _library is not None
    if _compiled_part_loads():
        importlib.import_module("torchvision")
        return False
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _DECLARED:
        _library.define(schema)
    importlib.import_module("torchvision")
    return True


def _compiled_part_loads() -> bool:
    package = importlib.util.find_spec("torchvision")
    compiled = PathFinder.find_spec("_C", package.submodule_search_locations) if package is not None else None
    if compiled is None or compiled.origin is None:
        return False
    try:
        torch.ops.load_library(compiled.origin)
    except OSError:
        return False
    return True
