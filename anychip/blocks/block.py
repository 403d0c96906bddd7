"""What every building block answers: its parameters with their sources, timing and demand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from anychip.errors import InvalidDescription
from anychip.facts import Fact

_NO_FACTS: Mapping[str, Fact] = MappingProxyType({})


class Timing(NamedTuple):
    """Uncontended timing of one operation, in whole cycles of the block's clock.

    Args:
        busy: the next operation may follow after this many cycles.
        latency: the result lands this many cycles after that.
    """

    busy: int
    latency: int


@dataclass(frozen=True, kw_only=True)
class Block:
    """Base of all blocks: plain parameters, and the Fact behind each one that describes real silicon.

    A parameter without a Fact is a design choice of the chip's author.

    Args:
        clock_hz: the block's own clock; None takes the chip's.
        facts: by parameter name, where the parameter's value comes from.
    """

    clock_hz: float | None = None
    facts: Mapping[str, Fact] = field(default_factory=lambda: _NO_FACTS, repr=False, compare=False)

    @classmethod
    def of(cls, **parameters: Any) -> Self:
        """The block with parameters given as Facts or plain values; Facts are kept for reports.

        A parameter that is a mapping may hold Facts as well; they are kept as ``rates.bf16``.
        """
        facts: dict[str, Fact] = {}
        plain: dict[str, Any] = {}
        for name, value in parameters.items():
            if isinstance(value, Mapping):
                plain[name] = {key: _plain(each) for key, each in value.items()}
                facts.update((f"{name}.{key}", each) for key, each in value.items() if isinstance(each, Fact))
            else:
                plain[name] = _plain(value)
                if isinstance(value, Fact):
                    facts[name] = value
        return cls(**plain, facts=MappingProxyType(facts))

    def with_fact_at(self, end: str) -> Self:
        """The same block with every ranged parameter at the `low` or `high` end of its range."""
        index = 0 if end == "low" else 1
        ends: dict[str, Any] = {}
        for path, fact in self.facts.items():
            name, _, key = path.partition(".")
            value = _plain_number(fact.range[index])
            ends[name] = {**ends.get(name, getattr(self, name)), key: value} if key else value
        return dataclasses.replace(self, **ends) if ends else self

    def require(self, **positive: float) -> None:
        """Complains, all at once, about parameters that must be positive and are not."""
        wrong = [f"{name} is {value:g}" for name, value in positive.items() if not value > 0]
        if wrong:
            raise InvalidDescription(
                f"block {type(self).__name__}: {', '.join(wrong)}; must be greater than 0"
            )


def _plain(value: Any) -> Any:
    return _plain_number(value.value) if isinstance(value, Fact) else value


def _plain_number(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def ceil_div(numerator: int, denominator: int) -> int:
    """Whole groups of `denominator` that cover `numerator`."""
    return -(-numerator // denominator)


def require_share(block: str, efficiency: float) -> None:
    """Complains about an efficiency that is no share of a peak."""
    if not 0 < efficiency <= 1:
        raise InvalidDescription(f"{block}: efficiency is {efficiency:g}; must be above 0 and at most 1")
