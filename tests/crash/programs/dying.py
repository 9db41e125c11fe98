# SPDX-License-Identifier: LGPL-2.1-or-later
"""Work while the server's processes are killed at random moments; see `test_server_killed`."""

from __future__ import annotations

import json
import random
import sys
import time

from harness import connect

from pylibsshext.errors import LibsshException


def work(session, chance):
    kind = chance.randrange(7)
    if kind == 0:
        session.exec_command("head -c 2000000 /dev/zero", timeout=20)
    elif kind == 1:
        session.exec_command("cat", stdin=b"x" * 2_000_000, timeout=20)
    elif kind == 2:
        with session.sftp() as sftp:
            sftp.listdir(".")
    elif kind == 3:
        channel = session.new_shell_channel()
        channel.write(b"echo hello\n")
        channel.read(100, timeout=20)
    elif kind == 4:
        channel = session.new_channel()
        channel.request_exec("sleep 30")
        channel.read(10, timeout=0.3)
    elif kind == 5:
        session.send_keepalive()
        session.info  # noqa: B018  it reads the session
    else:
        session.close()


def main(seconds):
    chance = random.Random(3)
    end = time.monotonic() + float(seconds)
    ends = {"fine": 0}
    session = None
    while time.monotonic() < end:
        try:
            if session is None or not session.is_connected:
                session = connect()
            work(session, chance)
            ends["fine"] += 1
        except LibsshException as exc:
            ends[type(exc).__name__] = ends.get(type(exc).__name__, 0) + 1
    print(json.dumps(ends))


main(*sys.argv[1:])
