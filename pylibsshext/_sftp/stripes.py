# SPDX-License-Identifier: LGPL-2.1-or-later
"""One large file over several channels of a session.

A channel's window (2 MiB) bounds what one channel moves in a round trip, some 40 MB/s at 50 ms, whatever the line could do.
So on long lines each of several threads takes the next piece of the file in turn, over a channel of its own.
"""

from __future__ import annotations

import os
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Callable

from . import protocol as p
from .bulk import AT_ONCE, IN_FLIGHT, TOGETHER, DescriptorSink, DescriptorSource, Flight, Moved, check_end, room, upload
from .client import Client
from .errors import SFTPError
from .pool import Steps, run
from .tickets import Ticket, attributes_of, handle_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .attributes import SFTPAttributes

#: OpenSSH's server allows ten sessions on a connection; some are left for others.
MOST = 8

#: One more channel for so many seconds of round trip: 2 MiB in 4 ms are 500 MB/s.
SECONDS_EACH = 0.004

#: And no channel for less than that.
BYTES_EACH = 4 << 20

#: Channels that the transfers of a process share, though each has one: many at once need no more to fill a line, and on a busy
#: machine every round trip looks long.
ALL = 16

Work = Callable[[Client], Steps[None]]

_crowd: set[object] = set()  # the transfers under way in this process, over whatever session; a set's methods need no lock
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_crowd.clear)


@contextmanager
def under_way() -> Iterator[None]:
    """Count as a transfer, for others to leave some channels to."""
    this = object()
    _crowd.add(this)
    try:
        yield
    finally:
        _crowd.discard(this)


class Share:
    """What is left to do of a file of *size* bytes, and whether all goes well."""

    def __init__(self, size: int, offset: int, about: str, moved: Moved) -> None:
        self.size = size
        self.about = about
        self.failure: BaseException | None = None
        self._next = offset
        self._moved = moved
        self._lock = threading.Lock()

    def take(self, most: int) -> tuple[int, int]:
        """Return (offset, length) of the next piece; a length of 0 ends the work."""
        with self._lock:
            if self.failure is not None:
                return self._next, 0
            offset = self._next
            self._next = min(offset + most, self.size)
            return offset, self._next - offset

    def ended(self, at: int) -> None:
        """The file has ended there, too early."""
        check_end(at, self.size, self.about)

    def moved(self, amount: int) -> None:
        """Count bytes; the caller's callback sees one thread at a time."""
        with self._lock:
            self._moved(amount)

    def fail(self, why: BaseException) -> None:
        """Keep the first failure; the others stop at their next piece."""
        with self._lock:
            if self.failure is None:
                self.failure = why


class Stripes:
    """The further channels of an ``SFTP``; they stay open for the next file.  Safe to use from several threads."""

    def __init__(self, open_client: Callable[[], Client]) -> None:
        self._open_client = open_client
        self._spare: list[Client] = []
        self._lock = threading.Lock()

    def wanted(self, client: Client, size: int) -> int:
        """Return how many channels a file of *size* bytes is worth."""
        fair = ALL // max(1, len(_crowd))
        return max(1, min(MOST, fair, int(client.round_trip / SECONDS_EACH), size // BYTES_EACH))

    def move(self, client: Client, count: int, share: Share, own: Steps[None], work: Work) -> None:
        """Run *own* over *client*, and *work* over each of the other channels; raise the first failure."""
        used: list[Client] = []
        threads = [threading.Thread(target=self._side, args=(share, work, used), daemon=True) for _ in range(count - 1)]
        for thread in threads:
            thread.start()
        try:
            run(client, own)
        except BaseException as exc:
            share.fail(exc)
            with self._lock:
                for other in used:
                    other.close()  # wakes its thread: what is under way there is of no use any more
            raise
        finally:
            for thread in threads:
                thread.join()
            failure, share.failure = share.failure, None
        try:
            if failure is not None:
                raise failure
        finally:
            del failure  # its traceback holds this frame, and with it the session

    def _side(self, share: Share, work: Work, used: list[Client]) -> None:
        try:
            client = self._lend(used)
        except SFTPError:
            return  # the server allows no more channels: the others do the work
        try:
            run(client, work(client))
        except BaseException as exc:  # noqa: BLE001 - it is raised in the thread that waits for the file
            share.fail(exc)
            client.close()
        client.tidy()
        with self._lock:
            if client.broken is None:
                self._spare.append(client)

    def _lend(self, used: list[Client]) -> Client:
        with self._lock:
            client = self._spare.pop() if self._spare else None
        if client is None:
            client = self._open_client()
        with self._lock:
            used.append(client)
        return client

    def close(self) -> None:
        """Close the channels."""
        with self._lock:
            spare, self._spare = self._spare, []
        for client in spare:
            client.close()


# -- to the server -----------------------------------------------------------------------------------------------------


def upload_side(client: Client, path: bytes, source: DescriptorSource, share: Share) -> Steps[None]:
    """Open the file that another channel has made, and help to write it."""
    request = client.request(p.OPEN, p.string(path), struct.pack(">II", p.F_WRITE, 0), about=share.about)
    handle = handle_of((yield request))
    closing: Ticket | None = None
    try:
        yield from upload(client, handle, source, share, share.about, share.size)
        closing = client.request(p.CLOSE, p.string(handle), about=share.about)
        yield closing
    finally:
        if closing is None:
            client.later(p.CLOSE, p.string(handle))


# -- from the server ---------------------------------------------------------------------------------------------------


def download_pieces(client: Client, handle: bytes, sink: DescriptorSink, share: Share) -> Steps[None]:
    """Read pieces of the file until none is left."""
    flight = Flight(client, handle, sink, share.about)
    chunk = client.read_chunk
    try:
        while True:
            several = not flight or room(client, len(flight), chunk) >= TOGETHER
            while several and len(flight) < AT_ONCE and (not flight or client.under_way < IN_FLIGHT):
                offset, size = share.take(chunk)
                if not size:
                    break
                flight.ask(offset, size)
            if not flight:
                return
            at, wanted, got = yield from flight.first()
            if not got:
                share.ended(at)
                return
            share.moved(got)
            if got < wanted:
                flight.ask(at + got, wanted - got)
    finally:
        flight.forget()


def download_side(client: Client, path: bytes, like: SFTPAttributes, sink: DescriptorSink, share: Share) -> Steps[None]:
    """Open the file once more, and help to read it if it is the same file still."""
    handle = handle_of((yield client.request(p.OPEN, p.string(path), struct.pack(">II", p.F_READ, 0), about=share.about)))
    try:
        found = attributes_of((yield client.request(p.FSTAT, p.string(handle), about=share.about)))
        if (found.st_size, found.st_mtime, found.st_uid) == (like.st_size, like.st_mtime, like.st_uid):
            yield from download_pieces(client, handle, sink, share)
    finally:
        client.later(p.CLOSE, p.string(handle))
