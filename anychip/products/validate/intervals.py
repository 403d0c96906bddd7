"""How far predictions may be off: 80 % intervals for what was left out, and whether they hold.

Rows of one chip (or one model) share a bias, so an interval for the next chip has two parts: how far the
biases of chips lie apart, and how far rows lie from the bias of theirs. The first is the variance of the
biases with Student's quantile. Fewer than `_ENOUGH` chips say little about it: what they say is pooled with
what the other classes of the same file say, as a scaled inverse chi-square prior with `_PRIOR` degrees of
freedom; one chip borrows all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from statistics import NormalDist, fmean, median, variance

from anychip.products.validate.question import Measured

#: Share of rows that an interval is to hold.
_SHARE = 0.8
#: Rows that an interval needs.
_FEWEST = 20
#: Groups whose biases say enough by themselves; degrees of freedom that the pooled spread of biases has for
#: fewer, and that spread where no other class has one (natural logarithm).
_ENOUGH, _PRIOR, _USUAL = 3, 2, 0.1
_FAR = 3.0


@dataclass(frozen=True, slots=True)
class Interval:
    """Factors between measured and predicted that are to hold eight of ten rows of a chip or model not seen.

    Args:
        kind: class of operators or models.
        dtype: of operands.
        low: a measurement may be this much of the prediction.
        high: or this much.
        held: share of the rows, each group's in the interval of the others.
        rows: counted.
        groups: chips, or models where models were left out.
    """

    kind: str
    dtype: str
    low: float
    high: float
    held: float
    rows: int
    groups: int


_Groups = Mapping[str, Sequence[float]]


def intervals(rows: Iterable[Measured], axis: str | None = None) -> list[Interval]:
    """Of every class and format that two chips (or models) at least were measured in.

    Args:
        rows: with predictions.
        axis: what was left out, ``"chip"`` or ``"model"``; None: taken as chips.
    """
    found: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for row in rows:
        if not row.short:
            group = row.family if axis == "model" and row.family else row.chip
            found.setdefault((row.file, row.kind, row.dtype), {}).setdefault(group, []).append(-row.log_ratio)
    enough = {
        key: groups
        for key, groups in found.items()
        if len(groups) > 1 and sum(map(len, groups.values())) >= _FEWEST
    }
    spreads = {key: variance(_biases(groups)) for key, groups in enough.items()}
    made: list[Interval] = []
    for key, groups in sorted(enough.items(), key=lambda item: item[0][1:]):
        others = [spread for other, spread in spreads.items() if other != key]
        near = [spread for other, spread in spreads.items() if other != key and other[0] == key[0]]
        pooled = median(near if len(near) > 2 else others or [_USUAL**2])
        inside = 0
        for name, errors in groups.items():
            low, high = span({other: mine for other, mine in groups.items() if other != name}, pooled)
            inside += sum(low <= error <= high for error in errors)
        low, high = span(groups, pooled)
        count = sum(map(len, groups.values()))
        made.append(Interval(key[1], key[2], exp(low), exp(high), inside / count, count, len(groups)))
    return made


def together(spans: Sequence[Interval]) -> tuple[str, int]:
    """Per cent of the rows of all classes that their intervals held, and how many rows these are."""
    rows = sum(each.rows for each in spans)
    return f"{100 * sum(each.held * each.rows for each in spans) / rows:.0f}", rows


def span(groups: _Groups, pooled: float) -> tuple[float, float]:
    """Ends, as natural logarithms, between which eight of ten rows of one more group are expected.

    Args:
        groups: logarithms of measured over predicted.
        pooled: variance of biases in other classes.
    """
    biases, count = _biases(groups), len(groups)
    own = variance(biases) if count > 1 else 0.0
    prior = 0 if count >= _ENOUGH else _PRIOR
    degrees = prior + count - 1
    between = (prior * pooled + (count - 1) * own) / degrees
    half = sqrt(_within(groups, biases) ** 2 + student(degrees) ** 2 * (1 + 1 / count) * between)
    centre = fmean(biases)
    return centre - half, centre + half


def _biases(groups: _Groups) -> list[float]:
    """Of every group; one far from all others counts as far as `_FAR` deviations of theirs."""
    found = [median(errors) for errors in groups.values()]
    centre = median(found)
    # 1.4826 times the median distance is the deviation of a normal distribution.
    far = _FAR * 1.4826 * median(abs(bias - centre) for bias in found)
    if len(found) < _ENOUGH or not far:
        return found
    return [min(centre + far, max(centre - far, bias)) for bias in found]


def _within(groups: _Groups, biases: Sequence[float]) -> float:
    """Distance from their group's bias that eight of ten rows keep, every group weighing alike."""
    distances = sorted(
        (abs(error - bias), 1 / len(errors))
        for errors, bias in zip(groups.values(), biases, strict=True)
        for error in errors
    )
    reached = 0.0
    for distance, weight in distances:
        reached += weight
        if reached >= _SHARE * len(groups) - 1e-9:
            return distance
    return distances[-1][0]


def student(degrees: int) -> float:
    """Quantile of Student's distribution above which half of the rest lies, by Cornish and Fisher."""
    z = NormalDist().inv_cdf((1 + _SHARE) / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3
