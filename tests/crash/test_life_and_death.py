# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ends in every order: of objects, processes, threads, connections and the interpreter."""

from __future__ import annotations

import pytest

from tests.crash.conftest import Run

DEBUG = {"PYTHONMALLOC": "debug", "MALLOC_CHECK_": "3"}


@pytest.mark.parametrize("memory", [{}, DEBUG], ids=["plain", "debug"])
@pytest.mark.parametrize("case", ["orders", "cycles", "finalizers", "weak", "at_exit", "after_exit_of_threads"])
def test_collected(crash: Run, case: str, memory: dict[str, str]) -> None:
    """Sessions and what belongs to them can be closed, dropped and collected in any order."""
    crash("collect", case, **memory)


@pytest.mark.parametrize("case", ["use", "drop", "processes", "busy", "proxied", "grandchildren"])
def test_forked(crash: Run, case: str) -> None:
    """A fork can't use its parent's sessions, and does not disturb them."""
    crash("fork", case)


CASES = ["close_session", "close_channel", "close_connecting", "one_channel", "described", "requests", "everything"]


@pytest.mark.parametrize("case", CASES)
def test_threads(crash: Run, case: str) -> None:
    """Threads may do anything to each other's sessions and channels."""
    crash("threads", case, timeout=120)
