# SPDX-License-Identifier: LGPL-2.1-or-later
"""The library of this repository, by its connection holder: ``exec`` as all others, and ``idle``, the cost of sessions that nobody uses."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import work


class Client(work.Client):
    def __init__(self, host, nodelay, auth_timeout=30.0):
        from pylibsshext.mux.client import MuxSession

        self.session = MuxSession(60)
        self.session.connect(**work.login(host), nodelay=nodelay, auth_timeout=auth_timeout)

    def execute(self, command, timeout=None):
        done = self.session.exec_command(command, timeout=timeout)
        return done.returncode, done.stdout

    def close(self):
        self.session.close()


def idle(options: dict) -> dict:
    """Hold sessions, each a little different from all others, and let them be."""
    from pylibsshext.mux import command

    host = options["host"]
    with ThreadPoolExecutor(4) as pool:
        clients = list(pool.map(lambda number: Client(host, True, 30 + number / 1000), range(options["sessions"])))
    for client in clients:
        client.close()
    with command.holders() as (wire,):
        about = command.ask(wire, do="list")
    assert len(about["sessions"]) == options["sessions"]
    process = Path(f"/proc/{about['pid']}")
    before = cpu_of(process)
    time.sleep(options["seconds"])
    used = cpu_of(process) - before
    pages = int((process / "statm").read_text().split()[1])
    return {"MiB": pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20), "cpu_%": 100 * used / options["seconds"]}


def cpu_of(process: Path) -> float:
    """Return the CPU seconds of a process."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Do the work with a holder of this process's own."""
    place = tempfile.mkdtemp(prefix="holder")
    os.environ["PYLIBSSHEXT_MUX_DIR"] = f"{place}/mux"
    try:
        if sys.argv[1] == "idle":
            print(json.dumps(idle(json.loads(sys.argv[2]))))
        else:
            work.main(Client)
    finally:
        from pylibsshext.mux import command

        with command.holders() as wires:
            for wire in wires:
                command.ask(wire, do="stop")
        shutil.rmtree(place)


main()
