"""``anychip evidence``: what the correctness of formats, sums and curves rests on."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from anychip.errors import unknown_name
from anychip.formats import compiled
from anychip.products.arguments import Parser
from anychip.products.evidence import curves, formats
from anychip.products.evidence.finding import Finding, peer_library
from anychip.profile.writing import write_text

SUBJECTS = {"formats": formats.checks, "curves": curves.checks}
PEERS = ("numpy", "ml_dtypes", "gfloat", "mpmath")
_EPILOG = """\
Ends with 1 if anything disagrees.

examples:
  anychip evidence formats
  anychip evidence formats --long --write formats.md
  anychip evidence curves
"""


def main(argv: Sequence[str]) -> int:
    """Runs the checks, prints a line for each, and returns 1 if anything disagrees.

    Args:
        argv: ``["formats", "--long", "--write", FILE]``.

    Raises:
        MissingTool: a peer is not installed.
        UnknownName: no such subject.
    """
    options = _parser().parse(argv)
    if options.subject not in SUBJECTS:
        raise unknown_name("evidence", options.subject, SUBJECTS)
    for name in PEERS:
        peer_library(name)
    found: list[Finding] = []
    for claim, check in SUBJECTS[options.subject](everything=options.long):
        begun = time.perf_counter()
        checked, wrong = check()
        found.append(Finding(claim, checked, wrong, time.perf_counter() - begun))
        print(_line(found[-1]), flush=True)
    tables = curves.tables() if options.subject == "curves" else ""
    if tables:
        print("\n" + tables)
    if options.write:
        write_text(Path(options.write), [page(options.subject, found, tables, options.long)])
    return 1 if any(each.wrong for each in found) else 0


def _parser() -> Parser:
    parser = Parser("evidence", "What the correctness of formats, sums and curves rests on.", _EPILOG)
    add = parser.add_argument
    add("subject", help="formats (with rounding and sums), or curves")
    add("--long", action="store_true", help="also what takes many minutes: all 2**32 fp32 inputs")
    add("--write", metavar="FILE", help="write the table as Markdown")
    return parser


def _line(each: Finding) -> str:
    verdict = "agrees" if each.wrong == 0 else f"{each.wrong:,} DISAGREE"
    return f"{each.claim:<74} {each.checked:>13,}  {verdict} ({each.seconds:.1f} s)"


def page(subject: str, found: Sequence[Finding], tables: str, everything: bool) -> str:
    """The findings in Markdown, with date, command and machine."""
    rows = "\n".join(f"| {f.claim} | {f.checked:,} | {f.wrong:,} | {f.seconds:.1f} |" for f in found)
    versions = ", ".join(f"{name} {version(name)}" for name in PEERS)
    command = f"anychip evidence {subject}" + (" --long" if everything else "")
    machine = f"{platform.machine()}, {_processor()}, paths {', '.join(compiled.paths())}"
    return f"""# Evidence: {subject}

Command: `{command}`, run on {date.today().isoformat()}.
Machine: {machine}; {versions}.

| claim | cases | disagreements | seconds |
|---|---:|---:|---:|
{rows}
{tables and chr(10) + tables}"""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
