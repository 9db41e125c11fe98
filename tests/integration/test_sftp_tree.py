# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whole directories by SFTP, either way."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from pylibsshext._sftp import tree
from pylibsshext.sftp import Observer, SFTPError

from .sftp_pipe import connect


@pytest.fixture(scope="module")
def sftp(sshd):
    with connect(sshd) as session, session.sftp() as sftp:
        yield sftp


@pytest.fixture(params=["put", "get"])
def transfer(request, sftp):
    """put or get: from a local directory to another, with the server in between."""
    return getattr(sftp, request.param)


@pytest.fixture
def source(tmp_path):
    """A tree with all that a tree has."""
    top = tmp_path / "source"
    (top / "a" / "b").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "ünï cöde").mkdir()
    for number in range(150):
        (top / "a" / f"{number}.cfg").write_bytes(b"%d\n" % number)
    (top / "a" / "b" / "large.bin").write_bytes(os.urandom(1_200_000))
    (top / "a" / "b" / "nothing").touch()
    (top / "ünï cöde" / "x y").write_bytes(b"x")
    (top / "link").symlink_to("a/1.cfg")
    (top / "a" / "up").symlink_to("../ünï cöde")
    (top / "dangling").symlink_to("/no/such/file")
    return top


def content(top):
    """What a tree holds: path -> bytes, a link's target, or None for a directory."""
    found = {}
    for directory, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, top)
            if os.path.islink(path):
                found[relative] = os.readlink(path)
            elif os.path.isdir(path):
                found[relative] = None
            else:
                with open(path, "rb") as file:
                    found[relative] = file.read()
    return found


def test_there(transfer, source, tmp_path):
    """A tree arrives with its files, empty directories and links; a second time changes nothing."""
    for _ in range(2):
        transfer(source, tmp_path / "target", recursive=True)
        assert content(tmp_path / "target") == content(source)


def test_into_a_directory_with_other_files(transfer, source, tmp_path):
    """What is in the target already stays, unless the tree has the same name."""
    (tmp_path / "target" / "a").mkdir(parents=True)
    (tmp_path / "target" / "a" / "mine").write_bytes(b"mine")
    (tmp_path / "target" / "a" / "1.cfg").write_bytes(b"old")
    (tmp_path / "target" / "link").symlink_to("elsewhere")
    transfer(source, tmp_path / "target", recursive=True)
    assert content(tmp_path / "target") == {**content(source), "a/mine": b"mine"}


def test_preserve(transfer, source, tmp_path):
    """preserve keeps the modes and times of files and directories, read-only directories too."""
    (source / "a" / "1.cfg").chmod(0o440)
    (source / "a" / "b").chmod(0o555)
    for path in (source / "a" / "1.cfg", source / "a" / "b", source / "a", source):
        os.utime(path, (1_000_000_000, 1_100_000_000))
    transfer(source, tmp_path / "target", recursive=True, preserve=True)
    for relative in ("a/1.cfg", "a/b", "a", ""):
        ours, theirs = os.stat(source / relative), os.stat(tmp_path / "target" / relative)
        assert (stat.S_IMODE(theirs.st_mode), theirs.st_mtime) == (stat.S_IMODE(ours.st_mode), 1_100_000_000)


def test_symlinks_follow(transfer, source, tmp_path):
    """symlinks="follow" copies what links point to; a link to nothing is an error."""
    with pytest.raises(FileNotFoundError):
        transfer(source, tmp_path / "target", recursive=True, symlinks="follow")
    (source / "dangling").unlink()
    transfer(source, tmp_path / "target", recursive=True, symlinks="follow")
    found = content(tmp_path / "target")
    assert (found["link"], found["a/up"], found["a/up/x y"]) == (b"1\n", None, b"x")


def test_loop_of_links(transfer, source, tmp_path):
    """A directory that holds a link to itself ends with ELOOP instead of a full disk."""
    (source / "dangling").unlink()
    (source / "a" / "loop").symlink_to("..")
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the errno is tested
        transfer(source, tmp_path / "target", recursive=True, symlinks="follow")
    assert caught.value.errno == errno.ELOOP


def test_symlinks_skip(transfer, source, tmp_path):
    """symlinks="skip" leaves links out; another word is a ValueError."""
    transfer(source, tmp_path / "target", recursive=True, symlinks="skip")
    assert content(tmp_path / "target") == {name: data for name, data in content(source).items() if not isinstance(data, str)}
    with pytest.raises(ValueError, match="symlinks is"):
        transfer(source, tmp_path / "target", recursive=True, symlinks="maybe")


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ("7*.cfg", None, 11),
        (["1.cfg", "2.cfg"], None, 2),
        (None, "*.cfg", 3),
        ("*.cfg", "a/1??.cfg", 100),
        (None, ["a"], 1),
        ("a/b/*", None, 2),
    ],
)
def test_include_and_exclude(transfer, source, tmp_path, include, exclude, expected):
    """Patterns choose files by name, or by path from the top; an excluded directory is not entered."""
    transfer(source, tmp_path / "target", recursive=True, symlinks="skip", include=include, exclude=exclude)
    files = [name for name, data in content(tmp_path / "target").items() if data is not None]
    assert len(files) == expected


def test_special_files_are_left_out(transfer, source, tmp_path, caplog):
    """Pipes are left out, with a warning in the log."""
    os.mkfifo(source / "pipe")
    transfer(source, tmp_path / "target", recursive=True)
    assert not (tmp_path / "target" / "pipe").exists()
    assert "pipe" in caplog.text


def test_a_file_that_fails_ends_it(transfer, source, tmp_path):
    """A file that can't be written ends the transfer with that file's name, and leaves no temporary files."""
    (tmp_path / "target" / "a" / "7.cfg").mkdir(parents=True)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the errno is tested
        transfer(source, tmp_path / "target", recursive=True)
    assert caught.value.errno == errno.EISDIR
    assert str(caught.value.filename).endswith("7.cfg")
    assert not [name for name in content(tmp_path / "target") if name.endswith(".part")]


def test_recursive_with_a_file(transfer, source, tmp_path):
    """recursive=True with a plain file copies the file."""
    transfer(source / "a" / "1.cfg", tmp_path / "target", recursive=True)
    assert (tmp_path / "target").read_bytes() == b"1\n"


def test_missing_tree(sftp, tmp_path):
    """A missing directory, or one whose parent is missing, is FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        sftp.get("/no/such", tmp_path / "x", recursive=True)
    with pytest.raises(FileNotFoundError):
        sftp.put("/no/such", tmp_path / "x", recursive=True)
    (tmp_path / "dir").mkdir()
    with pytest.raises(FileNotFoundError):
        sftp.put(tmp_path / "dir", "/no/such/dir", recursive=True)
    with pytest.raises(SFTPError, match="making directory"):
        sftp.put(tmp_path / "dir", "/dev/null", recursive=True)


def test_progress_of_a_tree(transfer, source, tmp_path):
    """progress tells of every file by its name, to its end."""
    last = {}
    transfer(source, tmp_path / "target", recursive=True, progress=lambda done, total, name: last.update({name: (done, total)}))
    assert len(last) == 153
    assert all(done == total for done, total in last.values())
    assert last[str(source / "a" / "b" / "large.bin")] == (1_200_000, 1_200_000)


def test_few_handles(sftp, source, tmp_path, monkeypatch):
    """A tree goes through a server that has two handles, one file at a time."""
    monkeypatch.setattr(tree, "at_once", lambda _client: 1)
    sftp.put(source, tmp_path / "target", recursive=True)
    assert content(tmp_path / "target") == content(source)


class Witness(Observer):
    """An observer that lets the others go on."""

    def __init__(self):
        self.plan = None
        self.done = {}
        self.failures = {}

    def __call__(self, done, total, name):
        self.done[name] = done

    def planned(self, size, files):
        self.plan = size, files

    def ended(self, name):
        self.done[name] = "ended"

    def failed(self, name, error):
        self.failures[name] = error.errno
        return True


@pytest.mark.parametrize("direction", ["put", "get"])
def test_an_observer_may_let_the_others_go_on(sftp, tmp_path, direction):
    """It learns what is to come and how each file ended; a failure is one file's, and leaves nothing unfinished."""
    (tmp_path / "source").mkdir()
    for number in range(5):
        (tmp_path / "source" / f"{number}").write_bytes(b"x" * number)
    (tmp_path / "target/3").mkdir(parents=True)  # a directory in the way of a file
    witness = Witness()
    getattr(sftp, direction)(tmp_path / "source", tmp_path / "target", recursive=True, progress=witness)
    assert witness.plan == (10, 5)
    assert witness.failures == {f"{tmp_path}/source/3": errno.EISDIR}
    assert witness.done == {f"{tmp_path}/source/{number}": "ended" for number in (0, 1, 2, 4)}
    assert sorted(os.listdir(tmp_path / "target")) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("direction", ["put", "get"])
def test_many_files_at_once(sftp, tmp_path, direction):
    """Pairs of paths are copied each to its own target; without an observer the first failure ends it."""
    pairs = [(tmp_path / f"{number}", tmp_path / f"copy of {number}") for number in range(100)]
    for source, _ in pairs:
        source.write_bytes(os.urandom(3000))
    copy = getattr(sftp, f"{direction}_files")
    copy(pairs, most=30)
    assert all(source.read_bytes() == target.read_bytes() for source, target in pairs)
    with pytest.raises(FileNotFoundError):
        copy([(tmp_path / "missing", tmp_path / "x")])
