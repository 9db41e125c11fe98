# SPDX-License-Identifier: LGPL-2.1-or-later
"""What comes in between: signals, callbacks that misbehave, a server that dies; and what is left after a long time."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.crash.conftest import Run, finish, start
from tests.lab.fixtures import NewHost

ACTIONS = ["connecting", "executing", "opening", "reading", "writing", "copying", "secure_copying"]
WORKS = ["channels", "unread", "executed", "given_up", "never_connected", "keys", "connections", "failures"]


@pytest.mark.parametrize("action", ACTIONS)
def test_interrupted(crash: Run, action: str) -> None:
    """A signal handler that raises at any moment leaves everything usable."""
    crash("interrupts", action)


@pytest.mark.parametrize("case", ["policies", "prompts", "handlers", "buffers"])
def test_callbacks(crash: Run, case: str) -> None:
    """What Python code does while it is called back harms nobody."""
    crash("callbacks", case)


def test_server_killed(new_sshd: NewHost, tmp_path: Path) -> None:
    """The server's processes die at random moments: exceptions of ours, and no hang."""
    host = new_sshd()
    process = start("dying", 12, host=host, home=tmp_path / "home", timeout=60)
    chance = random.Random(2)
    end = time.monotonic() + 11
    killed = 0
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.005, 0.25))
        killed += host.kill_connections()
    ends = finish(process, 60)
    assert killed > 10
    assert ends["fine"] > 5
    assert sum(ends.values()) - ends["fine"] > 10, ends


@pytest.mark.parametrize("work", WORKS)
def test_no_leak(crash: Run, work: str) -> None:
    """Thousands of times the same: neither memory nor descriptors grow."""
    crash("leaks", work, timeout=120)
