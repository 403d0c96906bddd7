"""Which chips the catalogue holds, and every name each answers to; nothing is built to read this."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One chip of the catalogue.

    Args:
        family: file in `anychip.chips.catalogue` that builds it.
        others: other names that it answers to.
        spelled: the name in full, where the usual one is short.
    """

    family: str
    others: tuple[str, ...] = ()
    spelled: str = ""

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
    "graviton2": Entry("cpu"),
    "graviton3": Entry("cpu"),
    "graviton4": Entry("cpu"),
    "sapphire-rapids": Entry("cpu", ("xeon", "spr", "xeon-8480+", "xeon-spr")),
    "genoa": Entry("cpu", ("epyc", "epyc-9654")),
    "p100": Entry("nvidia", ("p100-pcie-16gb",)),
    "p4": Entry("nvidia", ("tesla-p4",)),
    "v100": Entry("nvidia", ("v100-sxm2-16gb", "v100-16gb", "volta")),
    "v100-32": Entry("nvidia", ("v100-sxm2-32gb", "v100-32gb")),
    "v100-pcie": Entry("nvidia", ("v100-pcie-32gb",)),
    "t4": Entry("nvidia", ("tesla-t4",)),
    "a2": Entry("nvidia", ("nvidia-a2",)),
    "a10": Entry("nvidia", ("nvidia-a10",)),
    "a10g": Entry("nvidia", ("nvidia-a10g",)),
    "a30": Entry("nvidia", ("nvidia-a30",)),
    "a40": Entry("nvidia", ("nvidia-a40",)),
    "a100-40": Entry("nvidia", ("a100-sxm4-40gb", "a100-40gb", "a100-sxm-40")),
    "a100-80": Entry("nvidia", ("a100-sxm4-80gb", "a100-80gb", "a100-sxm-80", "a100")),
    "a100-pcie-40": Entry("nvidia", ("a100-pcie-40gb",)),
    "a100-pcie-80": Entry("nvidia", ("a100-pcie-80gb",)),
    "l4": Entry("nvidia", ("nvidia-l4",)),
    "l40s": Entry("nvidia", ("nvidia-l40s",)),
    "h100": Entry("nvidia", ("h100-sxm5-80gb", "h100-sxm", "h100-80gb")),
    "h100-pcie": Entry("nvidia", ("h100-pcie-80gb",)),
    "h100-nvl": Entry("nvidia", ("h100-nvl-94gb",)),
    "h200": Entry("nvidia", ("h200-sxm-141gb", "h200-sxm")),
    "b200": Entry("nvidia", ("b200-sxm-180gb", "b200-sxm")),
    "mi100": Entry("amd", ("instinct-mi100",)),
    "mi210": Entry("amd", ("instinct-mi210",)),
    "mi250x": Entry("amd", ("instinct-mi250x",)),
    "mi300x": Entry("amd", ("instinct-mi300x",)),
    "gaudi2": Entry("gaudi", ("habana-gaudi2",)),
    "gaudi3": Entry("gaudi", ("habana-gaudi3",)),
    "tpu-v4": Entry("tpu", ("tpuv4",)),
    "tpu-v5e": Entry("tpu", ("tpuv5e",)),
    "tpu-v5p": Entry("tpu", ("tpuv5p",)),
}

#: Every spelling, lower case with ``-`` for ``_`` and blanks, to the chip's name.
SPELLINGS: dict[str, str] = {
    spelling: name
    for name, entry in NAMES.items()
    for spelling in (name, *entry.others, *filter(None, (entry.spelled,)))
}


def folded(name: str) -> str:
    """The spelling under which `SPELLINGS` holds a name."""
    return name.strip().casefold().replace("_", "-").replace(" ", "-")
