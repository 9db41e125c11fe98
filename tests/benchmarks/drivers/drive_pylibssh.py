# SPDX-License-Identifier: LGPL-2.1-or-later
"""ansible-pylibssh 1.4.0. It makes its own socket; one with TCP_NODELAY can be handed in."""

from __future__ import annotations

import work


class Client(work.Client):
    def __init__(self, host, nodelay):
        from pylibsshext.session import Session

        self.session = Session()
        self.socket = work.tcp(host, nodelay) if nodelay else None
        self.session.connect(**work.login(host), **({"fd": self.socket.detach()} if self.socket else {}))

    def execute(self, command, timeout=None):
        channel = self.session.new_channel()
        try:
            done = channel.exec_command(command)
            return done.returncode, done.stdout
        finally:
            channel.close()

    def transfer(self, way, source, target):
        protocol = self.session.scp() if way.startswith("scp-") else self.session.sftp()
        getattr(protocol, way.removeprefix("scp-"))(*map(str, (source, target)))

    def close(self):
        self.session.close()


work.main(Client)
