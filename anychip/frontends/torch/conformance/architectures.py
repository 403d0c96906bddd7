"""``anychip conformance transformers``: every architecture that transformers can build offline, made tiny.

The list comes from transformers' own mapping of configurations to models. A configuration is shrunk by the
meaning of its fields' names, nested ones too, several ways one after another; inputs are made from the
forward function's signature. What runs a training step on the CPU in one of these ways counts; what does not
is listed as excluded with the last reason.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

from anychip.errors import MissingTool
from anychip.frontends.torch.conformance import vision_library
from anychip.frontends.torch.conformance.by_hand import BY_HAND
from anychip.frontends.torch.conformance.inputs import adapted_inputs, candidate_inputs
from anychip.frontends.torch.conformance.results import (
    Case,
    Report,
    one_line,
    run_isolated,
    say,
    taken,
    versions,
)
from anychip.frontends.torch.conformance.shrinking import WAYS, shrunk
from anychip.frontends.torch.conformance.training_step import CannotRun, compare
from anychip.frontends.torch.device import install

#: Gives the case of a model with its inputs; raises `CannotRun` where the CPU fails.
Judge = Callable[[str, Any, dict[str, Any]], Case]

_TIMEOUT_S = 90.0
#: For finding a configuration and inputs that the CPU runs.
_SEARCH_S = 25.0
#: Inputs derived from one by what its errors ask for.
_MOST_ADAPTED = 6
_MOST_PARAMETERS = 110_000_000


def run(
    *,
    limit: int | None = None,
    jobs: int = 1,
    only: str | None = None,
    progress: Callable[[Report], None] | None = None,
    judge: Judge = compare,
) -> Report:
    """Runs the suite.

    Args:
        limit: so many architectures, taken evenly; None: all.
        jobs: processes at a time.
        only: architectures whose name contains this.
        progress: gets what is known after every architecture, so that a stopped run still has counts.
        judge: gives the case of a model with its inputs.

    Raises:
        MissingTool: transformers is not installed.
    """
    with contextlib.suppress(ImportError):  # architectures that need it are excluded then
        vision_library.prepare()
    modeling_auto = prepare()
    # Imported once here, not in every fork.
    for family in ("llama", "bert", "vit", "t5", "clip", "wav2vec2"):
        importlib.import_module(f"transformers.models.{family}.modeling_{family}")
    names = taken(sorted(modeling_auto.MODEL_MAPPING_NAMES), only, limit)
    say(f"transformers: {len(names)} architectures")
    start = time.monotonic()
    installed = versions("torch", "transformers")
    cases: list[Case] = []

    def report() -> Report:
        known = tuple(sorted(cases, key=lambda case: case.name))
        return Report("transformers", installed, known, time.monotonic() - start, planned=len(names))

    for case in run_isolated(
        names, lambda name: [_architecture(name, judge)], timeout_s=_TIMEOUT_S, jobs=jobs
    ):
        cases.append(case)
        if progress is not None:
            progress(report())
    return report()


def prepare() -> Any:
    """transformers' mapping of configurations to models, with the device installed and one thread to work in.

    Raises:
        MissingTool: transformers is not installed.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    try:
        from transformers.models.auto import modeling_auto
    except ImportError as error:
        raise MissingTool(f"conformance transformers: {error}; pip install transformers") from error
    install()
    torch.set_num_threads(1)
    return modeling_auto


def _architecture(name: str, judge: Judge) -> Case:
    warnings.simplefilter("ignore")
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    try:
        config_class = CONFIG_MAPPING[name]
        model_class: Any = MODEL_MAPPING[config_class]
        if isinstance(model_class, (tuple, list)):
            model_class = model_class[0]
        has_forward = model_class.forward is not torch.nn.Module.forward
    except Exception as error:  # noqa: BLE001  # optional packages of an architecture
        return Case(name, "excluded", one_line(error))
    if not has_forward:
        return Case(name, "excluded", f"{model_class.__name__} has no forward function")
    reasons: list[str] = []
    ran: list[str] = []
    if name in BY_HAND:
        fields, inputs_of = BY_HAND[name]
        torch.manual_seed(0)
        try:
            return judge(
                name,
                model_class(config_class(**fields)).float(),
                inputs_of(torch.Generator().manual_seed(0)),
            )
        except Exception as error:  # noqa: BLE001  # another version's configuration: the rules may fit
            ran.append(one_line(error))
    ends = time.monotonic() + _SEARCH_S
    for way in WAYS:
        if time.monotonic() > ends:
            break
        try:
            config = shrunk(config_class, way)
            with torch.device("meta"):
                size = sum(p.numel() for p in model_class(copy_of(config)).parameters())
            if size > _MOST_PARAMETERS:
                reasons.append(f"{size:,} parameters")
                continue
            torch.manual_seed(0)
            model = model_class(config).float()
        except Exception as error:  # noqa: BLE001  # this way does not fit this configuration
            reasons.append(one_line(error))
            continue
        unmoved: set[str] = set()  # errors that other extents of inputs do not change
        for inputs in candidate_inputs(model, config):
            waiting = [(inputs, "")]
            for attempt, cause in waiting:
                if time.monotonic() > ends:
                    break
                try:
                    return judge(name, model, attempt)
                except CannotRun as error:
                    reason = str(error)
                    ran.append(reason)
                    if reason == cause:
                        unmoved.add(reason)
                    if len(waiting) < _MOST_ADAPTED and reason not in unmoved:
                        waiting += [(each, reason) for each in adapted_inputs(attempt, config, reason)]
    return Case(name, "excluded", (ran or reasons or ["no way of shrinking its configuration works"])[0])


def copy_of(config: Any) -> Any:
    """A configuration that a model may change."""
    return type(config).from_dict(config.to_dict())
