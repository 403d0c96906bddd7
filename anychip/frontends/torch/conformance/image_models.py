"""``anychip conformance timm``: one model of every family that timm builds, with random weights."""

from __future__ import annotations

import time
import warnings
from typing import Any

import torch

from anychip.errors import MissingTool
from anychip.frontends.torch.conformance import vision_library
from anychip.frontends.torch.conformance.results import (
    Case,
    Report,
    one_line,
    run_isolated,
    say,
    taken,
    versions,
)
from anychip.frontends.torch.conformance.training_step import CannotRun, compare
from anychip.frontends.torch.device import install

_MOST_PARAMETERS = 60_000_000
#: Words by which timm names its smaller models, the smallest first.
_SMALL = (
    "test",
    "zepto",
    "atto",
    "femto",
    "pico",
    "nano",
    "tiny",
    "xxs",
    "xs",
    "mini",
    "small",
    "lite",
    "_s",
)
_SIDES = (64, 96, 128, 224)


def run(*, limit: int | None = None, jobs: int = 1, only: str | None = None) -> Report:
    """Runs the suite: for every module of timm its first model small enough.

    Args:
        limit: so many families, taken evenly; None: all.
        jobs: processes at a time.
        only: families whose name contains this.

    Raises:
        MissingTool: timm or the torchvision it needs is not installed.
    """
    try:
        vision_library.prepare()
        import timm  # pyright: ignore[reportMissingImports]
    except (ImportError, RuntimeError) as error:
        raise MissingTool(
            f"conformance timm: {error}; pip install --no-deps timm torchvision pillow"
        ) from error
    install()
    torch.set_num_threads(1)
    families = taken(timm.list_modules(), only, limit)
    say(f"timm: {len(families)} families")
    start = time.monotonic()
    cases = list(run_isolated(families, lambda name: [_family(timm, name)], timeout_s=180.0, jobs=jobs))
    ordered = tuple(sorted(cases, key=lambda case: case.name))
    return Report("timm", versions("torch", "timm", "torchvision"), ordered, time.monotonic() - start)


def _family(timm: Any, family: str) -> Case:
    warnings.simplefilter("ignore")
    reason = f"no model of at most {_MOST_PARAMETERS:,} parameters"
    sized: list[tuple[int, str]] = []
    for name in sorted(timm.list_models(module=family), key=_likely_size)[:12]:
        try:
            with torch.device("meta"):
                sized.append((sum(p.numel() for p in timm.create_model(name).parameters()), name))
        except Exception as error:  # noqa: BLE001  # models that need more than arguments
            reason = one_line(error)
    for size, name in sorted(sized)[:2]:
        if size > _MOST_PARAMETERS:
            break
        for side in _SIDES:
            try:
                torch.manual_seed(0)
                model = _built(timm, name, side)
                return compare(f"{family}: {name}", model, {"x": torch.randn(2, 3, side, side)})
            except CannotRun as error:
                reason = str(error)
            except Exception as error:  # noqa: BLE001  # does not take this image size
                reason = one_line(error)
    return Case(family, "excluded", reason)


def _likely_size(name: str) -> tuple[int, str]:
    return next((rank for rank, word in enumerate(_SMALL) if word in name), len(_SMALL)), name


def _built(timm: Any, name: str, side: int) -> Any:
    try:
        return timm.create_model(name, num_classes=10, img_size=side)
    except TypeError:
        return timm.create_model(name, num_classes=10)
