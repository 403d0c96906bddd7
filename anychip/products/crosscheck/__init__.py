"""``anychip crosscheck``: simulation and RTL on random basecamps must give the same bits and cycles.

Every case runs at operator level (whole arrays, loops skipped), at instruction level (tile by tile, loops
expanded) and as RTL in Verilator. Stored values, fp32 sums and cycles must be equal, no simulated time may
beat its ideal, and deliberate mistakes in every level must be seen. Read `comparison.py` first.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from anychip.errors import InvalidInput, MissingTool
from anychip.products.arguments import Parser
from anychip.profile.writing import check_writable, write_text

SCHEMA = "anychip.crosscheck/1"
#: Differences printed before the rest is only counted.
SHOWN = 5

_EPILOG = """\
Without Verilator, operator and instruction level are still compared, and the result says so.
Exit codes: 0 everything equal and every mutant seen, 1 a difference or a surviving mutant, 2 wrong input.

examples:
  anychip crosscheck --runs 200
  anychip crosscheck --runs 200 --seed 7 --json crosscheck.json
  anychip crosscheck --runs 200 --seed 7 --only 31
  anychip crosscheck --chip mychip.py --runs 40
"""


def main(argv: Sequence[str]) -> int:
    """Run ``anychip crosscheck``.

    Returns:
        0 if everything is equal and every mutant was seen, else 1.

    Raises:
        InvalidInput: options that make no sense.
    """
    options = _options(argv)
    console = Console(stderr=False, highlight=False)
    from anychip.products.crosscheck.work import Plan, hardware_used

    if options.json is not None:
        check_writable(Path(options.json))
    missing = None if not options.no_hardware else "left out by --no-hardware"
    if missing is None:
        missing = _missing_tools()
    numbers = tuple(range(options.runs)) if options.only is None else (options.only,)
    plan = Plan(options.seed, options.runs, numbers, hardware=missing is None, chip=options.chip or "")
    if options.chip is not None and plan.hardware:
        hardware_used(plan)  # refuses a chip that has no hardware before anything is built
    if missing is not None:
        console.print(f"RTL is not checked: {missing}", markup=False)
    started = time.monotonic()
    results = _run(plan, console, workers=options.workers, with_mutants=options.only is None)
    elapsed = time.monotonic() - started
    _print(console, plan, results, elapsed, missing)
    if options.json is not None:
        summary = json.dumps(_summary(plan, results, elapsed, missing), indent=2) + "\n"
        write_text(Path(options.json), [summary])
    return 0 if results.passed else 1


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        "crosscheck", "Compare operator level, instruction level and RTL on random basecamps.", _EPILOG
    )
    parser.add_argument("--runs", type=int, default=60, metavar="N", help="cases (default 60)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of everything random (default 0)")
    parser.add_argument(
        "--chip", help="check this chip, a name or a Python file, instead of random basecamps"
    )
    parser.add_argument("--only", type=int, metavar="I", help="one case of such a run, without mutants")
    parser.add_argument("--json", metavar="FILE", help=f"write a summary ({SCHEMA})")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes")
    parser.add_argument("--no-hardware", action="store_true", help="leave RTL out")
    options = parser.parse(argv)
    if options.runs < 1 or options.workers < 1 or options.seed < 0:
        raise InvalidInput(
            f"anychip crosscheck: --runs {options.runs}, --workers {options.workers}, --seed {options.seed}; "
            "at least 1, 1 and 0 are needed"
        )
    if options.only is not None and not 0 <= options.only < options.runs:
        raise InvalidInput(
            f"anychip crosscheck: --only {options.only} of {options.runs} runs; "
            f"choose 0 to {options.runs - 1}"
        )
    return options


def _missing_tools() -> str | None:
    """Why hardware cannot be run here, None if it can."""
    from anychip.rtl.verilator import require_tools

    try:
        require_tools()
    except MissingTool as missing:
        return str(missing)
    return None


# --- running ---------------------------------------------------------------------------------------------


def _run(plan: Any, console: Console, *, workers: int, with_mutants: bool) -> Any:
    from anychip.products.crosscheck import work
    from anychip.products.crosscheck.mutants import CONTROLS, mutants

    results = work.Results()
    judged = [each for each in mutants() if plan.hardware or not each.needs_hardware] if with_mutants else []
    results.unchecked = [each for each in mutants() if each not in judged] if with_mutants else []
    columns = (TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_on_interrupt)
    with pool, Progress(*columns, console=console, transient=True) as progress:
        if plan.hardware:
            hardware = work.hardware_used(plan)
            hardware += [found for each in judged if (found := work.hardware_of_mutant(each))]
            distinct = list(dict.fromkeys(hardware))
            building = [pool.submit(work.build, each) for each in distinct]
            _follow(progress, "building hardware", building, lambda _: 1, len(building))

        def compared(outcomes: list[Any]) -> int:
            results.outcomes.extend(outcomes)
            return len(outcomes)

        controls = range(CONTROLS if judged else 0)
        running = [pool.submit(work.run_cases, plan, batch) for batch in work.batches(plan)]
        running += [pool.submit(work.run_control, plan, number) for number in controls]
        _follow(progress, "comparing", running, compared, len(plan.numbers) + len(controls))

        def settled(verdict: Any) -> int:
            results.verdicts.append(verdict)
            return 1

        judging = [pool.submit(work.run_mutant, plan, each) for each in judged]
        _follow(progress, "mutants", judging, settled, len(judging))
    results.outcomes.sort(key=lambda outcome: outcome.case.number)
    results.verdicts.sort(key=lambda verdict: judged.index(verdict.mutant))
    return results


def _end_on_interrupt() -> None:
    """Ctrl-C reaches every process of a terminal: workers end silently, the first process says so."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))


def _follow(
    progress: Progress, what: str, futures: list[Future[Any]], take: Callable[[Any], int], total: int
) -> None:
    """Show a phase; an error or an interruption drops what has not begun."""
    task = progress.add_task(what, total=total)
    try:
        for future in as_completed(futures):
            progress.advance(task, take(future.result()))
    except BaseException:
        for future in futures:
            future.cancel()
        raise


# --- reporting -------------------------------------------------------------------------------------------


def _levels(missing: str | None) -> str:
    return "operator level = instruction level" + (" = RTL" if missing is None else "")


def _print(console: Console, plan: Any, results: Any, elapsed: float, missing: str | None) -> None:
    outcomes, failures = results.outcomes, results.failures
    for outcome in failures[:SHOWN]:
        console.print(f"{outcome.case.text}\n  again: {_again(plan, outcome)}", markup=False, soft_wrap=True)
        for difference in outcome.differences[:SHOWN]:
            console.print(f"  {difference}", markup=False, soft_wrap=True)
    if len(failures) > SHOWN:
        console.print(f"... and {len(failures) - SHOWN} more cases with differences")
    if results.verdicts:
        console.print(_mutant_table(results))
    console.print(
        f"crosscheck seed {plan.seed}: {len(outcomes) - len(failures)} of {len(outcomes)} cases equal "
        f"({_levels(missing)}), {elapsed:.0f} s",
        soft_wrap=True,
    )
    totals = {name: sum(getattr(each, name) for each in outcomes) for name in _COUNTED}
    counted = ", ".join(f"{count:,} {_COUNTED[name]}" for name, count in totals.items())
    console.print(f"compared: {counted}", soft_wrap=True)
    if results.verdicts:
        seen = len(results.verdicts) - len(results.survivors)
        unchecked = f", {len(results.unchecked)} need RTL" if results.unchecked else ""
        console.print(f"mutants: {seen} of {len(results.verdicts)} seen{unchecked}")


def _again(plan: Any, outcome: Any) -> str:
    """The command that runs one case; those of the mutants' chip run in every crosscheck of a seed."""
    if outcome.case.number not in plan.numbers:
        return f"anychip crosscheck --runs 1 --seed {plan.seed}"
    chip = f" --chip {plan.chip}" if plan.chip else ""
    return f"anychip crosscheck{chip} --runs {plan.runs} --seed {plan.seed} --only {outcome.case.number}"


_COUNTED = {
    "kernels": "kernels",
    "instructions": "instructions",
    "cycles": "cycles",
    "stored": "stored values",
    "sums": "fp32 sums",
}


def _mutant_table(results: Any) -> Table:
    table = Table(title="mutants", title_justify="left", box=None, pad_edge=False)
    for column in ("level", "mistake", "cases", "seen by"):
        table.add_column(column, overflow="fold")
    for verdict in results.verdicts:
        seen = verdict.seen.split(":")[0] if verdict.seen else "NOT SEEN"
        table.add_row(verdict.mutant.level, verdict.mutant.note, str(verdict.tries), seen)
    return table


def _summary(plan: Any, results: Any, elapsed: float, missing: str | None) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "seed": plan.seed,
        "chip": plan.chip or None,
        "runs": len(results.outcomes),
        "passed": results.passed,
        "levels": ["operator", "instruction", *(["rtl"] if missing is None else [])],
        "rtl_missing": missing,
        "seconds": round(elapsed, 1),
        "compared": {name: sum(getattr(each, name) for each in results.outcomes) for name in _COUNTED},
        "failures": [
            {
                "case": outcome.case.number,
                "text": outcome.case.text,
                "again": _again(plan, outcome),
                "differences": outcome.differences,
            }
            for outcome in results.failures
        ],
        "mutants": [
            {
                "level": verdict.mutant.level,
                "name": verdict.mutant.name,
                "note": verdict.mutant.note,
                "cases": verdict.tries,
                "seen": verdict.seen,
            }
            for verdict in results.verdicts
        ],
        "mutants_unchecked": [f"{each.level}: {each.name}" for each in results.unchecked],
    }
