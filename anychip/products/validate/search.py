"""The constants with the least error: damped least squares that forgets outliers, from the best start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
#: Errors beyond which a row pulls with constant force, and beyond which with none.
_LINEAR, _OUTLIER = 0.04, 1.0
#: Relative step of the numeric derivatives: wide, since the choice among tiles jumps.
_STEP = 0.06
#: Most rounds, and by which part the last ones have to reduce the loss each for another to follow.
_ROUNDS, _FEWEST_ROUNDS, _WORTH = 9, 5, 0.01


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a constant may lie.

    Args:
        start: neutral value that the search begins with; no fitted one.
        low: least.
        high: greatest.
        other: a second value to begin with, for constants that decide which kernel is taken: errors jump with
            it, so that no slope leads from one valley to the next. The search begins with the better one.
    """

    start: float
    low: float
    high: float
    other: float | None = None


def least(
    errors: Callable[[Mapping[str, float]], Vector],
    bounds: Mapping[str, Bounds],
    weights: Vector,
    prior: float,
) -> dict[str, float]:
    """Constants for which the weighted mean of absolute errors, with what the prior adds, is smallest.

    Args:
        errors: predicted over measured, less one: what is reported; one a row.
        bounds: of every constant.
        weights: of the rows.
        prior: mean absolute error that a constant has to save before it leaves its neutral value for the end
            of its range: constants that the rows hardly decide stay near what was known before.
    """
    names = tuple(bounds)
    low: Vector = np.log([bounds[name].low for name in names])
    high: Vector = np.log([bounds[name].high for name in names])

    def at(where: NDArray[Any]) -> Vector:
        return errors(dict(zip(names, np.exp(where).tolist(), strict=True)))

    neutral: Vector = np.log([bounds[name].start for name in names])
    held = 2 * prior / (high - low) ** 2

    def loss(found: Vector, where: NDArray[Any]) -> float:
        far = (where - neutral) / (high - low)
        return float(np.sum(weights * np.minimum(np.abs(found), _OUTLIER)) + prior * np.sum(far * far))

    starts = product(
        *((each.start,) if each.other is None else (each.start, each.other) for each in bounds.values())
    )
    tried_starts = [(start, at(np.log(start))) for start in starts]
    begun, now = min(tried_starts, key=lambda each: loss(each[1], np.log(each[0])))
    place: Vector = np.log(begun)
    best, damping = loss(now, place), 0.1
    for turn in range(_ROUNDS):
        before = best
        step = _STEP if turn < _ROUNDS - 2 else _STEP / 2
        columns: list[Vector] = []
        for index in range(len(names)):
            there = place.copy()
            up = there[index] + step <= high[index]
            there[index] += step if up else -step
            columns.append((at(there) - now) / (step if up else -step))
        slopes = np.stack(columns, axis=1)
        force = weights / np.maximum(np.abs(now), _LINEAR) * (np.abs(now) < _OUTLIER)
        matrix = slopes.T @ (slopes * force[:, None]) + np.diag(held)
        pull = slopes.T @ (force * now) + held * (place - neutral)
        moved = False
        for _ in range(4):
            # Damping towards standing still: constants that no row decides stay where they are.
            damped = matrix + damping * np.diag(np.diag(matrix) + 0.02 * np.trace(matrix) / len(names))
            try:
                tried: Vector = np.clip(place - np.linalg.solve(damped, pull), low, high)
            except np.linalg.LinAlgError:
                damping *= 4
                continue
            found = at(tried)
            if loss(found, tried) < best * 0.9995:
                place, now, best, moved = tried, found, loss(found, tried), True
                damping = max(damping / 4, 1e-3)
                break
            damping *= 4
        if (not moved and turn >= 2) or (turn + 1 >= _FEWEST_ROUNDS and best > (1 - _WORTH) * before):
            break
    return dict(zip(names, np.exp(place).tolist(), strict=True))
