"""Options of a command and of the script that it runs, in any order."""

from __future__ import annotations

import pytest

from anychip.products.arguments import Parser
from anychip.products.choose.command import parser


def _divided(line: str) -> tuple[str, str]:
    mine, theirs = parser().divided(line.split(), scripts=("--phase", "--batch", "--context"))
    return " ".join(mine), " ".join(theirs)


@pytest.mark.parametrize(
    ("line", "mine", "theirs"),
    [
        ("train.py --steps 5", "train.py", "--steps 5"),
        ("--minimise cost train.py --lr 3 data/", "--minimise cost train.py", "--lr 3 data/"),
        ("train.py --minimise energy --steps 5 --all", "train.py --minimise energy --all", "--steps 5"),
        ("train.py --chips=aws --batch 8", "train.py --chips=aws", "--batch 8"),
        ("train.py --all -- --all --chips x", "train.py --all", "--all --chips x"),
        ("--model c.json --batch 8", "--model c.json --batch 8", ""),
        ("--wrong train.py", "--wrong train.py", ""),
    ],
)
def test_each_word_goes_where_it_belongs(line: str, mine: str, theirs: str) -> None:
    assert _divided(line) == (mine, theirs)


def test_an_option_without_its_value_is_left_to_the_parser() -> None:
    made = Parser("x", "y")
    made.add_argument("--chips")
    assert made.divided(["--chips"]) == (["--chips"], [])
