# SPDX-License-Identifier: GPL-3.0-or-later
"""The page about errors quotes texts that there are, and knows all of the plugin's own."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from .blocks import ROOT

PAGE = (ROOT / "docs/guide/troubleshooting.md").read_text()
# The code in the paragraphs that begin with "Here:".
QUOTED = sorted({text for said in re.findall(r"(?ms)^\*Here:\* (.*?)\n\n", PAGE) for text in re.findall(r"`([^`]+)`", said)})


def constants(tree: ast.AST) -> list[str]:
    """The texts in a piece of code, those in f-strings in parts."""
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


@cache
def source() -> str:
    """All texts that our code can say, one a line."""
    python = [ROOT / "setup.py", *ROOT.glob("pylibsshext/**/*.py"), *ROOT.glob("plugins/**/*.py")]
    texts = [text for path in python for text in constants(ast.parse(path.read_text()))]
    return "\n".join([*texts, *(path.read_text() for path in ROOT.glob("pylibsshext/_c/*.h"))])


@pytest.mark.parametrize("text", QUOTED)
def test_quoted_text_is_in_the_code(text: str):
    """What the page says that one gets to read can be read."""
    assert text in source()


def own_errors() -> list[str]:
    """What the plugin's own code raises for users to read, with dots for what is filled in.

    A ``ValueError`` is what another error says behind its colon.
    """
    raised = [
        "…".join(constants(node.exc))
        for path in ROOT.glob("plugins/**/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Raise) and node.exc and not re.match("AttributeError|ValueError", ast.unparse(node.exc))
    ]
    return sorted({text for text in raised if _telling(text)})


def _telling(text: str) -> set[str]:
    """The parts that are long enough to be searched for."""
    return {part for part in text.split("…") if len(part) > 7 and " " in part}


@pytest.mark.parametrize("text", own_errors())
def test_own_error_is_on_the_page(text: str):
    """Each error of the plugin itself can be found on the page, by one of its parts at least."""
    assert _telling(text) & set(QUOTED)


def test_what_others_say_is_in_the_headings():
    """A search for the text of another plugin finds a heading."""
    headings = re.findall(r"(?m)^### (.+)$", PAGE)
    assert len(headings) > 40
    assert len(set(headings)) == len(headings)
