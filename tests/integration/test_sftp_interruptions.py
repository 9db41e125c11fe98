# SPDX-License-Identifier: LGPL-2.1-or-later
"""Property: wherever the stream to the server ends, a transfer is right or an error, and the old file stays."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from pylibsshext.errors import LibsshChannelConnectionError
from pylibsshext.sftp import SFTP, SFTPError

from .sftp_pipe import PipeSession

OLD = b"old"


class Fragile:
    """A channel that breaks after so many bytes each way."""

    def __init__(self, channel, budget):
        self.channel = channel
        self.budget = budget

    def read(self, size=65536, *, timeout=None):
        return self._counted(self.channel.read(min(size, 50_000), timeout=timeout))

    def write(self, data, timeout=None):
        self.channel.write(self._counted(data), timeout=timeout)
        return len(data)

    def _counted(self, data):
        if len(data) > self.budget:
            raise LibsshChannelConnectionError("the line is cut")
        self.budget -= len(data)
        return data

    def request_subsystem(self, name):
        pass

    def close(self):
        self.channel.close()


class FragileSession(PipeSession):
    """A session whose first channel breaks, and every one after it if *all* do."""

    def __init__(self, budget, all_break):
        super().__init__()
        self.budgets = [budget]
        self.otherwise = 0 if all_break else 1 << 40

    def open_session(self):
        return Fragile(super().open_session(), self.budgets.pop() if self.budgets else self.otherwise)


@pytest.mark.parametrize("direction", ["put", "get"])
@settings(deadline=None, max_examples=60)
@given(st.integers(0, 700_000), st.integers(0, 800_000), st.booleans(), st.booleans())
def test_cut_anywhere(direction, size, budget, all_break, resume):
    """A cut at any byte of the talk leaves the old file or the whole new one; resumed, the new one arrives."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "source").write_bytes(content := os.urandom(size))
        (directory / "target").write_bytes(OLD)
        done = transfer(FragileSession(budget, all_break), direction, directory, resume)
        assert (directory / "target").read_bytes() in ((content,) if done else (OLD, content))
        litter = {path.name for path in directory.iterdir()} - {"source", "target"}
        if not resume and not all_break:
            assert not litter
        if not done:
            assert transfer(PipeSession(), direction, directory, resume)
            assert (directory / "target").read_bytes() == content
        if resume:
            assert {path.name for path in directory.iterdir()} == {"source", "target"}


def transfer(session, direction, directory, resume):
    """Try a transfer; return whether it was reported as done."""
    try:
        with SFTP(session, timeout=20) as sftp:
            try:
                getattr(sftp, direction)(directory / "source", directory / "target", resume=resume)
            except SFTPError:
                if not session_is_cut(session):
                    sftp.listdir(directory)  # the server has dealt with what was sent before
                return False
            return True
    except SFTPError:
        return False


def session_is_cut(session):
    """Whether no further channel will work."""
    return getattr(session, "otherwise", 1) == 0
