"""Nests of basecamp: what they compute equals the whole operator, and no time beats the roofline."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anychip.arithmetic import contract
from anychip.chips.basecamp import basecamp
from anychip.compile.basecamp import nest_of
from anychip.compile.binding import bound
from anychip.errors import InvalidInput
from anychip.formats import bf16
from anychip.operators import meaning
from anychip.programs.graph import Node, View
from anychip.simulate.interpret import Interpreter, Stored
from anychip.simulate.machine import simulate_nest


def linear(m: int, n: int, k: int) -> Node:
    """``aten.addmm`` as a Linear calls it: weight transposed by strides."""
    inputs = (
        View(0, "bf16", (n,), (1,)),
        View(1, "bf16", (m, k), (k, 1)),
        View(2, "bf16", (k, n), (1, k)),
    )
    return Node("aten.addmm.default", (), inputs, (View(3, "bf16", (m, n), (n, 1)),))


@settings(max_examples=40)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 40),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 20),
)
def test_linear_by_instructions_equals_the_whole(
    m: int, n: int, k: int, rows: int, columns: int, tile: int
) -> None:
    """Also with cancelling data, where equal results mean equal accumulators."""
    chip = basecamp(rows=rows, columns=columns, depth_tile=tile)
    node = linear(m, n, k)
    (form,) = meaning(node)
    kernel = bound(nest_of(form, chip), node, 0)
    rng = np.random.default_rng(m * 1000 + n * 100 + k)
    x = bf16.round(rng.standard_normal((m, k)).astype(np.float32))
    x[:, k // 2 : 2 * (k // 2)] = -x[:, : k // 2]
    w = bf16.round(rng.standard_normal((n, k)).astype(np.float32))
    w[:, k // 2 : 2 * (k // 2)] = w[:, : k // 2]
    bias = bf16.round(rng.standard_normal(n).astype(np.float32))
    memory = {
        0: Stored.holding(bias),
        1: Stored.holding(x),
        2: Stored.holding(w),
        3: Stored.empty(m * n, "bf16"),
    }
    Interpreter(chip).run(kernel, memory)
    sums = contract(x, w.T, chip.numerics.contraction(bf16))
    expected = bf16.round((sums + bias).astype(np.float32))
    assert np.array_equal(memory[3].values.reshape(m, n), expected)
    span = simulate_nest(chip, kernel.nest)
    assert span.ideal_ticks <= span.ticks
    assert span.ticks == simulate_nest(chip, kernel.nest, skipping=False).ticks


def test_reading_what_nobody_wrote_is_an_error() -> None:
    chip = basecamp()
    node = linear(2, 2, 2)
    kernel = bound(nest_of(meaning(node)[0], chip), node, 0)
    memory = {i: Stored.empty(4, "bf16") for i in range(4)}
    with pytest.raises(InvalidInput, match="reads elements of in1 that nobody wrote"):
        Interpreter(chip).run(kernel, memory)


def test_equal_work_prints_equally() -> None:
    chip = basecamp()
    first, second = (nest_of(meaning(linear(6, 9, 12))[0], chip) for _ in range(2))
    assert first.digest == second.digest
