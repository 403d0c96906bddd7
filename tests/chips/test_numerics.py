"""Which arithmetic a chip can be asked for."""

from __future__ import annotations

import numpy as np
import pytest

from anychip import chips
from anychip.arithmetic import Scaling, Tiles, contract
from anychip.blocks import MatrixEngine
from anychip.chips.names import NAMES
from anychip.errors import AnychipError, InvalidDescription, NotModelled, UnknownName
from anychip.formats import Rounding, Stochastic, bf16, by_name, fp32


def test_neuron_casts_fp32_and_says_so() -> None:
    trn1 = chips.by_name("trn1")
    assert trn1.numerics_named().operand(fp32) == bf16
    assert trn1.numerics_named("fp32").operand(fp32) == fp32
    assert trn1.numerics_named("bf16") == trn1.numerics
    assert trn1.numerics_named("fp8").operand(bf16) == by_name("fp8_e4m3")
    assert isinstance(trn1.numerics.contraction(fp32).order, Tiles)
    assert "order of additions inside a tile of the array" in trn1.numerics.assumed


def test_gpus_keep_fp32_unless_asked() -> None:
    a100 = chips.by_name("a100")
    assert a100.numerics.operand(fp32) == fp32
    assert a100.numerics_named("tf32").operand(fp32) == by_name("tf32")
    assert chips.by_name("h100").numerics_named("fp8").operand(bf16) == by_name("fp8_e4m3fn")
    assert chips.by_name("mi300x").numerics_named("fp8").operand(bf16) == by_name("fp8_e4m3fnuz")


def test_a_numerics_that_the_chip_has_not() -> None:
    with pytest.raises(UnknownName) as caught:
        chips.by_name("t4").numerics_named("tf32")
    assert str(caught.value) == 'unknown numerics of t4 "tf32"; did you mean fp32?'
    with pytest.raises(UnknownName, match='unknown numerics of a100-40 "fp8"'):
        chips.by_name("a100-40").numerics_named("fp8")


def test_stochastic_only_where_a_document_says_so() -> None:
    chosen = chips.by_name("trn1").numerics_named("bf16", rounding="stochastic", seed=7)
    rounding = chosen.store(bf16).rounding
    assert isinstance(rounding, Stochastic)
    assert rounding.seed == 7
    with pytest.raises(NotModelled) as caught:
        chips.by_name("h100").numerics_named(rounding="stochastic", seed=7)
    assert str(caught.value) == (
        "chip h100: no document says that its hardware rounds stochastic; it rounds nearest-even; "
        "choose inf2, trn1, trn2 or trn3 for stochastic rounding"
    )
    with pytest.raises(NotModelled):
        chips.by_name("inf1").numerics_named(rounding="stochastic", seed=7)
    with pytest.raises(InvalidDescription, match="seed"):
        chips.by_name("trn1").numerics_named(rounding="stochastic")
    with pytest.raises(UnknownName):
        chips.by_name("trn1").numerics_named(rounding="stochastik")


def test_the_disputed_reading_differs_in_bits() -> None:
    trn1 = chips.by_name("trn1")
    rng = np.random.default_rng(3)
    a, b = (bf16.round(rng.standard_normal((8, 8)).astype(np.float32)) for _ in range(2))
    documented = contract(a, b, trn1.numerics.contraction(bf16))
    disputed = contract(a, b, trn1.numerics_named("rounded-products").contraction(bf16))
    assert not np.array_equal(documented, disputed)
    np.testing.assert_allclose(disputed, documented, atol=0.1)


def test_choices_join() -> None:
    trn1 = chips.by_name("trn1")
    joined = trn1.numerics_named("fp32+rounded-products+piecewise-curves")
    assert joined.name == "neuron2-fp32-rounded-products-piecewise-curves"
    assert joined.operand(fp32) == fp32
    assert joined.contraction(bf16).product == bf16
    assert joined.curves.name == "neuron-scalar-engine"
    assert trn1.numerics_named("rounded-products").curves.unit is None
    assert "number of segments, coefficients and steps of the Scalar engine's functions" in joined.assumed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "fp32+bf16",
            "numerics of trn1: fp32+bf16 joins fp32 and bf16, which both say what operands are cast to; name "
            "one of them, first, then rounded-products or piecewise-curves or tensor-scaled or "
            "delayed-scaled or block-scaled",
        ),
        (
            "fp32+piecewise",
            'unknown numerics of trn1 after fp32 "piecewise"; did you mean piecewise-curves?',
        ),
        (
            "piecewise-curves+piecewise-curves",
            "numerics of trn1: piecewise-curves+piecewise-curves names piecewise-curves twice; name it once",
        ),
    ],
)
def test_choices_that_do_not_join(name: str, message: str) -> None:
    with pytest.raises(AnychipError) as caught:
        chips.by_name("trn1").numerics_named(name)
    assert str(caught.value) == message


def test_scaled_operands_of_chips_that_multiply_fp8() -> None:
    trn2, h100 = chips.by_name("trn2"), chips.by_name("h100")
    assert trn2.numerics_named("fp8+block-scaled").scaling == Scaling("block")
    assert h100.numerics_named("fp8_e5m2+delayed-scaled").name == "gpu-fp8_e5m2-delayed-scaled"
    assert "fp8+tensor-scaled" not in chips.choices(chips.by_name("a100"))
    with pytest.raises(InvalidDescription) as caught:
        trn2.numerics_named("bf16+tensor-scaled")
    assert str(caught.value) == (
        "numerics neuron3-bf16: tensor-scaled scales operands once, as they are cast to 8 bits, which these "
        "are not; say fp8+tensor-scaled"
    )
    with pytest.raises(InvalidDescription, match="scales operands once"):
        trn2.numerics_named("fp8+tensor-scaled+block-scaled")


def test_piecewise_curves_only_where_ranges_are_published() -> None:
    offered = {name for name in NAMES if "piecewise-curves" in chips.choices(chips.by_name(name))}
    assert offered == {"inf2", "trn1", "trn2", "trn3"}


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_is_one_that_the_engines_take(name: str) -> None:
    chip = chips.by_name(name)
    rates = {
        key
        for engine in chip.engines.values()
        if isinstance(engine.block, MatrixEngine)
        for key in engine.block.rates
    }
    names = set()
    for choice, numerics in chips.choices(chip).items():
        assert chip.numerics_named(choice) == numerics
        assert numerics.operand(fp32).name in rates, f"{name}: {choice}"
        names.add(numerics.name)
    assert Rounding.NEAREST_EVEN.direction in chip.roundings
    distinct = set(chips.choices(chip).values())
    assert len(names) == len(distinct), f"{name}: two numerics under one label"
