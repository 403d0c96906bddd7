"""Instances, prices and grid intensity: the packaged snapshot, and files put over it."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anychip.chips import grid
from anychip.chips.instances import TERMS, Market, snapshot
from anychip.chips.names import NAMES
from anychip.chips.prices import read, table_of, with_prices
from anychip.errors import InvalidInput, UnknownName


def test_published_prices() -> None:
    """Prices that were read in the clouds' own lists, to the cent."""
    read = {
        "inf2.xlarge": 0.7582,
        "trn1.2xlarge": 1.34375,
        "trn1.32xlarge": 21.5,
        "g5.xlarge": 1.006,
        "g6.xlarge": 0.8048,
        "p5.48xlarge": 55.04,
        "p6-b200.48xlarge": 113.9328,
        "Standard_ND96isr_H100_v5": 98.32,
    }
    for name, usd in read.items():
        price = snapshot().named(name).price()
        assert price is not None
        assert price.value == pytest.approx(usd, abs=1e-5)
        assert price.source.read_on.startswith("2026-")
    spot = snapshot().named("a3-highgpu-8g").price("spot")
    assert spot is not None
    assert spot.value == pytest.approx(50.61, abs=0.01)


def test_every_row_is_usable() -> None:
    for instance in snapshot().instances:
        assert instance.chip in NAMES
        assert instance.chips > 0
        assert 0 < instance.chip_share <= 1
        assert set(instance.usd_per_hour) <= set(TERMS)
        for fact in instance.usd_per_hour.values():
            assert fact.value > 0
            assert fact.source.where.strip()


def test_no_price_is_none_and_never_zero() -> None:
    market = snapshot()
    assert market.cheapest("trn2") is None
    assert market.smallest("trn2", count=16) is not None
    assert market.named("trn2.48xlarge").price() is None
    assert market.of_chip("trn3") == ()
    assert market.cheapest("gaudi2") is None


@given(st.sampled_from(sorted(NAMES)), st.integers(1, 8), st.sampled_from(TERMS))
def test_cheapest_by_brute_force(chip: str, count: int, term: str) -> None:
    market = snapshot()
    prices = [
        price.value
        for instance in market.instances
        if instance.chip == chip and instance.chips >= count
        for price in [instance.usd_per_chip_hour(term)]  # type: ignore[arg-type]
        if price is not None
    ]
    best = market.cheapest(chip, count=count, term=term)  # type: ignore[arg-type]
    if not prices:
        assert best is None
        return
    assert best is not None
    assert best.whole_chips >= count
    price = best.usd_per_chip_hour(term)  # type: ignore[arg-type]
    assert price is not None
    assert price.value == pytest.approx(min(prices))


def test_the_newer_of_equal_prices() -> None:
    """AWS and Azure rent one T4 at 0.526; the AWS price was read a month later."""
    best = snapshot().cheapest("t4")
    assert best is not None
    assert best.name == "g4dn.xlarge"


def test_parts_of_a_chip_are_not_a_chip() -> None:
    small = snapshot().named("c7g.xlarge")
    assert small.chips == Fraction(4, 64)
    assert small.whole_chips == 0
    best = snapshot().cheapest("graviton3")
    assert best is not None
    assert best.name == "c7g.16xlarge"
    fraction = snapshot().named("g6f.xlarge")
    assert fraction.whole_chips == 0


def test_a_socket_of_two() -> None:
    """m7i.48xlarge has 96 cores: 1.71 of the catalogue's 56-core socket."""
    instance = snapshot().named("m7i.48xlarge")
    assert instance.chips == Fraction(96, 56)
    price, share = instance.price(), instance.usd_per_chip_hour()
    assert price is not None
    assert share is not None
    assert share.value == pytest.approx(price.value * 56 / 96)


def test_unknown_region_cloud_instance() -> None:
    market = snapshot()
    with pytest.raises(UnknownName, match=r'unknown region "us-est-1"; did you mean us-east-1'):
        market.cheapest("trn1", region="us-est-1")
    with pytest.raises(UnknownName, match=r'unknown cloud "awz"; did you mean aws'):
        market.of_chip("trn1", cloud="awz")
    with pytest.raises(UnknownName, match=r'unknown instance "trn1.2xlrge"; did you mean trn1.2xlarge'):
        market.named("trn1.2xlrge")
    with pytest.raises(UnknownName, match='unknown price term "spott"'):
        market.cheapest("trn1", term="spott")  # type: ignore[arg-type]


def written(tmp_path: Path, text: str, name: str = "my.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_price_table(tmp_path: Path) -> None:
    table = written(
        tmp_path,
        "instance,usd_per_hour,region,chip,chips,spot_usd_per_hour\n"
        "trn1.2xlarge,1.00,,,,0.4\n"
        "rack,$16,home,H100-SXM5-80GB,8,\n",
    )
    market = with_prices(table)
    trn1, rack = market.cheapest("trn1"), market.cheapest("h100", region="home")
    assert trn1 is not None
    assert (trn1.name, trn1.price().value, trn1.price("spot").value) == ("trn1.2xlarge", 1.0, 0.4)  # type: ignore[union-attr]
    assert rack is not None
    assert rack.usd_per_chip_hour().value == 2.0  # type: ignore[union-attr]
    assert "my.csv" in trn1.price().source.where  # type: ignore[union-attr]
    assert len(market.instances) == len(snapshot().instances) + 1
    cheapest = snapshot().cheapest("trn1")
    assert cheapest is not None
    assert cheapest.price().value == 1.34375, "the packaged snapshot was changed"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "my.csv:1: no column instance and usd_per_hour; the first line names the columns"),
        ("instance\nx\n", "my.csv:1: no column usd_per_hour"),
        ("instance,price\nx,1\n", 'my.csv:1: unknown column "price"'),
        ("instance,usd_per_hour\n", "my.csv: no prices below the first line"),
        ("instance,usd_per_hour\ntrn1.2xlarge,abc\n", 'my.csv:2: usd_per_hour is "abc"; write USD per hour'),
        ("instance,usd_per_hour\ntrn1.2xlarge,-1\n", "my.csv:2: usd_per_hour is -1; a price is 0 or more"),
        ("instance,usd_per_hour\ntrn1.2xlarge,nan\n", "my.csv:2: usd_per_hour is nan; a price is 0 or more"),
        ("instance,usd_per_hour\ntrn1.2xlarge,1,2\n", "my.csv:2: more values than the 2 columns"),
        ("instance,usd_per_hour\n,1\n", "my.csv:2: no instance name"),
        (
            "instance,usd_per_hour\ntrn1.2xlarg,1\n",
            'my.csv:2: instance "trn1.2xlarg" is not in the snapshot (nearest: trn1.2xlarge); add',
        ),
        (
            "instance,usd_per_hour,chip,chips\nrack,1,h10,8\n",
            'my.csv:2: unknown chip "h10"; did you mean h100',
        ),
        ("instance,usd_per_hour,chip,chips\nrack,1,h100,0\n", "my.csv:2: chips is 0; must be greater than 0"),
        ("instance,usd_per_hour,chip,chips\nrack,1,h100,x\n", 'my.csv:2: chips is "x"; write a number'),
        ('{"a": 1}', "my.csv: a dict; Vantage's instances.json is a list of instances"),
        ("[1, 2", "my.csv:1: not JSON"),
        ("[]", "my.csv: no Linux price of an instance with a chip of the catalogue"),
    ],
)
def test_broken_price_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        with_prices(written(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_price_file(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"nowhere\.csv: No such file or directory; give a CSV or JSON file"
    ):
        with_prices(tmp_path / "nowhere.csv")


def test_skypilot_catalogue(tmp_path: Path) -> None:
    folder = tmp_path / "aws"
    folder.mkdir()
    table = written(
        folder,
        "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice,"
        "AvailabilityZone\n"
        "g5.xlarge,A10G,1.0,4,16,1.006,eu-west-1,,0.5,eu-west-1a\n"
        "g5.xlarge,A10G,1.0,4,16,1.006,eu-west-1,,0.4,eu-west-1b\n"
        "m5.large,,,2,8,0.096,eu-west-1,,,eu-west-1a\n",
        "vms.csv",
    )
    best = with_prices(table).cheapest("a10g", region="eu-west-1", term="spot")
    assert best is not None
    assert (best.name, best.cloud, best.price("spot").value) == ("g5.xlarge", "aws", 0.4)  # type: ignore[union-attr]


def test_vantage_list(tmp_path: Path) -> None:
    entries = [
        {
            "instance_type": "trn1.2xlarge",
            "pricing": {"eu-north-1": {"linux": {"ondemand": "1.5", "spot_min": "N/A"}, "rhel": {}}},
        },
        {"instance_type": "t2.nano", "pricing": {}},
    ]
    market = with_prices(written(tmp_path, json.dumps(entries), "instances.json"))
    best = market.cheapest("trn1", region="eu-north-1")
    assert best is not None
    assert best.price().value == 1.5  # type: ignore[union-attr]
    assert best.price("spot") is None


def test_a_table_is_read_back(tmp_path: Path) -> None:
    """Every instance of the snapshot, written as a price table and read again."""
    table = written(tmp_path, table_of(snapshot().instances), "all.csv")
    again = {(each.name, each.region): each for each in read(table)}
    assert len(again) == len(snapshot().instances)
    for instance in snapshot().instances:
        other = again[instance.name, instance.region]
        assert (other.chip, other.chips, other.cloud) == (instance.chip, instance.chips, instance.cloud)
        for term in TERMS:
            left, right = instance.price(term), other.price(term)
            assert (left is None) == (right is None)
            if left is not None and right is not None:
                assert right.value == pytest.approx(left.value)


def test_market_adds_and_replaces() -> None:
    market = Market(())
    assert market.cheapest("trn1") is None
    assert market.with_instances(snapshot().instances).instances == snapshot().instances


def test_grid_intensity() -> None:
    iowa = grid.intensity("us-central1")
    assert iowa.value * 3.6e6 * 1000 == pytest.approx(412.72)
    assert iowa.source.kind == "published"
    virginia = grid.intensity("us-east-1")
    assert virginia.value == grid.intensity("us-east4").value
    assert virginia.source.kind == "derived"
    for region in snapshot().regions:
        assert grid.intensity(region).value > 0
    with pytest.raises(UnknownName, match='unknown region "us-esat-1"; did you mean us-east-1'):
        grid.intensity("us-esat-1")


def test_a_name_like_no_other_gets_the_nearest_and_not_the_whole_list() -> None:
    with pytest.raises(UnknownName) as caught:
        snapshot().named("nosuch")
    assert re.fullmatch(r'unknown instance "nosuch"; did you mean \S+ or \S+\?', str(caught.value))
