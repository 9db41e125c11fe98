# SPDX-License-Identifier: GPL-3.0-or-later
"""The code blocks of the documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]

# An example begins with its file's name, in a comment. Before it another comment may say that it is meant for a checkout of this
# repository, or why it can't be run.
_FENCE = re.compile(r"(?ms)^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$")
_IN_CHECKOUT = re.compile(r"<!-- in a checkout -->\s*$")
_NOT_RUN = re.compile(r"<!-- not run: (.+) -->\s*$")
_NAME = re.compile(r"# (\S+\.(?:yml|py|cfg|ini))\n")
# What shows something and runs nothing: output, and what Sphinx makes.
NOT_CODE = re.compile(r"text|\{.*\}")


@dataclass(frozen=True)
class Block:
    """A code block. ``in_checkout`` is where to run it, ``not_run`` why it can't be run."""

    page: Path
    line: int
    language: str
    text: str
    in_checkout: bool = False
    not_run: str = ""

    @property
    def where(self) -> str:
        """Where it is, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def name(self) -> str:
        """The file that it says it is, "" if it doesn't."""
        found = _NAME.match(self.text)
        return found[1] if found else ""

    @property
    def commands(self) -> list[str]:
        """What a user types, of a console's transcript."""
        return re.findall(r"(?m)^\$ ((?:.*\\\n)*.*)$", self.text)


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page, in order."""
    text = page.read_text()
    found = []
    for fence in _FENCE.finditer(text):
        if NOT_CODE.fullmatch(fence["language"]):
            continue
        before = text[: fence.start()]
        reason = _NOT_RUN.search(before)
        where = bool(_IN_CHECKOUT.search(before))
        line = before.count("\n") + 1
        found.append(Block(page, line, fence["language"], fence["text"], where, reason[1] if reason else ""))
    return found
