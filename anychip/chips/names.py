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
    """

    family: str
    others: tuple[str, ...] = ()
    spelled: str = ""
    rented: tuple[str, ...] = ()

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
    "trn1": Entry("neuron", ("trainium",), "trainium1"),
    "trn2": Entry("neuron", (), "trainium2"),
    "trn3": Entry("neuron", (), "trainium3"),
    "graviton2": Entry("cpu", rented=("c6g", "m6g", "r6g")),
    "graviton3": Entry("cpu", rented=("c7g", "m7g", "r7g")),
    "graviton4": Entry("cpu", rented=("c8g", "m8g", "r8g")),
    "graviton5": Entry("cpu", rented=("c9g", "m9g")),
    "sapphire-rapids": Entry("cpu", ("xeon", "spr", "xeon-8480+", "xeon-spr"), rented=("c7i", "m7i", "r7i")),
    "emerald-rapids": Entry("cpu", ("emr", "xeon-8592+")),
    "granite-rapids": Entry("cpu", ("gnr", "xeon-6980p"), rented=("c8i", "m8i", "r8i")),
    "genoa": Entry("cpu", ("epyc", "epyc-9654", "epyc-9654-96-core"), rented=("c7a", "m7a", "r7a")),
    "turin": Entry("cpu", ("epyc-9755", "epyc-9755-128-core"), rented=("c8a", "m8a", "r8a")),
    "p100": Entry("nvidia", ("p100-pcie-16gb",)),
    "p4": Entry("nvidia", ("tesla-p4",)),
    "v100": Entry("nvidia", ("v100-sxm2-16gb", "v100-16gb", "volta")),
    "v100-32": Entry("nvidia", ("v100-sxm2-32gb", "v100-32gb"), rented=("p3dn",)),
    "v100-pcie": Entry("nvidia", ("v100-pcie-32gb",)),
    "t4": Entry("nvidia", ("tesla-t4",), rented=("g4dn",)),
    "a2": Entry("nvidia", ("nvidia-a2",)),
    "a10": Entry("nvidia", ("nvidia-a10",)),
    "a10g": Entry("nvidia", ("nvidia-a10g",), rented=("g5",)),
    "a30": Entry("nvidia", ("nvidia-a30",)),
    "a40": Entry("nvidia", ("nvidia-a40",)),
    "a100-40": Entry(
        "nvidia", ("a100-sxm4-40gb", "a100-sxm-40gb", "a100-40gb", "a100-sxm-40"), rented=("p4d",)
    ),
    "a100-80": Entry(
        "nvidia", ("a100-sxm4-80gb", "a100-sxm-80gb", "a100-80gb", "a100-sxm-80", "a100"), rented=("p4de",)
    ),
    "a100-pcie-40": Entry("nvidia", ("a100-pcie-40gb",)),
    "a100-pcie-80": Entry("nvidia", ("a100-pcie-80gb",)),
    "l4": Entry("nvidia", ("nvidia-l4",), rented=("g6",)),
    "l40": Entry("nvidia", ("nvidia-l40",)),
    "l40s": Entry("nvidia", ("nvidia-l40s",), rented=("g6e",)),
    "h100": Entry("nvidia", ("h100-sxm5-80gb", "h100-sxm", "h100-80gb", "h100-80gb-hbm3"), rented=("p5",)),
    "h100-pcie": Entry("nvidia", ("h100-pcie-80gb",)),
    "h100-nvl": Entry("nvidia", ("h100-nvl-94gb",)),
    "h200": Entry("nvidia", ("h200-sxm-141gb", "h200-sxm"), rented=("p5en", "p5e")),
    "h200-nvl": Entry("nvidia", ("h200-nvl-141gb",)),
    "gh200": Entry("nvidia", ("grace-hopper", "gh200-480gb")),
    "b200": Entry("nvidia", ("b200-sxm-180gb", "b200-sxm"), rented=("p6-b200",)),
    "rtx-pro-6000": Entry("nvidia", ("rtx-pro-6000-blackwell",), rented=("g7e",)),
    "rtx-3090": Entry("nvidia", ("3090",)),
    "rtx-a6000": Entry("nvidia", ("a6000",)),
    "rtx-4090": Entry("nvidia", ("4090",)),
    "rtx-5090": Entry("nvidia", ("5090",)),
    "gb200": Entry("nvidia", ("grace-blackwell",)),
    "b300": Entry("nvidia", ("b300-sxm",), rented=("p6-b300",)),
    "mi100": Entry("amd", ("instinct-mi100",)),
    "mi210": Entry("amd", ("instinct-mi210",)),
    "mi250": Entry("amd", ("instinct-mi250",)),
    "mi250x": Entry("amd", ("instinct-mi250x", "mi250x-/-mi250")),
    "mi300x": Entry("amd", ("instinct-mi300x",)),
    "mi325x": Entry("amd", ("instinct-mi325x",)),
    "mi350x": Entry("amd", ("instinct-mi350x",)),
    "mi355x": Entry("amd", ("instinct-mi355x",)),
    "gaudi2": Entry("gaudi", ("habana-gaudi2",)),
    "gaudi3": Entry("gaudi", ("habana-gaudi3",)),
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
    " gpu accelerator processor server edition graphics".split()
)


def folded(name: str) -> str:
    """The spelling under which `SPELLINGS` holds a name."""
    return name.strip().casefold().replace("_", "-").replace(" ", "-")


def meant(name: str) -> str | None:
    """The catalogue's name of the chip that drivers, price lists or people call `name`; None if none is.

    Words may come in any order and with the maker's around them; none may be left over.

    >>> meant("NVIDIA A100 80GB PCIe"), meant("Intel(R) Xeon(R) Platinum 8480+"), meant("A100 MIG 1g.10gb")
    ('a100-pcie-80', 'sapphire-rapids', None)
    """
    return SPELLINGS.get(folded(name)) or _BY_WORDS.get(_words(name))


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9.+]+", name.casefold())) - _DECORATION


_BY_WORDS: dict[frozenset[str], str] = {_words(spelling): name for spelling, name in SPELLINGS.items()}
