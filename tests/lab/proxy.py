# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers that pass connections on: SOCKS 5 (RFC 1928), HTTP's CONNECT, and a Unix socket that leads to one place."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    Place = tuple[str, int]


class ProxyServer(threading.Thread):
    """A proxy that takes notes, asks for a login if it has a *user*, and refuses with *reply* if there is one."""

    def __init__(
        self,
        kind: str,
        *,
        user: tuple[str, str] | None = None,
        reply: int = 0,
        path: Path | None = None,
        target: Place = ("", 0),
    ) -> None:
        """Serve *kind* "socks", "http", or "unix", which needs the *path* of its socket and the *target* it leads to."""
        super().__init__(daemon=True)
        self._listener = socket.socket(socket.AF_UNIX) if path else socket.create_server(("127.0.0.1", 0))
        if path:
            self._listener.bind(str(path))
            self._listener.listen()
        self._greet = {"socks": self._socks, "http": self._http, "unix": lambda _client: target}[kind]
        self._user, self._reply = user, reply
        self.asked: list[Any] = []
        """For whom, as it was said."""
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def stop(self) -> None:
        """Take no more connections."""
        if self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)
            self.join()
            self._listener.close()

    def run(self) -> None:
        """Serve until the end."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, IndexError, ValueError):
            target = self._greet(client)
            if target:
                with socket.create_connection(target) as far:
                    back = threading.Thread(target=_carry, args=(far, client), daemon=True)
                    back.start()
                    _carry(client, far)
                    back.join()

    def _socks(self, client: socket.socket) -> Place | None:
        methods = client.recv(2)[1]
        offered = client.recv(methods)
        wanted = 2 if self._user else 0
        client.sendall(bytes([5, wanted if wanted in offered else 255]))
        if self._user:
            length = client.recv(2)[1]
            name = client.recv(length).decode()
            word = client.recv(client.recv(1)[0]).decode()
            client.sendall(bytes([1, (name, word) != self._user]))
        _, _, _, kind = client.recv(4)
        host = socket.inet_ntoa(client.recv(4)) if kind == 1 else client.recv(client.recv(1)[0]).decode()
        port = int.from_bytes(client.recv(2), "big")
        self.asked.append((kind, host, port))
        client.sendall(bytes([5, self._reply, 0, 3, 1]) + b"x" + b"\0\0")
        return None if self._reply else (host, port)

    def _http(self, client: socket.socket) -> Place | None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        lines = head.decode().split("\r\n")
        self.asked.append(lines[0])
        token = "Proxy-Authorization: Basic " + base64.b64encode(":".join(self._user or ()).encode()).decode()
        if self._user and token not in lines:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nX: y\r\n\r\n")
            return None
        if self._reply:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return None
        client.sendall(b"HTTP/1.1 200 OK\r\nVia: me\r\n\r\n")
        host, _, port = lines[0].split()[1].rpartition(":")
        return host, int(port)


def _carry(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes until they end."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
