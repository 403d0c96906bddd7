"""A fused kernel is shared among the places it serves, to the tick."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anychip.chips import by_name
from anychip.profile.division import Division
from anychip.profile.sharing import Share, Sharing, apportioned
from anychip.programs.graph import Node, Place, Segment, Value, View
from anychip.programs.program import Kernel, Nest

NEST = Nest("block", (), (), ())


def added(rows: int, module: str, value: int) -> Node:
    view = View(value, "fp32", (rows, 64), (64, 1))
    return Node("aten.add.Tensor", (), (view, view), (view,), Place(module))


@given(
    st.lists(st.floats(0.001, 1), min_size=1, max_size=8),
    st.builds(Division, *(st.integers(0, 10**9) for _ in range(6))),
)
def test_pieces_add_up(weights: list[float], division: Division) -> None:
    whole = sum(weights)
    shares = tuple(Share(Place(str(i)), weight / whole) for i, weight in enumerate(weights))
    pieces = [piece for _, piece in apportioned(division, shares)]
    assert sum(pieces, Division()) == division
    assert all(min(getattr(piece, name) for name in piece.__slots__) >= 0 for piece in pieces)
    for piece, share in zip(pieces, shares, strict=True):
        assert abs(piece.ideal - share.time * division.ideal) <= 1.001


def test_operators_get_what_they_need() -> None:
    segment = Segment((Value(0, 0, 1 << 20),), (added(3000, "big", 0), added(1000, "small", 0)))
    shares = Sharing(by_name("trn1")).shares(segment, Kernel(NEST, (), (0, 1), segment.nodes[0].place))
    assert [share.place.module for share in shares] == ["big", "small"]
    assert [share.time for share in shares] == pytest.approx([0.75, 0.25])
    assert sum(share.moved for share in shares) == pytest.approx(1)


def test_one_place_has_it_all() -> None:
    segment = Segment((Value(0, 0, 1 << 20),), (added(8, "a", 0), added(9, "a", 0)))
    assert Sharing(by_name("trn1")).shares(segment, Kernel(NEST, (), (0, 1), Place("a"))) == (
        Share(Place("a")),
    )
