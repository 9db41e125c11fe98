# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tap on a connection: carries all bytes both ways, and keeps the first of them."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading

_KEPT = 65536  # bytes each way: banner and algorithms take less


class Tap:
    """Stands between libssh, which gets `end`, and the connection *far* to the server."""

    def __init__(self, far: socket.socket) -> None:
        self.end, self._near = socket.socketpair()
        self.end.setblocking(False)
        far.setblocking(True)
        self._far = far
        self.sent = b""
        self.received = b""
        self.failure = ""
        """What ended the server's side, where that was no orderly end."""
        self._threads = [
            threading.Thread(target=self._carry, args=way, name="ssh-doctor-tap", daemon=True)
            for way in ((self._near, far, "sent"), (far, self._near, "received"))
        ]
        for thread in self._threads:
            thread.start()

    def _carry(self, source: socket.socket, target: socket.socket, name: str) -> None:
        """Carry all that comes from *source*; what no longer arrives is seen all the same."""
        arrives = True
        try:
            while data := source.recv(65536):
                kept: bytes = getattr(self, name)
                if len(kept) < _KEPT:
                    setattr(self, name, kept + data)
                if arrives:
                    arrives = self._sent(target, data)
        except OSError as exc:
            self._note(source, exc)
        for sock, how in ((source, socket.SHUT_RD), (target, socket.SHUT_WR)):
            with contextlib.suppress(OSError):
                sock.shutdown(how)

    def _sent(self, target: socket.socket, data: bytes) -> bool:
        try:
            target.sendall(data)
        except OSError as exc:
            if exc.errno != errno.EPIPE:  # of that the other half tells more
                self._note(target, exc)
            return False
        return True

    def _note(self, sock: socket.socket, exc: OSError) -> None:
        """Keep what ended the server's side: the system tells it once, to whichever half asks first."""
        if sock is self._far:
            self.failure = exc.strerror or str(exc)

    def settle(self) -> None:
        """Wait until all that libssh sent before it closed its end has been seen."""
        self._threads[0].join(1.0)

    def close(self) -> None:
        """End the connection."""
        for sock in (self._far, self._near):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(1.0)
        self._far.close()
        self._near.close()
        self.end.close()  # or libssh has closed it: then it was detached
