# SPDX-License-Identifier: LGPL-2.1-or-later
"""The data path: a source into a remote handle, a remote handle into a sink, many requests in flight.

``upload`` and ``download`` are the only functions that move file data, for the file objects too.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Callable, Protocol

from . import protocol as p
from .errors import SFTPError
from .tickets import Ticket, write_head

if TYPE_CHECKING:
    from .client import Client
    from .pool import Steps

#: Requests in flight for one file, and bytes in flight on one channel: twice what its window holds, so that neither side ever
#: waits for the other, and no more, since all of it has to pass before a transfer that is given up has ended.
AT_ONCE = 64
IN_FLIGHT = 4 << 20

#: READs and WRITEs that are sent at a time, once there is room for them.
TOGETHER = 4

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
    """Where a download goes to; pieces that are put come in order."""

    #: The core may write to it, too, at offsets; -1 if it may not.
    fd: int

    def put(self, data: memoryview, offset: int) -> None:
        """Take all of *data*, which belongs at *offset*."""

    def failure(self, number: int, offset: int) -> OSError:
        """Return the error for an errno that the core got at *offset*."""


class DescriptorSource:
    """A local file, read at offsets: its position is not moved; *name* is for errors."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name

    def fill(self, target: memoryview, offset: int) -> int:
        """Read until *target* is full or the file ends."""
        done = 0
        while done < len(target):
            try:
                got = os.preadv(self.fd, [target[done:]], offset + done)
            except OSError as exc:
                raise self.failure(exc.errno or errno.EIO, offset + done) from exc
            if not got:
                break
            done += got
        return done

    def send(self, client: Client, handle: bytes, about: str | None, offset: int, length: int) -> list[tuple[int, Ticket]]:
        """Send *length* bytes from *offset* on, or what there is, without a copy of them in Python."""
        sent, error = client.write_file(handle, self.fd, offset, length, about)
        if error:
            raise self.failure(error, offset + sum(size for size, _ in sent))
        return sent

    def failure(self, number: int, offset: int) -> OSError:
        """Return the system's error for reading at *offset*."""
        return OSError(number, f"{os.strerror(number)}, reading byte {offset}", self.name)


class DescriptorSink:
    """A local file, written at offsets; *name* is for errors."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name

    def put(self, data: memoryview, offset: int) -> None:
        """Write all of *data*."""
        while data:
            try:
                done = os.pwrite(self.fd, data, offset)
            except OSError as exc:
                raise self.failure(exc.errno or errno.EIO, offset) from exc
            data, offset = data[done:], offset + done

    def failure(self, number: int, offset: int) -> OSError:
        """Return the system's error for a write at *offset*."""
        return OSError(number, f"{os.strerror(number)}, writing byte {offset}", self.name)


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

    fd = -1

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

    def failure(self, number: int, offset: int) -> OSError:
        """Return nothing that is ever seen: the core does not write to streams."""
        return OSError(number, f"{os.strerror(number)}, writing byte {offset}")


class Work(Protocol):
    """What an upload has to do."""

    def take(self, most: int) -> tuple[int, int]:
        """Return (offset, length) of what to send next; a length of 0 ends the work."""

    def ended(self, at: int) -> None:
        """The source has ended at an offset, within what was taken."""

    def moved(self, amount: int) -> None:
        """Count bytes that the server has acknowledged."""


class Rest:
    """The work of one channel: a file from *offset* up to wherever it ends, which then is ``end``."""

    def __init__(self, offset: int, moved: Moved) -> None:
        self.moved = moved
        self.end = -1
        self._next = offset

    def take(self, most: int) -> tuple[int, int]:
        """Go on behind what was taken before."""
        offset = self._next
        self._next += most
        return offset, 0 if self.end >= 0 else most

    def ended(self, at: int) -> None:
        """That is the end."""
        self.end = at


def upload(
    client: Client,
    handle: bytes,
    source: Source,
    work: Work,
    about: str | None,
    left: int | None = None,
    all_sent: Callable[[], None] = lambda: None,
) -> Steps[None]:
    """Write what *work* says of *source*; every WRITE has been acknowledged in the end.

    *left*, the bytes that there are as far as known, tells which way is worth it: small files are under way many at a time.
    *all_sent* is called once all of them are on their way.
    """
    send: Callable[[int, int], list[tuple[int, Ticket]]]
    chunk, together = client.write_chunk, 1
    if left and left > LEAST and isinstance(source, DescriptorSource) and client.writes_files:
        send, together = partial(source.send, client, handle, about), min(left // chunk + 1, TOGETHER)
    else:
        # One byte more shows that the end is the end.
        chunk = min(chunk, max(left + 1, LEAST)) if left else chunk
        send = partial(_send, client, handle, source, about, bytearray(write_head(handle) + chunk))
    flight: deque[tuple[int, Ticket]] = deque()
    ended = False
    while True:
        while not ended and (not flight or room(client, len(flight), chunk) >= together):
            offset, length = work.take(together * chunk)
            sent = send(offset, length) if length else []
            flight += sent
            got = sum(size for size, _ in sent)
            ended = not length or got < length
            if got < length:
                work.ended(offset + got)
            if ended:
                all_sent()
        if not flight:
            return
        size, ticket = flight.popleft()
        yield ticket
        work.moved(size)


def room(client: Client, in_flight: int, chunk: int) -> int:
    """Return how many requests more may be under way."""
    return min(AT_ONCE - in_flight, -(-(IN_FLIGHT - client.under_way) // chunk))


def _send(
    client: Client, handle: bytes, source: Source, about: str | None, packet: bytearray, offset: int, length: int
) -> list[tuple[int, Ticket]]:
    """Send one WRITE."""
    start = write_head(handle)
    size = source.fill(memoryview(packet)[start : start + length], offset)
    return [(size, client.write(handle, offset, packet, size, about))] if size else []


def download(
    client: Client,
    handle: bytes,
    sink: Sink,
    *,
    offset: int = 0,
    announced: int = 0,
    moved: Moved,
    about: str | None,
) -> Steps[int]:
    """Read from *offset* to the end of the file into *sink*; return where it ended.

    Only the server's end-of-file ends it.  *announced* (``st_size``) merely says how far to read ahead with full
    force; behind it, the number of requests in flight starts at one and doubles.
    """
    chunk = client.read_chunk
    flight = Flight(client, handle, sink, about)
    ahead, allowed = offset, 1
    try:
        while True:
            several = not flight or room(client, len(flight), chunk) >= TOGETHER  # they travel in one packet
            while (
                several and len(flight) < AT_ONCE and (not flight or _worth_it(client, ahead, announced, len(flight), allowed))
            ):
                # One piece ends where the file should end, so that the next finds the end in the same round trip.
                size = min(chunk, announced - ahead) if ahead < announced else chunk
                flight.ask(ahead, size)
                ahead += size
            at, wanted, got = yield from flight.first()
            if not got:
                return at
            moved(got)
            if got < wanted:
                # The end is near, or the server gives less than it is asked for: then ask for what it gives.
                flight.ask(at + got, wanted - got, first=True)
                if at + wanted <= announced:
                    chunk = min(chunk, max(got, 1024))
            elif ahead > announced:
                allowed = min(allowed * 2, AT_ONCE)
    finally:
        flight.forget()


class Flight:
    """The READs under way for one file."""

    def __init__(self, client: Client, handle: bytes, sink: Sink, about: str | None) -> None:
        self.client = client
        self.handle = handle
        self.sink = sink
        self.about = about
        self._asked: deque[tuple[int, int, Ticket]] = deque()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._asked)

    def ask(self, at: int, size: int, *, first: bool = False) -> None:
        """Ask for a piece, to be waited for as the last one, or as the *first*."""
        ticket = self.client.read(self.handle, at, size, self.about, defer=True, into=self.sink.fd)
        (self._asked.appendleft if first else self._asked.append)((at, size, ticket))

    def first(self) -> Steps[tuple[int, int, int]]:
        """Have the first piece where it belongs; return its offset, how much was asked for and how much came: 0 is the end of the file."""
        self.client.flush()
        at, wanted, ticket = self._asked[0]
        reply = yield ticket
        self._asked.popleft()
        if isinstance(reply, p.Moved):
            if reply.error:
                raise self.sink.failure(reply.error, at + reply.size)
            return at, wanted, reply.size
        if not isinstance(reply, p.Data):
            return at, wanted, 0
        if not reply.payload:
            raise SFTPError(
                f"reading {self.about!r} at byte {at} failed: the server sent no data", errno.EIO, self.about, offset=at
            )
        self.sink.put(reply.payload, at)
        return at, wanted, len(reply.payload)

    def forget(self) -> None:
        """Whatever comes now is written nowhere: the file may be closed."""
        self.client.forget(ticket for _, _, ticket in self._asked)


def _worth_it(client: Client, ahead: int, announced: int, in_flight: int, allowed: int) -> bool:
    if client.under_way >= IN_FLIGHT:
        return False
    return ahead <= announced or in_flight < allowed


def check_end(end: int, announced: int | None, what: str) -> None:
    """Raise unless a file that ended at *end* may have been complete, given the size that it had in the beginning."""
    if announced is not None and end < announced and announced not in PAGES:
        raise SFTPError(
            f"{what} ended at byte {end} of {announced}: it became shorter during the transfer", errno.EIO, what, offset=end
        )
