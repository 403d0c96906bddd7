"""``anychip doctor``: what is installed, which compiled path is in use, which tools are missing and what for.

Nothing is imported to find out, except the compiled core, which is loaded and asked.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Literal, NamedTuple

from anychip import __version__
from anychip.products.arguments import Parser

State = Literal["ok", "note", "missing"]


class Finding(NamedTuple):
    """One line of the answer.

    Args:
        state: ``missing`` only where something cannot be done without it.
        name: what was looked for.
        found: version or place.
        remark: what it is for, or what to do.
    """

    state: State
    name: str
    found: str
    remark: str


class Package(NamedTuple):
    """A Python package that a part of anychip uses.

    Args:
        name: of the distribution.
        tested: version with which the tests run.
        purpose: what needs it.
        extra: installs it; empty: anychip itself does.
    """

    name: str
    tested: str
    purpose: str
    extra: str = ""


PACKAGES = (
    Package("numpy", "2.4", "all arithmetic"),
    Package("rich", "15.0", "reports in the terminal"),
    Package("torch", "2.13", "running PyTorch scripts", "torch"),
    Package("transformers", "5.23", "conformance, examples", "conformance"),
    Package("accelerate", "1.15", "conformance, examples", "conformance"),
    Package("scikit-learn", "1.9", "examples", "examples"),
    Package("amaranth", "0.5", "hardware of a chip, `anychip crosscheck`", "rtl"),
    Package("pyosys", "0.70", "hardware of a chip, `anychip crosscheck`", "rtl"),
)


class Tool(NamedTuple):
    """A program that a part of anychip calls.

    Args:
        commands: any of them will do.
        purpose: what needs it.
        remedy: how to get it.
    """

    commands: tuple[str, ...]
    purpose: str
    remedy: str


TOOLS = (
    Tool(("verilator",), "running hardware in `anychip crosscheck`", "apt-get install verilator"),
    Tool(("c++", "g++", "clang++"), "building the compiled core; Verilator", "apt-get install g++"),
)


def main(argv: Sequence[str]) -> int:
    """Prints the findings; exit code 1 if scripts cannot be run on a chip here."""
    Parser("doctor", "Say what is installed, what is missing and what for.").parse(argv)
    found = list(findings())
    width = max(len(finding.name) for finding in found)
    version = max(len(finding.found) for finding in found)
    for finding in found:
        mark = {"ok": "  ", "note": "! ", "missing": "x "}[finding.state]
        print(f"{mark}{finding.name:<{width}}  {finding.found:<{version}}  {finding.remark}".rstrip())
    missing = [finding.name for finding in found if finding.state == "missing"]
    if missing:
        print(f"\nnot usable for everything: {', '.join(missing)}")
    else:
        print("\nnothing is missing")
    return 1 if {"torch", "numpy"} & set(missing) else 0


def findings() -> Iterator[Finding]:
    """Everything worth knowing about this installation, in order of importance."""
    yield Finding("ok", "anychip", __version__, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    yield _python()
    machine = f"{platform.system()} {platform.machine()}"
    yield Finding("ok", "machine", machine, f"{os.cpu_count()} processors")
    yield _core()
    yield _seam()
    for package in PACKAGES:
        yield _package(package)
    yield from _torch_build()
    for tool in TOOLS:
        yield _tool(tool)


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info < (3, 11):
        return Finding("missing", "Python", version, "anychip needs 3.11 or later")
    tested = sys.version_info[:2] == (3, 11)
    return Finding("ok" if tested else "note", "Python", version, "" if tested else "tests run on 3.11")


def _core() -> Finding:
    from anychip.formats import compiled

    if compiled.why_not():
        return Finding("note", "compiled core", "numpy", f"slow, same bits: {compiled.why_not()}")
    others = ", ".join(name for name in compiled.paths() if name != compiled.path())
    return Finding("ok", "compiled core", compiled.path(), f"same bits, slower: {others}")


def _seam() -> Finding:
    from anychip.frontends.torch.native import SEAM

    if SEAM is None:
        return Finding(
            "note", "capture", "python", "slower, same graphs: built where g++ and python3-dev are"
        )
    return Finding("ok", "capture", "compiled", "same graphs, slower: ANYCHIP_CAPTURE=python")


def _package(package: Package) -> Finding:
    try:
        version = metadata.version(package.name)
    except metadata.PackageNotFoundError:
        remedy = f"pip install 'anychip[{package.extra}]'" if package.extra else "reinstall anychip"
        return Finding("missing", package.name, "-", f"for {package.purpose}: {remedy}")
    if not (version + ".").startswith(package.tested + "."):
        return Finding(
            "note", package.name, version, f"for {package.purpose}; tests run with {package.tested}"
        )
    return Finding("ok", package.name, version, f"for {package.purpose}")


def _torch_build() -> Iterator[Finding]:
    """Whether PyTorch was built for another accelerator, which stays unused."""
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return
    names = {(dist.metadata["Name"] or "").casefold() for dist in metadata.distributions()}
    if "+cpu" not in version and ("+cu" in version or any(name.startswith("nvidia-") for name in names)):
        yield Finding(
            "note",
            "torch for CUDA",
            version,
            'under `anychip run` "cuda" means the simulated chip; a GPU in this machine stays unused',
        )


def _tool(tool: Tool) -> Finding:
    place = next(filter(None, map(shutil.which, tool.commands)), None)
    if place is None:
        return Finding("missing", tool.commands[0], "-", f"for {tool.purpose}: {tool.remedy}")
    return Finding("ok", tool.commands[0], "found", f"for {tool.purpose}")
