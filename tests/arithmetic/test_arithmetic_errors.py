"""Bad input to arithmetic: one clear line each, tested whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anychip import formats
from anychip.arithmetic import (
    Contraction,
    Numerics,
    Reduction,
    Sequential,
    Tiles,
    contract,
    evaluate,
    neuron,
    reduce_sum,
    traced,
)
from anychip.errors import AnychipError

ONES = np.ones((2, 3), np.float32)
RULE = Contraction(formats.fp32)

CASES: list[tuple[Callable[[], Any], str]] = [
    (lambda: Tiles(0), "tiles: length is 0; choose at least 1"),
    (
        lambda: Contraction(formats.bf16, rounded="tile"),
        'contraction of bf16: rounded "tile", but the order is Sequential, which has no tiles;'
        " choose Tiles or Tree",
    ),
    (
        lambda: Contraction(formats.int8, formats.fp32),
        "contraction of int8: accumulator fp32 is of the other kind; choose int32",
    ),
    (
        lambda: Reduction(order=Sequential(), rounded="never"),  # type: ignore[arg-type]
        'reduction: rounded is "never"; choose add, tile or end',
    ),
    (
        lambda: contract(ONES, ONES, RULE),
        "contract: shapes [2, 3] and [2, 3]: 3 columns meet 2 rows; make them equal",
    ),
    (
        lambda: contract(ONES[0], ONES, RULE),
        "contract: shapes [3] and [2, 3]; both need at least two dimensions",
    ),
    (
        lambda: contract(ONES, ONES.T, RULE, start=ONES),
        "contract: start has shape [2, 3], the product [2, 2]; make them equal",
    ),
    (
        lambda: reduce_sum(ONES, 5, Reduction()),
        "sum: axis 5 of values with 2 dimensions; name one they have",
    ),
    (lambda: reduce_sum(ONES, (0, 0), Reduction()), "sum: axis (0, 0) names an axis twice; name each once"),
    (
        lambda: evaluate(traced(2, lambda x, y: x + y), (ONES,)),
        "recipe: 1 operands, but it takes 2; give those",
    ),
    (lambda: neuron(9), "numerics neuron: generation 9; choose 1 to 4"),
    (
        lambda: Numerics(name="x", operands=(("fp32", "bf16"),), contractions=(RULE,)),
        "numerics x: fp32 is read as bf16, but there is no contraction of bf16",
    ),
    (
        lambda: neuron(2).contraction(formats.fp8_e4m3fn),
        "numerics neuron2-bf16: no contraction of fp8_e4m3fn (stored as fp8_e4m3fn); it has fp32, tf32, bf16,"
        " fp16, fp8_e5m2, fp8_e3m4, fp8_e4m3, fp64, int4, int8, uint8, int16, int32, int64, bool;"
        " cast the tensors to one of them",
    ),
]


@pytest.mark.parametrize(("call", "message"), CASES, ids=range(len(CASES)))
def test_message(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(AnychipError) as caught:
        call()
    assert str(caught.value) == message
