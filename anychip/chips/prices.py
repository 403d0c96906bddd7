"""Prices from files: a table of the user's own, SkyPilot's catalogue, Vantage's instance list.

All three are read as data; a file that cannot be used is one message with its line.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

from anychip.chips.instances import Instance, Market, Term, catalogue_name, snapshot
from anychip.chips.names import folded, meant
from anychip.errors import InvalidInput, unknown_name
from anychip.facts import Fact, Source

#: Columns of a price table; the first two are needed.
COLUMNS = (
    "instance",
    "usd_per_hour",
    "region",
    "cloud",
    "chip",
    "chips",
    "spot_usd_per_hour",
    "reserved_usd_per_hour",
)

#: Names that SkyPilot and Vantage give accelerators, folded, to the catalogue's.
_ACCELERATORS: Mapping[str, str] = {
    "inferentia": "inf1",
    "inferentia2": "inf2",
    "trainium": "trn1",
    "trainium2": "trn2",
    "a100": "a100-40",
    "a100-80gb": "a100-80",
    "nvidia-a100": "a100-40",
    "v100": "v100",
    "nvidia-tesla-v100": "v100",
    "v100-32gb": "v100-32",
    "t4": "t4",
    "nvidia-t4-tensor-core": "t4",
    "a10g": "a10g",
    "nvidia-a10g": "a10g",
    "a10": "a10",
    "l4": "l4",
    "nvidia-l4": "l4",
    "l40s": "l40s",
    "nvidia-l40s": "l40s",
    "h100": "h100",
    "nvidia-h100": "h100",
    "h100-80gb": "h100",
    "h200": "h200",
    "nvidia-h200": "h200",
    "b200": "b200",
    "nvidia-b200": "b200",
    "p100": "p100",
    "p4": "p4",
    "mi300x": "mi300x",
    "gaudi-hl-205": "",
    "tpu-v4": "tpu-v4",
    "tpu-v5e": "tpu-v5e",
    "tpu-v5litepod": "tpu-v5e",
    "tpu-v5p": "tpu-v5p",
    "nvidia-gb200": "gb200",
    "nvidia-b300": "b300",
    "rtxpro6000": "rtx-pro-6000",
}


_COLUMN_OF: Mapping[Term, str] = {
    "on-demand": "usd_per_hour",
    "spot": "spot_usd_per_hour",
    "reserved": "reserved_usd_per_hour",
}
_VANTAGE_KEYS: Mapping[Term, str] = {"on-demand": "ondemand", "spot": "spot_min"}
#: Of Vantage's reserved prices the one that binds least: a year, nothing paid ahead.
_VANTAGE_RESERVED = "yrTerm1Standard.noUpfront"


def with_prices(path: str | Path, market: Market | None = None) -> Market:
    """A market with the prices of a file put over it.

    Args:
        path: of the file; see `read`.
        market: to change; None for the packaged snapshot.

    Raises:
        InvalidInput: see `read`.
    """
    base = market or snapshot()
    return base.with_instances(read(path, base))


def read(path: str | Path, market: Market | None = None) -> tuple[Instance, ...]:
    """The instances that a price file names.

    The file's format is told by its content: a price table (`COLUMNS`), a SkyPilot catalogue
    (``InstanceType``, ``Price`` ...) or Vantage's ``instances.json``.

    Args:
        path: of the file.
        market: which chips known instances carry; None for the packaged snapshot.

    Raises:
        InvalidInput: the file cannot be read or used; names the line, what is there and what is wanted.
    """
    path = Path(path)
    base = market or snapshot()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror or error}; give a CSV or JSON file of prices") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: not a text file; give a CSV or JSON file of prices") from None
    read_on = date.fromtimestamp(path.stat().st_mtime).isoformat()
    if text.lstrip().startswith(("[", "{")):
        return tuple(_vantage(path, text, read_on, base))
    rows = csv.DictReader(text.splitlines())
    header = [name.strip() for name in rows.fieldnames or ()]
    if "InstanceType" in header and "Price" in header:
        return tuple(_skypilot(path, rows, read_on, base))
    return tuple(_table(path, text, header, read_on, base))


def table_of(instances: Iterable[Instance]) -> str:
    """The instances as a price table that `read` takes."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for instance in instances:
        prices = [
            "" if (fact := instance.price(term)) is None else f"{fact.value:.10g}" for term in _COLUMN_OF
        ]
        described = (instance.region, instance.cloud, instance.chip, str(instance.chips))
        rows.writerow((instance.name, prices[0], *described, *prices[1:]))
    return text.getvalue()


def _table(path: Path, text: str, header: list[str], read_on: str, base: Market) -> Iterator[Instance]:
    for name in header:
        if name not in COLUMNS:
            raise InvalidInput(f"{path}:1: {unknown_name('column', name, COLUMNS)}")
    missing = [name for name in COLUMNS[:2] if name not in header]
    if missing:
        raise InvalidInput(
            f"{path}:1: no column {' and '.join(missing)}; the first line names the columns, for example "
            "instance,usd_per_hour,region"
        )
    known = {(each.name, each.region): each for each in base.instances}
    by_name = {each.name: each for each in base.instances}
    rows = csv.DictReader(text.splitlines())
    rows.fieldnames = header
    next(rows, None)
    count = 0
    for raw in rows:
        where = f"{path}:{rows.line_num}"
        row = {key: (value or "").strip() for key, value in raw.items() if key is not None}
        if None in raw:
            raise InvalidInput(f"{where}: more values than the {len(header)} columns of the first line")
        name = row["instance"]
        if not name:
            raise InvalidInput(f"{where}: no instance name")
        instance = known.get((name, row.get("region", ""))) or by_name.get(name)
        if instance is None or row.get("chip"):
            instance = _described(where, row, instance, base)
        elif row.get("region"):
            instance = replace(instance, region=row["region"])
        count += 1
        yield replace(instance, usd_per_hour=dict(instance.usd_per_hour) | _terms(where, row, path, read_on))
    if not count:
        raise InvalidInput(f"{path}: no prices below the first line")


def _described(where: str, row: Mapping[str, str], known: Instance | None, base: Market) -> Instance:
    if not row.get("chip"):
        name = row["instance"]
        near = difflib.get_close_matches(name, {each.name for each in base.instances}, n=1)
        meant = f" (nearest: {near[0]})" if near else ""
        raise InvalidInput(
            f'{where}: instance "{name}" is not in the snapshot{meant}; add the columns chip and chips'
        )
    text = row.get("chips") or (str(known.chips) if known else "1")
    try:
        chips = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise InvalidInput(f'{where}: chips is "{text}"; write a number such as 8 or 1/2') from None
    if chips <= 0:
        raise InvalidInput(f"{where}: chips is {text}; must be greater than 0")
    return Instance(
        name=row["instance"],
        cloud=row.get("cloud") or (known.cloud if known else "own"),
        region=row.get("region") or (known.region if known else "own"),
        chip=catalogue_name(row["chip"], where),
        chips=chips,
    )


def _terms(where: str, row: Mapping[str, str], path: Path, read_on: str) -> dict[Term, Fact]:
    return {
        term: _price(where, column, row[column], path, read_on)
        for term, column in _COLUMN_OF.items()
        if row.get(column)
    }


def _price(where: str, column: str, text: str, path: Path, read_on: str) -> Fact:
    try:
        value = float(text.removeprefix("$"))
    except ValueError:
        raise InvalidInput(
            f'{where}: {column} is "{text}"; write USD per hour as a number, for example 1.34'
        ) from None
    if not 0 <= value < float("inf"):
        raise InvalidInput(f"{where}: {column} is {text}; a price is 0 or more")
    return Fact(value, "USD/h", Source("published", f"{path.name}, a price file", read_on))


def _skypilot(path: Path, rows: csv.DictReader[str], read_on: str, base: Market) -> Iterator[Instance]:
    """Rows of a SkyPilot catalogue whose accelerator is in ours; the cheapest zone of a region counts.

    Rows without an accelerator are CPUs: those whose instance the snapshot knows.
    """
    cpus = {each.name: each for each in base.instances}
    cloud = path.resolve().parent.name if path.stem == "vms" else path.stem
    best: dict[tuple[str, str], Instance] = {}
    for row in rows:
        where = f"{path}:{rows.line_num}"
        known = None if row.get("AcceleratorName") else cpus.get(row.get("InstanceType") or "")
        chip = known.chip if known is not None else _accelerator(row.get("AcceleratorName") or "")
        if chip is None:
            continue
        count = _number(where, "AcceleratorCount", row.get("AcceleratorCount") or "1")
        listed: dict[Term, Fact] = {}
        if row.get("Price"):
            listed["on-demand"] = _price(where, "Price", row["Price"], path, read_on)
        if row.get("SpotPrice"):
            listed["spot"] = _price(where, "SpotPrice", row["SpotPrice"], path, read_on)
        name, region = (
            row.get("InstanceType") or f"{row['AcceleratorName']}:{count:g}",
            row.get("Region") or "",
        )
        if not listed or count <= 0 or not region:
            continue
        earlier = best.get((name, region))
        if earlier is not None:
            listed = _cheaper(earlier.usd_per_hour, listed)
        chips = known.chips if known is not None else Fraction(count).limit_denominator(16)
        described = known or Instance(name=name, cloud=cloud, region=region, chip=chip, chips=chips)
        best[name, region] = replace(described, cloud=cloud, region=region, usd_per_hour=listed)
    if not best:
        raise InvalidInput(f"{path}: a SkyPilot catalogue, but none of its accelerators is in this catalogue")
    yield from best.values()


def _cheaper(left: Mapping[Term, Fact], right: Mapping[Term, Fact]) -> dict[Term, Fact]:
    """The lower price of each term."""
    lowest = dict(left)
    for term, price in right.items():
        earlier = lowest.get(term)
        if earlier is None or price.value < earlier.value:
            lowest[term] = price
    return lowest


def _vantage(path: Path, text: str, read_on: str, base: Market) -> Iterator[Instance]:
    """Linux prices of instances that the snapshot knows, in every region of the file."""
    try:
        document: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    if not isinstance(document, list):
        raise InvalidInput(
            f"{path}: a {type(document).__name__}; Vantage's instances.json is a list of instances"
        )
    by_name = {each.name: each for each in base.instances if each.cloud == "aws"}
    count = 0
    for entry in document:
        name = entry.get("instance_type") if isinstance(entry, dict) else None
        known = by_name.get(name) if isinstance(name, str) else None
        if known is None:
            continue
        for region, systems in (entry.get("pricing") or {}).items():
            linux = systems.get("linux") if isinstance(systems, dict) else None
            if not isinstance(linux, dict):
                continue
            terms: dict[Term, Fact] = {}
            for term, key in _VANTAGE_KEYS.items():
                if linux.get(key) not in (None, "", "N/A"):
                    terms[term] = _price(f"{path}: {name} in {region}", key, str(linux[key]), path, read_on)
            reserved = linux.get("reserved")
            if isinstance(reserved, dict) and reserved.get(_VANTAGE_RESERVED) not in (None, "", "N/A"):
                key, where = _VANTAGE_RESERVED, f"{path}: {name} in {region}"
                terms["reserved"] = _price(where, key, str(reserved[key]), path, read_on)
            if terms:
                count += 1
                yield replace(known, region=region, usd_per_hour=terms)
    if not count:
        raise InvalidInput(f"{path}: no Linux price of an instance with a chip of the catalogue")


def _accelerator(name: str) -> str | None:
    key = folded(name)
    return _ACCELERATORS.get(key) or (meant(name) if key not in _ACCELERATORS else None)


def _number(where: str, column: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f'{where}: {column} is "{text}"; must be a number') from None
