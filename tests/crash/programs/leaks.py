# SPDX-License-Identifier: LGPL-2.1-or-later
"""Do the same thing again and again: memory and descriptors do not grow."""

from __future__ import annotations

import gc
import sys

from harness import HOST, attempt, connect, descriptors, options

from pylibsshext import _core
from pylibsshext.session import Session

GROWTH = 1 << 20  # bytes: less than a leak of 1 KiB in each of some 1000 rounds


def resident():
    """Bytes of memory that this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def channels(session):
    with session.new_channel() as channel:
        channel.request_exec("echo out")
        assert channel.read(100, timeout=20) == b"out\n"


def unread(session):
    """Closed with data still in both buffers."""
    channel = session.new_channel()
    channel.request_exec("head -c 20000 /dev/zero; head -c 20000 /dev/zero >&2")
    channel.readable(20)
    del channel


def executed(session):
    session.exec_command("true")


def given_up(session):
    attempt(session.exec_command, "sleep 9", timeout=0)


def never_connected(session):
    one = Session("127.0.0.1", port=22, user="somebody")
    one.set_ssh_options("knownhosts", "/nonexistent")
    one.get_ssh_options("user")


def keys(session):
    key = _core.Key.from_text(open(HOST["key"], "rb").read(), None)
    key.public_base64()
    assert _core.Key.from_text(b"-----BEGIN OPENSSH PRIVATE KEY-----\njunk", b"") is None


def connections(session):
    connect().close()


def failures(session):
    attempt(Session().connect, **options(private_key=None, password="wrong"))


ROUNDS = {"never_connected": 10_000, "keys": 5000, "connections": 150, "failures": 60, "given_up": 250}


def main(name):
    action, rounds = globals()[name], ROUNDS.get(name, 1500)
    session = connect()
    for _ in range(rounds // 5):
        action(session)
    gc.collect()
    memory, files = resident(), descriptors()
    for _ in range(rounds):
        action(session)
    gc.collect()
    assert descriptors() == files, f"{descriptors() - files} descriptors more"
    grown = resident() - memory
    assert grown < GROWTH, f"{grown / rounds:.0f} bytes a round"


main(*sys.argv[1:])
