"""Builds what is compiled; both parts lie beside their sources after `pip install -e .` or
`python setup.py build_ext --inplace`.

The core of `anychip.arithmetic` is one shared library without a Python ABI, for ctypes. The seam of a capture
(`anychip.frontends.torch.native`) is an extension module of this Python. Both are optional: without a C++
compiler, or without Python's headers, the package installs all the same and does the same more slowly.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = "anychip/arithmetic/kernels"
SEAM = "anychip/frontends/torch/native"
#: Multiply and add are fused only where written so. No errno, no traps: nothing reads them.
FLAGS = "-std=c++17 -O3 -fPIC -ffp-contract=off -fno-math-errno -fno-trapping-math -Wno-maybe-uninitialized"
_AVX512 = "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c -mprefer-vector-width=512"
X86_PATHS = {
    "baseline": "",
    "avx2": "-mavx2 -mfma -mf16c",
    "avx512": _AVX512,
    "avx512bf16": f"{_AVX512} -mavx512bf16",
}


def sources_digest(folder: Path) -> str:
    """SHA-256 of a folder's C++ sources, as the package computes it when it loads what was built."""
    files = sorted(file for file in folder.iterdir() if file.suffix in (".h", ".cpp"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


class Core(Extension):
    """The compiled core."""


class Build(build_ext):
    """The core: `path.cpp` compiled once per instruction set, everything linked into one library."""

    def get_ext_filename(self, fullname: str) -> str:
        # Asked for by its whole name and by its last part.
        if fullname.rpartition(".")[2] == "core":
            return str(Path(*fullname.split(".")).with_suffix(".so"))
        return super().get_ext_filename(fullname)

    def build_extension(self, ext: Extension) -> None:
        if not isinstance(ext, Core):
            super().build_extension(ext)
            return
        compiler = os.environ.get("CXX", "g++").split()
        target = os.environ.get("ANYCHIP_TARGET", platform.machine())
        paths = X86_PATHS if target in ("x86_64", "AMD64") else {"baseline": ""}
        temporary = Path(self.build_temp)
        temporary.mkdir(parents=True, exist_ok=True)
        options = [*FLAGS.split(), "-c", f"{SOURCES}/path.cpp", "-fvisibility=hidden"]
        commands = [
            [
                *compiler,
                *options,
                *flags.split(),
                f"-DANYCHIP_PATH={name}",
                "-o",
                str(temporary / f"{name}.o"),
            ]
            for name, flags in paths.items()
        ]
        digest = f'-DANYCHIP_SOURCES="{sources_digest(Path(SOURCES))}"'
        dispatch = [digest, "-c", f"{SOURCES}/dispatch.cpp", "-o", str(temporary / "dispatch.o")]
        commands.append([*compiler, *FLAGS.split(), *dispatch])
        with ThreadPoolExecutor(2) as workers:
            list(workers.map(self._run, commands))
        objects = [command[-1] for command in commands]
        library = Path(self.get_ext_fullpath(ext.name))
        library.parent.mkdir(parents=True, exist_ok=True)
        # Beside its final place and renamed, so that a process that has the old one mapped keeps it.
        fresh = library.with_suffix(".fresh")
        static = [] if platform.system() == "Darwin" else ["-static-libstdc++", "-static-libgcc"]
        self._run([*compiler, "-shared", "-o", str(fresh), *objects, "-pthread", "-s", *static])
        os.replace(fresh, library)

    def _run(self, command: list[str]) -> None:
        from setuptools.errors import CompileError

        try:
            subprocess.run(command, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise CompileError(f"{command[0]}: {error}") from error


if __name__ == "__main__":
    setup(
        ext_modules=[
            Core(
                "anychip.arithmetic.kernels.core",
                [f"{SOURCES}/path.cpp", f"{SOURCES}/dispatch.cpp"],
                optional=True,
            ),
            Extension(
                "anychip.frontends.torch.native.seam",
                [f"{SEAM}/seam.cpp"],
                define_macros=[("ANYCHIP_SOURCES", f'"{sources_digest(Path(SEAM))}"')],
                extra_compile_args=["-std=c++17", "-O3", "-fvisibility=hidden"],
                optional=True,
            ),
        ],
        cmdclass={"build_ext": Build},
    )
