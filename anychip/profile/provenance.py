"""What an answer rests on: the kinds of Facts that determined the time, weighted by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from anychip.chips import Chip
from anychip.facts import KINDS, Fact
from anychip.profile.division import Division, busiest_engine
from anychip.simulate.trace import Span

#: Parameters without a Fact: the choices of whoever designed the chip.
DESIGN = "design"


class Provenance:
    """Collects time by kind of source."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self._ticks: Counter[str] = Counter()

    def add(self, span: Span, division: Division, plays: int) -> None:
        """A span that was played so often.

        Ideal time rests on the engine or link that bounds it, fill and drain on the busiest engine, memory
        waits on the links, launch and host time on the sequencer and the policy.
        """
        chip = self.chip
        blocks = dict(chip.blocks())
        engine = busiest_engine(chip, span)
        busiest = blocks[engine[0]].facts if engine else {}
        links = [fact for name in dict.fromkeys(chip.load.links) for fact in blocks[name].facts.values()]
        overhead = [*chip.sequencer.facts.values(), *chip.policy.facts.values()]
        self._note(blocks[span.ideal_bound].facts, plays * division.ideal)
        self._note(busiest, plays * division.fill_and_drain)
        self._note(links, plays * division.memory_wait)
        self._note(overhead, plays * (division.launch + division.host))

    def add_transfer(self, facts: list[Fact], ticks: int) -> None:
        """Time on the link to the host."""
        self._note(facts, ticks)

    def _note(self, facts: Mapping[str, Fact] | list[Fact], ticks: int) -> None:
        if not ticks:
            return
        found = list(facts.values()) if isinstance(facts, Mapping) else facts
        if not found:
            self._ticks[DESIGN] += ticks
        for fact in found:
            self._ticks[fact.source.kind] += ticks / len(found)  # pyright: ignore

    def shares(self) -> tuple[tuple[str, float], ...]:
        """(kind, share of the time) in order of trust; they add up to 1."""
        whole = sum(self._ticks.values())
        return tuple((kind, self._ticks[kind] / whole) for kind in (*KINDS, DESIGN) if self._ticks[kind])


def rests_on(chip: Chip, spans: Iterable[tuple[Span, Division, int]]) -> Provenance:
    """Provenance of (span, division, plays)."""
    provenance = Provenance(chip)
    for span, division, plays in spans:
        provenance.add(span, division, plays)
    return provenance
