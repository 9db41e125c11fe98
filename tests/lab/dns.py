# SPDX-License-Identifier: LGPL-2.1-or-later
"""A name service (RFC 1035) with a few names, for programs that are started with `NameServer.resolving`."""

from __future__ import annotations

import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

_A, _CNAME = 1, 5
_NO_SUCH_NAME = 3


class NameServer:
    """Answers on UDP port 53 of an address of its own: name → IPv4 address, or another name that it stands for."""

    def __init__(self, directory: Path, names: dict[str, str], address: str = "127.53.0.1") -> None:
        self.asked: list[str] = []
        self._names = names
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        self._configuration = directory / "resolv.conf"
        self._configuration.write_text(f"nameserver {address}\noptions attempts:1\n")
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def resolving(self, *command: str) -> list[str]:
        """Return what runs *command* so that it asks us, and nobody else does. Needs root."""
        script = 'mount --bind "$1" /etc/resolv.conf; shift; exec "$@"'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", str(self._configuration), *command]

    def _serve(self) -> None:
        while True:
            query, peer = self._socket.recvfrom(512)
            if not query:
                return
            self._socket.sendto(self._answer(query), peer)

    def _answer(self, query: bytes) -> bytes:
        labels, position = [], 12
        while size := query[position]:
            labels.append(query[position + 1 : position + 1 + size].decode())
            position += size + 1
        question = query[12 : position + 5]
        (kind,) = struct.unpack_from(">H", query, position + 1)
        name = ".".join(labels).lower()
        self.asked.append(name)
        records = []
        known = name in self._names
        while name in self._names:
            owner, value = name, self._names[name]
            if value[0].isdigit():
                if kind == _A:
                    records.append(_record(owner, _A, socket.inet_aton(value)))
                break
            records.append(_record(owner, _CNAME, _packed(value)))
            name = value
        flags = 0x8580 | (0 if known else _NO_SUCH_NAME)
        return query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)


def _packed(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _record(name: str, kind: int, data: bytes) -> bytes:
    return _packed(name) + struct.pack(">HHIH", kind, 1, 1, len(data)) + data
