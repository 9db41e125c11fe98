# SPDX-License-Identifier: LGPL-2.1-or-later
"""many_hosts.py COMMAND HOST...: run a command on many hosts at once, a thread each."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from pylibsshext.errors import LibsshException
from pylibsshext.session import Session


def run(host: str, command: str) -> str:
    """Return a host's answer in a line, or why there is none."""
    try:
        with Session() as session:
            session.connect(host=host, timeout=10)
            done = session.exec_command(command, timeout=60)
    except LibsshException as exc:
        return f"{host}: {exc}"
    return f"{host}: [{done.returncode}] {done.stdout.decode(errors='replace').strip()}"


def main(command: str, *hosts: str) -> None:
    """Print each answer, in the order of the hosts."""
    with ThreadPoolExecutor(32) as pool:
        for answer in pool.map(lambda host: run(host, command), hosts):
            print(answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
