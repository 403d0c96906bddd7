"""The study's findings in Markdown: every sentence with a number is computed from the results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import stdev

from anychip.products.study.pricing import Priced
from anychip.products.study.training import Plan, Trained, mean_validation
from anychip.units import binary, decimal


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def losses(trained: Sequence[Trained]) -> str:
    """Validation loss by variant and rate, with its spread over seeds and its distance to fp32."""
    rates = list(dict.fromkeys(each.rate for each in trained))
    rows: list[list[str]] = []
    for variant in dict.fromkeys(each.variant for each in trained):
        row = [variant]
        for rate in rates:
            found = [each.validation for each in trained if (each.variant, each.rate) == (variant, rate)]
            mean = mean_validation(trained, variant, rate)
            spread = f" ± {stdev(found):.3f}" if len(found) > 1 else ""
            gap = mean - mean_validation(trained, "fp32", rate)
            row.append(f"{mean:.4f}{spread}" + ("" if variant == "fp32" else f" ({gap:+.4f})"))
        rows.append(row)
    return table(["variant", *(f"rate {rate:g}" for rate in rates)], rows)


def steps(prices: Sequence[Priced]) -> str:
    """Training steps of the larger model."""
    rows = [
        [
            f"{each.name} on {each.chip}, batch {each.batch}",
            decimal(each.seconds, "s"),
            binary(each.memory_bytes),
            binary(each.peak_bytes or 0),
            _joules(each),
        ]
        for each in prices
    ]
    return table(["arithmetic", "time", "bytes moved", "peak memory", "energy"], rows)


def products(prices: Sequence[Priced]) -> str:
    """One matrix product by format."""
    rows = [
        [
            each.name,
            decimal(each.seconds, "s"),
            "unknown" if each.engines_j is None else decimal(each.engines_j.value, "J"),
            "unknown" if each.engines_w is None else decimal(each.engines_w, "W"),
            _joules(each),
        ]
        for each in prices
    ]
    return table(["format", "time", "energy of the array", "power of the array", "energy in all"], rows)


def _joules(each: Priced) -> str:
    if each.energy_j is None:
        return "unknown"
    return (
        f"{decimal(each.energy_j.value, 'J')} ({decimal(each.energy_j.low, 'J')} to "
        f"{decimal(each.energy_j.high, 'J')})"
    )


def saved(value: float, reference: float) -> str:
    """How much less than the reference, in percent."""
    return f"{1 - value / reference:.0%}"


def findings(trained: Sequence[Trained], prices: Sequence[Priced], formats: Sequence[Priced]) -> list[str]:
    """What the results say about the two claims."""
    found: list[str] = []
    for rate in dict.fromkeys(each.rate for each in trained):
        whole, nearest, random = (
            mean_validation(trained, name, rate) for name in ("fp32", "bf16 nearest", "bf16 stochastic")
        )
        found.append(
            f"Rate {rate:g}: bf16 rounded to nearest ends {nearest - whole:+.4f} nats from fp32, rounded "
            f"stochastically {random - whole:+.4f}."
        )
    for batch in dict.fromkeys(each.batch for each in prices):
        by_name = {each.name: each for each in prices if each.batch == batch}
        if not {"fp32", "mixed", "bf16 nearest"} <= by_name.keys():
            continue
        whole, mixed, narrow = (by_name[name] for name in ("fp32", "mixed", "bf16 nearest"))
        found.append(
            f"Batch {batch}: a step with everything in bf16 takes {saved(narrow.seconds, mixed.seconds)} "
            f"less time than mixed precision and {saved(narrow.seconds, whole.seconds)} less than fp32, "
            f"moves "
            f"{saved(narrow.memory_bytes, mixed.memory_bytes)} and "
            f"{saved(narrow.memory_bytes, whole.memory_bytes)} fewer bytes, and holds "
            f"{saved(narrow.peak_bytes or 0, mixed.peak_bytes or 1)} and "
            f"{saved(narrow.peak_bytes or 0, whole.peak_bytes or 1)} less memory."
        )
    by_format = {each.name: each for each in formats}
    whole, half = by_format.get("fp32"), by_format.get("bf16")
    if whole and half and whole.engines_j and half.engines_j and whole.engines_w and half.engines_w:
        energy = half.engines_j.value / whole.engines_j.value
        low, high = half.engines_j.low / whole.engines_j.high, half.engines_j.high / whole.engines_j.low
        found.append(
            f"One large product: bf16 takes {energy:.2f} of fp32's energy in the array ({low:.2f} to "
            f"{high:.2f} over the facts' ranges) and {half.seconds / whole.seconds:.2f} of its time, so the "
            f"array draws {half.engines_w / whole.engines_w:.2f} times the power while it runs."
        )
    return found


def page(
    plan: Plan, chip: str, trained: Sequence[Trained], prices: Sequence[Priced], formats: Sequence[Priced]
) -> str:
    """All of it."""
    said = "\n".join(f"- {line}" for line in findings(trained, prices, formats))
    return f"""\
## Losses

{plan.steps} steps, {len(plan.seeds)} seed(s), options `{" ".join(plan.shape)}`; mean validation loss in
nats, in parentheses the distance to fp32. fp8 is computed in the arithmetic of a
chip whose array has the formats.

{losses(trained)}

![Validation loss above that of fp32 by learning rate](rates.svg)

![Loss by step](steps.svg)

## A training step on {chip}

A model of BERT-base's size, 512 tokens a sequence, priced without values. Stochastic rounding is done where
results are stored and takes no time of its own: its price is that of bf16.

{steps(prices)}

## One matrix product on {chip}

{products(formats)}

## What this says

{said}
"""
