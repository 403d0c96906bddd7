"""The order in which a sum is taken, and when it is rounded; data, shared by contractions and reductions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from anychip.errors import InvalidDescription

#: When the accumulator's format is imposed: after every addition, after every tile (the tile itself is
#: summed exactly together with the accumulator), or once at the end of an exact sum.
Rounded = Literal["add", "tile", "end"]


@dataclass(frozen=True, slots=True)
class Sequential:
    """One addition after the other, first element first."""

    @property
    def run(self) -> int | None:
        """Cuts may fall on multiples of this; None: nowhere."""
        return 1


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tiles of `length` summed one element after the other from zero, then added in order."""

    length: int

    def __post_init__(self) -> None:
        _positive("tiles", "length", self.length)

    @property
    def run(self) -> int | None:
        """Cuts may fall on multiples of this; None: nowhere."""
        return self.length


@dataclass(frozen=True, slots=True)
class Tree:
    """Groups of `width` summed by a tree of adjacent pairs, then added in order.

    An odd one at the end of a level goes up unchanged; the last group may be short.
    """

    width: int

    def __post_init__(self) -> None:
        _positive("tree", "width", self.width)

    @property
    def run(self) -> int | None:
        """Cuts may fall on multiples of this; None: nowhere."""
        return self.width


@dataclass(frozen=True, slots=True)
class Pairwise:
    """One tree of adjacent pairs over the whole length."""

    @property
    def run(self) -> int | None:
        """Cuts may fall on multiples of this; None: nowhere."""
        return None


@dataclass(frozen=True, slots=True)
class Lanes:
    """Element `i` is added to lane ``i mod width``; at the end the lanes are summed by a tree."""

    width: int

    def __post_init__(self) -> None:
        _positive("lanes", "width", self.width)

    @property
    def run(self) -> int | None:
        """Cuts may fall on multiples of this; None: nowhere."""
        return None


Order = Sequential | Tiles | Tree | Pairwise | Lanes


def check_rounded(where: str, order: Order, rounded: str) -> None:
    """Raises InvalidDescription unless sums in `order` can be rounded then."""
    if rounded not in ("add", "tile", "end"):
        raise InvalidDescription(f'{where}: rounded is "{rounded}"; choose add, tile or end')
    if rounded == "tile" and not isinstance(order, Tiles | Tree):
        raise InvalidDescription(
            f'{where}: rounded "tile", but the order is {type(order).__name__}, which has no tiles;'
            " choose Tiles or Tree"
        )


def _positive(order: str, field: str, value: int) -> None:
    if value < 1:
        raise InvalidDescription(f"{order}: {field} is {value}; choose at least 1")
