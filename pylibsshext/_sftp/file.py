# SPDX-License-Identifier: LGPL-2.1-or-later
"""A remote file as a Python file object."""

from __future__ import annotations

import errno
import io
import os
import threading
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any

from . import protocol as p
from .attributes import SFTPAttributes
from .errors import SFTPError
from .tickets import Ticket, attributes_of, write_head

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .client import Client

#: READs in flight at most, once a file is seen to be read in order.
AHEAD = 16

_FLAGS = {
    "r": p.F_READ,
    "w": p.F_WRITE | p.F_CREAT | p.F_TRUNC,
    "a": p.F_WRITE | p.F_CREAT | p.F_APPEND,
    "x": p.F_WRITE | p.F_CREAT | p.F_EXCL,
}


def flags_of(mode: str) -> int:
    """Return the flags of OPEN for a mode such as ``r+b``."""
    kinds = [letter for letter in mode if letter in _FLAGS]
    if len(kinds) != 1 or set(mode) - set("rwaxbt+") or len(set(mode)) != len(mode) or {"b", "t"} <= set(mode):
        raise ValueError(f"invalid mode: {mode!r}")
    return _FLAGS[kinds[0]] | (p.F_READ | p.F_WRITE if "+" in mode else 0)


class SFTPFile(io.RawIOBase):
    """A remote file: bytes to read, write and seek in, as ``open(path, "rb", buffering=0)`` gives them, but pipelined.

    Reading in order fetches ahead; small writes are gathered and WRITEs are not awaited one by one, so a failure of the
    server may be raised by a later ``write``, ``flush`` or ``close``; the error tells the offset.  ``read(n)`` returns
    fewer than *n* bytes at the end of the file only, and ``write`` takes all.  Threads may share a file object.
    """

    def __init__(self, client: Client, handle: bytes, path: str, mode: str, size: int = 0) -> None:
        super().__init__()
        self.name: str = path
        self.mode: str = mode
        self.handle: bytes = handle
        self._client = client
        self._lock = threading.RLock()
        flags = flags_of(mode)
        self._readable = bool(flags & p.F_READ)
        self._writable = bool(flags & p.F_WRITE)
        self._append = bool(flags & p.F_APPEND)
        self._at = size if self._append else 0
        self._ahead: deque[tuple[int, int, Ticket]] = deque()
        self._block = memoryview(b"")  # what has been read and not taken, at self._at
        self._next = -1  # where the next READ of the readahead begins
        self._depth = 1
        self._unsent = bytearray()  # what has been written and not sent; it ends at self._at
        self._sent: deque[Ticket] = deque()

    # -- what it can do -------------------------------------------------------------------------------------------

    def readable(self) -> bool:
        """Return whether it was opened for reading."""
        self._check()
        return self._readable

    def writable(self) -> bool:
        """Return whether it was opened for writing."""
        self._check()
        return self._writable

    def seekable(self) -> bool:
        """Return True."""
        self._check()
        return True

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _check_can(self, can: bool, what: str) -> None:
        self._check()
        if not can:
            raise io.UnsupportedOperation(f"{self.name!r} is not open for {what}")

    # -- reading --------------------------------------------------------------------------------------------------

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer*; less than all of it only at the end of the file."""
        self._check_can(self._readable, "reading")
        with self._lock:
            self._settle()
            target = memoryview(buffer).cast("B")
            done = 0
            while done < len(target) and self._fill(len(target) - done):
                piece = self._block[: len(target) - done]
                target[done : done + len(piece)] = piece
                done += len(piece)
                self._block = self._block[len(piece) :]
                self._at += len(piece)
            return done

    def read(self, size: int | None = -1) -> bytes:
        """Return *size* bytes, or all up to the end."""
        self._check_can(self._readable, "reading")
        if size is None or size < 0:
            return self.readall()
        buffer = bytearray(min(size, 1 << 20))
        with self._lock:
            if size <= len(buffer):
                return bytes(memoryview(buffer)[: self.readinto(buffer)])
            parts, left = [], size
            while left:
                got = self.readinto(memoryview(buffer)[: min(left, len(buffer))])
                if not got:
                    break
                parts.append(bytes(memoryview(buffer)[:got]))
                left -= got
            return b"".join(parts)

    def readall(self) -> bytes:
        """Return everything up to the end of the file."""
        self._check_can(self._readable, "reading")
        parts = []
        with self._lock:
            self._settle()
            while self._fill(1 << 62):
                parts.append(bytes(self._block))
                self._at += len(self._block)
                self._block = memoryview(b"")
        return b"".join(parts)

    def peek(self, size: int = 1) -> bytes:
        """Return some of the bytes that come next without moving; ``readline`` lives on it."""
        self._check_can(self._readable, "reading")
        with self._lock:
            self._settle()
            self._fill(max(size, 1))
            return bytes(self._block[: max(size, 8192)])

    def prefetch(self, file_size: int | None = None) -> None:  # noqa: ARG002 - paramiko's parameter
        """Read ahead with full force from here on; paramiko's name for it."""
        self._check_can(self._readable, "reading")
        with self._lock:
            self._settle()
            self._depth = AHEAD
            self._ask_ahead()
            self._client.flush()

    def _fill(self, wanted: int) -> bool:
        """Have bytes at the position; return False at the end of the file."""
        if self._block:
            return True
        if self._next < 0 or not self._ahead:
            self._next = self._at
        self._depth = max(self._depth, min(AHEAD, wanted // self._client.read_chunk))
        self._ask_ahead()
        at, size, ticket = self._ahead.popleft()
        try:
            reply = self._client.wait(ticket)
        except SFTPError:
            self._forget_ahead()
            raise
        if not isinstance(reply, p.Data):
            self._forget_ahead()  # the file may grow: ask again next time
            return False
        self._block = reply.payload
        got = len(self._block)
        if got < size:
            # Replies that lie further on are of no use before the gap is filled: begin anew behind these bytes.
            self._ahead.clear()
            self._next = at + got
            self._depth = 1
        else:
            self._depth = min(AHEAD, self._depth * 2)
            self._ask_ahead()
            self._client.flush()
        return bool(got)

    def _ask_ahead(self) -> None:
        size = self._client.read_chunk
        while len(self._ahead) < self._depth:
            request = self._client.read(self.handle, self._next, size, self.name, defer=True)
            self._ahead.append((self._next, size, request))
            self._next += size

    def _forget_ahead(self) -> None:
        self._ahead.clear()
        self._block = memoryview(b"")
        self._next = -1
        self._depth = 1

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, data: Any) -> int:
        """Take all of *data*; it is on its way when 255 KiB have gathered, or at ``flush`` and ``close``."""
        self._check_can(self._writable, "writing")
        if isinstance(data, str):
            raise TypeError("a bytes-like object is required, not 'str'")
        view = memoryview(data).cast("B")
        with self._lock:
            if self._block or self._ahead:
                self._forget_ahead()
            chunk, rest = self._client.write_chunk, view
            while rest:
                piece = rest[: chunk - len(self._unsent)]
                self._unsent += piece
                self._at += len(piece)
                rest = rest[len(piece) :]
                if len(self._unsent) >= chunk:
                    self._send()
        return len(view)

    def writelines(self, lines: Iterable[Any]) -> None:
        """Write each of *lines*."""
        for line in lines:
            self.write(line)

    def _send(self) -> None:
        if not self._unsent:
            return
        data, self._unsent = self._unsent, bytearray()
        packet = bytearray(write_head(self.handle)) + data
        self._sent.append(self._client.write(self.handle, self._at - len(data), packet, len(data), self.name))
        while self._sent and (self._sent[0].reply is not None or len(self._sent) > 64):
            self._client.wait(self._sent.popleft())

    def _settle(self) -> None:
        """Have everything written arrive; raise the first failure."""
        self._send()
        failure: SFTPError | None = None
        while self._sent:
            try:
                self._client.wait(self._sent.popleft())
            except SFTPError as exc:
                failure = failure or exc
        if failure is not None:
            raise failure

    def flush(self) -> None:
        """Wait until the server has everything that was written."""
        if not self.closed:
            with self._lock:
                self._settle()

    # -- place and size -------------------------------------------------------------------------------------------

    def tell(self) -> int:
        """Return the position."""
        self._check()
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position, and return it."""
        self._check()
        with self._lock:
            if whence not in {os.SEEK_SET, os.SEEK_CUR, os.SEEK_END}:
                raise ValueError(f"invalid whence: {whence!r}")
            self._settle()
            base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
            target = (self.stat().st_size or 0 if base is None else base) + offset
            if target < 0:
                raise OSError(errno.EINVAL, "negative seek position", self.name)
            ahead = target - self._at
            if 0 <= ahead <= len(self._block):
                self._block = self._block[ahead:]
            elif ahead:
                self._forget_ahead()
            self._at = target
            return target

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file to *size* bytes, by default up to the position."""
        self._check_can(self._writable, "writing")
        with self._lock:
            self._settle()
            wanted = self._at if size is None else size
            self._forget_ahead()
            self._change(SFTPAttributes(st_size=wanted))
            return wanted

    # -- attributes -----------------------------------------------------------------------------------------------

    def stat(self) -> SFTPAttributes:
        """Return the file's attributes."""
        self._check()
        with self._lock:
            self._settle()
            request = self._client.request(p.FSTAT, p.string(self.handle), about=self.name)
            return attributes_of(self._client.wait(request))

    def chmod(self, mode: int) -> None:
        """Set the permission bits."""
        self._change(SFTPAttributes(st_mode=mode))

    def chown(self, uid: int, gid: int) -> None:
        """Set the owner and group, by number."""
        self._change(SFTPAttributes(st_uid=uid, st_gid=gid))

    def utime(self, times: tuple[float, float]) -> None:
        """Set the times of access and modification."""
        self._change(SFTPAttributes(st_atime=int(times[0]), st_mtime=int(times[1])))

    def fsync(self) -> None:
        """Wait until the server's disk has the data (``fsync@openssh.com``)."""
        with self._lock:
            self._settle()
            self._extension("fsync@openssh.com", p.string(self.handle))

    def copy_to(self, target: SFTPFile, length: int = 0) -> None:
        """Let the server copy *length* bytes (0: all) from the position here to the position there (``copy-data``)."""
        with self._lock:
            self._settle()
            target.flush()
            fields = (self.handle, self._at, length, target.handle, target.tell())
            body = [p.string(value) if isinstance(value, bytes) else p.u64(value) for value in fields]
            self._extension("copy-data", *body)

    def _change(self, attributes: SFTPAttributes) -> None:
        self._check()
        with self._lock:
            self._settle()
            body = p.string(self.handle) + attributes.encode()
            self._client.wait(self._client.request(p.FSETSTAT, body, about=self.name))

    def _extension(self, name: str, *fields: bytes) -> p.Reply:
        self._check()
        return extension(self._client, name, *fields, about=self.name)

    # -- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Write what is left, and close; a failure of the server to keep the data is raised here."""
        if self.closed:
            return
        with self._lock:
            try:
                self._settle()
            finally:
                super().close()  # flush() does nothing any more from here on
                request = self._client.request(p.CLOSE, p.string(self.handle), about=self.name)
                self._client.wait(request)

    def __del__(self) -> None:
        """Hand what is left to the next request: the collector may run in the middle of another one."""
        if getattr(self, "_sent", None) is None or self.closed:
            return
        warnings.warn(f"unclosed remote file {self.name!r}", ResourceWarning, stacklevel=2, source=self)
        if self._unsent:
            head = p.string(self.handle) + p.u64(self._at - len(self._unsent))
            self._client.later(p.WRITE, head, p.string(bytes(self._unsent)))
        self._client.later(p.CLOSE, p.string(self.handle))


def extension(client: Client, name: str, *fields: bytes, about: str | None = None, request: str | None = None) -> p.Reply:
    """Send an extended request; raise ``SFTPError`` with ``EOPNOTSUPP`` where the server does not offer it.

    *request* is the name in the request, where it is not the one that the server announces.
    """
    if name not in client.extensions:
        raise SFTPError(f"the server does not offer {name}", errno.EOPNOTSUPP, about)
    return client.wait(client.request(p.EXTENDED, p.string((request or name).encode()), *fields, about=about))
