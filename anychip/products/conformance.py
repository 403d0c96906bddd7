"""``anychip conformance``: runs outside suites on the device and on the CPU, and compares."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anychip.errors import InvalidInput

if TYPE_CHECKING:
    from anychip.frontends.torch.conformance.arithmetic_share import Shares
    from anychip.frontends.torch.conformance.results import Report

#: Share of the counted cases that must pass, or of operations in the chip's order, for exit code 0.
_REQUIRED = {
    "transformers": 0.98,
    "timm": 0.98,
    "opinfo": 0.99,
    "scripts": 1.0,
    "numerics": 0.97,
    "arithmetic": 0.98,
}


def main(argv: Sequence[str]) -> int:
    """Runs one suite, prints its table, and writes JSON where asked.

    Returns:
        0 if enough passes (98 % of architectures, 99 % of operator cases, 97 % in chips'
            arithmetic, 98 % of the operations in its order, every script), 1 otherwise.

    Raises:
        AnychipError: a package is missing, the folder holds no scripts, the report cannot be written.
    """
    options = _parser().parse_args(list(argv))
    report = _run(options)
    print(report.table())
    if options.json:
        _write(report, Path(options.json))
    if not report.counted:
        raise InvalidInput(f"conformance {options.suite}: nothing could be run; see the reasons above")
    return 0 if report.share >= _REQUIRED[options.suite] else 1


def _write(report: Report | Shares, target: Path) -> None:
    draft = target.with_name(target.name + ".part")
    try:
        draft.write_text(report.json() + "\n", encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InvalidInput(f"{target}: cannot be written: {error.strerror}; choose another file") from error


def _run(options: argparse.Namespace) -> Report | Shares:
    if options.suite == "scripts":
        from anychip.frontends.torch.conformance import scripts

        return scripts.run(options.folder, only=options.only)
    if options.suite == "numerics":
        from anychip.frontends.torch.conformance import numerics

        return numerics.run(
            chips=options.chip or (), limit=options.limit, jobs=options.jobs, only=options.only
        )
    if options.suite == "arithmetic":
        from anychip.frontends.torch.conformance import arithmetic_share

        return arithmetic_share.run(limit=options.limit, jobs=options.jobs, only=options.only)
    if options.suite == "opinfo":
        from anychip.frontends.torch.conformance import opinfo as suite
    elif options.suite == "transformers" and options.variants:
        from anychip.frontends.torch.conformance import variants as suite
    elif options.suite == "transformers":
        from anychip.frontends.torch.conformance import architectures

        target = Path(options.json) if options.json else None
        return architectures.run(
            limit=options.limit,
            jobs=options.jobs,
            only=options.only,
            progress=None if target is None else lambda report: _write(report, target),
        )
    else:
        from anychip.frontends.torch.conformance import image_models as suite
    return suite.run(limit=options.limit, jobs=options.jobs, only=options.only)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anychip conformance", description=__doc__)
    suites = parser.add_subparsers(dest="suite", required=True)
    descriptions = {
        "transformers": "every architecture transformers can build offline: one tiny training step",
        "timm": "one model of every family of timm: one training step",
        "opinfo": "PyTorch's operator database in fp32, bf16 and int64",
        "numerics": "PyTorch's operator database in each chip's arithmetic, against float64",
        "arithmetic": "how much of the arithmetic of transformers' models is done in the chip's own order",
        "scripts": "every script of a folder: what it prints",
    }
    for name, description in descriptions.items():
        suite = suites.add_parser(name, help=description, description=description)
        if name == "scripts":
            suite.add_argument("folder", help="folder of *.py")
        else:
            suite.add_argument("--limit", type=int, help="so many, taken evenly")
            suite.add_argument("--jobs", type=int, default=1, help="processes at a time")
        if name == "transformers":
            suite.add_argument(
                "--variants",
                action="store_true",
                help="the most used ones instead, each in many sizes, formats and uses",
            )
        if name == "numerics":
            suite.add_argument("--chip", action="append", help="only this chip's; may be repeated")
        suite.add_argument("--only", help="those whose name contains this")
        suite.add_argument("--json", metavar="FILE", help="write every case to this file")
    return parser
