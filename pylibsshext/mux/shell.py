# SPDX-License-Identifier: LGPL-2.1-or-later
"""A shell on the host that runs short commands, one after the other.

A command on a channel of its own waits for a process of the server's and for the user's login shell, which is most of what a short
one takes.  So a session of the holder's keeps one shell for them, as it keeps one SFTP client for files.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from signal import SIGHUP
from typing import TYPE_CHECKING, Callable

from ..errors import LibsshChannelException, LibsshChannelTimeout, LibsshException
from .protocol import HangUp, left

if TYPE_CHECKING:
    from ..channel import Channel
    from ..session import Session

_START = "exec /bin/sh -s pylibsshext"
# Each command has a process of its own, in the home directory and without input, as on a channel of its own; what it sets, and where
# it goes, is gone with it. The shell itself stays in the root directory, so as to keep no file system in use.
_SCRIPT = """\
cd /
_run() {{ (cd >/dev/null 2>&1; _command=$1; shift; eval "$_command") </dev/null; echo "{mark} $?"; echo "{mark} 0" >&2; }}
"""
_PATIENCE = 10.0  # seconds until what does not answer is taken for no shell: a forced command, a menu
_FRESH = 1.0  # seconds after its last command in which the host is taken to be there
_LOOK = 0.5  # seconds between two looks whether the client is still there
_PIECE = 1 << 18


class _Stream:
    """What came of one stream, up to the mark that follows a command's output."""

    def __init__(self, mark: str) -> None:
        self._end = re.compile(rb"%b (\d{1,3})\n" % mark.encode())
        self._tail = len(mark) + 8  # the last bytes, which may be a part of the mark
        self._data = bytearray()
        self.status: int | None = None

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Add what has come; what follows the mark, from a process that outlives its command, is nobody's."""
        if self.status is not None:
            return
        searched = max(0, len(self._data) - self._tail)
        self._data += data
        found = self._end.search(self._data, searched)
        if found:
            self.status = int(found[1])
            del self._data[found.start() :]

    def take(self) -> bytes:
        """Take a piece of what is here and surely the command's."""
        size = min(_PIECE, len(self._data) - (self._tail if self.status is None else 0))
        taken = bytes(self._data[: max(0, size)])
        del self._data[: len(taken)]
        return taken


class Shell:
    """One shell, for one thread at a time; `broken` as long as it runs a command, and for ever if that failed."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._mark = os.urandom(16).hex()
        self._used = 0.0
        self.broken = True

    @classmethod
    def start(cls, session: Session) -> Shell | None:
        """Start a shell; None if the server takes no further channel for it, or starts something else."""
        shell = None
        try:
            shell = cls(session.new_channel())
            shell._begin()
        except BaseException as exc:
            if shell is not None:
                shell.close()
            if isinstance(exc, LibsshException) and session.is_connected:
                return None
            raise
        return shell

    def _begin(self) -> None:
        self._channel.request_exec(_START)
        self._channel.write(_SCRIPT.format(mark=self._mark).encode())
        self.run(b":", patience=_PATIENCE)

    def lives(self) -> bool:
        """Return whether it can run a command; raise if the connection is lost.

        Who has not been heard for a while is asked first: what is lost by that was not the command, which can go elsewhere then.
        """
        try:
            with suppress(LibsshChannelTimeout):
                self._channel.read_any(0)  # of processes that outlived their commands
            if self._has_ended:
                return False
            if time.monotonic() - self._used > _FRESH:
                self.run(b":", patience=_PATIENCE)
        except LibsshChannelException as exc:
            if isinstance(exc, ConnectionError):
                raise
            return False
        return True

    def run(
        self,
        command: bytes,
        there: Callable[[], bool] = lambda: True,
        deliver: Callable[[bytes, bytes], None] = lambda _stdout, _stderr: None,
        patience: float | None = None,
    ) -> tuple[int, bytes, bytes]:
        """Run *command*; return its status, as shells tell it, and what it has written to stdout and stderr.

        Of much output all but the last is handed to *deliver* as it comes.  `HangUp` once *there* tells that its client is gone,
        `LibsshChannelTimeout` if it has not ended after *patience* seconds.
        """
        self.broken = True
        self._channel.write(b"_run '%b'\n" % command.replace(b"'", b"'\"'\"'"))
        deadline = None if patience is None else time.monotonic() + patience
        streams = _Stream(self._mark), _Stream(self._mark)
        while None in [stream.status for stream in streams]:
            for stream, data in zip(streams, self._output(deadline, there)):
                stream.feed(data)
            while sum(map(len, streams)) > _PIECE:
                deliver(*[stream.take() for stream in streams])
        self._used, self.broken = time.monotonic(), False
        return int(streams[0].status or 0), streams[0].take(), streams[1].take()

    def _output(self, deadline: float | None, there: Callable[[], bool]) -> tuple[bytes, bytes]:
        while True:
            with suppress(LibsshChannelTimeout):
                output = self._channel.read_any(_LOOK)
                if any(output):
                    return output
            if self._has_ended:
                raise LibsshChannelException("the shell that ran the command has ended, and did not say how the command did")
            if left(deadline) == 0:
                raise LibsshChannelTimeout("the command did not end in time")
            if not there():
                raise HangUp("the client is gone")

    @property
    def _has_ended(self) -> bool:
        """Whether there is no shell any more; what it has left running may still hold its streams open."""
        return self._channel.returncode is not None or self._channel.is_eof

    def close(self) -> None:
        """End it, and what it runs."""
        if self.broken:
            with suppress(LibsshException):
                self._channel.send_signal(SIGHUP)
        self._channel.close()
