# SPDX-License-Identifier: LGPL-2.1-or-later
"""run_command.py [USER@]HOST COMMAND: run a command on a host, with your agent or key files."""

from __future__ import annotations

import sys

from pylibsshext.errors import LibsshException
from pylibsshext.session import Session


def main(where: str, command: str) -> int:
    """Print what the command prints; return its exit status."""
    user, _, host = where.rpartition("@")
    with Session() as session:
        session.connect(host=host, user=user or None, timeout=10)
        done = session.exec_command(command, timeout=60)
    sys.stdout.buffer.write(done.stdout)
    sys.stderr.buffer.write(done.stderr)
    if done.signal:
        print(f"ended by signal {done.signal}", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except LibsshException as exc:
        sys.exit(f"{type(exc).__name__}: {exc}")
