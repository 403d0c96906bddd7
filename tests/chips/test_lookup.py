"""Names, nearest names, and chips in a user's own file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from anychip import chips
from anychip.chips.instances import snapshot
from anychip.chips.names import NAMES, SPELLINGS, folded, meant
from anychip.errors import InvalidInput, UnknownName


@pytest.mark.parametrize("name", NAMES)
def test_every_name_finds_its_chip(name: str) -> None:
    chip = chips.by_name(name)
    assert chip.name == name
    for other in chip.aliases:
        assert chips.by_name(other.upper()) is chip
    assert chip.aliases == (NAMES[name].aliases if name != "basecamp" else ("base",))


def test_names_are_unambiguous_and_folded() -> None:
    count = sum(1 + len(entry.aliases) for entry in NAMES.values())
    assert len(SPELLINGS) == count
    assert all(folded(spelling) == spelling for spelling in SPELLINGS)


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"), ("NVIDIA H100 PCIe", "h100-pcie"),
        ("Tesla V100-SXM2-32GB", "v100-32"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80"), ("NVIDIA GH200 480GB", "gh200"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"), ("Intel(R) Xeon(R) Platinum 8480+", "sapphire-rapids"),
        ("AMD EPYC 9654 96-Core Processor", "genoa"), ("AWS Trainium1", "trn1"),
        ("Google TPU v5e", "tpu-v5e"), ("AMD Instinct MI300X OAM 192GB HBM3", "mi300x"),
        ("A100 40G", "a100-40"), ("A100-SXM4-80GB-HBM2e", "a100-80"), ("L4 24GiB GDDR6", "l4"),
        ("Gaudi 2", "gaudi2"), ("EPYC-9654 (Genoa)", "genoa"),
    ],
)  # fmt: skip
def test_names_as_drivers_and_price_lists_write_them(called: str, name: str) -> None:
    assert meant(called) == name


@pytest.mark.parametrize(
    "called", ["A100-SXM-80GB (1x1g.10gb MIG)", "H100-80C", "NVIDIA", "", "2 x H100", "16GB"]
)
def test_a_part_of_a_chip_is_not_the_chip(called: str) -> None:
    assert meant(called) is None


@pytest.mark.parametrize("called", ["V100-PCIE-16GB", "H100 80GB HBM2e", "GH200-144GB", "A100 SXM", "MI300"])
def test_another_memory_is_another_chip(called: str) -> None:
    assert meant(called) is None


def test_words_of_memory_are_those_of_the_data_sheet() -> None:
    for name, entry in NAMES.items():
        if entry.memory:
            size_gib = chips.by_name(name).facts["memory_bytes"].value / 2**30
            assert f"{size_gib:.0f}gb" in entry.memory.split(), name


def test_words_are_unambiguous() -> None:
    """No two chips are told apart by decoration or order alone."""
    for spelling, name in SPELLINGS.items():
        assert meant(" ".join(reversed(spelling.split("-")))) in (name, None)


def test_measured_tables_find_their_chips() -> None:
    """Names as published measurements write them."""
    written = "P100-PCIE-16GB P4 V100-PCIE-32GB T4 A100-PCIE-40GB A100-SXM4-80GB A40 MI100 MI210 MI300X"
    written += " Inferentia1 Inferentia2 Trainium1 Trainium2 H100-SXM5-80GB A30 L40S Gaudi2 TPUv5e TPUv5p"
    for name in written.split():
        assert chips.by_name(name)


def test_instances_find_the_chip_that_they_carry() -> None:
    found = {name: chips.by_name(name).name for name in ("g5", "g5.xlarge", "C7G", "trn1.32xlarge", "p4de")}
    assert found == {
        "g5": "a10g",
        "g5.xlarge": "a10g",
        "C7G": "graviton3",
        "trn1.32xlarge": "trn1",
        "p4de": "a100-80",
    }
    for name, entry in NAMES.items():
        carried = {each.name.partition(".")[0] for each in snapshot().of_chip(name)}
        assert set(entry.rented) <= carried, f"{name}: no such instances"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "tranium1",
            'unknown chip "tranium1"; did you mean trainium1 (trn1)?  `anychip chips` lists all.',
        ),
        ("h10", 'unknown chip "h10"; did you mean h100 or h100-nvl?  `anychip chips` lists all.'),
        ("gravitn3", 'unknown chip "gravitn3"; did you mean graviton3?  `anychip chips` lists all.'),
        ("cerebras", 'unknown chip "cerebras".  `anychip chips` lists all.'),
        ("", 'unknown chip "".  `anychip chips` lists all.'),
    ],
)
def test_unknown_name(name: str, message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        chips.by_name(name)
    assert str(caught.value) == message


def test_one_chip_imports_one_family() -> None:
    program = (
        "import sys; from anychip import chips; chips.by_name('trn1');"
        "print([m for m in sys.modules if m.startswith('anychip.chips.catalogue.')])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "neuron" in shown
    assert "nvidia" not in shown


def test_find_takes_names_and_files(tmp_path: Path) -> None:
    assert chips.find("trn1").name == "trn1"
    file = tmp_path / "mine.py"
    file.write_text('from anychip import chips\nchip = chips.by_name("trn1").altered(name="mine", cores=4)\n')
    found = chips.find(str(file))
    assert (found.name, found.cores) == ("mine", 4)
    assert not [name for name in found.facts if name.startswith("peak.")], "stale peaks were kept"
    assert found.macs_per_second("bf16") == 2 * chips.by_name("trn1").macs_per_second("bf16")


def test_a_chip_from_blocks(tmp_path: Path) -> None:
    """What docs/chips.md shows, with a file beside it."""
    (tmp_path / "parts_of_mine.py").write_text("ROWS = 8\n")
    file = tmp_path / "mychip.py"
    file.write_text(
        "from parts_of_mine import ROWS\n"
        "from anychip.chips.basecamp import basecamp\n"
        "small = basecamp(rows=ROWS, columns=ROWS)\n"
    )
    assert chips.load(file).matrix.native_macs_per_cycle == 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r"mine\.py: defines no Chip; assign one to the variable `chip`"),
        ("def f(:\n", r"mine\.py:1: invalid syntax"),
        ("a = 1\nb = a / 0\n", r"mine\.py:2: ZeroDivisionError: division by zero"),
        (
            "from anychip import chips\n\nchip = chips.by_name('trn9')\n",
            r'mine\.py:3: unknown chip "trn9"; did you mean',
        ),
        (
            "from anychip import chips\na, b = chips.by_name('trn1'), chips.by_name('inf2')\n",
            r"mine\.py: defines 2 chips \(a, b\); assign the one you mean to `chip`",
        ),
        (
            "from anychip import chips\nchip = chips.by_name('trn1').altered(cores=0)\n",
            r'mine\.py:2: chip "trn1": cores is 0; a chip has at least 1',
        ),
        (
            "from anychip import chips\nchip = chips.by_name('trn1').altered(core=2)\n",
            r'mine\.py:2: unknown field of chip "trn1" "core"; did you mean cores',
        ),
    ],
)
def test_broken_chip_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=message) as caught:
        chips.load(file)
    assert "\n" not in str(caught.value)
    assert str(file.parent.resolve()) not in sys.path


def test_missing_and_binary_chip_file(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.py"
    with pytest.raises(InvalidInput, match=re.escape(f"{missing}: No such file or directory; give the path")):
        chips.load(missing)
    binary = tmp_path / "binary.py"
    binary.write_bytes(b"\xff\xfe\x00chip")
    with pytest.raises(InvalidInput, match="not a text file"):
        chips.load(binary)
