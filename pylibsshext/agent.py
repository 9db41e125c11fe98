# SPDX-License-Identifier: LGPL-2.1-or-later
"""The SSH agent: which keys it holds, and how libssh gets to use one of them (draft-ietf-sshm-ssh-agent).

libssh offers a server every key of an agent, which a server that counts attempts (``MaxAuthTries``) does not bear with many keys.  So
libssh talks to an agent of ours, that knows one key at a time and has the real agent sign.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from typing import NamedTuple

_FAILURE = b"\x05"
_REQUEST_IDENTITIES = 11
_IDENTITIES_ANSWER = 12
_SIGN_REQUEST = 13
_MOST = 256 * 1024  # bytes of a message, OpenSSH's own limit
_LIST_TIMEOUT = 5.0


class AgentError(OSError):
    """The agent cannot be reached, or does not speak its protocol."""


class AgentKey(NamedTuple):
    """A public key (RFC 4253 section 6.6's blob, or a certificate) that an agent can sign with."""

    blob: bytes
    comment: str


def list_keys(path: str) -> list[AgentKey]:
    """Return the keys of the agent that listens at *path*."""
    with _connected(path) as sock:
        sock.settimeout(_LIST_TIMEOUT)
        try:
            _send(sock, bytes([_REQUEST_IDENTITIES]))
            answer = _receive(sock)
        except OSError as exc:
            raise AgentError(f"the agent at {path} does not answer: {exc}") from exc
    if answer[:1] != bytes([_IDENTITIES_ANSWER]) or len(answer) < 5:
        raise AgentError(f"the agent at {path} does not list its keys")
    fields = _strings(answer[5:])
    return [AgentKey(blob, comment.decode(errors="replace")) for blob, comment in zip(fields[::2], fields[1::2])]


def _connected(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(os.path.expanduser(path))
    except OSError as exc:
        sock.close()
        raise AgentError(f"the agent at {path} cannot be reached: {exc.strerror or exc}") from exc
    return sock


class Selector:
    """An agent that has one key, chosen by `choose`, of the agent at *path*.  `fileno` is libssh's end of it."""

    def __init__(self, path: str) -> None:
        self._agent = _connected(path)
        self._ours, self._theirs = socket.socketpair()
        self._key: AgentKey | None = None
        threading.Thread(target=self._serve, name="ssh-agent-selector", daemon=True).start()

    def choose(self, key: AgentKey) -> None:
        """Have *key* from now on, and no other."""
        self._key = key

    def detach(self) -> int:
        """Return libssh's end, which is libssh's to close."""
        return self._theirs.detach()

    def close(self) -> None:
        """Let go of the agent."""
        for sock in (self._ours, self._agent, self._theirs):
            try:
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread, wherever it waits
            except OSError:
                continue  # it was closed, or handed over
        self._theirs.close()

    def _serve(self) -> None:
        with self._ours, self._agent:
            try:
                while True:
                    _send(self._ours, self._answer(_receive(self._ours)))
            except OSError:
                return  # libssh is done with it, or the agent is gone, which libssh sees

    def _answer(self, request: bytes) -> bytes:
        key = self._key
        if request[:1] == bytes([_REQUEST_IDENTITIES]) and key is not None:
            return bytes([_IDENTITIES_ANSWER]) + struct.pack(">I", 1) + _string(key.blob) + _string(key.comment.encode())
        if request[:1] == bytes([_SIGN_REQUEST]) and key is not None and request[1:].startswith(_string(key.blob)):
            _send(self._agent, request)
            return _receive(self._agent)
        return _FAILURE


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _strings(data: bytes) -> list[bytes]:
    found = []
    while len(data) >= 4:
        size = int.from_bytes(data[:4], "big")
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def _send(sock: socket.socket, message: bytes) -> None:
    sock.sendall(_string(message))


def _receive(sock: socket.socket) -> bytes:
    size = int.from_bytes(_exactly(sock, 4), "big")
    if not 0 < size <= _MOST:
        raise AgentError(f"a message of {size} bytes")
    return _exactly(sock, size)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise AgentError("the connection was closed")
        data += piece
    return data
