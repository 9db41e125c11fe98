# SPDX-License-Identifier: LGPL-2.1-or-later
"""ssh-python (libssh), as its examples use it: a blocking session on a socket of the caller's."""

from __future__ import annotations

import os

import work


class Client(work.Client):
    def __init__(self, host, nodelay):
        from ssh import options
        from ssh.key import import_privkey_file
        from ssh.session import Session

        self.socket = work.tcp(host, nodelay)
        self.session = Session()
        self.session.options_set(options.HOST, host["address"])
        self.session.options_set_port(host["port"])
        self.session.options_set(options.USER, host["user"])
        self.session.set_socket(self.socket)
        self.session.connect()
        self.session.userauth_publickey(import_privkey_file(host["key"]))

    def execute(self, command, timeout=None):
        channel = self.session.channel_new()
        channel.open_session()
        channel.request_exec(command)
        output = b"".join(work.chunks(channel))
        status = channel.get_exit_status()
        channel.close()
        return status, output

    def stream(self, command):
        channel = self.session.channel_new()
        channel.open_session()
        channel.request_exec(command)
        total = sum(map(len, work.chunks(channel)))
        channel.close()
        return total

    def transfer(self, way, source, target):
        sftp = self.session.sftp_new()
        sftp.init()
        if way == "put":
            with open(source, "rb") as local, sftp.open(target, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644) as remote:
                while chunk := local.read(1 << 15):
                    remote.write(chunk)
        else:
            with open(target, "wb") as local, sftp.open(source, os.O_RDONLY, 0) as remote:
                for size, chunk in remote:
                    local.write(chunk[:size])

    def close(self):
        self.session.disconnect()
        self.socket.close()


work.main(Client)
