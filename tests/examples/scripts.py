"""The examples in small: which arguments keep them short, and which of the numbers they print are results."""

from __future__ import annotations

import functools
import importlib.util
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@dataclass(frozen=True, slots=True)
class Example:
    """One script at its test size.

    Args:
        script: file in `examples/`.
        arguments: which make it short.
        metrics: names whose number, printed after the name, is a result (not a time).
        inference: True if it neither differentiates nor optimizes.
        cpu: whether it runs without an accelerator.
        needs: packages beyond torch.
    """

    script: str
    arguments: tuple[str, ...]
    metrics: tuple[str, ...]
    inference: bool = False
    cpu: bool = True
    needs: tuple[str, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        """Path of the script and its arguments."""
        return (str(EXAMPLES / self.script), *self.arguments)


def words(text: str) -> tuple[str, ...]:
    """Arguments as typed in a shell without quotes."""
    return tuple(text.split())


ALL = (
    Example(
        "train_transformer.py",
        words("--steps 4 --batch 4 --context 32 --layers 2 --heads 2 --width 64"),
        ("loss",),
    ),
    Example(
        "finetune_bert.py",
        words("--size tiny --steps 4 --batch 8 --length 32 --evaluate 32"),
        ("train loss", "eval loss"),
        needs=("transformers", "tokenizers", "accelerate"),
    ),
    Example(
        "classify_digits.py",
        words("--epochs 1 --width 8 --workers 1"),
        ("loss", "accuracy"),
        needs=("sklearn",),
    ),
    Example(
        "serve_bert.py",
        words("--size tiny --batch 2 --length 32 --requests 2"),
        ("similarity",),
        inference=True,
        needs=("transformers",),
    ),
    Example(
        "generate_llama.py",
        words("--new-tokens 4 --layers 2 --width 64 --heads 4"),
        ("prompt loss",),
        inference=True,
        needs=("transformers",),
    ),
    Example(
        "diffuse_digits.py",
        words("--steps 3 --batch 8 --size 8 --width 16 --sample-steps 2"),
        ("loss", "standard deviation"),
        needs=("sklearn",),
    ),
    Example(
        "train_resnet50.py",
        words("--steps 2 --batch 4 --image 64 --depths 1 1 1 1 --lr 1e-3"),
        ("loss",),
    ),
    Example(
        "classify_vit.py",
        words("--batches 1 --batch 2 --layers 2 --width 96 --heads 2 --image 32"),
        ("entropy",),
        inference=True,
        cpu=False,
        needs=("transformers",),
    ),
)


def require(example: Example) -> None:
    """Skip where a package that the script's user would have is not installed."""
    for package in ("torch", *example.needs):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{example.script} needs {package}: pip install 'anychip[examples]'")


def identify(example: Example) -> str:
    """Name of a test's case."""
    return example.script.removesuffix(".py")


@functools.cache
def on_cpu(example: Example) -> dict[str, list[float]]:
    """Results of a script under plain Python."""
    return results(execute(example.command), example.metrics)


def execute(command: tuple[str, ...], timeout_s: float = 300) -> str:
    """Run a Python command from the root of the repository; its standard output.

    Raises:
        RuntimeError: it failed; with both of its outputs.
    """
    done = subprocess.run(
        (sys.executable, *command), cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr[-4000:]}"
        )
    return done.stdout


def results(output: str, metrics: tuple[str, ...]) -> dict[str, list[float]]:
    """The numbers printed after each metric's name, in order."""
    return {
        name: [float(number) for number in re.findall(rf"\b{name}:? (-?[\d.]+|nan)", output)]
        for name in metrics
    }
