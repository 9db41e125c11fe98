# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages between a client and the holder: JSON for what is said, bytes for what is carried, descriptors for the rest.

A message is the protocol's version, two lengths, a JSON object, and a blob.  All are bounded, nothing is ever executed or unpickled,
and a side that does not keep to it is hung up on.
"""

from __future__ import annotations

import array
import json
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence
from typing import Any

from .. import errors
from .._secrets import wipe

VERSION = 2
"""Of the protocol, in front of each message; another one is not talked to."""

MOST_TEXT = 1 << 20
MOST_BLOB = 1 << 20
MOST_FDS = 3

_ENDLESS = 1e300  # what is less is a float, be it given as an integer
_HEAD = struct.Struct("!III")
_ENCODER = json.JSONEncoder(separators=(",", ":"), sort_keys=True)
_PEER = struct.Struct("3i")  # pid, uid, gid: Linux's struct ucred
_CUT_OFF = int(socket.MSG_CTRUNC)  # as the enumeration's member it takes as long as all else in a receive
_FD_SPACE = socket.CMSG_SPACE(MOST_FDS * array.array("i").itemsize) if hasattr(socket, "CMSG_SPACE") else 0


class MuxUnavailable(errors.LibsshException):
    """There is no holder and none can be started here; a session in this process will do."""


class HangUp(ConnectionError):
    """The other side went away, or does not keep to the protocol."""


class Silent(HangUp):
    """The holder is there and does nothing: its process was stopped, or hangs."""


class Message:
    """What was received.

    No named tuple: making such a class takes longer than loading this module, and each of Ansible's workers does it anew.
    """

    __slots__ = ("blob", "data", "fds")

    def __init__(self, data: dict[str, Any], blob: bytearray, fds: list[int]) -> None:
        self.data: dict[str, Any] = data
        self.blob: bytearray = blob
        self.fds: list[int] = fds

    def close(self) -> None:
        """Close the descriptors that nobody has taken."""
        while self.fds:
            os.close(self.fds.pop())


class Wire:
    """One end of the socket between a client and the holder.  Any thread may send; one receives."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._sock.fileno()

    def send(self, data: dict[str, Any], blob: bytes | bytearray = b"", fds: Sequence[int] = ()) -> None:
        """Send a message; `HangUp` if nobody is there, `Silent` if there is no room for it until the socket's time-out."""
        text = encoded(data)
        if len(text) > MOST_TEXT or len(blob) > MOST_BLOB:
            raise errors.LibsshException("the request is too large for the connection holder")
        packet = _HEAD.pack(VERSION, len(text), len(blob)) + text + blob
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            with self._sending:
                sent = self._sock.sendmsg([packet], ancillary)
                if sent < len(packet):
                    self._sock.sendall(memoryview(packet)[sent:])
        except BlockingIOError as exc:
            raise Silent("the connection holder does not answer") from exc
        except OSError as exc:
            raise HangUp(f"the connection holder is gone: {exc.strerror}") from exc

    def receive(self, timeout: float | None = None) -> Message:
        """Wait for a message; `HangUp` at the end of the connection, TimeoutError after *timeout* seconds without one.

        `MuxUnavailable` if it is of another version.
        """
        if timeout is not None and not self.waits(timeout):
            raise TimeoutError("no word from the connection holder in time")
        fds: list[int] = []
        try:
            return self._message(fds)
        except BaseException as exc:
            for fd in fds:
                os.close(fd)
            if isinstance(exc, (ValueError, TypeError)):
                raise HangUp("a message is not what it should be") from exc
            if isinstance(exc, OSError) and not isinstance(exc, HangUp):
                raise HangUp(f"the connection holder is gone: {exc.strerror}") from exc
            raise

    def _message(self, fds: list[int]) -> Message:
        version, text_length, blob_length = _HEAD.unpack(self._exactly(_HEAD.size, fds))
        if version != VERSION:
            raise MuxUnavailable(f"the connection holder speaks version {version} of the protocol, not {VERSION}")
        if text_length > MOST_TEXT or blob_length > MOST_BLOB:
            raise ValueError("a message is too large")
        body = self._exactly(text_length + blob_length, fds)
        data = json.loads(body[:text_length])
        if not isinstance(data, dict):
            raise TypeError("a message is not an object")
        blob = body[text_length:]
        wipe(body)  # it may have held a password
        return Message(data, blob, fds)

    def waits(self, timeout: float) -> bool:
        """Return whether a message (or the end) is here within *timeout* seconds."""
        poller = select.poll()
        poller.register(self._sock, select.POLLIN)
        return bool(poller.poll(max(0, timeout) * 1000))

    def _exactly(self, size: int, fds: list[int]) -> bytearray:
        data = bytearray(size)
        view, done = memoryview(data), 0
        while done < size:
            got, ancillary, flags, _ = self._sock.recvmsg_into([view[done:]], _FD_SPACE, socket.MSG_CMSG_CLOEXEC)
            for level, kind, packed in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    received = array.array("i")
                    received.frombytes(packed[: len(packed) - len(packed) % received.itemsize])
                    fds.extend(received)
            if not got or flags & _CUT_OFF or len(fds) > MOST_FDS:
                raise HangUp("the connection holder closed the connection")
            done += got
        view.release()
        return data

    def hung_up(self) -> bool:
        """Return whether the other side is gone, without reading what it may have sent."""
        try:
            return not self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def check_peer(self) -> None:
        """Raise `MuxUnavailable` unless the process at the other end belongs to the same user."""
        packed = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        uid = _PEER.unpack(packed)[1]
        if uid != os.geteuid():
            raise MuxUnavailable(f"the process at the other end of the socket belongs to user {uid}")

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def encoded(data: Any) -> bytes:
    """Return *data* as JSON, the same for what is equal."""
    return _ENCODER.encode(data).encode("ascii")


def left(deadline: float | None) -> float | None:
    """Return the seconds until *deadline*, None for ever."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def seconds_kept(persist: Any) -> float:
    """Return for how many seconds a login is kept after its last use; TypeError or ValueError for what is no such number."""
    if isinstance(persist, bool) or not isinstance(persist, (int, float)):
        raise TypeError(f"persist must be a number of seconds, not {type(persist).__name__}")
    if not 0 <= persist < _ENDLESS:
        raise ValueError(f"persist must be a number of seconds, 0 or more and not endless, not {persist}")
    return float(persist)


# Exceptions travel by the name of their class and those attributes that people read.

_ATTRIBUTES = (
    "errno",
    "strerror",
    "filename",
    "sftp_code",
    "offset",
    "attempts",
    "methods_left",
    "keywords",
    "host",
    "port",
    "key_type",
    "fingerprint",
    "file",
    "line",
    "known_fingerprint",
)


def pack_error(exc: BaseException, what: str = "the connection holder") -> dict[str, Any]:
    """Return an exception as JSON can hold it; of one that is not the library's, the text says *what* has failed."""
    kind = next((cls.__name__ for cls in type(exc).__mro__ if _error_class(cls.__name__)), None)
    ours = kind not in (None, "OSError")
    text = exc.message if isinstance(exc, errors.AuthenticationError) else str(exc)
    values = {name: getattr(exc, name, None) for name in _ATTRIBUTES}
    return {
        "class": kind or "LibsshException",
        "text": text if ours else f"{what} failed: {type(exc).__name__}: {exc}",
        "values": {name: _plain(value) for name, value in values.items() if value is not None},
    }


def _plain(value: Any) -> Any:
    """Return an attribute as JSON can hold it."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return os.fsdecode(value) if isinstance(value, bytes) else value if isinstance(value, (str, int, float)) else str(value)


def unpack_error(packed: dict[str, Any]) -> Exception:
    """Return the exception that was packed."""
    values = packed.get("values")
    values = {name: value for name, value in values.items() if name in _ATTRIBUTES} if isinstance(values, dict) else {}
    cls = _error_class(str(packed.get("class"))) or errors.LibsshException
    if cls is OSError:
        return OSError(values.get("errno"), values.get("strerror"), values.get("filename"))
    error = cls(str(packed.get("text", "")))
    for name, value in values.items():
        setattr(error, name, value)
    return error


def _error_class(name: str) -> type[Exception] | None:
    if name == "OSError":
        return OSError
    found = getattr(errors, name, None)
    if found is None and name.startswith(("SFTP", "SCP")):
        from .._sftp import errors as transfers

        found = getattr(transfers, name, None)
    return found if isinstance(found, type) and issubclass(found, errors.LibsshException) else None
