"""What the arithmetics cost: training steps of a larger model, and one matrix product by format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anychip.chips import Chip, find
from anychip.products.study.training import VARIANTS, Variant, play
from anychip.profile import Profile
from anychip.profile.profile import Range
from anychip.programs.graph import Graph, Node, Segment, Value, View

#: A model of BERT-base's size, in the script's options.
LARGE = tuple("--layers 12 --width 768 --heads 12 --context 512 --vocabulary 32768 --steps 4".split())


@dataclass(frozen=True, slots=True)
class Priced:
    """One training step, or one product.

    Args:
        name: of the variant or format.
        chip: that it runs on.
        batch: sequences in a step; None for a product.
        seconds: simulated.
        memory_bytes: crossed the main memory's links.
        peak_bytes: most allocated at once; None for a product.
        energy_j: of everything, host and idle included; None where unknown.
        engines_j: of the matrix engine alone; None where unknown.
    """

    name: str
    chip: str
    batch: int | None
    seconds: float
    memory_bytes: int
    peak_bytes: int | None
    energy_j: Range | None
    engines_j: Range | None

    @property
    def engines_w(self) -> float | None:
        """Mean power of the matrix engine while it runs."""
        return None if self.engines_j is None else self.engines_j.value / self.seconds


def priced(name: str, chip: str, batch: int | None, profile: Profile) -> Priced:
    """The numbers of the study from a profile."""
    unit = profile.unit
    moved = sum(link.moved_bytes for link in unit.links if link.role == "memory")
    known = [part.energy_j for part in unit.energy.parts if part.role == "matrix"]
    matrix = [each for each in known if each is not None]
    engines = None
    for each in matrix:
        engines = each if engines is None else engines + each
    total = unit.energy.total_j
    return Priced(
        name,
        chip,
        batch,
        unit.division.total / unit.count / profile.clock_hz,
        moved // unit.count,
        None if batch is None else profile.memory.peak_bytes,
        None if total is None else total.times(1 / unit.count),
        None if engines is None else engines.times(1 / unit.count),
    )


def price_steps(chip: str, batches: Sequence[int], variants: Sequence[Variant] = VARIANTS) -> list[Priced]:
    """A training step of the larger model in every variant, without values.

    Rounding is done by the engines' stores and takes no time of its own, so variants that differ only in it
    are priced once, under the name of the first.
    """
    found: list[Priced] = []
    seen: set[tuple[str, str]] = set()
    for variant in variants:
        if (variant.precision, variant.numerics) in seen:
            continue
        seen.add((variant.precision, variant.numerics))
        for batch in batches:
            on = variant.chip or chip
            arguments = ["--precision", variant.precision, "--batch", str(batch), *LARGE]
            run = play(variant, on, arguments, with_values=False, stop=3)
            found.append(priced(variant.name, on, batch, run.profile()))
    return found


def price_products(chip: str, side: int = 4096) -> list[Priced]:
    """A square matrix product in every format that the chip's array multiplies."""
    return [
        priced(name, chip, None, product_profile(find(chip), name, side))
        for name in ("fp32", "tf32", "bf16", "fp16", "fp8_e4m3", "fp8_e4m3fn", "fp8_e5m2")
        if find(chip).macs_per_second(name)
    ]


def product_profile(chip: Chip, format_name: str, side: int) -> Profile:
    """The profile of ``a @ b`` with operands and result stored in a format."""
    from anychip.run import profile_of

    chip = chip.altered(numerics=chip.numerics_named("fp32"))  # nothing is cast on the way in
    size = side * side * (4 if format_name in ("fp32", "tf32") else 1 if "fp8" in format_name else 2)
    values = tuple(Value(number, 0, size, "input" if number < 2 else "activation") for number in range(3))
    a, b, c = (View(number, format_name, (side, side), (side, 1)) for number in range(3))
    segment = Segment(values, (Node("aten.mm.default", (), (a, b), (c,)),))
    graph = Graph(f"{format_name} product", chip.numerics.name, (segment,), (0,), with_values=False)
    return profile_of(graph, chip)
