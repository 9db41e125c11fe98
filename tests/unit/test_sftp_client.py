# SPDX-License-Identifier: LGPL-2.1-or-later
"""The SFTP client against servers of a few lines: what it does with late, wrong and missing replies."""

from __future__ import annotations

import errno
import io
import os
import pickle
import struct
import tempfile
import threading

import pytest
from hypothesis import given, settings, strategies as st

from pylibsshext import _core
from pylibsshext._sftp import protocol as p
from pylibsshext._sftp.attributes import SFTPAttributes
from pylibsshext._sftp.bulk import DescriptorSink, Rest, StreamSink, StreamSource, download, upload
from pylibsshext._sftp.client import Client
from pylibsshext._sftp.pool import run, run_all
from pylibsshext.errors import LibsshChannelException, LibsshChannelTimeout, LibsshSFTPException
from pylibsshext.sftp import SFTPConnectionError, SFTPError, SFTPFileNotFoundError, SFTPProtocolError, SFTPTimeout

from .test_sftp_protocol import packet

GREETING = packet(p.VERSION, p.u32(3))


class Script:
    """A channel to a server that answers each request by a function: (kind, id, body) -> bytes."""

    def __init__(self, answer, greeting=GREETING, piece=1 << 20):
        self.answer = answer
        self.greeting = greeting
        self.piece = piece
        self.sent = bytearray()
        self.coming = bytearray()
        self.requests = []
        self.closed = False

    def write(self, data, timeout=None):
        if self.closed:
            raise LibsshChannelException("closed")
        self.sent += bytes(data)
        while len(self.sent) >= 4:
            (length,) = struct.unpack_from(">I", self.sent)
            if len(self.sent) < 4 + length:
                break
            body = bytes(self.sent[4 : 4 + length])
            del self.sent[: 4 + length]
            self.coming += self.serve(body)
        return len(data)

    def serve(self, body):
        if body[0] == p.INIT:
            return self.greeting
        request_id = struct.unpack_from(">I", body, 1)[0]
        self.requests.append((body[0], request_id, body[5:]))
        return self.answer(body[0], request_id, body[5:])

    def read(self, size=65536, *, timeout=None):
        if not self.coming:
            if self.closed or timeout is None:
                return b""
            raise LibsshChannelTimeout("nothing came")
        data = bytes(self.coming[: min(size, self.piece)])
        del self.coming[: len(data)]
        return data

    def close(self):
        self.closed = True


def status(request_id, code, text=b""):
    """A STATUS packet."""
    return packet(p.STATUS, p.u32(request_id), p.u32(code), p.string(text), p.string(b""))


def client_for(answer, timeout=1, **options):
    """A client whose server is *answer*."""
    return Client(Script(answer, **options), timeout)


def stat(client, path=b"/x"):
    """Ask for the attributes of a path."""
    return client.request(p.STAT, p.string(path), about=path.decode())


def file_server(content, most=1 << 20):
    """A server with one file, that gives at most *most* bytes at a time and takes WRITEs into it."""

    def answer(kind, request_id, body):
        cursor = p.Cursor(memoryview(body))
        cursor.string()
        if kind == p.READ:
            offset, size = cursor.u64(), cursor.u32()
            data = content[offset : offset + min(size, most)]
            return packet(p.DATA, p.u32(request_id), p.string(bytes(data))) if data else status(request_id, 1)
        if kind == p.WRITE:
            offset, data = cursor.u64(), cursor.string()
            content[offset : offset + len(data)] = data
        return status(request_id, 0)

    return answer


def fetch(client, sink, announced=0):
    """Download the file /x; return where it ended."""
    return run(client, download(client, b"h", sink, announced=announced, moved=[].append, about="/x"))


def send(client, source):
    """Upload to the file /x; return where it ended."""
    rest = Rest(0, [].append)
    run(client, upload(client, b"h", source, rest, "/x"))
    return rest.end


def test_failure_is_an_oserror():
    """A failing status raises an OSError with errno, path and code, and the server's words."""
    client = client_for(lambda _kind, request_id, _body: status(request_id, 2, b"it is not there"))
    with pytest.raises(FileNotFoundError) as caught:
        client.wait(stat(client))
    error = caught.value
    assert isinstance(error, (SFTPFileNotFoundError, LibsshSFTPException))
    assert (error.errno, error.filename, error.sftp_code) == (errno.ENOENT, "/x", 2)
    assert str(error) == "looking at '/x' failed: it is not there"


@pytest.mark.parametrize(
    ("code", "number", "kind"),
    [
        (3, errno.EACCES, PermissionError),
        (4, errno.EIO, OSError),
        (8, errno.EOPNOTSUPP, OSError),
        (11, errno.EEXIST, FileExistsError),
    ],
)
def test_codes(code, number, kind):
    """Each status code has its errno and class."""
    client = client_for(lambda _, request_id, _body: status(request_id, code))
    with pytest.raises(kind) as caught:
        client.wait(stat(client))
    assert (caught.value.errno, caught.value.sftp_code) == (number, code)


def test_unknown_code():
    """A status code that nobody knows is an error that shows it."""
    client = client_for(lambda _, request_id, _body: status(request_id, 4711))
    with pytest.raises(SFTPError, match="Status 4711"):
        client.wait(stat(client))


def test_errors_travel():
    """An error comes through pickle with all its attributes, as from a process pool."""
    error = SFTPFileNotFoundError("text", errno.ENOENT, "/x", 2, 7)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(copy), str(copy), vars(copy), copy.errno, copy.filename) == (
        SFTPFileNotFoundError,
        "text",
        vars(error),
        errno.ENOENT,
        "/x",
    )


def test_replies_in_any_order():
    """Replies may come in another order than the requests."""
    held = []

    def answer(kind, request_id, body):
        path = p.Cursor(memoryview(body)).string()
        held.append(packet(p.ATTRS, p.u32(request_id), SFTPAttributes(st_size=int(path)).encode()))
        return b"" if len(held) < 10 else b"".join(reversed(held))

    client = client_for(answer)
    tickets = [stat(client, str(number).encode()) for number in range(10)]
    assert [client.attributes(ticket).st_size for ticket in tickets] == list(range(10))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda request_id: status(request_id + 1, 0),
        lambda request_id: packet(p.HANDLE, p.u32(request_id), p.string(b"h")),
        lambda request_id: packet(p.DATA, p.u32(request_id), p.string(b"data")),
        lambda request_id: packet(p.ATTRS, p.u32(request_id), p.u32(0xF)),
        lambda request_id: packet(p.VERSION, p.u32(request_id)),
        lambda _request_id: b"\xff\xff\xff\xff",
        lambda _request_id: b"Welcome to the device\r\n",
    ],
    ids=["unknown id", "handle", "data", "truncated", "version", "length", "text"],
)
def test_wrong_reply(wrong):
    """A reply that cannot be one is an error, the channel is closed, and what comes after fails at once."""
    client = client_for(lambda _kind, request_id, _body: wrong(request_id))
    with pytest.raises(SFTPProtocolError, match="/x"):
        client.wait(stat(client))
    assert client.channel.closed
    with pytest.raises(SFTPProtocolError):
        stat(client)


def test_success_without_attributes():
    """A plain success in place of attributes is an error, too."""
    client = client_for(lambda _kind, request_id, _body: status(request_id, 0))
    with pytest.raises(SFTPProtocolError):
        client.attributes(stat(client))


def test_more_data_than_asked_for():
    """A server cannot make us take more data than we asked for."""
    client = client_for(lambda _kind, request_id, _body: packet(p.DATA, p.u32(request_id), p.string(b"x" * 11)))
    with pytest.raises(SFTPProtocolError, match="11 bytes where 10"):
        client.wait(client.read(b"h", 0, 10, "/x"))


def test_timeout_and_late_reply():
    """A server that is silent gives a time-out; its late reply does no harm, and the channel lives on."""
    late = []

    def answer(kind, request_id, body):
        reply = packet(p.ATTRS, p.u32(request_id), SFTPAttributes(st_size=len(late)).encode())
        late.append(reply)
        return b"" if len(late) == 1 else b"".join(late)

    client = client_for(answer, timeout=0.05)
    with pytest.raises(SFTPTimeout, match="looking at '/x' timed out"):
        client.wait(stat(client))
    assert client.attributes(stat(client)).st_size == 1


def test_end_of_stream():
    """A server that goes away fails every request under way, each by its own path."""
    client = client_for(lambda _kind, _request_id, _body: b"", timeout=None)
    tickets = [stat(client, b"/a"), stat(client, b"/b")]
    for ticket, path in zip(tickets, ("/a", "/b")):
        with pytest.raises(SFTPConnectionError, match="closed the SFTP channel") as caught:
            client.wait(ticket)
        assert caught.value.filename == path
        assert isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize(
    ("greeting", "kind", "words"),
    [
        (packet(p.VERSION, p.u32(2)), SFTPProtocolError, "version 2"),
        (b"This account is not available.\n", SFTPProtocolError, "greeting the SFTP server"),
        (status(1, 0), SFTPProtocolError, "not under way"),
    ],
)
def test_greeting(greeting, kind, words):
    """A server that does not greet by version 3 is refused."""
    with pytest.raises(kind, match=words):
        client_for(None, greeting=greeting)


def test_silent_greeting():
    """A server that never greets gives a time-out."""
    with pytest.raises(SFTPTimeout):
        client_for(None, greeting=b"", timeout=0.05)


def test_after_close():
    """A closed client refuses requests, and a second close is harmless."""
    client = client_for(lambda _kind, request_id, _body: status(request_id, 0))
    client.close()
    client.close()
    with pytest.raises(SFTPConnectionError, match="is closed"):
        stat(client)


def test_interrupt_closes_the_channel():
    """After a Ctrl-C in the middle of a request the channel is not used again: half a packet may be out."""
    client = client_for(lambda _kind, request_id, _body: status(request_id, 0))

    def interrupted(data, timeout=None):
        raise KeyboardInterrupt

    client.channel.write = interrupted
    with pytest.raises(KeyboardInterrupt):
        stat(client)
    assert client.broken is not None
    assert client.channel.closed


def test_deferred_requests_travel_together():
    """Deferred requests are sent by the first wait, in one piece."""
    client = client_for(lambda _kind, request_id, _body: packet(p.ATTRS, p.u32(request_id), p.u32(0)))
    tickets = [client.request(p.STAT, p.string(b"/x"), defer=True) for _ in range(20)]
    assert not client.channel.requests
    for ticket in reversed(tickets):
        client.attributes(ticket)
    assert len(client.channel.requests) == 20


def test_mixed_reads_and_writes_do_not_jam():
    """A WRITE waits until READs under way owe less than a channel holds, so both sides never stop writing at once."""
    content = bytearray(8 << 20)
    client = client_for(file_server(content))
    reads = [client.read(b"h", offset << 20, 1 << 19, "/x") for offset in range(8)]
    ticket = client.write(b"h", 0, bytearray(26) + b"x" * 100, 100, "/x")
    assert [read.reply is not None for read in reads].count(False) <= 2
    client.wait(ticket)
    for read in reads:
        client.wait(read)


def test_threads_share_a_client():
    """Eight threads wait at once on one channel, and each gets its own replies."""
    client = client_for(
        lambda _kind, request_id, body: packet(
            p.ATTRS, p.u32(request_id), SFTPAttributes(st_size=int(p.Cursor(memoryview(body)).string())).encode()
        ),
        piece=7,
    )
    wrong = []

    def work(first):
        for number in range(first, first + 200):
            size = client.attributes(stat(client, str(number).encode())).st_size
            if size != number:
                wrong.append((number, size))

    threads = [threading.Thread(target=work, args=(1000 * index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert len(client.channel.requests) == 1600


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 300_000), st.integers(700, 40_000), st.integers(1, 50_000), st.integers(0, 400_000))
def test_download_any_server(size, most, piece, announced):
    """A file arrives whole from servers that give less than asked for and announce any size."""
    content = bytearray(index * 7 % 251 for index in range(size))
    client = client_for(file_server(content, most), piece=piece)
    sink = io.BytesIO()
    end = fetch(client, StreamSink(sink), announced)
    assert (end, sink.getvalue()) == (size, bytes(content))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 200_000), st.integers(1, 5_000))
def test_upload_from_a_dribbling_source(size, piece):
    """A file object that gives little at a time is sent whole, in order."""
    content = bytes(index * 7 % 251 for index in range(size))
    stored = bytearray()
    client = client_for(file_server(stored))
    stream = io.BytesIO(content)
    stream.read = lambda count, read=stream.read: read(min(count, piece))
    assert send(client, StreamSource(stream)) == size
    assert bytes(stored) == content


@pytest.mark.parametrize("failing", [0, 1, 5])
def test_failed_write_names_the_offset(failing):
    """A WRITE that fails ends the upload with the offset at which it did."""

    def answer(kind, request_id, body):
        cursor = p.Cursor(memoryview(body))
        cursor.string()
        return status(request_id, 4 if cursor.u64() == failing * 32768 else 0)

    client = client_for(answer)
    with pytest.raises(SFTPError, match=f"writing '/x' at byte {failing * 32768} failed") as caught:
        send(client, StreamSource(io.BytesIO(b"x" * 400_000)))
    assert caught.value.offset == failing * 32768


def test_failed_read_names_the_offset():
    """A READ that fails ends the download with the offset at which it did; what came before is in the sink."""
    served = file_server(bytearray(b"x" * 200_000))

    def answer(kind, request_id, body):
        cursor = p.Cursor(memoryview(body))
        cursor.string()
        return status(request_id, 4) if cursor.u64() == 65536 else served(kind, request_id, body)

    client = client_for(answer)
    sink = io.BytesIO()
    with pytest.raises(SFTPError, match="reading '/x' at byte 65536 failed") as caught:
        fetch(client, StreamSink(sink), 200_000)
    assert (caught.value.offset, len(sink.getvalue())) == (65536, 65536)


def test_empty_data_is_no_progress():
    """A server that answers a READ with no data does not keep us busy for ever."""
    client = client_for(lambda _kind, request_id, _body: packet(p.DATA, p.u32(request_id), p.string(b"")))
    with pytest.raises(SFTPError, match="no data"):
        fetch(client, StreamSink(io.BytesIO()))


def test_text_file_objects_are_refused():
    """A file object opened for text is refused as source."""
    client = client_for(lambda _kind, request_id, _body: status(request_id, 0))
    with pytest.raises(TypeError, match="binary mode"):
        send(client, StreamSource(io.StringIO("text")))
    with pytest.raises(TypeError, match="read"):
        StreamSource(object())


def test_many_generators_share_the_round_trips():
    """The pool keeps as many generators going as it is told, and ends at the first failure, closing the others."""
    client = client_for(lambda _kind, request_id, body: status(request_id, 4 if b"bad" in body else 0))
    running, most, closed = set(), [0], []

    def job(name):
        running.add(name)
        most[0] = max(most[0], len(running))
        try:
            for _ in range(3):
                yield client.request(p.REMOVE, p.string(name), defer=True)
        finally:
            running.discard(name)
            closed.append(name)

    run_all(client, (job(b"%d" % number) for number in range(20)), 5)
    assert (most[0], len(closed)) == (5, 20)
    with pytest.raises(SFTPError):
        run_all(client, (job(b"bad" if number == 7 else b"fine") for number in range(20)), 5)
    assert not running


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 300_000), st.integers(700, 40_000), st.integers(1, 50_000), st.integers(0, 400_000))
def test_download_into_a_file_from_any_server(size, most, piece, announced):
    """What the core writes to a file arrives whole, wherever the stream of replies is cut and however little each READ brings."""
    content = bytearray(index * 7 % 251 for index in range(size))
    client = client_for(file_server(content, most), piece=piece)
    with tempfile.TemporaryFile() as file:
        end = fetch(client, DescriptorSink(file.fileno(), "here"), announced)
        assert (end, os.pread(file.fileno(), size + 1, 0)) == (size, bytes(content))


def test_bulk_takes_what_was_asked_for_and_nothing_else(tmp_path):
    """DATA for an expected READ is written at any cut of the stream; whatever is odd goes to the decoder untouched."""

    def data(request_id, payload, announced=None, tail=b""):
        length = p.u32(len(payload) if announced is None else announced)
        return packet(p.DATA, p.u32(request_id), length + payload + tail)

    fine = [data(1, b"one"), data(2, b"two!", tail=b"left over"), status(3, 0, b"Success")]
    odd = [
        data(11, b"too much"),
        data(12, b"x", announced=5),
        data(13, b""),
        status(14, 1),
        data(15, b"of a WRITE"),
        status(16, 4, b"Failure"),
        data(99, b"unasked"),
        packet(p.DATA, p.u32(17)),
    ]
    stream = odd[0] + fine[0] + odd[1] + odd[2] + fine[1] + odd[3] + odd[4] + fine[2] + odd[5] + odd[6] + odd[7]
    path = tmp_path / "file"
    for cut in range(len(stream)):
        path.write_bytes(bytes(12))
        with path.open("r+b") as file:
            bulk = _core.Bulk()
            for request_id, offset in ((1, 0), (2, 5), (11, 0), (12, 0), (13, 0), (14, 0), (17, 0)):
                assert bulk.expect_data(request_id, file.fileno(), offset, 4)
            client_like = [bulk.feed(stream[:cut]), bulk.feed(stream[cut:])]
        plain = b"".join(part for part, _ in client_like)
        moved = [one for _, some in client_like for one in some]
        assert moved == [(1, 3, 0), (2, 4, 0)]
        assert plain == stream.replace(fine[0], b"").replace(fine[1], b"")
        assert path.read_bytes() == b"one\0\0two!\0\0\0"


@pytest.mark.parametrize("length", [0, 4, (1 << 20) + 1, 0xFFFFFFFF])
def test_bulk_believes_no_length(tmp_path, length):
    """After a packet of an impossible length everything goes to the decoder, which refuses it, though it looks like DATA."""
    bulk = _core.Bulk()
    with (tmp_path / "file").open("w+b") as file:
        bulk.expect_data(1, file.fileno(), 0, 100)
        stream = p.u32(length) + packet(p.DATA, p.u32(1), p.string(b"data"))
        assert bulk.feed(stream) == (stream, [])
        assert (tmp_path / "file").read_bytes() == b""


def test_bulk_forgets(tmp_path):
    """After it was forgotten, in the middle of its data too, nothing more is written for a READ, whoever has its number by then."""
    stream = packet(p.DATA, p.u32(1), p.string(b"abcdef")) + packet(p.DATA, p.u32(2), p.string(b"xyz"))
    bulk = _core.Bulk()
    with (tmp_path / "file").open("w+b") as file:
        assert bulk.expect_data(1, file.fileno(), 0, 6)
        assert bulk.expect_data(2, file.fileno(), 0, 3)
    with (tmp_path / "other").open("w+b") as other:  # has the descriptor's number now
        assert bulk.feed(stream[:16]) == (b"", [])
        bulk.forget(1)
        bulk.forget(2)
        assert bulk.feed(stream[16:]) == (stream[19:], [(1, 3, 0)])
        assert other.read() == b""
    assert (tmp_path / "file").read_bytes() == b"abc"


def test_bulk_reports_a_full_disk():
    """A write that fails is reported with its errno and the bytes that went before, and the stream goes on behind it."""
    bulk = _core.Bulk()
    with open("/dev/full", "wb") as full:
        assert bulk.expect_data(1, full.fileno(), 0, 6)
    after = status(2, 0)
    assert bulk.feed(packet(p.DATA, p.u32(1), p.string(b"abcdef")) + after) == (after, [(1, 0, errno.ENOSPC)])
    client = client_for(file_server(bytearray(100_000)))
    with open("/dev/full", "wb") as full, pytest.raises(OSError, match="No space left on device, writing byte 0: 'there'"):
        fetch(client, DescriptorSink(full.fileno(), "there"), 100_000)


def test_bulk_expects_no_more_than_it_can():
    """A READ that finds its slot taken, or a bad descriptor, is answered by the decoder."""
    bulk = _core.Bulk()
    with open("/dev/null", "wb") as null:
        expected = [bulk.expect_data(number, null.fileno(), 0, 10) for number in range(200)]
        assert expected == [True] * 128 + [False] * 72
        assert not _core.Bulk().expect_data(1, -1, 0, 10)
    assert not _core.Bulk().expect_data(1, 1_000_000, 0, 10)
