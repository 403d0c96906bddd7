"""Time by the user's own module names, as a tree in which equal repeated modules are one.

``model.layers.0.mlp`` to ``model.layers.23.mlp`` become ``model.layers.*.mlp`` (24x). Repeated modules are
merged only if they contain the same names and cost about the same, so that the convolution, the activation
and the last layer of a ``Sequential`` stay apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from anychip.profile.division import Division
from anychip.profile.profile import Layer, Range
from anychip.programs.graph import Phase, Place

#: Two repeated modules are alike if their times differ by less: inner modules, and modules without parts.
_ALIKE_INNER, _ALIKE_LEAF = 1.5, 1.02
#: Share of the time that may disappear in "everything else" for the sake of more telling rows.
_LARGEST_HIDDEN = 0.1
#: The path of what calling compiled graphs costs.
CALLS = ("calls of compiled graphs",)


@dataclass(slots=True)
class Spent:
    """What was spent under one name."""

    division: Division = field(default_factory=Division)
    phases: Counter[Phase] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    bounds: Counter[str] = field(default_factory=Counter)
    macs: int = 0
    moved_bytes: int = 0
    energy_j: Range | None = None

    def add(self, other: Spent, plays: int = 1) -> None:
        """Adds `plays` times another."""
        empty = self.division.total == 0 and not self.bounds
        self.division = self.division + other.division.times(plays)
        for mine, theirs in (
            (self.phases, other.phases),
            (self.sources, other.sources),
            (self.bounds, other.bounds),
        ):
            for key, ticks in theirs.items():
                mine[key] += plays * ticks  # pyright: ignore
        self.macs += plays * other.macs
        self.moved_bytes += plays * other.moved_bytes
        energy = None if other.energy_j is None else other.energy_j.times(plays)
        if empty:
            self.energy_j = energy
        else:
            self.energy_j = None if energy is None or self.energy_j is None else self.energy_j + energy


@dataclass(slots=True)
class _Branch:
    own: Spent = field(default_factory=Spent)
    count: int = 1
    parts: dict[str, _Branch] = field(default_factory=dict)

    def total(self) -> int:
        return self.own.division.total + sum(part.total() for part in self.parts.values())

    def shape(self) -> tuple[object, ...]:
        return tuple(sorted((name, part.shape()) for name, part in self.parts.items()))

    def absorb(self, other: _Branch) -> None:
        self.own.add(other.own)
        self.count += other.count
        for name, part in other.parts.items():
            if name in self.parts:
                self.parts[name].absorb(part)
            else:
                self.parts[name] = part


def layers_of(spent: Iterable[tuple[tuple[str, ...], Spent]]) -> tuple[Layer, ...]:
    """The tree of layers, largest first at every level.

    Args:
        spent: what each path of names spent (see `path_of`); paths may repeat.
    """
    root = _Branch()
    for path, amount in spent:
        branch = root
        for part in path:
            branch = branch.parts.setdefault(part, _Branch())
        branch.own.add(amount)
    _merge_repeated(root)
    return _ranked(_layer(name, part) for name, part in root.parts.items())


def path_of(place: Place) -> tuple[str, ...]:
    """Names under which a place is shown, outermost first."""
    if place.phase == "optimizer":
        return (f"optimizer {place.module}".strip(),)
    if not place.module:
        return (place.source or f"outside modules ({place.phase})",)
    return tuple(place.module.split("."))


def _merge_repeated(branch: _Branch) -> None:
    for part in branch.parts.values():
        _merge_repeated(part)
    numbered = {name: part for name, part in branch.parts.items() if name.isdigit()}
    if len(numbered) < 2:
        return
    groups: list[tuple[list[str], _Branch, float]] = []
    for name in sorted(numbered, key=int):
        part = branch.parts.pop(name)
        ticks = part.total()
        limit = _ALIKE_INNER if part.parts else _ALIKE_LEAF
        for names, merged, typical in groups:
            small, large = sorted((ticks, typical))
            if part.shape() == merged.shape() and (large <= limit * small or large == 0):
                names.append(name)
                merged.absorb(part)
                break
        else:
            groups.append(([name], part, ticks))
    for names, merged, _ in groups:
        label = "*" if len(names) == len(numbered) else _ranges([int(name) for name in names])
        branch.parts[label] = merged


def _ranges(numbers: list[int]) -> str:
    """``[0, 1, 2, 4]`` as ``0-2,4``."""
    texts: list[str] = []
    start = previous = numbers[0]
    for number in [*numbers[1:], None]:
        if number is not None and number == previous + 1:
            previous = number
            continue
        texts.append(str(start) if start == previous else f"{start}-{previous}")
        if number is not None:
            start = previous = number
    return ",".join(texts)


def _layer(path: str, branch: _Branch) -> Layer:
    parts = _ranked(_layer(f"{path}.{name}", part) for name, part in branch.parts.items())
    whole = Spent()
    whole.add(branch.own)
    for part in _branches(branch):
        whole.add(part.own)
    return Layer(
        name=path,
        count=branch.count,
        phases=tuple(whole.phases.most_common()),
        source=_first(whole.sources),
        division=whole.division,
        bounds=tuple(whole.bounds.most_common()),
        macs=whole.macs,
        moved_bytes=whole.moved_bytes,
        energy_j=whole.energy_j,
        parts=parts,
    )


def _branches(branch: _Branch) -> Iterator[_Branch]:
    for part in branch.parts.values():
        yield part
        yield from _branches(part)


def _ranked(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    return tuple(_sorted(layers))


def _first(counter: Counter[str]) -> str:
    return max(counter, key=lambda name: counter[name]) if counter else ""


def belongs(place: Place, layer: Layer) -> bool:
    """Whether what happened at a place is part of a layer of a tree."""
    names, path = layer.name.removesuffix(" itself").split("."), path_of(place)
    if not place.module or place.phase == "optimizer":
        return path == (layer.name,)
    return len(path) >= len(names) and all(map(_matches, names, path))


def _matches(pattern: str, part: str) -> bool:
    if pattern == part or (pattern == "*" and part.isdigit()):
        return True
    if not part.isdigit() or pattern.strip("0123456789,-"):
        return False
    ranges = [piece.partition("-") for piece in pattern.split(",")]
    return any(int(low) <= int(part) <= int(high or low) for low, _, high in ranges)


def top(layers: tuple[Layer, ...], rows: int) -> tuple[tuple[Layer, ...], int]:
    """The most telling rows of a tree: the largest is opened as long as little is lost by it.

    A module with a single part, or that does nothing itself, gives way to its parts; what a module spent
    outside its parts is a row of its own.

    Args:
        layers: a level of the tree.
        rows: how many are wanted.

    Returns:
        rows, largest first, and the ticks of those that were left out.
    """
    shown = _sorted(layers)
    whole = sum(layer.division.total for layer in shown)
    kept: set[int] = set()
    while True:
        candidate = next((layer for layer in shown if layer.parts and id(layer) not in kept), None)
        if candidate is None or candidate.division.total * 20 < whole:
            break
        inside = _opened(candidate)
        opened = _sorted([layer for layer in shown if layer is not candidate] + inside)
        hidden = sum(layer.division.total for layer in opened[rows:])
        if len(inside) == 1 or hidden <= _LARGEST_HIDDEN * whole:
            shown = opened
        else:
            kept.add(id(candidate))
    return tuple(shown[:rows]), sum(layer.division.total for layer in shown[rows:])


def _sorted(layers: Iterable[Layer]) -> list[Layer]:
    return sorted(layers, key=lambda layer: (-layer.division.total, layer.name))


def _opened(layer: Layer) -> list[Layer]:
    own = layer.division - sum((part.division for part in layer.parts), Division())
    if not own.total:
        return list(layer.parts)
    itself = replace(
        layer,
        name=f"{layer.name} itself",
        parts=(),
        division=own,
        macs=layer.macs - sum(part.macs for part in layer.parts),
        moved_bytes=layer.moved_bytes - sum(part.moved_bytes for part in layer.parts),
        energy_j=None,
    )
    return [*layer.parts, itself]
