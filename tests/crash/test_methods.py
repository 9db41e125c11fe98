# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every public method in every state, with every kind of argument: a result or an exception, never a crash."""

from __future__ import annotations

import pytest

from tests.crash.conftest import Run

SESSION_STATES = ("fresh", "connected", "unchecked", "closed", "dead", "forked")
CHANNEL_STATES = ("idle", "running", "ended", "dropped", "orphaned", "bereft", "cut", "forked")
TRANSFER_STATES = ("running", "dropped", "orphaned", "cut", "forked")


@pytest.mark.parametrize("state", SESSION_STATES)
def test_session(crash: Run, state: str) -> None:
    """Each method of a Session takes anything at any time."""
    assert "connect" in crash("methods", "Session", state, timeout=240)["names"]


@pytest.mark.parametrize("state", CHANNEL_STATES)
def test_channel(crash: Run, state: str) -> None:
    """Each method of a Channel takes anything at any time."""
    assert "request_exec" in crash("methods", "Channel", state, timeout=240)["names"]


@pytest.mark.parametrize("state", TRANSFER_STATES)
@pytest.mark.parametrize("kind", ["SFTP", "SCP"])
def test_transfers(crash: Run, kind: str, state: str) -> None:
    """Each method of what copies files takes anything at any time."""
    assert "put" in crash("methods", kind, state, timeout=240)["names"]


@pytest.mark.parametrize("kind", ["MissingHostKeyPolicy", "AutoAddPolicy", "RejectPolicy", "SessionInfo"])
def test_small_objects(crash: Run, kind: str) -> None:
    """Host key policies and the session's description take anything."""
    crash("methods", kind, "fresh")


@pytest.mark.parametrize("state", [*SESSION_STATES, "uncontrolled"])
def test_core_session(crash: Run, state: str) -> None:
    """Not even the private handle below a Session can be made to crash."""
    assert "connect" in crash("methods", "core.Session", state, timeout=240)["names"]


@pytest.mark.parametrize("state", CHANNEL_STATES)
def test_core_channel(crash: Run, state: str) -> None:
    """Not even the private handle below a Channel can be made to crash."""
    assert "take" in crash("methods", "core.Channel", state, timeout=240)["names"]


@pytest.mark.parametrize("state", ["fresh", "forked"])
def test_core_bulk(crash: Run, state: str) -> None:
    """What moves SFTP's data takes anything, in the middle of a packet too."""
    assert "feed" in crash("methods", "core.Bulk", state, timeout=240)["names"]


@pytest.mark.parametrize("state", ["fresh", "empty"])
def test_core_key(crash: Run, state: str) -> None:
    """A key handle takes anything, even one that never got a key."""
    crash("methods", "core.Key", state)
