# SPDX-License-Identifier: LGPL-2.1-or-later
"""Signals whose handler raises, at random moments: whatever was going on ends, and the next thing works."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress

from harness import Interrupted, connect, descriptors, stormy, works

from pylibsshext.errors import LibsshException

ROUNDS = 120


def connecting():
    connect().close()


def executing():
    shared().exec_command("echo some; echo output >&2")


def opening():
    with shared().new_channel() as channel:
        channel.request_shell()


def reading():
    with shared().new_channel() as channel:
        channel.request_exec("head -c 3000000 /dev/zero")
        for _ in channel:
            pass


def writing():
    with shared().new_channel() as channel:
        channel.request_exec("cat > /dev/null")
        channel.sendall(b"x" * 3_000_000)
        channel.communicate(b"y" * 100_000)


def copying():
    with shared().sftp() as sftp:
        sftp.put("local", "remote")
        sftp.get("remote", "copy")
        sftp.stat("remote")


def secure_copying():
    scp = shared().scp()
    scp.put("local", "remote")
    scp.get("remote", "copy")


alive = []


def shared():
    """The session that the rounds share; a new one only when the old one broke."""
    if not (alive and alive[0].is_connected):
        alive[:] = [connect()]
    return alive[0]


def main(name):
    with open("local", "wb") as file:
        file.write(bytes(range(256)) * 2000)
    action = globals()[name]
    action()
    gc.collect()
    before = descriptors()
    for number in range(ROUNDS):
        # Not only the interrupt: what it did to a channel or a session may show in the next call.
        with suppress(Interrupted, LibsshException), stormy(0.03 if name == "connecting" else 0.012, number):
            while True:
                action()
    action()  # on the very session that went through all of it
    works()
    gc.collect()
    # An interrupt between two steps of Python may lose a descriptor; a leak would lose one each time.
    assert descriptors() - before < ROUNDS / 10, f"{descriptors() - before} descriptors are lost"


main(*sys.argv[1:])
