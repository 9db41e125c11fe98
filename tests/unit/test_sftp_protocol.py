# SPDX-License-Identifier: LGPL-2.1-or-later
"""SFTP's packets: what we send, what we take, and what we refuse."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from pathlib import PurePosixPath

import pytest
from hypothesis import given, strategies as st

from pylibsshext._sftp import protocol as p
from pylibsshext._sftp.attributes import SFTPAttributes
from pylibsshext.sftp import SFTPProtocolError


def packet(kind, *fields):
    """A packet as a server sends it."""
    body = bytes([kind]) + b"".join(fields)
    return struct.pack(">I", len(body)) + body


ATTRIBUTES = SFTPAttributes(st_size=1 << 33, st_uid=7, st_gid=8, st_mode=stat.S_IFREG | 0o644, st_atime=10, st_mtime=20)
ENTRY = p.string(b"n\xff") + p.string(b"-rw-r--r-- n") + ATTRIBUTES.encode()
TRANSCRIPT = b"".join(
    (
        packet(p.VERSION, p.u32(3), p.string(b"limits@openssh.com"), p.string(b"1")),
        packet(p.STATUS, p.u32(1), p.u32(2), p.string(b"No such file"), p.string(b"")),
        packet(p.STATUS, p.u32(2), p.u32(0)),
        packet(p.HANDLE, p.u32(3), p.string(b"h\0h")),
        packet(p.DATA, p.u32(4), p.string(b"data" * 20)),
        packet(p.NAME, p.u32(5), p.u32(2), ENTRY, ENTRY),
        packet(p.ATTRS, p.u32(6), ATTRIBUTES.encode()),
        packet(p.EXTENDED_REPLY, p.u32(7), b"as it is"),
    )
)


def decoded(*chunks):
    """The replies in a stream that comes in *chunks*, with data as bytes so that they can be compared."""
    decoder = p.Decoder()
    replies = [reply for chunk in chunks for reply in decoder.feed(chunk)]
    return [reply._replace(payload=bytes(reply.payload)) if isinstance(reply, p.Data) else reply for reply in replies]


def test_every_kind_of_reply():
    """Each kind of reply comes out as its own type with its fields."""
    version, missing, done, handle, data, names, attrs, extended = decoded(TRANSCRIPT)
    assert version == p.Version(3, {"limits@openssh.com": b"1"})
    assert missing == p.Status(1, 2, "No such file")
    assert done == p.Status(2, 0, "")
    assert handle == p.Handle(3, b"h\0h")
    assert data == p.Data(4, b"data" * 20)
    assert [entry.filename for entry in names.entries] == ["n\udcff"] * 2
    assert attrs == p.Attrs(6, ATTRIBUTES)
    assert extended == p.Extended(7, b"as it is")


@pytest.mark.parametrize("at", range(len(TRANSCRIPT) + 1))
def test_split_anywhere(at):
    """It does not matter where the stream is cut in two."""
    assert decoded(TRANSCRIPT[:at], TRANSCRIPT[at:]) == decoded(TRANSCRIPT)


def test_byte_by_byte():
    """It does not matter if the stream comes in single bytes."""
    assert decoded(*(TRANSCRIPT[at : at + 1] for at in range(len(TRANSCRIPT)))) == decoded(TRANSCRIPT)


@pytest.mark.parametrize("length", [0, 1, 4, p.MAX_REPLY + 1, 0xFFFFFFFF])
def test_impossible_length(length):
    """A length that no reply can have is refused before anything is stored."""
    decoder = p.Decoder()
    with pytest.raises(SFTPProtocolError, match="a packet of"):
        decoder.feed(struct.pack(">I", length) + b"x" * 100)


@pytest.mark.parametrize(
    "body",
    [
        packet(99, p.u32(1)),
        packet(p.HANDLE, p.u32(1), p.u32(100), b"short"),
        packet(p.DATA, p.u32(1), p.u32(0xFFFFFFFF), b"short"),
        packet(p.NAME, p.u32(1), p.u32(0xFFFFFFFF), ENTRY),
        packet(p.ATTRS, p.u32(1), p.u32(0xFF)),
        packet(p.ATTRS, p.u32(1), p.u32(0x80000000), p.u32(0xFFFFFFFF)),
        packet(p.STATUS, p.u32(1), b"\0\0"),
        packet(p.VERSION, p.u32(3), p.string(b"name without a value")),
    ],
)
def test_malformed(body):
    """A packet of unknown type, or with less in it than it says, is an error of its own type."""
    with pytest.raises(SFTPProtocolError):
        p.Decoder().feed(body)


@given(st.binary(max_size=2000))
def test_garbage(data):
    """Whatever bytes come, there are replies or an SFTPProtocolError, and nothing else."""
    with contextlib.suppress(SFTPProtocolError):
        p.Decoder().feed(data)


@given(st.integers(0, len(TRANSCRIPT) - 1), st.integers(0, 255), st.integers(1, 300))
def test_damaged(at, value, size):
    """A reply with a wrong byte in it, in pieces of any size, gives replies or an SFTPProtocolError."""
    damaged = TRANSCRIPT[:at] + bytes([value]) + TRANSCRIPT[at + 1 :]
    with contextlib.suppress(SFTPProtocolError):
        decoded(*(damaged[start : start + size] for start in range(0, len(damaged), size)))


U32 = st.none() | st.integers(0, 0xFFFFFFFF)


@given(st.none() | st.integers(0, (1 << 64) - 1), U32, U32, U32, U32, U32)
def test_attributes_there_and_back(size, uid, gid, mode, atime, mtime):
    """Attributes arrive as they were; owner and times travel in pairs only."""
    sent = SFTPAttributes(st_size=size, st_uid=uid, st_gid=gid, st_mode=mode, st_atime=atime, st_mtime=mtime)
    came = p.Cursor(memoryview(sent.encode())).attributes()
    assert (came.st_size, came.st_mode) == (size, mode)
    assert (came.st_uid, came.st_gid) == ((uid, gid) if None not in {uid, gid} else (None, None))
    assert (came.st_atime, came.st_mtime) == ((atime, mtime) if None not in {atime, mtime} else (None, None))


def test_times_out_of_range():
    """A time that 32 bits cannot hold becomes the nearest that they can."""
    sent = SFTPAttributes(st_atime=-5, st_mtime=1 << 40)
    came = p.Cursor(memoryview(sent.encode())).attributes()
    assert (came.st_atime, came.st_mtime) == (0, 0xFFFFFFFF)


@given(st.binary().filter(lambda raw: b"\0" not in raw))
def test_paths_there_and_back(raw):
    """Names that are no UTF-8 survive as text and go out as the bytes that came."""
    assert p.to_path(p.from_path(raw)) == raw


def test_paths_of_all_types():
    """A path is text, bytes or a path object; anything else, and a NUL, is refused."""
    assert p.to_path("ü") == p.to_path("ü".encode()) == p.to_path(PurePosixPath("ü")) == "ü".encode()
    with pytest.raises(TypeError, match="not int"):
        p.to_path(3)
    with pytest.raises(ValueError, match="NUL"):
        p.to_path("a\0b")


def test_frame():
    """A request is length, type, id and fields."""
    assert p.frame(p.OPENDIR, 9, p.string(b"/x")) == b"\0\0\0\x0b\x0b\0\0\0\x09\0\0\0\x02/x"
    assert p.init() == b"\0\0\0\5\1\0\0\0\3"


def test_attributes_look_like_ls(tmp_path):
    """Attributes print as a line of ls, the server's own if there is one."""
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    path.chmod(0o640)
    shown = str(SFTPAttributes.from_stat(os.stat(path), "file"))
    assert shown.startswith("-rw-r-----")
    assert shown.endswith("file")
    assert " 5 " in shown
    assert str(SFTPAttributes(longname="as the server says")) == "as the server says"
    assert str(SFTPAttributes()).startswith("?---------")
