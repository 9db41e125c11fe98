# SPDX-License-Identifier: LGPL-2.1-or-later
"""SCP with OpenSSH's own scp at the other end, with one that lies, and with one that does as devices do."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from pathlib import Path

import pytest

from pylibsshext.errors import LibsshSCPException
from pylibsshext.scp import SCP, SCPConnectionError, SCPError, SCPFileNotFoundError, SCPProtocolError, SCPTimeout

from .sftp_pipe import connect

STAND_IN = Path(__file__).with_name("scp_stand_in.py")


@pytest.fixture(scope="module")
def session(sshd):
    with connect(sshd) as session:
        yield session


@pytest.fixture
def scp(session):
    return session.scp()


@pytest.fixture
def stand_in(session, tmp_path):
    """Return an SCP whose remote program behaves as it is told."""

    def new(behaviour, timeout=20):
        return SCP(session, timeout=timeout, command=f"STORE={tmp_path} {sys.executable} {STAND_IN} {behaviour}")

    return new


def names(directory):
    """What is in a directory, hidden files too."""
    return sorted(os.listdir(directory))


@pytest.mark.parametrize("size", [0, 1, 65536, 262144, 3_000_001])
def test_there_and_back(scp, tmp_path, size):
    """Files of every size, 0 included, arrive as they were; both calls return 0, as in 1.4.0."""
    content = os.urandom(size)
    (tmp_path / "source").write_bytes(content)
    assert scp.put(str(tmp_path / "source"), str(tmp_path / "there")) == 0
    assert scp.get(str(tmp_path / "there"), str(tmp_path / "back")) == 0
    assert (tmp_path / "there").read_bytes() == (tmp_path / "back").read_bytes() == content
    assert names(tmp_path) == ["back", "source", "there"]


def test_as_1_4_0_is_called(scp, tmp_path):
    """The names of 1.4.0's parameters work."""
    (tmp_path / "source").write_bytes(b"content")
    assert scp.put(local_file=str(tmp_path / "source"), remote_file=str(tmp_path / "there")) == 0
    assert scp.get(remote_file=str(tmp_path / "there"), local_file=str(tmp_path / "back")) == 0


@pytest.mark.parametrize(
    "name",
    ["spa ce", "-rf", "ünï", "it's", "$HOME", "a;b", "`id`", "~", "*", "\udcff", "flash:image.bin", "a" * 250, "\\x", '"'],
)
def test_names(scp, tmp_path, name):
    """Names go out as they are, whatever a shell would make of them."""
    (tmp_path / "source").write_bytes(b"content")
    scp.put(tmp_path / "source", f"{tmp_path}/{name}")
    assert name in names(tmp_path)
    scp.get(f"{tmp_path}/{name}", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["-rf", "flash:image.bin", "~", "sp ace"])
def test_relative_names(session, scp, tmp_path, name):
    """A relative name is below the home directory, also one that looks like an option or a host."""
    (tmp_path / "source").write_bytes(b"content")
    scp.put(tmp_path / "source", name)
    with session.sftp() as sftp:
        assert name in sftp.listdir(".")
        scp.get(name, tmp_path / "back")
        sftp.remove(name)
    assert (tmp_path / "back").read_bytes() == b"content"


def test_mode(scp, tmp_path):
    """New files get the mode of the source within the umask, or mode=; a local file that is replaced keeps its own."""
    source = tmp_path / "source"
    source.write_bytes(b"x")
    source.chmod(0o754)
    scp.put(source, tmp_path / "there")
    scp.get(source, tmp_path / "back")
    scp.put(source, tmp_path / "there2", mode=0o600)
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "old").chmod(0o604)
    scp.get(source, tmp_path / "old")
    mask = os.umask(0)
    os.umask(mask)
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("there", "back", "there2", "old")]
    assert modes == [0o754 & ~mask, 0o754 & ~mask, 0o600, 0o604]


def test_preserve(scp, tmp_path):
    """preserve keeps mode and times."""
    source = tmp_path / "source"
    source.write_bytes(b"x")
    source.chmod(0o777)
    os.utime(source, (1_000_000_000, 1_100_000_000))
    scp.put(source, tmp_path / "there", preserve=True)
    scp.get(source, tmp_path / "back", preserve=True)
    for name in ("there", "back"):
        found = os.stat(tmp_path / name)
        assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o777, 1_100_000_000)


def test_file_objects(scp, tmp_path):
    """File objects are sent, of unknown length too, and filled; their name is that of the target."""
    scp.put(io.BytesIO(b"0123456789" * 2_000_000), tmp_path / "there")
    back = io.BytesIO()
    scp.get(tmp_path / "there", back)
    assert back.getvalue() == b"0123456789" * 2_000_000
    (tmp_path / "dir").mkdir()
    with pytest.raises(ValueError, match="local path"):
        scp.put(io.BytesIO(), "x", preserve=True)
    with pytest.raises(ValueError, match="local path"):
        scp.get("x", io.BytesIO(), mode=0o600)


def test_files_without_a_true_size(scp, tmp_path):
    """A local file in /proc is sent whole; a remote one, whose size the protocol would need, is refused and not called empty."""
    scp.put("/proc/cpuinfo", tmp_path / "there")
    assert (tmp_path / "there").read_bytes().count(b"processor") == Path("/proc/cpuinfo").read_bytes().count(b"processor")
    with pytest.raises(SCPError, match="unknown size"):
        scp.get("/proc/cpuinfo", tmp_path / "back")
    assert names(tmp_path) == ["there"]


def test_into_a_directory(scp, tmp_path):
    """A target that is a directory gets the file under its local name, as with scp."""
    (tmp_path / "source").write_bytes(b"x")
    (tmp_path / "dir").mkdir()
    scp.put(tmp_path / "source", tmp_path / "dir")
    assert names(tmp_path / "dir") == ["source"]


def test_trees(scp, tmp_path):
    """Directories go there and come back with empty ones, modes and times; a loop of links ends."""
    source = tmp_path / "source"
    (source / "a" / "b").mkdir(parents=True)
    (source / "ünï cöde").mkdir()
    for number in range(20):
        (source / "a" / f"{number}").write_bytes(b"%d" % number * 1000)
    (source / "a" / "b" / "ro").write_bytes(b"x")
    (source / "a" / "b" / "ro").chmod(0o444)
    os.utime(source / "a", (1_000_000_000, 1_100_000_000))
    scp.put(source, tmp_path / "there", recursive=True, preserve=True)
    scp.get(tmp_path / "there", tmp_path / "back", recursive=True, preserve=True)
    for top in (tmp_path / "there", tmp_path / "back"):
        assert {path.relative_to(top) for path in top.rglob("*")} == {path.relative_to(source) for path in source.rglob("*")}
        assert (top / "a" / "7").read_bytes() == b"7" * 1000
        assert (top / "a").stat().st_mtime == 1_100_000_000
        assert stat.S_IMODE((top / "a" / "b" / "ro").stat().st_mode) == 0o444
    (source / "loop").symlink_to(".")
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the errno is tested
        scp.put(source, tmp_path / "there2", recursive=True)
    assert caught.value.errno == errno.ELOOP


def test_progress(scp, tmp_path):
    """progress sees beginning and end."""
    (tmp_path / "source").write_bytes(b"x" * 1_000_000)
    seen = []
    scp.put(tmp_path / "source", tmp_path / "there", progress=lambda *now: seen.append(now))
    scp.get(tmp_path / "source", tmp_path / "back", progress=lambda *now: seen.append(now))
    assert seen[0] == (0, 1_000_000, str(tmp_path / "source"))
    assert [now for now in seen if now[0] == 1_000_000] == [(1_000_000, 1_000_000, str(tmp_path / "source"))] * 2


def test_failures_leave_the_session_usable(session, scp, tmp_path):
    """Missing, forbidden and impossible files are OSErrors with the server's words, and the next command works."""
    (tmp_path / "source").write_bytes(b"x" * 300_000)
    for transfer, kind, number, words in (
        (
            lambda: scp.get("/no/such", tmp_path / "back"),
            SCPFileNotFoundError,
            errno.ENOENT,
            "/no/such: No such file or directory",
        ),
        (lambda: scp.put(tmp_path / "source", "/no/such"), SCPFileNotFoundError, errno.ENOENT, "No such file or directory"),
        (lambda: scp.put("/no/such", "x"), FileNotFoundError, errno.ENOENT, "No such file"),
        (lambda: scp.get(tmp_path, tmp_path / "back"), SCPError, errno.EISDIR, "not a regular file"),
        (lambda: scp.put(tmp_path, "x"), IsADirectoryError, errno.EISDIR, "directory"),
        (lambda: scp.put(tmp_path / "source", "/dev/full"), SCPError, errno.ENOSPC, "No space left on device"),
        (lambda: scp.get(tmp_path / "source", "/no/such"), FileNotFoundError, errno.ENOENT, "No such file"),
        (lambda: scp.get(tmp_path / "source", tmp_path / "back", recursive=True), SCPError, errno.ENOTDIR, "is a file"),
    ):
        with pytest.raises(kind, match=words) as caught:
            transfer()
        assert isinstance(caught.value, OSError)
        assert caught.value.errno == number
        assert session.exec_command("echo here").stdout == b"here\n"
    assert names(tmp_path) == ["source"]


def test_many_failures_leave_nothing_open(session, scp, tmp_path):
    """Fifty failures in a row do not use up the channels of the session."""
    for _ in range(50):
        with pytest.raises(LibsshSCPException):
            scp.get("/no/such", tmp_path / "back")
    assert session.exec_command("true").returncode == 0


def test_no_scp_there(session, tmp_path):
    """A server without scp: the shell's words are in the error, either way."""
    (tmp_path / "source").write_bytes(b"x")
    scp = SCP(session, command="no-such-scp")
    for transfer in (lambda: scp.put(tmp_path / "source", "x"), lambda: scp.get("x", tmp_path / "back")):
        with pytest.raises(SCPError, match="not found"):
            transfer()


def test_shrinking_source(scp, tmp_path):
    """A file that becomes shorter while it is sent is an error, not a file filled up."""
    (tmp_path / "source").write_bytes(b"x" * 3_000_000)

    def cut(done, _total, _name):
        if done > 1_000_000:
            os.truncate(tmp_path / "source", 1_500_000)

    with pytest.raises(SCPError, match=r"ended at byte \d+ of 3000000"):
        scp.put(tmp_path / "source", tmp_path / "there", progress=cut)


@pytest.mark.parametrize("direction", ["put", "get"])
def test_connection_cut(sshd, relay, tmp_path, direction):
    """A connection that breaks is a ConnectionError with file and byte; a local old file stays."""
    (tmp_path / "source").write_bytes(os.urandom(8_000_000))
    (tmp_path / "target").write_bytes(b"old")
    far, link = relay(sshd, rate=20e6)
    with connect(far) as session:
        scp = session.scp()

        def cut(done, _total, _name):
            if done > 1_000_000:
                link.cut()

        with pytest.raises(SCPConnectionError, match=r"at byte \d+") as caught:
            getattr(scp, direction)(tmp_path / "source", tmp_path / "target", progress=cut)
        assert isinstance(caught.value, ConnectionError)
        assert caught.value.offset >= 1_000_000
    assert direction == "put" or (tmp_path / "target").read_bytes() == b"old"
    assert names(tmp_path) == ["source", "target"]


# -- servers that lie --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("other-name", SCPProtocolError),
        ("parent-name", SCPProtocolError),
        ("absolute-name", SCPProtocolError),
        ("directory", SCPError),
        ("short", SCPConnectionError),
        ("killed", SCPConnectionError),
        ("bad-status", SCPError),
        ("long-line", SCPProtocolError),
        ("huge", SCPConnectionError),
    ],
)
def test_hostile_file(stand_in, session, tmp_path, behaviour, kind):
    """Whatever is sent in place of the file that was asked for: an error, the old file, and nothing else anywhere."""
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "x").write_bytes(b"old")
    with pytest.raises(kind):
        stand_in(behaviour).get("/etc/wanted", tmp_path / "target" / "x")
    assert (tmp_path / "target" / "x").read_bytes() == b"old"
    assert names(tmp_path) == ["target"]
    assert names(tmp_path / "target") == ["x"]
    assert not os.path.exists("/tmp/evil")
    assert session.exec_command("true").returncode == 0


def test_hostile_second_file(stand_in, tmp_path):
    """A second file is refused: only the one that was asked for is there."""
    with pytest.raises(SCPProtocolError, match="more than the file"):
        stand_in("two-files").get("/etc/wanted", tmp_path / "x")
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("behaviour", ["up", "inner-path", "inner-absolute", "dot", "twice", "other-top", "ends-too-often"])
def test_hostile_tree(stand_in, tmp_path, behaviour):
    """No name in a tree leads out of the directory that was given for it."""
    (tmp_path / "outer").mkdir()
    with pytest.raises(SCPProtocolError):
        stand_in(behaviour).get("/etc/wanted", tmp_path / "outer" / "target", recursive=True)
    assert names(tmp_path) == ["outer"]
    assert names(tmp_path / "outer") in ([], ["target"])
    assert not [path for path in tmp_path.rglob("*") if path.name == "evil"]


def test_hostile_tree_through_a_link(stand_in, tmp_path):
    """A link that is in the target already is not a way out for a directory of that name."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        stand_in("through-a-link").get("/etc/wanted", tmp_path / "target", recursive=True)
    assert names(tmp_path / "elsewhere") == []


def test_hostile_mode(stand_in, tmp_path):
    """A server cannot give a file set-user-id."""
    stand_in("setuid").get("/etc/wanted", tmp_path / "x", preserve=True)
    assert stat.S_IMODE(os.stat(tmp_path / "x").st_mode) == 0o777


# -- devices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["flash:image.bin", "bootflash:/x-1.2.bin", "disk0:/dir/running config"])
@pytest.mark.parametrize("behaviour", ["prompt-sink", "no-p", "early-close", "no-status"])
def test_put_to_a_device(stand_in, tmp_path, behaviour, path):
    """Prompts before the protocol, no -p, a close right after the last byte, no exit status: the file is there, its path as given."""
    (tmp_path / "source").write_bytes(b"content" * 1000)
    assert stand_in(behaviour).put(tmp_path / "source", path) == 0
    assert (tmp_path / "stored").read_bytes() == path.encode() + b"\n" + b"content" * 1000


@pytest.mark.parametrize("behaviour", ["prompt-source", "colon-name"])
def test_get_from_a_device(stand_in, tmp_path, behaviour):
    """A prompt before the protocol, and the name with or without the device's prefix, are fine."""
    stand_in(behaviour).get("flash:startup-config", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"config\n"


@pytest.mark.parametrize(
    ("behaviour", "number", "words"),
    [
        ("refuses", errno.ENOSPC, r"%Error opening flash:x \(No space left on device\)"),
        ("fatal", errno.EIO, "protocol not enabled"),
        ("text-only", errno.EIO, "% Unknown command"),
        ("no-final-answer", errno.ECONNRESET, "closed the channel"),
        ("refuses-data", errno.EDQUOT, "Disk quota exceeded"),
    ],
)
def test_put_that_a_device_refuses(stand_in, session, tmp_path, behaviour, number, words):
    """The device's words are in the error; what was not acknowledged is never called done; the session lives."""
    (tmp_path / "source").write_bytes(b"content" * 1000)
    with pytest.raises(SCPError, match=words) as caught:
        stand_in(behaviour).put(tmp_path / "source", "flash:x")
    assert caught.value.errno == number
    assert session.exec_command("true").returncode == 0


def test_silent_device(session, tmp_path):
    """A device that says nothing is a time-out."""
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(SCPTimeout):
        SCP(session, timeout=0.3, command="sleep 60;").put(tmp_path / "source", "flash:x")
