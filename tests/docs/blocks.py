"""Code blocks of Markdown pages, ready to run with their own line numbers in tracebacks."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATTERN = re.compile(r"^```python\n(.*?)^```$(?:\s*^```text\n(.*?)^```$)?", re.M | re.S)


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
    for match in PATTERN.finditer(text):
        line = text[: match.start(1)].count("\n") + 1
        found.append(Block(page, line, match[1], match[2]))
    return found


def normal(output: str) -> str:
    """Printed text without what depends on where the code stands: trailing blanks and its line numbers."""
    without = re.sub(r"\b[\w-]+\.(?:py|md):\d+", "tour.py:N", output)
    return "\n".join(line.rstrip() for line in without.strip().splitlines())


def printed(block: Block, namespace: dict[str, Any]) -> str:
    """Run a block; what it printed."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        block.run(namespace)
    return stream.getvalue()


def rewrite(page: Path) -> None:
    """Replace every expected output of a page by what its code prints now."""
    namespace: dict[str, Any] = {}
    outputs = iter([(b, printed(b, namespace)) for b in python_blocks(page)])

    def replaced(match: re.Match[str]) -> str:
        block, output = next(outputs)
        if block.expected is None:
            return match[0]
        fence = match[0].index("```text\n") + len("```text\n")
        output = re.sub(rf"\b{page.name}:(\d+)", "tour.py:12", output)
        return match[0][:fence] + normal_blanks(output) + "\n```"

    page.write_text(PATTERN.sub(replaced, page.read_text(encoding="utf-8")), encoding="utf-8")


def normal_blanks(output: str) -> str:
    """Text without blanks at the ends of its lines."""
    return "\n".join(line.rstrip() for line in output.strip("\n").splitlines())


if __name__ == "__main__":  # python -m tests.docs.blocks docs/tour.md
    rewrite(Path(sys.argv[1]))
