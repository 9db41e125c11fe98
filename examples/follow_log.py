# SPDX-License-Identifier: LGPL-2.1-or-later
"""follow_log.py HOST FILE: print what is added to a file on a host, until Ctrl-C."""

from __future__ import annotations

import shlex
import sys

from pylibsshext.session import Session


def main(host: str, path: str) -> None:
    """Stream: nothing is kept, however much comes."""
    with Session() as session:
        session.connect(host=host, server_alive_interval=15)
        with session.open_session() as channel:
            channel.request_exec(f"tail -n 10 -F {shlex.quote(path)}")
            for piece in channel:
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
