# SPDX-License-Identifier: LGPL-2.1-or-later
"""Remote files as Python file objects, compared with what the same calls do to a local file."""

from __future__ import annotations

import gc
import io
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from pylibsshext.sftp import SFTP, SFTPError, SFTPFileExistsError

from .sftp_pipe import PipeSession, connect


@pytest.fixture(scope="module")
def session(sshd):
    with connect(sshd) as session:
        yield session


@pytest.fixture(scope="module")
def sftp(session):
    with session.sftp() as sftp:
        yield sftp


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)))
    return path


def test_read(sftp, path):
    """read gives all, or as many bytes as are asked for, and less at the end only."""
    content = path.read_bytes()
    with sftp.open(path) as file:
        assert file.read(10) == content[:10]
        assert file.read(700_001) == content[10:700_011]
        assert file.read() == content[700_011:]
        assert file.read() == file.read(5) == b""
    with sftp.open(path) as file:
        assert file.read() == content


def test_lines(sftp, path):
    """A file is an iterator of lines, and has readline and readlines."""
    with sftp.open(path) as file:
        assert file.readline() == b"line 0\n"
        assert sum(1 for _ in file) == 99_999
        file.seek(-7, os.SEEK_END)
        assert file.readlines() == [b" 99999\n"]


def test_readinto_and_buffered_reader(sftp, path):
    """io.BufferedReader stands on it, and readinto fills the buffer."""
    with io.BufferedReader(sftp.open(path)) as file:
        assert file.peek(4)[:4] == b"line"
        assert file.read() == path.read_bytes()
    buffer = bytearray(500_000)
    with sftp.open(path) as file:
        assert file.readinto(buffer) == 500_000
        assert bytes(buffer) == path.read_bytes()[:500_000]


def test_shutil(sftp, path, tmp_path):
    """shutil.copyfileobj copies to, from and between remote files."""
    with sftp.open(path, "rb") as source, sftp.open(tmp_path / "y", "wb") as target:
        shutil.copyfileobj(source, target)
    assert (tmp_path / "y").read_bytes() == path.read_bytes()


def test_text(sftp, path, tmp_path):
    """With an encoding, or a t in the mode, files are of text."""
    with sftp.open(tmp_path / "y", "wt") as file:
        file.write("ünï\n")
    assert (tmp_path / "y").read_bytes() == "ünï\n".encode()
    with sftp.open(tmp_path / "y", encoding="latin-1") as file:
        assert file.read() == "ünï\n".encode().decode("latin-1")
    with sftp.open(tmp_path / "y", "r+t") as file:
        file.seek(0, os.SEEK_END)
        file.write("more")
    assert (tmp_path / "y").read_text() == "ünï\nmore"


def test_write_and_close(sftp, tmp_path):
    """What was written is there after close, flush, and a look at the file."""
    with sftp.open(tmp_path / "y", "w") as file:
        assert file.write(b"abc") == 3
        file.flush()
        assert (tmp_path / "y").read_bytes() == b"abc"
        file.write(memoryview(b"def"))
        assert file.stat().st_size == 6
        file.writelines([b"g", b"h"])
        assert file.tell() == 8
    assert (tmp_path / "y").read_bytes() == b"abcdefgh"


def test_large_writes(sftp, tmp_path):
    """Large and many small writes arrive in order."""
    content = os.urandom(5_000_000)
    with sftp.open(tmp_path / "y", "w") as file:
        file.write(content[:4_000_000])
        for at in range(4_000_000, 5_000_000, 333):
            file.write(content[at : at + 333])
    assert (tmp_path / "y").read_bytes() == content


def test_append(sftp, path):
    """Mode a begins at the end and writes there."""
    size = path.stat().st_size
    with sftp.open(path, "a") as file:
        assert file.tell() == size
        file.write(b"end")
        assert file.tell() == size + 3
    assert path.read_bytes()[-6:] == b"99\nend"


def test_truncate(sftp, path):
    """truncate cuts at the position or where it is told, and flushes before."""
    with sftp.open(path, "r+") as file:
        file.write(b"abcdef")
        assert file.truncate(4) == 4
        assert file.seek(2) == 2
        assert file.truncate() == 2
    assert path.read_bytes() == b"ab"


def test_exclusive(sftp, path):
    """Mode x refuses a file that is there, by FileExistsError."""
    with pytest.raises(SFTPFileExistsError):
        sftp.open(path, "x")


@pytest.mark.parametrize("mode", ["", "b", "rw", "q", "rr", "rbt"])
def test_modes_that_are_none(sftp, path, mode):
    """A mode that open() does not have is a ValueError."""
    with pytest.raises(ValueError, match="invalid mode"):
        sftp.open(path, mode)


def test_wrong_direction(sftp, path):
    """Reading a file opened for writing, and the other way round, is io.UnsupportedOperation."""
    with sftp.open(path) as file, pytest.raises(io.UnsupportedOperation):
        file.write(b"x")
    with sftp.open(path, "w") as file:
        with pytest.raises(io.UnsupportedOperation):
            file.read()
        with pytest.raises(TypeError):
            file.write("text")


def test_closed_file(sftp, path):
    """A closed file refuses everything by ValueError; closing it again is harmless."""
    file = sftp.open(path)
    file.close()
    file.close()
    for call in (file.read, file.tell, file.stat, file.peek, lambda: file.seek(0), file.readable):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_seek(sftp, path):
    """seek takes all three starting points, and refuses what is before the beginning."""
    content = path.read_bytes()
    with sftp.open(path) as file:
        assert file.seek(-10, os.SEEK_END) == len(content) - 10
        assert file.read() == content[-10:]
        assert file.seek(5) == 5
        assert file.seek(5, os.SEEK_CUR) == 10
        assert file.read(5) == content[10:15]
        with pytest.raises(OSError, match="negative"):
            file.seek(-1)
        with pytest.raises(ValueError, match="whence"):
            file.seek(0, 7)


def test_growing_file(sftp, path):
    """At the end of a file that grows, the next read sees what was added."""
    with sftp.open(path) as file:
        file.read()
        with open(path, "ab") as local:
            local.write(b"more")
        assert file.read() == b"more"


def test_write_failure_is_told(sftp):
    """A write that the server can't do is raised at the latest by close, with its offset."""
    file = sftp.open("/dev/full", "w")
    file.write(b"x" * 100)
    with pytest.raises(SFTPError, match="writing '/dev/full' at byte 0 failed") as caught:
        file.close()
    assert caught.value.offset == 0
    assert file.closed


def test_forgotten_file(sftp, tmp_path):
    """A file that is dropped without close gives a ResourceWarning, and what was written arrives with the next request."""
    file = sftp.open(tmp_path / "y", "w")
    file.write(b"abc")
    with pytest.warns(ResourceWarning, match="unclosed remote file"):  # noqa: PT031 - both make it happen
        del file
        gc.collect()
    sftp.listdir(tmp_path)
    assert (tmp_path / "y").read_bytes() == b"abc"


def test_fsync_and_attributes(sftp, path):
    """fsync, chmod, utime and fstat work on an open file."""
    with sftp.open(path, "r+") as file:
        file.write(b"x")
        sftp.fsync(file)
        file.chmod(0o600)
        file.utime((10, 20))
        found = sftp.fstat(file)
        assert (found.st_mode & 0o777, found.st_mtime) == (0o600, 20)


CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 3000)),
        st.tuples(st.just("write"), st.binary(max_size=3000)),
        st.tuples(st.just("seek"), st.integers(0, 6000)),
        st.tuples(st.just("truncate"), st.integers(0, 6000)),
        st.tuples(st.just("readline"), st.just(-1)),
        st.tuples(st.just("peek"), st.just(1)),
    ),
    max_size=25,
)


@pytest.fixture(scope="module")
def piped():
    with SFTP(PipeSession(), timeout=20) as sftp:
        yield sftp


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CALLS)
def test_does_what_a_local_file_does(piped, tmp_path, calls):
    """Whatever is called in whatever order, results and content are those of a local file."""
    local, remote = tmp_path / "local", tmp_path / "remote"
    for path in (local, remote):
        path.write_bytes(bytes(range(256)) * 10)
    with open(local, "r+b") as ours, piped.open(remote, "r+b") as theirs:
        for name, argument in calls:
            expected, found = getattr(ours, name)(argument), getattr(theirs, name)(argument)
            if name == "peek":
                expected, found = expected[:1], found[:1]
            assert found == expected, name
            assert theirs.tell() == ours.tell(), name
    assert remote.read_bytes() == local.read_bytes()
