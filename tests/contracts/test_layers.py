"""A room imports only lower rooms, siblings never import each other, heavy packages stay in theirs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "anychip"

#: Rooms from the ground up; rooms on one line are siblings and may not import each other.
LEVELS: list[set[str]] = [
    {"errors", "facts", "units"},
    {"formats"},
    {"arithmetic"},
    {"operators", "blocks"},
    {"chips"},
    {"programs"},
    {"compile", "simulate"},
    {"profile"},
    {"frontends", "rtl"},
    {"run"},
    {"products"},
    {"__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
FREE_WITHIN_LEVEL = {0}

#: Packages that one room alone may import, at any depth.
OWNED = {
    "torch": ("frontends", "torch"),
    "transformers": ("frontends", "torch"),
    "amaranth": ("rtl",),
    "pyosys": ("rtl",),
}

FILES = sorted(ROOT.rglob("*.py"))


def imported(path: Path) -> list[tuple[int, str]]:
    names: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            base = node.module or ""
            names += [
                (node.lineno, f"{base}.{alias.name}" if base == "anychip" else base) for alias in node.names
            ]
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    room = parts[0]
    if room == "__init__":
        return
    assert room in LEVEL, f"{path}: room {room} has no level; add it to LEVELS and docs/architecture.md"
    for line, name in imported(path):
        top = name.split(".")[0]
        if top in OWNED:
            assert parts[: len(OWNED[top])] == OWNED[top], (
                f"{path}:{line}: {top} belongs to {'/'.join(OWNED[top])}"
            )
        if top != "anychip" or name == "anychip":
            continue
        target = name.split(".")[1]
        if target == room or target not in LEVEL:
            continue
        same = LEVEL[target] == LEVEL[room]
        assert LEVEL[target] < LEVEL[room] or (same and LEVEL[room] in FREE_WITHIN_LEVEL), (
            f"{path}:{line}: room {room} (level {LEVEL[room]}) imports {target} (level {LEVEL[target]})"
        )


def test_no_vague_file_names() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    assert not [path for path in FILES if path.stem in vague]


def test_no_relative_size_monsters() -> None:
    """A file holds one concept; past 800 lines it must say why at its top."""
    for path in FILES:
        text = path.read_text()
        if text.count("\n") > 800:
            assert "Length:" in text[:2000], f"{path}: over 800 lines without a reason at its top"
