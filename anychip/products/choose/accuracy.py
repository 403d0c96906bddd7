"""Does low precision hurt? The script's own last figure, and what it brings to the host, per arithmetic.

The reference is the script in PyTorch's own arithmetic on this machine: fp32 wherever the script says fp32.
Each arithmetic then runs the whole script again, in a process of its own, with the same seed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anychip.errors import AnychipError, InvalidInput

#: Fetched elements that are kept for comparison; later ones are not looked at.
_KEPT_ELEMENTS = 16 * 2**20
_SEED = 7
_FIGURE = re.compile(r"([A-Za-z][A-Za-z_ ./-]*?)\s*[:=]?\s+(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(\s*%)?")
#: Words of figures that tell of speed or progress, not of results.
_NO_RESULT = re.compile(
    r"(?i)\b(ms|us|s|sec|secs|seconds?|time|took|latency|elapsed|rate|throughput|speed|tokens|samples|images|"
    r"steps?|epochs?|iter(ation)?s?|lr|memory|mib|gib|parameters|params|batch|p50|p90|p99|median)\b"
)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What one arithmetic does to a script's results.

    Args:
        metric: name of the last figure that the script prints; None if it prints none.
        value: of it.
        reference: the same figure in PyTorch's arithmetic.
        output_error: of all that the script brings to the host, ``|a - b| / |b|`` with b the reference; None
            where shapes or numbers of elements differ (text that was generated differently, say).
        overflowed: infinities or NaN stand where the reference has numbers.
        stopped_after_s: the run was stopped after so long, so that nothing is known; None if it ended.
    """

    metric: str | None
    value: float | None
    reference: float | None
    output_error: float | None
    overflowed: bool = False
    stopped_after_s: float | None = None


class TooLong(AnychipError):
    """A run that did not end within its limit."""


def last_figure(output: str) -> tuple[str, float] | None:
    """The last named number that a script printed and that is a result, not a speed.

    Percentages become fractions. ``loss 4.08`` and ``accuracy: 93 %`` are such figures.
    """
    for line in reversed(output.splitlines()):
        for name, number, percent in reversed(_FIGURE.findall(line)):
            words = name.strip()
            if not _NO_RESULT.search(words):
                return words, float(number) / (100 if percent else 1)
    return None


def measured(
    script: str, arguments: Sequence[str], chip: str | None, numerics: str, limit_s: float | None = None
) -> tuple[str, np.ndarray[Any, Any]]:
    """Runs the script in an own process: what it printed, and the numbers that it brought to the host.

    Args:
        script: its path.
        arguments: its own.
        chip: a name of the catalogue; None for PyTorch's arithmetic on this machine.
        numerics: a choice of the chip.
        limit_s: longest time of the run; None for none.

    Raises:
        InvalidInput: the script failed.
        TooLong: it did not end in time; the process is gone.
    """
    where = "PyTorch's arithmetic" if chip is None else f"{chip}'s arithmetic {numerics}"
    with tempfile.TemporaryDirectory() as folder:
        request = json.dumps([script, list(arguments), chip, numerics, os.path.join(folder, "fetched.npy")])
        code = f"from {__name__} import work; work({request!r})"
        command = [sys.executable, "-c", code]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=limit_s)
        except subprocess.TimeoutExpired as error:
            raise TooLong(
                f"{script}: not done after {limit_s:g} s in {where}; give its options that shorten it, or a "
                "longer --accuracy-limit"
            ) from error
        if done.returncode:
            told = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise InvalidInput(f"{script}: failed in {where}: {told}")
        return done.stdout, np.load(os.path.join(folder, "fetched.npy"))


def compared(
    reference: tuple[str, np.ndarray[Any, Any]], found: tuple[str, np.ndarray[Any, Any]]
) -> Accuracy:
    """One arithmetic's results beside the reference's."""
    figure, base = last_figure(found[0]), last_figure(reference[0])
    if figure is None or base is None or figure[0] != base[0]:
        metric = value = expected = None
    else:
        (metric, value), expected = figure, base[1]
    if found[1].shape != reference[1].shape or not reference[1].size:
        return Accuracy(metric, value, expected, None)
    finite = np.isfinite(reference[1])
    if not np.isfinite(found[1][finite]).all():
        return Accuracy(metric, value, expected, None, overflowed=True)
    norm = float(np.linalg.norm(reference[1][finite]))
    difference = float(np.linalg.norm(found[1][finite] - reference[1][finite]))
    return Accuracy(metric, value, expected, difference / norm if norm else None)


def work(request: str) -> None:
    """One run in a process of its own; `measured` asks for it."""
    from anychip.frontends.torch.observed import fetched_numbers

    script, arguments, chip, numerics, target = json.loads(request)
    with fetched_numbers(_KEPT_ELEMENTS, seed=_SEED) as numbers:
        try:
            _play(script, arguments, chip, numerics)
        except AnychipError as error:
            sys.exit(str(error))
    np.save(target, numbers())


def _play(script: str, arguments: Sequence[str], chip: str | None, numerics: str) -> None:
    from anychip import chips
    from anychip.run import Settings, captured_script, run_script

    if chip is None:
        captured_script(script, arguments)
        return
    ended = run_script(script, arguments, Settings(chip=chips.find(chip), numerics=numerics, seed=_SEED))
    if ended.error is not None:
        raise ended.error
    if ended.exit_code:
        sys.exit(ended.exit_code)
