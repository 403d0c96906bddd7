"""One workload at three levels: whole operators, instructions, hardware."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anychip.arithmetic import Numerics
from anychip.chips import Chip
from anychip.compile.basecamp import nest_of
from anychip.compile.binding import bound
from anychip.errors import NotModelled
from anychip.formats import Float, by_name
from anychip.operators import Form, meaning
from anychip.products.crosscheck.workloads import Script
from anychip.programs.expand import Issued, expand
from anychip.programs.program import Kernel, Slot, Tile
from anychip.rtl.board import Board, HardwareStopped
from anychip.simulate.interpret import Interpreter, Stored
from anychip.simulate.machine import simulate_nest
from anychip.simulate.whole import evaluate_form

Sums = list[NDArray[np.uint32]]
Alter = Callable[[Issued], Issued]

#: Bytes between storages in main memory, and what they hold: a stray write shows.
GUARD_BYTES = 16
GUARD = 0xA5


@dataclass(frozen=True)
class Work:
    """A workload lowered for a chip.

    Args:
        script: the calls.
        forms: one for every kernel.
        kernels: in order.
    """

    script: Script
    forms: tuple[Form, ...]
    kernels: tuple[Kernel, ...]


@dataclass(frozen=True)
class Values:
    """What a level computed.

    Args:
        storages: codes of every storage at the end, NaN canonical.
        sums: fp32 codes: at operator level the finished sums of every kernel that has some, else the
            running sums after every multiplication.
        finals: at instruction level, the finished sums of every result tile in order, kernel by kernel.
    """

    storages: tuple[NDArray[np.unsignedinteger], ...]
    sums: tuple[Sums, ...]
    finals: tuple[Sums, ...] = ()


@dataclass(frozen=True)
class HardwareValues:
    """What the hardware computed, and in how many cycles each kernel."""

    values: Values
    cycles: tuple[int, ...]


def lowered(script: Script, chip: Chip) -> Work:
    """The script's kernels on a chip."""
    forms: list[Form] = []
    kernels: list[Kernel] = []
    for number, node in enumerate(script.nodes):
        for form in meaning(node):
            forms.append(form)
            kernels.append(bound(nest_of(form, chip), node, number))
    return Work(script, tuple(forms), tuple(kernels))


def _float(name: str) -> Float:
    stored = by_name(name)
    if not isinstance(stored, Float):
        raise NotModelled(f"crosscheck: storages of {name}")
    return stored


def codes_of(values: NDArray[np.floating], format_name: str) -> NDArray[np.unsignedinteger]:
    """Stored codes, every NaN as the canonical one."""
    stored = _float(format_name)
    codes = stored.encode(np.where(np.isnan(values), np.float32(np.nan), values))
    return np.where(np.isnan(values), stored.encode(np.float32(np.nan)), codes)


def sum_codes(values: NDArray[np.floating]) -> NDArray[np.uint32]:
    """fp32 codes of sums, every NaN as the canonical one."""
    wide = np.ascontiguousarray(values, np.float32)
    return np.where(np.isnan(wide), np.uint32(0x7FC00000), wide.view(np.uint32))


def _fresh_memory(script: Script) -> dict[int, Stored]:
    return {
        number: Stored.empty(elements, script.format) if values is None else Stored.holding(values)
        for number, (elements, values) in enumerate(zip(script.elements, script.contents, strict=True))
    }


def _storages(script: Script, memory: Mapping[int, Stored]) -> tuple[NDArray[np.unsignedinteger], ...]:
    return tuple(codes_of(memory[number].values, script.format) for number in range(len(script.elements)))


def by_operators(work: Work, numerics: Numerics) -> Values:
    """Every operator on whole arrays."""
    memory = _fresh_memory(work.script)
    sums: list[Sums] = []
    for form, kernel in zip(work.forms, work.kernels, strict=True):
        views = {
            access.operand.port: view
            for access, view in zip(kernel.nest.accesses, kernel.operands, strict=True)
        }
        finished = evaluate_form(form, views, memory, numerics)
        sums.append([] if finished is None else [sum_codes(finished)])
    return Values(_storages(work.script, memory), tuple(sums))


def by_instructions(work: Work, chip: Chip, numerics: Numerics | None = None) -> Values:
    """Every instruction in program order."""
    memory = _fresh_memory(work.script)
    sums: list[Sums] = []
    finals: list[Sums] = []
    for kernel in work.kernels:
        running: Sums = []
        finished: Sums = []

        def seen(
            instruction: object, _environment: object, values: NDArray[np.float32], into: Sums = running
        ) -> None:
            into.append(sum_codes(values))

        Interpreter(chip, numerics, seen).run(kernel, memory)
        products = [
            each.instruction for each in expand(kernel.nest) if each.instruction.operation == "multiply"
        ]
        for number in range(len(products)):
            following = products[number + 1].writes[0] if number + 1 < len(products) else None
            if following is None or (isinstance(following, Slot) and following.fresh):
                finished.append(running[number])
        sums.append(running)
        finals.append(finished)
    return Values(_storages(work.script, memory), tuple(sums), tuple(finals))


def by_hardware(
    work: Work, board: Board, limits: tuple[int, ...], alter: Alter | None = None
) -> HardwareValues:
    """Every kernel on the board, main memory kept from kernel to kernel.

    Args:
        work: what to run.
        board: what to run it on.
        limits: cycles after which a kernel counts as hung.
        alter: a mistake planted into programs.

    Raises:
        HardwareStopped: it hung, or wrote where no tensor lies.
    """
    script = work.script
    addresses, memory = _main_memory(script)
    cycles: list[int] = []
    sums: list[Sums] = []
    for kernel, limit in zip(work.kernels, limits, strict=True):
        run = board.run(kernel, addresses, memory, limit, alter)
        cycles.append(run.cycles)
        sums.append([sum_codes(each.view(np.float32)) for each in run.sums])
    inside = np.zeros(memory.shape, np.bool_)
    storages: list[NDArray[np.unsignedinteger]] = []
    stored = _float(script.format)
    for number, elements in enumerate(script.elements):
        size = elements * stored.bits // 8
        inside[addresses[number] : addresses[number] + size] = True
        raw = memory[addresses[number] : addresses[number] + size].view(f"<u{stored.bits // 8}")
        storages.append(codes_of(stored.decode(raw), script.format))
    if not (memory[~inside] == GUARD).all():
        raise HardwareStopped("rtl: the hardware wrote between the tensors of main memory")
    return HardwareValues(Values(tuple(storages), tuple(sums)), tuple(cycles))


def _main_memory(script: Script) -> tuple[dict[int, int], NDArray[np.uint8]]:
    """Byte addresses of storages, and main memory with what they hold first: unwritten ones are NaN."""
    parts: list[bytes] = [bytes([GUARD]) * GUARD_BYTES]
    addresses: dict[int, int] = {}
    at = GUARD_BYTES
    for number, (elements, values) in enumerate(zip(script.elements, script.contents, strict=True)):
        held = np.full(elements, np.nan, np.float32) if values is None else values
        raw = np.ascontiguousarray(codes_of(held, script.format)).tobytes()
        padding = GUARD_BYTES + -len(raw) % 4
        addresses[number] = at
        parts += [raw, bytes([GUARD]) * padding]
        at += len(raw) + padding
    return addresses, np.frombuffer(b"".join(parts), np.uint8).copy()


def ticks_of(work: Work, chip: Chip, *, skipping: bool) -> tuple[int, ...]:
    """Simulated cycles of every kernel."""
    return tuple(simulate_nest(chip, kernel.nest, skipping=skipping).ticks for kernel in work.kernels)


def ideals_of(work: Work, chip: Chip) -> tuple[int, ...]:
    """Lower bounds of every kernel."""
    return tuple(simulate_nest(chip, kernel.nest).ideal_ticks for kernel in work.kernels)


def tiles_of(kernel: Kernel, whole: NDArray[np.uint32]) -> Sums:
    """The parts of an operator's sums that the kernel's result tiles are, in the order of their stores."""
    groups = [access.extents for access in kernel.nest.accesses]
    parts: Sums = []
    for each in expand(kernel.nest):
        if each.instruction.operation != "store":
            continue
        tile = each.instruction.writes[0]
        if not isinstance(tile, Tile):
            continue
        window = tuple(
            slice(origin.at(each.environment), min(origin.at(each.environment) + shape, extent))
            for origin, shape, extent in zip(tile.origin, tile.shape, groups[tile.access], strict=True)
        )
        part = whole[window[: whole.ndim]]
        parts.append(part.reshape(part.shape[-2:] if part.ndim > 1 else (1, -1)))
    return parts
