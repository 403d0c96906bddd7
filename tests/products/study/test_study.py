"""The rounding study: its prices, its page, its pictures, its mistakes."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from anychip.products.cli import main
from anychip.products.study.page import findings, losses, table
from anychip.products.study.pictures import lines, smoothed
from anychip.products.study.pricing import price_products
from anychip.products.study.training import SCRIPT, VARIANTS, Trained

TRAINED = [Trained("fp32", "trn1", 1e-3, seed, (3.0, 2.0), 2.0 + seed / 10) for seed in (0, 1)] + [
    Trained(name, "trn1", 1e-3, seed, (3.0, 2.0), loss + seed / 10)
    for name, loss in (("bf16 nearest", 2.5), ("bf16 stochastic", 2.25))
    for seed in (0, 1)
]


def test_products_by_format():
    """The array multiplies bf16 four times as fast as fp32; joules follow the facts' ratio."""
    prices = {each.name: each for each in price_products("trn1", side=2048)}
    assert {"fp32", "bf16", "fp8_e4m3"} <= prices.keys()
    assert "fp8_e4m3fn" not in prices  # only from Trainium3 on
    assert prices["bf16"].seconds < prices["fp32"].seconds / 2
    half, whole = prices["bf16"].engines_j, prices["fp32"].engines_j
    assert half is not None
    assert whole is not None
    assert half.value < whole.value
    assert half.low <= half.value <= half.high
    assert prices["bf16"].memory_bytes < prices["fp32"].memory_bytes


def test_losses_are_set_against_fp32():
    assert losses(TRAINED).splitlines()[-1] == "| bf16 stochastic | 2.3000 ± 0.071 (+0.2500) |"


def test_findings_follow_the_results():
    [line] = findings(TRAINED, [], [])
    assert line == (
        "Rate 0.001: bf16 rounded to nearest ends +0.5000 nats from fp32, rounded stochastically +0.2500."
    )


def test_table_is_markdown():
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n|---|---:|\n| 1 | 2 |"


def test_picture_is_svg():
    root = ElementTree.fromstring(
        lines("a < b", "x", "y", {"one": [(1, 1), (100, 3)], "two": [(1, 2), (100, 2)]})
    )
    assert root.tag.endswith("svg")
    assert len(root.findall("{*}polyline")) == 2


def test_smoothing_keeps_means():
    assert smoothed([1.0, 3.0, 5.0], 2) == [(1.0, 1.0), (2.0, 2.0), (3.0, 4.0)]


def test_the_script_is_there_and_every_variant_is_an_option():
    text = SCRIPT.read_text()
    assert all(f'"{variant.precision}"' in text for variant in VARIANTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["roundign"], 'unknown study "roundign"; did you mean rounding?'),
        (
            ["rounding", "--chip", "h100"],
            "chip h100: no document says that its hardware rounds stochastic",
        ),
        (["rounding", "--out", "/nowhere/at/all"], "/nowhere/at/all: cannot be made a folder"),
    ],
)
def test_mistakes(arguments, message, capsys):
    assert main(["study", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"anychip: {message}")
