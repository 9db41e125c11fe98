# SPDX-License-Identifier: LGPL-2.1-or-later
"""The holder's protocol, paths and identities, without a server."""

from __future__ import annotations

import json
import os
import socket
import struct

import pytest

from pylibsshext import errors
from pylibsshext._sftp.errors import SFTPFileNotFoundError
from pylibsshext.mux import client, identity, paths, protocol, start


@pytest.fixture
def wires():
    """The two ends of a connection."""
    ends = [protocol.Wire(sock) for sock in socket.socketpair()]
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def raw():
    """A raw socket, and a wire at its other end."""
    ours, theirs = socket.socketpair()
    wire = protocol.Wire(theirs)
    yield ours, wire
    ours.close()
    wire.close()


def test_messages_carry_text_bytes_and_descriptors(wires):
    """Names that are no UTF-8, bytes, and open files arrive as they were sent."""
    here, there = wires
    with open(os.devnull, "rb") as file:
        here.send({"name": "a\udcff", "n": [1, None, True]}, b"\0\xff", [file.fileno()])
    message = there.receive(1)
    fds = message.fds
    assert (message.data, message.blob) == ({"name": "a\udcff", "n": [1, None, True]}, b"\0\xff")
    assert os.path.samestat(os.fstat(fds[0]), os.stat(os.devnull))
    assert not os.get_inheritable(fds[0])
    os.close(fds[0])


BAD = {
    "text too long": struct.pack("!III", protocol.VERSION, protocol.MOST_TEXT + 1, 0),
    "blob too long": struct.pack("!III", protocol.VERSION, 2, protocol.MOST_BLOB + 1) + b"{}",
    "no JSON": struct.pack("!III", protocol.VERSION, 3, 0) + b"{x}",
    "no object": struct.pack("!III", protocol.VERSION, 2, 0) + b"[]",
    "no text": struct.pack("!III", protocol.VERSION, 2, 0) + b"\xff\xff",
    "cut": struct.pack("!III", protocol.VERSION, 9, 0) + b"{}",
}


@pytest.mark.parametrize("name", BAD)
def test_what_breaks_the_protocol_is_hung_up_on(raw, name):
    """A message that is too large, cut, or not a JSON object ends the connection, before memory is taken for it."""
    ours, wire = raw
    ours.sendall(BAD[name])
    ours.shutdown(socket.SHUT_WR)
    with pytest.raises(protocol.HangUp):
        wire.receive(1)


def test_a_message_of_another_version_is_not_read(raw):
    """What follows the number of another version may mean anything."""
    ours, wire = raw
    ours.sendall(struct.pack("!III", protocol.VERSION + 1, 2, 0) + b"{}")
    with pytest.raises(
        protocol.MuxUnavailable, match=f"speaks version {protocol.VERSION + 1} of the protocol, not {protocol.VERSION}"
    ):
        wire.receive(1)


def test_every_cut_of_a_message_is_a_hang_up(raw):
    """Wherever a message breaks off, it is not taken for a whole one."""
    text = json.dumps({"do": "start"}).encode()
    packet = struct.pack("!III", protocol.VERSION, len(text), 3) + text + b"abc"
    for size in range(len(packet)):
        ours, theirs = socket.socketpair()
        wire = protocol.Wire(theirs)
        ours.sendall(packet[:size])
        ours.close()
        with pytest.raises(protocol.HangUp):
            wire.receive(1)
        wire.close()


def test_what_is_too_large_is_not_sent(wires):
    """A request beyond the limits is refused where it is made."""
    with pytest.raises(errors.LibsshException, match="too large"):
        wires[0].send({}, bytes(protocol.MOST_BLOB + 1))


def test_nobody_there_is_a_hang_up(wires):
    """Sending to, and hearing from, someone who is gone raise the same."""
    wires[1].close()
    assert wires[0].hung_up()
    with pytest.raises(protocol.HangUp):
        wires[0].send({})
    with pytest.raises(protocol.HangUp):
        wires[0].receive(1)


def test_silence_ends_in_time(wires):
    """A wait for an answer that does not come ends when it should."""
    with pytest.raises(TimeoutError):
        wires[0].receive(0.05)


def test_errors_keep_class_text_and_attributes():
    """An exception of the library's arrives as what it was."""
    login = errors.AuthenticationError("no way", ["publickey: denied"], ["password"])
    missing = SFTPFileNotFoundError("opening 'x' failed", 2, "x", 2)
    assert json.dumps(protocol.pack_error(SFTPFileNotFoundError("opening 'x' failed", 2, b"\xff", 2)))
    for error in (login, missing, errors.LibsshChannelTimeout("late")):
        back = protocol.unpack_error(json.loads(json.dumps(protocol.pack_error(error))))
        assert (type(back), str(back)) == (type(error), str(error))
    assert protocol.unpack_error(protocol.pack_error(login)).attempts == ["publickey: denied"]
    assert protocol.unpack_error(protocol.pack_error(missing)).filename == "x"


def test_only_known_errors_are_made():
    """A class name from the wire makes an exception of the library's, and nothing else."""
    for name in ("SystemExit", "annotations", "Sequence", "__class__", "TYPE_CHECKING"):
        assert type(protocol.unpack_error({"class": name, "text": "x"})) is errors.LibsshException
    back = protocol.unpack_error(protocol.pack_error(OSError(28, "No space left on device", "f")))
    assert (type(back), back.errno, back.filename) == (OSError, 28, "f")


SAME = {"host": "h", "port": 22, "user": "u", "password": "p", "identities": [], "config_file": "none"}
OTHER = {
    "host": "H",
    "port": 23,
    "user": "v",
    "password": "q",
    "private_key": b"k",
    "private_key_password": "p",
    "proxycommand": "nc %h %p",
    "ciphers": "aes256-ctr",
    "host_key_checking": False,
    "knownhosts": "/dev/null",
    "agent": False,
    "compression": True,
    "kbdint_callback": print,
}


def test_equal_settings_are_one_identity():
    """The order of the settings and those that are None make no difference."""
    again = dict(reversed(SAME.items())) | {"macs": None}
    assert identity.digest(SAME, "P") == identity.digest(again, "P")


@pytest.mark.parametrize("name", OTHER)
def test_every_setting_counts(name):
    """A connection that differs in any setting has another digest."""
    assert identity.digest(SAME, "P") != identity.digest(SAME | {name: OTHER[name]}, "P")


def test_policy_agent_and_files_count(tmp_path, monkeypatch):
    """So do the host-key policy, the agent, and the key file's state."""
    key = tmp_path / "key"
    key.write_text("one")
    with_key = SAME | {"identities": [str(key)]}
    monkeypatch.setenv("SSH_AUTH_SOCK", "/tmp/one")
    found = {identity.digest(with_key, "P"), identity.digest(with_key, "Q")}
    monkeypatch.setenv("SSH_AUTH_SOCK", "/tmp/two")
    found.add(identity.digest(with_key, "P"))
    key.write_text("another")
    found.add(identity.digest(with_key, "P"))
    (tmp_path / "key-cert.pub").write_text("certificate")
    found.add(identity.digest(with_key, "P"))
    assert len(found) == 5


def test_settings_survive_the_way_to_the_holder():
    """What a client sends as JSON is what the holder connects with; a callable stays here and is called by name."""
    hop = {"host": "a", "password": "p\u00e4ss", "private_key_password": bytearray(b"pp")}
    sent = {
        "private_key": b"\0\xff",
        "identities": ["a"],
        "port": 22,
        "agent": False,
        "kbdint_callback": print,
        "proxy_jump": [hop],
    }
    sealed, secrets = [], []
    text = json.dumps(identity.plain(sent, sealed))
    assert "ss" not in text.replace("pass", "")
    arrived = identity.restored(json.loads(text), bytearray(b"".join(sealed)), secrets)
    assert secrets == [b"\0\xff", "p\u00e4ss".encode(), b"pp"]
    for secret in secrets:
        protocol.wipe(secret)
    wiped = {"host": "a", "password": bytes(5), "private_key_password": bytes(2)}
    assert arrived == sent | {"private_key": bytes(2), "kbdint_callback": {"callable": True}, "proxy_jump": [wiped]}


def test_a_descriptor_cannot_be_shared():
    """A connection over a descriptor of this process is not the holder's business."""
    with pytest.raises(protocol.MuxUnavailable):
        client.MuxSession().connect(fd=3)


@pytest.mark.parametrize("persist", [float("nan"), float("inf"), -1, -0.5, 10**400, "60", None, True])
def test_a_time_that_is_none_is_refused(persist):
    """A login would be kept for ever, or not be kept at all, and nobody would know why."""
    with pytest.raises((ValueError, TypeError), match="persist must be a number of seconds"):
        client.MuxSession(persist)


def test_a_time_is_a_number_of_seconds():
    """Whole or not, and 0: then a login ends with its last command."""
    assert [client.MuxSession(persist).persist for persist in (0, 0.5, 60)] == [0.0, 0.5, 60.0]


def test_the_directory_is_made_and_closed_to_others(tmp_path, monkeypatch):
    """A directory that is made has mode 700, whatever the umask."""
    monkeypatch.setenv(paths.OVERRIDE, str(tmp_path / "a/b"))
    directory = paths.directory()
    directory.close()
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700


def refused(path, monkeypatch):
    monkeypatch.setenv(paths.OVERRIDE, str(path))
    with pytest.raises(protocol.MuxUnavailable) as caught:
        paths.directory()
    return str(caught.value)


def test_unsafe_directories_are_refused(tmp_path, monkeypatch):
    """Open to others, replaceable by others, a link, a file: none of them gets a socket."""
    ours = tmp_path / "ours"
    ours.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(ours)
    (tmp_path / "file").touch()
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    (tmp_path / "shared/inner").mkdir(mode=0o700)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o710)
    assert "open to others" in refused(tmp_path / "open", monkeypatch)
    assert "others can replace" in refused(tmp_path / "shared/inner", monkeypatch)
    assert "link" in refused(tmp_path / "link", monkeypatch)
    assert "file" in refused(tmp_path / "file", monkeypatch)


def test_another_users_directory_is_refused(tmp_path, monkeypatch):
    """A directory of somebody else's is not used."""
    monkeypatch.setattr(paths.os, "geteuid", lambda: 12345)
    (tmp_path / "theirs").mkdir(mode=0o700)
    assert "belongs to user" in refused(tmp_path / "theirs", monkeypatch)


def test_a_read_only_home_leaves_the_temporary_directory(tmp_path, monkeypatch):
    """Where neither the runtime directory nor the home can be written to, the temporary directory serves."""
    (tmp_path / "home").touch()  # nothing can be made below a file, not even by root
    (tmp_path / "tmp").mkdir()
    monkeypatch.delenv(paths.OVERRIDE, raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    directory = paths.directory()
    directory.close()
    assert directory.path == str(tmp_path / f"tmp/pylibsshext-{os.geteuid()}")


def test_the_name_follows_the_environment_but_not_its_noise(monkeypatch):
    """Another agent or PATH means another holder; another terminal, run of ansible-runner, or setting of Ansible's, does not."""
    monkeypatch.setenv("TERM", "one")
    name = paths.holder_name()
    monkeypatch.setenv("TERM", "two")
    monkeypatch.setenv("ANSIBLE_FORKS", "7")
    monkeypatch.setenv("AWX_ISOLATED_DATA_DIR", "/tmp/artifacts/1")
    assert paths.holder_name() == name
    monkeypatch.setenv("SSH_AUTH_SOCK", "/tmp/another")
    assert paths.holder_name() != name


@pytest.mark.parametrize(
    ("program", "why"), [("echo no such module >&2; exit 1", "no such module"), ("kill -KILL $$", "No child processes")]
)
def test_a_holder_that_does_not_start_says_why(tmp_path, monkeypatch, program, why):
    """What the new process says is in the error, one that dies without a word is noticed, and no socket is left to wait at."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{program}\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setenv(paths.OVERRIDE, str(tmp_path / "mux"))
    with pytest.raises(protocol.MuxUnavailable, match=f"could not be started: {why}"):
        start.connect()
    assert [name for name in os.listdir(tmp_path / "mux") if name.endswith(".sock")] == []
