"""Module names are grouped as their user would group them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from anychip.profile.division import Division
from anychip.profile.layers import Spent, layers_of, path_of, top
from anychip.profile.profile import Layer
from anychip.programs.graph import Place


def spent(ticks: int) -> Spent:
    return Spent(Division(ideal=ticks), Counter({"forward": ticks}), bounds=Counter({"matrix": ticks}))


def names(layers: tuple[Layer, ...]) -> list[str]:
    return [name for layer in layers for name in (layer.name, *names(layer.parts))]


def test_a_sequential_keeps_unlike_parts_apart() -> None:
    times = {"0": 900, "1": 10, "2": 50}
    layers = layers_of((("net", index), spent(ticks)) for index, ticks in times.items())
    assert names(layers) == ["net", "net.0", "net.2", "net.1"]


def test_equal_indices_become_ranges_where_one_differs() -> None:
    times = {0: 100, 1: 100, 2: 100, 3: 900}
    layers = layers_of((("net", f"{i}", "fc"), spent(ticks)) for i, ticks in times.items())
    assert names(layers) == ["net", "net.3", "net.3.fc", "net.0-2", "net.0-2.fc"]


def test_nested_repetition_counts_all() -> None:
    places = [Place(f"m.layers.{i}.experts.{j}") for i in range(4) for j in range(8)]
    (layer,) = layers_of((path_of(place), spent(5)) for place in places)
    while layer.parts:
        (layer,) = layer.parts
    assert (layer.name, layer.count, layer.division.total) == ("m.layers.*.experts.*", 32, 160)


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("abc012"), max_size=4).map(".".join), st.integers(1, 1000)),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 12),
)
def test_nothing_is_lost(amounts: list[tuple[str, int]], rows: int) -> None:
    layers = layers_of((path_of(Place(module)), spent(ticks)) for module, ticks in amounts)
    whole = sum(ticks for _, ticks in amounts)
    assert sum(layer.division.total for layer in layers) == whole
    shown, hidden = top(layers, rows)
    assert sum(layer.division.total for layer in shown) + hidden == whole
    assert len(shown) <= rows
