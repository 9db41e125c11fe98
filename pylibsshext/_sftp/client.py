# SPDX-License-Identifier: LGPL-2.1-or-later
"""One SFTP channel: any number of requests in flight, from any number of threads.

``request`` sends and returns a ticket; ``wait`` returns the reply of a ticket.  Of the threads that wait, one reads the
channel for all; the others sleep until it has their reply or leaves the post.

A server stops reading while nobody takes its replies, and we would stop in the middle of a WRITE while it does: so while
WRITEs are under way, READs may owe us no more than a channel holds (``MIXED``); see ``_admit``.
"""

from __future__ import annotations

import errno
import struct
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Callable, cast

from .. import _core
from ..errors import LibsshChannelTimeout, LibsshException
from . import errors as _errors, protocol as p
from .errors import SFTPConnectionError, SFTPError, SFTPTimeout
from .tickets import Limits, Ticket, Transport, attributes_of, handle_of, payload_of, write_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .attributes import SFTPAttributes
    from .stripes import Stripes

#: Every server takes 32 KiB (the draft asks for 34000 bytes a packet); ``limits@openssh.com`` may allow more.
PLAIN_CHUNK = 32 * 1024
LARGEST_CHUNK = 255 * 1024

#: Data that is copied rather than sent in a packet of its own.
SMALL = 8 * 1024

#: What is worth the core's way straight from or to a file.
BULK = 16 * 1024

#: Bytes of replies that may be under way while WRITEs are: what fits into a channel's buffer, with a margin.
MIXED = 1 << 20

#: A READDIR is answered with some 100 names.
LISTING = 32 * 1024

#: What is taken from the channel at once: larger pieces come from fresh pages each time, a tenth of a download's processor time.
READ_SIZE = 256 * 1024


class Client:
    """SFTP over one channel.  Safe to use from several threads."""

    def __init__(self, channel: Transport, timeout: float | None = None) -> None:
        """Greet the server over *channel*; *timeout* is how many seconds each reply may take."""
        self.channel = channel
        #: OpenSSH has the two paths of SYMLINK the other way round than the draft, and nearly all the world followed it.
        self.draft_symlinks = False
        self.stripes: Stripes | None = None  #: where to get further channels for a large file, if there are any
        self.timeout = timeout
        self._turn = threading.Condition()
        self._send_lock = threading.Lock()
        core = getattr(channel, "core", None)
        self._core: _core.Channel | None = core if isinstance(core, _core.Channel) else None
        self._bulk = _core.Bulk()
        self._decoder = p.Decoder()
        self._pending: dict[int, Ticket] = {}
        self._next_id = 0
        self._reading = False
        self._owed = 0
        self._unacknowledged = 0
        self._broken: SFTPError | None = None
        self._later: deque[tuple[int, tuple[bytes, ...]]] = deque()
        self._deferred: list[bytes] = []
        self._version: p.Version | None = None
        self.round_trip: float = 0.0  #: the shortest that a small request took, in seconds; 0 before the first
        self.extensions: dict[str, bytes] = self._greet()
        self._limits: Limits | None = None
        self._asked = self._ask_limits()

    # -- the beginning and the end ------------------------------------------------------------------------------

    def _greet(self) -> dict[str, bytes]:
        self._write(p.init())
        greeting = Ticket(p.INIT, None, 0, 0, None)
        deadline = _deadline(self.timeout)
        with self._turn:
            while self._version is None and self._broken is None:
                self._next_event(deadline, greeting)
        if self._version is None:
            raise self._failure(greeting)
        if self._version.version != 3:
            self._break(p.broken(f"the server speaks version {self._version.version}, not 3"))
            raise self._failure(greeting)
        return self._version.extensions

    def _ask_limits(self) -> Ticket | None:
        if "limits@openssh.com" not in self.extensions:
            return None
        return self.request(p.EXTENDED, p.string(b"limits@openssh.com"))

    @property
    def limits(self) -> Limits:
        """What the server takes."""
        if self._limits is None:
            asked, self._asked = self._asked, None
            found = Limits()
            if asked is not None:
                cursor = p.Cursor(memoryview(self.payload(asked)))
                found = Limits(*(cursor.u64() for _ in range(4)))
            self._limits = found
        return self._limits

    @property
    def read_chunk(self) -> int:
        """How many bytes to ask for in one READ."""
        return self._chunk(self.limits.max_read_length)

    @property
    def write_chunk(self) -> int:
        """How many bytes to send in one WRITE."""
        return self._chunk(self.limits.max_write_length)

    def _chunk(self, allowed: int) -> int:
        if "limits@openssh.com" not in self.extensions:
            return PLAIN_CHUNK
        return max(1, min(allowed or LARGEST_CHUNK, LARGEST_CHUNK))

    @property
    def broken(self) -> SFTPError | None:
        """Why the channel cannot be used any more; None while it can. A server may have closed it because nothing was asked for long."""
        if self._broken is None and not self._pending and self._core is not None and self._core.is_closed:
            return SFTPConnectionError("the server closed the SFTP channel", errno.ECONNRESET)
        return self._broken

    def close(self) -> None:
        """End the channel; what is under way fails."""
        self.tidy()
        self._break(SFTPConnectionError("the SFTP connection is closed", errno.ENOTCONN))

    def _break(self, why: BaseException) -> None:
        """Give the channel up: after half a packet nothing that follows would make sense."""
        with self._turn:
            if self._broken is None:
                self._broken = self._as_error(why)
                self._pending.clear()
                self._owed = self._unacknowledged = 0
                self.channel.close()
            self._turn.notify_all()

    @staticmethod
    def _as_error(why: BaseException) -> SFTPError:
        if isinstance(why, SFTPError):
            # A copy: the traceback of the original would hold this client, and with it the session.
            return type(why)(why.message, why.errno, why.filename, why.sftp_code, why.offset)
        text = str(why) or type(why).__name__
        return SFTPConnectionError(f"the SFTP connection was lost: {text}", errno.ECONNRESET)

    # -- sending ------------------------------------------------------------------------------------------------

    def request(
        self,
        kind: int,
        *fields: bytes,
        about: str | None = None,
        owed: int = 0,
        offset: int | None = None,
        defer: bool = False,
        into: int = -1,
    ) -> Ticket:
        """Send a request and return its ticket.

        *about* (a path) and *offset* are for the error's text.  *owed* is how long the reply may be.  With *defer* a
        small request may stay here until the next ``flush`` or ``wait``, so that many travel in one packet.  The data of a READ may go
        straight to the descriptor *into*, at the same offset: the reply is ``Moved`` then.
        """
        written = sum(map(len, fields)) if kind == p.WRITE else 0
        ticket = Ticket(kind, about, owed, written, offset)
        self._admit(ticket)
        with self._send_lock:
            self._register(ticket)
            if into >= 0 and offset is not None and owed >= BULK:
                ticket.expected = self._bulk.expect_data(ticket.id, into, offset, owed)
            self._collect_later()
            self._deferred.append(p.frame(kind, ticket.id, *fields))
            if defer:
                self._flush_much()
            else:
                self._flush()
        return ticket

    def write(self, handle: bytes, offset: int, packet: bytearray, size: int, about: str | None) -> Ticket:
        """Send a WRITE whose *size* bytes of data lie in *packet* behind ``write_head(handle)`` bytes; nothing is copied.

        A small one stays here until the next ``flush`` or ``wait``: those of many files travel in one packet.
        """
        ticket = Ticket(p.WRITE, about, 0, size, offset)
        self._admit(ticket)
        start = write_head(handle)
        with self._send_lock:
            self._register(ticket)
            self._collect_later()
            head = p.head(p.WRITE, ticket.id, start - 9 + size) + p.string(handle) + struct.pack(">QI", offset, size)
            packet[:start] = head
            if size <= SMALL:
                self._deferred.append(bytes(packet[: start + size]))
                self._flush_much()
            else:
                self._flush()
                self._write(memoryview(packet)[: start + size])
        return ticket

    @property
    def writes_files(self) -> bool:
        """Whether ``write_file`` can be used."""
        return self._core is not None

    def write_file(
        self, handle: bytes, fd: int, offset: int, length: int, about: str | None
    ) -> tuple[list[tuple[int, Ticket]], int]:
        """Send *length* bytes of the file *fd* from *offset* on, or what there is, as WRITEs.

        Return the size and ticket of each, and the errno of reading more.
        """
        core = cast("_core.Channel", self._core)  # nobody asks without it
        chunk, end = self.write_chunk, offset + length
        tickets = [Ticket(p.WRITE, about, 0, min(chunk, end - at), at) for at in range(offset, end, chunk)]
        self._admit(tickets[0], length)
        with self._send_lock:
            for ticket in tickets:
                self._register(ticket)
            self._collect_later()
            self._flush()
            sizes, error = [ticket.written for ticket in tickets], 0
            with self._sending():
                ids = [ticket.id for ticket in tickets]
                sizes, error = self._bulk.write(core, ids, handle, fd, offset, length, chunk, self.timeout)
        sent = [(size, ticket) for size, ticket in zip(sizes, tickets) if size]
        with self._turn:
            for size, ticket in sent:
                if ticket.id in self._pending:
                    self._unacknowledged -= ticket.written - size
                    ticket.written = size
            for ticket in tickets[len(sent) :]:
                if self._pending.pop(ticket.id, None) is not None:
                    self._unacknowledged -= ticket.written
        return sent, error

    def read(self, handle: bytes, offset: int, size: int, about: str | None, *, defer: bool = False, into: int = -1) -> Ticket:
        """Send a READ; see ``request``."""
        fields = p.string(handle), p.u64(offset), p.u32(size)
        return self.request(p.READ, *fields, about=about, owed=size, offset=offset, defer=defer, into=into)

    def forget(self, tickets: Iterable[Ticket]) -> None:
        """Have nothing more written to files by replies to these READs."""
        for ticket in tickets:
            if ticket.expected and ticket.reply is None:
                self._bulk.forget(ticket.id)

    def symlink(self, target: bytes, path: bytes, defer: bool = False) -> Ticket:
        """Ask for *path* to be made a link to *target*."""
        first, second = (path, target) if self.draft_symlinks else (target, path)
        return self.request(p.SYMLINK, p.string(first), p.string(second), about=p.from_path(path), defer=defer)

    def flush(self) -> None:
        """Send what was deferred."""
        if not self._deferred and not self._later:
            return
        with self._send_lock:
            self._collect_later()
            self._flush()

    def later(self, kind: int, *fields: bytes) -> None:
        """Send a request, whose outcome nobody awaits, along with the next one.  Safe in a finalizer: takes no lock."""
        self._later.append((kind, fields))

    def tidy(self) -> None:
        """Send what nobody awaits (the CLOSE of files that were read) unless the channel is gone."""
        if self._broken is None:
            self.flush()

    def _collect_later(self) -> None:
        while self._later and self._broken is None:
            kind, fields = self._later.popleft()
            ticket = Ticket(kind, None, 0, 0, None)
            self._register(ticket)
            self._deferred.append(p.frame(kind, ticket.id, *fields))

    def _register(self, ticket: Ticket) -> None:
        with self._turn:
            if self._broken is not None:
                raise self._failure(ticket)
            self._next_id = (self._next_id + 1) & 0xFFFFFFFF
            ticket.id = self._next_id
            self._pending[ticket.id] = ticket

    def _flush_much(self) -> None:
        if sum(map(len, self._deferred)) > PLAIN_CHUNK:
            self._flush()

    def _flush(self) -> None:
        packets, self._deferred = self._deferred, []
        if packets:
            self._write(packets[0] if len(packets) == 1 else b"".join(packets))

    def _write(self, packet: bytes | memoryview) -> None:
        """Send bytes, all of them."""
        with self._sending():
            self.channel.write(packet, timeout=self.timeout)

    @contextmanager
    def _sending(self) -> Iterator[None]:
        """A failure to send ends the channel, and so is raised by whoever waits for a reply."""
        try:
            yield
        except LibsshChannelTimeout:
            self._break(SFTPTimeout("sending to the SFTP server timed out", errno.ETIMEDOUT))
        except LibsshException as exc:
            self._break(exc)
        except BaseException as exc:
            self._break(exc)  # half of it may be out
            raise

    def _admit(self, ticket: Ticket, written: int | None = None) -> None:
        """Wait until the request (or several, with *written* bytes) can be sent without a deadlock, and count it in."""
        if written is None:
            written = ticket.written
        with self._turn:
            self._unacknowledged += written  # counted first: from now on READs hold back
            if not self._would_jam(ticket):
                self._owed += ticket.owed
                return
        try:
            self.flush()
            deadline = _deadline(self.timeout)
            with self._turn:
                while self._broken is None and self._would_jam(ticket):
                    self._next_event(deadline, ticket)
                self._owed += ticket.owed
        except BaseException:
            with self._turn:
                self._unacknowledged -= written
            raise

    def _would_jam(self, ticket: Ticket) -> bool:
        if ticket.written:
            return self._owed > MIXED
        return bool(ticket.owed and self._unacknowledged and self._owed + ticket.owed > MIXED)

    @property
    def under_way(self) -> int:
        """Bytes of data, either way, that have no reply yet."""
        return self._owed + self._unacknowledged

    # -- receiving ----------------------------------------------------------------------------------------------

    def wait(self, ticket: Ticket) -> p.Reply:
        """Return the reply to a request; raise ``SFTPError`` if it is a failure.

        The end of a file or of a listing is no failure: it comes back as ``Status``.
        """
        if ticket.reply is None:
            self.flush()
            deadline = _deadline(self.timeout)
            with self._turn:
                while ticket.reply is None and self._broken is None:
                    self._next_event(deadline, ticket)
        reply = ticket.reply
        if reply is None:
            raise self._failure(ticket)
        accepted = (_errors.OK, _errors.EOF) if ticket.kind in {p.READ, p.READDIR} else (_errors.OK,)
        if isinstance(reply, p.Status) and reply.code not in accepted:
            raise _errors.from_status(ticket.doing(), reply.code, reply.message, ticket.about, ticket.offset)
        return reply

    def _next_event(self, deadline: float | None, ticket: Ticket) -> None:
        """With the lock held: read the channel, or sleep while another thread does."""
        if self._reading:
            if not self._turn.wait(_left(deadline)):
                raise SFTPTimeout(f"{ticket.doing()} timed out", errno.ETIMEDOUT, ticket.about, offset=ticket.offset)
            return
        self._reading = True
        self._turn.release()
        try:
            self._read_channel(deadline, ticket.doing)
        finally:
            self._turn.acquire()
            self._reading = False
            self._turn.notify_all()

    def _read_channel(self, deadline: float | None, doing: Callable[[], str]) -> None:
        """Read once; whatever else happens than a time-out, the place in the stream is lost with it."""
        try:
            self._pump(deadline, doing)
        except SFTPTimeout:
            raise
        except LibsshException as exc:
            self._break(exc)
        except BaseException as exc:
            self._break(exc)
            raise

    def _pump(self, deadline: float | None, doing: Callable[[], str]) -> None:
        try:
            plain, moved = self._receive(deadline)
        except LibsshChannelTimeout as exc:
            raise SFTPTimeout(f"{doing()} timed out", errno.ETIMEDOUT) from exc
        replies = self._decoder.feed(plain)
        with self._turn:
            for one in moved:
                self._accept(p.Moved(*one))
            for reply in replies:
                self._accept(reply)

    def _receive(self, deadline: float | None) -> tuple[bytes, list[tuple[int, int, int]]]:
        """Wait for what the server sends; return what is to be decoded, and what the core has done by itself."""
        if self._core is not None:
            found = self._bulk.receive(self._core, deadline)
            ended = found == (b"", [])
        else:
            chunk = self.channel.read(READ_SIZE, timeout=_left(deadline))
            found, ended = self._bulk.feed(chunk), not chunk
        if ended:
            raise SFTPConnectionError("the server closed the SFTP channel", errno.ECONNRESET)
        return found

    def _accept(self, reply: p.Reply) -> None:
        """Give a reply to its ticket."""
        if isinstance(reply, p.Version):
            if self._version is not None:
                raise p.broken("a second greeting")
            self._version = reply
            return
        ticket = self._pending.pop(reply.id, None)
        if ticket is None:
            raise p.broken(f"a reply to request {reply.id}, which is not under way")
        if not ticket.owed and not ticket.written:
            took = time.monotonic() - ticket.sent
            self.round_trip = min(self.round_trip or took, took)
        self._owed -= ticket.owed
        self._unacknowledged -= ticket.written
        if isinstance(reply, p.Data) and len(reply.payload) > ticket.owed:
            raise p.broken(f"{len(reply.payload)} bytes where {ticket.owed} were asked for")
        if not isinstance(reply, (p.Status, p.Moved)) and p.TYPE_OF[type(reply)] not in p.ANSWERS.get(ticket.kind, ()):
            raise p.broken(f"a {type(reply).__name__} reply to {p.DOING[ticket.kind]}")
        ticket.reply = reply

    def _failure(self, ticket: Ticket) -> SFTPError:
        """Return the channel's own failure as that of one request: its path and offset are what the caller needs."""
        why = cast("SFTPError", self._broken)  # nobody asks before it is so
        return type(why)(f"{ticket.doing()} failed: {why}", why.errno, ticket.about, why.sftp_code, ticket.offset)

    # -- replies by type ----------------------------------------------------------------------------------------

    def handle(self, ticket: Ticket) -> bytes:
        """Return the handle that OPEN or OPENDIR got."""
        return handle_of(self.wait(ticket))

    def attributes(self, ticket: Ticket) -> SFTPAttributes:
        """Return the attributes that a STAT got."""
        return attributes_of(self.wait(ticket))

    def payload(self, ticket: Ticket) -> bytes:
        """Return what an extension answered."""
        return payload_of(self.wait(ticket))


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
