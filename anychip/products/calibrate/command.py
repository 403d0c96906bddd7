"""``anychip calibrate``: measures this machine, writes it as a chip, and checks it against whole models."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from anychip.chips import Chip, find, this_machine
from anychip.errors import InvalidInput, MissingTool, unknown_name
from anychip.facts import Fact
from anychip.products.arguments import Parser
from anychip.products.calibrate import check, chip_file, machine
from anychip.products.calibrate.fitting import Framework, Machine, Sample, constants_of, residuals
from anychip.profile.writing import check_writable, write_text

_EPILOG = """\
The machine becomes the chip "this-machine" (or "this") of `anychip run --chip` and `anychip choose --chips`.

examples:
  anychip calibrate
  anychip calibrate --check
  anychip calibrate --threads 1 --output one_core.py
  anychip choose --chips this,aws --minimise time train.py
"""
#: Largest noise floor with which a calibration means anything.
_NOISE_LIMIT = 0.3
#: Assumed where the kernel does not list the caches.
_USUAL_CACHES = {2: 1 << 20, 3: 16 << 20}


def main(argv: Sequence[str]) -> int:
    """Runs ``anychip calibrate``."""
    options = _parser().parse(argv)
    _validate(options)
    _require_torch()
    if options.device == "cuda":
        from anychip.products.calibrate.cuda import calibrate_cuda

        return calibrate_cuda(options.output)
    from anychip.frontends.torch.calibration.measuring import use_threads

    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    threads = use_threads(options.threads)
    chip = find(options.chip) if options.chip else _calibrated(options, threads, console)
    if not options.check:
        return 0
    return _check(chip, options, console)


def _parser() -> Parser:
    parser = Parser("calibrate", "measures this machine and writes it down as a chip", _EPILOG)
    parser.add_argument("--output", metavar="FILE", help="a copy of the chip file")
    parser.add_argument("--seconds", type=float, default=30.0, help="time for the probes (30)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch; what it takes by itself otherwise")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="what to measure (cpu)")
    parser.add_argument(
        "--clock",
        choices=("wall", "processor"),
        default="wall",
        help="processor: time of this process's threads, for one thread on a shared machine (wall)",
    )
    parser.add_argument(
        "--check", action="store_true", help="set predictions beside ten whole models timed here"
    )
    parser.add_argument(
        "--chip", metavar="FILE", help="with --check: an earlier chip file, nothing is measured anew"
    )
    parser.add_argument("--models", metavar="A,B", help="with --check: only these")
    parser.add_argument("--json", metavar="FILE", help="with --check: its rows as JSON")
    parser.add_argument(
        "--noise-limit", type=float, default=_NOISE_LIMIT, metavar="SHARE",
        help=f"noise floor beyond which nothing is written ({_NOISE_LIMIT:g})",
    )  # fmt: skip
    return parser


def _validate(options: argparse.Namespace) -> None:
    """Complains about options before anything is measured."""
    cores = os.cpu_count() or 1
    if options.threads is not None and not 1 <= options.threads <= cores:
        raise InvalidInput(f"--threads {options.threads}: this machine has {cores}; give 1 to {cores}")
    if not 0 < options.seconds <= 3600:
        raise InvalidInput(f"--seconds {options.seconds:g}: give more than 0 and at most 3600")
    if not options.noise_limit > 0:
        raise InvalidInput(f"--noise-limit {options.noise_limit:g}: give a share above 0, for example 0.3")
    if options.clock == "processor" and options.threads != 1:
        raise InvalidInput("--clock processor: adds up all threads; give --threads 1 with it")
    if options.device == "cuda" and options.check:
        raise InvalidInput("--device cuda: --check times the processor; leave one of them out")
    if not options.check:
        for name in ("chip", "models", "json"):
            if getattr(options, name) is not None:
                raise InvalidInput(f"--{name} {getattr(options, name)}: belongs to --check; add it")
    for path in (options.output, options.json):
        if path is not None:
            check_writable(Path(path))
    if options.output and not options.output.endswith(".py"):
        raise InvalidInput(f"--output {options.output}: a chip file is Python; end its name in .py")


def _require_torch() -> None:
    if find_spec("torch") is None:
        raise MissingTool("calibrate: PyTorch is not installed; pip install 'anychip[torch]'")


def _calibrated(options: argparse.Namespace, threads: int, console: Console) -> Chip:
    """Measures, fits, tells and saves."""
    from anychip.frontends.torch.calibration.measuring import measured, vector_lanes, version
    from anychip.frontends.torch.calibration.timing import clock_of, noise_floor

    title, vendor = machine.processor()
    caches = {level: machine.cache_bytes(level) for level in _USUAL_CACHES}
    described = Machine(
        title=title,
        vendor=vendor,
        threads=threads,
        lanes=vector_lanes(),
        clock_hz=machine.clock_hz(),
        memory_bytes=machine.memory_bytes(),
        l2_bytes=caches[2] or _USUAL_CACHES[2],
        l3_bytes=caches[3] or caches[2] or _USUAL_CACHES[3],
    )
    day = date.today().isoformat()
    where = f"anychip calibrate --threads {threads} --clock {options.clock}, {title}, PyTorch {version()}"
    with _progress() as advance:
        found = measured(
            seconds=options.seconds,
            clock=clock_of(options.clock),
            advance=lambda share: advance("measuring", share),
        )
        noise = noise_floor(found.timed)
        if noise > options.noise_limit:
            raise InvalidInput(
                f"calibrate: the middle repetition takes {noise * 100:.0f} % longer than the fastest, "
                f"more than {options.noise_limit * 100:.0f} %; stop other programs, "
                "or give --threads 1 --clock processor"
            )
        samples = [
            Sample(probe.name, probe.constant, probe.size, timed.best_s, graph)
            for probe, timed, graph in found.probes
        ]
        times = {name: timed.best_s for name, timed in found.framework.items()}
        framework = Framework(
            found.call.best_s, times["forward"], times["train"], times["step"], found.operators
        )
        facts = constants_of(
            samples, framework, described, where=where, day=day, noise=noise,
            advance=lambda what: advance(f"fitting {what}", 1.0),
        )  # fmt: skip
    watts = machine.idle_w()
    note = f"{threads} threads of eager PyTorch; noise floor {noise * 100:.1f} %"
    note += f"; idle {watts:.1f} W" if watts else "; no sensor of power could be read: energy unknown"
    text = chip_file.text_of(described, facts, where=where, day=day, note=note)
    for path in (this_machine.saved_path(), *([Path(options.output)] if options.output else [])):
        chip_file.write(path, text)
    chip = find(str(this_machine.saved_path()))
    repetitions = min(timed.repetitions for _, timed, _ in found.probes)
    console.print(f"{title}, {threads} threads, PyTorch {version()}")
    console.print(
        f"{len(samples)} probes, {repetitions} interleaved repetitions, noise floor {noise * 100:.1f} %\n"
    )
    _show(facts, residuals(samples, found.call.best_s, chip), console)
    console.print(
        f"\nwritten to {this_machine.saved_path()}" + (f" and {options.output}" if options.output else "")
    )
    console.print(
        "use it as --chip this, or among others: anychip choose --chips this,aws --minimise time ..."
    )
    return chip


_SCALES: tuple[tuple[str, float, str], ...] = (
    ("byte/s", 1e-9, "GB/s"),
    ("mac/s", 2e-9, "Gflop/s a core"),
    ("s/element", 1e9, "ns/element"),
    ("s", 1e6, "us"),
    ("byte", 2**-20, "MiB"),
    ("Hz", 1e-9, "GHz"),
)


def _show(facts: Mapping[str, Fact], errors: Mapping[str, float], console: Console) -> None:
    """The constants, and how far they are from their probes."""
    table = Table(box=None, pad_edge=False)
    table.add_column("constant")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("kind")
    for name, fact in facts.items():
        factor, unit = next(((f, u) for stored, f, u in _SCALES if stored == fact.unit), (1.0, fact.unit))
        table.add_row(name, f"{fact.value * factor:.4g}", unit, fact.source.kind)
    console.print(table)
    console.print()
    listed = ", ".join(f"{kind.replace('_', ' ')} {error * 100:.1f}" for kind, error in errors.items())
    console.print(f"mean error of the probes, %: {listed}")


def _check(chip: Chip, options: argparse.Namespace, console: Console) -> int:
    from anychip.frontends.torch.calibration.timing import clock_of
    from anychip.frontends.torch.calibration.workloads import MODELS

    models = options.models.split(",") if options.models else list(MODELS)
    for name in models:
        if name not in MODELS:
            raise unknown_name("model", name, MODELS)
    done: list[str] = []
    with _progress() as advance:

        def begins(model: str) -> None:
            advance(f"timing {model}", len(done) / len(models))
            done.append(model)

        found = list(check.rows(chip, models, clock=clock_of(options.clock), seconds=4.0, advance=begins))
    console.print()
    check.show(found, console)
    if options.json:
        rows = [asdict(row) | {"error": row.error} for row in found]
        summary = {"mean_error": check.mean_error(found), "noise_floor": check.floor_of(found)}
        write_text(Path(options.json), [json.dumps({**summary, "rows": rows}, indent=2), "\n"])
    return 0 if check.passes(found) else 1


@contextmanager
def _progress() -> Generator[Callable[[str, float], None]]:
    """A bar on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=1.0)

        def advance(what: str, share: float) -> None:
            progress.update(task, description=what, completed=share)

        yield advance
