# SPDX-License-Identifier: LGPL-2.1-or-later
"""Property: whatever a file is called, whatever is in it and whatever its mode, it arrives as it was, by SFTP and by SCP."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from pylibsshext.sftp import SFTP

from .sftp_pipe import PipeSession, connect

#: Anything that a file system takes: not all of it is UTF-8.
NAMES = st.binary(min_size=1, max_size=60).filter(lambda name: not {0, ord("/")} & set(name) and name not in {b".", b".."})
#: The owner may read and, for a directory, enter: what is not readable can't be copied back.
MODES = st.integers(0, 0o777).map(lambda mode: mode | 0o600)
CONTENTS = st.one_of(st.binary(max_size=300), st.integers(0, 600_000).map(os.urandom))
FILES = st.dictionaries(NAMES, st.tuples(MODES, CONTENTS), min_size=1, max_size=5)


def make(directory: Path, files) -> None:
    """Make the files."""
    directory.mkdir()
    for name, (mode, content) in files.items():
        path = os.path.join(os.fsencode(directory), name)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)


def found(directory: Path):
    """Return what is in a directory, in the form of FILES."""
    top = os.fsencode(directory)
    paths = {name: os.path.join(top, name) for name in os.listdir(top)}
    return {name: (stat.S_IMODE(os.stat(path).st_mode), Path(os.fsdecode(path)).read_bytes()) for name, path in paths.items()}


def there_and_back(protocol, files):
    """Send a tree and fetch it again, and compare."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        make(place / "source", files)
        protocol.put(place / "source", place / "there", recursive=True, preserve=True)
        protocol.get(place / "there", place / "back", recursive=True, preserve=True)
        assert found(place / "there") == found(place / "back") == files


@pytest.fixture(scope="module")
def sftp():
    with SFTP(PipeSession()) as sftp:
        yield sftp


@pytest.fixture(scope="module")
def scp(sshd):
    with connect(sshd) as session:
        yield session.scp()


@given(FILES)
@settings(deadline=None, max_examples=40)
def test_sftp_trees(sftp, files):
    """Trees go there and come back with every name, mode and byte."""
    there_and_back(sftp, files)


@given(NAMES, MODES, CONTENTS)
@settings(deadline=None, max_examples=40)
def test_sftp_files(sftp, name, mode, content):
    """A file replaces another one under any name, and the other one's mode stays unless it is to be set."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        make(place / "source", {name: (mode, content)})
        make(place / "there", {name: (0o640, b"old")})
        source, target = (os.path.join(os.fsencode(place), part, name) for part in (b"source", b"there"))
        sftp.put(source, target)
        assert found(place / "there") == {name: (0o640, content)}
        sftp.put(source, target, mode=mode)
        assert found(place / "there") == {name: (mode, content)}
        assert [entry.filename for entry in sftp.listdir_attr(place / "there")] == [os.fsdecode(name)]


@given(st.dictionaries(NAMES.filter(lambda name: b"\n" not in name), st.tuples(MODES, CONTENTS), min_size=1, max_size=3))
@settings(deadline=None, max_examples=15)
def test_scp_trees(scp, files):
    """The same by SCP, whose protocol has no way to send a name with a line end."""
    there_and_back(scp, files)
