"""Code blocks of Markdown pages, ready to run with their own line numbers in tracebacks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Args:
        page: the Markdown file.
        line: number of its first line of code, from 1.
        code: what stands between the fences.
        expected: the plain block directly after it, which shows what it prints; None if there is none.
    """

    page: Path
    line: int
    code: str
    expected: str | None

    def run(self, namespace: dict[str, Any]) -> None:
        """Execute it; names defined by earlier blocks of a page come in through `namespace`."""
        padded = "\n" * (self.line - 1) + self.code
        namespace.setdefault("__name__", "__main__")
        exec(compile(padded, str(self.page), "exec", dont_inherit=True), namespace)


def python_blocks(page: Path) -> list[Block]:
    """Every ```python block of a page, with the ```text block that follows at once as its output."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in re.finditer(r"^```python\n(.*?)^```\n(?:\s*^```text\n(.*?)^```$)?", text, re.M | re.S):
        line = text[: match.start(1)].count("\n") + 1
        found.append(Block(page, line, match[1], match[2]))
    return found
