# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts that are a server process on 127.0.0.1: the quickest, and all that there is without root.

They share this machine's files, so a test can look at what its commands did. The login user is whoever runs the tests, with
an empty home. As root the host also has the lab's own users and passwords (see `accounts`).
"""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING

from . import accounts, processes, servers
from .hosts import Host, LabError, Options, run

if TYPE_CHECKING:
    from .lab import Lab

# Mounts are private to the namespace and end with its last process.
PRIVATE_ETC = """
for name in $(ls $LAB/etc); do
    [ ! -e /etc/$name ] || mount --bind $LAB/etc/$name /etc/$name
done
"""


def unusable() -> str:
    """Why this backend can't be used here ("": it can)."""
    return ""


def can_have_accounts() -> bool:
    """Whether we may mount over /etc for a process."""
    return os.geteuid() == 0 and run("unshare", "--mount", "true", check=False).returncode == 0


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class LoopbackHost(Host):
    """A server process on 127.0.0.1."""

    backend = "loopback"

    def __init__(self, lab: Lab, name: str, options: Options) -> None:
        super().__init__(lab, name, options)
        if options.setup:
            raise LabError("a loopback host has no machine of its own to set up")
        self.inside = str(self.directory)
        self.user = accounts.me()
        self.has_accounts = can_have_accounts()
        self.password = accounts.ACCOUNTS["root"].password if self.has_accounts else None
        self.home = self.directory / "home" / self.user
        if self.has_accounts:
            accounts.write(self.directory / "etc", self.directory / "home")
        else:
            if not options.server.startswith("openssh"):
                raise LabError(f"{options.server} without root would read the keys of the real home")
            self.home.mkdir(parents=True)
        servers.prepare(self)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def launch(self) -> None:
        script = PRIVATE_ETC if self.has_accounts else ""
        script = f"set -eu; LAB={self.directory}; {script}\nexec sh $LAB/server.sh {self.address} {self.port}"
        unshare = ["unshare", "--mount", "--propagation", "private"] if self.has_accounts else []
        environment = {"PATH": servers.SYSTEM_PATH, processes.MARK: self.lab.id}
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                [*unshare, "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self.lab.reaper.kill(self._process.pid)

    def root_pid(self) -> int:
        return self._process.pid if self._process and self._process.poll() is None else 0

    def kill(self) -> None:
        super().kill()
        if self._process:
            self._process.wait(10)

    def run(self, *argv: object, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", "-t", self.root_pid(), "-m"] if self.has_accounts else []
        return run(*enter, *argv, check=check, timeout=timeout)
