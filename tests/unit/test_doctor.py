# SPDX-License-Identifier: LGPL-2.1-or-later
"""The doctor without a network: what it reads off the wire, its command line, and its report."""

from __future__ import annotations

import argparse
import errno
import io
import os
import socket
import struct
import threading
from pathlib import Path

import pytest
import yaml

from pylibsshext.doctor import Finding, Report, command, inventory, wire
from pylibsshext.doctor.tap import Tap

LISTS = ["a,ext-info-c,kex-strict-c-v00@openssh.com", "ssh-ed25519", "x,y", "x", "m", "m,n", "none", "none", "", ""]


def kexinit(lists):
    """Return a KEXINIT packet (RFC 4253 sections 6 and 7.1)."""
    payload = b"\x14" + bytes(16) + b"".join(len(one).to_bytes(4, "big") + one.encode() for one in lists) + bytes(5)
    return (len(payload) + 5).to_bytes(4, "big") + b"\x04" + payload + bytes(4)


OPENING = b"Welcome\r\nSSH-2.0-x_1.0 a comment\r\n" + kexinit(LISTS) + b"\x8f encrypted"


def test_opening_of_a_side():
    """Lines before the version, the version, and the name lists without what only signals something."""
    before, banner, algorithms = wire.opening(OPENING)
    assert (before, banner) == (["Welcome"], "SSH-2.0-x_1.0 a comment")
    assert algorithms["kex"] == ["a"]
    assert algorithms["cipher_out"] == ["x", "y"]
    assert algorithms["compression_in"] == ["none"]


def test_any_part_of_an_opening_can_be_read():
    """Wherever the bytes end: what has come is known, the rest is None."""
    whole = wire.opening(OPENING)
    for end in range(len(OPENING)):
        _, banner, algorithms = wire.opening(OPENING[:end])
        assert banner in (None, whole.banner)
        assert algorithms in (None, whole.algorithms)


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, b"SSH-2.0-x\n" + b"\xff" * 100, b"SSH-2.0-x\n\0\0\0\1\x14" + b"\xff" * 9])
def test_rubbish_is_no_opening(data):
    """Nothing that a server sends is an error here."""
    assert wire.opening(data).algorithms is None


def test_choice_is_the_clients_first_that_the_server_has():
    """RFC 4253 section 7.1."""
    ours, theirs = {"kex": ["c", "b", "a"]}, {"kex": ["a", "b"]}
    assert wire.choice(ours, theirs, "kex") == "b"


def test_an_authenticating_cipher_needs_no_mac():
    """With AES-GCM there is no MAC to agree on; with another cipher there is."""
    ours = {name: ["same"] for name in wire.opening(OPENING).algorithms}
    theirs = ours | {"mac_out": ["other"], "mac_in": ["other"]}
    assert wire.without_choice(ours, theirs) == ["mac_out", "mac_in"]
    gcm = {name: ["aes128-gcm@openssh.com"] for name in ("cipher_out", "cipher_in")}
    assert wire.without_choice(ours | gcm, theirs | gcm) == []


def test_tap_carries_and_keeps():
    """All bytes go through, both ways; the end of one side comes through, too."""
    ours, server = socket.socketpair()
    tap = Tap(ours)
    tap.end.setblocking(True)
    big = bytes(range(256)) * 1000
    with server:
        tap.end.sendall(b"hello")
        assert server.recv(5) == b"hello"
        server.sendall(big)
        server.shutdown(socket.SHUT_WR)
        assert tap.end.makefile("rb").read() == big
        assert tap.sent == b"hello"
        assert big.startswith(tap.received[:65536])
        assert len(tap.received) >= 65536
        tap.close()
        assert server.recv(1) == b""


def test_tap_settles():
    """What was sent right before the end is seen, too."""
    ours, server = socket.socketpair()
    tap = Tap(ours)
    with server, tap.end:
        tap.end.setblocking(True)
        tap.end.sendall(b"x" * 50_000)
    tap.settle()
    assert len(tap.sent) == 50_000
    tap.close()


def test_tap_tells_of_a_reset_that_a_write_met():
    """The system tells of a reset once: also where that is not the half that reads."""
    wrote = threading.Event()

    class Far(socket.socket):
        def sendall(self, data):
            try:
                super().sendall(data)
            finally:
                wrote.set()

        def recv(self, size):
            wrote.wait(5)
            return super().recv(size)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = Far()
        far.connect(listener.getsockname())
        peer = listener.accept()[0]
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    tap = Tap(far)
    tap.end.send(b"SSH-2.0-x\r\n")
    tap.end.setblocking(True)
    assert tap.end.recv(10) == b""
    tap.end.shutdown(socket.SHUT_WR)
    tap.settle()
    assert tap.failure == os.strerror(errno.ECONNRESET)
    tap.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host", {"host": "host"}),
        ("me@host:2222", {"user": "me", "host": "host", "port": 2222}),
        ("me@corp@host", {"user": "me@corp", "host": "host"}),
        ("fe80::1", {"host": "fe80::1"}),
        ("me@[fe80::1]:22", {"user": "me", "host": "fe80::1", "port": 22}),
    ],
)
def test_target(text, expected):
    """What ssh and Ansible users write."""
    assert command.target(text) == expected


@pytest.mark.parametrize("text", ["", "me@", "host:", "host:0", "host:65536", "host:ssh", "[fe80::1"])
def test_wrong_target(text):
    """What is no target is refused, and not taken for a host's name."""
    with pytest.raises(argparse.ArgumentTypeError, match="host"):
        command.target(text)


def test_keywords():
    """A value is JSON, or else text."""
    assert command.keyword("look_for_keys=false") == ("look_for_keys", False)
    assert command.keyword("ciphers=+aes128-cbc") == ("ciphers", "+aes128-cbc")


@pytest.mark.parametrize(
    "text",
    [
        "password=x",
        "private_key_password=x",
        "private_key=x",
        "proxy=http://me:secret@proxy:3128",
        'proxy_jump=[{"host": "h", "password": "x"}]',
        "cipher=x",
        "ciphers",
    ],
)
def test_wrong_keywords(text):
    """A secret is not taken from the command line, and a mistyped keyword is not passed over."""
    with pytest.raises(argparse.ArgumentTypeError):
        command.keyword(text)


@pytest.mark.parametrize(
    "words",
    [
        ["-i", "pkcs11:token=lab?pin-value=1234"],
        ["-o", "IdentityFile=pkcs11:token=lab?module-path=/x.so&pin-value=1234"],
        ["--set", 'identities=["pkcs11:?pin-value=1234"]'],
    ],
)
def test_a_pin_is_not_taken_from_the_command_line(words, capsys):
    """It is refused, without repeating it, and what to do instead is said."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["h", *words])
    said = capsys.readouterr().err
    assert "would be for all to see here" in said
    assert "1234" not in said


def test_secrets_come_from_the_standard_input_where_there_is_no_terminal(monkeypatch):
    """A line each; nothing of it is an argument."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\n"))
    found = command.keywords(parser.parse_args(["h", "-i", "key", "--ask-pass", "--ask-passphrase"]))
    assert found == {"host": "h", "identities": ["key"], "password": "one", "private_key_password": "two"}


def test_inventory_keeps_secrets():
    """What is printed for the inventory has names for secrets, and not the secrets."""
    found = inventory.variables({"host": "h", "identities": ["~/k"], "password": "secret", "private_key_password": "geheim"})
    assert found["ansible_private_key_file"] == "~/k"
    assert {"secret", "geheim"}.isdisjoint(found.values())
    hops = [{"host": "h", "password": "secret", "knownhosts": "k", "private_key_password": "secret"}, "other"]
    token = ["pkcs11:token=lab?pin-value=secret&module-path=/x.so"]
    ways = {"proxy": "socks5://me:secret@there:1080", "proxy_jump": hops, "identities": token}
    found = inventory.variables({**ways, "knownhosts": Path("known")})
    assert found["ansible_private_key_file"] == "pkcs11:token=lab?pin-value={{ vault_pin }}&module-path=/x.so"
    assert found["ansible_libssh_proxy"] == "socks5://me:{{ vault_proxy_password }}@there:1080"
    hop = {"password": "{{ vault_password }}", "private_key_passphrase": "{{ vault_passphrase }}", "known_hosts_file": "k"}
    assert found["ansible_libssh_proxy_jump"] == [{"host": "h", **hop}, "other"]
    assert found["ansible_libssh_known_hosts_file"] == "known"


def test_report_ends_with_what_to_do():
    """The last lines are the cure and the inventory, which is YAML whatever the values; no control character gets through."""
    values = {"ansible_port": 22, "ansible_host": "10.0.0.1", "ansible_user": "no", "ansible_x": "+a:b #c", "y": "~/k"}
    finding = Finding("login", False, "Denied \x1b[31m", cure="Give a password.", inventory={"ansible_password": "{{ p }}"})
    text = Report("h:22", {"libssh": "0"}, [Finding("name", True, "fine"), finding], values).to_text(80)
    before, _, after = text.partition("In the inventory:\n")
    assert before.rstrip().endswith("What to do:\n  Give a password.")
    assert yaml.safe_load(after) == values | {"ansible_password": "{{ p }}"}
    assert [line for line in after.splitlines() if "to be set" in line] == ['  ansible_password: "{{ p }}"  # to be set']
    assert "\x1b" not in text
