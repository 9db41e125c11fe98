# SPDX-License-Identifier: LGPL-2.1-or-later
"""ssh2-python (libssh2), as its examples use it: a blocking session on a socket of the caller's."""

from __future__ import annotations

import work


class Client(work.Client):
    def __init__(self, host, nodelay):
        from ssh2.session import Session

        self.socket = work.tcp(host, nodelay)
        self.session = Session()
        self.session.handshake(self.socket)
        self.session.userauth_publickey_frommemory(host["user"], host["key_text"].encode())

    def execute(self, command, timeout=None):
        if timeout:
            self.session.set_timeout(int(timeout * 1000))
        channel = self.session.open_session()
        channel.execute(command)
        output = b"".join(work.chunks(channel))
        channel.close()
        channel.wait_closed()
        return channel.get_exit_status(), output

    def stream(self, command):
        channel = self.session.open_session()
        channel.execute(command)
        total = sum(map(len, work.chunks(channel)))
        channel.close()
        return total

    def transfer(self, way, source, target):
        from ssh2 import sftp

        session = self.session.sftp_init()
        if way == "put":
            flags = sftp.LIBSSH2_FXF_CREAT | sftp.LIBSSH2_FXF_WRITE | sftp.LIBSSH2_FXF_TRUNC
            with open(source, "rb") as local, session.open(target, flags, 0o644) as remote:
                while chunk := local.read(1 << 20):
                    remote.write(chunk)
        else:
            with open(target, "wb") as local, session.open(source, sftp.LIBSSH2_FXF_READ, 0) as remote:
                for size, chunk in remote:
                    local.write(chunk[:size])

    def close(self):
        self.session.disconnect()
        self.socket.close()


work.main(Client)
