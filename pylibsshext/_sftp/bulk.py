# SPDX-License-Identifier: LGPL-2.1-or-later
"""The data path: a source into a remote handle, a remote handle into a sink, many requests in flight.

``upload`` and ``download`` are the only functions that move file data, for the file objects too.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import TYPE_CHECKING, Callable, Protocol

from . import errors as _errors, protocol as p
from .errors import SFTPError
from .tickets import Ticket, write_head

if TYPE_CHECKING:
    from .client import Client
    from .pool import Steps

#: Requests in flight for one file, and bytes in flight on one channel: twice what its window holds, so that neither side ever
#: waits for the other, and no more, since all of it has to pass before a transfer that is given up has ended.
AT_ONCE = 64
IN_FLIGHT = 4 << 20

#: The least room that an upload takes: what grows meanwhile shall not travel byte by byte.
LEAST = 16 * 1024

#: What kernels announce for a file in /sys whatever it holds: one page.
PAGES = (4096, 16384, 65536)

#: Called with the number of bytes that have just arrived where they belong.
Moved = Callable[[int], None]


class Source(Protocol):
    """Where an upload comes from."""

    def fill(self, target: memoryview, offset: int) -> int:
        """Put the bytes from *offset* on into *target*; return how many, 0 at the end."""


class Sink(Protocol):
    """Where a download goes to; pieces come in order."""

    def put(self, data: memoryview, offset: int) -> None:
        """Take all of *data*, which belongs at *offset*."""


class DescriptorSource:
    """A local file, read at offsets: its position is not moved."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def fill(self, target: memoryview, offset: int) -> int:
        """Read until *target* is full or the file ends."""
        done = 0
        while done < len(target):
            got = os.preadv(self.fd, [target[done:]], offset + done)
            if not got:
                break
            done += got
        return done


class DescriptorSink:
    """A local file, written at offsets."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def put(self, data: memoryview, offset: int) -> None:
        """Write all of *data*."""
        while data:
            done = os.pwrite(self.fd, data, offset)
            data, offset = data[done:], offset + done


class StreamSource:
    """A file object, read in order; a text file is refused."""

    def __init__(self, stream: object) -> None:
        read = getattr(stream, "read", None)
        if not callable(read):
            raise TypeError(f"a file object with read() is needed, not {type(stream).__name__}")
        self.read = read

    def fill(self, target: memoryview, offset: int) -> int:  # noqa: ARG002 - a stream has its own
        """Read until *target* is full or the stream ends; a pipe gives less than it was asked for."""
        done = 0
        while done < len(target):
            piece = self.read(len(target) - done)
            if not isinstance(piece, (bytes, bytearray, memoryview)):
                if piece is None:
                    raise BlockingIOError(errno.EAGAIN, "the file object is non-blocking and has no data")
                raise TypeError(f"the file object must be opened in binary mode: read() gave {type(piece).__name__}")
            if not piece:
                break
            target[done : done + len(piece)] = piece
            done += len(piece)
        return done


class StreamSink:
    """A file object, written in order."""

    def __init__(self, stream: object) -> None:
        write = getattr(stream, "write", None)
        if not callable(write):
            raise TypeError(f"a file object with write() is needed, not {type(stream).__name__}")
        self.write = write

    def put(self, data: memoryview, offset: int) -> None:  # noqa: ARG002 - a stream has its own
        """Write all of *data*; a raw file object may take it in pieces."""
        while data:
            done = self.write(data)
            if done is None:
                return  # paramiko's, tempfile's and other wrappers return nothing and take all
            data = data[done:]


def upload(
    client: Client,
    handle: bytes,
    source: Source,
    *,
    offset: int = 0,
    announced: int | None = None,
    moved: Moved | None = None,
    about: str | None = None,
) -> Steps[int]:
    """Write what *source* has from *offset* on; return where it ended.  Every WRITE has been acknowledged by then.

    *announced*, the size that it has as far as known, only saves memory: many small files are under way at a time.
    """
    # One byte more shows that the end is the end.
    chunk = client.write_chunk if not announced else min(client.write_chunk, max(announced - offset + 1, LEAST))
    start = write_head(handle)
    packet = bytearray(start + chunk)
    room = memoryview(packet)[start:]
    flight: deque[tuple[int, Ticket]] = deque()
    ended = False
    while True:
        while not ended and len(flight) < AT_ONCE and (not flight or client.under_way < IN_FLIGHT):
            size = source.fill(room, offset)
            ended = size < chunk
            if size:
                flight.append((size, client.write(handle, offset, packet, size, about)))
                offset += size
        if not flight:
            return offset
        size, ticket = flight.popleft()
        yield ticket
        if moved is not None:
            moved(size)


def download(
    client: Client,
    handle: bytes,
    sink: Sink,
    *,
    offset: int = 0,
    announced: int = 0,
    moved: Moved | None = None,
    about: str | None = None,
) -> Steps[int]:
    """Read from *offset* to the end of the file into *sink*; return where it ended.

    Only the server's end-of-file ends it.  *announced* (``st_size``) merely says how far to read ahead with full
    force; behind it, the number of requests in flight starts at one and doubles.
    """
    chunk = client.read_chunk
    flight: deque[tuple[int, int, Ticket]] = deque()
    ahead, allowed = offset, 1
    while True:
        while len(flight) < AT_ONCE and (not flight or _worth_it(client, ahead, announced, len(flight), allowed)):
            # One piece ends where the file should end, so that the next finds the end in the same round trip.
            size = min(chunk, announced - ahead) if ahead < announced else chunk
            flight.append((ahead, size, client.read(handle, ahead, size, about, defer=True)))
            ahead += size
        client.flush()
        at, wanted, ticket = flight.popleft()
        reply = yield ticket
        if not isinstance(reply, p.Data):
            return at
        got = len(reply.payload)
        if not got:
            raise no_data(about, at)
        sink.put(reply.payload, at)
        if moved is not None:
            moved(got)
        if got < wanted:
            # The end is near, or the server gives less than it is asked for: then ask for what it gives.
            flight.appendleft((at + got, wanted - got, client.read(handle, at + got, wanted - got, about)))
            if at + wanted <= announced:
                chunk = min(chunk, max(got, 1024))
        elif ahead > announced:
            allowed = min(allowed * 2, AT_ONCE)


def _worth_it(client: Client, ahead: int, announced: int, in_flight: int, allowed: int) -> bool:
    if client.under_way >= IN_FLIGHT:
        return False
    return ahead <= announced or in_flight < allowed


def no_data(about: str | None, at: int) -> SFTPError:
    """Return the error for a reply that brings a file no further, and would not for ever."""
    return SFTPError(f"reading {about!r} at byte {at} failed: the server sent no data", errno.EIO, about, offset=at)


def check_end(end: int, announced: int | None, what: str) -> None:
    """Raise unless a file that ended at *end* may have been complete, given the size that it had in the beginning."""
    if announced is not None and end < announced and announced not in PAGES:
        raise SFTPError(
            f"{what} ended at byte {end} of {announced}: it became shorter during the transfer", errno.EIO, what, offset=end
        )


def end_of(reply: p.Reply) -> bool:
    """Return whether a reply says that there is no more."""
    return isinstance(reply, p.Status) and reply.code == _errors.EOF
