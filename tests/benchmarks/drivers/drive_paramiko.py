# SPDX-License-Identifier: LGPL-2.1-or-later
"""paramiko."""

from __future__ import annotations

import io

import work


class Client(work.Client):
    def __init__(self, host, nodelay):
        import paramiko

        self.client = paramiko.SSHClient()
        self.client.load_host_keys(host["known_hosts"])
        self.client.connect(
            host["address"],
            host["port"],
            host["user"],
            pkey=paramiko.Ed25519Key.from_private_key(io.StringIO(host["key_text"])),
            look_for_keys=False,
            allow_agent=False,
            sock=work.tcp(host, nodelay) if nodelay else None,
        )

    def execute(self, command, timeout=None):
        stdin, stdout, _stderr = self.client.exec_command(command, timeout=timeout)
        stdin.close()
        output = stdout.read()
        return stdout.channel.recv_exit_status(), output

    def stream(self, command):
        _stdin, stdout, _stderr = self.client.exec_command(command)
        total = 0
        while chunk := stdout.channel.recv(1 << 18):
            total += len(chunk)
        return total

    def transfer(self, way, source, target):
        sftp = self.client.open_sftp()
        getattr(sftp, way)(source, target)
        sftp.close()

    def close(self):
        self.client.close()


work.main(Client)
