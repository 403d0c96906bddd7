"""Make anychip/chips/rocblas_kernels.csv.xz from a checkout of rocBLAS.

rocBLAS chooses kernels by tables of problems for which its makers looked for the fastest kernel. Of every
entry the sizes and the kernel's tile are kept, the kernels that were recorded as fastest first: of equally
near problems the library takes the fastest. Written for a result in row order, m rows and n columns
(rocBLAS, in column order, calls them N and M).

    python tools/pack_rocblas_kernels.py ROCBLAS_CHECKOUT

The file in the repository was made of ROCm/rocBLAS@b520bc83f.
"""

from __future__ import annotations

import csv
import io
import lzma
import sys
from pathlib import Path

import yaml

_TARGET = Path(__file__).parents[1] / "anychip" / "chips" / "rocblas_kernels.csv.xz"
#: Instruction sets of CDNA 1 and 2 and where the tables of their usual chips are.
_CHIPS = {"gfx908": ("arcturus", "arcturus"), "gfx90a": ("aldebaran_104cu", "aldebaran")}
#: Formats of operands, and how the tables name products that are accumulated in fp32.
_FORMATS = {"fp32": "SB", "fp16": "HHS_BH", "bf16": "BBS_BH"}
#: Along which index the left and the right operand lie, and how the tables name that.
_LAYOUTS = {"kn": "Ailk_Bljk", "kk": "Alik_Bljk", "mn": "Ailk_Bjlk", "mk": "Alik_Bjlk"}


def _rows(path: Path) -> list[tuple[int | str, ...]]:
    logic = yaml.load(path.read_text(), yaml.CSafeLoader)
    kernels = {each["SolutionIndex"]: each for each in logic[5]}
    fastest: dict[tuple[int, int, int], tuple[float, int]] = {}
    for (columns, rows, _batch, depth, *_), (index, speed) in logic[7]:
        size = rows, columns, depth
        fastest[size] = max(fastest.get(size, (-1.0, 0)), (speed, index), key=lambda each: each[0])
    found: list[tuple[int | str, ...]] = []
    for size, (_, index) in sorted(fastest.items(), key=lambda each: (-each[1][0], each[0])):
        kernel = kernels[index]
        engine = "tensor" if kernel.get("EnableMatrixInstruction") else "fma"
        tile = kernel["MacroTile1"], kernel["MacroTile0"], kernel["DepthU"], kernel["GlobalSplitU"]
        found.append((*size, *tile, engine, int(kernel["StaggerU"] > 0)))
    return found


def main() -> None:
    """Read the tables below the folder that is named and write the file."""
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/pack_rocblas_kernels.py ROCBLAS_CHECKOUT")
    logic = Path(sys.argv[1]) / "library/src/blas3/Tensile/Logic/asm_full"
    if not logic.is_dir():
        sys.exit(f"{logic}: no such folder; name a checkout of ROCm/rocBLAS")
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow("chip format layout m n k tile_m tile_n tile_k splits engine staggered".split())
    for chip, (folder, name) in _CHIPS.items():
        for format_name, suffix in _FORMATS.items():
            for layout, indices in _LAYOUTS.items():
                path = logic / folder / f"{name}_Cijk_{indices}_{suffix}.yaml"
                if path.exists():
                    lines.writerows((chip, format_name, layout, *row) for row in _rows(path))
    _TARGET.write_bytes(lzma.compress(text.getvalue().encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{_TARGET}: {len(text.getvalue().splitlines()) - 1:,} problems, {_TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
