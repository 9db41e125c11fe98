# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenSSH's sftp-server as a process of our own, behind a socketpair: SFTP as it is, without SSH around it."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pylibsshext.errors import LibsshChannelConnectionError, LibsshChannelTimeout
from pylibsshext.session import Session

SERVER = "/usr/lib/openssh/sftp-server"


class PipeChannel:
    """The part of a channel that SFTP uses, over a socket."""

    def __init__(self, sock: socket.socket, process: subprocess.Popen[bytes] | None = None) -> None:
        self.sock = sock
        self.process = process
        self.arrived = bytearray()

    def read(self, size: int = 65536, *, timeout: float | None = None) -> bytes:
        """Return what has come, waiting for some."""
        if self.arrived:
            data = bytes(self.arrived[:size])
            del self.arrived[: len(data)]
            return data
        self._ready([self.sock], [], timeout)
        return self._receive(size)

    def _receive(self, size: int) -> bytes:
        try:
            return self.sock.recv(size)
        except OSError as exc:
            raise LibsshChannelConnectionError(str(exc)) from exc

    def write(self, data: Any, timeout: float | None = None) -> int:
        """Send all of *data*; up to 2 MiB that come meanwhile are kept, as a channel's window would."""
        view = memoryview(data).cast("B")
        deadline = None if timeout is None else time.monotonic() + timeout
        while view:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            hear = [self.sock] if len(self.arrived) < 2 << 20 else []
            readable, writable = self._ready(hear, [self.sock], left)
            if readable:
                piece = self._receive(1 << 16)
                if not piece:
                    raise LibsshChannelConnectionError("the server has ended")
                self.arrived += piece
            if writable:
                try:
                    view = view[self.sock.send(view, socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    continue
                except OSError as exc:
                    raise LibsshChannelConnectionError(str(exc)) from exc
        return len(memoryview(data))

    @staticmethod
    def _ready(reading: list[Any], writing: list[Any], timeout: float | None) -> tuple[list[Any], list[Any]]:
        readable, writable, _ = select.select(reading, writing, [], timeout)
        if not readable and not writable:
            raise LibsshChannelTimeout("nothing came")
        return readable, writable

    def request_subsystem(self, name: str) -> None:
        """Do nothing: the server runs already."""

    def close(self) -> None:
        """End the server."""
        with contextlib.suppress(OSError):  # the other end may have gone first
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes a reader in another thread
        self.sock.close()
        if self.process is not None:
            self.process.wait(10)


class PipeSession:
    """What SFTP needs of a session: channels, and whose they are."""

    info = SimpleNamespace(server_banner="SSH-2.0-OpenSSH")

    def __init__(self, *command: str, **popen: Any) -> None:
        self.command = command or (SERVER,)
        self.popen = popen
        self.channels: list[PipeChannel] = []

    def open_session(self) -> PipeChannel:
        """Start a server and return the channel to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(self.command, stdin=theirs, stdout=theirs, **self.popen)
        self.channels.append(PipeChannel(ours, process))
        return self.channels[-1]


def connect(host: Any, **options: Any) -> Session:
    """Return a session with one of the lab's hosts."""
    session = Session()
    key = Path(host.key).read_bytes()
    known = str(host.known_hosts_file)
    session.connect(
        host=host.address, port=host.port, user=host.user, private_key=key, knownhosts=known, look_for_keys=False, **options
    )
    return session
