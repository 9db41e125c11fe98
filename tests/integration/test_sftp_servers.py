# SPDX-License-Identifier: LGPL-2.1-or-later
"""SFTP and SCP with servers that are not this machine's sshd: older and newer OpenSSH, dropbear, tinysshd, asyncssh."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from pylibsshext.session import Session
from pylibsshext.sftp import SFTPError, SFTPFileNotFoundError

from .sftp_pipe import connect

RELEASES = ["openssh-8.4", "openssh-10.0"]
SERVERS = [*RELEASES, "dropbear", "tinysshd", "asyncssh"]


class Place(NamedTuple):
    """A directory of a server, as the server and as the test sees it, and a session with the server.

    asyncssh shows it as the root directory, and then has only absolute links.
    """

    session: Session
    there: str
    here: Path


@pytest.fixture(params=SERVERS)
def place(request, tmp_path):
    """A directory of each server in turn."""
    if request.param == "asyncssh":
        host = request.getfixturevalue("bad_server")()
        there, here = "", host.files
    else:
        host = request.getfixturevalue("other_server")(request.param)
        here = tmp_path / "there"
        here.mkdir()
        there = str(here)
    with connect(host) as session:
        yield Place(session, there, here)


def names(directory):
    """What is in a directory, hidden files too."""
    return sorted(os.listdir(directory))


@pytest.mark.parametrize("size", [0, 1, 40_000, 3_000_000])
def test_there_and_back(place, tmp_path, size):
    """Files arrive as they were, also over an old one, and nothing else is left."""
    (tmp_path / "source").write_bytes(os.urandom(size))
    (place.here / "x").write_bytes(b"old")
    with place.session.sftp() as sftp:
        sftp.put(tmp_path / "source", f"{place.there}/x")
        sftp.get(f"{place.there}/x", tmp_path / "back")
        assert sftp.listdir(place.there or "/") == ["x"]
    assert (place.here / "x").read_bytes() == (tmp_path / "back").read_bytes() == (tmp_path / "source").read_bytes()


def test_trees(place, tmp_path):
    """A tree with links goes there and comes back."""
    top = tmp_path / "source"
    (top / "a" / "ünï").mkdir(parents=True)
    for number in range(80):
        (top / "a" / f"{number}").write_bytes(b"%d" % number * 100)
    if place.there:
        (top / "link").symlink_to("a/1")
    with place.session.sftp() as sftp:
        sftp.put(top, f"{place.there}/tree", recursive=True, preserve=True)
        sftp.get(f"{place.there}/tree", tmp_path / "back", recursive=True, preserve=True)
    for copy in (place.here / "tree", tmp_path / "back"):
        assert {path.relative_to(copy) for path in copy.rglob("*")} == {path.relative_to(top) for path in top.rglob("*")}
        assert not place.there or os.readlink(copy / "link") == "a/1"
        assert (copy / "a" / "77").read_bytes() == b"77" * 100


def test_names_and_errors(place):
    """Making, renaming, linking and removing work, and errors have their errno."""
    there = place.there
    with place.session.sftp() as sftp:
        sftp.makedirs(f"{there}/a/b")
        with pytest.raises(FileExistsError):
            sftp.mkdir(f"{there}/a")
        with pytest.raises(SFTPFileNotFoundError) as caught:
            sftp.stat(f"{there}/no")
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, f"{there}/no")
        with sftp.open(f"{there}/x", "w") as file:
            file.write(b"content")
        (place.here / "y").write_bytes(b"old")
        sftp.rename(f"{there}/x", f"{there}/y")
        sftp.symlink(f"{there}/y", f"{there}/link")
        assert sftp.readlink(f"{there}/link") == f"{there}/y"
        with sftp.open(f"{there}/link") as file:
            assert file.read() == b"content"
        with pytest.raises(SFTPError):
            sftp.rmdir(f"{there}/a")
        sftp.remove(f"{there}/y")
    assert names(place.here) == ["a", "link"]


@pytest.mark.parametrize("server", [*RELEASES, "dropbear", "tinysshd"])
def test_proc(other_server, tmp_path, server):
    """A file whose size is not known arrives whole."""
    with connect(other_server(server)) as session, session.sftp() as sftp:
        sftp.get("/proc/cpuinfo", tmp_path / "back")
    assert b"processor" in (tmp_path / "back").read_bytes()


@pytest.mark.parametrize("server", [*RELEASES, "dropbear", "tinysshd"])
def test_scp(other_server, tmp_path, server):
    """SCP works where there is a shell."""
    (tmp_path / "source").write_bytes(os.urandom(500_000))
    for transfer in ("put", "get"):
        with connect(other_server(server)) as session:  # tinysshd gives one channel a connection
            getattr(session.scp(), transfer)(tmp_path / "source", tmp_path / transfer)
        assert (tmp_path / transfer).read_bytes() == (tmp_path / "source").read_bytes()


@pytest.mark.parametrize(("server", "limits", "copies"), [("openssh-8.4", False, False), ("openssh-10.0", True, True)])
def test_what_a_release_of_openssh_offers_is_used(other_server, tmp_path, server, limits, copies):
    """Old releases lack limits and copy-data: then requests are small, and copying on the server is refused by name."""
    (tmp_path / "x").write_bytes(b"x" * 100_000)
    with connect(other_server(server)) as session, session.sftp() as sftp:
        assert session.info.server_banner.startswith(f"SSH-2.0-OpenSSH_{server.partition('-')[2]}")
        assert ("limits@openssh.com" in sftp.extensions) is limits
        assert (sftp.limits.max_write_length > 200_000) is limits
        if copies:
            sftp.copy(str(tmp_path / "x"), str(tmp_path / "y"))
            assert (tmp_path / "y").read_bytes() == (tmp_path / "x").read_bytes()
        else:
            with pytest.raises(SFTPError, match="copy-data"):
                sftp.copy(str(tmp_path / "x"), str(tmp_path / "y"))
