# SPDX-License-Identifier: LGPL-2.1-or-later
"""SFTP with OpenSSH's server: whole files there and back, what is kept, and what a failure leaves."""

from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
import threading
import time
from pathlib import Path, PurePosixPath

import pytest

from pylibsshext.errors import LibsshSFTPException
from pylibsshext.sftp import SFTP, SFTPError, SFTPFileExistsError, SFTPFileNotFoundError
from tests.lab.fixtures import missing

from .sftp_pipe import connect

SIZES = [0, 1, 32767, 32768, 32769, 261119, 261120, 261121, 3_000_000]


@pytest.fixture(scope="module")
def session(sshd):
    with connect(sshd) as session:
        yield session


@pytest.fixture
def sftp(session):
    with session.sftp() as sftp:
        yield sftp


def names(directory):
    """What is in a directory, hidden files too."""
    return sorted(os.listdir(directory))


@pytest.mark.parametrize("size", SIZES)
def test_there_and_back(sftp, tmp_path, size):
    """Files of every size arrive as they were, both ways, and nothing else is left."""
    content = os.urandom(size)
    (tmp_path / "source").write_bytes(content)
    assert sftp.put(tmp_path / "source", tmp_path / "there") is None
    assert sftp.get(str(tmp_path / "there"), str(tmp_path / "back")) is None
    assert (tmp_path / "there").read_bytes() == (tmp_path / "back").read_bytes() == content
    assert names(tmp_path) == ["back", "source", "there"]


def test_a_small_file_takes_few_round_trips(sshd, relay, tmp_path):
    """On a long line a small file takes three round trips, and five where it replaces another one."""
    far, _ = relay(sshd, rtt=0.4)
    (tmp_path / "source").write_bytes(b"content")
    with connect(far) as session, session.sftp() as sftp:
        sftp.put(tmp_path / "source", tmp_path / "first")
        for most in (4, 6):
            began = time.monotonic()
            sftp.put(tmp_path / "source", tmp_path / "there")
            assert time.monotonic() - began < 0.4 * most
    assert names(tmp_path) == ["first", "source", "there"]


def test_as_1_4_0_is_called(session, tmp_path):
    """The calls of 1.4.0, with its parameters' names, work; close may be called twice."""
    (tmp_path / "source").write_bytes(b"content")
    sftp = session.sftp()
    sftp.put(local_file=str(tmp_path / "source"), remote_file=str(tmp_path / "there"))
    sftp.get(remote_file=str(tmp_path / "there"), local_file=str(tmp_path / "back"))
    sftp.close()
    sftp.close()
    assert (tmp_path / "back").read_bytes() == b"content"
    with pytest.raises(LibsshSFTPException, match="closed"):
        sftp.put(str(tmp_path / "source"), str(tmp_path / "there"))


@pytest.mark.parametrize("path", ["/proc/cpuinfo", "/proc/self/status", "/sys/kernel/mm/transparent_hugepage/enabled"])
def test_files_without_a_true_size(sftp, tmp_path, path):
    """Files whose size the kernel does not tell arrive whole, either way."""
    if not os.path.exists(path):
        path = "/sys/kernel/uevent_seqnum"
    sftp.get(path, tmp_path / "back")
    sftp.put(path, tmp_path / "there")
    assert (tmp_path / "back").stat().st_size > 0
    assert len((tmp_path / "there").read_bytes().splitlines()) == len(Path(path).read_bytes().splitlines())


def test_large_file(sftp, tmp_path):
    """A file of 4 GiB and a byte, with a hole in it, arrives whole; memory stays flat."""
    size = (1 << 32) + 1
    with open(tmp_path / "source", "wb") as source:
        source.truncate(size)
        for offset in (0, 1 << 31, size - 3):
            source.seek(offset)
            source.write(b"abc")
    before = peak_memory()
    sftp.get(tmp_path / "source", tmp_path / "back")
    assert peak_memory() - before < 64 << 20
    assert subprocess.run(["cmp", tmp_path / "source", tmp_path / "back"], check=False).returncode == 0


def peak_memory():
    """The most memory that this process has had, in bytes."""
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


@pytest.mark.parametrize("name", ["spa ce", "-rf", "ünï", "new\nline", "it's", "$HOME", "a" * 255, "\udcff\udcfe", "~"])
def test_names(sftp, tmp_path, name):
    """Any name that a file system takes is a name, as text and in listings."""
    (tmp_path / "source").write_bytes(b"content")
    sftp.put(tmp_path / "source", f"{tmp_path}/{name}")
    assert name in names(tmp_path)
    assert name in sftp.listdir(str(tmp_path))
    sftp.get(os.fsencode(f"{tmp_path}/{name}"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"content"
    sftp.remove(f"{tmp_path}/{name}")
    assert names(tmp_path) == ["back", "source"]


def test_path_types(sftp, tmp_path):
    """Paths may be text, bytes or path objects of any kind; other things are a TypeError."""
    (tmp_path / "x").write_bytes(b"x")
    for path in (str(tmp_path), os.fsencode(tmp_path), tmp_path, PurePosixPath(tmp_path)):
        assert sftp.listdir(path) == ["x"]
    with pytest.raises(TypeError):
        sftp.listdir(3)
    with pytest.raises(ValueError, match="NUL"):
        sftp.stat("a\0b")


def test_file_objects(sftp, tmp_path):
    """File objects are sent from where they stand to their end, and filled."""
    source, back = io.BytesIO(b"0123456789" * 100_000), io.BytesIO()
    source.seek(3)
    sftp.put(source, tmp_path / "there")
    sftp.get(tmp_path / "there", back)
    assert back.getvalue() == source.getvalue()[3:]
    sftp.putfo(io.BytesIO(b"paramiko"), str(tmp_path / "there"))
    sftp.getfo(str(tmp_path / "there"), back := io.BytesIO())
    assert back.getvalue() == b"paramiko"


def test_pipe_as_source(sftp, tmp_path):
    """A pipe is sent to its end."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(b"x" * 200_000))
    writer.start()
    sftp.put(tmp_path / "pipe", tmp_path / "there")
    writer.join()
    assert (tmp_path / "there").stat().st_size == 200_000


# -- mode, times, owner ------------------------------------------------------------------------------------------------


def mode_of(path):
    """The permission bits of a file."""
    return stat.S_IMODE(os.stat(path).st_mode)


def test_new_file_gets_the_mode_of_its_source(sftp, tmp_path):
    """A new file has the mode of the other one, within the umask: not 0700, not 0600."""
    source = tmp_path / "source"
    source.write_bytes(b"x")
    source.chmod(0o754)
    sftp.put(source, tmp_path / "there")
    sftp.get(source, tmp_path / "back")
    mask = os.umask(0)
    os.umask(mask)
    assert mode_of(tmp_path / "there") == mode_of(tmp_path / "back") == 0o754 & ~mask


def test_replaced_file_keeps_its_mode(sftp, tmp_path):
    """A file that is replaced keeps its own mode."""
    (tmp_path / "source").write_bytes(b"new")
    for name in ("there", "back"):
        (tmp_path / name).write_bytes(b"old")
        (tmp_path / name).chmod(0o604)
    sftp.put(tmp_path / "source", tmp_path / "there")
    sftp.get(tmp_path / "source", tmp_path / "back")
    assert (tmp_path / "there").read_bytes() == (tmp_path / "back").read_bytes() == b"new"
    assert mode_of(tmp_path / "there") == mode_of(tmp_path / "back") == 0o604


def test_replaced_file_keeps_its_owner(sftp, tmp_path):
    """A file that is replaced stays its owner's."""
    if os.getuid() != 0:
        missing("root, who alone can make files of others")
    (tmp_path / "source").write_bytes(b"new")
    for name in ("there", "back"):
        (tmp_path / name).write_bytes(b"old")
        os.chown(tmp_path / name, 1234, 2345)
    sftp.put(tmp_path / "source", tmp_path / "there")
    sftp.get(tmp_path / "source", tmp_path / "back")
    for name in ("there", "back"):
        found = os.stat(tmp_path / name)
        assert (found.st_uid, found.st_gid, (tmp_path / name).read_bytes()) == (1234, 2345, b"new")


def test_preserve_and_mode(sftp, tmp_path):
    """preserve keeps mode and times, mode= sets the mode whatever the umask."""
    source = tmp_path / "source"
    source.write_bytes(b"x")
    source.chmod(0o777)
    os.utime(source, (1_000_000_000, 1_100_000_000))
    sftp.put(source, tmp_path / "there", preserve=True)
    os.utime(source, (1_000_000_000, 1_100_000_000))  # the kernel has noted that it was read
    sftp.get(source, tmp_path / "back", preserve=True)
    for name in ("there", "back"):
        found = os.stat(tmp_path / name)
        assert (stat.S_IMODE(found.st_mode), found.st_atime, found.st_mtime) == (0o777, 1_000_000_000, 1_100_000_000)
    sftp.put(source, tmp_path / "there", mode=0o666)
    sftp.get(source, tmp_path / "back", mode=0o666)
    assert mode_of(tmp_path / "there") == mode_of(tmp_path / "back") == 0o666


# -- what a target may be ----------------------------------------------------------------------------------------------


def test_link_stays_a_link(sftp, tmp_path):
    """Where the target is a symbolic link, what it points to is replaced, also if that is not there yet."""
    (tmp_path / "source").write_bytes(b"new")
    for link, real in (("putlink", "there"), ("getlink", "back"), ("dangling", "fresh")):
        (tmp_path / link).symlink_to(real)
        if link != "dangling":
            (tmp_path / real).write_bytes(b"old")
    sftp.put(tmp_path / "source", tmp_path / "putlink")
    sftp.get(tmp_path / "source", tmp_path / "getlink")
    sftp.put(tmp_path / "source", tmp_path / "dangling")
    for link, real in (("putlink", "there"), ("getlink", "back"), ("dangling", "fresh")):
        assert os.readlink(tmp_path / link) == real
        assert (tmp_path / real).read_bytes() == b"new"
    assert len(names(tmp_path)) == 7


def test_devices_are_written_in_place(sftp, tmp_path):
    """/dev/null stays what it is; atomic=True refuses it."""
    (tmp_path / "source").write_bytes(b"x")
    sftp.put(tmp_path / "source", "/dev/null", preserve=True)
    sftp.get(tmp_path / "source", "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(SFTPError, match="cannot be replaced in one step"):
        sftp.put(tmp_path / "source", "/dev/null", atomic=True)


def test_in_place_on_demand(sftp, tmp_path):
    """With atomic=False the file stays the same file: other names of it see the new content."""
    (tmp_path / "source").write_bytes(b"new")
    for name in ("there", "back"):
        (tmp_path / name).write_bytes(b"old, and longer")
        os.link(tmp_path / name, tmp_path / f"{name}2")
    sftp.put(tmp_path / "source", tmp_path / "there", atomic=False)
    sftp.get(tmp_path / "source", tmp_path / "back", atomic=False)
    assert (tmp_path / "there2").read_bytes() == (tmp_path / "back2").read_bytes() == b"new"


def test_directories_are_no_targets(sftp, tmp_path):
    """A directory as source or target is an error that says so."""
    (tmp_path / "source").write_bytes(b"x")
    for transfer in (
        lambda: sftp.put(tmp_path / "source", tmp_path),
        lambda: sftp.put(tmp_path, tmp_path / "there"),
        lambda: sftp.get(tmp_path / "source", tmp_path),
        lambda: sftp.get(tmp_path, tmp_path / "back"),
    ):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the errno is tested
            transfer()
        assert caught.value.errno == errno.EISDIR
    assert names(tmp_path) == ["source"]


def test_pipe_as_target(sftp, tmp_path):
    """A file goes into a pipe in order."""
    data = os.urandom(3 << 20)
    (tmp_path / "there").write_bytes(data)
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    sftp.get(tmp_path / "there", tmp_path / "pipe")
    reader.join(20)
    assert read == [data]


def test_remote_pipe_is_refused(sftp, tmp_path):
    """A pipe on the server is refused: opening it would stop the server."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SFTPError, match="is a pipe"):
        sftp.get(tmp_path / "pipe", tmp_path / "back")
    assert sftp.listdir(tmp_path) == ["pipe"]


def test_missing_files(sftp, tmp_path):
    """What is missing, here or there, is a FileNotFoundError with its name; the connection lives on."""
    (tmp_path / "source").write_bytes(b"x")
    for transfer, name in (
        (lambda: sftp.get("/no/such", tmp_path / "back"), "/no/such"),
        (lambda: sftp.put(tmp_path / "source", "/no/such"), "/no/such"),
        (lambda: sftp.put("/no/such", tmp_path / "there"), "/no/such"),
        (lambda: sftp.get(tmp_path / "source", "/no/such"), None),
    ):
        with pytest.raises(FileNotFoundError) as caught:
            transfer()
        assert caught.value.errno == errno.ENOENT
        assert name in {None, caught.value.filename}
    assert names(tmp_path) == ["source"]


def test_progress(sftp, tmp_path):
    """progress sees the beginning, every step and the end, by name."""
    (tmp_path / "source").write_bytes(b"x" * 1_000_000)
    for transfer, name in (
        (lambda seen: sftp.put(tmp_path / "source", tmp_path / "there", progress=lambda *now: seen.append(now)), "source"),
        (lambda seen: sftp.get(tmp_path / "there", tmp_path / "back", progress=lambda *now: seen.append(now)), "there"),
    ):
        seen = []
        transfer(seen)
        assert (seen[0][0], seen[-1][0]) == (0, 1_000_000)
        assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
        assert {(total, shown) for _, total, shown in seen} == {(1_000_000, str(tmp_path / name))}


def test_progress_that_raises_ends_the_transfer(sftp, tmp_path):
    """An exception of the callback comes out, and the transfer leaves nothing."""
    (tmp_path / "source").write_bytes(b"x" * 1_000_000)

    def stop(done, total, name):
        if done:
            raise RuntimeError("enough")

    for transfer in (
        lambda: sftp.put(tmp_path / "source", tmp_path / "there", progress=stop),
        lambda: sftp.get(tmp_path / "source", tmp_path / "back", progress=stop),
    ):
        with pytest.raises(RuntimeError, match="enough"):
            transfer()
    assert names(tmp_path) == ["source"]


# -- resume ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def interrupted(sftp, tmp_path):
    """Interrupt a resumable transfer in the middle; return its direction and the resuming function."""
    content = os.urandom(3_000_000)
    (tmp_path / "source").write_bytes(content)
    (tmp_path / "target").write_bytes(b"old")

    def transfer(direction, **options):
        getattr(sftp, direction)(tmp_path / "source", tmp_path / "target", resume=True, **options)

    def stop(done, total, name):
        if done > 1_000_000:
            raise RuntimeError("enough")

    return transfer, stop, content, lambda: sftp.stat(tmp_path / ".target.part").st_size


@pytest.mark.parametrize("direction", ["put", "get"])
def test_resume(interrupted, tmp_path, direction):
    """An interrupted transfer leaves the old file and goes on where it stopped."""
    transfer, stop, content, held_by_server = interrupted
    with pytest.raises(RuntimeError):
        transfer(direction, progress=stop)
    assert (tmp_path / "target").read_bytes() == b"old"
    assert names(tmp_path) == [".target.part", "source", "target"]
    held = held_by_server()
    assert 1_000_000 < held < 3_000_000
    seen = []
    transfer(direction, progress=lambda done, *_: seen.append(done))
    assert seen[0] == held
    assert (tmp_path / "target").read_bytes() == content
    assert names(tmp_path) == ["source", "target"]


@pytest.mark.parametrize("direction", ["put", "get"])
def test_resume_of_another_file(interrupted, tmp_path, direction):
    """A partial file that does not match the source is not continued."""
    transfer, stop, _, _ = interrupted
    with pytest.raises(RuntimeError):
        transfer(direction, progress=stop)
    (tmp_path / "source").write_bytes(other := os.urandom(2_500_000))
    transfer(direction)
    assert (tmp_path / "target").read_bytes() == other


@pytest.mark.parametrize("direction", ["put", "get"])
@pytest.mark.parametrize("held", [0, 1, 1_000_000, 3_000_000, 3_000_001])
def test_resume_in_place(sftp, tmp_path, direction, held):
    """With atomic=False the target itself is continued, or cut if it is longer."""
    content = os.urandom(3_000_000)
    (tmp_path / "source").write_bytes(content)
    (tmp_path / "target").write_bytes((content + b"x")[:held])
    getattr(sftp, direction)(tmp_path / "source", tmp_path / "target", resume=True, atomic=False)
    assert (tmp_path / "target").read_bytes() == content


def test_planted_partial_file(sftp, tmp_path):
    """A link under the partial file's name is not followed."""
    (tmp_path / "source").write_bytes(b"secret")
    (tmp_path / ".target.part").symlink_to("elsewhere")
    with pytest.raises(OSError):  # noqa: PT011 - one end says ELOOP, the other EEXIST
        sftp.put(tmp_path / "source", tmp_path / "target", resume=True, atomic=True)
    with pytest.raises(OSError):  # noqa: PT011
        sftp.get(tmp_path / "source", tmp_path / "target", resume=True)
    assert names(tmp_path) == [".target.part", "source"]


def test_options_that_file_objects_cannot_have(sftp, tmp_path):
    """resume and preserve with a file object are a ValueError, and unknown options a TypeError."""
    with pytest.raises(ValueError, match="local path"):
        sftp.put(io.BytesIO(), tmp_path / "x", resume=True)
    with pytest.raises(ValueError, match="local path"):
        sftp.get(tmp_path / "x", io.BytesIO(), preserve=True)
    with pytest.raises(TypeError):
        sftp.put("a", "b", preserv=True)


# -- names -------------------------------------------------------------------------------------------------------------


def test_stat(sftp, tmp_path):
    """stat follows links, lstat does not, and both have the names of os.stat_result."""
    (tmp_path / "x").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("x")
    os.utime(tmp_path / "x", (10, 20))
    found = sftp.stat(tmp_path / "link")
    assert (found.st_size, found.st_atime, found.st_mtime, found.st_uid) == (5, 10, 20, os.getuid())
    assert found.is_file()
    assert sftp.lstat(tmp_path / "link").is_symlink()
    assert sftp.stat(tmp_path).is_dir()
    assert sftp.exists(tmp_path / "x")
    assert not sftp.exists(tmp_path / "y")


def test_changing_attributes(sftp, tmp_path):
    """chmod, chown, utime and truncate change what they say."""
    (tmp_path / "x").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("x")
    sftp.chmod(tmp_path / "x", 0o600)
    sftp.utime(tmp_path / "x", (10, 20))
    sftp.truncate(tmp_path / "x", 3)
    sftp.chown(tmp_path / "x", os.getuid(), os.getgid())
    found = os.stat(tmp_path / "x")
    assert (stat.S_IMODE(found.st_mode), found.st_size, found.st_atime) == (0o600, 3, 10)
    sftp.utime(tmp_path / "link", (30, 40), follow_symlinks=False)
    assert (os.lstat(tmp_path / "link").st_mtime, os.stat(tmp_path / "x").st_mtime != 40) == (40, True)
    sftp.utime(tmp_path / "x")
    assert os.stat(tmp_path / "x").st_mtime > 1_000_000_000


def test_listings(sftp, tmp_path):
    """A directory of a thousand files is listed whole, with attributes, three ways; walk goes below it."""
    wanted = sorted(f"{number:04}" for number in range(1000))
    for name in wanted:
        (tmp_path / name).touch()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "x").touch()
    (tmp_path / "link").symlink_to("below")
    assert sorted(sftp.listdir(tmp_path)) == [*wanted, "below", "link"]
    assert {entry.filename: entry.is_dir() for entry in sftp.listdir_attr(tmp_path)}["below"] is True
    assert sorted(entry.filename for entry in sftp.iterdir(tmp_path)) == [*wanted, "below", "link"]
    walked = [(top, sorted(dirs), len(files)) for top, dirs, files in sftp.walk(tmp_path)]
    assert walked == [(str(tmp_path), ["below", "link"], 1000), (str(tmp_path / "below"), [], 1)]
    assert [top for top, _, _ in sftp.walk(tmp_path, topdown=False)] == [str(tmp_path / "below"), str(tmp_path)]
    assert len(list(sftp.walk(tmp_path, followlinks=True))) == 3


def test_walk_can_be_pruned(sftp, tmp_path):
    """As with os.walk, what is taken out of the list of directories is not entered."""
    for name in ("a/b", "c/d"):
        (tmp_path / name).mkdir(parents=True)
    seen = []
    for top, dirs, _ in sftp.walk(str(tmp_path)):
        seen.append(os.path.relpath(top, tmp_path))
        if "a" in dirs:
            dirs.remove("a")
    assert seen == [".", "c", "c/d"]


def test_making_and_removing_directories(sftp, tmp_path):
    """mkdir, makedirs and rmdir work, and their errors are those of os."""
    sftp.mkdir(tmp_path / "a", 0o700)
    assert mode_of(tmp_path / "a") == 0o700
    sftp.makedirs(tmp_path / "a" / "b" / "c")
    sftp.makedirs(tmp_path / "a" / "b" / "c", exist_ok=True)
    with pytest.raises(SFTPFileExistsError):
        sftp.makedirs(tmp_path / "a" / "b" / "c")
    with pytest.raises(FileExistsError):
        sftp.mkdir(tmp_path / "a")
    with pytest.raises(OSError, match="removing directory") as caught:
        sftp.rmdir(tmp_path / "a")
    assert caught.value.errno == errno.ENOTEMPTY
    sftp.rmdir(tmp_path / "a" / "b" / "c")
    with pytest.raises(SFTPFileNotFoundError):
        sftp.rmdir(tmp_path / "a" / "b" / "c")


def test_names_and_links(sftp, tmp_path):
    """rename replaces, link and symlink make names, readlink, normalize and expand read them."""
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    sftp.rename(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"a"
    sftp.symlink("b", tmp_path / "soft")
    assert os.readlink(tmp_path / "soft") == sftp.readlink(tmp_path / "soft") == "b"
    sftp.link(tmp_path / "b", tmp_path / "hard")
    assert os.path.samefile(tmp_path / "b", tmp_path / "hard")
    assert sftp.normalize(tmp_path / "soft") == str((tmp_path / "b").resolve())
    assert sftp.expand("~/x") == sftp.normalize(".") + "/x"
    sftp.unlink(tmp_path / "soft")
    assert names(tmp_path) == ["b", "hard"]


def test_what_the_server_offers(sftp, tmp_path):
    """Extensions, limits and the file system can be asked for; what is not offered is EOPNOTSUPP."""
    assert sftp.extensions["posix-rename@openssh.com"] == b"1"
    assert sftp.limits.max_write_length == 261120
    here, there = os.statvfs(tmp_path), sftp.statvfs(tmp_path)
    assert (there.f_frsize, there.f_blocks, there.f_namemax) == (here.f_frsize, here.f_blocks, here.f_namemax)
    with pytest.raises(SFTPError, match="does not offer check-file") as caught:
        sftp.checksum(tmp_path)
    assert caught.value.errno == errno.EOPNOTSUPP


def test_copy_on_the_server(sftp, tmp_path):
    """copy lets the server copy; the data does not travel."""
    content = os.urandom(1_000_000)
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "a").chmod(0o640)
    sftp.copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == content
    assert mode_of(tmp_path / "b") == 0o640


def test_threads_share_an_sftp(sftp, tmp_path):
    """Eight threads move files both ways over one channel at once, and each file is right."""
    content = {number: os.urandom(700_000 + number) for number in range(8)}
    failures = []

    def work(number):
        try:
            (tmp_path / f"source{number}").write_bytes(content[number])
            for _ in range(3):
                sftp.put(tmp_path / f"source{number}", tmp_path / f"there{number}")
                sftp.get(tmp_path / f"there{number}", tmp_path / f"back{number}")
                assert (tmp_path / f"back{number}").read_bytes() == content[number]
        except BaseException as exc:  # noqa: BLE001 - it is shown by the test's own thread
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)


def test_server_without_sftp(new_sshd):
    """A server without the subsystem is an SFTP error that says so; the session lives on."""
    with connect(new_sshd(sftp=False)) as session:
        with pytest.raises(LibsshSFTPException, match="starting SFTP failed"):
            session.sftp()
        assert session.exec_command("echo here").stdout == b"here\n"


def test_other_command(session, tmp_path):
    """The server may be any command, as with sftp -s."""
    with SFTP(session, command="/usr/lib/openssh/sftp-server -R") as sftp, pytest.raises(PermissionError):
        sftp.mkdir(tmp_path / "x")
