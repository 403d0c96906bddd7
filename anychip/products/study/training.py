"""One language model trained in several arithmetics on a simulated chip: losses over seeds and rates."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from anychip.chips import find
from anychip.errors import InvalidInput

#: The script that is trained: an ordinary one, which knows nothing of the study.
SCRIPT = Path(__file__).parents[3] / "examples" / "rounding_study" / "train.py"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of storing and computing.

    Args:
        name: in tables and pictures.
        precision: option of the script.
        numerics: of the chip, see `Chip.numerics_named`.
        rounding: of stores into narrow formats.
        chip: None takes the study's; fp8 needs one whose array has the formats.
    """

    name: str
    precision: str
    numerics: str = "default"
    rounding: str = "nearest-even"
    chip: str | None = None


#: Matrix products of fp32 tensors are cast to bf16 by the Neuron compilers unless told otherwise, hence
#: the numerics of the first two.
VARIANTS = (
    Variant("fp32", "fp32", numerics="fp32"),
    Variant("mixed", "mixed", numerics="fp32"),
    Variant("bf16 nearest", "bf16"),
    Variant("bf16 stochastic", "bf16", rounding="stochastic"),
    Variant("fp8 products", "fp8", numerics="fp32", chip="trn3"),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is trained.

    Args:
        steps: optimizer steps of one training.
        rates: highest learning rates.
        seeds: of weights, batches and stochastic rounding.
        shape: further options of the script.
    """

    steps: int
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    shape: tuple[str, ...] = ()


SHORT = Plan(60, (1e-3, 1e-4), (0,), tuple("--batch 8 --context 32 --width 48 --evaluate 8".split()))
FULL = Plan(400, (3e-3, 1e-3, 3e-4, 1e-4), (0, 1), tuple("--batch 16 --context 64 --width 64".split()))


@dataclass(frozen=True, slots=True)
class Trained:
    """One training.

    Args:
        variant: name.
        chip: whose arithmetic it was.
        rate: highest learning rate.
        seed: of everything random.
        losses: of every step.
        validation: mean loss on held-out text at the end.
    """

    variant: str
    chip: str
    rate: float
    seed: int
    losses: tuple[float, ...]
    validation: float


def train(
    plan: Plan, chip: str, variants: Iterable[Variant] = VARIANTS, tell: Callable[[str], None] = print
) -> list[Trained]:
    """Every variant at every rate and seed, one after the other.

    Args:
        plan: how much.
        chip: name of the chip that lends its arithmetic.
        variants: which.
        tell: is given a line after each training.

    Raises:
        InvalidInput: the script is not there, or failed.
    """
    done: list[Trained] = []
    for variant in variants:
        for rate in plan.rates:
            for seed in plan.seeds:
                result = _trained(plan, variant, variant.chip or chip, rate, seed)
                done.append(result)
                tell(f"{variant.name:16} rate {rate:g} seed {seed}: validation loss {result.validation:.4f}")
    return done


def _trained(plan: Plan, variant: Variant, chip: str, rate: float, seed: int) -> Trained:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        arguments = [
            *("--precision", variant.precision, "--steps", str(plan.steps), "--lr", str(rate)),
            *("--seed", str(seed), "--json", str(results), *plan.shape),
        ]
        play(variant, chip, arguments, seed=seed)
        read = json.loads(results.read_text())
    losses = tuple(read["losses"])
    return Trained(variant.name, chip, rate, seed, losses, float(read["validation"]))


def play(
    variant: Variant,
    chip: str,
    arguments: list[str],
    *,
    seed: int = 0,
    with_values: bool = True,
    stop: int = 0,
):
    """The script run on a chip in a variant's arithmetic; its own output is dropped.

    Args:
        variant: which arithmetic.
        chip: name of the chip.
        arguments: of the script.
        seed: of stochastic rounding.
        with_values: False for time only.
        stop: steps after which it is stopped; 0: never.

    Returns:
        The `Run`.

    Raises:
        InvalidInput: the script is not there, or failed.
    """
    from anychip.run import Settings, run_script

    if not SCRIPT.is_file():
        raise InvalidInput(f"{SCRIPT}: not there; the study runs from a clone of the repository")
    settings = Settings(
        chip=find(chip),
        numerics=variant.numerics,
        rounding=variant.rounding,
        seed=seed if variant.rounding == "stochastic" else None,
        with_values=with_values,
        stop_after=stop or None,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        ended = run_script(str(SCRIPT), arguments, settings)
    if ended.error is not None:
        raise InvalidInput(
            f"{SCRIPT.name} {' '.join(arguments)} on {chip}: {type(ended.error).__name__}: {ended.error}"
        ) from ended.error
    return ended.run


def mean_validation(trained: Iterable[Trained], variant: str, rate: float) -> float:
    """Mean over seeds of the validation loss."""
    return fmean(each.validation for each in trained if (each.variant, each.rate) == (variant, rate))
