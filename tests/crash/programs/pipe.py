# SPDX-License-Identifier: LGPL-2.1-or-later
"""pipe.py ADDRESS PORT: join standard input and output with a TCP connection, as `ssh -W` or netcat do."""

from __future__ import annotations

import os
import select
import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    ends = {0: connection.fileno(), connection.fileno(): 1}
    while True:
        for source in select.select(list(ends), [], [])[0]:
            data = os.read(source, 65536)
            if not data:
                sys.exit()
            while data:
                data = data[os.write(ends[source], data) :]
