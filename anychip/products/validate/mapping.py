"""Rules that give every published row its workload, or one of five reasons why it has none.

``mapping.toml`` holds a list of rules for each kind of file. ``when`` names columns with a regular expression
that the whole field must match. Every rule that matches adds its settings unless an earlier one made them;
named groups of the expressions can be used in braces. The first matching rule that has ``exclude`` ends it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import cast

from anychip.errors import InvalidDescription
from anychip.products.validate.question import REASONS, Out, Reason, Row

_PATH = Path(__file__).parent / "mapping.toml"
_RESERVED = ("when", "exclude", "because")


@dataclass(frozen=True)
class Rule:
    """Settings of the rows that it matches.

    Args:
        when: patterns of columns; all must match.
        exclude: a key of `REASONS`, or empty.
        because: told with it.
        settings: texts with named groups in braces.
    """

    when: Mapping[str, re.Pattern[str]]
    exclude: str = ""
    because: str = ""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])

    def groups(self, row: Row) -> dict[str, str] | None:
        """Named groups of the patterns, None where one does not match."""
        found: dict[str, str] = {}
        for column, pattern in self.when.items():
            match = pattern.fullmatch(row.get(column) or "")
            if match is None:
                return None
            found |= {name: text or "" for name, text in match.groupdict().items()}
        return found


@cache
def rules(section: str, path: Path = _PATH) -> tuple[Rule, ...]:
    """Rules of one kind of file.

    Raises:
        InvalidDescription: a rule has no condition, or a reason that is not one of the five.
    """
    with path.open("rb") as file:
        listed = cast(dict[str, list[dict[str, object]]], tomllib.load(file)).get(section, [])
    made: list[Rule] = []
    for index, each in enumerate(listed, start=1):
        where = f"{path.name}: [[{section}]] rule {index}"
        when, exclude = each.get("when"), str(each.get("exclude", ""))
        if not isinstance(when, dict):
            raise InvalidDescription(f"{where}: has no `when`; name columns with patterns")
        if exclude and exclude not in REASONS:
            raise InvalidDescription(f'{where}: exclude is "{exclude}"; it is one of {", ".join(REASONS)}')
        patterns = {str(k): re.compile(str(v)) for k, v in cast(dict[str, object], when).items()}
        settings = {name: str(value) for name, value in each.items() if name not in _RESERVED}
        made.append(Rule(patterns, exclude, str(each.get("because", "")), settings))
    return tuple(made)


def settled(section: str, row: Row) -> dict[str, str]:
    """What the rules say of a row.

    Raises:
        Out: a rule excludes it; with the class that earlier rules gave.
    """
    settings: dict[str, str] = {}
    for rule in rules(section):
        groups = rule.groups(row)
        if groups is None:
            continue
        filled = {name: text.format_map(groups) for name, text in rule.settings.items()}
        settings = filled | settings
        if rule.exclude:
            raise Out(cast(Reason, rule.exclude), rule.because.format_map(groups), settings.get("class", ""))
    return settings
