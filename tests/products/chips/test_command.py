"""What ``anychip chips`` prints: at most 100 columns, plain when piped, the same as JSON."""

from __future__ import annotations

import json
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from anychip import chips
from anychip.chips.names import NAMES
from anychip.products.chips import main
from anychip.products.cli import main as command_line


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(list(argv)) == 0
    return capsys.readouterr().out


def test_the_list_names_every_chip(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys)
    first = [line.split()[0] for line in text.splitlines() if line.strip()]
    assert set(NAMES) <= set(first)
    trn1 = next(line for line in text.splitlines() if line.startswith("trn1 "))
    assert trn1.split()[-7:] == ["190", "380i", "47.5", "32", "0.82", "-", "1.34"]


@pytest.mark.parametrize(
    "argv",
    [(), *(("show", name) for name in NAMES), ("compare", "trn1", "inf2", "a10g", "graviton3", "h100", "t4")],
)
def test_width_and_plainness(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *argv)
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_show_tells_sources_ranges_and_what_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "show", "trn2")
    assert "2.9 TB/s  (2.9 to 3)" in text
    assert "thermal design power: not published" in text
    assert "price: none in the snapshot for trn2.48xlarge" in text
    chip = chips.by_name("trn2")
    flowed = " ".join(text.split())
    for _, fact in chip.all_facts():
        assert " ".join(fact.source.where.split()) in flowed, f"source not listed: {fact.source.where}"


def test_a_chip_alone_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "trn1") == printed(capsys, "show", "Trainium1")


def test_a_chip_of_the_users_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mychip.py"
    file.write_text("from anychip.chips.basecamp import basecamp\nchip = basecamp(rows=8, columns=8)\n")
    text = printed(capsys, "show", str(file))
    assert "OuterProductArray" in text
    assert "chosen" in text


def test_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "compare", "trn1", "h100")
    rows = {line[:25].strip(): line[25:].split() for line in text.splitlines()}
    assert rows["16-bit"] == ["190", "989"]
    assert rows["thermal design power"] == ["-", "700"]
    assert rows["cheapest instance"] == ["trn1.2xlarge", "p5.4xlarge"]
    assert "█" in text


def test_json_holds_the_same_facts(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(printed(capsys, "--json"))
    assert (listed["schema"], listed["version"], listed["view"]) == ("anychip.chips", 1, "list")
    assert [entry["name"] for entry in listed["chips"]] == list(NAMES)
    (shown,) = json.loads(printed(capsys, "show", "trn1", "--json"))["chips"]
    assert shown["blocks"]["hbm"]["type"] in ("Memory", "Link")
    assert shown["facts"]["peak.bf16"]["value"] == 190e12
    assert shown["limit_w"] is None
    compared = json.loads(printed(capsys, "compare", "trn1", "trn2", "--json"))["chips"]
    trn1, trn2 = compared
    assert trn2["usd_per_chip_hour"] is None
    assert trn1["usd_per_petaflop_hour"] == pytest.approx(
        trn1["usd_per_chip_hour"] / (trn1["achieved_operations_per_second"] / 1e15)
    )


class Tags(HTMLParser):
    """Counts elements and collects what could ask the network for something."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] += 1
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.outside += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_self_contained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["trn1", "h100", "graviton3", "basecamp", "tpu-v4", "mi300x", "inf1", "gaudi3"]
    page = tmp_path / "compare.html"
    text = printed(capsys, "compare", *names, "--html", str(page))
    assert "achieved" in text
    tags = Tags()
    tags.feed(page.read_text(encoding="utf-8"))
    assert not tags.open
    assert not tags.outside
    assert tags.counts["polyline"] == len(names), "one roofline a chip"
    assert tags.counts["svg"] == 5
    for name in names:
        assert page.read_text().count(f">{name}<") >= 2
    assert [path.name for path in tmp_path.iterdir()] == ["compare.html"]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "basecamp"])
def test_nothing_achieves_more_than_its_peak(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (entry, _) = json.loads(printed(capsys, "compare", name, "basecamp", "--json"))["chips"]
    peak = entry["peak_operations_per_second"]["16-bit"]["value"]
    assert 0 < entry["achieved_operations_per_second"] <= peak


def test_own_prices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "my.csv"
    table.write_text("instance,usd_per_hour\ntrn2.48xlarge,40\n")
    (entry,) = json.loads(printed(capsys, "show", "trn2", "--json", "--prices", str(table)))["chips"]
    assert entry["usd_per_chip_hour"] == 2.5


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["show", "tranium1"],
            'anychip: unknown chip "tranium1"; did you mean trainium1 (trn1)?  `anychip chips` lists all.\n',
        ),
        (["show"], "anychip chips show: which chip? for example `anychip chips show trn1`"),
        (["compare", "trn1"], "anychip chips compare: trn1 with what? name at least two chips"),
        (["shw", "trn1"], 'unknown action or chip "shw"; did you mean show'),
        (["show", "trn1", "--html", "a.html"], "pictures need a comparison"),
        (["compare", "trn1", "inf2", "--html", "no/a.html"], "folder no does not exist"),
        (["--jsn"], 'unknown option of anychip chips "--jsn"; did you mean --json?'),
        (["--prices", "nowhere.csv"], "nowhere.csv: No such file or directory"),
    ],
)
def test_mistakes_are_one_line(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["chips", *argv]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
