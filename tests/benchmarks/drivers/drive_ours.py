# SPDX-License-Identifier: LGPL-2.1-or-later
"""The library of this repository."""

from __future__ import annotations

import os

import work


class Client(work.Client):
    def __init__(self, host, nodelay):
        from pylibsshext.session import Session

        self.session = Session()
        self.session.connect(**work.login(host), nodelay=nodelay)

    def execute(self, command, timeout=None):
        done = self.session.exec_command(command, timeout=timeout)
        return done.returncode, done.stdout

    def stream(self, command):
        with self.session.open_session() as channel:
            channel.request_exec(command)
            return sum(map(len, channel))

    def transfer(self, way, source, target):
        protocol = self.session.scp() if way.startswith("scp-") else self.session.sftp()
        getattr(protocol, way.removeprefix("scp-"))(source, target, recursive=os.path.isdir(source))

    def close(self):
        self.session.close()


work.main(Client)
