"""Short constructors of Facts, so that a catalogue file reads like a datasheet.

The kind says how far a number can be trusted: `measured` was measured on the chip, `published` was read in
the maker's documents or a table of them, `derived` follows from such numbers, `fitted` was found by us
against measurements, `assumed` is a judgement or a number recalled and not read again.
"""

from __future__ import annotations

from anychip.facts import Fact, Kind, Source

#: When the documents and tables behind the catalogue were read.
READ_ON = "2026-11-22"


def _fact(kind: Kind, value: float, unit: str, where: str, low: float | None, high: float | None) -> Fact:
    return Fact(value, unit, Source(kind, where, READ_ON), low, high)


def published(
    value: float, unit: str, where: str, *, low: float | None = None, high: float | None = None
) -> Fact:
    """A number that its maker, or a public table of the maker's numbers, states.

    Args:
        value: in `unit`.
        unit: SI where there is one.
        where: title and section of the document.
        low: lowest value that a document states, where documents disagree.
        high: highest.
    """
    return _fact("published", value, unit, where, low, high)


def measured(
    value: float, unit: str, where: str, *, low: float | None = None, high: float | None = None
) -> Fact:
    """A number that somebody measured and published; `where` says who."""
    return _fact("measured", value, unit, where, low, high)


def derived(
    value: float, unit: str, where: str, *, low: float | None = None, high: float | None = None
) -> Fact:
    """A number that follows from published ones; `where` says how."""
    return _fact("derived", value, unit, where, low, high)


def fitted(
    value: float, unit: str, where: str, *, low: float | None = None, high: float | None = None
) -> Fact:
    """A constant found against published measurements; `where` says which."""
    return _fact("fitted", value, unit, where, low, high)


def assumed(
    value: float, unit: str, where: str, *, low: float | None = None, high: float | None = None
) -> Fact:
    """A judgement; `where` says what it rests on."""
    return _fact("assumed", value, unit, where, low, high)


def recalled(
    value: float, unit: str, where: str, *, low: float | None = None, high: float | None = None
) -> Fact:
    """A published number that was quoted from memory: kept apart until somebody reads it again."""
    return _fact("assumed", value, unit, f"recalled from {where}; not read again", low, high)
