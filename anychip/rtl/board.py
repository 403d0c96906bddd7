"""A build of basecamp in Verilator, with main memory beside it: kernels in, values and cycles out."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic import Curves
from anychip.errors import AnychipError, InvalidInput
from anychip.formats import bf16
from anychip.programs.expand import Issued
from anychip.programs.program import Kernel
from anychip.rtl.assemble import Assembled, assemble
from anychip.rtl.encoding import Encoding
from anychip.rtl.hardware import Hardware
from anychip.rtl.verilator import build_design, require_tools

_MICROCODE, _CONSTANTS, _TABLES = 1, 2, 3
_NOT_DONE, _OUTSIDE = -1, -2


class HardwareStopped(AnychipError, RuntimeError):
    """The hardware did not finish a program, or reached outside main memory."""


@dataclass(frozen=True)
class HardwareRun:
    """What the hardware did.

    Args:
        cycles: from reset to the last landing.
        sums: fp32 codes of the array's running sums as every multiplication landed, [m, n] each.
    """

    cycles: int
    sums: tuple[NDArray[np.uint32], ...]


class Board:
    """One build, loaded, with its tables.

    Args:
        hardware: parameters of the build; built now if it is not in the cache.
        curves: the unit that the tables imitate.
        flat: compile the one file that synthesis reads, units inside; slower to build, same behaviour.

    Raises:
        MissingTool: without Verilator, a C++ compiler or pyosys.
    """

    def __init__(self, hardware: Hardware, curves: Curves, *, flat: bool = False) -> None:
        require_tools()
        from anychip.rtl.basecamp import basecamp_verilog  # Amaranth may not be installed
        from anychip.rtl.verilog import Source

        self.hardware, self._curves = hardware, curves
        source = basecamp_verilog(hardware)
        if flat:
            source = Source(source.name, source.ports, source.whole)
        self._library = build_design(source, driver(hardware))
        self._library.create.restype = ctypes.c_void_p
        self._library.run.restype = ctypes.c_int64
        self._chip = ctypes.c_void_p(self._library.create())
        self._tables: tuple[str, ...] = ()

    def close(self) -> None:
        """Free the model."""
        if self._chip.value:
            self._library.destroy(self._chip)
            self._chip = ctypes.c_void_p()

    def run(
        self,
        kernel: Kernel,
        storages: Mapping[int, int],
        memory: NDArray[np.uint8],
        limit: int,
        alter: Callable[[Issued], Issued] | None = None,
    ) -> HardwareRun:
        """Assemble a kernel and run it to the end.

        Args:
            kernel: what to run.
            storages: byte address of every storage.
            memory: main memory, read and written.
            limit: cycles after which it counts as hung.
            alter: changes every instruction first; how a test plants a mistake in a program.

        Raises:
            HardwareStopped: it hung or reached outside `memory`.
            NotModelled: the kernel uses what the hardware does not have.
        """
        program = assemble(self.hardware, kernel, storages, self._tables, alter)
        self._load(program)
        shapes = np.array(program.products, np.uint32).reshape(-1, 2)
        sums = np.zeros(int((shapes[:, 0] * shapes[:, 1]).sum()), np.uint32)
        cycles = self._library.run(
            self._chip,
            program.words.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint32(len(program.words)),
            memory.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint64(memory.size),
            ctypes.c_int64(limit),
            shapes.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint32(len(shapes)),
            sums.ctypes.data_as(ctypes.c_void_p),
        )
        if cycles == _NOT_DONE:
            raise HardwareStopped(f"rtl: kernel {kernel.nest.name} is not done after {limit} cycles")
        if cycles == _OUTSIDE:
            raise HardwareStopped(f"rtl: kernel {kernel.nest.name} reached outside main memory")
        ends = np.cumsum(shapes[:, 0] * shapes[:, 1])
        parts = np.split(sums, ends[:-1]) if len(ends) else []
        return HardwareRun(
            int(cycles), tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
        )

    def _load(self, program: Assembled) -> None:
        for number, curve in enumerate(program.tables):
            if number >= len(self._tables):
                self._write(_TABLES, number << 16, table_of(curve, self._curves))
        self._tables = program.tables
        self._write(_MICROCODE, 0, np.array(program.microcode, np.uint64))
        self._write(_CONSTANTS, 0, np.array(program.constants, np.uint64))

    def _write(self, target: int, address: int, values: NDArray[np.unsignedinteger]) -> None:
        wide = np.ascontiguousarray(values, np.uint64)
        self._library.write_words(
            self._chip,
            ctypes.c_uint32(target),
            ctypes.c_uint32(address),
            ctypes.c_uint32(len(wide)),
            wide.ctypes.data_as(ctypes.c_void_p),
        )


def table_of(curve: str, curves: Curves) -> NDArray[np.unsignedinteger]:
    """The 65,536 bf16 codes of a curve, one for every bf16 argument.

    Raises:
        InvalidInput: the curves are not those of a table with bf16 arguments and results.
    """
    if curves.format != bf16:
        raise InvalidInput(
            f'rtl: the hardware evaluates curves by bf16 tables, the numerics by "{curves.name}"; '
            "give the chip Curves(format=bf16)"
        )
    arguments = bf16.decode(np.arange(1 << 16, dtype=np.uint32)).astype(np.float64)
    return bf16.encode(curves.evaluate(curve, arguments))


def driver(hardware: Hardware) -> str:
    """The C++ that steps the model: program and main memory answer in the cycle in which they are asked."""
    words = -(-Encoding(hardware).instruction_bits // 32)
    lanes = range(hardware.elements_per_cycle)

    def pointers(name: str) -> str:
        return ", ".join(f"&chip->{name}_{i}" for i in lanes)

    cells = ", ".join(f"&chip->sum_{i}_{j}" for i in range(hardware.rows) for j in range(hardware.columns))
    return f"""
#include <cstdint>
#include <cstring>

static const int LANES = {len(lanes)}, COLUMNS = {hardware.columns}, WORDS = {words};

EXPORT void* create() {{ return new Vdesign; }}
EXPORT void destroy(void* handle) {{ delete static_cast<Vdesign*>(handle); }}

static void tick(Vdesign* chip) {{
  chip->clk = 0; chip->eval();
  chip->clk = 1; chip->eval();
}}

EXPORT void write_words(void* handle, uint32_t target, uint32_t address, uint32_t count,
                        const uint64_t* values) {{
  Vdesign* chip = static_cast<Vdesign*>(handle);
  chip->rst = 1;
  for (uint32_t i = 0; i < count; ++i) {{
    chip->host_target = target; chip->host_address = address + i; chip->host_data = values[i];
    tick(chip);
  }}
  chip->host_target = 0;
}}

EXPORT int64_t run(void* handle, const uint32_t* program, uint32_t length, uint8_t* memory, uint64_t size,
                   int64_t limit, const uint32_t* shapes, uint32_t products, uint32_t* sums) {{
  Vdesign* chip = static_cast<Vdesign*>(handle);
  CData* reads[] = {{{pointers("read")}}};
  IData* addresses[] = {{{pointers("address")}}};
  IData* answers[] = {{{pointers("data")}}};
  CData* stores[] = {{{pointers("store")}}};
  CData* wides[] = {{{pointers("store_wide")}}};
  IData* targets[] = {{{pointers("store_address")}}};
  IData* stored[] = {{{pointers("store_data")}}};
  IData* cells[] = {{{cells}}};
  chip->host_target = 0; chip->length = length; chip->rst = 1;
  tick(chip); tick(chip);
  chip->rst = 0;
  uint32_t landed = 0;
  for (int64_t cycle = 0; cycle <= limit; ++cycle) {{
    chip->clk = 0;
    uint32_t position = chip->position;
    if (position < length)
      std::memcpy(&chip->instruction[0], program + uint64_t(position) * WORDS, WORDS * 4);
    chip->eval();
    bool asked = false;
    for (int i = 0; i < LANES; ++i) {{
      if (!*reads[i]) continue;
      uint64_t address = *addresses[i], bytes = chip->wide ? 4 : 2;
      if (address + bytes > size) return {_OUTSIDE};
      uint32_t value = 0;
      std::memcpy(&value, memory + address, bytes);
      *answers[i] = value;
      asked = true;
    }}
    if (asked) chip->eval();
    for (int i = 0; i < LANES; ++i) {{
      if (!*stores[i]) continue;
      uint64_t address = *targets[i], bytes = *wides[i] ? 4 : 2;
      if (address + bytes > size) return {_OUTSIDE};
      uint32_t value = *stored[i];
      std::memcpy(memory + address, &value, bytes);
    }}
    if (chip->landed_matrix != landed && landed < products) {{
      for (uint32_t i = 0; i < shapes[2 * landed]; ++i)
        for (uint32_t j = 0; j < shapes[2 * landed + 1]; ++j) *sums++ = *cells[i * COLUMNS + j];
      ++landed;
    }}
    if (chip->done) return chip->cycles;
    chip->clk = 1; chip->eval();
  }}
  return {_NOT_DONE};
}}
"""
