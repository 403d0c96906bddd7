"""Verilog to a shared library, by Verilator and the system's C++ compiler.

Units are compiled on their own, once on a machine however many designs place them: inside a design
they stand as foreign functions, so a 16x16 array compiles as quickly as a 2x2 one. Everything built
is kept under a digest of what it was built from (Verilog, driver, flags, tool versions), in
``$ANYCHIP_CACHE/rtl``, ``$XDG_CACHE_HOME/anychip/rtl`` or ``~/.cache/anychip/rtl``.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anychip.errors import InvalidInput, MissingTool

if TYPE_CHECKING:
    from anychip.rtl.verilog import Port, Source

WARNINGS = ("-Wno-lint", "-Wno-style", "-Wno-fatal")
COMPILE = ("-std=c++17", "-fPIC", "-fvisibility=hidden", "-w")
#: So that several models in one process never share a symbol; other compilers and linkers do not need them.
GNU_COMPILE, GNU_LINK = ("-fno-gnu-unique",), ("-Wl,-Bsymbolic",)
#: Age after which a folder of an unfinished build is nobody's.
STALE_SECONDS = 6 * 3600
PACKAGES = ("amaranth", "pyosys")
RUNTIME = ("verilated.cpp", "verilated_dpi.cpp", "verilated_threads.cpp")


def missing_tools() -> list[str]:
    """Programs and Python packages to install before anything can be built here; empty if none."""
    programs = [tool for tool in ("verilator", _compiler()) if shutil.which(tool) is None]
    return programs + [package for package in PACKAGES if importlib.util.find_spec(package) is None]


def require_tools() -> None:
    """Raise one clear message if Verilator, the C++ compiler, Amaranth or pyosys is not there.

    Raises:
        MissingTool: naming what is missing and how to get it.
    """
    missing = missing_tools()
    if not missing:
        return
    ways: list[str] = []
    if any(name not in PACKAGES for name in missing):
        ways.append("on Debian or Ubuntu: apt-get install verilator g++ (macOS: brew install verilator)")
    if any(name in PACKAGES for name in missing):
        ways.append("pip install 'anychip[rtl]'")
    raise MissingTool(f"rtl: running hardware needs {' and '.join(missing)}, not found; {'; '.join(ways)}")


def cache_folder() -> Path:
    """Where built libraries are kept; made if it is not there.

    Raises:
        InvalidInput: it cannot be made.
    """
    chosen = os.environ.get("ANYCHIP_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "anychip"
    folder = base.expanduser() / "rtl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cache_error(folder, error) from error
    return folder


def _cache_error(folder: Path, error: OSError) -> InvalidInput:
    reason = error.strerror or str(error)
    return InvalidInput(f"rtl: cannot keep builds in {folder}: {reason}; name another place in ANYCHIP_CACHE")


def build_design(source: Source, driver: str) -> ctypes.CDLL:
    """Compile a clocked design with its driver.

    Args:
        source: the design; its units are compiled apart.
        driver: C++ that includes ``"Vdesign.h"`` and exports plain C functions marked ``EXPORT``.

    Designs that differ in a unit only are linked again, not compiled.

    Returns:
        The loaded library.

    Raises:
        MissingTool: without Verilator or a C++ compiler.
        InvalidInput: if a tool refuses the source; its own first words are in the message.
    """
    require_tools()
    units = [str(_unit_object(unit)) for unit in source.units]
    foreign = "\n".join(_foreign(unit) for unit in source.units)

    def compile_alone(folder: Path, target: Path) -> None:
        (folder / "design.v").write_text(source.text)
        (folder / "units.sv").write_text(foreign)
        _verilate(folder, source.name, ["design.v"] + (["units.sv"] if units else []))
        (folder / "unity.cpp").write_text(_unity(folder) + _EXPORT + driver)
        _run([_compiler(), "-O1", *_flags(), "-c", "unity.cpp", "-o", str(target)], folder)

    alone = _kept(f"{source.name}-{_digest(source.text, foreign, driver)}.o", compile_alone)

    def link(folder: Path, target: Path) -> None:
        _link(folder, target, [str(alone), *units, *map(str, _runtime_objects())])

    return ctypes.CDLL(str(_kept(f"{source.name}-{_digest(source.digest, driver)}.so", link)))


class UnitLibrary:
    """A combinational unit, compiled, to be called with whole arrays.

    Args:
        source: of the unit.
    """

    def __init__(self, source: Source) -> None:
        require_tools()
        self.source = source
        unit = _unit_object(source)

        def make(folder: Path, target: Path) -> None:
            _link(folder, target, [str(unit), *map(str, _runtime_objects())])

        self._library = ctypes.CDLL(str(_kept(f"{source.name}-{_digest(source.digest)}.so", make)))

    def __call__(self, **operands: np.ndarray) -> dict[str, np.ndarray]:
        """Evaluate the unit for every element.

        Args:
            **operands: one integer array of codes per input, all of one length.

        Returns:
            One uint64 array per output.
        """
        inputs = [port for port in self.source.ports if not port.output]
        outputs = [port for port in self.source.ports if port.output]
        given = [np.ascontiguousarray(operands[port.name], np.uint64) for port in inputs]
        results = [np.zeros(len(given[0]), np.uint64) for _ in outputs]
        arrays = given + results
        table = (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
        self._library.evaluate_batch(ctypes.c_size_t(len(given[0])), table)
        return {port.name: result for port, result in zip(outputs, results, strict=True)}


_EXPORT = '\n#define EXPORT extern "C" __attribute__((visibility("default")))\n'


def _c_type(port: Port) -> str:
    return "uint32_t" if port.bits <= 32 else "uint64_t"


def _sv_type(port: Port) -> str:
    return "int unsigned" if port.bits <= 32 else "longint unsigned"


def _function(source: Source) -> str:
    return f"unit_{source.name}"


def _foreign(source: Source) -> str:
    """A module with the unit's ports that asks the compiled unit for its outputs."""
    ports = ", ".join(
        f"{'output' if p.output else 'input'} wire [{p.bits - 1}:0] {p.name}" for p in source.ports
    )
    declared = ", ".join(f"{'output' if p.output else 'input'} {_sv_type(p)} {p.name}" for p in source.ports)
    widened = "".join(f"  {_sv_type(p)} wide_{p.name};\n" for p in source.ports)
    joined = "".join(
        f"  assign {p.name} = wide_{p.name}[{p.bits - 1}:0];\n"
        if p.output
        else f"  assign wide_{p.name} = {p.name};\n"
        for p in source.ports
    )
    call = f"{_function(source)}({', '.join(f'wide_{p.name}' for p in source.ports)})"
    return (
        f"module {source.name}({ports});\n"
        f'  import "DPI-C" pure function void {_function(source)}({declared});\n'
        f"{widened}{joined}  always @* {call};\nendmodule\n"
    )


def _unit_driver(source: Source) -> str:
    """The unit as a C function, and the same over arrays."""
    inputs = [port for port in source.ports if not port.output]
    outputs = [port for port in source.ports if port.output]
    parameters = ", ".join(f"{_c_type(p)}{'*' if p.output else ''} {p.name}" for p in source.ports)
    into = "".join(f"  unit.{p.name} = {p.name};\n" for p in inputs)
    out = "".join(f"  *{p.name} = unit.{p.name};\n" for p in outputs)
    arguments: list[str] = []
    for port in source.ports:
        row = (inputs + outputs).index(port)
        arguments.append(f"&out_{port.name}" if port.output else f"arrays[{row}][i]")
    declared = "".join(f"    {_c_type(p)} out_{p.name};\n" for p in outputs)
    stored = "".join(f"    arrays[{len(inputs) + i}][i] = out_{p.name};\n" for i, p in enumerate(outputs))
    return (
        f"EXPORT void {_function(source)}({parameters}) {{\n"
        f"  static thread_local Vdesign unit;\n{into}  unit.eval();\n{out}}}\n"
        f'extern "C" __attribute__((visibility("default"), weak))\n'
        f"void evaluate_batch(size_t count, uint64_t** arrays) {{\n"
        f"  for (size_t i = 0; i < count; ++i) {{\n{declared}"
        f"    {_function(source)}({', '.join(arguments)});\n{stored}  }}\n}}\n"
    )


def _unit_object(source: Source) -> Path:
    """The compiled unit. Its model class carries the unit's name, so that many fit into one library."""
    driver = _unit_driver(source).replace("Vdesign", f"V{source.name}")

    def make(folder: Path, target: Path) -> None:
        (folder / "unit.v").write_text(source.text)
        _verilate(folder, source.name, ["unit.v"], prefix=f"V{source.name}")
        (folder / "unity.cpp").write_text(_unity(folder) + _EXPORT + driver)
        _run([_compiler(), "-O1", *_flags(), "-c", "unity.cpp", "-o", str(target)], folder)

    return _kept(f"{source.name}-{_digest(source.digest, driver)}.o", make)


def _runtime_objects() -> list[Path]:
    """Verilator's own support code, compiled once."""

    def maker(file: str) -> Callable[[Path, Path], None]:
        def make(folder: Path, target: Path) -> None:
            path = str(_verilator_root() / "include" / file)
            _run([_compiler(), "-O2", *_flags(), "-c", path, "-o", str(target)], folder)

        return make

    return [_kept(f"{Path(file).stem}-{_digest()}.o", maker(file)) for file in RUNTIME]


def _verilate(folder: Path, top: str, files: list[str], *, prefix: str = "Vdesign") -> None:
    options = ["--cc", "--top-module", top, "--prefix", prefix, "-O3", "--x-assign", "fast", *WARNINGS]
    _run(["verilator", *options, "-Mdir", "generated", *files], folder)


def _unity(folder: Path) -> str:
    """One translation unit: the header is read once instead of ten times."""
    generated = sorted((folder / "generated").glob("*.cpp"))
    return "".join(f'#include "generated/{path.name}"\n' for path in generated)


def _flags() -> list[str]:
    include = _verilator_root() / "include"
    return [*COMPILE, *(GNU_COMPILE if _is_gnu() else ()), f"-I{include}", f"-I{include / 'vltstd'}"]


def _link(folder: Path, target: Path, objects: list[str]) -> None:
    symbols = GNU_LINK if _is_gnu() else ()
    _run([_compiler(), "-shared", *symbols, "-o", str(target), *objects, "-pthread"], folder)


def kept_text(key: str, name: str, make: Callable[[], str]) -> str:
    """A text that is costly to make, from the cache where it was made from the same `key` before."""

    def write(_folder: Path, target: Path) -> None:
        target.write_text(make())

    return _kept(f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:20]}.txt", write).read_text()


def _kept(name: str, make: Callable[[Path, Path], None]) -> Path:
    """The cached file, made now if it is not there; a build that fails or stops leaves nothing."""
    target = cache_folder() / name
    if target.exists():
        return target
    _sweep(cache_folder())
    try:
        with _alone(target), tempfile.TemporaryDirectory(prefix="build-", dir=cache_folder()) as folder:
            if not target.exists():
                finished = Path(folder, "finished")
                make(Path(folder), finished)
                finished.replace(target)
    except OSError as error:
        raise _cache_error(cache_folder(), error) from error
    return target


@contextlib.contextmanager
def _alone(target: Path) -> Generator[None]:
    """Processes that want the same file wait for the first of them; the lock dies with its process."""
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
def _sweep(folder: Path) -> None:
    """Remove what builds that were killed left behind, hours ago."""
    for left in folder.glob("build-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _run(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip().splitlines()
        first = next((line for line in said if "rror" in line), said[0] if said else "no message")
        raise InvalidInput(f"rtl: {Path(command[0]).name} failed ({result.returncode}): {first}")
    return result.stdout


def _compiler() -> str:
    return os.environ.get("CXX", "c++")


@functools.cache
def _is_gnu() -> bool:
    return "Free Software Foundation" in _run([_compiler(), "--version"], Path.cwd())


@functools.cache
def _verilator_root() -> Path:
    return Path(_run(["verilator", "--getenv", "VERILATOR_ROOT"], Path.cwd()).strip())


@functools.cache
def _tool_versions() -> str:
    versions = [_run([tool, "--version"], Path.cwd()) for tool in ("verilator", _compiler())]
    return "\n".join([*versions, *COMPILE])


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join([_tool_versions(), *parts]).encode()).hexdigest()[:20]
