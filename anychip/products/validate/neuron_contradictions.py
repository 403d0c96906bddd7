"""Figures of one measurement that contradict each other.

A generation is published as time to the first token, time of every further one, and tokens a second. The last
follows from the other two; where it is far below, at least one of the three is of another run. Such rows are
predicted like all others, under headings of their own, and no constant is searched on them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from anychip.products.validate.neuron import Served
from anychip.products.validate.question import Question

#: Rates of measurements that agree lie between 0.97 and 1.2 of what their times give (44 published ones).
_AGREES = 0.8
#: Added to the class.
CONTRADICTED = ", contradicted"


def reviewed(questions: Sequence[Question]) -> list[Question]:
    """The questions, those of contradictory measurements under headings of their own."""
    figures: dict[tuple[str, ...], dict[str, Served]] = {}
    for each in questions:
        if isinstance(each, Served) and each.run is not None:
            figures.setdefault(each.run, {})[each.metric] = each
    doubted = {run for run, mine in figures.items() if _contradict(mine)}
    return [
        dataclasses.replace(each, kind=each.kind + CONTRADICTED)
        if isinstance(each, Served) and each.run in doubted
        else each
        for each in questions
    ]


def _contradict(figures: Mapping[str, Served]) -> bool:
    """Whether a measurement's tokens a second are far below what its own times allow."""
    first, further = figures.get("ttft_p50"), figures.get("tpot_p50")
    answers = figures.get("output_token_throughput")
    if first is None or further is None or answers is None:
        return False
    whole_ms = first.measured + answers.output_tokens * further.measured
    allowed = answers.work.batch * answers.output_tokens / whole_ms * 1e3
    return answers.measured < _AGREES * allowed
