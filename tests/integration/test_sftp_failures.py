# SPDX-License-Identifier: LGPL-2.1-or-later
"""SFTP when something gives way: disks, connections, servers, sources and patience.

Always: an error that names the file and the byte, the old file as it was, and no litter where there is a way to remove it.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest

from pylibsshext.errors import LibsshException
from pylibsshext.sftp import SFTP, SFTPConnectionError, SFTPError, SFTPTimeout
from tests.lab.fixtures import missing

from .sftp_pipe import SERVER, PipeSession, connect

SIZE = 20_000_000


@pytest.fixture
def source(tmp_path):
    """A file of 20 MB, and old files where it is to go."""
    (tmp_path / "source").write_bytes(os.urandom(SIZE))
    for name in ("there", "back"):
        (tmp_path / name).write_bytes(b"old")
    return tmp_path / "source"


def names(directory):
    """What is in a directory, hidden files too."""
    return sorted(os.listdir(directory))


def untouched(directory):
    """Whether the old files are as they were, and nothing else is there."""
    old = {(directory / name).read_bytes() for name in ("there", "back")}
    return old == {b"old"} and names(directory) == ["back", "source", "there"]


def needs_root(what):
    """Give up a test that only root can do."""
    if os.getuid() != 0:
        missing(f"{what}: needs root")


def when_past(amount, action):
    """Return a progress callback that acts once when *amount* bytes are done."""
    done_already = []

    def progress(done, _total, _name):
        if done > amount and not done_already:
            done_already.append(True)
            action()

    return progress


# -- disks -------------------------------------------------------------------------------------------------------------


def test_full_disk_there(source, tmp_path):
    """A full disk on the server is ENOSPC, with the byte at which it was full; the old file stays."""
    needs_root("a small file system")
    small = tmp_path / "small"
    small.mkdir()
    script = f"mount -t tmpfs -o size=3m tmpfs {small} && echo old >{small}/x && exec {SERVER}"
    with SFTP(PipeSession("unshare", "-m", "sh", "-c", script), timeout=20) as sftp:
        with pytest.raises(SFTPError, match=r"writing '.*x' at byte \d+ failed.*No space left") as caught:
            sftp.put(source, small / "x")
        assert caught.value.errno == errno.ENOSPC
        assert 2_000_000 < caught.value.offset < 3_200_000
        assert sftp.listdir(small) == ["x"]
        with sftp.open(small / "x") as file:
            assert file.read() == b"old\n"


def test_limit_there(source, tmp_path):
    """A server that may write no larger file fails the transfer and leaves the old file."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))

    with SFTP(PipeSession(preexec_fn=limit), timeout=20) as sftp:
        with pytest.raises(SFTPError, match=r"writing '.*there' at byte \d+ failed") as caught:
            sftp.put(source, tmp_path / "there")
        assert caught.value.sftp_code == 4
        assert sftp.listdir(tmp_path)
    assert untouched(tmp_path)


@pytest.fixture
def quota(tmp_path):
    """A directory that may hold 10 MB, on a file system that has room for more. It has an old file."""
    needs_root("a file system with quotas")
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    directory = mounted / "home"
    with image.open("wb") as file:
        file.truncate(200 << 20)
    mounted.mkdir()
    subprocess.run(["mkfs.btrfs", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
    try:
        for command in (
            ["quota", "enable", mounted],
            ["subvolume", "create", directory],
            ["qgroup", "limit", "10M", directory],
        ):
            subprocess.run(["btrfs", *command], check=True, stdout=subprocess.DEVNULL)
        (directory / "x").write_bytes(b"old")
        yield directory
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_quota_there(source, quota):
    """A server's user who has used up a quota: the error names file and byte; the old file stays."""
    with SFTP(PipeSession(), timeout=20) as sftp, pytest.raises(SFTPError, match=r"writing '.*x' at byte \d+ failed") as caught:
        sftp.put(source, quota / "x")
    assert caught.value.sftp_code == 4  # OpenSSH has no code for it
    assert 5_000_000 < caught.value.offset < 11_000_000
    assert names(quota) == ["x"]
    assert (quota / "x").read_bytes() == b"old"


def test_quota_here(source, quota):
    """A quota on our side is the system's own error, with file and byte; the old file stays."""
    with (
        SFTP(PipeSession(), timeout=20) as sftp,
        pytest.raises(OSError, match=r"quota exceeded, writing byte \d+: '.*x'") as caught,
    ):
        sftp.get(source, quota / "x")
    assert (caught.value.errno, caught.value.filename) == (errno.EDQUOT, str(quota / "x"))
    assert names(quota) == ["x"]
    assert (quota / "x").read_bytes() == b"old"


def test_full_disk_here(source, tmp_path):
    """A full disk on our side is the system's own error; the old file stays."""
    script = f"""
import os, resource, signal, sys
sys.path.insert(0, {os.getcwd()!r})
from pylibsshext.sftp import SFTP
from tests.integration.sftp_pipe import PipeSession
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sftp = SFTP(PipeSession(), timeout=20)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
try:
    sftp.get({str(source)!r}, {str(tmp_path / "back")!r})
except OSError as exc:
    print(exc.errno)
sftp.close()
"""
    assert run(script) == str(errno.EFBIG)
    assert untouched(tmp_path)


@pytest.mark.parametrize("rtt", [0, 0.03])
def test_full_file_system_here(sshd, relay, source, tmp_path, rtt):
    """A full file system on our side is ENOSPC with file and byte, over one channel and over several; the old file stays."""
    needs_root("a small file system")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], check=True)
    try:
        (small / "x").write_bytes(b"old")
        far = relay(sshd, rtt=rtt)[0] if rtt else sshd
        with connect(far) as session, session.sftp() as sftp:
            for in_place in (False, True):
                with pytest.raises(OSError, match=r"No space left on device, writing byte \d+: '.*small/x'") as caught:
                    sftp.get(source, small / "x", atomic=not in_place)
                assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(small / "x"))
                assert names(small) == ["x"]
                assert in_place or (small / "x").read_bytes() == b"old"
            sftp.get(source, tmp_path / "back")
            assert (tmp_path / "back").read_bytes() == source.read_bytes()
    finally:
        subprocess.run(["umount", small], check=True)


def run(script):
    """Run a script in a process of its own; return what it prints."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# -- connections and servers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["put", "get"])
@pytest.mark.parametrize("how", ["cut", "hang_up"])
def test_connection_cut(sshd, relay, source, tmp_path, direction, how):
    """A connection that breaks in the middle is a ConnectionError with file and byte; the old file stays."""
    far, link = relay(sshd)
    with connect(far) as session:
        sftp = session.sftp()
        target = tmp_path / ("there" if direction == "put" else "back")
        progress = when_past(3_000_000, getattr(link, how))
        with pytest.raises(SFTPConnectionError) as caught:
            getattr(sftp, direction)(source, target, progress=progress)
        assert isinstance(caught.value, ConnectionError)
        assert caught.value.offset >= 3_000_000
        assert f"at byte {caught.value.offset}" in str(caught.value)
        assert target.read_bytes() == b"old"
        with pytest.raises(LibsshException):
            sftp.listdir(tmp_path)
        sftp.close()
    litter = [name for name in names(tmp_path) if name.endswith(".part")]
    assert len(litter) == (1 if direction == "put" else 0)  # on the server there is no way left to remove it


@pytest.mark.parametrize("direction", ["put", "get"])
def test_server_killed(source, tmp_path, direction):
    """A server process that dies in the middle is an error; the next call finds a new server, and no litter is left."""
    session = PipeSession()
    sftp = SFTP(session, timeout=20)
    target = tmp_path / ("there" if direction == "put" else "back")
    with pytest.raises(SFTPConnectionError, match=r"at byte \d+"):
        getattr(sftp, direction)(source, target, progress=when_past(3_000_000, session.channels[0].process.kill))
    assert untouched(tmp_path)
    assert len(sftp.listdir(tmp_path)) == 3
    sftp.close()


@pytest.mark.parametrize("direction", ["put", "get"])
def test_frozen_server(source, tmp_path, direction):
    """A server that stops answering is a time-out within the time that was allowed."""
    session = PipeSession()
    sftp = SFTP(session, timeout=0.5)
    process = session.channels[0].process
    stop = when_past(3_000_000, lambda: os.kill(process.pid, signal.SIGSTOP))
    start = time.monotonic()
    threading.Timer(3, lambda: os.kill(process.pid, signal.SIGCONT)).start()
    with pytest.raises(SFTPTimeout) as caught:
        getattr(sftp, direction)(source, tmp_path / ("there" if direction == "put" else "back"), progress=stop)
    assert isinstance(caught.value, TimeoutError)
    assert time.monotonic() - start < 4
    sftp.close()
    assert (tmp_path / "there").read_bytes() == (tmp_path / "back").read_bytes() == b"old"


@pytest.mark.parametrize("direction", ["put", "get"])
def test_interrupt(sshd, relay, source, tmp_path, direction):
    """Ctrl-C in the middle of a transfer comes out at once, leaves the old file and no litter; the object goes on working."""
    far, link = relay(sshd, rate=4e6)
    with connect(far) as session, session.sftp() as sftp:
        interrupt = when_past(1_000_000, lambda: signal.setitimer(signal.ITIMER_REAL, 0.05))
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        start = time.monotonic()
        try:
            with pytest.raises(KeyboardInterrupt):
                getattr(sftp, direction)(source, tmp_path / ("there" if direction == "put" else "back"), progress=interrupt)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert time.monotonic() - start < 4  # of 5
        link.set(rate=0)
        assert sftp.exists(source)
        wait_until_untouched(tmp_path)
        sftp.put(source, tmp_path / "there")


def wait_until_untouched(directory):
    """The server may still be at its work when we have stopped waiting."""
    deadline = time.monotonic() + 5
    while not untouched(directory) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert untouched(directory)


# -- permissions -------------------------------------------------------------------------------------------------------


@pytest.fixture
def as_nobody(tmp_path):
    """A server that runs as nobody, in directories that it can enter."""
    needs_root("a server of another user")
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == os.getuid() and not directory.stat().st_mode & 0o001:
            directory.chmod(directory.stat().st_mode | 0o011)
    with SFTP(PipeSession(user=65534, group=65534, extra_groups=[]), timeout=20) as sftp:
        yield sftp


def test_file_of_another_user(as_nobody, tmp_path):
    """A writable file of another user is written in place and stays that user's; atomic=True refuses."""
    (tmp_path / "source").write_bytes(b"new")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (shared / "x").write_bytes(b"old")
    (shared / "x").chmod(0o666)
    with pytest.raises(SFTPError):
        as_nobody.put(tmp_path / "source", shared / "x", atomic=True)
    assert (shared / "x").read_bytes() == b"old"
    as_nobody.put(tmp_path / "source", shared / "x")
    assert ((shared / "x").read_bytes(), (shared / "x").stat().st_uid) == (b"new", 0)
    as_nobody.listdir(shared)
    assert names(shared) == ["x"]


def test_directory_that_takes_no_files(as_nobody, tmp_path):
    """A writable file in a directory that is not is written in place; one that is not writable is a PermissionError."""
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / "x").chmod(0o666)
    (tmp_path / "y").write_bytes(b"old")
    as_nobody.put(tmp_path / "source", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"new"
    for name in ("y", "z"):
        with pytest.raises(PermissionError) as caught:
            as_nobody.put(tmp_path / "source", tmp_path / name)
        assert (caught.value.errno, caught.value.filename) == (errno.EACCES, str(tmp_path / name))
    (tmp_path / "source").chmod(0)
    with pytest.raises(PermissionError):
        as_nobody.get(tmp_path / "source", tmp_path / "back")
    assert names(tmp_path) == ["source", "x", "y"]


# -- sources that change -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["put", "get"])
def test_shrinking_source(source, tmp_path, direction):
    """A file that becomes shorter while it is copied is an error that tells both lengths."""
    with SFTP(PipeSession(), timeout=20) as sftp:
        cut = when_past(1_000_000, lambda: os.truncate(source, 1_500_000))
        with pytest.raises(SFTPError, match=r"ended at byte \d+ of 20000000: it became shorter"):
            getattr(sftp, direction)(source, tmp_path / ("there" if direction == "put" else "back"), progress=cut)
        sftp.listdir(tmp_path)
    assert untouched(tmp_path)


@pytest.mark.parametrize("direction", ["put", "get"])
def test_growing_source(source, tmp_path, direction):
    """A file that grows while it is copied gives a beginning of it, at least as long as it was."""
    target = tmp_path / ("there" if direction == "put" else "back")

    def grow():
        with open(source, "ab") as file:
            file.write(b"more" * 100_000)

    with SFTP(PipeSession(), timeout=20) as sftp:
        getattr(sftp, direction)(source, target, progress=when_past(1_000_000, grow))
    copied = target.read_bytes()
    assert SIZE <= len(copied) <= SIZE + 400_000
    assert source.read_bytes().startswith(copied)
