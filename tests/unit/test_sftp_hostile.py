# SPDX-License-Identifier: LGPL-2.1-or-later
"""SFTP servers that want to write where they should not, or to keep us busy: scripted, whole transfers."""

from __future__ import annotations

import os
import stat
from types import SimpleNamespace

import pytest

from pylibsshext._sftp import protocol as p
from pylibsshext._sftp.attributes import SFTPAttributes
from pylibsshext.errors import LibsshChannelException
from pylibsshext.sftp import SFTP, SFTPError, SFTPProtocolError

from .test_sftp_client import GREETING, Script, status
from .test_sftp_protocol import packet

DIR = SFTPAttributes(st_mode=stat.S_IFDIR | 0o755)
FILE = SFTPAttributes(st_mode=stat.S_IFREG | 0o644, st_size=4)
LINK = SFTPAttributes(st_mode=stat.S_IFLNK | 0o777)


class Liar:
    """A session whose SFTP server has the listings and contents that it is given, and answers in order.

    *listings*: path -> [(name, attributes)], told once.  *answers*: request type -> function(id, path), in place of the usual.
    """

    info = SimpleNamespace(server_banner="SSH-2.0-Liar")

    def __init__(self, listings=None, answers=None, greeting=GREETING, content=b"evil"):
        self.listings = {} if listings is None else listings
        self.answers = answers or {}
        self.greeting = greeting
        self.content = content
        self.requests = []
        self.told = set()

    def open_session(self):
        channel = Script(self.answer, self.greeting)
        channel.requests = self.requests
        channel.request_subsystem = lambda _name: None
        return channel

    def answer(self, kind, request_id, body):
        cursor = p.Cursor(memoryview(body))
        path = cursor.string().decode()
        if kind in self.answers:
            return self.answers[kind](request_id, path)
        if kind in {p.OPEN, p.OPENDIR}:
            return packet(p.HANDLE, p.u32(request_id), p.string(path.encode()))
        if kind in {p.STAT, p.LSTAT, p.FSTAT}:
            found = DIR if path in self.listings else FILE
            return packet(p.ATTRS, p.u32(request_id), found.encode())
        if kind == p.READDIR:
            return self.listing(request_id, path)
        if kind == p.READ:
            data = self.content[cursor.u64() :][: cursor.u32()]
            return packet(p.DATA, p.u32(request_id), p.string(data)) if data else status(request_id, 1)
        if kind == p.READLINK:
            return packet(p.NAME, p.u32(request_id), p.u32(1), p.string(b"/etc"), p.string(b""), p.u32(0))
        return status(request_id, 0)

    def listing(self, request_id, path):
        if path in self.told:
            return status(request_id, 1)
        self.told.add(path)
        entries = [p.string(name.encode()) + p.string(b"") + found.encode() for name, found in self.listings[path]]
        return packet(p.NAME, p.u32(request_id), p.u32(len(entries)), *entries)


def get(liar, target, **options):
    """Fetch /top from a liar."""
    with SFTP(liar, timeout=2) as sftp:
        sftp.get("/top", target, **options)


def found(directory):
    """Every path below a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "", "x\0y"])
@pytest.mark.parametrize("kind", [FILE, DIR, LINK])
def test_names_that_lead_elsewhere(tmp_path, name, kind):
    """A listing with a name that is a path, or nothing, is refused before anything is written."""
    with pytest.raises(SFTPProtocolError, match="listed the name"):
        get(Liar({"/top": [("fine", FILE), (name, kind)]}), tmp_path / "target", recursive=True)
    assert found(tmp_path) == []


def test_name_twice(tmp_path):
    """A listing with a name twice (a link, then a directory of that name) is refused."""
    liar = Liar({"/top": [("x", LINK), ("x", DIR)], "/top/x": [("passwd", FILE)]})
    with pytest.raises(SFTPProtocolError, match="listed the name 'x'"):
        get(liar, tmp_path / "target", recursive=True)
    assert found(tmp_path) == []


def test_link_first_then_a_way_through_it(tmp_path):
    """A link that an earlier transfer made is not a way out for a directory of that name in the next."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        get(Liar({"/top": [("x", DIR)], "/top/x": [("evil", FILE)]}), tmp_path / "target", recursive=True)
    assert found(tmp_path / "elsewhere") == []


def test_file_in_place_of_a_link(tmp_path):
    """In a tree, a file replaces a link of its name; what the link points to stays."""
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "x").symlink_to(tmp_path / "precious")
    get(Liar({"/top": [("x", FILE)]}), tmp_path / "target", recursive=True)
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert (tmp_path / "target" / "x").read_bytes() == b"evil"
    assert not (tmp_path / "target" / "x").is_symlink()


def test_links_are_made_last_and_not_followed(tmp_path):
    """A link to /etc is made as it is, and times of directories do not go through it."""
    get(Liar({"/top": [("x", LINK), ("y", FILE)]}), tmp_path / "target", recursive=True, preserve=True)
    assert os.readlink(tmp_path / "target" / "x") == "/etc"


def test_endless_directory(tmp_path):
    """A directory of directories without end ends with an error, not for want of memory."""

    class Endless(dict):
        def __contains__(self, path):
            return True

        def __getitem__(self, path):
            return [("d" * 200, DIR)]

    with pytest.raises(SFTPError, match="too long"):
        get(Liar(Endless()), tmp_path / "target", recursive=True)


def test_shorter_than_announced(tmp_path):
    """A file that ends before the size that the server announced is not called complete."""
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(SFTPError, match="ended at byte 2 of 4"):
        get(Liar(content=b"ev"), tmp_path / "x")
    assert found(tmp_path) == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_longer_than_announced(tmp_path):
    """A file that is longer than the server announced arrives whole."""
    get(Liar(content=b"x" * 500_000), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"x" * 500_000


def test_closed_handle(tmp_path):
    """A server that closes the handle in the middle gives an error with the offset, not a short file."""
    reads = []

    def read(request_id, _path):
        reads.append(request_id)
        return packet(p.DATA, p.u32(request_id), p.string(b"evil")) if len(reads) == 1 else status(request_id, 9)

    with pytest.raises(SFTPError, match="at byte 4 failed: Invalid handle") as caught:
        get(Liar(answers={p.READ: read}), tmp_path / "x")
    assert caught.value.offset == 4
    assert found(tmp_path) == []


@pytest.mark.parametrize("failing", [p.OPEN, p.WRITE, p.FSTAT, p.CLOSE])
def test_put_that_fails_at_any_step(tmp_path, failing):
    """Whatever step of an upload the server refuses is an error, and the temporary file is removed, if it was made."""
    (tmp_path / "source").write_bytes(b"content")
    liar = Liar(
        answers={failing: lambda request_id, _: status(request_id, 4), p.LSTAT: lambda request_id, _: status(request_id, 2)}
    )
    with SFTP(liar, timeout=2) as sftp, pytest.raises(SFTPError):
        sftp.put(tmp_path / "source", "/top", atomic=True)
    kinds = [kind for kind, _, _ in liar.requests]
    assert p.RENAME not in kinds
    assert (p.REMOVE in kinds) is (failing != p.OPEN)


def test_put_that_the_server_forgets(tmp_path):
    """An upload whose file has another length at the end is an error, although every write was acknowledged."""
    (tmp_path / "source").write_bytes(b"content")
    liar = Liar(answers={p.LSTAT: lambda request_id, _: status(request_id, 2)})
    with SFTP(liar, timeout=2) as sftp, pytest.raises(SFTPError, match="the server has 4 bytes of 7"):
        sftp.put(tmp_path / "source", "/top")


def test_put_that_is_measured_before_it_is_written(tmp_path):
    """A server that looks at the file before it has written what came first is asked once more."""
    (tmp_path / "source").write_bytes(b"content")
    looks = [
        lambda request_id: status(request_id, 2),
        lambda request_id: packet(p.ATTRS, p.u32(request_id), SFTPAttributes(st_mode=FILE.st_mode, st_size=7).encode()),
    ]
    liar = Liar(answers={p.LSTAT: lambda request_id, _: looks.pop(0)(request_id)})
    with SFTP(liar, timeout=2) as sftp:
        sftp.put(tmp_path / "source", "/top")
    assert liar.requests[-1][0] == p.RENAME
    assert looks == []


@pytest.mark.parametrize("target", ["a new one", "a file", "a link", "a directory", "a device"])
def test_put_hopes_for_a_new_target(tmp_path, target):
    """Where the server can replace files, the temporary one is opened while the target is looked at; what is there is respected."""
    (tmp_path / "source").write_bytes(b"evil")
    about = {"a file": FILE, "a link": LINK, "a directory": DIR, "a device": SFTPAttributes(st_mode=stat.S_IFCHR | 0o666)}
    answers = {
        p.LSTAT: lambda request_id, _: (
            packet(p.ATTRS, p.u32(request_id), about[target].encode()) if target in about else status(request_id, 2)
        ),
        p.REALPATH: lambda request_id, _: packet(
            p.NAME, p.u32(request_id), p.u32(1), p.string(b"/else/where"), p.string(b""), p.u32(0)
        ),
    }
    liar = Liar(answers=answers, greeting=packet(p.VERSION, p.u32(3), p.string(b"posix-rename@openssh.com"), p.string(b"1")))
    with SFTP(liar, timeout=2) as sftp:
        if target == "a directory":
            with pytest.raises(SFTPError, match="is a directory"):
                sftp.put(tmp_path / "source", "/top/x")
        else:
            sftp.put(tmp_path / "source", "/top/x")
    names = {kind: [] for kind in (p.OPEN, p.CLOSE, p.REMOVE, p.EXTENDED)}
    for kind, _, body in liar.requests:
        if kind in names:
            names[kind].append(bytes(p.Cursor(memoryview(body)).string()).decode())
    hoped, *others = names[p.OPEN]
    assert hoped.startswith("/top/.x.")
    assert [name.partition(".")[0] for name in others] == {
        "a new one": [],
        "a file": ["/top/"],
        "a link": ["/else/"],
        "a directory": [],
        "a device": ["/top/x"],
    }[target]
    assert sorted(names[p.CLOSE]) == sorted(names[p.OPEN])  # a liar's handles are the names
    assert names[p.REMOVE] == ([] if target == "a new one" else [hoped])
    assert len(names[p.EXTENDED]) == (0 if target in ("a directory", "a device") else 1)


def test_put_without_posix_rename(tmp_path):
    """A server without posix-rename: a new file is renamed into place; an old one is removed once the new one is there."""
    (tmp_path / "source").write_bytes(b"evil")
    for missing in (True, False):
        answers = {p.LSTAT: lambda request_id, _: status(request_id, 2)} if missing else {}
        liar = Liar(answers=answers)
        with SFTP(liar, timeout=2) as sftp:
            sftp.put(tmp_path / "source", "/top")
        kinds = [kind for kind, _, _ in liar.requests]
        assert kinds[-1] == p.RENAME
        assert (p.REMOVE in kinds) is not missing
        assert kinds.index(p.CLOSE) < len(kinds) - 1


def test_server_that_knows_little(tmp_path):
    """A server that can neither look at a file nor rename one gets the file in place."""
    (tmp_path / "source").write_bytes(b"evil")
    refuse = {kind: lambda request_id, _: status(request_id, 8) for kind in (p.LSTAT, p.RENAME, p.SETSTAT, p.FSETSTAT)}
    liar = Liar(answers=refuse)
    with SFTP(liar, timeout=2) as sftp:
        sftp.put(tmp_path / "source", "flash:x")
        with pytest.raises(SFTPError):
            sftp.put(tmp_path / "source", "flash:x", atomic=True)
    opened = [bytes(p.Cursor(memoryview(body)).string()) for kind, _, body in liar.requests if kind == p.OPEN]
    assert opened == [b"flash:x"]


def test_checksum():
    """checksum asks for the hash by name, and takes it from the reply; an answer without it is refused."""
    greeting = packet(p.VERSION, p.u32(3), p.string(b"check-file"), p.string(b"1"))
    digest = bytes(range(32))
    replies = [p.string(b"sha256") + digest, p.string(b"md5") + digest[:16]]
    answers = {p.EXTENDED: lambda request_id, _: packet(p.EXTENDED_REPLY, p.u32(request_id), replies.pop(0))}
    liar = Liar(answers=answers, greeting=greeting)
    with SFTP(liar, timeout=2) as sftp:
        assert sftp.checksum("/x") == digest.hex()
        assert b"check-file-name" in liar.requests[-1][2]
        with pytest.raises(SFTPProtocolError, match="no sha256"):
            sftp.checksum("/x")


def test_no_channel():
    """A session that gives no channel is an SFTP error with its reason."""

    class Closed:
        def open_session(self):
            raise LibsshChannelException("the session is closed")

    with pytest.raises(SFTPError, match="starting SFTP failed: the session is closed"):
        SFTP(Closed())
