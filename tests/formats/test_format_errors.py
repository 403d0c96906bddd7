"""Bad input to formats: one clear line each, tested whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anychip import formats
from anychip.errors import AnychipError
from anychip.formats import Float, Integer, Rounding, Scaled, compiled

CASES: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: formats.by_name("fp8_e4m3f"),
        'unknown format "fp8_e4m3f"; did you mean fp8_e4m3fn or fp8_e4m3fnuz?',
    ),
    (
        lambda: Float("none", 0, 99),
        "format none: exponent_bits is 0; choose 1 to 11; significand_bits is 99; choose 0 to 52",
    ),
    (
        lambda: Float("flat", 4, 0),
        "format flat: specials ieee needs a significand bit to tell NaN from infinity; choose fn or none",
    ),
    (
        lambda: Float("far", 8, 7, bias=5000),
        "format far: values reach from 2**-5006 to 2**-4746, double precision from 2**-1074 to 2**1023;"
        " change the bias",
    ),
    (
        lambda: formats.fp4_e2m1.round([1.0], overflow="infinity"),
        "format fp4_e2m1: overflow infinity asked, but it has no infinity; choose saturate",
    ),
    (
        lambda: formats.fp6_e2m3.round([1.0], overflow="nan"),
        "format fp6_e2m3: overflow or infinity to NaN asked, but it has no NaN; choose saturate",
    ),
    (
        lambda: Rounding("stochastic"),
        "rounding stochastic: no random bits given; use Rounding.stochastic(seed=...)",
    ),
    (lambda: Rounding.stochastic(seed=1, bits=40), "rounding stochastic: bits is 40; choose 1 to 32"),
    (
        lambda: Rounding.stochastic(seed=-1),
        "rounding stochastic: seed is -1; it must be from 0 to 2**64 - 1",
    ),
    (lambda: Rounding.by_name("stochastic"), "rounding stochastic: no seed given; say --seed N"),
    (
        lambda: Rounding.by_name("nearest"),
        'unknown rounding "nearest"; did you mean nearest-away or nearest-even?',
    ),
    (
        lambda: formats.bf16.round(np.array(["a"])),
        "format bf16: values are <U1, not real numbers; convert them first",
    ),
    (
        lambda: formats.bf16.decode(np.float32([1.0])),
        "format bf16: codes are float32, not integers; use encode",
    ),
    (
        lambda: formats.fp4_e2m1.decode(np.array([16])),
        "format fp4_e2m1: code 16 is not from 0 to 15; mask it first",
    ),
    (
        lambda: formats.bf16.round(np.zeros(3, np.float32), out=np.zeros(2, np.float32)),
        "format bf16: out is float32[2], but the result is float32[3]; give an array like that",
    ),
    (lambda: Integer("wide", 99), "format wide: bits is 99; choose 1 to 64"),
    (
        lambda: Scaled("odd", formats.fp4_e2m1, 16, scale=formats.fp8_e4m3fn),
        "format odd: scale rule floor does not fit a Float scale; choose amax",
    ),
    (
        lambda: formats.bf16.round([1.0], rounding="stochastic"),
        "rounding stochastic: no random bits given; use Rounding.stochastic(seed=...)",
    ),
    (
        lambda: formats.int8.round([1.0], rounding="upp"),
        'unknown rounding "upp"; did you mean up?',
    ),
    (
        lambda: formats.bf16.round([1.0], rounding=7),
        'rounding 7: not a rounding; give a name such as "nearest-even" or a Rounding',
    ),
    (
        lambda: formats.int8.round([1.0], overflow="infinity"),
        'unknown overflow rule of int8 "infinity"; known: saturate, wrap',
    ),
    (lambda: formats.bf16.round([1.0], rule="up"), "format bf16: rule is 'up'; give a CastRule"),
    (lambda: Scaled("empty", formats.fp4_e2m1, 0), "format empty: block is 0; choose at least 1"),
]


@pytest.mark.parametrize(("call", "message"), CASES, ids=range(len(CASES)))
def test_message(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(AnychipError) as caught:
        call()
    assert str(caught.value) == message


def test_unknown_path_names_those_that_work() -> None:
    with pytest.raises(AnychipError, match="unknown compiled path"):
        compiled.use("sve9")
