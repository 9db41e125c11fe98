# SPDX-License-Identifier: LGPL-2.1-or-later
"""SFTP version 3 without I/O: requests become bytes, bytes become replies.

draft-ietf-secsh-filexfer-02 has the packets, OpenSSH's PROTOCOL file the extensions.  Nothing here waits, and nothing
trusts the peer: a length is tested before it is believed, and what cannot be parsed is an ``SFTPProtocolError``.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import Callable, Union

from .._named_tuple import NamedTuple
from . import attributes as _attributes
from .attributes import SFTPAttributes
from .errors import SFTPProtocolError

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT = range(1, 11)
OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = range(11, 21)
STATUS, HANDLE, DATA, NAME, ATTRS = range(101, 106)
EXTENDED, EXTENDED_REPLY = 200, 201

#: ``pflags`` of OPEN.
F_READ, F_WRITE, F_APPEND, F_CREAT, F_TRUNC, F_EXCL = 1, 2, 4, 8, 16, 32

#: What a request may be answered with, besides STATUS.
ANSWERS = {
    OPEN: (HANDLE,),
    OPENDIR: (HANDLE,),
    READ: (DATA,),
    READDIR: (NAME,),
    REALPATH: (NAME,),
    READLINK: (NAME,),
    STAT: (ATTRS,),
    LSTAT: (ATTRS,),
    FSTAT: (ATTRS,),
    EXTENDED: (EXTENDED_REPLY, NAME),
}

#: How an error text begins.
DOING = {
    INIT: "greeting the SFTP server",
    OPEN: "opening",
    CLOSE: "closing",
    READ: "reading",
    WRITE: "writing",
    LSTAT: "looking at",
    FSTAT: "looking at",
    STAT: "looking at",
    SETSTAT: "changing the attributes of",
    FSETSTAT: "changing the attributes of",
    OPENDIR: "listing",
    READDIR: "listing",
    REMOVE: "removing",
    MKDIR: "making directory",
    RMDIR: "removing directory",
    REALPATH: "resolving",
    RENAME: "renaming",
    READLINK: "reading link",
    SYMLINK: "linking",
    EXTENDED: "an extension request on",
}

#: Longer than any reply to what we ask for (255 KiB of data); a server that announces more is refused.
MAX_REPLY = 1 << 20

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_HEAD = struct.Struct(">IBI")


class Status(NamedTuple):
    """How a request ended; code 0 is success, 1 the end of a file or a listing."""

    id: int
    code: int
    message: str


class Handle(NamedTuple):
    """An open file or directory."""

    id: int
    handle: bytes


class Data(NamedTuple):
    """A piece of a file."""

    id: int
    payload: memoryview


class Moved(NamedTuple):
    """A request whose data the core has moved: a piece of a file is where it belongs, up to *error* (an errno, 0 for none)."""

    id: int
    size: int
    error: int


class Names(NamedTuple):
    """Entries of a directory, or the one answer of REALPATH and READLINK."""

    id: int
    entries: list[SFTPAttributes]


class Attrs(NamedTuple):
    """The attributes of a file."""

    id: int
    attributes: SFTPAttributes


class Extended(NamedTuple):
    """What an extension answers; its layout belongs to the extension."""

    id: int
    payload: bytes


class Version(NamedTuple):
    """The server's greeting: protocol version, and the extensions that it offers."""

    version: int
    extensions: dict[str, bytes]


Reply = Union[Status, Handle, Data, Moved, Names, Attrs, Extended, Version]


def broken(text: str) -> SFTPProtocolError:
    """Return the exception for a reply that the protocol does not allow."""
    return SFTPProtocolError(f"SFTP protocol error: {text}", errno.EPROTO)


def u32(value: int) -> bytes:
    """Encode 32 bits."""
    return _U32.pack(value)


def u64(value: int) -> bytes:
    """Encode 64 bits."""
    return _U64.pack(value)


def string(value: bytes) -> bytes:
    """Encode bytes with their length in front."""
    return _U32.pack(len(value)) + value


def to_path(path: object) -> bytes:
    """Return a path as it travels: UTF-8, and bytes that are no UTF-8 as they came (surrogate escapes)."""
    if isinstance(path, os.PathLike):
        path = path.__fspath__()
    if isinstance(path, str):
        path = path.encode("utf-8", "surrogateescape")
    if not isinstance(path, bytes):
        raise TypeError(f"a path is str, bytes or os.PathLike, not {type(path).__name__}")
    if b"\0" in path:
        raise ValueError("a path cannot contain a NUL byte")
    return path


def from_path(path: bytes) -> str:
    """Return a path that came from the server as text; ``to_path`` gives the same bytes again."""
    return path.decode("utf-8", "surrogateescape")


def head(kind: int, request_id: int, body: int) -> bytes:
    """Return the first nine bytes of a request whose body has *body* bytes."""
    return _HEAD.pack(body + 5, kind, request_id)


def frame(kind: int, request_id: int, *fields: bytes) -> bytes:
    """Return a whole request."""
    body = b"".join(fields)
    return head(kind, request_id, len(body)) + body


def init() -> bytes:
    """Return our greeting."""
    return struct.pack(">IBI", 5, INIT, 3)


class Cursor:
    """Reads fields off the body of a reply, and never beyond it."""

    def __init__(self, body: memoryview) -> None:
        self.body = body
        self.at = 0

    def take(self, size: int) -> memoryview:
        """Return the next *size* bytes."""
        end = self.at + size
        if end > len(self.body):
            raise broken(f"a reply of {len(self.body)} bytes should have {end} or more")
        part = self.body[self.at : end]
        self.at = end
        return part

    def u32(self) -> int:
        """Return 32 bits."""
        value: int = _U32.unpack(self.take(4))[0]
        return value

    def u64(self) -> int:
        """Return 64 bits."""
        value: int = _U64.unpack(self.take(8))[0]
        return value

    def view(self) -> memoryview:
        """Return a counted string without copying it."""
        return self.take(self.u32())

    def string(self) -> bytes:
        """Return a counted string."""
        return bytes(self.view())

    def left(self) -> int:
        """Return how many bytes are unread."""
        return len(self.body) - self.at

    def attributes(self) -> SFTPAttributes:
        """Return file attributes."""
        found = SFTPAttributes()
        flags = self.u32()
        if flags & _attributes.SIZE:
            found.st_size = self.u64()
        if flags & _attributes.UIDGID:
            found.st_uid, found.st_gid = self.u32(), self.u32()
        if flags & _attributes.PERMISSIONS:
            found.st_mode = self.u32()
        if flags & _attributes.ACMODTIME:
            found.st_atime, found.st_mtime = self.u32(), self.u32()
        if flags & _attributes.EXTENDED:
            for _ in range(self.u32()):
                name = self.string()
                found.attr[name] = self.string()
        return found


def _version(cursor: Cursor, number: int) -> Reply:
    extensions = {}
    while cursor.left():
        name = from_path(cursor.string())
        extensions[name] = cursor.string()
    return Version(number, extensions)


def _status(cursor: Cursor, request_id: int) -> Reply:
    code = cursor.u32()
    # Version 2 and some devices end here, without a text.
    message = cursor.string().decode("utf-8", "replace") if cursor.left() else ""
    return Status(request_id, code, message)


def _names(cursor: Cursor, request_id: int) -> Reply:
    entries = []
    for _ in range(cursor.u32()):
        filename, longname = from_path(cursor.string()), from_path(cursor.string())
        entry = cursor.attributes()
        entry.filename, entry.longname = filename, longname
        entries.append(entry)
    return Names(request_id, entries)


_PARSERS: dict[int, Callable[[Cursor, int], Reply]] = {
    VERSION: _version,
    STATUS: _status,
    HANDLE: lambda cursor, request_id: Handle(request_id, cursor.string()),
    DATA: lambda cursor, request_id: Data(request_id, cursor.view()),
    NAME: _names,
    ATTRS: lambda cursor, request_id: Attrs(request_id, cursor.attributes()),
    EXTENDED_REPLY: lambda cursor, request_id: Extended(request_id, bytes(cursor.take(cursor.left()))),
}

#: The type number of each kind of reply, for the test against ``ANSWERS``.
TYPE_OF: dict[type, int] = {Handle: HANDLE, Data: DATA, Names: NAME, Attrs: ATTRS, Extended: EXTENDED_REPLY}


def parse(body: memoryview) -> Reply:
    """Return the reply that a packet (without its length) holds."""
    cursor = Cursor(body)
    kind = cursor.take(1)[0]
    parser = _PARSERS.get(kind)
    if parser is None:
        raise broken(f"a packet of type {kind}")
    return parser(cursor, cursor.u32())


class Decoder:
    """Cuts a stream into replies: ``feed`` takes bytes as they come and returns the replies that they complete."""

    def __init__(self, limit: int = MAX_REPLY) -> None:
        self.limit = limit
        self._partial = bytearray()
        self._missing = 4
        self._in_body = False

    def feed(self, chunk: bytes) -> list[Reply]:
        """Take the next bytes of the stream; return what is complete."""
        replies: list[Reply] = []
        rest = memoryview(chunk)
        while len(rest) >= self._missing:
            block, rest = rest[: self._missing], rest[self._missing :]
            if self._partial:
                self._partial += block
                block, self._partial = memoryview(self._partial), bytearray()
            if self._in_body:
                replies.append(parse(block))
                self._missing = 4
            else:
                self._missing = _U32.unpack(block)[0]
                if not 5 <= self._missing <= self.limit:
                    raise broken(f"a packet of {self._missing} bytes")
            self._in_body = not self._in_body
        self._partial += rest
        self._missing -= len(rest)
        return replies
