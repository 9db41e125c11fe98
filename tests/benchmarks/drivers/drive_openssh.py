# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenSSH's own sftp and scp, which connect as part of each transfer."""

from __future__ import annotations

import os
import subprocess

import work


class Client(work.Client):
    def __init__(self, host, nodelay):
        self.host = host
        settings = {
            "IdentityFile": host["key"],
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": host["known_hosts"],
            "BatchMode": "yes",
            "LogLevel": "ERROR",
        }
        self.options = ["-F", "none", "-q", "-P", str(host["port"])]
        self.options += [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]

    def transfer(self, way, source, target):
        login, tree = f"{self.host['user']}@{self.host['address']}", ["-r"] if os.path.isdir(source) else []
        if way.startswith("scp-"):
            ends = [source, f"{login}:{target}"] if way == "scp-put" else [f"{login}:{source}", target]
            subprocess.run(["scp", "-O", *self.options, *tree, *ends], check=True)
            return
        batch = " ".join([way, *tree, source, target]) + "\n"
        subprocess.run(["sftp", *self.options, "-b", "-", login], input=batch, text=True, check=True, stdout=subprocess.DEVNULL)

    def close(self):
        pass


work.main(Client)
