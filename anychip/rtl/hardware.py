"""What a basecamp's hardware is built from: the parameters that need another build.

Tiles, buffer depths and programs are data to the hardware, so that one build runs many of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from anychip.blocks import DmaEngine, Link, OuterProductArray, VectorUnit
from anychip.chips import Chip
from anychip.errors import NotModelled

#: Engines in the order of their numbers in hardware.
ENGINES = ("matrix", "vector", "load", "store")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes of what a program fills in; programs past them are refused, never cut.

    Args:
        microcode: lane operations of all recipes of a program.
        constants: different numbers in them.
        registers: lane operations of one recipe.
        inputs: operands of one recipe.
        results: results of one recipe.
        tables: curves resident at once.
        dimensions: loops of one transfer.
    """

    microcode: int = 256
    constants: int = 64
    registers: int = 32
    inputs: int = 6
    results: int = 3
    tables: int = 4
    dimensions: int = 4


#: Mistakes that `basecamp` hardware can be built with, and what each is.
MUTANTS = {
    "ties away": "multiply-adds round ties away from zero instead of to even",
    "no sticky": "multiply-adds forget the bits below the guard bits",
    "flush subnormals": "multiply-adds read subnormal operands as zero",
    "sum order": "the array takes the products of a tile from the last to the first",
    "swapped operand": "subtraction and division take their operands the other way round",
    "store truncates": "results are truncated to bf16 instead of rounded to nearest even",
    "early release": "an instruction counts as finished when it starts",
    "early landing": "a result counts as landed one cycle before it is",
    "short queue": "queues hold one instruction less",
    "long queue": "queues hold one instruction more",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """Parameters of one build.

    Args:
        rows: of the array.
        columns: of the array.
        lanes: of the vector unit.
        fill_cycles: from an operand's read to the accumulator.
        vector_latency_cycles: from a lane operation to the SRAM.
        queue_depths: by engine, in the order of `ENGINES`.
        issue_cycles: between two instructions.
        launch_cycles: before the first.
        bytes_per_cycle: of the link, in each direction.
        load_latency_cycles: from the link to the SRAM.
        store_latency_cycles: from the link to main memory.
        sram_words: elements that the SRAM holds, whatever their format.
        limits: sizes of program memories.
        mutant: a name from `MUTANTS`, empty for sound hardware.
    """

    rows: int
    columns: int
    lanes: int
    fill_cycles: int
    vector_latency_cycles: int
    queue_depths: tuple[int, int, int, int]
    issue_cycles: int
    launch_cycles: int
    bytes_per_cycle: int
    load_latency_cycles: int
    store_latency_cycles: int
    sram_words: int
    limits: Limits = field(default_factory=Limits)
    mutant: str = ""

    @property
    def elements_per_cycle(self) -> int:
        """Most elements that one cycle of a transfer completes."""
        return -(-self.bytes_per_cycle // 2)


def hardware_of(chip: Chip, *, limits: Limits | None = None, mutant: str = "") -> Hardware:
    """The hardware of a chip wired like basecamp.

    Args:
        chip: whose blocks give the parameters.
        limits: sizes of program memories.
        mutant: a name from `MUTANTS`, or empty.

    Raises:
        NotModelled: a block or parameter that this hardware does not have; all are named.
    """
    complaints: list[str] = []
    if set(chip.engines) != set(ENGINES):
        raise NotModelled(
            f'rtl: chip "{chip.name}" has engines {", ".join(chip.engines)}; the hardware is for '
            f"{', '.join(ENGINES)}"
        )
    matrix, vector, load, store = (chip.engines[name].block for name in ENGINES)
    link = chip.links[chip.load.links[0]]
    bytes_per_cycle = link.bytes_per_second / chip.clock_hz
    if not isinstance(matrix, OuterProductArray) or dict(matrix.rates) != {"bf16": 1.0}:
        complaints.append("matrix must be an OuterProductArray of bf16 at rate 1")
    if not isinstance(vector, VectorUnit) or _is_uneven(vector):
        complaints.append("vector must be a VectorUnit with one cycle per operation")
    if chip.load.links != chip.store.links or len(chip.load.links) != 1 or not link.duplex:
        complaints.append("load and store must share one duplex link")
    if bytes_per_cycle != int(bytes_per_cycle):
        complaints.append(f"the link moves {bytes_per_cycle:g} bytes a cycle, which must be whole")
    for name, block in (("load", load), ("store", store)):
        if not isinstance(block, DmaEngine) or block.bytes_per_second is not None:
            complaints.append(f"{name} must be a DmaEngine that only its link limits")
    if chip.cores != 1 or any(block.clock_hz not in (None, chip.clock_hz) for _, block in chip.blocks()):
        complaints.append("one core and one clock")
    if complaints:
        raise NotModelled(f'rtl: chip "{chip.name}": ' + "; ".join(complaints))
    return _parameters(chip, matrix, vector, load, store, link, limits or Limits(), mutant)  # pyright: ignore[reportArgumentType]


def _is_uneven(vector: VectorUnit) -> bool:
    return (
        bool(vector.cost)
        or vector.overhead_cycles != 0
        or vector.minimum_cycles != 1
        or vector.efficiency != 1
    )


def _parameters(
    chip: Chip,
    matrix: OuterProductArray,
    vector: VectorUnit,
    load: DmaEngine,
    store: DmaEngine,
    link: Link,
    limits: Limits,
    mutant: str,
) -> Hardware:
    depths = [chip.engines[name].queue_depth or chip.sequencer.queue_depth for name in ENGINES]
    local = next(memory for memory in chip.memories.values() if memory.level == "local")
    return Hardware(
        rows=matrix.rows,
        columns=matrix.columns,
        lanes=vector.lanes,
        fill_cycles=matrix.fill_cycles,
        vector_latency_cycles=vector.latency_cycles,
        queue_depths=(depths[0], depths[1], depths[2], depths[3]),
        issue_cycles=chip.sequencer.issue_cycles,
        launch_cycles=chip.sequencer.launch_cycles,
        bytes_per_cycle=int(link.bytes_per_second / chip.clock_hz),
        load_latency_cycles=load.startup_cycles + link.latency_cycles,
        store_latency_cycles=store.startup_cycles + link.latency_cycles,
        sram_words=local.capacity_bytes // 2,
        limits=limits,
        mutant=mutant,
    )
