"""Kernels that a vendor's library takes by table: the one that its makers found best for the nearest problem.

The rule is rocBLAS': problems are points (m, n, k), however many of them a batch holds, and the nearest by
Euclidean distance gives the kernel. Source: ROCm/Tensile@a164ed70d, Tensile/SolutionLibrary.py and
Tensile/Source/lib/include/Tensile/PropertyMatching.hpp.
"""

from __future__ import annotations

import csv
import functools
import lzma
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Facts of the tables of ROCm/rocBLAS@b520bc83f, library/src/blas3/Tensile/Logic/asm_full, as
#: tools/pack_rocblas_kernels.py reads them.
_ROCBLAS = "rocblas_kernels.csv.xz"


class Kernel(NamedTuple):
    """One kernel of a library, as far as its time goes.

    Args:
        m: rows of the result tile that one group of threads makes.
        n: columns of it.
        k: products of a sum that it takes at a time.
        splits: parts into which every sum is cut.
        engine: ``tensor`` or ``fma``: what multiplies.
        staggered: whether groups start at different places of their sums.
    """

    m: int
    n: int
    k: int
    splits: int
    engine: str
    staggered: bool


class KernelTable:
    """Problems for which a kernel was found, and which.

    Args:
        problems: m, n, k and kernel of each; m rows and n columns of a result in row order.
    """

    def __init__(self, problems: Iterable[tuple[tuple[int, int, int], Kernel]]) -> None:
        listed = list(problems)
        self._sizes: NDArray[np.int64] = np.array([size for size, _ in listed], dtype=np.int64)
        self._kernels = [kernel for _, kernel in listed]

    def nearest(self, m: int, n: int, k: int) -> Kernel:
        """The kernel of the nearest problem; of equally near ones, the first."""
        apart = self._sizes - np.array((m, n, k))
        return self._kernels[int(np.einsum("ij,ij->i", apart, apart).argmin())]


@dataclass(frozen=True, slots=True)
class Rocblas:
    """Tables of rocBLAS for the chips of one instruction set, read when they are first asked for.

    Args:
        instructions: such as ``gfx90a``.
    """

    instructions: str

    def table(self, format_name: str, layout: str) -> KernelTable | None:
        """The table for operands in a format that lie along two indices, None without one.

        Args:
            format_name: of both operands.
            layout: along which index the left and the right operand lie: ``kn`` where both are in row order,
                ``kk`` where both lie along the sum.
        """
        return _tables(self.instructions).get((format_name, layout))


@functools.cache
def _tables(instructions: str) -> dict[tuple[str, str], KernelTable]:
    packed = resources.files("anychip.chips").joinpath(_ROCBLAS).read_bytes()
    found: dict[tuple[str, str], list[tuple[tuple[int, int, int], Kernel]]] = {}
    lines = iter(csv.reader(lzma.decompress(packed).decode().splitlines()))
    next(lines)
    for chip, format_name, layout, m, n, k, tile_m, tile_n, tile_k, splits, engine, staggered in lines:
        if chip == instructions:
            tile = int(tile_m), int(tile_n), int(tile_k)
            kernel = Kernel(*tile, int(splits), engine, staggered == "1")
            found.setdefault((format_name, layout), []).append(((int(m), int(n), int(k)), kernel))
    return {name: KernelTable(problems) for name, problems in found.items()}
