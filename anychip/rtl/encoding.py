"""Bits of instructions and microcode: one description for the assembler and for the gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from anychip.errors import CapacityExceeded
from anychip.rtl.hardware import ENGINES, Hardware

COUNT_BITS = 24
MAIN_BITS = 32
EXTENT_BITS = 20
#: Sides of a tile of results.
SIDE_BITS = 8

#: Lane operations in the order of their codes. ``curve`` is a table; which one is the third argument.
LANE_OPERATIONS = (
    "copy",
    "add",
    "sub",
    "mul",
    "div",
    "neg",
    "abs",
    "maximum",
    "minimum",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "select",
    "isnan",
    "curve",
)

#: Where an argument comes from, in the order of the codes.
ARGUMENT_KINDS = ("input", "register", "constant")

ARGUMENT_BITS = 2 + 8


@dataclass(frozen=True)
class Fields:
    """Named fields side by side, the first one lowest.

    Args:
        name: of the word, for messages.
        widths: bits of each field.
    """

    name: str
    widths: tuple[tuple[str, int], ...]

    @cached_property
    def offsets(self) -> Mapping[str, tuple[int, int]]:
        """(first bit, width) of every field."""
        found: dict[str, tuple[int, int]] = {}
        at = 0
        for name, width in self.widths:
            found[name] = (at, width)
            at += width
        return found

    @property
    def bits(self) -> int:
        """Width of the word."""
        return sum(width for _, width in self.widths)

    def pack(self, values: Mapping[str, int]) -> int:
        """The word; fields not named are 0.

        Raises:
            CapacityExceeded: a value does not fit its field.
        """
        word = 0
        for name, value in values.items():
            at, width = self.offsets[name]
            if not 0 <= value < 1 << width:
                raise CapacityExceeded(
                    f"rtl: {self.name}: {name} is {value}, its field holds 0 to {(1 << width) - 1}; "
                    "use smaller tiles or shapes"
                )
            word |= value << at
        return word

    def read(self, word: Any, name: str) -> Any:
        """The field's bits of a hardware value."""
        at, width = self.offsets[name]
        return word[at : at + width]


@dataclass(frozen=True)
class Encoding:
    """All words of one build.

    Args:
        hardware: whose limits give the widths.
    """

    hardware: Hardware

    @property
    def sram_bits(self) -> int:
        """Width of an address of the SRAM."""
        return max(1, (self.hardware.sram_words - 1).bit_length())

    @cached_property
    def matrix(self) -> Fields:
        """A multiplication: both operands start at an address, k fastest."""
        address = self.sram_bits
        return Fields(
            "multiply",
            (
                ("a", address),
                ("b", address),
                ("m", SIDE_BITS),
                ("n", SIDE_BITS),
                ("k", EXTENT_BITS),
                ("fresh", 1),
            ),
        )

    @cached_property
    def vector(self) -> Fields:
        """A recipe over a run of elements."""
        address, limits = self.sram_bits, self.hardware.limits
        inputs = tuple((f"input{i}", address) for i in range(limits.inputs))
        results = tuple((f"result{i}", address) for i in range(limits.results))
        return Fields(
            "vector operation",
            (
                *inputs,
                *results,
                ("elements", EXTENT_BITS),
                ("columns", SIDE_BITS),
                ("drain", 1),
                ("narrow", 1),
                ("code", 16),
                ("steps", 8),
            ),
        )

    @cached_property
    def transfer(self) -> Fields:
        """A run of elements in main memory, walked by nested counters that may start in the middle."""
        dimensions: list[tuple[str, int]] = []
        for i in range(self.hardware.limits.dimensions):
            dimensions += [
                (f"extent{i}", EXTENT_BITS),
                (f"stride{i}", MAIN_BITS),
                (f"position{i}", EXTENT_BITS),
                (f"offset{i}", MAIN_BITS),
            ]
        return Fields(
            "transfer",
            (
                ("base", MAIN_BITS),
                *dimensions,
                ("bytes", EXTENT_BITS),
                ("wide", 1),
                ("local", self.sram_bits),
            ),
        )

    @cached_property
    def waits(self) -> Fields:
        """How many instructions of each engine must have landed and finished."""
        return Fields(
            "waits",
            tuple((f"{what}_{engine}", COUNT_BITS) for what in ("landed", "finished") for engine in ENGINES),
        )

    def payload(self, engine: str) -> Fields:
        """What an engine's queue holds beside the waits."""
        return {"matrix": self.matrix, "vector": self.vector}.get(engine, self.transfer)

    @property
    def payload_bits(self) -> int:
        """Width of the widest payload."""
        return max(self.payload(engine).bits for engine in ENGINES)

    @property
    def instruction_bits(self) -> int:
        """Width of an instruction: engine number, waits, payload."""
        return 2 + self.waits.bits + self.payload_bits

    @cached_property
    def microcode(self) -> Fields:
        """One lane operation; `emit` says which result it is, 0 for none."""
        return Fields(
            "lane operation",
            (
                ("operation", 5),
                ("first", ARGUMENT_BITS),
                ("second", ARGUMENT_BITS),
                ("third", ARGUMENT_BITS),
                ("emit", 3),
            ),
        )

    def instruction(self, engine: str, waits: Mapping[str, int], payload: Mapping[str, int]) -> int:
        """The word of one instruction."""
        head = ENGINES.index(engine) | self.waits.pack(waits) << 2
        return head | self.payload(engine).pack(payload) << (2 + self.waits.bits)
