# SPDX-License-Identifier: GPL-3.0-or-later
"""What is checked about the code's form: ``nox -s lint``, or one of it with ``nox -s "lint(mypy)"``.

The sessions use the tools on PATH: ``make lint`` puts there what it installs from requirements-lint.txt.
"""

from __future__ import annotations

import nox

LINTERS = {
    "ruff": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "cython": ["cython-lint", "pylibsshext"],
    "mypy": ["mypy"],
    "codespell": ["codespell"],
    "yamllint": ["yamllint", "--strict", "."],
}


@nox.session(python=False)
@nox.parametrize("tool", [nox.param(name, id=name) for name in LINTERS])
def lint(session: nox.Session, tool: str) -> None:
    """Run one of the linters over the whole checkout."""
    session.run(*LINTERS[tool])
