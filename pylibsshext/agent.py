# SPDX-License-Identifier: LGPL-2.1-or-later
"""The SSH agent: which keys it holds, and how libssh gets to use one of them (draft-ietf-sshm-ssh-agent).

libssh offers a server every key of an agent, which a server that counts attempts (``MaxAuthTries``) does not bear with many keys.  So
libssh talks to an agent of ours, that knows one key at a time, and has whoever holds that key sign.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
from typing import Protocol

_FAILURE = b"\x05"
_REQUEST_IDENTITIES = 11
_IDENTITIES_ANSWER = 12
_SIGN_REQUEST = 13
_SIGN_RESPONSE = 14
_MOST = 256 * 1024  # bytes of a message, OpenSSH's own limit
_LIST_TIMEOUT = 5.0
_GRACE = 0.5  # seconds for a key that is told to give up

URI_SCHEME = "pkcs11:"
_PIN = r"\bpin-value=([^;?&]*)[;&]?"


def is_uri(path: object) -> bool:
    """Return whether what stands for a key file is a URI of a PKCS#11 token instead (RFC 7512)."""
    return isinstance(path, str) and path.startswith(URI_SCHEME)


def without_pin(path: str) -> tuple[str, bytes | None]:
    """Return what names a key without its ``pin-value``, and that PIN; only the URI of a token's key has one."""
    pins = re.findall(_PIN, path) if is_uri(path) else []
    if not pins:
        return path, None
    from urllib.parse import unquote_to_bytes  # as few name keys so

    return re.sub(_PIN, "", path), unquote_to_bytes(pins[-1])


class AgentError(OSError):
    """The agent cannot be reached, does not speak its protocol, or does not sign."""


class Signer(Protocol):
    """A key that somebody else holds and signs with."""

    @property
    def blob(self) -> bytes:
        """The public key (RFC 4253 section 6.6's blob), or a certificate for it."""

    @property
    def name(self) -> str:
        """What it is called in errors."""

    @property
    def cure(self) -> str:
        """The keyword of ``Session.connect`` to change if it does not sign."""

    def sign(self, data: bytes, flags: int) -> bytes:
        """Return a signature, as in RFC 4253 section 6.6; *flags* say which, for RSA."""

    def cancel(self) -> None:
        """Have `sign`, which waits for a person in another thread, end soon, where that can be."""

    def certified(self, certificate: bytes) -> Signer:
        """Return the same key, that shows this certificate for itself."""


class Agent:
    """A connection to the agent that listens at *path*."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._sock = socket.socket(socket.AF_UNIX)
        try:
            self._sock.connect(os.path.expanduser(path))
        except OSError as exc:
            self._sock.close()
            raise AgentError(f"the agent at {path} cannot be reached: {exc.strerror or exc}") from exc

    def keys(self) -> list[Signer]:
        """Return the keys that it holds."""
        self._sock.settimeout(_LIST_TIMEOUT)
        answer = self._request(bytes([_REQUEST_IDENTITIES]))
        self._sock.settimeout(None)  # it may have to ask somebody, or wait for a touch
        if answer[:1] != bytes([_IDENTITIES_ANSWER]) or len(answer) < 5:
            raise AgentError(f"the agent at {self._path} does not list its keys")
        fields = strings(answer[5:])
        return [AgentKey(self, blob, comment.decode(errors="replace")) for blob, comment in zip(fields[::2], fields[1::2])]

    def sign(self, blob: bytes, data: bytes, flags: int) -> bytes:
        """Have it sign with one of its keys."""
        answer = self._request(bytes([_SIGN_REQUEST]) + string(blob) + string(data) + struct.pack(">I", flags))
        if answer[:1] != bytes([_SIGN_RESPONSE]):
            raise AgentError("the agent refuses to sign with this key")
        return strings(answer[1:])[0]

    def _request(self, message: bytes) -> bytes:
        try:
            send(self._sock, message)
            return receive(self._sock)
        except OSError as exc:
            raise AgentError(f"the agent at {self._path} does not answer: {exc}") from exc

    def close(self) -> None:
        """Let go of it; whoever waits for its answer gets an error."""
        _shut(self._sock)
        self._sock.close()


class AgentKey:
    """A key that an agent holds."""

    cure = "agent"

    def __init__(self, agent: Agent, blob: bytes, comment: str, certificate: bytes | None = None) -> None:
        self.blob = certificate or blob
        self.name = f"the agent's {comment}"
        self._agent = agent
        self._held = blob
        self._comment = comment

    def sign(self, data: bytes, flags: int) -> bytes:
        """Have the agent sign."""
        return self._agent.sign(self._held, data, flags)

    def cancel(self) -> None:
        """Let go of the agent."""
        self._agent.close()

    def certified(self, certificate: bytes) -> AgentKey:
        """Return the key with a certificate that the agent does not have."""
        return AgentKey(self._agent, self._held, self._comment, certificate)


class Selector:
    """An agent that has one key, chosen by `choose`.  `detach` gives libssh its end of the line."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._signer: Signer | None = None
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._serve, name="ssh-agent-selector", daemon=True)
        self._thread.start()

    def choose(self, signer: Signer) -> None:
        """Have this key from now on, and no other."""
        self._signer, self._failure = signer, None

    def failure(self) -> Exception | None:
        """Return why the last signature could not be made, once: its traceback has this selector."""
        failure, self._failure = self._failure, None
        return failure

    def detach(self) -> int:
        """Return libssh's end, which is libssh's to close."""
        return self._theirs.detach()

    def close(self) -> None:
        """Answer nothing any more."""
        if self._signer is not None:
            self._signer.cancel()
        for sock in (self._ours, self._theirs):
            _shut(sock)
        self._theirs.close()
        self._thread.join(_GRACE)
        self._signer = self._failure = None  # both have what has this selector

    def _serve(self) -> None:
        with self._ours:
            try:
                while True:
                    send(self._ours, self._answer(receive(self._ours)))
            except OSError:
                return  # libssh is done with it

    def _answer(self, request: bytes) -> bytes:
        signer = self._signer
        if request[:1] == bytes([_REQUEST_IDENTITIES]) and signer is not None:
            return bytes([_IDENTITIES_ANSWER]) + struct.pack(">I", 1) + string(signer.blob) + string(b"")
        if request[:1] == bytes([_SIGN_REQUEST]) and signer is not None:
            blob, data = strings(request[1:])[:2]
            if blob == signer.blob:
                try:
                    signature = signer.sign(data, int.from_bytes(request[-4:], "big"))
                except Exception as exc:  # noqa: BLE001 - raised again by the login
                    self._failure = exc
                else:
                    return bytes([_SIGN_RESPONSE]) + string(signature)
        return _FAILURE


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits there
    except OSError:
        return  # it was closed, or handed over


def string(data: bytes) -> bytes:
    """Return *data* as a string of RFC 4251 section 5."""
    return struct.pack(">I", len(data)) + data


def strings(data: bytes) -> list[bytes]:
    """Return the strings that *data* begins with."""
    found = []
    while len(data) >= 4:
        size = int.from_bytes(data[:4], "big")
        if size > len(data) - 4:
            break
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def send(sock: socket.socket, message: bytes) -> None:
    """Send a message of the agent's protocol."""
    sock.sendall(string(message))


def receive(sock: socket.socket) -> bytes:
    """Return the next message."""
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
