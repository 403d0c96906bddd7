"""Which chips the catalogue holds, and every name each answers to; nothing is built to read this."""

from __future__ import annotations

import re
from typing import NamedTuple


class Entry(NamedTuple):
    """One chip of the catalogue.

    Args:
        family: file in `anychip.chips.catalogue` that builds it.
        others: other names that it answers to.
        spelled: the name in full, where the usual one is short.
        rented: families of instances that carry it, by which people know it.
        memory: words for its memory, which may stand beside any name: gigabytes of the board (of a board with
            two chips, also all of its), and their kind.
    """

    family: str
    others: tuple[str, ...] = ()
    spelled: str = ""
    rented: tuple[str, ...] = ()
    memory: str = ""

    @property
    def aliases(self) -> tuple[str, ...]:
        """Every other name."""
        return (*self.others, *filter(None, (self.spelled,)), *self.rented)

    def label(self, name: str) -> str:
        """How a message names it: ``trainium1 (trn1)``."""
        return f"{self.spelled} ({name})" if self.spelled else name


NAMES: dict[str, Entry] = {
    "basecamp": Entry("basecamp", ("base",)),
    "inf1": Entry("neuron", ("inferentia",), "inferentia1"),
    "inf2": Entry("neuron", (), "inferentia2"),
    "trn1": Entry("neuron", ("trainium",), "trainium1", ("trn1n",)),
    "trn2": Entry("neuron", (), "trainium2"),
    "trn3": Entry("neuron", (), "trainium3"),
    "graviton2": Entry("cpu", rented=("c6g", "m6g", "r6g")),
    "graviton3": Entry("cpu", rented=("c7g", "m7g", "r7g")),
    "graviton4": Entry("cpu", rented=("c8g", "m8g", "r8g")),
    "graviton5": Entry("cpu", rented=("c9g", "m9g")),
    "sapphire-rapids": Entry(
        "cpu", ("xeon", "spr", "xeon-8480+", "xeon-spr", "xeon-8480+-spr"), rented=("c7i", "m7i", "r7i")
    ),
    "emerald-rapids": Entry("cpu", ("emr", "xeon-8592+", "xeon-8592+-emr")),
    "granite-rapids": Entry("cpu", ("gnr", "xeon-6980p", "xeon-6980p-gnr"), rented=("c8i", "m8i", "r8i")),
    "genoa": Entry(
        "cpu", ("epyc", "epyc-9654", "epyc-9654-96-core", "epyc-9654-genoa"), rented=("c7a", "m7a", "r7a")
    ),
    "turin": Entry("cpu", ("epyc-9755", "epyc-9755-128-core"), rented=("c8a", "m8a", "r8a")),
    "p100": Entry("nvidia", ("p100-pcie-16gb",), memory="16gb hbm2"),
    "p4": Entry("nvidia", ("tesla-p4",), memory="8gb gddr5"),
    "v100": Entry("nvidia", ("v100-sxm2-16gb", "v100-16gb", "volta"), memory="16gb hbm2"),
    "v100-32": Entry("nvidia", ("v100-sxm2-32gb", "v100-32gb"), rented=("p3dn",), memory="32gb hbm2"),
    "v100-pcie": Entry("nvidia", ("v100-pcie-32gb",), memory="32gb hbm2"),
    "t4": Entry("nvidia", ("tesla-t4",), rented=("g4dn",), memory="16gb gddr6"),
    "a2": Entry("nvidia", ("nvidia-a2",), memory="16gb gddr6"),
    "a10": Entry("nvidia", ("nvidia-a10",), memory="24gb gddr6"),
    "a10g": Entry("nvidia", ("nvidia-a10g",), rented=("g5",), memory="24gb gddr6"),
    "a30": Entry("nvidia", ("nvidia-a30",), memory="24gb hbm2"),
    "a40": Entry("nvidia", ("nvidia-a40",), memory="48gb gddr6"),
    "a100-40": Entry(
        "nvidia",
        ("a100-sxm4-40gb", "a100-sxm-40gb", "a100-40gb", "a100-sxm-40"),
        rented=("p4d",),
        memory="40gb hbm2",
    ),
    "a100-80": Entry(
        "nvidia",
        ("a100-sxm4-80gb", "a100-sxm-80gb", "a100-80gb", "a100-sxm-80", "a100"),
        rented=("p4de",),
        memory="80gb hbm2e",
    ),
    "a100-pcie-40": Entry("nvidia", ("a100-pcie-40gb",), memory="40gb hbm2"),
    "a100-pcie-80": Entry("nvidia", ("a100-pcie-80gb",), memory="80gb hbm2e"),
    "l4": Entry("nvidia", ("nvidia-l4",), rented=("g6",), memory="24gb gddr6"),
    "l40": Entry("nvidia", ("nvidia-l40",), memory="48gb gddr6"),
    "l40s": Entry("nvidia", ("nvidia-l40s",), rented=("g6e",), memory="48gb gddr6"),
    "h100": Entry(
        "nvidia", ("h100-sxm5-80gb", "h100-sxm", "h100-80gb", "h100-sxm5"), rented=("p5",), memory="80gb hbm3"
    ),
    "h100-pcie": Entry("nvidia", ("h100-pcie-80gb",), memory="80gb hbm2e"),
    "h100-nvl": Entry("nvidia", ("h100-nvl-94gb",), memory="94gb hbm3"),
    "h200": Entry("nvidia", ("h200-sxm-141gb", "h200-sxm"), rented=("p5en", "p5e"), memory="141gb hbm3e"),
    "h200-nvl": Entry("nvidia", ("h200-nvl-141gb",), memory="141gb hbm3e"),
    "gh200": Entry("nvidia", ("grace-hopper", "gh200-480gb"), memory="96gb hbm3"),
    "b200": Entry("nvidia", ("b200-sxm-180gb", "b200-sxm"), rented=("p6-b200",), memory="180gb 192gb hbm3e"),
    "rtx-pro-6000": Entry("nvidia", ("rtx-pro-6000-blackwell",), rented=("g7e",), memory="96gb gddr7"),
    "rtx-3090": Entry("nvidia", ("3090",), memory="24gb gddr6x"),
    "rtx-a6000": Entry("nvidia", ("a6000",), memory="48gb gddr6"),
    "rtx-4090": Entry("nvidia", ("4090",), memory="24gb gddr6x"),
    "rtx-5090": Entry("nvidia", ("5090",), memory="32gb gddr7"),
    "gb200": Entry("nvidia", ("grace-blackwell",), memory="186gb hbm3e"),
    "b300": Entry("nvidia", ("b300-sxm",), rented=("p6-b300",), memory="288gb hbm3e"),
    "mi100": Entry("amd", ("instinct-mi100",), memory="32gb hbm2"),
    "mi210": Entry("amd", ("instinct-mi210",), memory="64gb hbm2e"),
    "mi250": Entry("amd", ("instinct-mi250",), memory="64gb 128gb hbm2e"),
    "mi250x": Entry("amd", ("instinct-mi250x", "mi250x-/-mi250"), memory="64gb 128gb hbm2e"),
    "mi300x": Entry("amd", ("instinct-mi300x",), memory="192gb hbm3"),
    "mi325x": Entry("amd", ("instinct-mi325x",), memory="256gb hbm3e"),
    "mi350x": Entry("amd", ("instinct-mi350x",), memory="288gb hbm3e"),
    "mi355x": Entry("amd", ("instinct-mi355x",), memory="288gb hbm3e"),
    "gaudi2": Entry("gaudi", ("habana-gaudi2", "gaudi-2"), memory="96gb hbm2e"),
    "gaudi3": Entry("gaudi", ("habana-gaudi3", "gaudi-3"), memory="128gb hbm2e"),
    "tpu-v2": Entry("tpu", ("tpuv2",)),
    "tpu-v3": Entry("tpu", ("tpuv3",)),
    "tpu-v4": Entry("tpu", ("tpuv4",)),
    "tpu-v5e": Entry("tpu", ("tpuv5e",)),
    "tpu-v5p": Entry("tpu", ("tpuv5p",)),
    "tpu-v6e": Entry("tpu", ("tpuv6e", "trillium")),
    "tpu-v7x": Entry("tpu", ("tpuv7x", "tpu-v7", "ironwood")),
}

#: Every spelling, lower case with ``-`` for ``_`` and blanks, to the chip's name.
SPELLINGS: dict[str, str] = {
    spelling: name for name, entry in NAMES.items() for spelling in (name, *entry.aliases)
}


#: Words that makers, drivers and price lists put around a chip's own name.
_DECORATION = frozenset(
    "nvidia amd instinct tesla geforce amazon aws google cloud intel habana platinum r tm"
    " gpu accelerator processor server edition graphics oam".split()
)


def folded(name: str) -> str:
    """The spelling under which `SPELLINGS` holds a name."""
    return name.strip().casefold().replace("_", "-").replace(" ", "-")


def meant(name: str) -> str | None:
    """The catalogue's name of the chip that drivers, price lists or people call `name`; None if none is.

    Words may come in any order, with the maker's around them and those of the chip's own memory; no other
    may be left over.

    >>> meant("NVIDIA A100 80GB PCIe"), meant("Intel(R) Xeon(R) Platinum 8480+"), meant("A100 MIG 1g.10gb")
    ('a100-pcie-80', 'sapphire-rapids', None)
    >>> meant("AMD Instinct MI300X 192GB HBM3"), meant("MI300X 256GB")
    ('mi300x', None)
    """
    words = _words(name)
    known = SPELLINGS.get(folded(name)) or _BY_WORDS.get(words)
    if known is not None or not words:
        return known
    found = {
        chip
        for spelled, chip in _BY_WORDS.items()
        if spelled <= words and words - spelled <= set(NAMES[chip].memory.split())
    }
    return found.pop() if len(found) == 1 else None


def _words(name: str) -> frozenset[str]:
    words = re.findall(r"[a-z0-9.+]+", name.casefold())
    return frozenset(re.sub(r"^(\d+)gi?b?$", r"\1gb", word) for word in words) - _DECORATION


_BY_WORDS: dict[frozenset[str], str] = {_words(spelling): name for spelling, name in SPELLINGS.items()}
