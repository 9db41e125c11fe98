# SPDX-License-Identifier: LGPL-2.1-or-later
"""A plain C loop on libssh's sftp_aio_*, against the libssh that we are built with; compiled when it is first needed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import work

SOURCE = Path(__file__).with_name("aio.c")
BUILD = SOURCE.parents[3] / "build"
PROGRAM = BUILD / "bench" / "aio"
LIBSSH = BUILD / "libssh-0.12"


def compiled():
    archive = LIBSSH / "lib/libssh.a"
    if not PROGRAM.exists() or PROGRAM.stat().st_mtime < max(SOURCE.stat().st_mtime, archive.stat().st_mtime):
        PROGRAM.parent.mkdir(parents=True, exist_ok=True)
        flags = ["-O2", "-Wall", "-DLIBSSH_STATIC=1", f"-I{LIBSSH}/include"]
        subprocess.run(["cc", *flags, "-o", PROGRAM, SOURCE, archive, "-lcrypto", "-lz", "-lpthread", "-ldl"], check=True)
    return PROGRAM


class Client(work.Client):
    def __init__(self, host, nodelay):
        self.words = [host["address"], str(host["port"]), host["user"], host["key"], host["known_hosts"]]

    def transfer(self, way, source, target):
        subprocess.run([PROGRAM, way, *self.words, source, target], check=True)

    def close(self):
        pass


compiled()
work.main(Client)
