"""``anychip verilog``: the hardware of a chip wired like basecamp, as one Verilog file for synthesis.

What it does in Verilator is what `anychip crosscheck` compares with the simulator, bits and cycles.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from anychip.chips import find
from anychip.errors import MissingTool
from anychip.products.arguments import Parser
from anychip.profile.writing import check_writable, write_text
from anychip.rtl.hardware import hardware_of

_EPILOG = """\
The file holds the chip, its memories and every arithmetic unit once. Program memory and main memory are
outside, behind ports that answer in the same cycle; docs/rtl.md describes ports and rules.

examples:
  anychip verilog --output basecamp.v
  anychip verilog --chip mychip.py --output mychip.v
"""


def main(argv: Sequence[str]) -> int:
    """Run ``anychip verilog``.

    Raises:
        MissingTool: without Amaranth or pyosys.
        NotModelled: the chip has blocks for which there is no hardware.
    """
    parser = Parser("verilog", "Write the Verilog of a chip wired like basecamp.", _EPILOG)
    parser.add_argument("--chip", default="basecamp", help="a name or a Python file (default basecamp)")
    parser.add_argument("--output", metavar="FILE", help="where to write; standard output if left out")
    options = parser.parse(argv)
    hardware = hardware_of(find(options.chip))
    if options.output is not None:
        check_writable(Path(options.output))
    if importlib.util.find_spec("amaranth") is None:
        raise MissingTool("verilog: needs the Python package amaranth; pip install 'anychip[rtl]'")
    from anychip.rtl.basecamp import basecamp_verilog

    source = basecamp_verilog(hardware)
    if options.output is None:
        print(source.whole, end="")
        return 0
    write_text(Path(options.output), [source.whole])
    units = ", ".join(unit.name for unit in source.units)
    lines = source.whole.count("\n")
    print(f"{options.output}: module {source.name}, {lines:,} lines, units {units}", file=sys.stderr)
    return 0
